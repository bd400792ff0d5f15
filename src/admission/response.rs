//! An answer → the bytes of an `AdmissionReview` with a response that no API server has a reason to refuse.
//!
//! The API server takes a response apart strictly: a validating one with a patch, or a patch without its type, counts as
//! a failed call. Here such a response cannot be built. Text is cut and cleaned to what arrives at the other end
//! (kubernetes/apiserver `pkg/admission/plugin/webhook/request/admissionreview.go`, `pkg/endpoints/filters/warning.go`).

use std::collections::BTreeMap;

use crate::printable::unseen;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Bytes of one warning.
const WARNING_LIMIT: usize = crate::message::LONG_WARNING;
/// Characters of all warnings of a response; beyond it the API server starts to drop them.
const WARNINGS_LIMIT: usize = crate::message::WARNINGS;
/// A denial stays below this many bytes.
const MESSAGE_LIMIT: usize = 1024;
/// Bytes of the name part of a qualified name (kubernetes/apimachinery `pkg/util/validation/validation.go`).
const AUDIT_KEY_LIMIT: usize = 63;
/// Bytes of one audit value; audit backends cut whole events, so small is kind.
const AUDIT_VALUE_LIMIT: usize = 1024;

/// One answer. Made by [`Response::allow`], [`Response::deny`] or [`Response::mutate`], one for each thing that an API
/// server understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    patch: Option<Patch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<String, String>,
}

/// Why a request is denied, as the client will see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// A JSON Patch and its type, which go together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Patch {
    patch: String,
    patch_type: &'static str,
}

/// The envelope.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview<'r> {
    api_version: &'static str,
    kind: &'static str,
    response: &'r Response,
}

// === impl Response ===

impl Response {
    /// Lets the request pass, from `/validate` or unchanged from `/mutate`.
    pub fn allow(uid: impl Into<String>) -> Self {
        Self {
            uid: uid.into(),
            allowed: true,
            status: None,
            patch: None,
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
        }
    }

    /// Refuses the request with 403 `Forbidden` and a message of several lines, of which the first should be complete
    /// in itself; what does not fit into 1 KiB is cut from the end.
    pub fn deny(uid: impl Into<String>, message: &str) -> Self {
        let status = Status { code: 403, reason: "Forbidden", message: denial(message) };
        Self { allowed: false, status: Some(status), ..Self::allow(uid) }
    }

    /// Lets the request pass with the changes of `patch`, a JSON Patch as [`super::patch::json_patch`] makes it; with
    /// `None` it is [`Response::allow`].
    pub fn mutate(uid: impl Into<String>, patch: Option<&[u8]>) -> Self {
        let patch = patch.map(|patch| Patch { patch: STANDARD.encode(patch), patch_type: "JSONPatch" });
        Self { patch, ..Self::allow(uid) }
    }

    /// Adds warnings, cleaned and without repetitions, as long as all of them together are sure to be shown.
    #[must_use]
    pub fn with_warnings<T: AsRef<str>>(mut self, texts: impl IntoIterator<Item = T>) -> Self {
        let mut room = WARNINGS_LIMIT - self.warnings.iter().map(|text| text.chars().count()).sum::<usize>();
        for text in texts {
            let text = warning(text.as_ref());
            let length = text.chars().count();
            if length == 0 || length > room || self.warnings.contains(&text) {
                continue;
            }
            room -= length;
            self.warnings.push(text);
        }
        self
    }

    /// Adds one audit annotation. The API server drops keys that are no qualified name, so characters that may not
    /// stand in one become `-` and what is too long is cut; the first value of a key stays.
    #[must_use]
    pub fn with_audit_annotation(mut self, key: &str, value: &str) -> Self {
        self.audit_annotations
            .entry(audit_key(key))
            .or_insert_with(|| ellipsis(&cleaned(value, true), AUDIT_VALUE_LIMIT));
        self
    }

    /// Whether the request passes.
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// The body to send.
    pub fn to_json(&self) -> Vec<u8> {
        let review = AdmissionReview { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response: self };
        // Strings, numbers and string-keyed maps always serialise into memory.
        serde_json::to_vec(&review).unwrap_or_default()
    }
}

/// `text` as a warning that the API server passes on: one line, no control characters, bounded.
pub fn warning(text: &str) -> String {
    ellipsis(&cleaned(text, false), WARNING_LIMIT)
}

/// `text` as the message of a denial: newlines are the only control characters, less than 1 KiB.
fn denial(text: &str) -> String {
    ellipsis(&cleaned(text, true), MESSAGE_LIMIT - 1)
}

/// `text` without what a terminal or a header would act on. Each line keeps its indentation; other runs of blanks and
/// control characters become one space, and what is not seen is dropped, so that no registry can reorder a line.
fn cleaned(text: &str, keep_lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    let mut indent = keep_lines;
    for c in text.trim().chars() {
        match c {
            '\n' if keep_lines => {
                out.push('\n');
                (gap, indent) = (false, true);
            }
            ' ' if indent => out.push(' '),
            c if c.is_control() || c.is_whitespace() => gap = true,
            c if unseen(c) => {}
            c => {
                if gap && !out.is_empty() && !out.ends_with('\n') {
                    out.push(' ');
                }
                (gap, indent) = (false, false);
                out.push(c);
            }
        }
    }
    out
}

/// `text` if it fits into `limit` bytes, else as much as leaves room for an ellipsis.
fn ellipsis(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let kept = text[..text.floor_char_boundary(limit - '…'.len_utf8())].trim_end();
    format!("{kept}…")
}

/// The key part of a qualified name nearest to `key`: alphanumeric at both ends, `-`, `_` and `.` between.
fn audit_key(key: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }
    };
    let key: String = key.chars().map(legal).collect();
    let key = key.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let key = key[..key.len().min(AUDIT_KEY_LIMIT)].trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    if key.is_empty() { "note".to_owned() } else { key.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn sent(response: &Response) -> Value {
        serde_json::from_slice(&response.to_json()).expect("JSON")
    }

    fn wrapped(response: &Value) -> Value {
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
    }

    #[test]
    fn an_allowed_request_needs_three_words() {
        let expected = wrapped(&json!({ "uid": "u", "allowed": true }));
        assert_eq!(sent(&Response::allow("u")), expected);
        assert_eq!(sent(&Response::mutate("u", None)), expected);
    }

    #[test]
    fn a_denial_is_forbidden_with_its_message() {
        let response = Response::deny("u", "TagNotFound: a:1\n  did you mean a:2?");
        let status = json!({ "code": 403, "reason": "Forbidden", "message": "TagNotFound: a:1\n  did you mean a:2?" });
        assert_eq!(sent(&response), wrapped(&json!({ "uid": "u", "allowed": false, "status": status })));
        assert!(!response.allowed());
    }

    #[test]
    fn a_patch_never_goes_without_its_type() {
        let response =
            Response::mutate("u", Some(b"[]")).with_warnings(["w"]).with_audit_annotation("verdict", "allow");
        assert_eq!(
            sent(&response),
            wrapped(&json!({ "uid": "u", "allowed": true, "patch": "W10=", "patchType": "JSONPatch",
                             "warnings": ["w"], "auditAnnotations": { "verdict": "allow" } }))
        );
    }

    #[test]
    fn a_warning_is_one_clean_line() {
        for (text, expected) in [
            ("plain", "plain"),
            ("  two\nlines\twith\r\n  blanks ", "two lines with blanks"),
            ("a\u{1b}[31mred\u{0}", "a [31mred"),
            ("a\u{85}b\u{2028}c\u{7f}d", "a b c d"),
            ("evil\u{202e}txt", "eviltxt"),
            ("größe 漢字", "größe 漢字"),
            ("\n\t", ""),
        ] {
            assert_eq!(warning(text), expected, "{text:?}");
        }
    }

    #[test]
    fn warnings_are_distinct_and_end_before_the_limit() {
        let response = Response::allow("u").with_warnings(["a", "a\n", "", "b"]);
        assert_eq!(response.warnings, ["a", "b"]);
        let response = response.with_warnings((0..100).map(|i| format!("{i} {}", "x".repeat(2000))));
        let total: usize = response.warnings.iter().map(|text| text.chars().count()).sum();
        assert!(total <= WARNINGS_LIMIT && total > WARNINGS_LIMIT - WARNING_LIMIT, "{total}");
        assert_eq!(response.clone().with_warnings(["y".repeat(WARNING_LIMIT)]).warnings, response.warnings);
    }

    #[test]
    fn a_long_denial_keeps_its_first_line() {
        let first = "f".repeat(900);
        let message = denial(&format!("{first}\n  {}", "更".repeat(500)));
        assert!(message.starts_with(&format!("{first}\n  更")) && message.ends_with('…'), "{message}");
        assert!(message.len() < MESSAGE_LIMIT && message.len() > MESSAGE_LIMIT - 8, "{}", message.len());
        assert_eq!(denial("a\r\nb\tc\n\n  d\u{7}"), "a\nb c\n\n  d");
    }

    #[test]
    fn audit_keys_become_qualified_names() {
        for (key, expected) in [
            ("verdict", "verdict"),
            ("spec.containers[0].image", "spec.containers-0-.image"),
            ("a/b c", "a-b-c"),
            ("-_x_-", "x"),
            ("größe", "gr--e"),
            ("", "note"),
            ("///", "note"),
        ] {
            assert_eq!(audit_key(key), expected, "{key:?}");
        }
        let response = Response::allow("u").with_audit_annotation("k", "1").with_audit_annotation("k", "2");
        assert_eq!(response.audit_annotations["k"], "1");
    }

    proptest! {
        #[test]
        fn whatever_the_text_the_limits_hold(text in any::<String>(), long in "\\PC{0,600}", filler in 0..1100_usize) {
            let text = format!("{text}{}{long}", "é".repeat(filler));
            let one = warning(&text);
            prop_assert!(one.len() <= WARNING_LIMIT && !one.contains(char::is_control));
            let message = denial(&text);
            prop_assert!(message.len() < MESSAGE_LIMIT && !message.contains(|c: char| c.is_control() && c != '\n'));
            let key = audit_key(&text);
            prop_assert!(!key.is_empty() && key.len() <= AUDIT_KEY_LIMIT);
            prop_assert!(key.starts_with(|c: char| c.is_ascii_alphanumeric()));
            prop_assert!(key.ends_with(|c: char| c.is_ascii_alphanumeric()));
            prop_assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
        }
    }
}
