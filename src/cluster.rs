//! What is read from the cluster: Secrets and `ServiceAccounts`, by name, one at a time; and the Nodes, as last seen.

pub mod files;
#[cfg(not(fuzzing))]
mod installation;
#[cfg(not(fuzzing))]
mod kube;
#[cfg(not(fuzzing))]
mod kubeconfig;
#[cfg(not(fuzzing))]
pub mod lease;
#[cfg(not(fuzzing))]
mod listing;
#[cfg(not(fuzzing))]
mod no_cluster;
#[cfg(not(fuzzing))]
mod nodes;
#[cfg(not(fuzzing))]
mod overlay;
#[cfg(not(fuzzing))]
pub mod own;
#[cfg(not(fuzzing))]
mod release;
mod secret_object;
#[cfg(not(fuzzing))]
mod server;
#[cfg(not(fuzzing))]
mod tokens;

#[cfg(not(fuzzing))]
pub use self::installation::{Inspection, Scope};
#[cfg(not(fuzzing))]
pub use self::kube::KubeCluster;
#[cfg(not(fuzzing))]
pub use self::kubeconfig::{KubeError, KubeOptions, Unnamed};
#[cfg(not(fuzzing))]
pub use self::listing::{Listed, Workloads};
#[cfg(not(fuzzing))]
pub use self::no_cluster::NoCluster;
#[cfg(not(fuzzing))]
pub use self::overlay::{Applied, Overlay};
#[cfg(not(fuzzing))]
pub use self::release::{Release, ReleaseError};
#[cfg(not(fuzzing))]
pub use self::server::Server;
#[cfg(not(fuzzing))]
pub use self::tokens::KubeTokens;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use crate::credentials::PullSecret;
use crate::facts::Unreadable;
use crate::nodes::Nodes;

/// What a reading found. All but `Found` and `Absent` say nothing about the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// It is there.
    Found(T),
    /// It is certainly not there.
    Absent,
    /// The login is accepted and may not read it (403).
    Forbidden,
    /// The API server does not accept the login (401).
    Unauthenticated,
    /// The cluster did not answer; why, in words.
    Unavailable(String),
    /// No cluster was given.
    NoCluster,
}

// === impl Reading ===

impl<T> Reading<T> {
    /// The same reading of what `convert` makes of the object.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Found(object) => Reading::Found(convert(object)),
            Self::Absent => Reading::Absent,
            Self::Forbidden => Reading::Forbidden,
            Self::Unauthenticated => Reading::Unauthenticated,
            Self::Unavailable(why) => Reading::Unavailable(why),
            Self::NoCluster => Reading::NoCluster,
        }
    }

    /// The object, or nothing where it is certainly not there.
    ///
    /// # Errors
    /// Why neither is known.
    pub fn known(self) -> Result<Option<T>, Unreadable> {
        match self {
            Self::Found(object) => Ok(Some(object)),
            Self::Absent => Ok(None),
            Self::Forbidden => Err(Unreadable::Forbidden),
            Self::Unauthenticated => Err(Unreadable::Unauthenticated),
            Self::Unavailable(why) => Err(Unreadable::Unavailable(why)),
            Self::NoCluster => Err(Unreadable::NoCluster),
        }
    }
}

/// What a reading gives.
pub type ReadFuture<'a, T> = Pin<Box<dyn Future<Output = Reading<T>> + Send + 'a>>;

/// A cluster, as far as pulls go. Only Nodes are ever listed and watched.
pub trait Cluster: fmt::Debug + Send + Sync + 'static {
    /// One Secret. With `not_before` the answer was read at that time or later, whatever is held.
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Arc<PullSecret>>;

    /// The `imagePullSecrets` names of one `ServiceAccount`, empty names included.
    fn account_pull_secrets<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Vec<String>>;

    /// The Nodes as they were last seen; `None` where they are not known.
    fn nodes(&self) -> Option<Arc<Nodes>>;

    /// Whether there is a cluster at all. Without one nothing about Secrets, `ServiceAccounts` and Nodes is certain.
    fn is_given(&self) -> bool {
        true
    }

    /// A login that is tried before every pull secret, for whatever pod. No node is known to hold it.
    fn local_login(&self) -> Option<Arc<PullSecret>> {
        None
    }
}

/// What of a Secret of an API server matters. `stringData` goes over `data`, as the API server stores it.
#[cfg(not(fuzzing))]
fn pull_secret(secret: Secret) -> PullSecret {
    let mut data: BTreeMap<String, Vec<u8>> =
        secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect();
    data.extend(secret.string_data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes())));
    stored(secret.metadata.name.unwrap_or_default(), secret.type_, secret.immutable, data)
}

/// A Secret by its fields, as an API server stores it.
fn stored(
    name: String,
    kind: Option<String>,
    immutable: Option<bool>,
    mut data: BTreeMap<String, Vec<u8>>,
) -> PullSecret {
    // Only these keys can make a pull secret; nothing else of it is kept in memory.
    data.retain(|key, _| key == ".dockerconfigjson" || key == ".dockercfg");
    let kind = kind.unwrap_or_else(|| "Opaque".to_owned());
    PullSecret::new(name, kind, data).kept_as_it_is(immutable.unwrap_or_default())
}

/// The names in `imagePullSecrets`, empty ones included.
fn account_names(account: ServiceAccount) -> Vec<String> {
    account.image_pull_secrets.into_iter().flatten().map(|entry| entry.name).collect()
}
