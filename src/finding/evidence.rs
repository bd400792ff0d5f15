//! What a finding rests on: what was asked, with which credential, and what was found near it.

use jiff::Timestamp;
use serde::Serialize;

/// What was asked with one credential, and what came of it; never the credential itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The credential by name: `Secret "regcred"`, or `anonymous`.
    pub source: String,
    /// A code of this module, or `ok`.
    pub outcome: String,
}

/// What was asked about a refusal beside the image itself. `None`: not asked, or nothing that says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// The login alone, without the repository, is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<bool>,
    /// Everybody may pull the image. It explains; a node that has a login does not ask without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
    /// The repository is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<bool>,
}

/// What a tag that is not there may have been meant to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest {
    /// Tags of the repository that are near, nearest first; few.
    pub tags: Vec<String>,
    /// It is a version beyond every other: perhaps it is not pushed yet.
    pub ahead: bool,
    /// The build that it comes right after or, of a commit, one that stands beside it.
    pub before: Option<String>,
    /// When that was built, by its own word.
    pub built: Option<Timestamp>,
}

// === impl Probed ===

impl Probed {
    /// The same, or nothing where nothing is said.
    pub fn said(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}
