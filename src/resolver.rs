//! Candidates in the kubelet's order over a cache of facts: no HTTP here, no judgement either.
//!
//! Every key carries the credential's identity. A thousand callers of one fact make one dialogue; it runs in a task of
//! its own, so that a caller that goes away cancels nobody's work and what finishes late still fills the cache.

pub mod contents;
mod dialogue;
pub mod fact;
mod health;
mod neighbours;
pub mod shared;
mod turns;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::credentials::{Candidate, Credential, CredentialId, IdentityKey};
use crate::facts::Attempt;
use crate::finding::{Cause, Code};
use crate::metrics::Metrics;
use crate::policy::RegistryRule;
use crate::reference::Reference;
use crate::registry::budget::Use;
use crate::registry::failure::Failure;
use crate::registry::manifest::Manifest;
use crate::registry::transport::Intent;
use crate::registry::{Ask, Endpoint, Registry};
use crate::resolver::contents::Contents;
use crate::resolver::fact::{Fact, Freshness, Lifetimes};
use crate::resolver::health::Health;
use crate::resolver::neighbours::Neighbours;
use crate::resolver::shared::Shared;
use crate::resolver::turns::Turns;
use crate::time::{Clock, since};

/// Facts held at most; one takes about half a KiB.
const MAX_FACTS: u64 = 50_000;

/// The outer bound of any fact; what it is good for is decided by [`Fact`].
const HELD: Duration = Duration::from_hours(1);

/// Limit for one dialogue, however many requests it takes.
const DIALOGUE: Duration = Duration::from_secs(15);

/// Shared by all reviews, the command line and the scan.
#[derive(Clone, Debug)]
pub struct Resolver {
    inner: Arc<Inner>,
    priority: Priority,
    /// On whose behalf is asked.
    namespace: Arc<str>,
}

/// Whether somebody waits for the answer: where little is left of a registry's limit, that is kept for admissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A review, or a command that somebody typed.
    Admission,
    /// A scan, a watch: they stop at a reserve.
    Background,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    identity: IdentityKey,
    clock: Clock,
    metrics: Metrics,
    lifetimes: &'static Lifetimes,
    facts: Cache<Key, Arc<Fact>>,
    shared: Option<Shared>,
    contents: Contents,
    health: Health,
    turns: Turns,
    neighbours: Neighbours,
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
        Self::made(registry, identity, clock, metrics, &Lifetimes::PROMISED, None)
    }

    /// The same with lifetimes of the caller's making.
    pub fn with_lifetimes(
        registry: Registry,
        identity: IdentityKey,
        clock: Clock,
        metrics: Metrics,
        lifetimes: &'static Lifetimes,
    ) -> Self {
        Self::made(registry, identity, clock, metrics, lifetimes, None)
    }

    /// The same beside a second level that replicas share.
    pub fn sharing(
        registry: Registry,
        identity: IdentityKey,
        clock: Clock,
        metrics: Metrics,
        shared: Option<Shared>,
    ) -> Self {
        Self::made(registry, identity, clock, metrics, &Lifetimes::PROMISED, shared)
    }

    fn made(
        registry: Registry,
        identity: IdentityKey,
        clock: Clock,
        metrics: Metrics,
        lifetimes: &'static Lifetimes,
        shared: Option<Shared>,
    ) -> Self {
        let inner = Inner {
            registry,
            identity,
            clock,
            lifetimes,
            shared,
            facts: Cache::builder().max_capacity(MAX_FACTS).time_to_live(HELD).build(),
            contents: Contents::new(),
            health: Health::new(metrics.clone()),
            turns: Turns::new(metrics.clone()),
            neighbours: Neighbours::new(),
            metrics,
        };
        Self { inner: Arc::new(inner), priority: Priority::Admission, namespace: Arc::from("") }
    }

    /// The same resolver for work that nobody waits for.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self { priority: Priority::Background, ..self.clone() }
    }

    /// The same resolver for what a namespace asks: what that costs is counted as its own.
    #[must_use]
    pub fn on_behalf_of(&self, namespace: &str) -> Self {
        Self { namespace: Arc::from(namespace), ..self.clone() }
    }

    /// Tries `candidates` in order and stops at the first success, as the kubelet does; every attempt is returned. Each
    /// is tried once before a login that was refused is shown again. What is not known at `deadline` is
    /// [`Code::NotChecked`].
    pub async fn resolve(
        &self,
        rule: &RegistryRule,
        reference: &Arc<Reference>,
        candidates: &[Candidate],
        freshness: Freshness,
        deadline: Instant,
    ) -> Vec<Attempt> {
        let mut attempts: Vec<Attempt> = Vec::with_capacity(candidates.len());
        let repeat = candidates.len() == 1;
        for candidate in candidates {
            let attempt = self.attempt((rule, reference), candidate, repeat, (freshness, deadline)).await;
            let resolved = attempt.outcome.is_ok();
            attempts.push(attempt);
            if resolved {
                return attempts;
            }
        }
        for (index, candidate) in candidates.iter().enumerate() {
            let once = |attempt: &Attempt| attempt.outcome.as_ref().is_err_and(Failure::refused_once);
            let Some(attempt) = attempts.get_mut(index).filter(|attempt| once(attempt)) else { continue };
            *attempt = self.attempt((rule, reference), candidate, true, (freshness, deadline)).await;
            if attempt.outcome.is_ok() {
                attempts.truncate(index + 1);
                return attempts;
            }
        }
        for failure in attempts.iter_mut().filter_map(|attempt| attempt.outcome.as_mut().err()) {
            if failure.refused_once() {
                let detail = format!("{} refused the login once, and it was not shown again", reference.registry());
                *failure = Failure::own(Code::NotChecked, Cause::Limit, detail);
            }
        }
        attempts
    }

    /// What one candidate gets.
    async fn attempt(
        &self,
        (rule, reference): (&RegistryRule, &Arc<Reference>),
        candidate: &Candidate,
        repeat: bool,
        (freshness, deadline): (Freshness, Instant),
    ) -> Attempt {
        let credential = candidate.credential.as_deref();
        let id = self.inner.identity.id(credential);
        let login = credential.is_some_and(|credential| credential.login().is_some());
        let key = Key { plain_http: rule.plain_http, reference: reference.runtime_form(), id };
        let ask = || Ask { repeat, ..self.question(rule, reference, candidate, id) };
        let (outcome, age, stale) = self.fact(key, ask, freshness, deadline).await;
        let nothing_left =
            outcome.is_ok().then(|| self.inner.registry.nothing_left(reference.registry(), id)).flatten();
        let expiry = credential.and_then(Credential::expiry).cloned();
        Attempt { source: candidate.source.clone(), id, login, expiry, outcome, age, stale, nothing_left }
    }

    fn question(
        &self,
        rule: &RegistryRule,
        reference: &Arc<Reference>,
        candidate: &Candidate,
        id: CredentialId,
    ) -> Ask {
        Ask {
            endpoint: Arc::new(Endpoint::new(reference, rule)),
            reference: Arc::clone(reference),
            credential: candidate.credential.clone(),
            id,
            intent: Intent::Pull,
            namespace: Arc::clone(&self.namespace),
            repeat: true,
        }
    }

    /// One fact: from the cache where it is good enough, else asked for.
    async fn fact(
        &self,
        key: Key,
        ask: impl FnOnce() -> Ask,
        freshness: Freshness,
        deadline: Instant,
    ) -> (Result<Manifest, Failure>, Duration, bool) {
        let inner = &self.inner;
        let now = (inner.clock)();
        let mut cached = inner.facts.get(&key).await;
        if let Some(fact) = cached.as_ref().filter(|fact| fact.good(now, freshness)) {
            return inner.known(fact, now);
        }
        let ask = ask();
        let usable = |fact: &Arc<Fact>| freshness == Freshness::Refreshing && fact.answers_while_asked_again(now);
        let past_its_lifetime = cached.clone().filter(usable);
        if past_its_lifetime.is_none() && matches!(freshness, Freshness::Refreshing | Freshness::Cached) {
            cached = inner.borrow(&key, cached, &ask, now, deadline).await;
            if let Some(fact) = cached.as_ref().filter(|fact| fact.good(now, freshness)) {
                return inner.known(fact, now);
            }
        }
        let cached = cached.as_deref();
        if let Some(fact) = past_its_lifetime.as_deref().filter(|fact| fact.is_asked_again()) {
            return inner.meanwhile(fact, now);
        }
        if self.priority == Priority::Background
            && let Err(failure) = inner.registry.affords(&ask, Use::Background)
        {
            inner.metrics.fact("budget", wanted(&ask));
            return inner.or_stale(cached, failure, now, now);
        }
        // Where nodes have several hosts, each of them is looked after on the way.
        let declared = inner.registry.declares(&ask.endpoint.host);
        if !declared && let Err(held) = inner.health.admit(&ask.endpoint.host, ask.id, now) {
            inner.metrics.fact("breaker", wanted(&ask));
            let failure = inner.with_limits(&ask, held.failure, Some(held.rest));
            return inner.or_stale(cached, failure, held.at, now);
        }
        if let Some(fact) = past_its_lifetime {
            fact.ask_again();
            let answer = inner.meanwhile(&fact, now);
            tokio::spawn({
                let inner = Arc::clone(inner);
                async move {
                    let found = inner.borrow(&key, Some(fact), &ask, now, Instant::now() + DIALOGUE).await;
                    if !found.is_some_and(|fact| fact.good(now, Freshness::Cached)) {
                        inner.coalesce(key, ask, Freshness::Cached).await;
                    }
                }
                .in_current_span()
            });
            return answer;
        }
        let task = tokio::spawn({
            let (inner, key) = (Arc::clone(inner), key.clone());
            async move { inner.coalesce(key, ask, freshness).await }.in_current_span()
        });
        let fact = match timeout_at(deadline, task).await {
            Ok(Ok(fact)) => fact,
            Ok(Err(_)) => {
                let failure = Failure::own(Code::NotChecked, Cause::Limit, "pullgate failed while it asked");
                return inner.or_stale(cached, failure, now, now);
            }
            Err(_) => {
                if let (Freshness::Fresh(began), Some(fact)) = (freshness, inner.facts.get(&key).await)
                    && fact.refused_since(began)
                {
                    return (fact.outcome.clone(), fact.age((inner.clock)()), false);
                }
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
    /// A fact that is good enough; in place of an uncertain failure the last good one.
    fn known(&self, fact: &Fact, now: Timestamp) -> (Result<Manifest, Failure>, Duration, bool) {
        self.metrics.fact("cache", fact.kind());
        match &fact.outcome {
            Err(failure) if !failure.code.certain() => self.or_stale(Some(fact), failure.clone(), fact.at, now),
            outcome => (outcome.clone(), fact.age(now), fact.is_borrowed()),
        }
    }

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

    /// A success that is past its lifetime, while it is asked again.
    fn meanwhile(&self, fact: &Fact, now: Timestamp) -> (Result<Manifest, Failure>, Duration, bool) {
        self.metrics.fact("refreshing", fact.kind());
        (fact.outcome.clone(), fact.age(now), true)
    }

    /// An uncertain failure, or the last good fact in its place.
    fn or_stale(
        &self,
        cached: Option<&Fact>,
        failure: Failure,
        at: Timestamp,
        now: Timestamp,
    ) -> (Result<Manifest, Failure>, Duration, bool) {
        match cached.and_then(|fact| Some((fact, fact.stands_in(now)?))) {
            Some((fact, (manifest, seen))) => {
                self.metrics.fact("stale", fact.wanted());
                (Ok(manifest.clone()), since(seen, now), true)
            }
            None => (Err(failure), since(at, now), false),
        }
    }
}

/// What the metrics call a question that is not asked.
fn wanted(ask: &Ask) -> &'static str {
    if ask.reference.digest().is_some() { "digest" } else { "tag" }
}

fn pinned_form(reference: &Reference, manifest: &Manifest) -> String {
    format!("{}@{}", reference.name(), manifest.digest)
}
