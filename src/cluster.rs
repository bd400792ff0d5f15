//! What is read from the cluster: Secrets and `ServiceAccounts`, by name, one at a time.

pub mod files;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use crate::credentials::PullSecret;

/// What a reading found. `Forbidden` and `Unavailable` say nothing about the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// It is there.
    Found(T),
    /// It is certainly not there.
    Absent,
    /// pullgate may not read it.
    Forbidden,
    /// The cluster did not answer; why, in words.
    Unavailable(String),
}

/// What a reading gives.
pub type ReadFuture<'a, T> = Pin<Box<dyn Future<Output = Reading<T>> + Send + 'a>>;

/// A cluster, as far as pull secrets go. No listing, no watching.
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
}
