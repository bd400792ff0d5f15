//! The Nodes of a cluster, followed by a watch: a snapshot is always at hand, and no review waits for one.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::kube::core::{ApiResource, Object};
use ::kube::runtime::WatchStreamExt as _;
use ::kube::runtime::watcher::{self, Event, watcher};
use ::kube::{Api, Client, ResourceExt as _};
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use crate::cluster::server::cause;
use crate::nodes::object::{NodeSpec, NodeStatus};
use crate::nodes::{Node, Nodes};

/// Nodes change with every heartbeat and every pull; the snapshot changes this often at most.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the last snapshot is believed after the watch began to fail.
const TRUSTED: Duration = Duration::from_mins(1);

/// Lists of names that are remembered before those that no node has any more are forgotten.
const KNOWN_LISTS: usize = 20_000;

type NodeObject = Object<NodeSpec, NodeStatus>;

/// The newest snapshot; none before the first list, and none while pullgate may not list Nodes.
#[derive(Debug, Default)]
pub(super) struct NodeWatch {
    current: RwLock<Option<Arc<Nodes>>>,
    failing_since: RwLock<Option<Instant>>,
    trouble: RwLock<Option<Trouble>>,
    answered: Notify,
}

/// Why the API server gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not accept the login.
    Unauthenticated,
    /// What happened, as a predicate of the API server.
    Unreachable(String),
}

/// What is known while the watch goes on.
#[derive(Default)]
struct Following {
    nodes: BTreeMap<String, Arc<Node>>,
    known: HashSet<Arc<[String]>>,
    changed: bool,
    listing: bool,
    silenced: bool,
}

// === impl NodeWatch ===

impl NodeWatch {
    /// The newest snapshot; none once the watch has failed for [`TRUSTED`]: pools come and go.
    pub(super) fn snapshot(&self) -> Option<Arc<Nodes>> {
        let failing = *self.failing_since.read().unwrap_or_else(PoisonError::into_inner);
        if failing.is_some_and(|since| since.elapsed() > TRUSTED) {
            return None;
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the first list or the first refusal, for `at_most`.
    pub(super) async fn first(&self, at_most: Duration) {
        let answered = self.answered.notified();
        if self.snapshot().is_none() && timeout(at_most, answered).await.is_err() && self.snapshot().is_none() {
            self.troubled(Some(Trouble::Unreachable(format!("did not answer within {at_most:?}"))));
        }
    }

    /// Why the API server gave no answer when it was last asked.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn troubled(&self, trouble: Option<Trouble>) {
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Follows the Nodes for as long as it is polled. `client` must be patient: a watch is silent for minutes.
    pub(super) async fn follow(&self, client: Client) {
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Node>(&());
        let nodes: Api<NodeObject> = Api::all_with(client, &resource);
        let mut events = pin!(watcher(nodes, watcher::Config::default()).default_backoff());
        let mut following = Following::default();
        let mut publish_at = Instant::now();
        loop {
            let event = if following.changed && !following.listing {
                timeout_at(publish_at, events.next()).await
            } else {
                Ok(events.next().await)
            };
            match event {
                Err(_) => {
                    self.publish(&mut following);
                    publish_at = Instant::now() + SETTLE;
                }
                Ok(Some(Ok(event))) => {
                    // A list that has begun is not yet an answer.
                    if !matches!(event, Event::Init) {
                        self.failing(None);
                        self.troubled(None);
                    }
                    following.take(event);
                }
                Ok(Some(Err(error))) => {
                    following.complain(&error);
                    self.troubled(trouble(&error));
                    self.failing(Some(Instant::now()));
                    self.answered.notify_waiters();
                }
                Ok(None) => return,
            }
        }
    }

    /// Notes the first failure of several, or the end of them.
    fn failing(&self, at: Option<Instant>) {
        let mut since = self.failing_since.write().unwrap_or_else(PoisonError::into_inner);
        *since = at.map(|at| since.unwrap_or(at));
    }

    fn publish(&self, following: &mut Following) {
        let nodes = Nodes::new(following.nodes.values().map(Arc::clone));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(nodes));
        following.changed = false;
        if following.known.len() > KNOWN_LISTS {
            following.known.retain(|names| Arc::strong_count(names) > 1);
        }
        self.answered.notify_waiters();
    }
}

/// A refusal is an answer; anything else that is no list is none.
fn trouble(error: &watcher::Error) -> Option<Trouble> {
    use watcher::Error as E;
    let (E::InitialListFailed(error) | E::WatchStartFailed(error) | E::WatchFailed(error)) = error else { return None };
    match error {
        ::kube::Error::Api(status) if status.code == 401 => Some(Trouble::Unauthenticated),
        ::kube::Error::Api(_) => None,
        error => Some(Trouble::Unreachable(cause(error))),
    }
}

// === impl Following ===

impl Following {
    fn take(&mut self, event: Event<NodeObject>) {
        match event {
            Event::Init => {
                self.nodes.clear();
                (self.listing, self.changed) = (true, true);
            }
            Event::InitDone => {
                if self.silenced {
                    info!(nodes = self.nodes.len(), "Nodes are followed again");
                }
                (self.listing, self.silenced) = (false, false);
            }
            Event::Apply(object) | Event::InitApply(object) => {
                let name = object.name_any();
                let labels = object.metadata.labels.unwrap_or_default();
                let status = object.status.unwrap_or_default();
                let node = Node::new(&name, labels, object.spec, status, &mut self.known);
                if self.nodes.get(&name).is_none_or(|old| **old != node) {
                    self.nodes.insert(name, Arc::new(node));
                    self.changed = true;
                }
            }
            Event::Delete(object) => {
                self.changed |= self.nodes.remove(&object.name_any()).is_some();
            }
        }
    }

    /// Once for each time that it goes wrong: the watch goes on trying.
    fn complain(&mut self, error: &watcher::Error) {
        if !self.silenced {
            warn!(%error, "Nodes cannot be followed: platforms are judged by the last state for a minute, then not at all");
        }
        self.silenced = true;
    }
}
