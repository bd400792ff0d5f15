//! Verdicts → a table, JSON and YAML, and what other tools read: the contract of `check`, `explain` and `scan`. Pure.

mod github;
mod junit;
mod sarif;

use std::sync::Arc;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::finding::{Finding, Notice, Probed, Tried};
use crate::manifests;
use crate::message;
use crate::printable;
use crate::verdict::Verdict;
use crate::workload::ObjectRef;

/// Everything that one run found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// One entry an object.
    pub results: Vec<ResultEntry>,
}

/// One object.
#[derive(Debug, Serialize)]
pub struct ResultEntry {
    #[serde(skip)]
    file: Option<Arc<str>>,
    object: ObjectEntry,
    verdict: &'static str,
    images: Vec<ImageEntry>,
    findings: Vec<FindingEntry>,
    excepted: Vec<FindingEntry>,
    notices: Vec<Notice>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectEntry {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct ImageEntry {
    path: String,
    container: String,
    image: String,
    resolved: Option<String>,
    digest: Option<String>,
}

#[derive(Debug, Serialize)]
struct FindingEntry {
    code: &'static str,
    certain: bool,
    path: String,
    container: String,
    image: String,
    cause: Option<&'static str>,
    message: String,
    registry: Option<String>,
    node: Option<String>,
    fix: String,
    tried: Vec<Tried>,
    probed: Option<Probed>,
    nearest: Vec<String>,
    #[serde(skip)]
    line: Option<usize>,
}

// === impl Report ===

impl Report {
    /// Adds one object, and where it is written.
    pub fn push(&mut self, object: &ObjectRef, origin: Option<&manifests::Object>, verdict: &Verdict) {
        self.results.push(ResultEntry::new(object, origin, verdict));
    }

    /// 1: something certain would be denied. 3: something could not be judged. 0: neither.
    pub fn exit_code(&self) -> u8 {
        let findings = || self.results.iter().flat_map(|result| &result.findings);
        match (self.results.iter().any(|result| result.verdict == "deny"), findings().next()) {
            (true, _) => 1,
            (false, Some(_)) => 3,
            (false, None) => 0,
        }
    }

    /// Pretty JSON with a newline at the end.
    pub fn json(&self) -> String {
        // Strings, booleans and sequences cannot fail to serialise; an empty text would be the honest answer.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        printable::json(&text).into_owned()
    }

    /// The same as YAML.
    pub fn yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap_or_default()
    }

    /// A row an image, then every finding in full.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["OBJECT", "IMAGE", "ANSWER", "DIGEST"]);
        for result in &self.results {
            for image in &result.images {
                let found = result.findings.iter().find(|finding| finding.path == image.path);
                let answer = match (found, &image.digest) {
                    (Some(finding), _) if finding.certain => finding.code.to_owned(),
                    (Some(finding), _) => format!("{} (uncertain)", finding.code),
                    (None, Some(_)) => "ok".to_owned(),
                    (None, None) => "not asked".to_owned(),
                };
                let object = printable::line(&format!("{}/{}", result.object.kind, result.object.name)).into_owned();
                let digest = image.digest.as_deref().map(|digest| digest.chars().take(19).collect::<String>());
                table.add_row([object, image.image.clone(), answer, digest.unwrap_or_default()]);
            }
        }
        let mut text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        for result in &self.results {
            for finding in &result.findings {
                text.push_str(&finding.text());
            }
            for notice in &result.notices {
                text.push_str(&format!("\nnote: {}: {}\n", notice.code.as_str(), notice.message));
                text.push_str(&notice.fix.as_deref().map(to_do).unwrap_or_default());
            }
        }
        printable::lines(&text).into_owned()
    }
}

// === impl ResultEntry ===

impl ResultEntry {
    fn new(object: &ObjectRef, origin: Option<&manifests::Object>, verdict: &Verdict) -> Self {
        let entry = |finding: &Finding| FindingEntry::new(finding, origin);
        Self {
            file: origin.map(|origin| Arc::clone(origin.file())),
            object: ObjectEntry {
                api_version: object.api_version.clone(),
                kind: object.kind.clone(),
                namespace: object.namespace.clone(),
                name: object.name.clone(),
            },
            verdict: verdict.decision.as_str(),
            images: verdict
                .images
                .iter()
                .map(|judged| ImageEntry {
                    path: judged.image.path.clone(),
                    container: judged.image.container.clone(),
                    image: message::shown(&judged.image.image),
                    resolved: judged.reference.as_ref().map(ToString::to_string),
                    digest: judged.digest.as_ref().map(ToString::to_string),
                })
                .collect(),
            findings: verdict.findings.iter().map(entry).collect(),
            excepted: verdict.excepted.iter().map(entry).collect(),
            notices: verdict.notices.clone(),
        }
    }
}

// === impl ObjectEntry ===

impl ObjectEntry {
    /// `Pod/team-a/web`.
    fn title(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

// === impl FindingEntry ===

impl FindingEntry {
    fn new(finding: &Finding, origin: Option<&manifests::Object>) -> Self {
        Self {
            line: origin.and_then(|origin| origin.position(&finding.path)).map(|position| position.line),
            code: finding.code.as_str(),
            certain: finding.certain,
            path: finding.path.clone(),
            container: finding.container.clone(),
            image: finding.image.clone(),
            cause: finding.cause.map(crate::finding::Cause::as_str),
            message: finding.message(),
            registry: finding.registry.clone(),
            node: finding.node.clone(),
            fix: finding.fix.clone(),
            tried: finding.tried.clone(),
            probed: finding.probed,
            nearest: finding.nearest.as_ref().map(|nearest| nearest.tags.clone()).unwrap_or_default(),
        }
    }

    fn text(&self) -> String {
        let certain = if self.certain { "" } else { " (uncertain)" };
        let line = printable::line;
        let mut text = format!("\n{}{certain}: {}\n  at        {}\n", self.code, line(&self.message), line(&self.path));
        if let Some(node) = &self.node {
            text.push_str(&format!("  the node  {}\n", line(node)));
        }
        for tried in &self.tried {
            text.push_str(&format!("  asked as  {}\n", line(&format!("{}: {}", tried.shown(), tried.outcome))));
        }
        text.push_str(&to_do(&self.fix));
        text
    }
}

/// What is said of a notice, and what to do.
fn noted(notice: &Notice) -> String {
    [Some(&notice.message), notice.fix.as_ref()].into_iter().flatten().cloned().collect::<Vec<_>>().join("\n")
}

/// The words, and the lines to type below them, each at the edge of a column of its own.
fn to_do(fix: &str) -> String {
    format!("  to do     {}\n", fix.replace('\n', "\n            "))
}
