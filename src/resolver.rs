//! Candidates in the kubelet's order over a cache of facts: no HTTP here, no judgement either.
//!
//! Every key carries the credential's identity. A thousand callers of one fact make one dialogue; it runs in a task of
//! its own, so that a caller that goes away cancels nobody's work and what finishes late still fills the cache.

pub mod fact;
mod health;
pub mod shared;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::credentials::{Candidate, CredentialId, IdentityKey};
use crate::facts::Attempt;
use crate::finding::{Cause, Code};
use crate::metrics::Metrics;
use crate::nodes::platform::Content;
use crate::policy::RegistryRule;
use crate::reference::{Digest, Reference};
use crate::registry::failure::Failure;
use crate::registry::manifest::{Kind, Manifest};
use crate::registry::{Ask, Endpoint, Registry};
use crate::resolver::fact::{Fact, Freshness};
use crate::resolver::health::Health;
use crate::resolver::shared::Shared;
use crate::time::{Clock, since};

/// Facts held at most; one takes about half a KiB.
const MAX_FACTS: u64 = 50_000;

/// The outer bound of any fact; what it is good for is decided by [`Fact`].
const HELD: Duration = Duration::from_hours(1);

/// Dialogues under way at once, over all registries.
const MAX_DIALOGUES: usize = 512;

/// How long a dialogue waits for its turn before it is an overload.
const TURN: Duration = Duration::from_millis(250);

/// Platforms held at most, over all contents. What a digest names never changes.
const MAX_PLATFORMS: u64 = 200_000;

/// Readings of contents under way at once: fewer than dialogues, which must not wait for them.
const MAX_READINGS: usize = 64;

/// How long content is held that nobody asks for.
const CONTENT_HELD: Duration = Duration::from_hours(24);

/// How long it is not asked again after it could not be read.
const CONTENT_PAUSE: Duration = Duration::from_mins(1);

/// Limit for one dialogue, however many requests it takes.
const DIALOGUE: Duration = Duration::from_secs(15);

/// Shared by all reviews, the command line and the scan.
#[derive(Clone, Debug)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    identity: IdentityKey,
    clock: Clock,
    metrics: Metrics,
    facts: Cache<Key, Arc<Fact>>,
    shared: Option<Shared>,
    contents: Cache<(Digest, Kind), Arc<Content>>,
    readings: Cache<Reading, (Option<Arc<Content>>, Timestamp)>,
    reading_turns: Semaphore,
    health: Health,
    turns: Semaphore,
}

/// One question for content. A failure is nobody else's: it is held under the host and the credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reading {
    digest: Digest,
    kind: Kind,
    name: String,
    id: CredentialId,
}

/// Endpoint, normalised reference, credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    plain_http: bool,
    reference: String,
    id: CredentialId,
}

// === impl Resolver ===

impl Resolver {
    /// A resolver with an empty cache. `identity` keys the cache; replicas that share facts share it.
    pub fn new(registry: Registry, identity: IdentityKey, clock: Clock, metrics: Metrics) -> Self {
        Self::sharing(registry, identity, clock, metrics, None)
    }

    /// The same beside a second level that replicas share.
    pub fn sharing(
        registry: Registry,
        identity: IdentityKey,
        clock: Clock,
        metrics: Metrics,
        shared: Option<Shared>,
    ) -> Self {
        Self(Arc::new(Inner {
            registry,
            identity,
            health: Health::default(),
            clock,
            metrics,
            shared,
            facts: Cache::builder().max_capacity(MAX_FACTS).time_to_live(HELD).build(),
            contents: Cache::builder()
                .max_capacity(MAX_PLATFORMS)
                .weigher(|_, content: &Arc<Content>| content.weight())
                .time_to_idle(CONTENT_HELD)
                .build(),
            readings: Cache::builder().max_capacity(MAX_FACTS).time_to_live(HELD).build(),
            reading_turns: Semaphore::new(MAX_READINGS),
            turns: Semaphore::new(MAX_DIALOGUES),
        }))
    }

    /// Tries `candidates` in order and stops at the first success, as the kubelet does; every attempt is returned.
    /// What is not known at `deadline` is [`Code::NotChecked`].
    pub async fn resolve(
        &self,
        rule: &RegistryRule,
        reference: &Arc<Reference>,
        candidates: &[Candidate],
        freshness: Freshness,
        deadline: Instant,
    ) -> Vec<Attempt> {
        let mut attempts = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let credential = candidate.credential.as_deref();
            let id = self.0.identity.id(credential);
            let login = credential.is_some_and(|credential| credential.login().is_some());
            let key = Key { plain_http: rule.plain_http, reference: reference.runtime_form(), id };
            let ask = || question(rule, reference, candidate, id);
            let (outcome, age, stale) = self.fact(key, ask, freshness, deadline).await;
            let resolved = outcome.is_ok();
            attempts.push(Attempt { source: candidate.source.clone(), login, outcome, age, stale });
            if resolved {
                break;
            }
        }
        attempts
    }

    /// The platforms of what `candidate` was just resolved to, or `None` if they cannot be read before `deadline`.
    ///
    /// The content of a digest is the same under every credential; that the caller may see the digest was decided by
    /// [`Resolver::resolve`].
    pub async fn content(
        &self,
        rule: &RegistryRule,
        reference: &Arc<Reference>,
        candidate: &Candidate,
        manifest: &Manifest,
        deadline: Instant,
    ) -> Option<Arc<Content>> {
        let inner = &self.0;
        let known = (manifest.digest.clone(), manifest.kind);
        if let Some(content) = inner.contents.get(&known).await {
            return Some(content);
        }
        let (digest, kind) = known;
        let id = inner.identity.id(candidate.credential.as_deref());
        let reading = Reading { digest, kind, name: reference.name().to_owned(), id };
        let ask = question(rule, reference, candidate, id);
        let task = tokio::spawn({
            let (inner, manifest) = (Arc::clone(inner), manifest.clone());
            async move { inner.read_content(reading, ask, manifest).await }
        });
        timeout_at(deadline, task).await.ok()?.ok()?
    }

    /// One fact: from the cache where it is good enough, else asked for.
    async fn fact(
        &self,
        key: Key,
        ask: impl FnOnce() -> Ask,
        freshness: Freshness,
        deadline: Instant,
    ) -> (Result<Manifest, Failure>, Duration, bool) {
        let inner = &self.0;
        let now = (inner.clock)();
        let mut cached = inner.facts.get(&key).await;
        if freshness == Freshness::Cached && !cached.as_ref().is_some_and(|fact| fact.good(now, freshness)) {
            cached = inner.borrow(&key, cached, now, deadline).await;
        }
        if let Some(fact) = cached.as_ref().filter(|fact| fact.good(now, freshness)) {
            inner.metrics.fact("cache");
            return match &fact.outcome {
                Err(failure) if !failure.code.certain() => {
                    inner.or_stale(Some(fact.as_ref()), failure.clone(), fact.at, now)
                }
                outcome => (outcome.clone(), fact.age(now), fact.is_borrowed()),
            };
        }
        let (cached, ask) = (cached.as_deref(), ask());
        // Where nodes have several hosts, each of them is looked after on the way.
        let declared = inner.registry.declares(&ask.endpoint.host);
        if !declared && let Err((failure, at)) = inner.health.admit(&ask.endpoint.host, ask.id, now) {
            inner.metrics.fact("breaker");
            return inner.or_stale(cached, failure, at, now);
        }
        let task = tokio::spawn({
            let inner = Arc::clone(inner);
            async move { inner.coalesce(key, ask, freshness).await }
        });
        let fact = match timeout_at(deadline, task).await {
            Ok(Ok(fact)) => fact,
            Ok(Err(_)) => {
                let failure = Failure::own(Code::NotChecked, Cause::Limit, "pullgate failed while it asked");
                return inner.or_stale(cached, failure, now, now);
            }
            Err(_) => {
                let failure = Failure::own(
                    Code::NotChecked,
                    Cause::Deadline,
                    "the registry did not answer before the review's deadline",
                );
                return inner.or_stale(cached, failure, now, now);
            }
        };
        let now = (inner.clock)();
        match &fact.outcome {
            Err(failure) if !failure.code.certain() => inner.or_stale(cached, failure.clone(), fact.at, now),
            outcome => (outcome.clone(), since(fact.at, now), false),
        }
    }
}

// === impl Inner ===

impl Inner {
    /// One dialogue for all callers that want the same fact now.
    async fn coalesce(self: Arc<Self>, key: Key, ask: Ask, freshness: Freshness) -> Arc<Fact> {
        let mut again = true;
        loop {
            let old = self.facts.get(&key).await;
            let entry = self
                .facts
                .entry(key.clone())
                .or_insert_with_if(Box::pin(self.dialogue(&key, &ask, freshness, old)), |fact| {
                    !fact.good((self.clock)(), freshness)
                })
                .await;
            let fresh = entry.is_fresh();
            let fact = entry.into_value();
            // A waiter that needs more than its leader asked for (the reason, say) asks once itself; never after a
            // failure that is uncertain, or the waiters of a dead registry would each wait for it in turn.
            let uncertain = fact.outcome.as_ref().is_err_and(|failure| !failure.code.certain());
            if fresh || uncertain || !again || fact.good((self.clock)(), freshness) {
                return fact;
            }
            again = false;
        }
    }

    /// One reading for all callers that want the same content with the same credential; what is read is for all.
    async fn read_content(self: Arc<Self>, reading: Reading, ask: Ask, manifest: Manifest) -> Option<Arc<Content>> {
        let known = (reading.digest.clone(), reading.kind);
        let read = async {
            self.metrics.fact("content");
            let _turn = timeout(TURN, self.reading_turns.acquire()).await.ok()?.ok()?;
            let content = timeout(DIALOGUE, self.content(&ask, &manifest)).await.ok()?.ok()?;
            let content = Arc::new(content);
            self.contents.insert(known, Arc::clone(&content)).await;
            Some(content)
        };
        let now = (self.clock)();
        let read = async { (read.await, now) };
        let over = |(_, at): &(Option<Arc<Content>>, Timestamp)| since(*at, now) >= CONTENT_PAUSE;
        self.readings.entry(reading).or_insert_with_if(Box::pin(read), over).await.into_value().0
    }

    async fn dialogue(&self, key: &Key, ask: &Ask, freshness: Freshness, old: Option<Arc<Fact>>) -> Arc<Fact> {
        self.metrics.fact("registry");
        // A fact is as old as the question: what changed while the registry thought is not in it.
        let at = (self.clock)();
        let host = &ask.endpoint.host;
        let asked = if let Ok(Ok(_turn)) = timeout(TURN, self.turns.acquire()).await {
            timeout(DIALOGUE, self.ask(ask, freshness, old.as_deref())).await.unwrap_or_else(|_| {
                let detail = format!("{host} kept a dialogue open for {DIALOGUE:?}");
                Err(Failure::own(Code::RegistryUnreachable, Cause::Timeout, detail))
            })
        } else {
            let detail = format!("{MAX_DIALOGUES} other images are being resolved");
            Err(Failure::own(Code::NotChecked, Cause::Overload, detail))
        };
        if !self.registry.declares(host) {
            self.health.report(host, ask.id, &asked, (self.clock)());
        }
        if let (Ok(manifest), None) = (&asked, ask.reference.digest()) {
            // What was checked is what is pinned: the pinned form is known under the same credential.
            let pinned = Key { reference: pinned_form(&ask.reference, manifest), ..key.clone() };
            self.lend(&pinned, &asked, at, true);
            self.facts.insert(pinned, Arc::new(Fact::new(Ok(manifest.clone()), at, true, None))).await;
        }
        self.lend(key, &asked, at, ask.reference.digest().is_some());
        Arc::new(Fact::new(asked, at, ask.reference.digest().is_some(), old.as_deref()))
    }

    async fn ask(&self, ask: &Ask, freshness: Freshness, old: Option<&Fact>) -> Result<Manifest, Failure> {
        let began = match freshness {
            Freshness::Fresh(began) => Some(began),
            Freshness::Cached | Freshness::Own | Freshness::Recent | Freshness::Asked(_) => None,
        };
        if let Some(ways) = self.registry.ways(ask) {
            return self.walk(ask, &ways, began.is_some()).await;
        }
        let refused = match (old, began) {
            // Asked for this very review, only not for its reason.
            (Some(Fact { outcome: Err(failure), at, .. }), Some(began)) if *at >= began && !failure.explained => {
                Err(failure.clone())
            }
            _ => self.registry.resolve(ask).await,
        };
        match refused {
            Err(failure) if began.is_some() && failure.code.certain() && !failure.explained => {
                Err(self.registry.explain(ask, failure).await)
            }
            outcome => outcome,
        }
    }

    /// An uncertain failure, or the last good fact in its place.
    fn or_stale(
        &self,
        cached: Option<&Fact>,
        failure: Failure,
        at: Timestamp,
        now: Timestamp,
    ) -> (Result<Manifest, Failure>, Duration, bool) {
        match cached.and_then(Fact::last_good) {
            Some((manifest, seen)) => {
                self.metrics.fact("stale");
                (Ok(manifest.clone()), since(seen, now), true)
            }
            None => (Err(failure), since(at, now), false),
        }
    }
}

fn question(rule: &RegistryRule, reference: &Arc<Reference>, candidate: &Candidate, id: CredentialId) -> Ask {
    Ask {
        endpoint: Arc::new(Endpoint::new(reference, rule)),
        reference: Arc::clone(reference),
        credential: candidate.credential.clone(),
        id,
    }
}

fn pinned_form(reference: &Reference, manifest: &Manifest) -> String {
    format!("{}@{}", reference.name(), manifest.digest)
}
