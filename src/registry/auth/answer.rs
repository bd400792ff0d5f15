//! The body of a token server's answer → token and lifetime, or the words with which a node refuses it. Pure.
//!
//! Decoded as containerd decodes it (containerd/containerd `core/remotes/docker/auth/fetch.go`): with Go's
//! `encoding/json`, into one struct for the answer to POST and another for that to GET. A member that the struct has and
//! that is of another type fails the whole answer, whatever else is in it.

use secrecy::{ExposeSecret as _, SecretString};

use crate::go_json::{Kind, Value, name_matches, type_error};
use crate::go_time;
use crate::registry::auth::TokenMethod;

/// What a token server gave.
#[derive(Debug)]
pub(super) struct Given {
    /// Never empty.
    pub(super) token: SecretString,
    /// Seconds; nothing below 1 means anything to a node.
    pub(super) expires_in: i64,
}

/// What Go's struct has under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Int,
    Time,
}

/// What is kept of the members that are decoded.
#[derive(Default)]
struct Decoded {
    token: String,
    access_token: String,
    expires_in: i64,
}

/// Reads the body of an answer that is no refusal.
///
/// # Errors
/// What containerd says of it.
pub(super) fn read(body: &[u8], method: TokenMethod) -> Result<Given, String> {
    let decoded = decode(body, method).map_err(|words| format!("unable to decode token response: {words}"))?;
    let Decoded { token, access_token, expires_in } = decoded;
    let token = SecretString::from(if access_token.is_empty() { token } else { access_token });
    if token.expose_secret().is_empty() {
        return Err("authorization server did not include a token in the response".to_owned());
    }
    Ok(Given { token, expires_in })
}

fn decode(body: &[u8], method: TokenMethod) -> Result<Decoded, String> {
    let (name, fields): (_, &[(&str, Type)]) = match method {
        TokenMethod::Post => (
            "OAuthTokenResponse",
            &[
                ("access_token", Type::Text),
                ("refresh_token", Type::Text),
                ("expires_in", Type::Int),
                ("issued_at", Type::Time),
                ("scope", Type::Text),
            ],
        ),
        TokenMethod::Get => (
            "FetchTokenResponse",
            &[
                ("token", Type::Text),
                ("access_token", Type::Text),
                ("expires_in", Type::Int),
                ("issued_at", Type::Time),
                ("refresh_token", Type::Text),
            ],
        ),
    };
    let value = Value::first(body)?;
    match value.kind() {
        Kind::Object => {}
        // Go leaves the struct as it is.
        Kind::Null => return Ok(Decoded::default()),
        kind => return Err(type_error(kind.as_str(), None, &format!("auth.{name}"))),
    }
    let mut decoded = Decoded::default();
    let mut wrong = None;
    for (member, value) in value.members() {
        let Some((field, kind)) = fields.iter().find(|(field, _)| name_matches(&member, field)) else { continue };
        // A null leaves what an earlier member of the same name has set.
        if value.kind() == Kind::Null {
            continue;
        }
        let taken = match kind {
            Type::Text => text(value).map(|text| decoded.keep(field, text)).map_err(|kind| (kind, "string")),
            Type::Int => int(value).map(|seconds| decoded.expires_in = seconds).map_err(|kind| (kind, "int")),
            // This ends Go's walk, and its error goes before those that were met earlier.
            Type::Time => {
                time(value)?;
                Ok(())
            }
        };
        if let Err((kind, wanted)) = taken {
            wrong.get_or_insert_with(|| type_error(&kind, Some(&format!("{name}.{field}")), wanted));
        }
    }
    wrong.map_or(Ok(decoded), Err)
}

/// The characters of a string.
///
/// # Errors
/// What the value is instead, as Go says it; so do [`int`] and its like.
fn text(value: Value<'_>) -> Result<String, String> {
    match value.kind() {
        Kind::String => Ok(value.unquoted()),
        kind => Err(kind.as_str().to_owned()),
    }
}

/// A number without a fraction or an exponent that 64 bits hold.
fn int(value: Value<'_>) -> Result<i64, String> {
    match value.kind() {
        Kind::Number => {
            let digits = String::from_utf8_lossy(value.raw());
            digits.parse().map_err(|_| format!("number {digits}"))
        }
        kind => Err(kind.as_str().to_owned()),
    }
}

/// A point in time. Go reads the characters as they stand in the document, escapes included.
fn time(value: Value<'_>) -> Result<(), String> {
    match value.raw() {
        [b'"', text @ .., b'"'] => go_time::check_rfc3339(text),
        _ => Err("Time.UnmarshalJSON: input is not a JSON string".to_owned()),
    }
}

// === impl Decoded ===

impl Decoded {
    fn keep(&mut self, field: &str, text: String) {
        match field {
            "token" => self.token = text,
            "access_token" => self.access_token = text,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(body: &[u8], method: TokenMethod) -> Result<(String, i64), String> {
        read(body, method).map(|given| (given.token.expose_secret().to_owned(), given.expires_in))
    }

    #[test]
    fn what_go_reads_is_read() {
        let table: &[(&[u8], &str, i64)] = &[
            (br#"{"token":"t"}"#, "t", 0),
            (br#"{"token":"t","access_token":"a"}"#, "a", 0),
            (br#"{"token":"t","access_token":""}"#, "t", 0),
            (br#"{"token":"t","access_token":null}"#, "t", 0),
            (br#"{"TOKEN":"t","eXpires_in":7}"#, "t", 7),
            ("{\"To\u{212a}en\":\"t\",\"expireſ_in\":7}".as_bytes(), "t", 7),
            (br#"{"\u0074oken":"\u0074"}"#, "t", 0),
            (br#"{"token":"first","token":"t"}"#, "t", 0),
            (br#"{"token":"t","Token":null,"expires_in":5,"expires_in":null}"#, "t", 5),
            (b"\n {\"token\":\"t\"}\n<!-- served by -->", "t", 0),
            (br#"{"token":"t"}{"token":5}"#, "t", 0),
            (br#"{"token":"t","expires_in":-0}"#, "t", 0),
            (br#"{"token":"t","expires_in":-9223372036854775808}"#, "t", i64::MIN),
            (br#"{"token":"t","issued_at":"2026-01-02T03:04:05.678+02:00"}"#, "t", 0),
            // What the struct for GET has not may be anything.
            (br#"{"token":"t","scope":["a"],"expires":{"in":[1.5e3]}}"#, "t", 0),
            (b"{\"token\":\"a\xffb\\ud800\"}", "a\u{fffd}b\u{fffd}", 0),
        ];
        for (body, token, expires_in) in table {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(got(body, TokenMethod::Get), Ok(((*token).to_owned(), *expires_in)), "{shown}");
        }
        let body = br#"{"access_token":"a","token":5,"scope":null}"#;
        assert_eq!(got(body, TokenMethod::Post), Ok(("a".to_owned(), 0)));
    }

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        let of = |value: &str, field: &str, kind: &str| {
            format!("json: cannot unmarshal {value} into Go struct field FetchTokenResponse.{field} of type {kind}")
        };
        let no_text = "Time.UnmarshalJSON: input is not a JSON string".to_owned();
        let deep = [b"{\"a\":".as_slice(), &b"[".repeat(10_000)].concat();
        let table: &[(&[u8], String)] = &[
            (br#"{"token":"t","expires_in":300.5}"#, of("number 300.5", "expires_in", "int")),
            (br#"{"token":"t","expires_in":3e2}"#, of("number 3e2", "expires_in", "int")),
            (
                br#"{"token":"t","expires_in":9223372036854775808}"#,
                of("number 9223372036854775808", "expires_in", "int"),
            ),
            (br#"{"token":"t","expires_in":"300"}"#, of("string", "expires_in", "int")),
            (br#"{"token":"t","expires_in":true}"#, of("bool", "expires_in", "int")),
            (br#"{"token":["t"]}"#, of("array", "token", "string")),
            (br#"{"token":"t","access_token":{}}"#, of("object", "access_token", "string")),
            (br#"{"token":"t","Refresh_Token":7}"#, of("number", "refresh_token", "string")),
            (br#"{"expires_in":"3","token":7}"#, of("string", "expires_in", "int")),
            (br#"{"expires_in":"3","issued_at":0,"token":"t"}"#, no_text.clone()),
            (br#"{"token":"t","issued_at":1457510670}"#, no_text),
            (
                br#"{"token":"t","issued_at":"2026-01-02T03:04:05\u005a"}"#,
                "parsing time \"2026-01-02T03:04:05\\\\u005a\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \
                 \"\\\\u005a\" as \"Z07:00\""
                    .to_owned(),
            ),
            (b"[]", "json: cannot unmarshal array into Go value of type auth.FetchTokenResponse".to_owned()),
            (b"\xef\xbb\xbf{}", "invalid character '\u{ef}' looking for beginning of value".to_owned()),
            (b"{\"token\":\"a\nb\"}", "invalid character '\\n' in string literal".to_owned()),
            (br#"{"token":"t""#, "unexpected EOF".to_owned()),
            (b" ", "EOF".to_owned()),
            (&deep, "invalid character '[' exceeded max depth".to_owned()),
        ];
        for (body, words) in table {
            let shown = String::from_utf8_lossy(body).chars().take(80).collect::<String>();
            let expected = format!("unable to decode token response: {words}");
            assert_eq!(got(body, TokenMethod::Get), Err(expected), "{shown}");
        }
        let scope = got(br#"{"access_token":"a","scope":["a"]}"#, TokenMethod::Post).unwrap_err();
        assert!(scope.ends_with("array into Go struct field OAuthTokenResponse.scope of type string"), "{scope}");
    }

    #[test]
    fn an_answer_without_a_token_is_no_answer() {
        let missing = Err("authorization server did not include a token in the response".to_owned());
        for body in ["{}", "null", r#"{"token":null}"#, r#"{"token":""}"#, r#"{"id_token":"t"}"#] {
            assert_eq!(got(body.as_bytes(), TokenMethod::Get), missing, "{body}");
        }
        assert_eq!(got(br#"{"token":"t"}"#, TokenMethod::Post), missing);
    }
}
