//! Who is let go when there is no room for one more connection: the oldest of those over which nobody has proven to be an
//! API server. Whoever can reach the port could hold every connection otherwise, and API servers would wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Put into an answer whose caller is known.
#[derive(Clone, Copy, Debug)]
pub struct Proven;

/// The connections of strangers, by when they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Strangers>>);

#[derive(Debug, Default)]
struct Strangers {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// One connection; a stranger's until it is proven to be another's.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    number: u64,
    told: Arc<Notify>,
    proven: AtomicBool,
}

// === impl Room ===

impl Room {
    /// A place for one more connection.
    pub(super) fn enter(&self) -> Place {
        let mut strangers = self.lock();
        let (number, told) = (strangers.next, Arc::<Notify>::default());
        strangers.next += 1;
        strangers.waiting.insert(number, Arc::clone(&told));
        drop(strangers);
        Place { room: self.clone(), number, told, proven: AtomicBool::new(false) }
    }

    /// Tells the oldest stranger to go; says whether there is one.
    pub(super) fn make(&self) -> bool {
        let oldest = self.lock().waiting.pop_first();
        oldest.map(|(_, told)| told.notify_one()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Strangers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// How many came before: what spreads over connections what would come to all of them at once.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whoever calls is known: this connection stays.
    pub(super) fn proven(&self) {
        // Every answer says it; only the first is news, and takes the lock that all connections share.
        if self.proven.swap(true, Ordering::Relaxed) {
            return;
        }
        self.room.lock().waiting.remove(&self.number);
    }

    /// Ends when the connection is to go.
    pub(super) async fn told_to_go(&self) {
        self.told.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.proven();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn goes(place: &Place) -> bool {
        timeout(Duration::from_millis(20), place.told_to_go()).await.is_ok()
    }

    #[tokio::test]
    async fn the_oldest_stranger_goes_and_nobody_else() {
        let room = Room::default();
        let (known, gone, old, young) = (room.enter(), room.enter(), room.enter(), room.enter());
        known.proven();
        drop(gone);
        assert!(room.make());
        assert_eq!((goes(&known).await, goes(&old).await, goes(&young).await), (false, true, false));
        assert!(room.make() && goes(&young).await);
        assert!(!room.make(), "nobody is left who could go");
        assert_eq!((known.number(), young.number()), (0, 3));
    }
}
