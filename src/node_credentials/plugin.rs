//! One declared plugin: an image to the logins it gives, from what is held or from one call that all callers share.
//!
//! A call runs in a task of its own with the kubelet's limit. A review that cannot wait leaves; the answer is held for
//! the next one. Failures are not held, as in the kubelet.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tracing::warn;

use super::account::{self, Account, AccountTokens, Identity};
use super::cache::{AccountKey, Cache};
use super::declaration::Provider;
use super::exec::{self, Program};
use super::protocol::{self, Response};
use super::unusable::Unusable;
use crate::credentials::url_match::Pattern;
use crate::credentials::{Entries, Source};
use crate::metrics::Metrics;
use crate::time::Clock;

/// Calls of one plugin at once. Who waits finds the answer of the first if that is for the whole registry.
const MAX_CALLS: usize = 8;

/// Calls of one plugin that run or wait. Image names are chosen by tenants.
const MAX_FLIGHTS: usize = 1024;

/// A plugin with its state.
#[derive(Debug)]
pub(super) struct Plugin {
    provider: Provider,
    program: Program,
    pub(super) source: Source,
    limit: Duration,
    clock: Clock,
    metrics: Metrics,
    tokens: Option<Arc<dyn AccountTokens>>,
    turns: Semaphore,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

/// What every plugin shares.
pub(super) struct Shares<'a> {
    pub(super) bin_dir: &'a Path,
    pub(super) limit: Duration,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Metrics,
    pub(super) tokens: Option<&'a Arc<dyn AccountTokens>>,
}

#[derive(Debug, Default)]
struct State {
    cache: Cache,
    flights: HashMap<FlightKey, Flight>,
    started: u64,
}

type FlightKey = (String, Option<Arc<AccountKey>>);

type Outcome = Result<Entries, Unusable>;

#[derive(Debug)]
struct Flight {
    number: u64,
    began: Timestamp,
    outcome: Shared<BoxFuture<'static, Outcome>>,
}

// === impl Plugin ===

impl Plugin {
    pub(super) fn new(provider: Provider, shares: &Shares<'_>) -> Arc<Self> {
        shares.metrics.credential_plugin(&provider.name);
        Arc::new(Self {
            program: Program {
                path: shares.bin_dir.join(&*provider.name),
                args: provider.args.clone(),
                env: provider.env.clone(),
            },
            source: Source::Plugin(Arc::clone(&provider.name)),
            provider,
            limit: shares.limit,
            clock: shares.clock.clone(),
            metrics: shares.metrics.clone(),
            tokens: shares.tokens.cloned(),
            turns: Semaphore::new(MAX_CALLS),
            places: Arc::new(Semaphore::new(MAX_FLIGHTS)),
            state: Mutex::default(),
        })
    }

    /// Whether the kubelet would call it for this repository.
    pub(super) fn matches(&self, repository: &Pattern) -> bool {
        self.provider.matches(repository)
    }

    /// The logins for an image, which matches; with `not_before`, from a call that began at that time or later.
    pub(super) async fn entries(
        self: &Arc<Self>,
        image: &str,
        account: Account<'_>,
        not_before: Option<Timestamp>,
    ) -> Outcome {
        let identity = match &self.provider.token_attributes {
            Some(attributes) if account.name.is_empty() && attributes.require_account => return Ok(Entries::default()),
            Some(attributes) if !account.name.is_empty() => {
                match account::identity(self.tokens.as_ref(), attributes, account, not_before).await {
                    Ok(Some(identity)) => Some(identity),
                    Ok(None) => return Ok(Entries::default()),
                    Err(why) => {
                        self.record(image, Some(&why), 0);
                        return Err(why);
                    }
                }
            }
            _ => None,
        };
        match self.board(image, identity, not_before) {
            Ok(flight) => flight.await,
            Err(outcome) => outcome,
        }
    }

    /// The call under way for the same image and account, or a new one; `Err`: what is known without a call.
    fn board(
        self: &Arc<Self>,
        image: &str,
        identity: Option<Identity>,
        not_before: Option<Timestamp>,
    ) -> Result<Shared<BoxFuture<'static, Outcome>>, Outcome> {
        let now = (self.clock)();
        let account = identity.as_ref().map(|identity| Arc::clone(&identity.key));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = state.cache.get(image, account.as_ref(), now, not_before) {
            return Err(Ok(entries));
        }
        let key = (image.to_owned(), account);
        if let Some(flight) = state.flights.get(&key)
            && not_before.is_none_or(|not_before| flight.began >= not_before)
            // Only a call that panicked is over and still here.
            && flight.outcome.peek().is_none()
        {
            return Ok(flight.outcome.clone());
        }
        // Calls are counted, not keys: one that came too early for a review is replaced here and goes on.
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            drop(state);
            self.record(image, Some(&Unusable::Overload), 0);
            return Err(Err(Unusable::Overload));
        };
        state.started += 1;
        let number = state.started;
        // The task waits for the lock before it ends, so that it finds the flight that it takes away.
        let call = Arc::clone(self).fly(number, key.clone(), identity, not_before);
        let task = tokio::spawn(async move {
            let _place = place;
            call.await
        });
        let outcome = async move { task.await.unwrap_or(Err(Unusable::Failed)) }.boxed().shared();
        state.flights.insert(key, Flight { number, began: now, outcome: outcome.clone() });
        Ok(outcome)
    }

    async fn fly(
        self: Arc<Self>,
        number: u64,
        key: FlightKey,
        identity: Option<Identity>,
        not_before: Option<Timestamp>,
    ) -> Outcome {
        let outcome = self.take_turn(&key, identity, not_before).await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.flights.get(&key).is_some_and(|flight| flight.number == number) {
            state.flights.remove(&key);
        }
        outcome
    }

    async fn take_turn(
        &self,
        (image, account): &FlightKey,
        identity: Option<Identity>,
        not_before: Option<Timestamp>,
    ) -> Outcome {
        let Ok(Ok(_turn)) = tokio::time::timeout(self.limit, self.turns.acquire()).await else {
            self.record(image, Some(&Unusable::Overload), 0);
            return Err(Unusable::Overload);
        };
        let asked = (self.clock)();
        let held = |state: &State| state.cache.get(image, account.as_ref(), asked, not_before);
        if let Some(entries) = held(&self.state.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(entries);
        }
        let (outcome, stderr_bytes) = self.call(image, identity).await;
        self.record(image, outcome.as_ref().err(), stderr_bytes);
        let Response { scope, lifetime, logins } = outcome?;
        let entries = Entries::new(&self.source, logins);
        let lifetime = ((self.clock)(), lifetime.unwrap_or(self.provider.default_cache_duration));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cache.put(scope, image, account.as_ref(), entries.clone(), asked, lifetime);
        Ok(entries)
    }

    async fn call(&self, image: &str, identity: Option<Identity>) -> (Result<Response, Unusable>, u64) {
        let token = match &identity {
            None => None,
            Some(identity) => match identity.token().await {
                Ok(token) => Some(token),
                Err(why) => return (Err(why), 0),
            },
        };
        let none = BTreeMap::new();
        let annotations = identity.as_ref().map_or(&none, |identity| &identity.key.annotations);
        let request = protocol::request(self.provider.version, image, token.as_ref(), annotations);
        let run = exec::run(&self.program, &request, self.limit).await;
        let read = |text: secrecy::SecretSlice<u8>| protocol::response(self.provider.version, text.expose_secret());
        let response = run.outcome.and_then(read).and_then(|response| match (&token, &identity) {
            (Some(token), Some(identity)) if !identity.may_echo && response.has_password(token) => {
                Err(Unusable::TokenEchoed)
            }
            _ => Ok(response),
        });
        (response, run.stderr_bytes)
    }

    fn record(&self, image: &str, failed: Option<&Unusable>, stderr_bytes: u64) {
        self.metrics.credential_plugin_call(&self.provider.name, failed.map_or("ok", Unusable::as_str));
        if let Some(why) = failed {
            let plugin = &*self.provider.name;
            warn!(plugin, image, error = %why, stderr_bytes, "A credential provider gave nothing: refusals there are uncertain");
        }
    }
}
