//! Lines to type, set apart from the words around them: each on a line of its own that begins with blanks, whole, and as
//! a shell or a manifest takes it.

use std::borrow::Cow;

/// What stands in front of a line to type.
const INDENT: &str = "  ";

/// What is no text in YAML without quotes (YAML 1.1 type repository; kubectl reads YAML 1.1).
const RESERVED: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];

/// `prose:` and the lines below it; the prose alone where there are none.
pub(crate) fn below(prose: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return prose.to_owned();
    }
    let mut text = format!("{prose}:");
    for line in lines {
        text.push_str(&format!("\n{INDENT}{line}"));
    }
    text
}

/// Whether a line of a fix is one to type.
pub(super) fn is_typed(line: &str) -> bool {
    line.starts_with(INDENT)
}

/// One word of a command. Names of Secrets and accounts are an author's, and nothing has looked at them yet.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let text: String = text.chars().filter(|c| !crate::printable::acts(*c)).collect();
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

/// One value of a manifest, in double quotes where YAML would read something else without them. A JSON string is a YAML
/// string (YAML 1.2.2, 1.3), in which no character acts on a terminal.
pub(crate) fn scalar(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@".contains(c);
    let name = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.contains('/') && !text.ends_with(':');
    let word = text.chars().all(|c| c.is_ascii_alphabetic()) && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if !text.is_empty() && (name || word) && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let quoted = serde_json::to_string(text).unwrap_or_default();
    Cow::Owned(crate::printable::json(&quoted).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn a_line_to_type_is_told_from_words() {
        let fix = below("renew it", &["kubectl a".to_owned(), "kubectl b".to_owned()]);
        assert_eq!(fix, "renew it:\n  kubectl a\n  kubectl b");
        assert_eq!(fix.lines().map(is_typed).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(below("wait", &[]), "wait");
    }

    #[test]
    fn a_word_of_a_command_is_one_word_to_a_shell() {
        for (text, expected) in [
            ("registry.corp.io:5000/a@b", "registry.corp.io:5000/a@b"),
            ("[::1]:5000", "'[::1]:5000'"),
            ("linux/amd64,linux/arm64", "linux/amd64,linux/arm64"),
            ("$(id)`id`\\\"", "'$(id)`id`\\\"'"),
            ("x; rm -rf ~", "'x; rm -rf ~'"),
            ("it's\u{1b}\n", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn a_value_of_a_manifest_is_read_as_it_is_written() {
        for (text, expected) in [
            ("registry.corp.io:5000/a:v1@sha256:0", "registry.corp.io:5000/a:v1@sha256:0"),
            ("kubernetes.io/arch", "kubernetes.io/arch"),
            ("[::1]:5000/a:v1", r#""[::1]:5000/a:v1""#),
            ("127.0.0.1:5000/a:v1", "127.0.0.1:5000/a:v1"),
            ("a/b:", r#""a/b:""#),
            ("pool", "pool"),
            ("Yes", r#""Yes""#),
            ("1.5", r#""1.5""#),
            ("a: b, \"c\" # d", r#""a: b, \"c\" # d""#),
            ("x\u{1b}\u{202e}\n", r#""x\u001b\u202e\n""#),
            ("", r#""""#),
        ] {
            assert_eq!(scalar(text), expected);
            let read: Option<String> = yaml::single(scalar(text).as_bytes(), yaml::Dialect::Manifest).unwrap();
            assert_eq!(read.as_deref(), Some(text));
        }
    }
}
