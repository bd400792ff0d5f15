//! How often a registry may see a login fail: registries ban those who keep trying.
//!
//! A refused login is held by its [`CredentialId`] for two minutes; while a login is unproven, one request at a time
//! tries it; and a registry sees at most five failed logins in three minutes from this process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::credentials::CredentialId;
use crate::finding::{Cause, Code};
use crate::registry::failure::Failure;
use crate::time::{Clock, since};

/// How long a refused login is not tried again.
const REFUSED_HELD: Duration = Duration::from_mins(2);

/// How long an accepted login counts as proven.
const PROVEN_HELD: Duration = Duration::from_mins(5);

/// A login proven this recently is presented by many at once. An older proof is renewed by one request first: a
/// password that was changed at the registry is then refused once, not once per image.
const PROVEN_NOW: Duration = Duration::from_secs(10);

/// The window of [`MAX_FAILED`].
const WINDOW: Duration = Duration::from_mins(3);

/// Failed logins that one registry may see in one window.
const MAX_FAILED: usize = 5;

type Key = (Arc<str>, CredentialId);

/// What is known of logins, and the gate before an unproven one.
#[derive(Debug)]
pub(super) struct Logins {
    clock: Clock,
    known: Cache<Key, Known>,
    gates: Cache<Key, Arc<tokio::sync::Mutex<()>>>,
    registries: Mutex<HashMap<Arc<str>, Window>>,
    settled: Notify,
}

#[derive(Clone, Debug)]
enum Known {
    Proven(Timestamp),
    Refused(Timestamp, Arc<Failure>),
}

#[derive(Debug, Default)]
struct Window {
    failed: VecDeque<Timestamp>,
    under_way: usize,
}

/// Whether a registry may see one more login.
enum Room {
    /// Yes, and it is set aside.
    Taken,
    /// Not before one that is under way has its answer.
    Later,
    /// Not in this window.
    None,
}

/// The right to present one login; settle it with what the registry said.
#[derive(Debug)]
#[must_use]
pub(super) struct Permit<'a> {
    logins: &'a Logins,
    key: Key,
    cost: usize,
    _gate: Option<OwnedMutexGuard<()>>,
}

// === impl Logins ===

impl Logins {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: Cache::builder().max_capacity(10_000).time_to_live(PROVEN_HELD).build(),
            gates: Cache::builder().max_capacity(10_000).time_to_idle(Duration::from_mins(1)).build(),
            registries: Mutex::default(),
            settled: Notify::new(),
        }
    }

    /// Whether `id` may be presented to `registry` now. `cost` is how many refusals one try may cause.
    ///
    /// # Errors
    /// The held refusal, or [`Code::NotChecked`] when the registry has seen enough failed logins for a while.
    pub(super) async fn admit(&self, registry: &str, id: CredentialId, cost: usize) -> Result<Permit<'_>, Failure> {
        let key: Key = (Arc::from(registry), id);
        if self.proven(&key, PROVEN_NOW).await? {
            return Ok(Permit { logins: self, key, cost: 0, _gate: None });
        }
        let gate = self.gates.get_with(key.clone(), async { Arc::default() }).await.lock_owned().await;
        if self.proven(&key, PROVEN_NOW).await? {
            return Ok(Permit { logins: self, key, cost: 0, _gate: None });
        }
        if self.proven(&key, PROVEN_HELD).await? {
            return Ok(Permit { logins: self, key, cost: 0, _gate: Some(gate) });
        }
        loop {
            // Made before the look, so that a permit settled in between is not missed.
            let settled = self.settled.notified();
            match self.reserve(&key.0, cost) {
                Room::Taken => break,
                Room::Later => settled.await,
                Room::None => {
                    return Err(Failure::own(
                        Code::NotChecked,
                        Cause::Limit,
                        format!(
                            "{registry} has refused several logins in the last three minutes; pullgate does not try more, so as not to be banned"
                        ),
                    ));
                }
            }
        }
        Ok(Permit { logins: self, key, cost, _gate: Some(gate) })
    }

    /// One try of a login beside the dialogue, whatever is known of it: not where the registry could see one failed login
    /// too many. Nobody waits for it, and it waits for nobody.
    pub(super) fn spare(&self, registry: &str, id: CredentialId) -> Option<Permit<'_>> {
        let key: Key = (Arc::from(registry), id);
        match self.reserve(&key.0, 1) {
            Room::Taken => Some(Permit { logins: self, key, cost: 1, _gate: None }),
            Room::Later | Room::None => None,
        }
    }

    /// Sets aside what one try may cost. Logins under way may yet be accepted, so they make others wait, not fail.
    fn reserve(&self, registry: &Arc<str>, cost: usize) -> Room {
        let now = (self.clock)();
        let mut registries = self.registries();
        registries.retain(|_, window| {
            window.under_way > 0 || window.failed.back().is_some_and(|at| since(*at, now) < WINDOW)
        });
        let window = registries.entry(Arc::clone(registry)).or_default();
        while window.failed.front().is_some_and(|at| since(*at, now) >= WINDOW) {
            window.failed.pop_front();
        }
        if window.failed.len() + cost > MAX_FAILED {
            Room::None
        } else if window.failed.len() + window.under_way + cost > MAX_FAILED {
            Room::Later
        } else {
            window.under_way += cost;
            Room::Taken
        }
    }

    async fn proven(&self, key: &Key, within: Duration) -> Result<bool, Failure> {
        let now = (self.clock)();
        match self.known.get(key).await {
            Some(Known::Refused(at, failure)) if since(at, now) < REFUSED_HELD => {
                let held = REFUSED_HELD.saturating_sub(since(at, now));
                Err(Failure { retry_after: Some(held), ..(*failure).clone() })
            }
            Some(Known::Proven(at)) => Ok(since(at, now) < within),
            Some(Known::Refused(..)) | None => Ok(false),
        }
    }

    fn registries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Window>> {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Permit ===

impl Permit<'_> {
    /// The registry took the login.
    pub(super) async fn accepted(self) {
        self.logins.known.insert(self.key.clone(), Known::Proven((self.logins.clock)())).await;
    }

    /// The registry refused the login, `refusals` times on the wire.
    pub(super) async fn refused(self, failure: &Failure, refusals: usize) {
        let now = (self.logins.clock)();
        self.logins.known.insert(self.key.clone(), Known::Refused(now, Arc::new(failure.clone()))).await;
        self.count(now, refusals);
    }

    /// The registry refused part of the way, but the login itself is not judged.
    pub(super) fn unsettled(self, refusals: usize) {
        self.count((self.logins.clock)(), refusals);
    }

    fn count(&self, now: Timestamp, refusals: usize) {
        let mut registries = self.logins.registries();
        let window = registries.entry(Arc::clone(&self.key.0)).or_default();
        window.failed.extend(std::iter::repeat_n(now, refusals));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(window) = self.logins.registries().get_mut(&self.key.0) {
            window.under_way = window.under_way.saturating_sub(self.cost);
        }
        self.logins.settled.notify_waiters();
    }
}
