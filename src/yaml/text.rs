//! The bytes of a file → its text, and offsets in the text → lines and columns.

use std::sync::OnceLock;

/// Bytes between two counts of characters.
const BLOCK: usize = 4096;

/// A place in a file, as editors count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1; byte order marks are not counted.
    pub column: usize,
}

/// The text of a file.
#[derive(Debug)]
pub struct Text {
    decoded: String,
    undecodable: Option<usize>,
    index: OnceLock<Index>,
}

/// What makes a line and a column of an offset without reading the text again.
#[derive(Debug)]
struct Index {
    lines: Vec<usize>,
    /// Characters in front of each block.
    characters: Vec<usize>,
}

// === impl Text ===

impl Text {
    /// Decodes UTF-16 where a byte order mark says so, else UTF-8. As `kubectl` does, puts U+FFFD in place of what is
    /// neither (a comment in Latin-1 stops nobody), and passes over byte order marks at the start of lines, where files
    /// were joined.
    pub fn new(bytes: Vec<u8>) -> Self {
        let (text, broken) = match bytes.as_slice() {
            [0xFF, 0xFE, units @ ..] => utf16(units, u16::from_le_bytes),
            [0xFE, 0xFF, units @ ..] => utf16(units, u16::from_be_bytes),
            _ => utf8(bytes),
        };
        let (text, broken) = without_marks(text, broken);
        // UTF-16 without its mark is full of them, and no text has one.
        let nul = text.find('\0');
        Self { undecodable: broken.into_iter().chain(nul).min(), decoded: text, index: OnceLock::new() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.decoded
    }

    /// The offset of the first bytes that are no text.
    pub fn undecodable(&self) -> Option<usize> {
        self.undecodable
    }

    /// The line and column of an offset.
    pub fn position(&self, offset: usize) -> Position {
        let Index { lines, characters } = self.index.get_or_init(|| Index::new(&self.decoded));
        let offset = self.decoded.floor_char_boundary(offset.min(self.decoded.len()));
        let line = lines.partition_point(|start| *start <= offset);
        let start = lines[line - 1];
        let before = |offset: usize| {
            let block = offset / BLOCK;
            characters[block] + count(&self.decoded.as_bytes()[block * BLOCK..offset])
        };
        Position { line, column: before(offset) - before(start) + 1 }
    }
}

// === impl Index ===

impl Index {
    fn new(text: &str) -> Self {
        let mut lines = vec![0];
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' || *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n') {
                lines.push(at + 1);
            }
        }
        let mut characters = vec![0];
        let mut sum = 0;
        for block in bytes.chunks(BLOCK) {
            sum += count(block);
            characters.push(sum);
        }
        Self { lines, characters }
    }
}

/// The characters that begin in these bytes of UTF-8.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

fn utf8(bytes: Vec<u8>) -> (String, Option<usize>) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let broken = error.utf8_error().valid_up_to();
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(broken))
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (String, Option<usize>) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut broken = None;
    for character in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        text.push(character.unwrap_or_else(|_| {
            broken.get_or_insert(text.len());
            char::REPLACEMENT_CHARACTER
        }));
    }
    if !rest.is_empty() {
        broken.get_or_insert(text.len());
        text.push(char::REPLACEMENT_CHARACTER);
    }
    (text, broken)
}

/// The text without the byte order marks at the start of its lines, and where `offset` is then.
fn without_marks(text: String, offset: Option<usize>) -> (String, Option<usize>) {
    const MARK: char = '\u{feff}';
    if !text.contains(MARK) {
        return (text, offset);
    }
    let mut kept = String::with_capacity(text.len());
    let mut moved = offset;
    for (at, character) in text.char_indices() {
        if character == MARK && (kept.is_empty() || kept.ends_with(['\n', '\r'])) {
            moved = moved.map(|to| if offset.is_some_and(|offset| at < offset) { to - MARK.len_utf8() } else { to });
        } else {
            kept.push(character);
        }
    }
    (kept, moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_is_read_and_what_is_none_is_found() {
        let text = "a: \u{fc}\u{1f680}\r\n";
        let table: [(Vec<u8>, &str, Option<usize>); 10] = [
            (text.into(), text, None),
            ([b"\xef\xbb\xbf", text.as_bytes()].concat(), text, None),
            (units(&format!("\u{feff}{text}"), u16::to_le_bytes), text, None),
            (units(&format!("\u{feff}{text}"), u16::to_be_bytes), text, None),
            (b"\xff\xfe".into(), "", None),
            (b"\xff\xfea\0b".into(), "a\u{fffd}", Some(1)),
            (b"\xfe\xff\xd8\x00\0a".into(), "\u{fffd}a", Some(0)),
            (b"# gr\xfc\xdfe".into(), "# gr\u{fffd}\u{fffd}e", Some(4)),
            (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\xff".into(), "a\nb\u{fffd}", Some(3)),
            (units("ab", u16::to_le_bytes), "a\0b\0", Some(1)),
        ];
        for (bytes, expected, broken) in table {
            let read = Text::new(bytes.clone());
            assert_eq!((read.as_str(), read.undecodable()), (expected, broken), "{bytes:x?}");
        }
    }

    #[test]
    fn marks_go_where_lines_begin_and_stay_inside_them() {
        for (text, expected) in [
            ("\u{feff}a\n\u{feff}\u{feff}b\r\n\u{feff}c\r\u{feff}d", "a\nb\r\nc\rd"),
            ("a\u{feff}\n \u{feff}b", "a\u{feff}\n \u{feff}b"),
        ] {
            assert_eq!(Text::new(text.into()).as_str(), expected);
        }
    }

    #[test]
    fn lines_end_with_any_break_and_columns_are_characters() {
        let text = Text::new("ab\r\nü\u{1f680}c\rd\n\ne".into());
        for (word, line, column) in
            [("ab", 1, 1), ("b", 1, 2), ("\u{1f680}", 2, 2), ("c", 2, 3), ("d", 3, 1), ("e", 5, 1)]
        {
            let offset = text.as_str().find(word).unwrap();
            assert_eq!(text.position(offset), Position { line, column }, "{word}");
        }
        assert_eq!(text.position(usize::MAX), Position { line: 5, column: 2 });
        assert_eq!(Text::new(Vec::new()).position(7), Position { line: 1, column: 1 });
        let long = Text::new("ü".repeat(3 * BLOCK).into());
        assert_eq!(long.position(2 * (2 * BLOCK + 5)), Position { line: 1, column: 2 * BLOCK + 6 });
    }
}
