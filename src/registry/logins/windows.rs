//! Failed logins of the last three minutes, by server and by the namespace that they were made for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::time::{Clock, since};

/// For how long a failed login counts.
const WINDOW: Duration = Duration::from_mins(3);

/// Failed logins that one server may see in one window on behalf of one namespace.
const PER_NAMESPACE: usize = 12;

/// The same on behalf of all of them, from this process.
const PER_SERVER: usize = 30;

/// Where a failed login counts.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// `host[:port]` of the token server, or of the registry that takes the login itself.
    pub(super) server: Arc<str>,
    pub(super) namespace: Arc<str>,
}

/// How much of a window a try may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// All of it.
    Full,
    /// Half of it: the other half is kept for tries that cannot be spared.
    Half,
}

/// Whether one more login may be shown.
enum Room {
    /// Yes, and its cost is reserved.
    Taken,
    /// Not before one that is under way has its answer.
    Later,
    /// Not in this window.
    None,
}

/// The server, and the namespace; without one, all of them together.
type Key = (Arc<str>, Option<Arc<str>>);

/// What one try may cost, until it is known.
#[derive(Debug)]
pub(super) struct Reservation<'a>(Option<(&'a Windows, Window, usize)>);

/// All windows of one process.
#[derive(Debug)]
pub(super) struct Windows {
    clock: Clock,
    counts: Mutex<HashMap<Key, Count>>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct Count {
    failed: VecDeque<Timestamp>,
    under_way: usize,
}

// === impl Windows ===

impl Windows {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, counts: Mutex::default(), settled: Notify::new() }
    }

    /// Reserves what a try may cost; `None` if the window has no room for it. Logins under way may yet be accepted, so
    /// they make others wait, not fail.
    pub(super) async fn wait_for(&self, window: &Window, cost: usize, limit: Limit) -> Option<Reservation<'_>> {
        loop {
            // Made before the look, so that a login settled in between is not missed.
            let settled = self.settled.notified();
            match self.room(window, cost, limit) {
                Room::Taken => return Some(Reservation(Some((self, window.clone(), cost)))),
                Room::Later => settled.await,
                Room::None => return None,
            }
        }
    }

    /// The same without waiting.
    pub(super) fn reserve(&self, window: &Window, cost: usize, limit: Limit) -> Option<Reservation<'_>> {
        match self.room(window, cost, limit) {
            Room::Taken => Some(Reservation(Some((self, window.clone(), cost)))),
            Room::Later | Room::None => None,
        }
    }

    /// Counts failed logins.
    pub(super) fn count(&self, window: &Window, failed: usize) {
        if failed == 0 {
            return;
        }
        let now = (self.clock)();
        let mut counts = self.counts();
        for key in keys(window) {
            counts.entry(key).or_default().failed.extend(std::iter::repeat_n(now, failed));
        }
    }

    fn room(&self, window: &Window, cost: usize, limit: Limit) -> Room {
        let now = (self.clock)();
        let mut counts = self.counts();
        counts.retain(|_, count| {
            while count.failed.front().is_some_and(|at| since(*at, now) >= WINDOW) {
                count.failed.pop_front();
            }
            count.under_way > 0 || !count.failed.is_empty()
        });
        let (mut failed_fit, mut all_fit) = (true, true);
        for (key, most) in keys(window).iter().zip([PER_NAMESPACE, PER_SERVER]) {
            let most = if limit == Limit::Half { most / 2 } else { most };
            let (failed, under_way) = counts.get(key).map_or((0, 0), |count| (count.failed.len(), count.under_way));
            failed_fit &= failed + cost <= most;
            all_fit &= failed + under_way + cost <= most;
        }
        if !failed_fit {
            return Room::None;
        }
        if !all_fit {
            return Room::Later;
        }
        for key in keys(window) {
            counts.entry(key).or_default().under_way += cost;
        }
        Room::Taken
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The namespace's own count, and that of the whole server.
fn keys(window: &Window) -> [Key; 2] {
    let Window { server, namespace } = window;
    [(Arc::clone(server), Some(Arc::clone(namespace))), (Arc::clone(server), None)]
}

// === impl Reservation ===

impl Reservation<'_> {
    /// Nothing is reserved: failures of the login are counted when they come.
    pub(super) fn none() -> Self {
        Self(None)
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let Some((windows, window, cost)) = self.0.take() else { return };
        let mut counts = windows.counts();
        for key in keys(&window) {
            if let Some(count) = counts.get_mut(&key) {
                count.under_way = count.under_way.saturating_sub(cost);
            }
        }
        drop(counts);
        windows.settled.notify_waiters();
    }
}
