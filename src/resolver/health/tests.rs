//! Breakers, rests and storms, second by second.

use super::*;
use crate::credentials::{Credential, IdentityKey};
use crate::finding::Cause;

const ID: CredentialId = CredentialId::ANONYMOUS;

/// One registry, asked for one image or another.
struct Asked {
    health: Health,
    images: Vec<Reference>,
}

impl Asked {
    fn new() -> Self {
        let images = (0..8).map(|number| Reference::parse(&format!("r.io/a:{number}")).unwrap()).collect();
        let metrics = Metrics::new();
        metrics.registries_named(["r.io"].into_iter());
        Self { health: Health::new(metrics), images }
    }

    fn may_ask(&self, now: i64) -> bool {
        self.health.admit("r.io", ID, at(now)).is_ok()
    }

    fn hears(&self, image: usize, failure: Option<&Failure>, asked: i64, now: i64) {
        let question = Question { host: "r.io", id: ID, reference: &self.images[image] };
        self.health.report(question, failure.map_or(Ok(()), Err), at(asked), at(now));
    }

    fn state(&self) -> String {
        let rendered = self.health.metrics.render();
        let line = rendered.lines().find_map(|line| line.strip_prefix("pullgate_registry_breaker{registry=\"r.io\"} "));
        match line {
            Some("0") | None => "closed".to_owned(),
            Some("1") => "half open".to_owned(),
            Some("2") => "open".to_owned(),
            Some(other) => other.to_owned(),
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn down() -> Failure {
    Failure::own(Code::RegistryUnreachable, Cause::Refused, "refused")
}

fn limited(seconds: u64) -> Failure {
    Failure { retry_after: Some(Duration::from_secs(seconds)), ..Failure::own(Code::RateLimited, Cause::Limit, "") }
}

fn error() -> Failure {
    Failure::nonsense("HTTP 503", None)
}

#[test]
fn pauses_double_to_thirty_seconds_and_end_with_an_answer() {
    let registry = Asked::new();
    let mut now = 0;
    for pause in [2, 4, 8, 16, 30, 30] {
        assert!(registry.may_ask(now), "probe at {now}");
        registry.hears(0, Some(&down()), now, now);
        assert_eq!(registry.state(), "open");
        assert!(!registry.may_ask(now + pause - 1), "held for {pause} s");
        now += pause;
    }
    assert!(registry.may_ask(now));
    assert_eq!(registry.state(), "half open");
    registry.hears(0, Some(&Failure::own(Code::TagNotFound, Cause::Limit, "")), now, now);
    assert_eq!(registry.state(), "closed");
    assert!(registry.may_ask(now) && registry.may_ask(now));
}

#[test]
fn after_a_pause_one_caller_probes_until_it_has_an_answer() {
    let registry = Asked::new();
    registry.hears(0, Some(&down()), 0, 0);
    assert!(registry.may_ask(2));
    for now in [2, 3, 16] {
        let held = registry.health.admit("r.io", ID, at(now)).unwrap_err();
        assert_eq!(held.rest, Duration::ZERO, "at {now}");
    }
    assert!(registry.health.admit("other.io", ID, at(2)).is_ok());
    // A probe that nobody hears of again does not close the registry for ever.
    assert!(registry.may_ask(17));
    assert!(!registry.may_ask(18));
}

#[test]
fn a_probe_that_never_left_lets_another_one_go() {
    let registry = Asked::new();
    registry.hears(0, Some(&down()), 0, 0);
    assert!(registry.may_ask(2));
    registry.hears(0, Some(&Failure::own(Code::NotChecked, Cause::Overload, "")), 2, 3);
    assert_eq!(registry.state(), "open");
    assert!(registry.may_ask(3));
}

#[test]
fn failures_of_one_moment_are_one_failure() {
    let registry = Asked::new();
    for _ in 0..10 {
        registry.hears(0, Some(&down()), 0, 1);
    }
    assert!(!registry.may_ask(2) && registry.may_ask(3));
    // One that was asked before the probe, and ends after it began.
    registry.hears(0, Some(&down()), 1, 4);
    assert_eq!(registry.state(), "half open");
}

#[test]
fn a_login_rests_for_as_long_as_it_is_told_to() {
    let registry = Asked::new();
    registry.hears(0, Some(&limited(100)), 0, 0);
    let held = registry.health.admit("r.io", ID, at(99)).unwrap_err();
    assert_eq!(held.rest, Duration::from_secs(1));
    let other = IdentityKey::new(&[1; 32]).id(Some(&Credential::new("ann", "right")));
    assert!(registry.health.admit("r.io", other, at(1)).is_ok());
    // A success that was asked for before is no reason to go on.
    registry.hears(0, None, -1, 1);
    assert!(!registry.may_ask(99));
    // Nor does a shorter rest shorten it.
    registry.hears(0, Some(&limited(1)), -1, 1);
    assert!(!registry.may_ask(99));
    assert!(registry.may_ask(100) && !registry.may_ask(100));
    registry.hears(0, None, 100, 100);
    assert!(registry.may_ask(100) && registry.may_ask(100));
}

#[test]
fn a_registry_that_is_open_does_not_use_up_the_probe_of_a_login() {
    let registry = Asked::new();
    registry.hears(0, Some(&limited(10)), 0, 0);
    registry.hears(0, Some(&down()), 0, 9);
    assert!(!registry.may_ask(10));
    assert!(registry.may_ask(11), "both pauses are over, and nobody asked");
}

#[test]
fn errors_of_many_images_in_a_row_are_the_registry() {
    let registry = Asked::new();
    for _ in 0..10 {
        registry.hears(0, Some(&error()), 0, 0);
    }
    for image in 1..4 {
        registry.hears(image, Some(&error()), 0, 0);
        assert!(registry.may_ask(0), "after {} images", image + 1);
    }
    // One that is answered ends the row.
    registry.hears(5, None, 0, 0);
    for image in 0..4 {
        registry.hears(image, Some(&error()), 0, 0);
    }
    assert!(registry.may_ask(0));
    registry.hears(4, Some(&error()), 0, 0);
    assert!(!registry.may_ask(1));
    assert!(registry.may_ask(2));
    registry.hears(6, Some(&error()), 2, 2);
    assert!(!registry.may_ask(5) && registry.may_ask(6));
    registry.hears(6, None, 6, 6);
    assert!(registry.may_ask(6) && registry.may_ask(6));
    assert_eq!(registry.state(), "closed");
}

#[test]
fn answers_that_make_no_sense_are_no_storm() {
    let registry = Asked::new();
    for image in 0..8 {
        registry.hears(image, Some(&Failure::nonsense("it is no manifest", None)), 0, 0);
    }
    assert!(registry.may_ask(0));
}
