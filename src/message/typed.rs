//! Lines to type, set apart from the words around them: each on a line of its own that begins with blanks, whole, and as
//! a shell or a manifest takes it.

use std::borrow::Cow;

/// What stands in front of a line to type.
const INDENT: &str = "  ";

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
pub(super) fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let text: String = text.chars().filter(|c| !crate::printable::acts(*c)).collect();
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("x; rm -rf ~", "'x; rm -rf ~'"),
            ("it's\u{1b}\n", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), expected);
        }
    }
}
