//! How many dialogues are under way at once, over all registries and with each one: a registry that answers slowly uses
//! up its own turns and nobody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::finding::{Cause, Code};
use crate::metrics::Metrics;
use crate::registry::failure::Failure;

/// Dialogues under way at once, over all registries.
const ALL: usize = 512;

/// Dialogues under way at once with one registry.
const EACH: usize = 64;

/// How long one waits for a turn with its registry before it is an overload: turns come back as fast as that answers.
const WAIT_EACH: Duration = Duration::from_secs(1);

/// The same for a turn over all.
const WAIT_ALL: Duration = Duration::from_millis(250);

/// Registries remembered before those without a dialogue are forgotten.
const MAX_IDLE: usize = 1_000;

/// The turns that there are.
#[derive(Debug)]
pub(super) struct Turns {
    all: Semaphore,
    each: Mutex<HashMap<String, Arc<Semaphore>>>,
    metrics: Metrics,
}

/// One dialogue's turn, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Turn<'a> {
    _own: OwnedSemaphorePermit,
    _one: SemaphorePermit<'a>,
}

// === impl Turns ===

impl Turns {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { all: Semaphore::new(ALL), each: Mutex::default(), metrics }
    }

    /// Waits for a turn with `host`, its own first: those that wait for a slow registry keep no other one waiting.
    ///
    /// # Errors
    /// [`Code::NotChecked`] with [`Cause::Overload`].
    pub(super) async fn take(&self, host: &str) -> Result<Turn<'_>, Failure> {
        let own = self.own(host);
        let at_once = Arc::clone(&own).try_acquire_owned().ok().zip(self.all.try_acquire().ok());
        if let Some((own, one)) = at_once {
            self.metrics.registry_turn("at_once");
            return Ok(Turn { _own: own, _one: one });
        }
        let overload = |detail| {
            self.metrics.registry_turn("overload");
            Failure::own(Code::NotChecked, Cause::Overload, detail)
        };
        let Ok(Ok(own)) = timeout(WAIT_EACH, own.acquire_owned()).await else {
            return Err(overload(format!("{EACH} other questions to {host} are under way")));
        };
        let Ok(Ok(one)) = timeout(WAIT_ALL, self.all.acquire()).await else {
            return Err(overload(format!("{ALL} other images are being resolved")));
        };
        self.metrics.registry_turn("waited");
        Ok(Turn { _own: own, _one: one })
    }

    fn own(&self, host: &str) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = each.get(host) {
            return Arc::clone(known);
        }
        if each.len() >= MAX_IDLE {
            // Whoever has a turn, or waits for one, holds the semaphore, too.
            each.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(each.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(EACH))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_registry_that_uses_up_its_turns_leaves_those_of_the_others() {
        let turns = Turns::new(Metrics::new());
        let mut taken = Vec::new();
        for _ in 0..EACH {
            taken.push(turns.take("tarpit").await.unwrap());
        }
        let (waiting, other) = tokio::join!(turns.take("tarpit"), turns.take("other"));
        let overload = waiting.unwrap_err();
        assert_eq!((overload.code, overload.cause), (Code::NotChecked, Some(Cause::Overload)));
        assert!(overload.detail.unwrap().contains("tarpit"));
        drop(other.unwrap());
        taken.pop();
        drop(turns.take("tarpit").await.unwrap());
        let rendered = turns.metrics.render();
        assert!(rendered.contains("pullgate_registry_turns_total{turn=\"overload\"} 1\n"), "{rendered}");
    }

    #[tokio::test]
    async fn idle_registries_are_forgotten() {
        let turns = Turns::new(Metrics::new());
        let kept = turns.take("kept").await.unwrap();
        for number in 0..MAX_IDLE * 2 {
            drop(turns.take(&format!("r{number}")).await.unwrap());
        }
        let each = turns.each.lock().unwrap();
        assert!(each.len() <= MAX_IDLE && each.contains_key("kept"));
        drop(kept);
    }
}
