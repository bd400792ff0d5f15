//! What the resolver remembers, for how long, for whom, and what it does while a registry is in trouble.

mod budgets;
mod callers;
mod denials;
mod refreshing;
mod trouble;

use std::time::Duration;

use pullgate::demo::registry::{Answer, Login};
use pullgate::finding::Code;
use pullgate::resolver::fact::Freshness;

use crate::support::{World, failed, login};

/// A registry with the public `open:v1` and the private `team/api:v1`, which only ann may pull.
async fn world(login: Login) -> World {
    let world = World::with(login).await;
    world.registry.push("open", "v1");
    world.registry.push("team/api", "v1");
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "right");
    world.registry.set_password("bob", "right");
    world
}

#[tokio::test]
async fn each_kind_of_fact_has_its_lifetime_to_the_millisecond() {
    let world = world(Login::None).await;
    let digest = world.registry.push("open", "v1");
    world.registry.behave("broken", Answer::status(503));
    let table = [
        ("open:v1".to_owned(), 60),
        (format!("open@{digest}"), 300),
        ("open:v9".to_owned(), 5),
        (format!("open@sha256:{}", "0".repeat(64)), 5),
        ("broken:v1".to_owned(), 2),
    ];
    for (name, seconds) in table {
        let resolver = world.resolver();
        for (wait, asked) in [(0, 1), (seconds * 1000 - 1, 0), (1, 1)] {
            world.clock.advance(Duration::from_millis(wait));
            world.seen();
            let attempt = world.resolve(&resolver, &name, None, Freshness::Cached).await;
            assert_eq!(world.seen().len(), asked, "{name} after {wait} ms more");
            assert_eq!(attempt.age, Duration::from_millis(if asked == 0 { wait } else { 0 }), "{name}");
            assert!(!attempt.stale, "{name}");
        }
    }
}

#[tokio::test]
async fn a_wrong_login_is_held_for_two_minutes_and_then_tried_anew() {
    let world = world(Login::bearer()).await;
    let resolver = world.resolver();
    let wrong = || login("ann", "wrong");
    let resolve = |freshness| world.resolve(&resolver, "team/api:v1", wrong(), freshness);
    assert_eq!(failed(&resolve(Freshness::Cached).await).0, Code::CredentialsRejected);
    // Both methods, as a node tries them, and both once more.
    let tried = ["POST token 401", "GET token 401", "POST token 401", "GET token 401"];
    assert_eq!(world.seen(), [&["HEAD manifest 401"][..], &tried].concat());
    world.clock.advance(Duration::from_millis(119_999));
    for freshness in [Freshness::Cached, Freshness::Recent, Freshness::Fresh(world.clock.now())] {
        assert_eq!(failed(&resolve(freshness).await).0, Code::CredentialsRejected);
    }
    // Before a denial, whether the image is public is asked, and without the login.
    assert_eq!(world.seen(), ["GET token 200", "HEAD manifest 401"]);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(failed(&resolve(Freshness::Cached).await).0, Code::CredentialsRejected);
    // What is left to be shown in three minutes is not used up for certainty alone.
    assert_eq!(world.seen(), tried[..2]);
}

#[tokio::test]
async fn a_resolved_tag_answers_for_its_digest_too() {
    let world = world(Login::bearer()).await;
    let digest = world.registry.push("team/api", "v1");
    let resolver = world.resolver();
    let ann = || login("ann", "right");
    world.resolve(&resolver, "team/api:v1", ann(), Freshness::Cached).await.outcome.unwrap();
    world.seen();
    world.clock.advance(Duration::from_secs(299));
    for name in [format!("team/api@{digest}"), format!("team/api:v1@{digest}")] {
        let attempt = world.resolve(&resolver, &name, ann(), Freshness::Cached).await;
        assert_eq!(attempt.outcome.unwrap().digest.as_str(), digest);
    }
    assert_eq!(world.seen(), [""; 0]);
    // For that credential, and for nobody else.
    let other = world.resolve(&resolver, &format!("team/api@{digest}"), None, Freshness::Cached).await;
    assert_eq!(failed(&other).0, Code::CredentialsMissing);
}

#[tokio::test]
async fn a_pin_rests_on_nothing_older_than_five_seconds() {
    let world = world(Login::None).await;
    let resolver = world.resolver();
    world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.unwrap();
    world.seen();
    for (wait, asked) in [(5_000, 0), (1, 1)] {
        world.clock.advance(Duration::from_millis(wait));
        world.resolve(&resolver, "open:v1", None, Freshness::Recent).await.outcome.unwrap();
        assert_eq!(world.seen().len(), asked);
    }
}

#[tokio::test]
async fn an_uncertain_failure_of_one_image_does_not_speak_for_its_neighbours() {
    let world = world(Login::None).await;
    let resolver = world.resolver();
    world.registry.behave("team/api", Answer::status(500));
    let broken = world.resolve(&resolver, "team/api:v1", None, Freshness::Cached).await;
    assert_eq!(failed(&broken).0, Code::RegistryError);
    assert!(world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
}
