//! Recorded exchanges, as files: what one registry answers to which request, and what is to be made of it. A file is a
//! family of registries, a row is one cause; every answer is kept as raw bytes of HTTP.
//!
//! ```text
//! # Docker Hub                          the family; more lines of prose may follow
//! === common                            answers that every row has, after its own
//! --- GET auth.docker.io/token* none    method(s), URL without its scheme (`*`: anything), authorization
//! HTTP/1.1 200 OK                       from here on, bytes; line ends of the head become CRLF, `{length}`,
//!                                       `{manifest}` and `{digest}` are filled in
//! === missing tag
//! cause: missing tag
//! image: docker.io/acme/app:v9
//! login: ann right                      the pull secret, if there is one
//! evidence: seen, in clients' logs      documented, seen or uncertain, and where
//! expect: TagNotFound, certain, 4 requests
//! ```
//!
//! Authorization is `none`, `basic`, `form` (a login as an `OAuth2` form, whose text is matched as if it were the query),
//! `bearer`, `bearer:TOKEN`, or several with `|`; left out, anything will do. The first answer that fits is given.
#![allow(clippy::panic, reason = "a file that cannot be read ends the run")]

#[path = "dialects/ask.rs"]
mod ask;
#[path = "dialects/stage.rs"]
mod stage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pullgate::reference::Algorithm;
use pullgate::registry::manifest;

pub(crate) use self::ask::{Played, ask};
pub(crate) use self::stage::Stage;

/// The causes that every family has rows for, or says why not.
pub(crate) const CAUSES: [&str; 6] =
    ["missing tag", "missing repository", "no credential", "wrong credential", "no access", "throttled"];

/// The cause of all that is worth a row beside those.
const ODDITY: &str = "oddity";

/// What `{manifest}` stands for.
pub(crate) const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

/// One file.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) path: PathBuf,
    pub(crate) title: String,
    /// Causes that this family cannot have.
    pub(crate) without: Vec<String>,
    pub(crate) rows: Vec<Arc<Row>>,
}

/// One exchange and what is to be made of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) cause: String,
    pub(crate) image: String,
    /// User and password of the only pull secret.
    pub(crate) login: Option<(String, String)>,
    pub(crate) evidence: String,
    /// `CODE, certain|uncertain, N requests`, or `resolves, N requests`.
    pub(crate) expect: String,
    /// The operator says that nodes have no login of their own.
    pub(crate) pods_only: bool,
    /// Words that the finding must repeat.
    pub(crate) says: Option<String>,
    /// Why containerd resolves what pullgate leaves undecided.
    pub(crate) containerd_resolves: Option<String>,
    answers: Vec<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    methods: Vec<String>,
    url: String,
    authorization: Vec<String>,
    bytes: String,
}

// === impl Family ===

impl Family {
    /// Every file of `tests/dialects`, by name.
    pub(crate) fn all() -> Vec<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects");
        let files = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut paths: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// One file.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let bad = |what: &str, line: &str| -> ! { panic!("{}: {what}: {line:?}", path.display()) };
        let title = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_else(|| bad("no title", ""));
        let mut family = Self { path: path.to_owned(), title: title.to_owned(), without: Vec::new(), rows: Vec::new() };
        let mut rows: Vec<Row> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("=== ") {
                rows.push(Row { name: name.to_owned(), ..Row::default() });
                continue;
            }
            let Some(row) = rows.last_mut() else {
                if let Some(without) = line.strip_prefix("# without: ") {
                    family.without = without.split(", ").map(str::to_owned).collect();
                }
                continue;
            };
            if let Some(matcher) = line.strip_prefix("--- ") {
                let words: Vec<&str> = matcher.split_ascii_whitespace().collect();
                let several = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
                let [methods, url, ..] = words.as_slice() else { bad("no method and URL", line) };
                let authorization = words.get(2).map(|word| several(word)).unwrap_or_default();
                let (methods, url) = (several(methods), (*url).to_owned());
                row.answers.push(Answer { methods, url, authorization, bytes: String::new() });
            } else if let Some(answer) = row.answers.last_mut() {
                answer.bytes += line;
                answer.bytes.push('\n');
            } else if !line.is_empty() {
                let Some((key, value)) = line.split_once(": ") else { bad("no key and value", line) };
                row.set(key, value).unwrap_or_else(|| bad("not understood", line));
            }
        }
        let common = rows.iter().position(|row| row.name == "common").map(|at| rows.remove(at).answers);
        for mut row in rows {
            row.answers.extend(common.clone().unwrap_or_default());
            if row.image.is_empty() || row.evidence.is_empty() || row.expect.is_empty() {
                bad("no image, evidence or expect", &row.name);
            }
            if row.cause != ODDITY && !CAUSES.contains(&row.cause.as_str()) {
                bad("no such cause", &row.cause);
            }
            family.rows.push(Arc::new(row));
        }
        family
    }
}

// === impl Row ===

impl Row {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let value = value.to_owned();
        match key {
            "cause" => self.cause = value,
            "image" => self.image = value,
            "login" => {
                self.login = value.split_once(' ').map(|(user, password)| (user.to_owned(), password.to_owned()));
            }
            "evidence" => self.evidence = value,
            "expect" => self.expect = value,
            "nodeAccess" => self.pods_only = value == "none",
            "says" => self.says = Some(value),
            "containerd resolves" => self.containerd_resolves = Some(value),
            _ => return None,
        }
        Some(())
    }

    /// The registry, as the reference names it.
    pub(crate) fn registry(&self) -> &str {
        self.image.split('/').next().unwrap_or_default()
    }

    /// Whether a node gets the image.
    pub(crate) fn node_resolves(&self) -> bool {
        self.expect.starts_with("resolves") || self.containerd_resolves.is_some()
    }

    /// The bytes for one request; a URL's query goes with it, and so does a form.
    fn answer(&self, method: &str, url: &str, authorization: &str) -> Option<Vec<u8>> {
        let fits = |answer: &&Answer| {
            answer.methods.iter().any(|known| known == method || known == "*")
                && glob(&answer.url, url)
                && (answer.authorization.is_empty()
                    || answer
                        .authorization
                        .iter()
                        .any(|known| known == authorization || authorization.split(':').next() == Some(known.as_str())))
        };
        self.answers.iter().find(fits).map(|answer| bytes(&answer.bytes))
    }
}

/// What `{digest}` stands for.
pub(crate) fn digest() -> String {
    let digest = manifest::digest_of(MANIFEST.as_bytes(), Algorithm::Sha256);
    digest.map(|digest| digest.to_string()).unwrap_or_default()
}

/// Head and body as they go over the wire.
fn bytes(text: &str) -> Vec<u8> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let body = body.trim_end_matches('\n').replace("{manifest}", MANIFEST);
    let head = head.replace("{length}", &body.len().to_string()).replace("{digest}", &digest());
    format!("{}\r\n\r\n{body}", head.trim_end().replace('\n', "\r\n")).into_bytes()
}

/// Whether `pattern`, in which `*` stands for anything, is all of `text`.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && glob(after, &rest[at..]))),
    }
}
