//! What registries said last about how much is left, by registry and credential, and what is not asked for its sake.
//!
//! Only what a registry says is counted; a registry that says nothing limits nothing. Admissions are never stopped here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::credentials::CredentialId;
use crate::metrics::Metrics;
use crate::registry::throttle::Quota;
use crate::time::since;

/// How long a quota is believed whose window nobody names.
const WINDOW: Duration = Duration::from_hours(1);

/// Registries remembered at most; names are chosen by tenants.
const MAX_REGISTRIES: usize = 1_000;

/// Credentials remembered at most for one of them.
const MAX_CREDENTIALS: usize = 1_000;

/// What a request is for, as far as that decides whether it may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A question that no review waits for.
    Background,
    /// A GET for the reason of a refusal, or to tell its causes apart. On Docker Hub a GET that succeeds costs a pull.
    Explanation,
    /// A GET for the platforms behind a digest.
    Platforms,
}

/// A use, and the share of the limit, in hundredths, that has to be left for it.
const FLOORS: [(Use, u64); 3] = [(Use::Background, 25), (Use::Explanation, 50), (Use::Platforms, 50)];

/// Every budget that is known.
#[derive(Debug)]
pub(super) struct Budgets {
    held: Mutex<HashMap<String, HashMap<CredentialId, Budget>>>,
    /// How many of them have nothing left: while there is none, nobody looks.
    spent: AtomicUsize,
    metrics: Metrics,
}

/// What one registry said to one credential.
#[derive(Clone, Debug)]
pub struct Budget {
    quota: Quota,
    at: Timestamp,
    /// Not later than the start of the window: nothing came back since.
    began: Timestamp,
}

// === impl Budgets ===

impl Budgets {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { held: Mutex::default(), spent: AtomicUsize::new(0), metrics }
    }

    /// Takes note of one answer.
    pub(super) fn note(&self, host: &str, id: CredentialId, quota: Quota, now: Timestamp) {
        let mut held = self.held();
        if held.len() >= MAX_REGISTRIES && !held.contains_key(host) {
            held.retain(|_, budgets| budgets.values().any(|budget| budget.stands(now)));
        }
        if held.len() >= MAX_REGISTRIES && !held.contains_key(host) {
            return;
        }
        let budgets = held.entry(host.to_owned()).or_default();
        let before = spent(budgets);
        budgets.retain(|_, budget| budget.stands(now));
        if budgets.len() >= MAX_CREDENTIALS && !budgets.contains_key(&id) {
            return;
        }
        // More than before is a new window.
        let began = match budgets.get(&id) {
            Some(old) if quota.remaining <= old.quota.remaining => old.began,
            Some(_) | None => now,
        };
        budgets.insert(id, Budget { quota, at: now, began });
        let lowest = budgets.values().map(|budget| budget.quota.remaining).min();
        let after = spent(budgets);
        self.spent.fetch_add(after, Ordering::Relaxed);
        self.spent.fetch_sub(before, Ordering::Relaxed);
        drop(held);
        if let Some(lowest) = lowest {
            self.metrics.registry_left(host, lowest);
        }
    }

    /// What is known of one credential at one registry.
    pub(super) fn of(&self, host: &str, id: CredentialId, now: Timestamp) -> Option<Budget> {
        self.held().get(host)?.get(&id).filter(|budget| budget.stands(now)).cloned()
    }

    /// The same where nothing is left; costs no lock while that is nowhere so.
    pub(super) fn spent(&self, host: &str, id: CredentialId, now: Timestamp) -> Option<Budget> {
        if self.spent.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.of(host, id, now).filter(|budget| budget.quota.remaining == 0)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, HashMap<CredentialId, Budget>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spent(budgets: &HashMap<CredentialId, Budget>) -> usize {
    budgets.values().filter(|budget| budget.quota.remaining == 0).count()
}

// === impl Budget ===

impl Budget {
    /// Whether enough is left for `purpose`. A limit that is not named has no share.
    pub fn allows(&self, purpose: Use) -> bool {
        let Quota { limit, remaining, .. } = self.quota;
        let limit = u64::from(limit.unwrap_or(1));
        let floor = FLOORS.iter().find(|(known, _)| *known == purpose).map_or(0, |(_, floor)| *floor);
        u64::from(remaining) * 100 >= limit * floor && remaining > 0
    }

    /// `Docker Hub says 3 of 100 pulls left; next window within 2 h`.
    pub fn words(&self, host: &str, now: Timestamp) -> String {
        let Quota { limit, remaining, window, reset, source } = &self.quota;
        let (name, what) = if host == "docker.io" { ("Docker Hub", "pulls") } else { (host, "requests") };
        let of = limit.map(|limit| format!("of {limit} ")).unwrap_or_default();
        let source = source.as_deref().map(|source| format!(" for {source}")).unwrap_or_default();
        let next = match (reset, window) {
            (Some(reset), _) => format!("; next window in {}", about(reset.saturating_sub(since(self.at, now)))),
            (None, Some(window)) => {
                format!("; next window within {}", about(window.saturating_sub(since(self.began, now))))
            }
            (None, None) => String::new(),
        };
        format!("{name} says {remaining} {of}{what} left{source}{next}")
    }

    /// Whether the window that it was said in may still be open.
    fn stands(&self, now: Timestamp) -> bool {
        let (from, length) = match (self.quota.reset, self.quota.window) {
            (Some(reset), _) => (self.at, reset),
            (None, Some(window)) => (self.began, window),
            (None, None) => (self.at, WINDOW),
        };
        since(from, now) < length
    }
}

/// A time to wait, rounded up in steps: a text that changed with every retry would be an event of its own each time.
pub fn about(wait: Duration) -> String {
    match wait.as_millis().div_ceil(1000).max(1) {
        seconds @ ..60 => format!("{} s", seconds.next_multiple_of(10)),
        seconds @ 60..3600 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: CredentialId = CredentialId::ANONYMOUS;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn quota(limit: Option<u32>, remaining: u32) -> Quota {
        Quota { limit, remaining, window: Some(Duration::from_hours(6)), reset: None, source: None }
    }

    fn budgets() -> Budgets {
        Budgets::new(Metrics::new())
    }

    #[test]
    fn each_use_stops_at_its_share_of_the_limit() {
        let table = [
            (Some(100), 100, [true, true, true]),
            (Some(100), 50, [true, true, true]),
            (Some(100), 49, [true, false, false]),
            (Some(100), 25, [true, false, false]),
            (Some(100), 24, [false, false, false]),
            (Some(100), 0, [false, false, false]),
            (Some(1), 1, [true, true, true]),
            (Some(u32::MAX), 1, [false, false, false]),
            // Nothing says what a share would be of.
            (None, 1, [true, true, true]),
            (None, 0, [false, false, false]),
        ];
        for (limit, remaining, expected) in table {
            let budget = Budget { quota: quota(limit, remaining), at: at(0), began: at(0) };
            let allowed = FLOORS.map(|(purpose, _)| budget.allows(purpose));
            assert_eq!(allowed, expected, "{remaining} of {limit:?}");
        }
    }

    #[test]
    fn a_budget_is_of_one_registry_and_one_credential_and_ends_with_its_window() {
        let budgets = budgets();
        budgets.note("docker.io", ID, quota(Some(100), 0), at(0));
        assert!(budgets.spent("docker.io", ID, at(6 * 3600 - 1)).is_some());
        assert!(budgets.spent("docker.io", ID, at(6 * 3600)).is_none());
        let other = crate::credentials::IdentityKey::new(&[1; 32]);
        let other = other.id(Some(&crate::credentials::Credential::new("ann", "right")));
        assert!(budgets.spent("docker.io", other, at(0)).is_none());
        assert!(budgets.spent("ghcr.io", ID, at(0)).is_none());
        budgets.note("docker.io", ID, quota(Some(100), 99), at(10));
        assert!(budgets.spent("docker.io", ID, at(10)).is_none());
        assert_eq!(budgets.spent.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_gauge_is_the_lowest_over_all_credentials() {
        let budgets = budgets();
        let key = crate::credentials::IdentityKey::new(&[1; 32]);
        let other = key.id(Some(&crate::credentials::Credential::new("ann", "right")));
        budgets.note("docker.io", ID, quota(Some(100), 7), at(0));
        budgets.note("docker.io", other, quota(Some(200), 150), at(1));
        let rendered = budgets.metrics.render();
        assert!(rendered.contains("pullgate_registry_quota_left{registry=\"docker.io\"} 7\n"), "{rendered}");
    }

    #[test]
    fn what_is_left_and_until_when_is_said_in_words() {
        let budgets = budgets();
        let hour = 3600;
        budgets.note("docker.io", ID, quota(Some(100), 20), at(0));
        budgets.note("docker.io", ID, quota(Some(100), 3), at(4 * hour));
        let words = budgets.of("docker.io", ID, at(4 * hour)).unwrap().words("docker.io", at(4 * hour));
        assert_eq!(words, "Docker Hub says 3 of 100 pulls left; next window within 2 h");
        let exact = Quota {
            limit: None,
            reset: Some(Duration::from_secs(90)),
            source: Some("203.0.113.7".to_owned()),
            ..quota(None, 3)
        };
        budgets.note("ghcr.io", ID, exact, at(0));
        let words = budgets.of("ghcr.io", ID, at(80)).unwrap().words("ghcr.io", at(80));
        assert_eq!(words, "ghcr.io says 3 requests left for 203.0.113.7; next window in 10 s");
    }

    #[test]
    fn a_wait_is_said_in_steps() {
        for (seconds, expected) in [
            (0, "10 s"),
            (9, "10 s"),
            (10, "10 s"),
            (11, "20 s"),
            (59, "60 s"),
            (60, "1 min"),
            (61, "2 min"),
            (3599, "60 min"),
            (3600, "1 h"),
            (3601, "2 h"),
        ] {
            assert_eq!(about(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }
}
