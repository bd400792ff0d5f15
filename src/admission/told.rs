//! A verdict → the validating answer: everything for an API server, the bare codes for who may be anybody. Pure.

use std::collections::BTreeSet;

use crate::admission::response::Response;
use crate::admission::review::Review;
use crate::finding::Finding;
use crate::message;
use crate::policy::Mode;
use crate::verdict::{Decision, Judged, Verdict};

/// The image of `doctor`'s pod: no reference, so that it needs no registry to be refused. A dry run of it is told who judges.
pub const DOCTOR_IMAGE: &str = "pullgate.invalid/doctor:NO REFERENCE";

/// Everything, for who called is an API server.
pub(super) fn whole(review: &Review<'_>, verdict: &Verdict) -> Response {
    let response = match verdict.decision {
        Decision::Deny => Response::deny(review.uid.as_ref(), &message::denial(verdict)),
        Decision::Allow | Decision::Warn => Response::allow(review.uid.as_ref()),
    };
    let response = response.with_warnings(warnings(verdict).into_iter().chain(identity(review, verdict)));
    annotations(verdict).iter().fold(response, |response, (key, value)| response.with_audit_annotation(key, value))
}

/// The verdict and its codes, for who called may be anybody; and to `doctor`, who judges: API servers have yet to learn the
/// path, or pullgate has.
pub(super) fn hinted(review: &Review<'_>, verdict: &Verdict) -> Response {
    let codes: BTreeSet<&str> = verdict.findings.iter().map(|finding| finding.code.as_str()).collect();
    let response = match verdict.decision {
        Decision::Deny => Response::deny(review.uid.as_ref(), &codes.into_iter().collect::<Vec<_>>().join(", ")),
        Decision::Warn => Response::allow(review.uid.as_ref()).with_warnings(codes),
        Decision::Allow => Response::allow(review.uid.as_ref()),
    };
    response.with_warnings(identity(review, verdict))
}

/// What kubectl prints beside the answer. A denial says its findings itself; `audit` says nothing.
fn warnings(verdict: &Verdict) -> Vec<String> {
    if verdict.mode == Mode::Audit {
        return Vec::new();
    }
    let findings = if verdict.decision == Decision::Deny { &[][..] } else { &verdict.findings };
    message::warnings(findings, &verdict.notices)
}

/// What `doctor` wants to hear; in mode `audit` nothing else would show that pullgate was asked.
fn identity(review: &Review<'_>, verdict: &Verdict) -> Option<String> {
    let asked = review.dry_run && verdict.findings.iter().any(|finding| finding.image == DOCTOR_IMAGE);
    asked.then(|| format!("pullgate {} judges here, in mode {}", env!("CARGO_PKG_VERSION"), verdict.mode.as_str()))
}

/// What the audit log keeps.
fn annotations(verdict: &Verdict) -> Vec<(&'static str, String)> {
    let line = |finding: &Finding| {
        let certain = if finding.certain { "" } else { " (uncertain)" };
        format!("{}{certain} {} {}", finding.code, finding.path, finding.resolved.as_deref().unwrap_or(&finding.image))
    };
    let mut annotations = Vec::new();
    if !verdict.findings.is_empty() {
        annotations.push(("mode", verdict.mode.as_str().to_owned()));
        annotations.push(("enforce-would", verdict.would.as_str().to_owned()));
        let lines: Vec<String> = verdict.findings.iter().map(line).collect();
        annotations.push(("findings", lines.join("; ")));
    }
    let stale = |judged: &Judged| Some(format!("{} {}", judged.image.path, message::ago(judged.stale?)));
    let stale: Vec<String> = verdict.images.iter().filter_map(stale).collect();
    if !stale.is_empty() {
        annotations.push(("stale", stale.join("; ")));
    }
    if !verdict.excepted.is_empty() {
        let lines: Vec<String> = verdict.excepted.iter().map(line).collect();
        annotations.push(("excepted", lines.join("; ")));
    }
    annotations
}
