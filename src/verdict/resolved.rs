//! An image that resolves: what is behind its digest, whether the digest may be written, and what is wrong all the same.

use super::nodes::{Fit, Ground};
use super::{Draft, Outcome, served};
use crate::facts::Behind;
use crate::finding::{Finding, Notice};
use crate::message;
use crate::policy::Policy;
use crate::reference::Reference;
use crate::registry::manifest::Manifest;

/// What an image resolved to.
#[derive(Clone, Copy)]
pub(super) struct Resolved<'a> {
    pub(super) reference: &'a Reference,
    pub(super) manifest: &'a Manifest,
    pub(super) behind: &'a Behind,
    /// The registry's word holds: it is fresh, and no node asks another registry for this name.
    pub(super) theirs: bool,
}

/// Judges an image that resolves, and notes in `outcome` what may be done with its digest.
pub(super) fn finding(
    policy: &Policy,
    draft: &Draft<'_>,
    ground: &Ground<'_>,
    resolved: Resolved<'_>,
    outcome: &mut Outcome,
) -> Option<Finding> {
    let Resolved { reference, manifest, behind, theirs } = resolved;
    let (image, digest, read) = (draft.image, &manifest.digest, behind.content.as_deref());
    let fit = ground.fit(draft, behind, digest);
    let served = served::finding(draft, manifest, read, ground);
    let doubted = matches!(&fit, Fit::Mismatch(finding) if !finding.certain);
    // What some node cannot pull by this digest is no answer to go on with.
    let there = served.is_none() && behind.refused.is_none() && behind.missing.is_empty() && !doubted;
    outcome.judged.architectures = read.filter(|_| theirs).and_then(|read| ground.architectures(&read.content));
    outcome.judged.digest = there.then(|| digest.clone());
    outcome.judged.pinnable = theirs
        && there
        && !matches!(fit, Fit::Mismatch(_))
        && reference.digest().is_none()
        && !policy.pin_skipped(reference.name())
        && !ground.differs(image, reference, digest);
    let unfit = match fit {
        Fit::Good => None,
        Fit::Notice(code, what, fix) => {
            let message = format!("{} {what}", message::shown(&image.image));
            outcome.notice = Some(Notice { code, path: image.path.clone(), message, fix: Some(fix), token: None });
            None
        }
        Fit::Mismatch(finding) => Some(*finding),
    };
    // What is certain speaks first.
    let (first, second) =
        if served.as_ref().is_some_and(|finding| finding.certain) { (served, unfit) } else { (unfit, served) };
    first.or(second).map(|finding| Finding { certain: finding.certain && theirs, ..finding })
}
