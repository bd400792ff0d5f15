//! Successes past their lifetime: answered at once while they are asked again, and never when more is at stake.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pullgate::check::Purpose;
use pullgate::demo::registry::{Behaviour, Login};
use pullgate::finding::Code;
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Decision;
use pullgate::workload::{ContainerImage, PullPolicy};

use super::callers::answered;
use super::world;
use crate::support::{TEAM, cluster, codes, login, pod, soon};

#[tokio::test]
async fn a_success_past_its_lifetime_answers_at_once_and_is_asked_again_once() {
    let world = world(Login::None).await;
    let resolver = world.resolver();
    let resolve = || world.resolve(&resolver, "open:v1", None, Freshness::Refreshing);
    assert!(!resolve().await.stale);
    world.seen();
    world.clock.advance(Duration::from_secs(61));
    world.registry.behave("open", Behaviour::Slow(Duration::from_millis(50)));
    for _ in 0..5 {
        let attempt = resolve().await;
        assert!(attempt.outcome.is_ok() && attempt.stale);
        assert_eq!(attempt.age, Duration::from_secs(61));
    }
    answered(&world, 1).await;
    let limit = soon();
    while resolve().await.stale {
        assert!(tokio::time::Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.seen(), ["HEAD manifest 200"]);
}

#[tokio::test]
async fn a_success_three_lifetimes_old_is_asked_for_first() {
    let world = world(Login::None).await;
    let resolver = world.resolver();
    let resolve = || world.resolve(&resolver, "open:v1", None, Freshness::Refreshing);
    assert!(!resolve().await.stale);
    world.clock.advance(Duration::from_mins(3));
    let attempt = resolve().await;
    assert!(attempt.outcome.is_ok() && !attempt.stale);
    assert_eq!(world.seen(), ["HEAD manifest 200", "HEAD manifest 200"]);
}

#[tokio::test]
async fn a_refusal_that_comes_back_is_seen_by_the_next_review() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let pod = pod(TEAM, &[world.image("open:v1")], &[]);
    assert!(world.check(&engine, &pod).await.images[0].stale.is_none());
    world.registry.remove_tag("open", "v1");
    world.clock.advance(Duration::from_secs(61));
    world.seen();
    let verdict = world.check(&engine, &pod).await;
    assert_eq!(verdict.decision, Decision::Allow);
    assert_eq!(verdict.images[0].stale, Some(Duration::from_millis(61_001)));
    assert!(!verdict.images[0].pinnable);
    answered(&world, 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(codes(&world.check(&engine, &pod).await), [Code::TagNotFound]);
}

#[tokio::test]
async fn a_pin_waits_for_the_answer() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let mut pod = pod(TEAM, &[world.image("open:v1")], &[]);
    for image in &mut pod.images {
        *image = ContainerImage { pull_policy: PullPolicy::IfNotPresent, ..ContainerImage::clone(image) }.into();
    }
    let pin = || engine.check(&world.policy, &pod, Purpose::Pin, soon());
    let before = pin().await.images[0].digest.clone();
    let moved = world.registry.push_for("open", "v1", "linux/s390x");
    world.clock.advance(Duration::from_secs(61));
    let judged = pin().await.images.remove(0);
    assert!(judged.pinnable && judged.stale.is_none());
    assert_ne!(judged.digest, before);
    assert_eq!(judged.digest.unwrap().as_str(), moved);
}

#[tokio::test]
async fn access_does_not_outlive_the_login() {
    let world = world(Login::None).await;
    let digest = world.registry.push("open", "v1");
    let resolver = world.resolver();
    let end = world.clock.now().as_second() + 100;
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let token = format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#.to_owned()), part(format!(r#"{{"exp":{end}}}"#)));
    let name = format!("open@{digest}");
    for (wait, asked) in [(0, 1), (99, 0), (1, 1), (299, 0), (1, 1)] {
        world.clock.advance(Duration::from_secs(wait));
        world.seen();
        let attempt = world.resolve(&resolver, &name, login("ann", &token), Freshness::Cached).await;
        assert!(attempt.outcome.is_ok());
        assert_eq!(world.seen().len(), asked, "after {wait} s more");
    }
}
