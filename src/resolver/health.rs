//! Registries in trouble: a breaker for those that do not answer or only with errors of their own, and a rest for the
//! logins that they limit. Closed, open for a pause, then half open: one question goes through, and its outcome decides.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::credentials::CredentialId;
use crate::finding::Code;
use crate::metrics::Metrics;
use crate::reference::Reference;
use crate::registry::failure::Failure;

/// The first pause after a failure.
const FIRST: Duration = Duration::from_secs(2);

/// Pauses double up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a probe is waited for before another caller may ask; a dialogue takes no longer.
const PROBE: Duration = Duration::from_secs(15);

/// So many images in a row that a registry answers with an error of its own, and it is the registry.
const STORM: usize = 5;

/// Registries remembered at most; names are chosen by tenants.
const MAX_REGISTRIES: usize = 10_000;

/// Logins remembered at most for one registry.
const MAX_LOGINS: usize = 1_000;

/// All registries that are in trouble now.
#[derive(Debug)]
pub(super) struct Health {
    troubled: Mutex<HashMap<String, Trouble>>,
    metrics: Metrics,
}

/// Who asked for what, where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// The registry, or the root of one API where nodes have several.
    pub(super) host: &'a str,
    /// The login, or anonymous.
    pub(super) id: CredentialId,
    /// The image.
    pub(super) reference: &'a Reference,
}

/// Why a question is not asked now.
#[derive(Debug)]
pub(super) struct Held {
    /// What the registry last did.
    pub(super) failure: Failure,
    /// When.
    pub(super) at: Timestamp,
    /// How long nobody asks; zero while one question is under way.
    pub(super) rest: Duration,
}

/// What is wrong with one registry.
#[derive(Debug, Default)]
struct Trouble {
    breaker: Option<Breaker>,
    logins: HashMap<CredentialId, Breaker>,
    /// The images that it answered with an error of its own since any other answer.
    storm: Vec<u64>,
}

/// One that is not closed.
#[derive(Clone, Debug)]
struct Breaker {
    failure: Failure,
    at: Timestamp,
    pause: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open { until: Timestamp },
    HalfOpen { since: Timestamp },
}

// === impl Health ===

impl Health {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { troubled: Mutex::default(), metrics }
    }

    /// Whether the registry may be asked now. After a pause one caller may, and the others only once that one has an
    /// answer.
    ///
    /// # Errors
    /// What it last did.
    pub(super) fn admit(&self, host: &str, id: CredentialId, now: Timestamp) -> Result<(), Box<Held>> {
        let mut troubled = self.troubled();
        let Some(trouble) = troubled.get_mut(host) else {
            return Ok(());
        };
        let Trouble { breaker, logins, .. } = trouble;
        let mut concerned: Vec<&mut Breaker> = breaker.iter_mut().chain(logins.get_mut(&id)).collect();
        if let Some(held) = concerned.iter().find_map(|breaker| breaker.held(now)) {
            return Err(Box::new(held));
        }
        for breaker in &mut concerned {
            breaker.state = State::HalfOpen { since: now };
        }
        if trouble.breaker.is_some() {
            self.metrics.registry_breaker(label(host), 1);
        }
        Ok(())
    }

    /// Whether anything is wrong with the registry, or with the login there: nothing is asked beside the dialogue then.
    pub(super) fn troubled_by(&self, host: &str, id: CredentialId) -> bool {
        let troubled = self.troubled();
        troubled.get(host).is_some_and(|trouble| trouble.breaker.is_some() || trouble.logins.contains_key(&id))
    }

    /// Takes note of the outcome of a question that was asked at `asked`.
    pub(super) fn report(
        &self,
        question: Question<'_>,
        outcome: Result<(), &Failure>,
        asked: Timestamp,
        now: Timestamp,
    ) {
        let Question { host, id, reference } = question;
        let mut troubled = self.troubled();
        let bad = outcome.is_err_and(|failure| {
            matches!(failure.code, Code::RegistryUnreachable | Code::RateLimited) || failure.server_error()
        });
        if !troubled.contains_key(host) {
            if !bad {
                return;
            }
            if troubled.len() >= MAX_REGISTRIES {
                troubled.retain(|_, trouble| trouble.matters(now));
            }
            if troubled.len() >= MAX_REGISTRIES {
                return;
            }
        }
        let trouble = troubled.entry(host.to_owned()).or_default();
        match outcome {
            // Nothing was learnt about the registry: another caller may probe it.
            Err(failure) if failure.code == Code::NotChecked => {
                for breaker in trouble.breaker.iter_mut().chain(trouble.logins.get_mut(&id)) {
                    breaker.unsettled(asked, now);
                }
            }
            Err(failure) if failure.code == Code::RegistryUnreachable => {
                Breaker::trip(&mut trouble.breaker, failure, asked, now);
            }
            Err(failure) if failure.code == Code::RateLimited => {
                trouble.answered();
                let mut rest = trouble.logins.remove(&id);
                Breaker::trip(&mut rest, failure, asked, now);
                if trouble.logins.len() >= MAX_LOGINS {
                    trouble.logins.retain(|_, rest| rest.held(now).is_some());
                }
                if let Some(rest) = rest.filter(|_| trouble.logins.len() < MAX_LOGINS) {
                    trouble.logins.insert(id, rest);
                }
            }
            Err(failure) if failure.server_error() => {
                trouble.rested(id, asked);
                trouble.erred(failure, reference, asked, now);
            }
            Ok(()) | Err(_) => {
                trouble.answered();
                trouble.rested(id, asked);
            }
        }
        let (state, resting) = (trouble.state(), trouble.logins.len());
        if state == 0 && resting == 0 && trouble.storm.is_empty() {
            troubled.remove(host);
        }
        drop(troubled);
        self.metrics.registry_breaker(label(host), state);
        self.metrics.registry_resting(label(host), resting);
    }

    fn troubled(&self) -> MutexGuard<'_, HashMap<String, Trouble>> {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host in the root of an API.
fn label(host: &str) -> &str {
    let rest = host.split_once("://").map_or(host, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

// === impl Trouble ===

impl Trouble {
    /// The registry answered, and not with an error of its own.
    fn answered(&mut self) {
        self.breaker = None;
        self.storm.clear();
    }

    /// The login was not limited; what was asked before it began to be says nothing.
    fn rested(&mut self, id: CredentialId, asked: Timestamp) {
        if self.logins.get(&id).is_some_and(|rest| asked > rest.at) {
            self.logins.remove(&id);
        }
    }

    /// The registry answered with an error of its own.
    fn erred(&mut self, failure: &Failure, reference: &Reference, asked: Timestamp, now: Timestamp) {
        let mut hasher = DefaultHasher::new();
        reference.runtime_form().hash(&mut hasher);
        let image = hasher.finish();
        if self.storm.len() < STORM && !self.storm.contains(&image) {
            self.storm.push(image);
        }
        if self.storm.len() >= STORM {
            Breaker::trip(&mut self.breaker, failure, asked, now);
        } else {
            // It answers, whatever it says.
            self.breaker = None;
        }
    }

    /// 0 closed, 1 half open, 2 open.
    fn state(&self) -> u8 {
        match self.breaker.as_ref().map(|breaker| breaker.state) {
            None => 0,
            Some(State::HalfOpen { .. }) => 1,
            Some(State::Open { .. }) => 2,
        }
    }

    fn matters(&self, now: Timestamp) -> bool {
        self.breaker.iter().chain(self.logins.values()).any(|breaker| breaker.held(now).is_some())
    }
}

// === impl Breaker ===

impl Breaker {
    /// Opens, or stays open; for longer each time that a probe fails.
    fn trip(slot: &mut Option<Self>, failure: &Failure, asked: Timestamp, now: Timestamp) {
        let pause = match slot {
            None => FIRST,
            // Questions that were under way when it began are one failure, not several in a row.
            Some(old) if !old.probed(asked) => {
                if let (State::Open { until }, Some(rest)) = (&mut old.state, failure.retry_after) {
                    *until = after(now, rest).max(*until);
                }
                return;
            }
            Some(old) => (old.pause * 2).min(LONGEST),
        };
        let until = after(now, failure.retry_after.unwrap_or(pause).max(FIRST));
        *slot = Some(Self { failure: failure.clone(), at: now, pause, state: State::Open { until } });
    }

    /// The probe came to nothing.
    fn unsettled(&mut self, asked: Timestamp, now: Timestamp) {
        if self.probed(asked) {
            self.state = State::Open { until: now };
        }
    }

    /// Whether a question that was asked then is the probe.
    fn probed(&self, asked: Timestamp) -> bool {
        matches!(self.state, State::HalfOpen { since } if asked >= since)
    }

    fn held(&self, now: Timestamp) -> Option<Held> {
        let (until, rest) = match self.state {
            State::Open { until } => (until, until.duration_since(now)),
            State::HalfOpen { since } => (after(since, PROBE), SignedDuration::ZERO),
        };
        let rest = Duration::try_from(rest).unwrap_or_default();
        (now < until).then(|| Held { failure: self.failure.clone(), at: self.at, rest })
    }
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| now.checked_add(pause).ok()).unwrap_or(now)
}

#[cfg(test)]
mod tests;
