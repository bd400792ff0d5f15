//! No cluster: nothing is found, and nothing is absent.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Cluster, ReadFuture, Reading};
use crate::credentials::PullSecret;
use crate::nodes::Nodes;

/// Answers every reading with [`Reading::NoCluster`].
#[derive(Clone, Copy, Debug)]
pub struct NoCluster;

impl Cluster for NoCluster {
    fn pull_secret<'a>(&'a self, _: &'a str, _: &'a str, _: Option<Timestamp>) -> ReadFuture<'a, Arc<PullSecret>> {
        Box::pin(std::future::ready(Reading::NoCluster))
    }

    fn account_pull_secrets<'a>(&'a self, _: &'a str, _: &'a str, _: Option<Timestamp>) -> ReadFuture<'a, Vec<String>> {
        Box::pin(std::future::ready(Reading::NoCluster))
    }

    fn nodes(&self) -> Option<Arc<Nodes>> {
        None
    }

    fn is_given(&self) -> bool {
        false
    }
}
