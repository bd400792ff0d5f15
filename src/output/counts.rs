//! Results → how many images are fine and how many are not.

use std::fmt;

use serde::Serialize;

use super::{Answer, ResultEntry};

/// Images by what came of them. Each image of each object counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Objects that name images.
    objects: usize,
    /// Their images: the sum of all below.
    images: usize,
    /// Resolved, and nothing is wrong.
    ok: usize,
    /// Would be denied.
    denied: usize,
    /// The registry was asked, and what it answered is no certain failure of the node.
    uncertain: usize,
    /// Nobody could say.
    not_checked: usize,
    /// Let pass by an exception of the operator.
    excepted: usize,
    /// Of policy `Never`: nodes do not pull it.
    never_pulled: usize,
}

// === impl Counts ===

impl Counts {
    /// Adds the images of one object.
    pub(super) fn add(&mut self, result: &ResultEntry) {
        let certain = result.findings.iter().any(|finding| finding.certain);
        // Without a certain finding, the operator denies what is uncertain.
        let all_denied = result.verdict == "deny" && !certain;
        self.objects += 1;
        self.images += result.images.len();
        for image in &result.images {
            let count = match image.answer {
                Answer::Ok => &mut self.ok,
                Answer::Excepted => &mut self.excepted,
                Answer::NeverPulled => &mut self.never_pulled,
                Answer::Finding(index) => match &result.findings[index] {
                    finding if finding.certain || all_denied => &mut self.denied,
                    finding if finding.not_checked => &mut self.not_checked,
                    _ => &mut self.uncertain,
                },
            };
            *count += 1;
        }
    }
}

impl fmt::Display for Counts {
    /// `3 images: 1 ok, 2 denied, 0 not checked`; the other numbers follow where they are not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = if self.images == 1 { "image" } else { "images" };
        let Self { ok, denied, not_checked, .. } = self;
        write!(f, "{} {images}: {ok} ok, {denied} denied, {not_checked} not checked", self.images)?;
        let others = [(self.uncertain, "uncertain"), (self.excepted, "excepted"), (self.never_pulled, "never pulled")];
        others.into_iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}
