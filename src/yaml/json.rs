//! JSON → a document. Iterative, so that no depth meets the stack. Strings are those of Go's decoder: an escape that is
//! half of a pair is U+FFFD.

use std::ops::Range;
use std::sync::Arc;

use super::events::DEPTH;
use super::syntax::{Syntax, SyntaxError};
use super::text::Text;
use super::tree::{Builder, Tree};

/// Where YAML has a key and JSON has none.
pub(super) const NO_KEY: Syntax = Syntax::Expected("a key in double quotes");

struct Json<'t> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
    builder: Builder,
    open: Vec<Open>,
}

struct Open {
    index: u32,
    map: bool,
}

/// Reads the value at the start of `part`; gives the offset behind it as well.
pub(super) fn read(text: &Arc<Text>, part: Range<usize>) -> Result<(Tree, usize), SyntaxError> {
    let whole = &text.as_str()[..part.end];
    let builder = Builder::new(Arc::clone(text));
    let mut json = Json { bytes: whole.as_bytes(), text: whole, at: part.start, builder, open: Vec::new() };
    match json.value() {
        Ok(()) => Ok((json.builder.finish(), json.at)),
        Err(syntax) => Err(SyntaxError { at: json.at, syntax }),
    }
}

// === impl Json ===

impl Json<'_> {
    fn value(&mut self) -> Result<(), Syntax> {
        loop {
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if self.open.len() == DEPTH {
                        return Err(Syntax::TooDeep(DEPTH));
                    }
                    let map = open == b'{';
                    self.open.push(Open { index: self.builder.open(self.at, map), map });
                    self.at += 1;
                    match (self.peek(), map) {
                        (Some(b'}'), true) | (Some(b']'), false) => {}
                        (_, true) => {
                            self.key()?;
                            continue;
                        }
                        (_, false) => continue,
                    }
                }
                Some(b'"') => self.string()?,
                Some(_) => self.word()?,
                None => return Err(Syntax::Ends),
            }
            if self.behind_a_value()? {
                return Ok(());
            }
        }
    }

    /// Closes what ends here. Whether that was the whole value; else the next one follows.
    fn behind_a_value(&mut self) -> Result<bool, Syntax> {
        while let Some(&Open { index, map }) = self.open.last() {
            match (self.peek(), map) {
                (Some(b','), _) => {
                    self.at += 1;
                    if map {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    self.open.pop();
                    self.builder.close(index);
                }
                (None, _) => return Err(Syntax::Ends),
                (_, true) => return Err(Syntax::Expected("a comma or }")),
                (_, false) => return Err(Syntax::Expected("a comma or ]")),
            }
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Syntax> {
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(_) => return Err(NO_KEY),
            None => return Err(Syntax::Ends),
        }
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(Syntax::Expected("a colon")),
            None => return Err(Syntax::Ends),
        }
        Ok(())
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn string(&mut self) -> Result<(), Syntax> {
        let (at, start) = (self.at, self.at + 1);
        let mut owned: Option<String> = None;
        let mut taken = start;
        self.at = start;
        loop {
            let plain = self.bytes[self.at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            let Some(plain) = plain else {
                self.at = at;
                return Err(Syntax::Other("a quote is not closed"));
            };
            self.at += plain;
            match self.bytes[self.at] {
                b'"' => break,
                b'\\' => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[taken..self.at]);
                    let character = self.escape()?;
                    text.push(character);
                    taken = self.at;
                }
                _ => return Err(Syntax::Other("a line end, a tab or another control character stands inside quotes")),
            }
        }
        match owned {
            Some(mut text) => {
                text.push_str(&self.text[taken..self.at]);
                self.builder.owned(at, text, false);
            }
            None => self.builder.quoted(at, start, self.at - start),
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<char, Syntax> {
        let letter = self.bytes.get(self.at + 1).copied();
        let character = match letter {
            Some(b'u') => return self.unicode(),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            _ => return Err(Syntax::Other("there is no such escape in JSON")),
        };
        self.at += 2;
        Ok(character)
    }

    fn unicode(&mut self) -> Result<char, Syntax> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u16::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
        };
        let first = unit(self.at).ok_or(Syntax::Other("the escape is not followed by its hexadecimal digits"))?;
        let pair = unit(self.at + 6).and_then(|second| {
            char::decode_utf16([first, second]).next().and_then(Result::ok).filter(|pair| pair.len_utf16() == 2)
        });
        self.at += if pair.is_some() { 12 } else { 6 };
        Ok(pair.or_else(|| char::from_u32(first.into())).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `true`, `false`, `null` or a number.
    fn word(&mut self) -> Result<(), Syntax> {
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = self.bytes[self.at..].iter().take_while(|byte| inside(byte)).count();
        let word = &self.text[self.at..self.at + length];
        if !matches!(word, "true" | "false" | "null") && !is_number(word) {
            return Err(Syntax::Expected("a value"));
        }
        self.builder.plain(self.at, self.at, length);
        self.at += length;
        Ok(())
    }
}

/// RFC 8259, section 6.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}
