//! Error bodies → words: the distribution specification's envelope, and everything that registries send in its place.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::printable::acts;

/// What the registry may say in a finding, in bytes.
const SAID_LIMIT: usize = 200;

/// What of a message is looked at for its meaning, in characters.
const READ_LIMIT: usize = 4096;

/// The words of an error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `MANIFEST_UNKNOWN`; as sent.
    pub code: Option<String>,
    /// The message, cleaned.
    pub message: Option<String>,
    /// The body is a web page: a proxy or no registry at all.
    pub html: bool,
    /// The body is a JSON object.
    pub object: bool,
    /// The body is the error envelope of the distribution specification, with a code as it defines them.
    pub envelope: bool,
    /// The whole message in lower case: what it means may stand behind what a finding has room for.
    text: String,
}

/// One error object, or the envelope of several. Every member may be of any kind.
#[derive(Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Object<'a> {
    #[serde(default)]
    errors: First<'a>,
    code: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    details: Option<&'a RawValue>,
    error_description: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    detail: Option<&'a RawValue>,
}

/// The first of an array, however long it is.
#[derive(Clone, Copy, Default)]
enum First<'a> {
    /// There is no array.
    #[default]
    Absent,
    /// There is one, perhaps with something in it.
    Of(Option<&'a RawValue>),
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Detail<'a> {
    #[serde(alias = "Message")]
    message: Option<&'a RawValue>,
}

// === impl Said ===

impl Said {
    /// Code and message as one line, where there is either.
    pub fn words(&self) -> Option<String> {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => Some(clean(&format!("{code}: {message}"))),
            (Some(one), None) | (None, Some(one)) => Some(clean(one)),
            (None, None) => None,
        }
    }

    fn new(code: Option<String>, message: Option<&str>) -> Self {
        let text = message.unwrap_or_default().chars().take(READ_LIMIT).flat_map(char::to_lowercase).collect();
        Self { code, message: message.and_then(non_empty), text, ..Self::default() }
    }

    /// Whether the message holds one of these, in lower case.
    pub(super) fn mentions(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }

    /// Whether the code is one of these.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.iter().any(|known| code.eq_ignore_ascii_case(known)))
    }
}

// === impl Object ===

impl Object<'_> {
    fn said(&self) -> Said {
        let code = text(self.code);
        let message = [self.message, self.details, self.error_description, self.error].into_iter().find_map(text);
        // A pull-through cache puts its upstream's answer there, behind a code that says nothing.
        let inner = self.detail.and_then(|detail| serde_json::from_str::<Detail<'_>>(detail.get()).ok());
        let detail = text(self.detail).or_else(|| text(inner?.message));
        let silent = message.is_none() || code.as_deref() == Some("UNKNOWN");
        let message = match (message, detail.filter(|_| silent)) {
            (Some(message), Some(detail)) => Some(format!("{message}: {detail}")),
            (one, other) => one.or(other),
        };
        Said::new(code.as_deref().and_then(non_empty), message.as_deref())
    }
}

// === impl First ===

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        let mut elements = serde_json::Deserializer::from_str(raw.get());
        Ok(elements.deserialize_seq(Elements).map_or(Self::Absent, Self::Of))
    }
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let first = elements.next_element()?;
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

/// Reads an error body: the distribution specification's envelope, or what registries send in its place (errors
/// without a code, a bare error object, `details`, `message` or `error`, plain text, a web page).
pub fn said(body: &[u8], content_type: Option<&str>) -> Said {
    if let Some(object) = object(body) {
        let said = match object.errors {
            First::Absent => object.said(),
            First::Of(first) => {
                let said = first.and_then(|first| self::object(first.get().as_bytes())).unwrap_or_default().said();
                Said { envelope: said.code.as_deref().is_some_and(specified), ..said }
            }
        };
        return Said { object: true, ..said };
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let html = content_type.is_some_and(|mime| mime.contains("html")) || text.trim_start().starts_with('<');
    if html { Said { html, ..Said::default() } } else { Said::new(None, Some(&text)) }
}

/// Whether an error code is made as the specification says: capitals and underscores (opencontainers/distribution-spec
/// `spec.md`, "Error Codes").
fn specified(code: &str) -> bool {
    code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn object(bytes: &[u8]) -> Option<Object<'_>> {
    // An array would be read as the members in order.
    bytes.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(bytes).ok()).flatten()
}

/// A JSON string with something in it.
fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str::<String>(value?.get()).ok().filter(|text| !text.trim().is_empty())
}

fn non_empty(text: &str) -> Option<String> {
    Some(clean(text)).filter(|text| !text.is_empty())
}

/// One line without control characters and without those that are not seen or turn the text around, at most 200 bytes.
pub fn clean(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || acts(c)).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > SAID_LIMIT {
            let end = (0..=SAID_LIMIT - 3).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_error_body_is_read() {
        let table: &[(&str, Option<&str>)] = &[
            (r#"{"errors":[{"code":"DENIED","message":"no\n way"}]}"#, Some("DENIED: no way")),
            (r#"{"errors":[{"code":"ARTIFACT_LOCKED","message":""}]}"#, Some("ARTIFACT_LOCKED")),
            (
                r#"{"code":"UNAUTHORIZED","message":"authentication required","detail":[]}"#,
                Some("UNAUTHORIZED: authentication required"),
            ),
            (r#"{"details":"incorrect username or password"}"#, Some("incorrect username or password")),
            (r#"{"errors":[]}"#, None),
            (r#"{"errors":[{"status":403,"message":"Forbidden"}]}"#, Some("Forbidden")),
            (r#"{"errors":[{"code":7,"message":null,"detail":"so"}]}"#, Some("so")),
            (
                r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Message":"toomanyrequests: no"}}]}"#,
                Some("UNKNOWN: unknown error: toomanyrequests: no"),
            ),
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":"unknown tag=v9"}]}"#,
                Some("MANIFEST_UNKNOWN: manifest unknown"),
            ),
            (r#"{"errors":"no"}"#, None),
            (r#"{"errors":[{"code":""}]}"#, None),
            (r#"{"errors":[{"code":"\u200b","message":"gone"}]}"#, Some("gone")),
            ("Ref A: 1 Ref B: 2", Some("Ref A: 1 Ref B: 2")),
            ("<!DOCTYPE html><p>x", None),
            ("", None),
            ("[1,2", Some("[1,2")),
        ];
        for (body, expected) in table {
            assert_eq!(said(body.as_bytes(), None).words().as_deref(), *expected, "{body}");
        }
    }

    #[test]
    fn words_of_a_registry_are_one_bounded_line() {
        assert_eq!(clean("a\u{61c}b\u{ad}c\u{e0041}\u{202e}d\u{2028}e"), "a b c d e");
        let long = "é\u{7}\r\n".repeat(10_000);
        let cleaned = clean(&long);
        assert!(cleaned.len() <= SAID_LIMIT && cleaned.ends_with('…'), "{} bytes", cleaned.len());
        assert!(!cleaned.contains(|c: char| c.is_control()));
    }
}
