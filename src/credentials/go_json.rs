//! JSON as Go's `encoding/json` reads it: the same documents are accepted, and the syntax errors are the same texts.
//!
//! `serde_json` differs in what matters here: it refuses invalid UTF-8 and lone surrogates, compares member names
//! exactly, and has its own words for errors. The walk is iterative, so nesting costs no stack.

mod syntax;

/// The text of one value of a document that [`Value::parse`] has checked.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(&'a [u8]);

/// The members of an object, in the order of the document, duplicates included.
pub(super) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

// === impl Kind ===

impl Kind {
    /// The word in Go's type errors.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    /// Checks a whole document.
    ///
    /// # Errors
    /// Go's text for the first syntax error, and the byte at which it is.
    pub(super) fn parse(document: &'a [u8]) -> Result<Self, (String, usize)> {
        syntax::check(document)?;
        let start = skip_space(document, 0);
        Ok(Self(document.get(start..value_end(document, start)).unwrap_or_default()))
    }

    pub(super) fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The members, none if this is no object.
    pub(super) fn members(self) -> Members<'a> {
        Members { text: if self.kind() == Kind::Object { self.0 } else { b"" }, at: 1 }
    }

    /// The characters of a string, empty if this is none. What is not Unicode becomes U+FFFD.
    pub(super) fn unquoted(self) -> String {
        let inner = self.0.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or_default();
        let mut text = Vec::with_capacity(inner.len());
        let mut at = 0;
        while let Some(&byte) = inner.get(at) {
            at += 1;
            if byte != b'\\' {
                text.push(byte);
                continue;
            }
            let escape = inner.get(at).copied().unwrap_or_default();
            at += 1;
            match escape {
                b'b' => text.push(0x08),
                b'f' => text.push(0x0c),
                b'n' => text.push(b'\n'),
                b'r' => text.push(b'\r'),
                b't' => text.push(b'\t'),
                b'u' => {
                    let (character, length) = unicode_escape(inner.get(at..).unwrap_or_default());
                    at += length;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                other => text.push(other),
            }
        }
        each_bad_byte_replaced(&text)
    }
}

/// Go replaces every byte of an invalid sequence on its own; the standard library one maximal sequence at once.
fn each_bad_byte_replaced(text: &[u8]) -> String {
    let mut replaced = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        replaced.push_str(chunk.valid());
        replaced.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    replaced
}

/// Reads the digits after `\u` and, after a high surrogate, the second escape of the pair.
fn unicode_escape(text: &[u8]) -> (char, usize) {
    let unit = |from: usize| {
        let digits = text.get(from..from + 4)?;
        digits.iter().try_fold(0_u32, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
    };
    let first = unit(0).unwrap_or(0xfffd);
    if let (0xd800..=0xdbff, Some(b"\\u"), Some(second @ 0xdc00..=0xdfff)) = (first, text.get(4..6), unit(6)) {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

// === impl Members ===

impl<'a> Iterator for Members<'a> {
    type Item = (String, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut start = skip_space(self.text, self.at);
        if self.text.get(start) == Some(&b',') {
            start = skip_space(self.text, start + 1);
        }
        if self.text.get(start) != Some(&b'"') {
            return None;
        }
        let end = value_end(self.text, start);
        let name = Value(self.text.get(start..end)?).unquoted();
        let start = skip_space(self.text, skip_space(self.text, end) + 1);
        self.at = value_end(self.text, start);
        Some((name, Value(self.text.get(start..self.at)?)))
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| is_space(*byte)) {
        at += 1;
    }
    at
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The end of the value that starts at `at`, in text that is known to be valid.
fn value_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    loop {
        match text.get(at) {
            None => return at,
            Some(b'"') => {
                at += 1;
                while let Some(byte) = text.get(at)
                    && *byte != b'"'
                {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Some(_) if depth > 0 => at += 1,
            Some(_) => {
                while text.get(at).is_some_and(|byte| !is_space(*byte) && !matches!(byte, b',' | b'}' | b']')) {
                    at += 1;
                }
                return at;
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_with_duplicates() {
        let document = br#" { "a" : [1, {"x": "]}\""}] , "b":-1.5e3,"a":null , "\u00e9\ud83d\ude00\ud800\/": "" } "#;
        let members: Vec<_> =
            Value::parse(document).unwrap().members().map(|(name, value)| (name, value.kind())).collect();
        let expected = [("a", Kind::Array), ("b", Kind::Number), ("a", Kind::Null), ("é😀\u{fffd}/", Kind::String)];
        assert_eq!(members, expected.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(Value::parse(b"[1]").unwrap().members().count(), 0);
        assert_eq!(Value::parse(b"{}").unwrap().members().count(), 0);
    }

    #[test]
    fn strings_are_made_unicode() {
        let table: [(&[u8], &str); 6] = [
            (b"\"\\b\\f\\n\\r\\t\\\\\\\"\\/\"", "\u{8}\u{c}\n\r\t\\\"/"),
            (b"\"\xff\xe2\x82a\"", "\u{fffd}\u{fffd}\u{fffd}a"),
            (b"\"\\ud800x\"", "\u{fffd}x"),
            (b"\"\\udc00\\ud800\\ud800\\udc00\"", "\u{fffd}\u{fffd}\u{10000}"),
            (b"\"\"", ""),
            (b"1", ""),
        ];
        for (document, expected) in table {
            assert_eq!(Value::parse(document).unwrap().unquoted(), expected);
        }
    }
}
