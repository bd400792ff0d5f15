//! Verdicts → a table, JSON and YAML, and what other tools read: the contract of `check`, `explain` and `scan`. Pure.

mod counts;
mod github;
mod guard;
mod junit;
mod place;
mod sarif;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

use self::counts::Counts;
use self::place::{Input, Place};
use crate::finding::{Finding, Notice, Probed, Tried};
use crate::manifests;
use crate::message;
use crate::printable;
use crate::verdict::{Judged, Verdict};
use crate::workload::ObjectRef;

/// Version of the JSON and YAML reports. A key that is added leaves it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that one run found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    schema_version: u32,
    counts: Counts,
    /// One entry an object.
    pub results: Vec<ResultEntry>,
    /// What the paths of files are relative to in reports for other tools.
    #[serde(skip)]
    directory: PathBuf,
}

/// One object.
#[derive(Debug, Serialize)]
pub struct ResultEntry {
    #[serde(skip)]
    input: Input,
    object: ObjectEntry,
    verdict: &'static str,
    images: Vec<ImageEntry>,
    findings: Vec<FindingEntry>,
    excepted: Vec<FindingEntry>,
    notices: Vec<NoticeEntry>,
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
    #[serde(skip)]
    place: Place,
    #[serde(skip)]
    answer: Answer,
}

/// What came of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It resolved, and nothing is wrong.
    Ok,
    /// By its index, one of the result's findings.
    Finding(usize),
    /// An exception of the operator lets it pass.
    Excepted,
    /// Nobody asks for it: it is never pulled.
    NeverPulled,
}

#[derive(Debug, Serialize)]
struct FindingEntry {
    code: &'static str,
    certain: bool,
    path: String,
    #[serde(flatten)]
    place: Place,
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
    /// What is the same wherever the same is wrong.
    #[serde(skip)]
    summary: String,
    /// What kept pullgate from looking has to do with the registry or with pullgate itself.
    #[serde(skip)]
    not_checked: bool,
}

#[derive(Debug, Serialize)]
struct NoticeEntry {
    code: &'static str,
    path: String,
    #[serde(flatten)]
    place: Place,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

// === impl Report ===

impl Report {
    /// An empty report of a run in this directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { schema_version: SCHEMA_VERSION, directory, ..Self::default() }
    }

    /// Adds one object, and where it is written.
    pub fn push(&mut self, object: &ObjectRef, origin: Option<&manifests::Object>, verdict: &Verdict) {
        let result = ResultEntry::new(object, origin, verdict);
        self.counts.add(&result);
        self.results.push(result);
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
}

// === impl ResultEntry ===

impl ResultEntry {
    fn new(object: &ObjectRef, origin: Option<&manifests::Object>, verdict: &Verdict) -> Self {
        let input = Input::of(origin);
        let place = |path: &str| Place::of(&input, origin, path);
        let found: HashMap<&str, usize> =
            verdict.findings.iter().enumerate().map(|(index, finding)| (finding.path.as_str(), index)).collect();
        let excepted: Vec<&str> = verdict.excepted.iter().map(|finding| finding.path.as_str()).collect();
        let image = |judged: &Judged| {
            let path = judged.image.path.as_str();
            let answer = match (found.get(path), &judged.digest) {
                (Some(index), _) => Answer::Finding(*index),
                (None, _) if excepted.contains(&path) => Answer::Excepted,
                (None, Some(_)) => Answer::Ok,
                (None, None) => Answer::NeverPulled,
            };
            ImageEntry {
                path: path.to_owned(),
                container: judged.image.container.clone(),
                image: message::shown(&judged.image.image),
                resolved: judged.reference.as_ref().map(ToString::to_string),
                digest: judged.digest.as_ref().map(ToString::to_string),
                place: place(path),
                answer,
            }
        };
        let entry = |finding: &Finding| FindingEntry::new(finding, place(&finding.path));
        Self {
            object: ObjectEntry {
                api_version: object.api_version.clone(),
                kind: object.kind.clone(),
                namespace: object.namespace.clone(),
                name: object.name.clone(),
            },
            verdict: verdict.decision.as_str(),
            images: verdict.images.iter().map(image).collect(),
            findings: verdict.findings.iter().map(entry).collect(),
            excepted: verdict.excepted.iter().map(entry).collect(),
            notices: verdict.notices.iter().map(|notice| NoticeEntry::new(notice, place(&notice.path))).collect(),
            input,
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
    fn new(finding: &Finding, place: Place) -> Self {
        Self {
            code: finding.code.as_str(),
            certain: finding.certain,
            path: finding.path.clone(),
            place,
            container: finding.container.clone(),
            image: finding.image.clone(),
            cause: finding.cause.map(crate::finding::Cause::as_str),
            message: finding.message(),
            registry: finding.registry.clone(),
            node: finding.node.clone(),
            fix: guard::with_exception(finding),
            tried: finding.tried.clone(),
            probed: finding.probed,
            nearest: finding.nearest.as_ref().map(|nearest| nearest.tags.clone()).unwrap_or_default(),
            summary: [std::slice::from_ref(&finding.description.what), &finding.description.details]
                .concat()
                .join("; "),
            not_checked: finding.code.unchecked(),
        }
    }
}

// === impl NoticeEntry ===

impl NoticeEntry {
    fn new(notice: &Notice, place: Place) -> Self {
        Self {
            code: notice.code.as_str(),
            path: notice.path.clone(),
            place,
            message: notice.message.clone(),
            fix: notice.fix.clone(),
        }
    }

    /// What is said, and what to do.
    fn text(&self) -> String {
        [Some(self.message.as_str()), self.fix.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests;
