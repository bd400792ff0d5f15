//! A report → workflow commands, which GitHub shows beside the lines of a change.

use super::{FindingEntry, Report, ResultEntry};

// === impl Report ===

impl Report {
    /// One line a finding: `::error` where it is certain, else `::warning`; notices are `::notice`.
    pub fn github(&self) -> String {
        let mut text = String::new();
        for result in &self.results {
            for finding in &result.findings {
                let level = if finding.certain { "error" } else { "warning" };
                let message = format!("{}\n{}", finding.message, finding.fix);
                text.push_str(&command(level, &place(result, Some(finding)), finding.code, &message));
            }
            for notice in &result.notices {
                text.push_str(&command("notice", &place(result, None), notice.code.as_str(), &super::noted(notice)));
            }
        }
        text
    }
}

fn place(result: &ResultEntry, finding: Option<&FindingEntry>) -> String {
    let file = result.file.as_deref().filter(|file| *file != "-");
    let file = file.map(|file| format!("file={},", property(file))).unwrap_or_default();
    let line = finding.and_then(|finding| finding.line).filter(|_| !file.is_empty());
    format!("{file}{}", line.map(|line| format!("line={line},")).unwrap_or_default())
}

fn command(level: &str, place: &str, code: &str, message: &str) -> String {
    format!("::{level} {place}title={}::{}\n", property(code), data(message))
}

/// The escapes of a command's text (actions/toolkit `packages/core/src/command.ts`).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The escapes of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
