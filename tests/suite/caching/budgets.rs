//! What registries say is left: in words, in what is not asked any more, and in a notice where nothing is.

use std::time::Duration;

use pullgate::demo::registry::{Answer, Behaviour, Login};
use pullgate::finding::{Cause, Code, NoticeCode};
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Decision;

use super::world;
use crate::support::{TEAM, World, cluster, codes, failed, pod};

/// From now on the registry says how much is left.
fn left(world: &World, remaining: u32) {
    let headers =
        [("ratelimit-limit", "100;w=21600".to_owned()), ("ratelimit-remaining", format!("{remaining};w=21600"))];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
    world.registry.behave("open", Behaviour::ExtraHeaders(headers));
}

#[tokio::test]
async fn an_image_that_is_there_while_nothing_is_left_is_worth_a_word() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let pod = pod(TEAM, &[world.image("open:v1")], &[]);
    for (remaining, expected) in [(1, None), (0, Some(())), (0, Some(())), (1, None)] {
        left(&world, remaining);
        world.clock.advance(Duration::from_secs(181));
        let verdict = world.check(&engine, &pod).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Allow, vec![]));
        let notice = verdict.notices.iter().find(|notice| notice.code == NoticeCode::NoPullsLeft);
        assert_eq!(notice.map(drop), expected);
        if let Some(notice) = notice {
            let words = "R/open:v1 exists, but R says 0 of 100 requests left; next window within 6 h (nodes with another \
                         address have their own): where it has to be pulled, the pull is refused";
            assert_eq!(world.plain(Some(&notice.message)), words);
        }
    }
}

#[tokio::test]
async fn a_limited_login_is_told_what_is_left_and_until_when_nobody_asks() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let check = async |name: &str| {
        let verdict = world.check(&engine, &pod(TEAM, &[world.image(name)], &[])).await;
        world.plain(Some(&verdict.findings[0].message()))
    };
    left(&world, 3);
    assert!(world.resolve(&engine.resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
    world.registry.behave("open", Answer::status(429).header("Retry-After", "100"));
    let limited =
        "was not checked: R limits an anonymous caller; R says 3 of 100 requests left; next window within 6 h";
    assert_eq!(check("open:v2").await, format!("R/open:v2 (container \"c0\") {limited}"));
    world.clock.advance(Duration::from_secs(75));
    let held = format!("R/open:v3 (container \"c0\") {limited}; not asked again for another 30 s");
    assert_eq!(check("open:v3").await, held);
}

#[tokio::test]
async fn the_background_stops_at_a_reserve_that_is_kept_for_admissions() {
    let world = world(Login::None).await;
    world.registry.push("open", "v2");
    for (remaining, asked) in [(25, true), (24, false)] {
        let resolver = world.resolver();
        let background = resolver.in_background();
        left(&world, remaining);
        assert!(world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
        world.seen();
        let attempt = world.resolve(&background, "open:v2", None, Freshness::Cached).await;
        assert_eq!(attempt.outcome.is_ok(), asked, "{remaining} left");
        assert_eq!(world.seen().len(), usize::from(asked));
        if !asked {
            assert_eq!(failed(&attempt), (Code::NotChecked, Some(Cause::Limit)));
        }
        // It is not held against those who wait, and what is known is known to all.
        assert!(world.resolve(&resolver, "open:v2", None, Freshness::Cached).await.outcome.is_ok());
        assert!(world.resolve(&background, "open:v2", None, Freshness::Cached).await.outcome.is_ok());
    }
}

#[tokio::test]
async fn reasons_are_not_asked_for_below_half() {
    let world = world(Login::None).await;
    let all = ["HEAD manifest 404", "GET manifest 404", "GET Tags 200"];
    for (remaining, questions) in [(50, &all[..]), (49, &all[..1])] {
        left(&world, remaining);
        let engine = world.engine(&cluster(&[]));
        assert!(world.resolve(&engine.resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
        world.seen();
        let verdict = world.check(&engine, &pod(TEAM, &[world.image("open:v9")], &[])).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]));
        assert_eq!(world.seen(), questions);
        // And it is not asked again for want of a reason.
        assert_eq!(world.check(&engine, &pod(TEAM, &[world.image("open:v9")], &[])).await.decision, Decision::Deny);
    }
}

#[tokio::test]
async fn a_registry_that_errs_for_many_images_is_left_alone_for_a_while() {
    let world = world(Login::None).await;
    let resolver = world.resolver();
    world.registry.behave("broken", Answer::status(503));
    let resolve = |name: String| {
        let (world, resolver) = (&world, &resolver);
        async move { world.resolve(resolver, &name, None, Freshness::Cached).await }
    };
    for number in 0..5 {
        assert_eq!(failed(&resolve(format!("broken:v{number}")).await).0, Code::RegistryError);
    }
    world.seen();
    let held = resolve("open:v1".to_owned()).await.outcome.unwrap_err();
    assert_eq!(held.code, Code::RegistryError);
    assert_eq!(held.detail.as_deref(), Some("HTTP 503; not asked again for another 10 s"));
    assert_eq!(world.seen(), [""; 0]);
    world.clock.advance(Duration::from_secs(2));
    assert!(resolve("open:v1".to_owned()).await.outcome.is_ok());
    assert!(resolve("open:v2".to_owned()).await.outcome.is_err());
    assert_eq!(world.seen(), ["HEAD manifest 200", "HEAD manifest 404"]);
}
