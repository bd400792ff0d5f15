//! A verdict → the text of a denial: each cause said once with every image it holds, a first line that stands alone in a
//! list of events, and the whole where there is room.

use super::ago;
use crate::finding::Finding;
use crate::registry::said::clean;
use crate::verdict::Verdict;

/// A first line stays below this many characters.
const HEADLINE: usize = 160;
/// The whole stays below 1 KiB, with room for what is fine.
const WHOLE: usize = 980;
/// What is kept free for the count of findings that have no room.
const TAIL: usize = 60;
/// Names are cut in the middle to one of these widths, the first that fits.
const WIDTHS: [usize; 6] = [64, 48, 40, 32, 24, 20];
/// How many further images of one cause are named, each cut to this width.
const FURTHER: (usize, usize) = (5, 56);

/// A cause: the finding that speaks for it, and the further ones.
struct Cause<'v> {
    first: &'v Finding,
    further: Vec<&'v Finding>,
}

/// A message, taken apart.
struct Parts<'f> {
    image: &'f str,
    /// ` (container "NAME") `, by kind and name.
    kind: &'static str,
    container: String,
    what: &'f str,
}

/// The text of a denial: the first line is complete in itself, and what has no room is counted.
pub fn denial(verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for cause in causes(&verdict.findings) {
        let mut lines = cause.lines(verdict);
        let room = WHOLE.saturating_sub(text.len() + TAIL);
        let length = |lines: &[String]| lines.iter().map(|line| line.len() + 1).sum::<usize>();
        // The last lines are the least.
        while lines.len() > 2 && length(&lines) > room {
            lines.pop();
        }
        if text.is_empty() || length(&lines) <= room {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&lines.join("\n"));
        } else {
            left_out += 1 + cause.further.len();
        }
    }
    if left_out > 0 {
        let images = if left_out == 1 { "image has another" } else { "images have other" };
        text.push_str(&format!("\n  {left_out} more {images} findings"));
    }
    let fine = verdict.images.len().saturating_sub(verdict.findings.len() + verdict.excepted.len());
    if fine > 0 {
        let images = if fine == 1 { "image is" } else { "images are" };
        let asked = text.lines().last().is_some_and(|line| line.starts_with("  asked as"));
        text.push_str(if asked { "; " } else { "\n  " });
        text.push_str(&format!("{fine} other {images} fine"));
    }
    text
}

/// The findings by what is said of them: the same words and the same fix are the same cause.
fn causes(findings: &[Finding]) -> Vec<Cause<'_>> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    for finding in findings {
        let same = |cause: &&mut Cause<'_>| {
            let first = cause.first;
            first.code == finding.code
                && first.fix == finding.fix
                && Parts::of(first).what == Parts::of(finding).what
                && first.tried == finding.tried
        };
        match causes.iter_mut().find(same) {
            Some(cause) => cause.further.push(finding),
            None => causes.push(Cause { first: finding, further: Vec::new() }),
        }
    }
    causes
}

// === impl Cause ===

impl Cause<'_> {
    fn lines(&self, verdict: &Verdict) -> Vec<String> {
        let (headline, rest) = headline(self.first);
        let mut lines = vec![headline, format!("  {}", self.first.fix)];
        if !self.further.is_empty() {
            let (most, width) = FURTHER;
            let names = self.further.iter().take(most);
            let mut names: Vec<String> = names
                .map(|f| format!("{} ({})", middle(&f.image, width), middle(&clean(&f.container), width)))
                .collect();
            if self.further.len() > most {
                names.push("…".to_owned());
            }
            lines.push(format!("  and {} more: {}", self.further.len(), names.join(", ")));
        }
        lines.extend(rest.into_iter().map(|line| format!("  {line}")));
        lines.extend(asked(verdict, self.first).map(|asked| format!("  asked as: {asked}")));
        lines
    }
}

/// `CODE: MESSAGE` below [`HEADLINE`] characters, and what had no room: the registry's words first, then what was found
/// out beside, then names in the middle; at last, the end.
fn headline(finding: &Finding) -> (String, Vec<String>) {
    let fits = |line: &str| line.chars().count() < HEADLINE;
    let line = format!("{}: {}", finding.code, finding.message);
    if fits(&line) {
        return (line, Vec::new());
    }
    let parts = Parts::of(finding);
    let (mut what, mut rest) = (parts.what.to_owned(), Vec::new());
    if let Some(said) = &finding.registry
        && let (quoted, Some((before, after))) = (said, what.split_once(&format!(": \"{said}\"")))
    {
        rest.push(format!("the registry says: \"{quoted}\""));
        what = format!("{before}{after}");
    }
    let whole = parts.line(finding, usize::MAX, &what);
    if fits(&whole) {
        return (whole, rest);
    }
    if let Some((essence, beside)) = what.split_once("; ") {
        rest.push(beside.to_owned());
        what = essence.to_owned();
    }
    let whole = parts.line(finding, usize::MAX, &what);
    if fits(&whole) {
        return (whole, rest);
    }
    let mut line = whole;
    for width in WIDTHS {
        line = parts.line(finding, width, &what);
        if fits(&line) {
            break;
        }
    }
    if !fits(&line) {
        line = line.chars().take(HEADLINE - 2).chain(['…']).collect();
    }
    if !line.contains(&finding.image) {
        rest.insert(0, format!("image: {}", finding.image));
    }
    (line, rest)
}

// === impl Parts ===

impl<'f> Parts<'f> {
    fn of(finding: &'f Finding) -> Self {
        let container = clean(&finding.container);
        let after = finding.message.strip_prefix(&finding.image);
        for kind in ["container", "volume"] {
            let named = format!(" ({kind} \"{container}\") ");
            if let Some(what) = after.and_then(|after| after.strip_prefix(&named)) {
                return Self { image: &finding.image, kind, container, what };
            }
        }
        Self { image: "", kind: "", container, what: &finding.message }
    }

    fn line(&self, finding: &Finding, width: usize, what: &str) -> String {
        let what: Vec<String> = what.split(' ').map(|word| middle(word, width)).collect();
        let what = what.join(" ");
        if self.kind.is_empty() {
            return format!("{}: {what}", finding.code);
        }
        // The image is what the line is about: it keeps more than other names.
        let image = middle(self.image, width.saturating_add(12));
        format!("{}: {image} ({} \"{}\") {what}", finding.code, self.kind, middle(&self.container, width))
    }
}

/// At most `width` characters, the middle left out: the registry stays in front, the tag at the end.
pub(super) fn middle(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let (head, tail) = (width / 2, (width - width / 2).saturating_sub(1));
    let chars = || text.chars();
    chars().take(head).chain(['…']).chain(chars().skip(length - tail)).collect()
}

fn asked(verdict: &Verdict, finding: &Finding) -> Option<String> {
    if finding.tried.is_empty() {
        return None;
    }
    let mut sources: Vec<&str> = finding.tried.iter().map(|tried| tried.source.as_str()).collect();
    sources.dedup();
    let through =
        verdict.account.as_deref().map(|account| format!(" (ServiceAccount \"{account}\")")).unwrap_or_default();
    let age = finding.age.map(|age| format!(", {}", ago(age))).unwrap_or_default();
    Some(format!("{}{through}{age}", sources.join(", ")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::{Code, Tried};
    use crate::policy::Mode;
    use crate::verdict::Decision;

    fn finding(code: Code, image: &str, container: &str, what: &str, registry: Option<&str>) -> Finding {
        let quoted = registry.map(|said| format!(": \"{said}\"")).unwrap_or_default();
        Finding {
            code,
            certain: true,
            cause: None,
            path: "spec.containers[0].image".to_owned(),
            container: container.to_owned(),
            image: image.to_owned(),
            resolved: None,
            message: format!("{image} (container \"{container}\") {what}{quoted}; beside"),
            registry: registry.map(str::to_owned),
            node: None,
            fix: "a line to type".to_owned(),
            tried: vec![Tried { source: "Secret \"s\"".to_owned(), outcome: code.to_string() }],
            probed: None,
            nearest: None,
            token: None,
            age: None,
        }
    }

    fn verdict(findings: Vec<Finding>) -> Verdict {
        Verdict {
            decision: Decision::Deny,
            would: Decision::Deny,
            mode: Mode::Enforce,
            findings,
            excepted: Vec::new(),
            notices: Vec::new(),
            images: Vec::new(),
            account: None,
        }
    }

    #[test]
    fn the_middle_is_left_out_and_both_ends_stay() {
        for (text, width, expected) in [
            ("abc", 3, "abc"),
            ("abcdef", 5, "ab…ef"),
            ("abcdef", 4, "ab…f"),
            ("äöüäöü", 3, "ä…ü"),
            ("abc", usize::MAX, "abc"),
        ] {
            assert_eq!(middle(text, width), expected);
        }
    }

    #[test]
    fn the_same_cause_is_said_once() {
        let what = "needs a login at r.io, and no pull secret of the pod has one for it";
        let missing = |image, container| finding(Code::CredentialsMissing, image, container, what, None);
        let text = denial(&verdict(vec![
            missing("r.io/a:1", "a"),
            finding(Code::TagNotFound, "r.io/t:1", "t", "is not in the registry", None),
            missing("r.io/b:1", "b"),
            missing("r.io/c:1", "c"),
        ]));
        assert_eq!(
            text,
            r#"CredentialsMissing: r.io/a:1 (container "a") needs a login at r.io, and no pull secret of the pod has one for it; beside
  a line to type
  and 2 more: r.io/b:1 (b), r.io/c:1 (c)
  asked as: Secret "s"
TagNotFound: r.io/t:1 (container "t") is not in the registry; beside
  a line to type
  asked as: Secret "s""#
        );
    }

    #[test]
    fn what_has_no_room_in_the_first_line_stands_below() {
        let image = format!("registry.corp.io/{}/api:v1.4.2", "deep/".repeat(20));
        let what = "is not in the registry";
        let text = denial(&verdict(vec![finding(Code::TagNotFound, &image, "c", what, Some("MANIFEST_UNKNOWN: no"))]));
        let lines: Vec<&str> = text.lines().collect();
        let first = format!("TagNotFound: {image} (container \"c\") is not in the registry; beside");
        let below = r#"  the registry says: "MANIFEST_UNKNOWN: no""#;
        if first.chars().count() < HEADLINE {
            assert_eq!(lines[0], first);
        } else {
            assert!(lines[0].ends_with(":v1.4.2 (container \"c\") is not in the registry"), "{text}");
        }
        assert!(lines.contains(&below), "{text}");
    }

    proptest! {
        #[test]
        fn however_long_the_names_the_first_line_is_short_and_keeps_code_and_essence(
            path in "[a-z/]{0,140}", host in "[a-z.]{1,250}", container in "[a-z-]{1,63}", secret in "[a-z.-]{1,253}",
            said in proptest::option::of("[A-Z]{1,30}: [a-z ]{1,160}"), count in 1_usize..12, code in 0_usize..19,
        ) {
            let code = Code::ALL[code];
            let what = format!("cannot be pulled: {host} rejects the login in Secret \"{secret}\"");
            let findings = (0..count).map(|number| {
                let mut finding = finding(code, &format!("r.io/{path}:{number}"), &container, &what, said.as_deref());
                finding.fix = format!("fix {}", number % 5);
                finding
            });
            let text = denial(&verdict(findings.collect()));
            prop_assert!(text.len() < 1024, "{} bytes: {text}", text.len());
            for line in text.lines().filter(|line| !line.starts_with(' ')) {
                prop_assert!(line.chars().count() < HEADLINE, "{line}");
                prop_assert!(line.starts_with(&format!("{code}: r.io/")), "{line}");
                prop_assert!(line.contains("cannot be pulled: ") && line.contains(" rejects the login in "), "{line}");
            }
        }
    }
}
