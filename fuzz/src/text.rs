//! What text has to be before a person sees it.

/// Fails where `text` is not one bounded line of characters that are seen and stay in their order.
pub(crate) fn assert_plain_line(text: &str, limit: usize) {
    assert!(text.len() <= limit, "{} bytes: {text:?}", text.len());
    assert!(!text.chars().any(is_harmful), "{text:?}");
}

/// Control characters, line ends, directions of writing, and what takes no place (Unicode 15, `Bidi_Control` and the
/// parts of `Default_Ignorable_Code_Point` that no script or emoji needs).
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}
