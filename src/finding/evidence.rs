//! What a finding rests on: what was asked, with which credential, and what was found near it.

use jiff::Timestamp;
use serde::Serialize;

/// What was asked with one credential, and what came of it; never the credential itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Tried {
    /// The credential by name: `Secret "regcred"`, or `anonymous`.
    pub source: String,
    /// A code of this module, or `ok`.
    pub outcome: String,
    /// The registry did not ask for the login in it, so that it was not sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unasked: bool,
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

// === impl Tried ===

impl Tried {
    /// The credential, and that it was not sent where that is so.
    pub fn shown(&self) -> String {
        if self.unasked {
            format!("{} (not sent: the registry did not ask for a login)", self.source)
        } else {
            self.source.clone()
        }
    }
}

// === impl Probed ===

impl Probed {
    /// The same, or nothing where nothing is said.
    pub fn said(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}
