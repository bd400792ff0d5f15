//! JSON as Go's `encoding/json` reads it: the same documents are accepted, and the syntax errors are the same texts.
//!
//! `serde_json` differs in what matters here: it refuses invalid UTF-8 and lone surrogates, compares member names
//! exactly, and has its own words for errors. The walk is iterative, so nesting costs no stack.

mod syntax;

/// The text of one value of a document that [`Value::parse`] has checked.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a [u8]);

/// The members of an object, in the order of the document, duplicates included.
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
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
    pub(crate) fn as_str(self) -> &'static str {
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
    pub(crate) fn parse(document: &'a [u8]) -> Result<Self, (String, usize)> {
        syntax::check(document)?;
        let start = skip_space(document, 0);
        Ok(Self(document.get(start..value_end(document, start)).unwrap_or_default()))
    }

    /// Checks the first value of a document, as Go's `json.Decoder` does: what stands behind it is not looked at.
    ///
    /// # Errors
    /// As the decoder words them: `EOF` where there is no value, `unexpected EOF` where it does not end.
    pub(crate) fn first(document: &'a [u8]) -> Result<Self, String> {
        let start = skip_space(document, 0);
        if start == document.len() {
            return Err("EOF".to_owned());
        }
        let ends_early = |at: usize| at >= document.len();
        syntax::check_first(document)
            .map_err(|(words, at)| if ends_early(at) { "unexpected EOF".to_owned() } else { words })?;
        Ok(Self(document.get(start..value_end(document, start)).unwrap_or_default()))
    }

    /// The text of the value as it stands in the document.
    pub(crate) fn raw(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn kind(self) -> Kind {
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
    pub(crate) fn members(self) -> Members<'a> {
        Members { text: if self.kind() == Kind::Object { self.0 } else { b"" }, at: 1 }
    }

    /// The characters of a string, empty if this is none. What is not Unicode becomes U+FFFD.
    pub(crate) fn unquoted(self) -> String {
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

/// The text of Go's `UnmarshalTypeError`; `value` is the kind, for a number that does not fit with its text.
pub(crate) fn type_error(value: &str, field: Option<&str>, go_type: &str) -> String {
    match field {
        Some(field) => format!("json: cannot unmarshal {value} into Go struct field {field} of type {go_type}"),
        None => format!("json: cannot unmarshal {value} into Go value of type {go_type}"),
    }
}

/// Whether Go takes a member name for that of a field: without case, by Unicode simple folding, in which U+017F is an
/// `s` and U+212A a `k` (golang/go `src/encoding/json/fold.go`).
pub(crate) fn name_matches(name: &str, field: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(field.chars().map(fold))
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
    fn a_decoder_reads_the_first_value_and_no_further() {
        let first = |document: &'static [u8]| Value::first(document).map(Value::raw);
        for (document, expected) in [
            (&b" {\"a\":[1]} trailing"[..], Ok(&b"{\"a\":[1]}"[..])),
            (b"{}}", Ok(b"{}")),
            (b"\"a\"\"b\"", Ok(b"\"a\"")),
            (b"null", Ok(b"null")),
            (b" \n", Err("EOF")),
            (b"", Err("EOF")),
            (b"{\"a\":1", Err("unexpected EOF")),
            (b"{\"a\":\"b", Err("unexpected EOF")),
            (b"{\"a\":-", Err("unexpected EOF")),
            (b"\xef\xbb\xbf{}", Err("invalid character '\u{ef}' looking for beginning of value")),
            (b"{'a':1}", Err("invalid character '\\'' looking for beginning of object key string")),
            (b"<html>", Err("invalid character '<' looking for beginning of value")),
        ] {
            assert_eq!(first(document), expected.map_err(str::to_owned), "{:?}", String::from_utf8_lossy(document));
        }
    }

    #[test]
    fn names_are_compared_as_go_folds_them() {
        for name in ["access_token", "ACCESS_TOKEN", "Acce\u{17f}s_To\u{212a}en"] {
            assert!(name_matches(name, "access_token"), "{name}");
        }
        for name in ["accesstoken", "access-token", "access_token ", "äccess_token"] {
            assert!(!name_matches(name, "access_token"), "{name}");
        }
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
