//! Registries that do not answer or want to be left alone: what was known still serves, and nobody waits twice.

use std::time::Duration;

use pullgate::demo::registry::{Accepting, Answer, Login};
use pullgate::finding::{Cause, Code};
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Decision;
use tokio::time::Instant;

use super::world;
use crate::support::{TEAM, World, cluster, failed, login, pod};

#[tokio::test]
async fn a_success_past_its_lifetime_allows_while_the_registry_is_down_and_is_never_pinned() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let pod = pod(TEAM, &[world.image("open:v1")], &[]);
    assert!(world.check(&engine, &pod).await.images[0].pinnable);
    world.clock.advance(Duration::from_secs(61));
    world.registry.stop().await;
    for _ in 0..3 {
        let verdict = world.check(&engine, &pod).await;
        assert_eq!((verdict.decision, verdict.findings.len()), (Decision::Allow, 0));
        assert!(verdict.images[0].digest.is_some() && !verdict.images[0].pinnable);
    }
    let attempt = world.resolve(&engine.resolver, "open:v1", None, Freshness::Cached).await;
    assert!(attempt.stale && attempt.age > Duration::from_secs(61), "{attempt:?}");
    // Back again: the pause over, the tag is asked for and may be pinned.
    world.registry.resume().await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    assert!(world.check(&engine, &pod).await.images[0].pinnable);
}

#[tokio::test]
async fn an_error_of_the_registry_or_a_quota_leaves_the_last_success_in_place() {
    for answer in [Answer::status(503), Answer::status(429)] {
        let world = world(Login::None).await;
        let resolver = world.resolver();
        world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.unwrap();
        world.registry.behave("open", answer);
        // Twice: the second time the failure itself is what is cached.
        for wait in [61, 1, 4] {
            world.clock.advance(Duration::from_secs(wait));
            let attempt = world.resolve(&resolver, "open:v1", None, Freshness::Cached).await;
            assert!(attempt.outcome.is_ok() && attempt.stale, "{attempt:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_tag_replaces_the_last_success() {
    let world = world(Login::None).await;
    let resolver = world.resolver();
    world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.unwrap();
    world.registry.remove_tag("open", "v1");
    world.clock.advance(Duration::from_secs(61));
    let gone = world.resolve(&resolver, "open:v1", None, Freshness::Cached).await;
    assert_eq!(failed(&gone).0, Code::TagNotFound);
    // And is not undone by an outage.
    world.clock.advance(Duration::from_secs(61));
    world.registry.stop().await;
    let unknown = world.resolve(&resolver, "open:v1", None, Freshness::Cached).await;
    assert_eq!(failed(&unknown), (Code::RegistryUnreachable, Some(Cause::Refused)));
}

#[tokio::test]
async fn a_silent_registry_is_waited_for_once_and_asked_again_after_the_pause() {
    const PATIENCE: Duration = Duration::from_millis(250);
    let world = World::start(|spec| spec, PATIENCE).await;
    world.registry.push("open", "v1");
    world.registry.push("team/api", "v1");
    let resolver = world.resolver();
    world.registry.set_accepting(Accepting::Silently);
    let began = Instant::now();
    let first = world.resolve(&resolver, "open:v1", None, Freshness::Cached).await;
    assert_eq!(failed(&first), (Code::RegistryUnreachable, Some(Cause::Timeout)));
    assert!(began.elapsed() >= PATIENCE);
    // Another image of the same registry, too.
    let began = Instant::now();
    for name in ["open:v1", "team/api:v1", "other:v1"] {
        let at_once = world.resolve(&resolver, name, None, Freshness::Cached).await;
        assert_eq!(failed(&at_once), (Code::RegistryUnreachable, Some(Cause::Timeout)));
    }
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    world.registry.set_accepting(Accepting::Normally);
    world.clock.advance(Duration::from_millis(1_999));
    assert!(world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.is_err());
    world.clock.advance(Duration::from_millis(1));
    assert!(world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
    assert!(world.resolve(&resolver, "team/api:v1", None, Freshness::Cached).await.outcome.is_ok());
}

#[tokio::test]
async fn a_registry_that_is_down_says_nothing_about_another() {
    let world = world(Login::None).await;
    let other = world.another(|spec| spec).await;
    other.push("open", "v1");
    let engine = world.engine(&cluster(&[]));
    world.registry.stop().await;
    let images = [world.image("open:v1"), format!("{}/open:v1", other.host())];
    let verdict = world.check(&engine, &pod(TEAM, &images, &[])).await;
    assert_eq!(verdict.findings.len(), 1);
    assert_eq!((verdict.decision, verdict.findings[0].code), (Decision::Warn, Code::RegistryUnreachable));
    assert_eq!(verdict.findings[0].path, "spec.containers[0].image");
}

#[tokio::test]
async fn a_quota_pauses_the_login_that_met_it_for_as_long_as_it_says() {
    let world = world(Login::bearer()).await;
    world.registry.push("team/web", "v1");
    world.registry.private("team", &["ann", "bob"]);
    let resolver = world.resolver();
    let ask = |user, name| world.resolve(&resolver, name, login(user, "right"), Freshness::Cached);
    world.registry.behave("team/api", Answer::status(429).header("Retry-After", "100"));
    assert_eq!(failed(&ask("ann", "team/api:v1").await).0, Code::RateLimited);
    world.seen();
    let paused = ask("ann", "team/web:v1").await;
    assert_eq!(failed(&paused).0, Code::RateLimited);
    assert_eq!(paused.outcome.unwrap_err().retry_after, Some(Duration::from_secs(100)));
    assert_eq!(world.seen(), [""; 0]);
    assert!(ask("bob", "team/web:v1").await.outcome.is_ok());
    assert!(world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
    world.clock.advance(Duration::from_secs(100));
    assert!(ask("ann", "team/web:v1").await.outcome.is_ok());
}
