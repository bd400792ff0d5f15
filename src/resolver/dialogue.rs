//! One question for one fact: the dialogue with its registry, the reason of a refusal, and what is told to the other
//! levels about the outcome.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use crate::credentials::Credential;
use crate::finding::{Cause, Code};
use crate::registry::Ask;
use crate::registry::budget;
use crate::registry::failure::Failure;
use crate::registry::manifest::Manifest;
use crate::resolver::fact::{Fact, Freshness, Terms};
use crate::resolver::health::Question;
use crate::resolver::{DIALOGUE, Inner, Key, pinned_form};

// === impl Inner ===

impl Inner {
    pub(super) async fn dialogue(
        &self,
        key: &Key,
        ask: &Ask,
        freshness: Freshness,
        old: Option<Arc<Fact>>,
    ) -> Arc<Fact> {
        // A fact is as old as the question: what changed while the registry thought is not in it.
        let at = (self.clock)();
        let host = &ask.endpoint.host;
        let asked = match self.turns.take(host).await {
            Ok(_turn) => {
                timeout(DIALOGUE, self.ask(key, ask, (freshness, at), old.as_deref())).await.unwrap_or_else(|_| {
                    let detail = format!("{host} kept a dialogue open for {DIALOGUE:?}");
                    Err(Failure::own(Code::RegistryUnreachable, Cause::Timeout, detail))
                })
            }
            Err(overload) => Err(overload),
        };
        let asked = if self.registry.declares(host) { asked } else { self.reported(host, ask, asked, at) };
        let terms = |by_digest| self.terms(ask, by_digest);
        if let (Ok(manifest), None) = (&asked, ask.reference.digest()) {
            // What was checked is what is pinned: the pinned form is known under the same credential.
            let pinned = Key { reference: pinned_form(&ask.reference, manifest), ..key.clone() };
            self.lend(&pinned, &asked, at, true);
            if self.facts.get(&pinned).await.is_none_or(|known| known.at <= at) {
                let fact = Fact::new(Ok(manifest.clone()), at, terms(true), None);
                self.facts.insert(pinned, Arc::new(fact)).await;
            }
        }
        self.lend(key, &asked, at, ask.reference.digest().is_some());
        let fact = Fact::new(asked, at, terms(ask.reference.digest().is_some()), old.as_deref());
        self.metrics.fact("registry", fact.kind());
        Arc::new(fact)
    }

    pub(super) fn terms(&self, ask: &Ask, by_digest: bool) -> Terms {
        let expires = ask.credential.as_deref().and_then(Credential::expiry).map(|expiry| expiry.at);
        Terms { lifetimes: self.lifetimes, by_digest, expires }
    }

    /// Tells the outcome of a question to the health of its host; a limit is said with its numbers.
    pub(super) fn reported<T>(
        &self,
        host: &str,
        ask: &Ask,
        outcome: Result<T, Failure>,
        at: Timestamp,
    ) -> Result<T, Failure> {
        let question = Question { host, id: ask.id, reference: &ask.reference };
        self.health.report(question, outcome.as_ref().map(drop), at, (self.clock)());
        outcome.map_err(|failure| self.with_limits(ask, failure, None))
    }

    /// A failure with what the registry says is left, if that is the matter, and for how long it is not asked again.
    pub(super) fn with_limits(&self, ask: &Ask, failure: Failure, rest: Option<Duration>) -> Failure {
        let left = || self.registry.budget(ask).map(|budget| budget.words(&ask.endpoint.host, (self.clock)()));
        let left = (failure.code == Code::RateLimited).then(left).flatten();
        let rest = rest.map(|rest| match rest {
            Duration::ZERO => "it is being asked again".to_owned(),
            rest => format!("not asked again for another {}", budget::about(rest)),
        });
        let words: Vec<String> = [failure.detail, left, rest].into_iter().flatten().collect();
        Failure { detail: (!words.is_empty()).then(|| words.join("; ")), ..failure }
    }

    async fn ask(
        &self,
        key: &Key,
        ask: &Ask,
        (freshness, at): (Freshness, Timestamp),
        old: Option<&Fact>,
    ) -> Result<Manifest, Failure> {
        let began = match freshness {
            Freshness::Fresh(began) => Some(began),
            Freshness::Refreshing | Freshness::Cached | Freshness::Own | Freshness::Recent | Freshness::Asked(_) => {
                None
            }
        };
        if let Some(ways) = self.registry.ways(ask) {
            return self.walk(ask, &ways, began.is_some()).await;
        }
        let refused = match (old, began) {
            // Asked for this very review, only not for its reason.
            (Some(Fact { outcome: Err(failure), at, .. }), Some(began))
                if *at >= began && !failure.settled() && !failure.refused_once() =>
            {
                Err(failure.clone())
            }
            _ => self.registry.resolve(ask).await,
        };
        let Err(failure) = refused else { return refused };
        if began.is_none() || failure.refused_once() {
            return Err(failure);
        }
        let failure = self.worded(ask, failure).await;
        if failure.certain() {
            // What is asked beside changes no verdict, so a review whose time is up has its answer here.
            let fact = Fact::new(Err(failure.clone()), at, self.terms(ask, ask.reference.digest().is_some()), old);
            self.facts.insert(key.clone(), Arc::new(fact)).await;
        }
        Err(self.beside(&ask.endpoint.host, ask, failure).await)
    }

    /// A certain refusal with the registry's reason, and with what one more question tells.
    pub(super) async fn reason(&self, host: &str, ask: &Ask, failure: Failure) -> Failure {
        let failure = self.worded(ask, failure).await;
        self.beside(host, ask, failure).await
    }

    pub(super) async fn worded(&self, ask: &Ask, failure: Failure) -> Failure {
        if failure.code.certain() && !failure.explained {
            return self.registry.explain(ask, failure).await;
        }
        failure
    }

    /// What one more question tells about a refusal; none is asked of a registry that is in trouble.
    async fn beside(&self, host: &str, ask: &Ask, failure: Failure) -> Failure {
        if failure.settled() || failure.refused_once() || self.health.troubled_by(host, ask.id) {
            return failure;
        }
        self.registry.probe(ask, failure).await
    }
}
