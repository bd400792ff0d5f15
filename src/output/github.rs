//! A report → workflow commands, which GitHub shows beside the lines of a change.

use std::path::Path;

use super::Report;
use super::place::{Input, Place};
use crate::printable;

// === impl Report ===

impl Report {
    /// One line a finding: `::error` where it is certain, else `::warning`; notices are `::notice`.
    pub fn github(&self) -> String {
        let mut text = String::new();
        for result in &self.results {
            for finding in &result.findings {
                let level = if finding.certain { "error" } else { "warning" };
                let message = format!("{}\n{}", finding.message, finding.fix);
                text.push_str(&command(level, &finding.place, &self.directory, finding.code, &message));
            }
            for notice in &result.notices {
                text.push_str(&command("notice", &notice.place, &self.directory, notice.code, &notice.text()));
            }
        }
        text
    }
}

/// An annotation belongs to a file; what is on standard input has its place in front of the message.
fn command(level: &str, place: &Place, directory: &Path, code: &str, message: &str) -> String {
    let mut properties = Vec::new();
    if let Some(path) = place.input.path(directory) {
        properties.push(("file", path));
        properties.extend(place.line().map(|line| ("line", line.to_string())));
        properties.extend(place.column().map(|column| ("col", column.to_string())));
    }
    properties.push(("title", code.to_owned()));
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    let at = if place.input == Input::Stdin { format!("{}: ", place.short()) } else { String::new() };
    let line = format!("::{level} {}::{}", properties.join(","), data(&format!("{at}{message}")));
    format!("{}\n", printable::line(&line))
}

/// The escapes of a command's text (actions/toolkit `packages/core/src/command.ts`).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The escapes of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
