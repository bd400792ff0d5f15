//! Registries in trouble: a breaker for those that do not answer, a pause for those that said 429.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::credentials::CredentialId;
use crate::finding::Code;
use crate::registry::failure::Failure;
use crate::registry::manifest::Manifest;

/// The first pause after a failure.
const FIRST: Duration = Duration::from_secs(2);

/// Pauses double up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// Registries remembered at most; names are chosen by tenants.
const MAX_REGISTRIES: usize = 10_000;

/// All registries that are in trouble now.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<HashMap<Subject, Trouble>>);

/// What is in trouble: a registry, or one login (or anonymous) at it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Registry(String),
    Login(String, CredentialId),
}

#[derive(Clone, Debug)]
struct Trouble {
    failure: Failure,
    at: Timestamp,
    until: Timestamp,
    pause: Duration,
}

// === impl Health ===

impl Health {
    /// Whether the registry may be asked now; else what it last did, and when. After a pause one caller may ask, and
    /// the pause starts again for the others until that one has an answer.
    pub(super) fn admit(&self, host: &str, id: CredentialId, now: Timestamp) -> Result<(), (Failure, Timestamp)> {
        let mut troubles = self.troubles();
        if troubles.is_empty() {
            return Ok(());
        }
        for subject in [Subject::Registry(host.to_owned()), Subject::Login(host.to_owned(), id)] {
            let Some(trouble) = troubles.get_mut(&subject) else {
                continue;
            };
            if now < trouble.until {
                return Err((trouble.failure.clone(), trouble.at));
            }
            trouble.until = after(now, trouble.pause);
        }
        Ok(())
    }

    /// Takes note of one outcome.
    pub(super) fn report(&self, host: &str, id: CredentialId, outcome: &Result<Manifest, Failure>, now: Timestamp) {
        let registry = Subject::Registry(host.to_owned());
        let login = Subject::Login(host.to_owned(), id);
        let mut troubles = self.troubles();
        let code = outcome.as_ref().err().map(|failure| failure.code);
        let subject = match code {
            // Nothing was learnt about the registry.
            Some(Code::NotChecked) => return,
            Some(Code::RegistryUnreachable) => registry,
            Some(Code::RateLimited) => {
                troubles.remove(&registry);
                login
            }
            _ => {
                troubles.remove(&registry);
                troubles.remove(&login);
                return;
            }
        };
        let Err(failure) = outcome else { return };
        if troubles.len() >= MAX_REGISTRIES {
            troubles.retain(|_, trouble| now < trouble.until);
        }
        let pause = match troubles.get(&subject) {
            // Several requests under way when it began are one failure, not several in a row.
            Some(before) if now < after(before.at, before.pause) => before.pause,
            Some(before) => (before.pause * 2).min(LONGEST),
            None => FIRST,
        };
        let asked = failure.retry_after.unwrap_or(pause).max(FIRST);
        let trouble = Trouble { failure: failure.clone(), at: now, until: after(now, asked), pause };
        if troubles.len() < MAX_REGISTRIES {
            troubles.insert(subject, trouble);
        }
    }

    fn troubles(&self) -> MutexGuard<'_, HashMap<Subject, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| now.checked_add(pause).ok()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Cause;

    const ID: CredentialId = CredentialId::ANONYMOUS;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn down() -> Result<Manifest, Failure> {
        Err(Failure::own(Code::RegistryUnreachable, Cause::Refused, "refused"))
    }

    #[test]
    fn pauses_double_to_thirty_seconds_and_end_with_an_answer() {
        let health = Health::default();
        let mut now = 0;
        for pause in [2, 4, 8, 16, 30, 30] {
            assert!(health.admit("r", ID, at(now)).is_ok(), "probe at {now}");
            health.report("r", ID, &down(), at(now));
            assert!(health.admit("r", ID, at(now + pause - 1)).is_err(), "held for {pause} s");
            now += pause;
        }
        assert!(health.admit("r", ID, at(now)).is_ok());
        let answered = Err(Failure::own(Code::TagNotFound, Cause::Limit, ""));
        health.report("r", ID, &answered, at(now));
        assert!(health.admit("r", ID, at(now)).is_ok() && health.admit("r", ID, at(now)).is_ok());
    }

    #[test]
    fn after_a_pause_one_caller_probes() {
        let health = Health::default();
        health.report("r", ID, &down(), at(0));
        assert!(health.admit("r", ID, at(2)).is_ok());
        assert!(health.admit("r", ID, at(2)).is_err());
        assert!(health.admit("other", ID, at(2)).is_ok());
    }

    #[test]
    fn a_throttled_login_rests_for_as_long_as_it_was_told_to() {
        let health = Health::default();
        let mut failure = Failure::own(Code::RateLimited, Cause::Limit, "");
        failure.retry_after = Some(Duration::from_secs(100));
        health.report("r", ID, &Err(failure), at(0));
        assert!(health.admit("r", ID, at(99)).is_err());
        assert!(health.admit("r", ID, at(101)).is_ok());
    }
}
