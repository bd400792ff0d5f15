//! Many callers of one fact, and callers that go away.

use std::time::Duration;

use futures_util::future::join_all;
use pullgate::demo::registry::{Behaviour, Login};
use pullgate::finding::{Cause, Code};
use pullgate::resolver::fact::Freshness;
use tokio::time::{Instant, sleep};

use super::world;
use crate::support::{World, failed, login, soon};

/// Waits until the registry has answered `count` requests.
pub(super) async fn answered(world: &World, count: usize) {
    let limit = soon();
    while world.registry.requests().iter().filter(|request| request.status.is_some()).count() < count {
        assert!(Instant::now() < limit, "{:?}", world.seen());
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_are_one_authorised_head() {
    let world = world(Login::bearer()).await;
    world.registry.set_latency(Duration::from_millis(20));
    let resolver = world.resolver();
    let call = || world.resolve(&resolver, "team/api:v1", login("ann", "right"), Freshness::Cached);
    let attempts = join_all((0..1000).map(|_| call())).await;
    assert!(attempts.iter().all(|attempt| attempt.outcome.is_ok() && !attempt.stale));
    assert_eq!(world.seen(), ["HEAD manifest 401", "POST token 200 ann", "HEAD manifest 200 ann"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reviews_of_a_broken_pod_at_once_cost_the_registry_as_much_as_one() {
    let world = world(Login::None).await;
    world.registry.set_latency(Duration::from_millis(20));
    let resolver = world.resolver();
    let fresh = Freshness::Fresh(world.clock.now());
    let attempts = join_all((0..100).map(|_| world.resolve(&resolver, "open:v9", None, fresh))).await;
    assert!(attempts.iter().all(|attempt| failed(attempt).0 == Code::TagNotFound));
    assert_eq!(world.seen(), ["HEAD manifest 404", "GET manifest 404", "GET Tags 200"]);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nobody() {
    let world = world(Login::None).await;
    world.registry.behave("open", Behaviour::Slow(Duration::from_millis(60)));
    let resolver = world.resolver();
    let call = || world.resolve(&resolver, "open:v1", None, Freshness::Cached);
    // The first caller is the one whose question leaves; it is dropped when its time is over.
    let leader = tokio::time::timeout(Duration::from_millis(20), call());
    let (left, stayed) = tokio::join!(leader, join_all([call(), call()]));
    assert!(left.is_err());
    assert!(stayed.iter().all(|attempt| attempt.outcome.is_ok()));
    assert_eq!(world.seen(), ["HEAD manifest 200"]);
}

#[tokio::test]
async fn what_finishes_after_everybody_left_still_fills_the_cache() {
    let world = world(Login::None).await;
    world.registry.behave("open", Behaviour::Slow(Duration::from_millis(60)));
    let resolver = world.resolver();
    let call = || world.resolve(&resolver, "open:v1", None, Freshness::Cached);
    assert!(tokio::time::timeout(Duration::from_millis(10), call()).await.is_err());
    answered(&world, 1).await;
    // The answer is on its way back.
    sleep(Duration::from_millis(20)).await;
    assert!(call().await.outcome.is_ok());
    assert_eq!(world.seen(), ["HEAD manifest 200"]);
}

#[tokio::test]
async fn what_finishes_after_the_deadline_still_fills_the_cache() {
    let world = world(Login::None).await;
    world.registry.behave("open", Behaviour::Slow(Duration::from_millis(60)));
    let resolver = world.resolver();
    let ask = world.ask("open:v1", None);
    let candidates = vec![pullgate::credentials::Candidate::anonymous()];
    let deadline = Instant::now() + Duration::from_millis(10);
    let rule = world.policy.registry(ask.reference.registry());
    let late = resolver.resolve(rule, &ask.reference, &candidates, Freshness::Cached, deadline).await;
    assert_eq!(failed(&late[0]), (Code::NotChecked, Some(Cause::Deadline)));
    answered(&world, 1).await;
    assert!(world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
    assert_eq!(world.seen(), ["HEAD manifest 200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_callers_that_go_away_in_a_row_break_nothing() {
    let world = world(Login::None).await;
    world.registry.behave("open", Behaviour::Slow(Duration::from_millis(100)));
    let resolver = world.resolver();
    for _ in 0..400 {
        let ask = world.ask("open:v1", None);
        let caller = tokio::spawn({
            let (resolver, policy) = (resolver.clone(), world.policy.clone());
            async move {
                let rule = policy.registry(ask.reference.registry());
                let candidates = vec![pullgate::credentials::Candidate::anonymous()];
                resolver.resolve(rule, &ask.reference, &candidates, Freshness::Cached, soon()).await
            }
        });
        tokio::task::yield_now().await;
        caller.abort();
    }
    assert!(world.resolve(&resolver, "open:v1", None, Freshness::Cached).await.outcome.is_ok());
    assert_eq!(world.seen(), ["HEAD manifest 200"]);
}
