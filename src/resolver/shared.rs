//! A second level of facts for many replicas: what one of them resolved, the others need not ask for.
//!
//! Between the local cache and the registry stands a store (Valkey, Redis) that only ever holds successes, each under a
//! keyed hash of its key and with a MAC ([`seal`]). What is read there is a borrowed [`Fact`] with the lifetime of any
//! other: it may allow, never pin or deny. A store that is slow, gone or lying is as good as none.

pub mod seal;
#[cfg(feature = "redis")]
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::time::{Instant, timeout_at};

use crate::metrics::Metrics;
use crate::registry::Ask;
use crate::registry::failure::Failure;
use crate::registry::manifest::Manifest;
use crate::resolver::fact::{Fact, Terms};
use crate::resolver::shared::seal::{Seal, Success};
use crate::resolver::{Inner, Key};
use crate::time::since;

#[cfg(feature = "redis")]
pub use self::server::{Place, PlaceError, Server};

/// For this long the store is not asked again for the same fact: a storm of one image is one question.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Answers of the store that are remembered for [`LOOK_AGAIN`].
#[cfg(any(feature = "redis", test))]
const MAX_LOOKS: u64 = 10_000;

/// The second level, as one replica sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shared {
    seal: Arc<Seal>,
    store: Store,
    metrics: Metrics,
    looks: Cache<Key, (Option<Arc<Fact>>, Timestamp)>,
}

/// Where entries lie.
#[derive(Clone, Debug)]
enum Store {
    #[cfg(feature = "redis")]
    Server(Server),
    #[cfg(test)]
    Memory(tests::Memory),
}

/// Why the store says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "for a server"))]
enum Silence {
    /// It failed a moment ago, or is not reached yet: it was not asked.
    Resting,
    /// It did not answer in time.
    Timeout,
    /// It answered with an error, or the connection broke.
    Error,
    /// Too many writes are under way.
    Busy,
}

// === impl Shared ===

impl Shared {
    /// The level in a server. `seal` decides with whom it is shared.
    #[cfg(feature = "redis")]
    pub fn new(seal: Seal, server: Server, metrics: Metrics) -> Self {
        Self::over(seal, Store::Server(server), metrics)
    }

    #[cfg(any(feature = "redis", test))]
    fn over(seal: Seal, store: Store, metrics: Metrics) -> Self {
        metrics.shared_cache();
        let looks = Cache::builder().max_capacity(MAX_LOOKS).time_to_live(LOOK_AGAIN * 2).build();
        Self { seal: Arc::new(seal), store, metrics, looks }
    }

    /// What another replica knows, if it is good for anything. One question for all who ask now.
    async fn look(&self, key: &Key, terms: Terms, now: Timestamp) -> Option<Arc<Fact>> {
        let over = |(_, at): &(_, Timestamp)| now < *at || since(*at, now) >= LOOK_AGAIN;
        let look = async { (self.read(key, terms, now).await.map(Arc::new), now) };
        self.looks.entry(key.clone()).or_insert_with_if(Box::pin(look), over).await.into_value().0
    }

    async fn read(&self, key: &Key, terms: Terms, now: Timestamp) -> Option<Fact> {
        let name = self.name(key);
        let (outcome, fact) = match self.store.read(&name, now).await {
            Ok(entry) if entry.is_empty() => ("miss", None),
            Ok(entry) => match self.seal.open(&name, &entry, now) {
                Ok(Success { manifest, at, by_digest }) => {
                    ("hit", Some(Fact::borrowed(manifest, at, Terms { by_digest, ..terms })))
                }
                Err(refused) => (refused.as_str(), None),
            },
            Err(silence) => (silence.as_str(), None),
        };
        self.metrics.shared_read(outcome);
        fact
    }

    fn name(&self, key: &Key) -> String {
        self.seal.name(key.plain_http, &key.reference, key.id)
    }
}

// === impl Inner ===

impl Inner {
    /// What other replicas know beside what is `held`, whichever says more.
    pub(super) async fn borrow(
        &self,
        key: &Key,
        held: Option<Arc<Fact>>,
        ask: &Ask,
        now: Timestamp,
        deadline: Instant,
    ) -> Option<Arc<Fact>> {
        let Some(shared) = &self.shared else { return held };
        let terms = self.terms(ask, ask.reference.digest().is_some());
        let Ok(Some(found)) = timeout_at(deadline, shared.look(key, terms, now)).await else { return held };
        // Another review may have asked the registry meanwhile.
        match self.facts.get(key).await.or(held) {
            Some(held) if !found.supersedes(&held) => Some(held),
            Some(_) | None => {
                self.facts.insert(key.clone(), Arc::clone(&found)).await;
                Some(found)
            }
        }
    }

    /// Lets the other replicas know; a refusal that is certain only takes away what they may have been told.
    pub(super) fn lend(&self, key: &Key, asked: &Result<Manifest, Failure>, at: Timestamp, by_digest: bool) {
        let Some(shared) = &self.shared else { return };
        let name = shared.name(key);
        let entry = match asked {
            Ok(manifest) => shared.seal.close(&name, &Success { manifest: manifest.clone(), at, by_digest }),
            Err(failure) if failure.code.certain() => None,
            Err(_) => return,
        };
        shared.store.write(name, entry, (self.clock)(), &shared.metrics);
    }
}

// === impl Store ===

impl Store {
    /// What lies under a name, no bytes if nothing does.
    #[cfg_attr(not(feature = "redis"), expect(unused_variables, clippy::unused_async, reason = "for a server"))]
    async fn read(&self, name: &str, now: Timestamp) -> Result<Vec<u8>, Silence> {
        match *self {
            #[cfg(feature = "redis")]
            Self::Server(ref server) => server.read(name, now).await,
            #[cfg(test)]
            Self::Memory(ref memory) => Ok(memory.read(name)),
        }
    }

    /// Puts an entry under a name, or takes away what is there. Returns at once, whatever becomes of it.
    #[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "for a server"))]
    #[cfg_attr(
        not(any(feature = "redis", test)),
        expect(clippy::needless_pass_by_value, reason = "no store can exist")
    )]
    fn write(&self, name: String, entry: Option<Vec<u8>>, now: Timestamp, metrics: &Metrics) {
        match *self {
            #[cfg(feature = "redis")]
            Self::Server(ref server) => server.write(name, entry, now, metrics.clone()),
            #[cfg(test)]
            Self::Memory(ref memory) => memory.write(name, entry),
        }
    }
}

// === impl Silence ===

impl Silence {
    fn as_str(self) -> &'static str {
        match self {
            Self::Resting => "resting",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Busy => "busy",
        }
    }
}
