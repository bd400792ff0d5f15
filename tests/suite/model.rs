//! A random walk of registries, Secrets, time and pods through the real engine, held against a reference model; and the
//! proof that the model sees the faults that matter, each of them planted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod dice;
mod reference;
mod registries;
mod state;
mod walk;

use std::time::Duration;

use pullgate::resolver::fact::Lifetimes;

use self::reference::Promise;
use self::walk::{Plant, Walk};

const HONEST: Plant = Plant { lifetimes: &Lifetimes::PROMISED, everybody: false };

/// A walk from each seed, on a runtime that does the same every time.
fn walked(seeds: std::ops::Range<u64>, steps: usize, plant: Plant) -> Result<usize, (Promise, String)> {
    let mut reviews = 0;
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        reviews += runtime
            .block_on(Walk::new(seed, plant).run(steps))
            .map_err(|(violation, trail)| (violation.promise, format!("seed {seed}, {trail}\n{}", violation.text)))?;
    }
    Ok(reviews)
}

/// Which promise a planted fault breaks.
fn broken(plant: Plant) -> Promise {
    walked(0..20, 2_000, plant).expect_err("the model sees the fault").0
}

#[test]
fn every_verdict_of_a_random_walk_is_one_that_may_be_given() {
    #[expect(clippy::disallowed_methods, reason = "a longer walk is asked for by hand")]
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("PULLGATE_MODEL_SEED").unwrap_or(1);
    let seeds = number("PULLGATE_MODEL_SEEDS").unwrap_or(3);
    match walked(first..first + seeds, 1_000, HONEST) {
        Ok(reviews) => assert!(reviews > 500, "{reviews} reviews"),
        Err((_, text)) => panic!("{text}"),
    }
}

#[test]
fn a_lifetime_ten_times_too_long_is_seen() {
    const LONG: Lifetimes =
        Lifetimes { tag: Duration::from_mins(10), access: Duration::from_mins(50), ..Lifetimes::PROMISED };
    assert_eq!(broken(Plant { lifetimes: &LONG, ..HONEST }), Promise::Allow);
}

#[test]
fn a_key_without_the_credential_is_seen() {
    // The product is the same; the cluster gives every Secret one login, and the registries know whose it is.
    let promise = broken(Plant { everybody: true, ..HONEST });
    assert!(matches!(promise, Promise::Allow | Promise::Deny), "{promise:?}");
}

#[test]
fn a_denial_from_a_stale_fact_is_seen() {
    const STALE: Lifetimes = Lifetimes {
        fresh: Duration::from_mins(10),
        asked_again: 0,
        not_found: Duration::from_mins(10),
        ..Lifetimes::PROMISED
    };
    assert_eq!(broken(Plant { lifetimes: &STALE, ..HONEST }), Promise::Deny);
}
