//! What a denial may name beside the image: repositories that pods of the same namespace got, as long as the fact is held
//! that the very same login sees them, and the same image at another registry that the pod has a login for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use moka::future::Cache;
use tokio::time::{Instant, timeout_at};

use crate::credentials::{Candidate, Credential, CredentialId};
use crate::policy::RegistryRule;
use crate::reference::Reference;
use crate::registry::Ask;
use crate::registry::transport::Intent;
use crate::resolver::fact::Freshness;
use crate::resolver::{HELD, Inner, Key, Priority, Resolver};

/// Namespaces remembered at most.
const MAX_NAMESPACES: u64 = 2_000;

/// Repositories remembered at most for one of them; the one that was not used for the longest time goes first.
const MAX_REPOSITORIES: usize = 32;

/// By namespace, what was resolved for it.
#[derive(Debug)]
pub(super) struct Neighbours(Cache<String, Arc<Mutex<VecDeque<Seen>>>>);

/// A repository, and the fact that shows who may see it.
#[derive(Clone, Debug)]
struct Seen {
    name: String,
    key: Key,
}

// === impl Neighbours ===

impl Neighbours {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MAX_NAMESPACES).time_to_idle(HELD).build())
    }
}

// === impl Resolver ===

impl Resolver {
    /// Takes note that `reference` was resolved for a pod of `namespace` with the login `id`.
    pub async fn remember(&self, namespace: &str, rule: &RegistryRule, reference: &Reference, id: CredentialId) {
        let held = &self.inner.neighbours.0;
        let seen = match held.get(namespace).await {
            Some(seen) => seen,
            None => held.get_with(namespace.to_owned(), async { Arc::default() }).await,
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.iter().position(|seen| seen.key.id == id && seen.name == reference.name());
        let mut this = match known.and_then(|index| seen.remove(index)) {
            Some(this) => this,
            None => Seen {
                name: reference.name().to_owned(),
                key: Key { plain_http: rule.plain_http, reference: String::new(), id },
            },
        };
        let form = reference.runtime_form();
        if this.key.reference != form {
            this.key.reference = form;
        }
        seen.push_back(this);
        if seen.len() > MAX_REPOSITORIES {
            seen.pop_front();
        }
    }

    /// The repositories that pods of `namespace` got and that are seen without a login, or with one that `logins` names
    /// for the repository.
    pub async fn neighbours(&self, namespace: &str, logins: impl Fn(&str) -> Vec<Candidate>) -> Vec<String> {
        let inner = &self.inner;
        let Some(seen) = inner.neighbours.0.get(namespace).await else { return Vec::new() };
        let seen: Vec<Seen> = seen.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let now = (inner.clock)();
        let mut names = Vec::new();
        for Seen { name, key } in seen {
            let own = |candidate: &Candidate| inner.identity.id(candidate.credential.as_deref()) == key.id;
            let visible = key.id == CredentialId::ANONYMOUS || logins(&name).iter().any(own);
            if visible && inner.facts.get(&key).await.is_some_and(|fact| fact.stands_in(now).is_some()) {
                names.push(name);
            }
        }
        names
    }

    /// Whether the registry of `reference` has it for `candidate`, asked for nobody's pull: only where it is well, and not
    /// past `until`. A fact that is held answers, too.
    pub async fn has(
        &self,
        rule: &RegistryRule,
        reference: &Arc<Reference>,
        candidate: &Candidate,
        until: Instant,
    ) -> Option<bool> {
        let inner = &self.inner;
        let login = candidate.credential.as_deref().and_then(Credential::login).is_some();
        if !login || self.priority == Priority::Background {
            return None;
        }
        let id = inner.identity.id(candidate.credential.as_deref());
        let key = Key { plain_http: rule.plain_http, reference: reference.runtime_form(), id };
        if let Some(fact) = inner.facts.get(&key).await
            && fact.good((inner.clock)(), Freshness::Cached)
        {
            return Some(fact.outcome.is_ok());
        }
        let ask = Ask { intent: Intent::Explain, ..self.question(rule, reference, candidate, id) };
        timeout_at(until, inner.has(ask)).await.ok()?
    }
}

// === impl Inner ===

impl Inner {
    async fn has(&self, ask: Ask) -> Option<bool> {
        // Of the hosts that nodes have for it the first is asked.
        let (ask, host) = if let Some(ways) = self.registry.ways(&ask) {
            let endpoint = Arc::clone(&ways.first()?.endpoint);
            let base = endpoint.base.clone();
            (Ask { endpoint, ..ask }, base)
        } else {
            let host = ask.endpoint.host.clone();
            (ask, host)
        };
        if self.health.troubled_by(&host, ask.id) {
            return None;
        }
        let _turn = self.turns.take(&ask.endpoint.host).await.ok()?;
        self.registry.has(&ask).await
    }
}
