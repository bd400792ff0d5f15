//! Lines → a page for a terminal: nothing of a registry acts on it, and colours are the page's own.

use std::fmt::Display;

use crate::printable;

/// How a line looks where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// What a part is called.
    Heading,
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// Beside the matter.
    Aside,
}

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page {
    colours: bool,
    text: String,
}

// === impl Page ===

impl Page {
    /// An empty page.
    pub(super) fn new(colours: bool) -> Self {
        Self { colours, text: String::new() }
    }

    /// Writes one line.
    pub(super) fn line(&mut self, style: Style, line: impl Display) {
        let line = line.to_string();
        let line = printable::line(&line);
        let (before, after) = match style.code().filter(|_| self.colours) {
            Some(code) => (format!("\u{1b}[{code}m"), "\u{1b}[0m"),
            None => (String::new(), ""),
        };
        self.text.push_str(&format!("{before}{line}{after}\n"));
    }

    /// Writes a line without colours.
    pub(super) fn plain(&mut self, line: impl Display) {
        self.line(Style::Plain, line);
    }

    /// Writes the line above a part.
    pub(super) fn heading(&mut self, line: impl Display) {
        self.line(Style::Heading, line);
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

// === impl Style ===

impl Style {
    /// The parameter of `SGR` (ECMA-48 8.3.117).
    fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Heading => Some(1),
            Self::Good => Some(32),
            Self::Bad => Some(31),
            Self::Aside => Some(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_colours_of_its_own_only() {
        for (colours, expected) in
            [(false, "said: \u{fffd}[31mred\n"), (true, "\u{1b}[32msaid: \u{fffd}[31mred\u{1b}[0m\n")]
        {
            let mut page = Page::new(colours);
            page.line(Style::Good, "said: \u{1b}[31mred");
            assert_eq!(page.into_text(), expected);
        }
    }
}
