//! Which kinds of cases a run had: a comparison says something only about what occurred.

use std::collections::BTreeMap;
use std::fmt;

use pullgate::credentials::url_match;
use pullgate::reference::Reference;

use super::Case;
use crate::kubelet::{Answer, Login, Question, Secret};

/// What the errors of a keyring are about, by a part of their text.
const MALFORMED: [(&str, &str); 5] = [
    ("illegal base64", "malformed: base64"),
    ("unable to parse auth field", "malformed: no colon"),
    ("json: cannot unmarshal", "malformed: wrong type"),
    ("invalid character", "malformed: syntax"),
    ("unexpected end of JSON", "malformed: cut off"),
];
/// The same for references.
const INVALID: [(&str, &str); 8] = [
    ("cannot specify 64-byte", "invalid: 64 digits"),
    (") must be lowercase", "invalid: upper case in the repository"),
    ("must be lowercase", "invalid: upper case elsewhere"),
    ("must not be more than", "invalid: too long"),
    ("unsupported digest", "invalid: digest algorithm"),
    ("checksum digest length", "invalid: digest length"),
    ("checksum digest format", "invalid: digest format"),
    ("invalid reference format", "invalid: format"),
];
/// Everything that must occur, by question.
const KINDS: [(&str, &[&str]); 3] = [
    (
        "references",
        &[
            "valid",
            "with a tag",
            "with a digest",
            "with both",
            "latest by default",
            "on Docker Hub",
            "without a legal host",
        ],
    ),
    ("matches", &["matched", "unmatched", "erroneous", "matched by a wildcard", "matched below a path"]),
    (
        "lookups",
        &[
            "malformed",
            "invalid image",
            "anonymous",
            "one candidate",
            "ordered: two or more",
            "ordered by several keys",
            "several secrets of one key",
            "random order in Go",
            "Docker Hub's by default",
            "several secrets",
            "a secret that is ignored",
            "not UTF-8",
            "half a login",
        ],
    ),
];

/// Cases by question and kind; one case may be of several kinds.
#[derive(Debug, Default)]
pub(super) struct Counts {
    all: BTreeMap<&'static str, usize>,
    kinds: BTreeMap<(&'static str, &'static str), usize>,
}

// === impl Counts ===

impl Counts {
    pub(super) fn with(mut self, case: &Case) -> Self {
        let (question, kinds) = match &case.question {
            Question::Parse { .. } => ("references", reference(&case.theirs)),
            Question::Match { key, .. } => ("matches", matched(key, &case.theirs)),
            Question::Lookup { image, secrets } => ("lookups", looked_up(image, secrets, case)),
        };
        *self.all.entry(question).or_default() += 1;
        for kind in kinds {
            *self.kinds.entry((question, kind)).or_default() += 1;
        }
        self
    }

    /// The kinds that occur less often than this.
    pub(super) fn below(&self, least: usize) -> Vec<String> {
        let malformed = MALFORMED.iter().map(|(_, kind)| ("lookups", *kind));
        let invalid = INVALID.iter().map(|(_, kind)| ("references", *kind));
        let others = KINDS.iter().flat_map(|(question, kinds)| kinds.iter().map(|kind| (*question, *kind)));
        let rare = |kind: &(&str, &str)| self.kinds.get(kind).copied().unwrap_or_default() < least;
        malformed
            .chain(invalid)
            .chain(others)
            .filter(rare)
            .map(|(question, kind)| format!("{question} {kind}"))
            .collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (question, count) in &self.all {
            writeln!(f, "  {question:<44} {count:>6}")?;
            for ((_, kind), count) in self.kinds.iter().filter(|((of, _), _)| of == question) {
                writeln!(f, "    {kind:<42} {count:>6}")?;
            }
        }
        Ok(())
    }
}

fn reference(theirs: &Answer) -> Vec<&'static str> {
    match theirs {
        Answer::Reference { registry, tag, digest, runtime, .. } => {
            let object = match (tag.as_str(), digest.as_str()) {
                ("latest", "") if runtime.ends_with(":latest") => "latest by default",
                (_, "") => "with a tag",
                ("", _) => "with a digest",
                _ => "with both",
            };
            let mut kinds = vec!["valid", object];
            match registry.as_str() {
                "" => kinds.push("without a legal host"),
                "docker.io" => kinds.push("on Docker Hub"),
                _ => {}
            }
            kinds
        }
        Answer::Refused { error } => vec![by_text(&INVALID, error, "invalid: otherwise")],
        _ => Vec::new(),
    }
}

fn matched(key: &str, theirs: &Answer) -> Vec<&'static str> {
    match theirs {
        Answer::Match { matches: true, .. } => {
            let wildcard = key.contains('*').then_some("matched by a wildcard");
            let path = key.split_once('/').is_some_and(|(_, path)| !path.is_empty()).then_some("matched below a path");
            ["matched"].into_iter().chain(wildcard).chain(path).collect()
        }
        Answer::Match { error, .. } if error.is_empty() => vec!["unmatched"],
        Answer::Match { .. } => vec!["erroneous"],
        _ => Vec::new(),
    }
}

fn looked_up(image: &str, secrets: &[Secret], case: &Case) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    if secrets.len() > 1 {
        kinds.push("several secrets");
    }
    let pairs = [("kubernetes.io/dockerconfigjson", ".dockerconfigjson"), ("kubernetes.io/dockercfg", ".dockercfg")];
    let counts = |secret: &Secret| {
        pairs
            .iter()
            .any(|(kind, key)| *kind == secret.kind && secret.data.get(*key).is_some_and(|value| !value.0.is_empty()))
    };
    if !secrets.iter().all(counts) {
        kinds.push("a secret that is ignored");
    }
    match &case.theirs {
        Answer::Refused { error } if Reference::parse(image).is_ok() => {
            kinds.extend(["malformed", by_text(&MALFORMED, error, "malformed: otherwise")]);
        }
        Answer::Refused { .. } => kinds.push("invalid image"),
        Answer::Candidates { candidates } => kinds.extend(of_candidates(image, candidates, case)),
        _ => {}
    }
    kinds
}

fn of_candidates(image: &str, candidates: &[Login], case: &Case) -> Vec<&'static str> {
    let keys = &case.ours.keys;
    let name = Reference::parse(image).map(|reference| reference.name().to_owned()).unwrap_or_default();
    let fallback = |key: &String| key == "index.docker.io" && !url_match(key, &name);
    let neighbours = || keys.windows(2).zip(candidates.windows(2));
    let more = candidates.len() > 1;
    let not_utf8 =
        |login: &Login| [&login.username, &login.password].iter().any(|text| str::from_utf8(&text.0).is_err());
    let half = |login: &Login| login.username.0.is_empty() || login.password.0.is_empty();
    let kinds = [
        (candidates.is_empty(), "anonymous"),
        (candidates.len() == 1, "one candidate"),
        (more, "ordered: two or more"),
        (neighbours().any(|(keys, _)| keys[0] != keys[1]), "ordered by several keys"),
        (
            neighbours().any(|(keys, logins)| keys[0] == keys[1] && logins[0].secret != logins[1].secret),
            "several secrets of one key",
        ),
        (case.ours.unordered() > 0, "random order in Go"),
        (!keys.is_empty() && keys.iter().all(fallback), "Docker Hub's by default"),
        (candidates.iter().any(not_utf8), "not UTF-8"),
        (candidates.iter().any(half), "half a login"),
    ];
    kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect()
}

fn by_text(table: &[(&str, &'static str)], error: &str, otherwise: &'static str) -> &'static str {
    table.iter().find(|(part, _)| error.contains(part)).map_or(otherwise, |(_, kind)| kind)
}
