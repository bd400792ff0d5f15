//! A report → SARIF 2.1.0, which code scanning reads (OASIS `sarif-v2.1.0`).

use std::path::Path;

use serde_json::{Value, json};

use super::place::Place;
use super::{Report, ResultEntry};
use crate::finding::{Code, NoticeCode};
use crate::printable;

// === impl Report ===

impl Report {
    /// Pretty JSON with a newline at the end. Every code is a rule, whether it was found or not.
    pub fn sarif(&self) -> String {
        let rules: Vec<Value> = Code::ALL
            .into_iter()
            .map(|code| rule(code.as_str(), code.meaning(), if code.certain() { "error" } else { "warning" }))
            .chain(NoticeCode::ALL.into_iter().map(|code| rule(code.as_str(), code.meaning(), "note")))
            .collect();
        let results: Vec<Value> = self.results.iter().flat_map(|result| findings(result, &self.directory)).collect();
        let log = json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "pullgate", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        });
        let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
        text.push('\n');
        printable::json(&text).into_owned()
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

fn findings(result: &ResultEntry, directory: &Path) -> Vec<Value> {
    let found = result.findings.iter().map(|finding| {
        let level = if finding.certain { "error" } else { "warning" };
        let text = format!("{}\n{}", finding.message, finding.fix);
        let location = location(result, &finding.place, &finding.path, directory);
        entry(finding.code, level, &text, &location)
    });
    let noted = result.notices.iter().map(|notice| {
        let location = location(result, &notice.place, &notice.path, directory);
        entry(notice.code, "note", &notice.text(), &location)
    });
    found.chain(noted).collect()
}

fn entry(code: &str, level: &str, text: &str, location: &Value) -> Value {
    json!({ "ruleId": code, "level": level, "message": { "text": text }, "locations": [location] })
}

/// The field by its name, and its place. Code scanning refuses a log in which one result has no physical location, so
/// what is not written in a file has one, too: the first line where no other is known.
fn location(result: &ResultEntry, place: &Place, path: &str, directory: &Path) -> Value {
    let mut region = json!({ "startLine": place.line().unwrap_or(1) });
    if let Some(column) = place.column() {
        region["startColumn"] = json!(column);
    }
    json!({
        "logicalLocations": [{ "fullyQualifiedName": format!("{} {path}", result.object.title()) }],
        "physicalLocation": { "artifactLocation": { "uri": place.input.uri(directory) }, "region": region },
    })
}
