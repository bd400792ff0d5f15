//! Error bodies → words: the distribution specification's envelope, and everything that registries send in its place.

use oci_client::errors::OciEnvelope;

/// What the registry may say in a finding, in bytes.
const SAID_LIMIT: usize = 200;

/// The words of an error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `MANIFEST_UNKNOWN`; as sent.
    pub code: Option<String>,
    /// The message, cleaned.
    pub message: Option<String>,
    /// The body is a web page: a proxy or no registry at all.
    pub html: bool,
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

    /// Whether the message holds one of these, in lower case.
    pub(super) fn mentions(&self, words: &[&str]) -> bool {
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    /// Whether the code is one of these.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.iter().any(|known| code.eq_ignore_ascii_case(known)))
    }
}

/// Reads an error body: the distribution specification's envelope, or what registries send in its place (a bare
/// error object, `details`, `message` or `error`, plain text, a web page).
pub fn said(body: &[u8], content_type: Option<&str>) -> Said {
    if let Ok(envelope) = serde_json::from_slice::<OciEnvelope>(body) {
        let Some(first) = envelope.errors.into_iter().next() else {
            return Said::default();
        };
        let code = serde_json::to_value(&first.code).ok().and_then(|code| code.as_str().map(str::to_owned));
        // A code without a letter says nothing, and must not count as a registry's word.
        let code = code.filter(|code| non_empty(code).is_some());
        return Said { code, message: non_empty(&first.message), html: false };
    }
    if let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) {
        let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str).and_then(non_empty);
        let message = text("message").or_else(|| text("details")).or_else(|| text("error_description"));
        return Said { code: text("code"), message: message.or_else(|| text("error")), html: false };
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let html = content_type.is_some_and(|mime| mime.contains("html")) || text.trim_start().starts_with('<');
    Said { code: None, message: if html { None } else { non_empty(&text) }, html }
}

fn non_empty(text: &str) -> Option<String> {
    Some(clean(text)).filter(|text| !text.is_empty())
}

/// Whether a character is not seen, or turns the text around (Unicode `Bidi_Control`, and of
/// `Default_Ignorable_Code_Point` what no script and no emoji needs).
pub(crate) fn unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// One line without control characters and without those that are not seen or turn the text around, at most 200 bytes.
pub fn clean(text: &str) -> String {
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
