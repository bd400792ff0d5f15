//! What wrong logins cost a registry: few refusals, held, and never at the expense of a login that is known to be good.

use std::time::Duration;

use futures_util::future::join_all;
use pullgate::demo::registry::{Access, Answer, Bearer, Kind, Login, NoAccess, Target};
use pullgate::finding::{Cause, Code};
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Decision;

use crate::support::{PATIENCE, TEAM, World, cluster, code, codes, failed, login, pod};

/// A registry with eight private images that ann and bob may pull.
async fn world(login: Login) -> World {
    let world = World::with(login).await;
    for number in 0..8 {
        world.registry.push(&format!("team/{number}"), "v1");
    }
    world.registry.private("team", &["ann", "bob"]);
    world.registry.set_password("ann", "right");
    world.registry.set_password("bob", "right");
    world
}

fn images(world: &World, count: usize) -> Vec<String> {
    (0..count).map(|number| world.image(&format!("team/{number}:v1"))).collect()
}

/// How often the registry saw a login fail since the last call.
fn refusals(world: &World) -> usize {
    let failed = world.registry.requests();
    let failed =
        failed.iter().filter(|request| request.sent_login && !request.authorised && request.status == Some(401));
    let count = failed.count();
    world.registry.clear_log();
    count
}

#[tokio::test]
async fn a_wrong_login_shared_by_the_images_of_a_pod_is_refused_twice_at_most() {
    for (login, most) in [(Login::bearer(), 2), (Login::Basic, 1)] {
        let world = world(login).await;
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "wrong")]));
        let pod = pod(TEAM, &images(&world, 5), &["regcred"]);
        for _ in 0..3 {
            let verdict = world.check(&engine, &pod).await;
            assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::CredentialsRejected; 5]));
        }
        assert_eq!(refusals(&world), most);
    }
}

#[tokio::test]
async fn a_wrong_login_at_a_known_token_server_is_refused_once() {
    let post = Bearer::default();
    let get = Bearer { refuse_post: Some(404), ..Bearer::default() };
    for (bearer, refused) in [(post, "POST token 401"), (get, "GET token 401")] {
        let world = world(Login::Bearer(bearer)).await;
        let client = world.client();
        client.resolve(&world.ask("team/0:v1", login("ann", "right"))).await.unwrap();
        world.seen();
        let failure = client.resolve(&world.ask("team/1:v1", login("ann", "wrong"))).await.unwrap_err();
        assert_eq!(failure.code, Code::CredentialsRejected);
        assert_eq!(world.seen(), ["HEAD manifest 401", refused]);
    }
}

#[tokio::test]
async fn a_held_login_is_refused_without_a_question_for_two_minutes() {
    for login_kind in [Login::bearer(), Login::Basic] {
        let world = world(login_kind).await;
        let client = world.client();
        let wrong = |number| world.ask(&format!("team/{number}:v1"), login("ann", "wrong"));
        client.resolve(&wrong(0)).await.unwrap_err();
        refusals(&world);
        world.clock.advance(Duration::from_millis(119_999));
        let held = client.resolve(&wrong(1)).await.unwrap_err();
        assert_eq!((held.code, held.explained), (Code::CredentialsRejected, true));
        assert_eq!(refusals(&world), 0);
        world.clock.advance(Duration::from_millis(1));
        client.resolve(&wrong(2)).await.unwrap_err();
        assert_eq!(refusals(&world), 1);
    }
}

#[tokio::test]
async fn a_registry_sees_five_failed_logins_in_three_minutes_at_most() {
    for login_kind in [Login::bearer(), Login::Basic] {
        let world = world(login_kind).await;
        let client = world.client();
        let name = |number| format!("team/{number}:v1");
        let wrong = |number| world.ask(&name(number), login("ann", &format!("wrong {number}")));
        let asks: Vec<_> = (0..8).map(wrong).collect();
        // At once, so that counting after the answers would be too late.
        let outcomes = join_all(asks.iter().map(|ask| client.resolve(ask))).await;
        let seen = refusals(&world);
        assert!((3..=5).contains(&seen), "{seen}");
        let tried = |code| outcomes.iter().filter(|outcome| outcome.as_ref().unwrap_err().code == code).count();
        assert_eq!(tried(Code::CredentialsRejected) + tried(Code::NotChecked), 8);
        for number in 10..20 {
            let ask = world.ask("team/0:v1", login("ann", &format!("wrong {number}")));
            client.resolve(&ask).await.unwrap_err();
        }
        let seen = seen + refusals(&world);
        assert_eq!(seen, 5);
        let limited = client.resolve(&world.ask("team/0:v1", login("ann", "another"))).await.unwrap_err();
        assert_eq!(code(&limited), (Code::NotChecked, Some(Cause::Limit)));
        // A login that nobody has tried is not checked either; later it is.
        let ann = world.ask("team/0:v1", login("ann", "right"));
        assert_eq!(code(&client.resolve(&ann).await.unwrap_err()), (Code::NotChecked, Some(Cause::Limit)));
        world.clock.advance(Duration::from_mins(3));
        client.resolve(&ann).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_known_to_be_good_is_not_held_up_by_wrong_ones() {
    for login_kind in [Login::bearer(), Login::Basic] {
        let world = world(login_kind).await;
        let resolver = world.resolver();
        let resolve = |name: &'static str, password: String| {
            let resolver = &resolver;
            let world = &world;
            async move { world.resolve(resolver, name, login("ann", &password), Freshness::Cached).await }
        };
        resolve("team/0:v1", "right".to_owned()).await.outcome.unwrap();
        for number in 0..8 {
            resolve("team/1:v1", format!("wrong {number}")).await.outcome.unwrap_err();
        }
        let blocked = resolve("team/1:v1", "wrong again".to_owned()).await;
        assert_eq!(failed(&blocked), (Code::NotChecked, Some(Cause::Limit)));
        resolve("team/2:v1", "right".to_owned()).await.outcome.unwrap();
    }
}

#[tokio::test]
async fn a_good_password_that_is_changed_at_the_registry_costs_no_more_than_a_wrong_one() {
    for login_kind in [Login::bearer(), Login::Basic] {
        let world = world(login_kind).await;
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "right")]));
        let first = pod(TEAM, &images(&world, 1), &["regcred"]);
        assert_eq!(world.check(&engine, &first).await.decision, Decision::Allow);
        world.registry.set_password("ann", "changed");
        world.clock.advance(Duration::from_secs(61));
        refusals(&world);
        world.registry.set_latency(Duration::from_millis(5));
        world.check(&engine, &pod(TEAM, &images(&world, 8), &["regcred"])).await;
        assert_eq!(refusals(&world), 1);
    }
}

#[tokio::test]
async fn refusals_of_a_good_login_do_not_count_as_failed_ones() {
    for no_access in [NoAccess::Unauthorized, NoAccess::Forbidden, NoAccess::TokenRefused(403)] {
        let access = Access { no_access, ..Access::default() };
        let world = World::start(|spec| spec.login(Login::bearer()).access(access), PATIENCE).await;
        for number in 0..8 {
            world.registry.push(&format!("team/{number}"), "v1");
        }
        world.registry.private("team", &["ann"]);
        world.registry.set_password("bob", "right");
        let client = world.client();
        for number in 0..8 {
            let ask = world.ask(&format!("team/{number}:v1"), login("bob", "right"));
            let failure = client.resolve(&ask).await.unwrap_err();
            assert_ne!(failure.code, Code::NotChecked, "{no_access:?}");
            assert_ne!(failure.code, Code::CredentialsRejected, "{no_access:?}");
        }
    }
}

#[tokio::test]
async fn failed_logins_at_one_registry_do_not_close_another() {
    let world = world(Login::Basic).await;
    let other = world.another(|spec| spec.login(Login::Basic)).await;
    other.push("team/0", "v1");
    other.set_password("ann", "right");
    let secrets = [
        world.secret(TEAM, "here", "ann", "wrong"),
        crate::support::secret(TEAM, "there", &other.host(), "ann", "right"),
    ];
    let engine = world.engine(&cluster(&secrets));
    let images = [world.image("team/0:v1"), format!("{}/team/0:v1", other.host())];
    let verdict = world.check(&engine, &pod(TEAM, &images, &["here", "there"])).await;
    assert_eq!(codes(&verdict), [Code::CredentialsRejected]);
    assert!(verdict.images[1].digest.is_some());
}

#[tokio::test]
async fn an_unreachable_token_server_costs_a_login_nothing() {
    let world = world(Login::bearer()).await;
    let client = world.client();
    world.registry.behave(Target::token(), Answer::status(500));
    for number in 0..8 {
        let ask = world.ask(&format!("team/{number}:v1"), login("ann", "right"));
        assert_eq!(client.resolve(&ask).await.unwrap_err().code, Code::RegistryError);
    }
    world.registry.behave(Target::token(), None);
    client.resolve(&world.ask("team/0:v1", login("ann", "right"))).await.unwrap();
    assert!(world.registry.requests().iter().any(|request| request.kind == Kind::Token && request.authorised));
}

#[tokio::test]
async fn a_registry_that_asks_for_basic_and_then_for_a_token_gets_both() {
    let world = world(Login::bearer()).await;
    let basic = Answer::status(401).header("WWW-Authenticate", "Basic realm=\"r\"");
    world.registry.behave(Target::repository("team/0").before_login().times(1), basic);
    let (client, ask) = (world.client(), world.ask("team/0:v1", login("ann", "right")));
    let resolved = tokio::time::timeout(Duration::from_secs(2), client.resolve(&ask)).await;
    resolved.expect("a dialogue must not wait for itself").unwrap();
    let expected = ["HEAD manifest 401", "HEAD manifest 401 ann", "POST token 200 ann", "HEAD manifest 200 ann"];
    assert_eq!(world.seen(), expected);
}
