//! Everything that is known about one workload when it is judged: plain data between the spine and the verdict.

use std::sync::Arc;
use std::time::Duration;

use crate::credentials::{CredentialId, Expiry, Keyring, MalformedSecret, NotContributing, Source};
use crate::node_credentials::Broken;
use crate::nodes::Eligible;
use crate::nodes::content::ReadContent;
use crate::reference::{Digest, Reference, ReferenceError};
use crate::registry::failure::{Failure, LoginEvidence};
use crate::registry::manifest::Manifest;
use crate::workload::ContainerImage;

/// Everything that is known about one workload.
#[derive(Debug)]
pub struct Facts {
    /// Its pull secrets.
    pub secrets: Secrets,
    /// Its images, in order.
    pub images: Vec<ImageFacts>,
    /// The nodes that it can land on; none where nodes are not known.
    pub eligible: Arc<Eligible>,
}

/// Where the names of the pull secrets stand, and so where one more would be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// In the object, whether of its own or put there by the API server.
    #[default]
    Object,
    /// In the object, and so those of the `ServiceAccount` do not count.
    ObjectNot {
        /// The `ServiceAccount`.
        account: String,
        /// What it names, where that was read.
        theirs: Vec<String>,
    },
    /// The object has entries without a name; and so those of this `ServiceAccount` do not count.
    Nameless(String),
    /// The pod was made before, and keeps the list that it was made with; whatever this `ServiceAccount` names now.
    Existing(String),
    /// In a `ServiceAccount` of this name, which is not there.
    NoAccount(String),
    /// In this `ServiceAccount`.
    Account(String),
    /// Nowhere; neither in this `ServiceAccount`.
    Nobody(String),
}

/// The effective pull secrets of a workload and what each reading found.
#[derive(Debug)]
pub struct Secrets {
    /// The `ServiceAccount` that the names came through, if they did.
    pub account: Option<String>,
    /// Where one more would be named.
    pub named_by: NamedBy,
    /// Named, and certainly not there.
    pub missing: Vec<String>,
    /// There, and of no use to a kubelet.
    pub ignored: Vec<(String, NotContributing)>,
    /// Every name that is given, in order.
    pub named: Vec<String>,
    /// There, and only to be renewed by making them anew: see [`crate::credentials::PullSecret::can_be_renewed`].
    pub unchangeable: Vec<String>,
    /// Not to be read: what was asked for, and why not. Refusals are uncertain then.
    pub unreadable: Vec<(String, Unreadable)>,
    /// No cluster was given: what nodes and other Secrets hold is not known.
    pub no_cluster: bool,
    /// A login of the machine that asks, tried before all others. No node is known to hold it.
    pub local_login: Option<Source>,
    /// The keyring, or the Secret that no kubelet can decode.
    pub keyring: Result<Keyring, MalformedSecret>,
}

/// Why something could not be read from the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The login is accepted and may not read it.
    Forbidden,
    /// The API server does not accept the login.
    Unauthenticated,
    /// The cluster did not answer.
    Unavailable(String),
    /// No cluster was given.
    NoCluster,
}

/// One image and what became of it.
#[derive(Debug)]
pub struct ImageFacts {
    /// The field.
    pub image: Arc<ContainerImage>,
    /// The reference, parsed.
    pub reference: Result<Arc<Reference>, ReferenceError>,
    /// Every candidate tried; empty where nothing was asked.
    pub attempts: Vec<Attempt>,
    /// What nodes hold and could not be read; a login may be missing among the attempts.
    pub unusable: Vec<Broken>,
    /// What is behind its digest, where that matters and could be read.
    pub behind: Behind,
    /// What its name may have been meant to be; looked for once it is certain that it cannot be pulled.
    pub meant: Meant,
}

/// What the registry has behind the digest that an image resolved to. A node fetches by that digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Its platforms and its length.
    pub content: Option<Arc<ReadContent>>,
    /// Why the registry does not serve the digest, although it resolves what was asked for to it.
    pub refused: Option<Failure>,
    /// Entries of the index that nodes fetch and the registry does not have.
    pub missing: Vec<MissingEntry>,
}

/// An entry of an index that the registry does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingEntry {
    /// Which.
    pub digest: Digest,
    /// The registry's answer.
    pub failure: Failure,
}

/// What the name of an image that cannot be had may have been meant to be: normal forms without tag and digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meant {
    /// Repositories near it that pods of the same namespace got, and that the pod's own logins see.
    pub near: Vec<String>,
    /// Where the same tag or digest is, seen with a login of the pod's own.
    pub elsewhere: Vec<String>,
}

/// What one candidate got.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which candidate, by name.
    pub source: Source,
    /// Whose answer it is.
    pub id: CredentialId,
    /// Whether it holds a login that a runtime would send.
    pub login: bool,
    /// When that login ends, where it says so itself.
    pub expiry: Option<Arc<Expiry>>,
    /// The manifest, or why not.
    pub outcome: Result<Manifest, Failure>,
    /// Age of the fact.
    pub age: Duration,
    /// The registry could not be asked again, or is being asked, and the fact is past its lifetime; or another replica
    /// asked: it may allow but never pin or deny.
    pub stale: bool,
    /// It resolves, and the registry says that nothing is left for a pull: in its words.
    pub nothing_left: Option<String>,
}

// === impl Attempt ===

impl Attempt {
    /// Whether the login went over the wire, as far as is known: registries that do not ask for one are sent none.
    pub fn login_sent(&self) -> bool {
        self.login && !self.outcome.as_ref().is_err_and(|failure| failure.login == LoginEvidence::NotSent)
    }
}

// === impl Secrets ===

impl Secrets {
    /// Whether one of the attempts was made with the login of the machine.
    pub fn tried_locally(&self, attempts: &[Attempt]) -> bool {
        self.local_login.as_ref().is_some_and(|login| attempts.iter().any(|attempt| attempt.source == *login))
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            account: None,
            named_by: NamedBy::default(),
            named: Vec::new(),
            missing: Vec::new(),
            ignored: Vec::new(),
            unchangeable: Vec::new(),
            unreadable: Vec::new(),
            no_cluster: false,
            local_login: None,
            keyring: Ok(Keyring::default()),
        }
    }
}
