//! A denial rests on what the registry and the Secrets say now: a fix is seen by the very next apply.

use std::time::Duration;

use pullgate::demo::registry::{Answer, Login, Target};
use pullgate::finding::Code;
use pullgate::verdict::Decision;

use super::world;
use crate::support::{TEAM, cluster, codes, contents, pod};

#[tokio::test]
async fn a_denial_costs_a_head_two_gets_and_an_allowance_a_head() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("open:v1")], &[])).await;
    assert_eq!((verdict.decision, world.seen()), (Decision::Allow, vec!["HEAD manifest 200".to_owned()]));
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("open:v1"), world.image("open:v9")], &[])).await;
    assert_eq!(codes(&verdict), [Code::TagNotFound]);
    assert_eq!(verdict.findings[0].registry.as_deref(), Some("MANIFEST_UNKNOWN: manifest unknown"));
    // The image that is fine is not asked about again.
    assert_eq!(world.seen(), ["HEAD manifest 404", "GET manifest 404", "GET Tags 200"]);
}

#[tokio::test]
async fn a_tag_pushed_after_a_denial_is_seen_by_the_very_next_apply() {
    // Within the lifetime of the negative fact, at its very end, and after it.
    for wait in [0, 1_000, 4_998, 4_999, 5_000, 60_000] {
        let world = world(Login::None).await;
        let engine = world.engine(&cluster(&[]));
        let pod = pod(TEAM, &[world.image("open:v9")], &[]);
        assert_eq!(world.check(&engine, &pod).await.decision, Decision::Deny);
        world.registry.push("open", "v9");
        world.clock.advance(Duration::from_millis(wait));
        let verdict = world.check(&engine, &pod).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Allow, vec![]), "after {wait} ms");
    }
}

#[tokio::test]
async fn a_storm_of_one_broken_pod_costs_the_registry_a_handful_of_questions() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let pod = pod(TEAM, &[world.image("open:v9")], &[]);
    for _ in 0..50 {
        assert_eq!(world.check(&engine, &pod).await.decision, Decision::Deny);
    }
    // Five reviews with a HEAD and a GET each, and one question for the repository; then the fact is held, and a fix is seen when it is five seconds old.
    assert_eq!(world.seen().len(), 11);
    world.registry.push("open", "v9");
    assert_eq!(world.check(&engine, &pod).await.decision, Decision::Deny);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.check(&engine, &pod).await.decision, Decision::Allow);
}

#[tokio::test]
async fn a_repository_that_appears_or_is_opened_is_seen_by_the_very_next_apply() {
    let world = world(Login::bearer()).await;
    let engine = world.engine(&cluster(&[]));
    let appears = pod(TEAM, &[world.image("new:v1")], &[]);
    assert_eq!(codes(&world.check(&engine, &appears).await), [Code::RepositoryNotFound]);
    world.registry.push("new", "v1");
    assert_eq!(codes(&world.check(&engine, &appears).await), []);
    let opened = pod(TEAM, &[world.image("team/api:v1")], &[]);
    assert_eq!(codes(&world.check(&engine, &opened).await), [Code::CredentialsMissing]);
    world.registry.public("team");
    // The token was fetched before; one that is older than a second is fetched anew.
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(codes(&world.check(&engine, &opened).await), []);
}

#[tokio::test]
async fn a_login_that_gets_access_is_seen_by_the_very_next_apply() {
    let world = world(Login::bearer()).await;
    let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "bob", "right")]));
    let pod = pod(TEAM, &[world.image("team/api:v1")], &["regcred"]);
    assert_eq!(codes(&world.check(&engine, &pod).await), [Code::NotFoundOrNoAccess]);
    world.registry.private("team", &["ann", "bob"]);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(codes(&world.check(&engine, &pod).await), []);
}

#[tokio::test]
async fn a_password_corrected_in_the_secret_is_seen_by_the_very_next_apply() {
    for login in [Login::Basic, Login::bearer()] {
        let world = world(login).await;
        let cluster = cluster(&[world.secret(TEAM, "regcred", "ann", "wrong")]);
        let engine = world.engine(&cluster);
        let pod = pod(TEAM, &[world.image("team/api:v1")], &["regcred"]);
        assert_eq!(codes(&world.check(&engine, &pod).await), [Code::CredentialsRejected]);
        cluster.replace(contents(&[world.secret(TEAM, "regcred", "ann", "right")]));
        assert_eq!(world.check(&engine, &pod).await.decision, Decision::Allow);
    }
}

#[tokio::test]
async fn a_password_corrected_at_the_registry_is_seen_after_two_minutes() {
    let world = world(Login::bearer()).await;
    let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "new")]));
    let pod = pod(TEAM, &[world.image("team/api:v1")], &["regcred"]);
    assert_eq!(codes(&world.check(&engine, &pod).await), [Code::CredentialsRejected]);
    world.registry.set_password("ann", "new");
    world.clock.advance(Duration::from_secs(119));
    assert_eq!(codes(&world.check(&engine, &pod).await), [Code::CredentialsRejected]);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.check(&engine, &pod).await.decision, Decision::Allow);
}

#[tokio::test]
async fn a_denial_that_cannot_be_confirmed_is_none() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    let pod = pod(TEAM, &[world.image("open:v9")], &[]);
    assert_eq!(world.check(&engine, &pod).await.decision, Decision::Deny);
    world.clock.advance(Duration::from_secs(1));
    world.registry.stop().await;
    let verdict = world.check(&engine, &pod).await;
    assert_eq!((verdict.decision, codes(&verdict)), (Decision::Warn, vec![Code::RegistryUnreachable]));
}

#[tokio::test]
async fn a_registry_whose_head_and_get_differ_denies_nothing() {
    let world = world(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    world.registry.behave(Target::repository("open").only(hyper::Method::HEAD), Answer::status(404));
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("open:v1")], &[])).await;
    assert_eq!((verdict.decision, codes(&verdict)), (Decision::Warn, vec![Code::RegistryError]));
}
