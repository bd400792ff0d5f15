//! Text of others → text that a terminal, a log or a header may be given: nothing that acts, turns a line around or is
//! not seen.

use std::borrow::Cow;
use std::io;

/// Stands where something was that may not be printed.
const REPLACEMENT: char = '\u{fffd}';

/// Whether a character is not seen and changes what is: directions of writing, joiners, fillers, tags
/// (`Default_Ignorable_Code_Point` and the format characters of the Unicode Character Database).
pub fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character acts on what shows it, or is unseen.
pub fn acts(c: char) -> bool {
    c.is_control() || unseen(c)
}

/// One line, as long as before, with a mark for each character that acts.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, acts)
}

/// Several lines, their ends kept.
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c != '\n' && acts(c))
}

/// A JSON text in which no character of a string acts: the same value, escaped.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && acts(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c != '\n' && acts(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The words of an error of the operating system, without its number.
pub fn os_error(error: &io::Error) -> String {
    let words = error.to_string();
    words.split_once(" (os error ").map_or(words.as_str(), |(words, _)| words).to_owned()
}

fn replaced(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.contains(&acts) {
        Cow::Owned(text.chars().map(|c| if acts(c) { REPLACEMENT } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_marked_and_what_is_read_stays() {
        for (text, expected) in [
            ("plain", "plain"),
            ("é 日本 🙂 العربية", "é 日本 🙂 العربية"),
            ("\u{1b}[2Jx", "\u{fffd}[2Jx"),
            ("a\u{202e}b\u{2066}c", "a\u{fffd}b\u{fffd}c"),
            ("a\u{200b}\u{ad}\u{61c}\u{e0041}b", "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}b"),
            ("a\u{9b}31mb\u{85}", "a\u{fffd}31mb\u{fffd}"),
            ("a\r\nb", "a\u{fffd}\u{fffd}b"),
        ] {
            assert_eq!(line(text), expected, "{text:?}");
        }
        assert_eq!(lines("a\r\n\tb"), "a\u{fffd}\n\u{fffd}b");
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{9b}\u{e0041}\n\u{1b} é 🙂", "\u{feff}"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = json(&text);
        assert!(!escaped.contains(|c| c != '\n' && acts(c)), "{escaped}");
        assert!(escaped.contains("\\u202e") && escaped.contains("\\udb40\\udc41"), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
