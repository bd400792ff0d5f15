//! A text → the parts of it that are one document each (or several JSON objects).
//!
//! Documents are told apart before they are parsed, as `kubectl` does (kubernetes/apimachinery
//! `pkg/util/yaml/decoder.go`), so that a mistake in one of them does not hide the next.

use std::ops::Range;

/// Walks over the parts of a text.
pub(super) struct Documents {
    at: usize,
    length: usize,
}

/// What a line is for the document that it stands in.
enum Line {
    /// Blank, or a comment.
    Nothing,
    /// `%YAML 1.1`: belongs to the document behind the next separator.
    Directive,
    /// `---` and nothing more than a comment.
    Separator,
    /// `---` with the start of the document behind it.
    SeparatorWithContent,
    /// `...`
    End,
    /// Any other.
    Content,
}

// === impl Documents ===

impl Documents {
    pub(super) fn new(length: usize) -> Self {
        Self { at: 0, length }
    }

    /// The next part, without the separators around it.
    pub(super) fn next(&mut self, text: &str) -> Option<Range<usize>> {
        if self.at >= self.length {
            return None;
        }
        let start = self.at;
        let (mut only_directives, mut directives) = (true, false);
        while self.at < self.length {
            let line_start = self.at;
            let line = line(&text[line_start..]);
            self.at += line.len() + line_break(&text[line_start + line.len()..]);
            match Line::of(line) {
                Line::Nothing => {}
                Line::Directive => directives = true,
                Line::Separator | Line::SeparatorWithContent if directives && only_directives => {
                    only_directives = false;
                }
                Line::Separator | Line::End => return Some(start..line_start),
                Line::SeparatorWithContent if line_start == start => only_directives = false,
                Line::SeparatorWithContent => {
                    self.at = line_start;
                    return Some(start..line_start);
                }
                Line::Content => only_directives = false,
            }
        }
        Some(start..self.length)
    }
}

// === impl Line ===

impl Line {
    fn of(line: &str) -> Self {
        let behind =
            |mark: &str| line.strip_prefix(mark).filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        let is_nothing = |rest: &str| rest.is_empty() || rest.starts_with('#');
        match (behind("---").map(str::trim), behind("...")) {
            (Some(rest), _) if is_nothing(rest) => Self::Separator,
            (Some(_), _) => Self::SeparatorWithContent,
            (_, Some(_)) => Self::End,
            _ if line.starts_with('%') => Self::Directive,
            _ if is_nothing(line.trim()) => Self::Nothing,
            _ => Self::Content,
        }
    }
}

/// The first line, without its break.
fn line(text: &str) -> &str {
    let end = text.bytes().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    &text[..end]
}

/// The length of the line break that the text begins with.
fn line_break(text: &str) -> usize {
    if text.starts_with("\r\n") { 2 } else { usize::from(text.starts_with(['\n', '\r'])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        let mut documents = Documents::new(text.len());
        let parts = std::iter::from_fn(|| documents.next(text).map(|part| text[part].trim()));
        parts.filter(|part| !part.is_empty()).collect()
    }

    #[test]
    fn separators_end_a_document_and_nothing_else_does() {
        for (text, expected) in [
            ("", &[][..]),
            ("a: 1", &["a: 1"]),
            ("---\n---\r\n\n---", &[]),
            ("--- # first\na: 1\n---  \nb: 1\n---\t\n# c", &["a: 1", "b: 1", "# c"]),
            ("a: 1\r---\rb: 1", &["a: 1", "b: 1"]),
            ("--- {a: 1}\n--- [b]\n", &["--- {a: 1}", "--- [b]"]),
            ("a: |\n  x\n  ---\n  y\n ---\n---- z\n---z\n", &["a: |\n  x\n  ---\n  y\n ---\n---- z\n---z"]),
            ("a: 1\n...\nb: 1\n... # end\n---\nc: 1\n", &["a: 1", "b: 1", "c: 1"]),
            ("# c\n%YAML 1.1\n---\na: 1\n---\nb: 1", &["# c\n%YAML 1.1\n---\na: 1", "b: 1"]),
            ("a: 1\n...\n%TAG ! x\n--- b\n", &["a: 1", "%TAG ! x\n--- b"]),
            ("a: 1\n% b\n---\nc: 1", &["a: 1\n% b", "c: 1"]),
            ("{}\n{}\n---\n{}", &["{}\n{}", "{}"]),
        ] {
            assert_eq!(parts(text), expected, "{text:?}");
        }
    }
}
