//! What can be said about one image: stable codes, whether they are certain, and the finding that carries them.
//!
//! Pure data. The codes are a contract (messages, metrics, JSON, documentation pages use the same words); the
//! sentences are made in [`crate::message`].

mod cause;
mod description;
mod evidence;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::credentials::TokenKind;

pub use self::cause::Cause;
pub use self::description::Description;
pub use self::evidence::{Nearest, Probed, Tried};

/// Why an image will not, or may not, be pulled. The name of the variant is the stable word shown everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// The reference does not parse.
    InvalidImageName,
    /// The repository answers, the tag is not there.
    TagNotFound,
    /// The repository answers, the digest is not there.
    DigestNotFound,
    /// The registry says that the repository does not exist.
    RepositoryNotFound,
    /// The registry hides the difference between missing and private.
    NotFoundOrNoAccess,
    /// The registry wants a login and no pull secret matches this host and path.
    CredentialsMissing,
    /// A matching login is wrong.
    CredentialsRejected,
    /// A matching login was refused, and says itself that its time is over.
    CredentialsExpired,
    /// A valid login may not pull this repository.
    AccessDenied,
    /// A pull secret that no kubelet can decode; it fails every image of the pod.
    PullSecretMalformed,
    /// Nodes that the pod can land on exist, and the image has a manifest for none of them.
    PlatformMismatch,
    /// Schema 1, a chart, an attestation: not a runnable image.
    UnsupportedManifest,
    /// The image exists, but the registry's own policy refuses the pull.
    BlockedByRegistry,
    /// The operator's allow-list refuses this registry.
    RegistryNotAllowed,
    /// 429 in any of its disguises.
    RateLimited,
    /// No connection; [`Cause`] says how it failed.
    RegistryUnreachable,
    /// 5xx, or an answer that makes no sense.
    RegistryError,
    /// pullgate could not or would not look; [`Cause`] says why.
    NotChecked,
    /// Policy Never, and no node that the pod can land on reports the image.
    ErrImageNeverPull,
}

/// One image and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub code: Code,
    /// The node would fail, and trying again will not help.
    pub certain: bool,
    /// The second word, for the codes that have one.
    pub cause: Option<Cause>,
    /// Field path, `spec.containers[0].image`.
    pub path: String,
    /// Name of the container or the volume.
    pub container: String,
    /// The reference as written.
    pub image: String,
    /// The normal form, when it parses.
    pub resolved: Option<String>,
    /// What happened, without the fix; [`Finding::message`] makes the sentence.
    pub description: Description,
    /// What the registry said: cleaned, at most 200 bytes.
    pub registry: Option<String>,
    /// The line that the node's runtime would show.
    pub node: Option<String>,
    /// What to do: words, and each line to type on a line of its own that begins with blanks.
    pub fix: String,
    /// Every credential tried, in the kubelet's order.
    pub tried: Vec<Tried>,
    /// What was asked beside the image, if anything that says something was.
    pub probed: Option<Probed>,
    /// What a tag that is not there may have been meant to be.
    pub nearest: Option<Arc<Nearest>>,
    /// The kind of the token that is over, for [`Code::CredentialsExpired`].
    pub token: Option<TokenKind>,
    /// Age of the facts that the finding rests on.
    pub age: Option<Duration>,
}

/// Something worth a word that does not stop the pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Which.
    pub code: NoticeCode,
    /// Field path of the image, or of `imagePullSecrets` in the pod spec.
    pub path: String,
    /// One line, no control characters.
    pub message: String,
    /// What to do, where there is something to do; a line to type stands on a line of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// The kind of the token that ends, for [`NoticeCode::CredentialsExpireSoon`].
    #[serde(skip)]
    pub token: Option<TokenKind>,
}

/// The stable words of [`Notice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NoticeCode {
    /// A pull secret is named that does not exist.
    PullSecretMissing,
    /// A tag with `IfNotPresent`: nodes may run different content under one name.
    MutableTag,
    /// No tag and no digest: `latest` is meant.
    ImplicitLatest,
    /// No registry is named: Docker Hub is meant.
    ImplicitDockerHub,
    /// Some of the nodes that the pod can land on find nothing for them in the image.
    PartialPlatform,
    /// A single manifest for another processor than the nodes have: it is pulled, and does not start.
    WrongArchitecture,
    /// The image is there, and the registry says that nothing is left of its limit: the next pull is refused.
    NoPullsLeft,
    /// A login that pulled, or stood beside the one that did, ends soon or is over by its own word.
    CredentialsExpireSoon,
}

// === impl Code ===

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 19] = [
        Self::InvalidImageName,
        Self::TagNotFound,
        Self::DigestNotFound,
        Self::RepositoryNotFound,
        Self::NotFoundOrNoAccess,
        Self::CredentialsMissing,
        Self::CredentialsRejected,
        Self::CredentialsExpired,
        Self::AccessDenied,
        Self::PullSecretMalformed,
        Self::PlatformMismatch,
        Self::UnsupportedManifest,
        Self::BlockedByRegistry,
        Self::RegistryNotAllowed,
        Self::RateLimited,
        Self::RegistryUnreachable,
        Self::RegistryError,
        Self::NotChecked,
        Self::ErrImageNeverPull,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidImageName => "InvalidImageName",
            Self::TagNotFound => "TagNotFound",
            Self::DigestNotFound => "DigestNotFound",
            Self::RepositoryNotFound => "RepositoryNotFound",
            Self::NotFoundOrNoAccess => "NotFoundOrNoAccess",
            Self::CredentialsMissing => "CredentialsMissing",
            Self::CredentialsRejected => "CredentialsRejected",
            Self::CredentialsExpired => "CredentialsExpired",
            Self::AccessDenied => "AccessDenied",
            Self::PullSecretMalformed => "PullSecretMalformed",
            Self::PlatformMismatch => "PlatformMismatch",
            Self::UnsupportedManifest => "UnsupportedManifest",
            Self::BlockedByRegistry => "BlockedByRegistry",
            Self::RegistryNotAllowed => "RegistryNotAllowed",
            Self::RateLimited => "RateLimited",
            Self::RegistryUnreachable => "RegistryUnreachable",
            Self::RegistryError => "RegistryError",
            Self::NotChecked => "NotChecked",
            Self::ErrImageNeverPull => "ErrImageNeverPull",
        }
    }

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::InvalidImageName => "the reference does not parse",
            Self::TagNotFound => "the repository answers, the tag is not there",
            Self::DigestNotFound => "the repository answers, the digest is not there",
            Self::RepositoryNotFound => "the registry says that the repository does not exist",
            Self::NotFoundOrNoAccess => "missing or private: the registry hides the difference",
            Self::CredentialsMissing => "the registry wants a login, and no pull secret matches this host and path",
            Self::CredentialsRejected => "a matching login is wrong",
            Self::CredentialsExpired => "a matching login was refused, and its own time is over",
            Self::AccessDenied => "a valid login may not pull this repository",
            Self::PullSecretMalformed => "a pull secret that no kubelet can decode fails every image of the pod",
            Self::PlatformMismatch => "the image has nothing for any node that the pod can land on",
            Self::UnsupportedManifest => "what is there is no image that a runtime runs",
            Self::BlockedByRegistry => "the image exists, but the registry's own policy refuses the pull",
            Self::RegistryNotAllowed => "the operator's list refuses this registry",
            Self::RateLimited => "the registry counts requests, and there were too many",
            Self::RegistryUnreachable => "no connection to the registry",
            Self::RegistryError => "the registry failed, or its answer makes no sense",
            Self::NotChecked => "pullgate could not or would not look",
            Self::ErrImageNeverPull => "the policy is Never, and no node reports the image",
        }
    }

    /// Whether the code, taken alone, means that the node would fail and that trying again will not help.
    pub fn certain(self) -> bool {
        match self {
            Self::RateLimited
            | Self::RegistryUnreachable
            | Self::RegistryError
            | Self::NotChecked
            | Self::ErrImageNeverPull => false,
            Self::InvalidImageName
            | Self::TagNotFound
            | Self::DigestNotFound
            | Self::RepositoryNotFound
            | Self::NotFoundOrNoAccess
            | Self::CredentialsMissing
            | Self::CredentialsRejected
            | Self::CredentialsExpired
            | Self::AccessDenied
            | Self::PullSecretMalformed
            | Self::PlatformMismatch
            | Self::UnsupportedManifest
            | Self::BlockedByRegistry
            | Self::RegistryNotAllowed => true,
        }
    }

    /// Whether the registry gave no answer about the image.
    pub fn unchecked(self) -> bool {
        matches!(self, Self::RateLimited | Self::RegistryUnreachable | Self::RegistryError | Self::NotChecked)
    }

    /// Whether the code is a refusal that other credentials (a node's own, say) could turn into a success.
    pub fn refusal(self) -> bool {
        matches!(
            self,
            Self::NotFoundOrNoAccess
                | Self::CredentialsMissing
                | Self::CredentialsRejected
                | Self::CredentialsExpired
                | Self::AccessDenied
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl NoticeCode ===

impl NoticeCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::PullSecretMissing,
        Self::MutableTag,
        Self::ImplicitLatest,
        Self::ImplicitDockerHub,
        Self::PartialPlatform,
        Self::WrongArchitecture,
        Self::CredentialsExpireSoon,
        Self::NoPullsLeft,
    ];

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::PullSecretMissing => "a pull secret is named that is not in the namespace",
            Self::MutableTag => "a tag with IfNotPresent: nodes may run different content under one name",
            Self::ImplicitLatest => "no tag and no digest: latest is meant",
            Self::ImplicitDockerHub => "no registry is named: Docker Hub is meant",
            Self::PartialPlatform => "some of the nodes that the pod can land on find nothing for them in the image",
            Self::WrongArchitecture => {
                "one manifest, for another processor than the nodes have: it is pulled and does not start"
            }
            Self::CredentialsExpireSoon => "a login ends soon, or is over by its own word",
            Self::NoPullsLeft => "the image is there, and the registry says that none of its pulls is left",
        }
    }

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PullSecretMissing => "PullSecretMissing",
            Self::MutableTag => "MutableTag",
            Self::ImplicitLatest => "ImplicitLatest",
            Self::ImplicitDockerHub => "ImplicitDockerHub",
            Self::PartialPlatform => "PartialPlatform",
            Self::WrongArchitecture => "WrongArchitecture",
            Self::NoPullsLeft => "NoPullsLeft",
            Self::CredentialsExpireSoon => "CredentialsExpireSoon",
        }
    }
}
