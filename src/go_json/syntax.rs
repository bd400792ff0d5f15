//! The syntax check of a whole JSON document, with the contexts and words of Go's `encoding/json/scanner.go`.

use super::skip_space;

/// As Go's `maxNestingDepth`.
const MAX_DEPTH: usize = 10_000;

/// Checks that a document is one valid JSON value.
///
/// # Errors
/// Go's text for the first syntax error, and the byte at which it is.
pub(super) fn check(document: &[u8]) -> Result<(), (String, usize)> {
    check_as(document, true)
}

/// Checks that a document begins with a valid JSON value, whatever follows it.
///
/// # Errors
/// As [`check`].
pub(super) fn check_first(document: &[u8]) -> Result<(), (String, usize)> {
    check_as(document, false)
}

fn check_as(document: &[u8], whole: bool) -> Result<(), (String, usize)> {
    let mut checker = Checker { text: document, at: 0, whole };
    checker.check().map_err(|text| (text, checker.at))
}

struct Checker<'a> {
    text: &'a [u8],
    at: usize,
    /// Nothing but space may follow the value.
    whole: bool,
}

// === impl Checker ===

impl Checker<'_> {
    fn check(&mut self) -> Result<(), String> {
        let mut open: Vec<u8> = Vec::new();
        'value: loop {
            let first = self.significant()?;
            if matches!(first, b'{' | b'[') {
                open.push(first);
                if open.len() > MAX_DEPTH {
                    return Err(self.invalid("exceeded max depth"));
                }
                self.at += 1;
                let closing = if first == b'{' { b'}' } else { b']' };
                if self.significant()? != closing {
                    if first == b'{' {
                        self.key()?;
                    }
                    continue 'value;
                }
                open.pop();
                self.at += 1;
            } else {
                self.scalar(first)?;
            }
            // A value has ended.
            loop {
                let Some(container) = open.last() else {
                    if !self.whole {
                        return Ok(());
                    }
                    self.at = skip_space(self.text, self.at);
                    return if self.at >= self.text.len() {
                        Ok(())
                    } else {
                        Err(self.invalid("after top-level value"))
                    };
                };
                match (container, self.significant()?) {
                    (b'{', b',') => {
                        self.at += 1;
                        self.significant()?;
                        self.key()?;
                        continue 'value;
                    }
                    (b'[', b',') => {
                        self.at += 1;
                        continue 'value;
                    }
                    (b'{', b'}') | (b'[', b']') => {
                        open.pop();
                        self.at += 1;
                    }
                    (b'{', _) => return Err(self.invalid("after object key:value pair")),
                    _ => return Err(self.invalid("after array element")),
                }
            }
        }
    }

    /// A member name and its colon; the cursor is on the first significant byte.
    fn key(&mut self) -> Result<(), String> {
        if self.byte() != b'"' {
            return Err(self.invalid("looking for beginning of object key string"));
        }
        self.string()?;
        if self.significant()? != b':' {
            return Err(self.invalid("after object key"));
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self, first: u8) -> Result<(), String> {
        match first {
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.invalid("looking for beginning of value")),
        }
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None => return Err(unexpected_end()),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.byte() {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                        b'u' => {
                            for _ in 0..4 {
                                self.at += 1;
                                if !self.byte().is_ascii_hexdigit() {
                                    return Err(self.invalid("in \\u hexadecimal character escape"));
                                }
                            }
                        }
                        _ => return Err(self.invalid("in string escape code")),
                    }
                    self.at += 1;
                }
                Some(0..0x20) => return Err(self.invalid("in string literal")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.chars() {
            if char::from(self.byte()) != expected {
                return Err(self.invalid(&format!("in literal {word} (expecting '{expected}')")));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        if !self.byte().is_ascii_digit() {
            return Err(self.invalid(context));
        }
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    /// The next byte that is no space.
    fn significant(&mut self) -> Result<u8, String> {
        self.at = skip_space(self.text, self.at);
        self.text.get(self.at).copied().ok_or_else(unexpected_end)
    }

    /// The byte at the cursor. Go feeds one space to its scanner at the end, and blames that space.
    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(b' ')
    }

    fn invalid(&self, context: &str) -> String {
        format!("invalid character {} {context}", quoted(self.byte()))
    }
}

fn unexpected_end() -> String {
    "unexpected end of JSON input".to_owned()
}

/// Go's `quoteChar`, which takes the byte for a Latin-1 character.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!(r"'\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(document: &[u8]) -> String {
        check(document).err().unwrap_or_default().0
    }

    #[test]
    fn syntax_errors_have_gos_words() {
        // Printed by encoding/json of Go 1.26.
        let table: [(&[u8], &str); 27] = [
            (b"", "unexpected end of JSON input"),
            (b" ", "unexpected end of JSON input"),
            (b"{", "unexpected end of JSON input"),
            (b"{\"a\"", "unexpected end of JSON input"),
            (b"{\"a\":\"b", "unexpected end of JSON input"),
            (b"x", "invalid character 'x' looking for beginning of value"),
            (b"\xef\xbb\xbf{}", "invalid character '\u{ef}' looking for beginning of value"),
            (b"\x80", "invalid character '\\u0080' looking for beginning of value"),
            (b"\x01", "invalid character '\\x01' looking for beginning of value"),
            (b"'", "invalid character '\\'' looking for beginning of value"),
            (b"{a", "invalid character 'a' looking for beginning of object key string"),
            (b"{\"a\" 1", "invalid character '1' after object key"),
            (b"{\"a\":1 \"", "invalid character '\"' after object key:value pair"),
            (b"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            (b"[1 2", "invalid character '2' after array element"),
            (b"[1,]", "invalid character ']' looking for beginning of value"),
            (b"{}{", "invalid character '{' after top-level value"),
            (b"{}\0", "invalid character '\\x00' after top-level value"),
            (b"\"\n", "invalid character '\\n' in string literal"),
            (b"\"\\x", "invalid character 'x' in string escape code"),
            (b"\"\\u00g", "invalid character 'g' in \\u hexadecimal character escape"),
            (b"-", "invalid character ' ' in numeric literal"),
            (b"01", "invalid character '1' after top-level value"),
            (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
            (b"1e+", "invalid character ' ' in exponent of numeric literal"),
            (b"nul", "invalid character ' ' in literal null (expecting 'l')"),
            (b"falsy", "invalid character 'y' in literal false (expecting 'e')"),
        ];
        for (document, expected) in table {
            assert_eq!(error(document), expected, "{:?}", String::from_utf8_lossy(document));
        }
    }

    #[test]
    fn nesting_ends_where_gos_ends() {
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert_eq!(check(&nested(10_000)), Ok(()));
        assert_eq!(error(&nested(10_001)), "invalid character '[' exceeded max depth");
        assert_eq!(error(&b"[".repeat(1 << 20)), "invalid character '[' exceeded max depth");
    }
}
