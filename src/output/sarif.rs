//! A report → SARIF 2.1.0, which code scanning reads (OASIS `sarif-v2.1.0`).

use serde_json::{Value, json};

use super::{Report, ResultEntry};
use crate::finding::{Code, NoticeCode};

// === impl Report ===

impl Report {
    /// Pretty JSON with a newline at the end. Every code is a rule, whether it was found or not.
    pub fn sarif(&self) -> String {
        let rules: Vec<Value> = Code::ALL
            .into_iter()
            .map(|code| rule(code.as_str(), code.meaning(), if code.certain() { "error" } else { "warning" }))
            .chain(NoticeCode::ALL.into_iter().map(|code| rule(code.as_str(), code.meaning(), "note")))
            .collect();
        let results: Vec<Value> = self.results.iter().flat_map(findings).collect();
        let log = json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "pullgate", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
                "results": results,
            }],
        });
        let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn rule(id: &str, meaning: &str, level: &str) -> Value {
    json!({
        "id": id,
        "name": id,
        "shortDescription": { "text": meaning },
        "help": { "text": format!("docs/codes/{id}.md") },
        "defaultConfiguration": { "level": level },
    })
}

fn findings(result: &ResultEntry) -> Vec<Value> {
    let found = result.findings.iter().map(|finding| {
        let level = if finding.certain { "error" } else { "warning" };
        let text = format!("{}\n{}", finding.message, finding.fix);
        entry(result, finding.code, level, &text, &finding.path, finding.line)
    });
    let noted = result
        .notices
        .iter()
        .map(|notice| entry(result, notice.code.as_str(), "note", &super::noted(notice), &notice.path, None));
    found.chain(noted).collect()
}

fn entry(result: &ResultEntry, code: &str, level: &str, text: &str, path: &str, line: Option<usize>) -> Value {
    let name = format!("{} {path}", result.object.title());
    let mut location = json!({ "logicalLocations": [{ "fullyQualifiedName": name }] });
    if let Some(file) = result.file.as_deref().filter(|file| *file != "-") {
        location["physicalLocation"] = json!({
            "artifactLocation": { "uri": uri(file) },
            // A place in a file is a line; where none is known it is the first.
            "region": { "startLine": line.unwrap_or(1) },
        });
    }
    json!({ "ruleId": code, "level": level, "message": { "text": text }, "locations": [location] })
}

/// A path as a relative or absolute URI reference.
fn uri(file: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    file.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
