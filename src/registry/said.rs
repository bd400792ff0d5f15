//! Error bodies → words: the distribution specification's envelope, and everything that registries send in its place.

use serde_json::{Map, Value};

/// What the registry may say in a finding, in bytes.
const SAID_LIMIT: usize = 200;

/// A larger body is no error object (containerd reads 64,000 bytes of one).
const LARGEST: usize = 64 * 1024;

/// The words of an error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `MANIFEST_UNKNOWN`; as sent.
    pub code: Option<String>,
    /// The message, cleaned.
    pub message: Option<String>,
    /// The body is a web page: a proxy or no registry at all.
    pub html: bool,
    /// The whole message in lower case: what it means may stand behind what a finding has room for.
    text: String,
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
        let text = message.unwrap_or_default().to_lowercase();
        Self { code, message: message.and_then(non_empty), html: false, text }
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

/// Reads an error body: the distribution specification's envelope, or what registries send in its place (errors
/// without a code, a bare error object, `details`, `message` or `error`, plain text, a web page).
pub fn said(body: &[u8], content_type: Option<&str>) -> Said {
    let small = Some(body).filter(|body| body.len() <= LARGEST);
    if let Some(Value::Object(object)) = small.and_then(|body| serde_json::from_slice(body).ok()) {
        return match object.get("errors").and_then(Value::as_array) {
            Some(errors) => errors.first().and_then(Value::as_object).map(of_object).unwrap_or_default(),
            None => of_object(&object),
        };
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let html = content_type.is_some_and(|mime| mime.contains("html")) || text.trim_start().starts_with('<');
    if html { Said { html, ..Said::default() } } else { Said::new(None, Some(&text)) }
}

/// One error object, in or out of an envelope.
fn of_object(object: &Map<String, Value>) -> Said {
    let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let code = text("code");
    let message = ["message", "details", "error_description", "error"].into_iter().find_map(text);
    // A pull-through cache puts its upstream's answer there, behind a code that says nothing.
    let detail = match object.get("detail") {
        Some(Value::Object(detail)) => ["message", "Message"].into_iter().find_map(|key| detail.get(key)),
        detail => detail,
    };
    let silent = message.is_none() || code == Some("UNKNOWN");
    let detail = detail.and_then(Value::as_str).filter(|_| silent);
    let code = code.and_then(non_empty);
    match (message, detail) {
        (Some(message), Some(detail)) => Said::new(code, Some(&format!("{message}: {detail}"))),
        (one, other) => Said::new(code, one.or(other)),
    }
}

fn non_empty(text: &str) -> Option<String> {
    Some(clean(text)).filter(|text| !text.is_empty())
}

/// One line without control characters and without those that are not seen or turn the text around, at most 200 bytes.
pub fn clean(text: &str) -> String {
    let unseen =
        |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control() || unseen(c)).filter(|word| !word.is_empty()) {
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
        let long = "é\u{7}\r\n".repeat(10_000);
        let cleaned = clean(&long);
        assert!(cleaned.len() <= SAID_LIMIT && cleaned.ends_with('…'), "{} bytes", cleaned.len());
        assert!(!cleaned.contains(|c: char| c.is_control()));
    }
}
