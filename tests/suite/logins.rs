//! What wrong logins cost a registry: few refusals, held, and never at the expense of a login that is known to be good.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use pullgate::demo::registry::{Access, Answer, Bearer, Kind, Login, NoAccess, Realm, Target};
use pullgate::finding::{Cause, Code};
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Decision;

use crate::support::{Ask, PATIENCE, TEAM, World, cluster, code, codes, failed, login, pod};

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
async fn a_wrong_login_shared_by_the_images_of_a_pod_uses_half_of_what_may_fail() {
    for login in [Login::bearer(), Login::Basic] {
        let world = world(login).await;
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "wrong")]));
        let pod = pod(TEAM, &images(&world, 5), &["regcred"]);
        for _ in 0..3 {
            let verdict = world.check(&engine, &pod).await;
            assert_eq!((verdict.decision, codes(&verdict).len()), (Decision::Deny, 5));
            // Each repository refuses for itself; where none was asked, nothing is certain.
            for finding in &verdict.findings {
                assert_eq!(finding.certain, finding.code == Code::CredentialsRejected, "{}", finding.message());
                let told = "refused this login for another repository";
                assert!(finding.certain || finding.message().contains(told), "{}", finding.message());
            }
            assert!(verdict.findings.iter().any(|finding| finding.certain));
        }
        assert_eq!(refusals(&world), 6);
        // The Secret that mends it is tried at once.
        let mended = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "right")]));
        assert_eq!(world.check(&mended, &pod).await.decision, Decision::Allow);
    }
}

#[tokio::test]
async fn a_wrong_login_is_shown_as_a_node_shows_it_and_again() {
    let bare = "HEAD manifest 401";
    let post = Bearer::default();
    let get = Bearer { refuse_post: Some(404), ..Bearer::default() };
    for (kind, known, once, times) in [
        (Login::Bearer(post.clone()), false, vec!["POST token 401", "GET token 401"], 2),
        (Login::Bearer(post), true, vec!["POST token 401", "GET token 401"], 2),
        (Login::Bearer(get.clone()), false, vec!["POST token 404", "GET token 401", "GET token 401"], 1),
        // What another login taught orders the methods; both are tried.
        (Login::Bearer(get), true, vec!["GET token 401", "POST token 404", "GET token 401"], 1),
        (Login::Basic, false, vec![bare], 4),
    ] {
        let world = world(kind).await;
        let client = world.client();
        if known {
            client.resolve(&world.ask("team/0:v1", login("ann", "right"))).await.unwrap();
            world.seen();
        }
        let failure = client.resolve(&world.ask("team/1:v1", login("bob", "wrong"))).await.unwrap_err();
        assert_eq!((failure.code, failure.certain()), (Code::CredentialsRejected, true));
        assert_eq!(world.seen(), [vec![bare], once.repeat(times)].concat());
    }
}

#[tokio::test]
async fn a_stray_refusal_of_a_good_login_is_survived_as_a_node_survives_it() {
    for times in 1..=3 {
        let world = world(Login::Basic).await;
        let stray = Answer::status(401).header("WWW-Authenticate", "Basic realm=\"r\"");
        world.registry.behave(Target::repository("team/0").times(times), stray);
        let (client, ask) = (world.client(), world.ask("team/0:v1", login("ann", "right")));
        client.resolve(&ask).await.unwrap();
        let mut expected = vec!["HEAD manifest 401"];
        expected.extend(vec!["HEAD manifest 401 ann"; times as usize]);
        expected.push("HEAD manifest 200 ann");
        assert_eq!(world.seen(), expected);
    }
    let get = Login::Bearer(Bearer { refuse_post: Some(404), ..Bearer::default() });
    for (kind, method, status, times) in [
        (get.clone(), Method::GET, 401, 1),
        (get, Method::GET, 403, 1),
        (Login::bearer(), Method::POST, 401, 1),
        (Login::bearer(), Method::POST, 403, 1),
    ] {
        let world = world(kind).await;
        let stray = Answer::envelope(status, "UNAUTHORIZED", "not now");
        world.registry.behave(Target::token().only(method).times(times), stray);
        let ask = world.ask("team/0:v1", login("ann", "right"));
        world.client().resolve(&ask).await.unwrap_or_else(|failure| panic!("{status} {times} times: {failure:?}"));
    }
}

#[tokio::test]
async fn every_candidate_is_tried_once_before_one_is_tried_again() {
    for kind in [Login::Basic, Login::bearer()] {
        let world = world(kind).await;
        let names = ["a", "b", "c", "d", "e", "f"];
        let right = |name: &str| if name == "f" { "right".to_owned() } else { format!("wrong {name}") };
        let secrets: Vec<String> = names.iter().map(|name| world.secret(TEAM, name, "ann", &right(name))).collect();
        let engine = world.engine(&cluster(&secrets));
        let image = images(&world, 1);
        assert_eq!(codes(&world.check(&engine, &pod(TEAM, &image, &names)).await), []);
        let seen = refusals(&world);
        assert!((5..=10).contains(&seen), "{seen}");
    }
    // Of two wrong ones both are shown again before the pod is denied.
    let world = world(Login::Basic).await;
    let secrets = ["one", "two"].map(|name| world.secret(TEAM, name, "ann", name));
    let engine = world.engine(&cluster(&secrets));
    let verdict = world.check(&engine, &pod(TEAM, &images(&world, 1), &["one", "two"])).await;
    assert_eq!((codes(&verdict), verdict.decision), (vec![Code::CredentialsRejected], Decision::Deny));
    assert!(refusals(&world) >= 4);
}

#[tokio::test]
async fn a_second_candidate_that_is_refused_once_by_chance_is_shown_again() {
    let world = world(Login::Basic).await;
    let stray = Answer::status(401).header("WWW-Authenticate", "Basic realm=\"r\"");
    world.registry.behave(Target::repository("team/0").times(1), stray);
    let secrets = [world.secret(TEAM, "first", "ann", "wrong"), world.secret(TEAM, "second", "bob", "right")];
    let engine = world.engine(&cluster(&secrets));
    let verdict = world.check(&engine, &pod(TEAM, &images(&world, 1), &["first", "second"])).await;
    assert_eq!((codes(&verdict), verdict.images[0].digest.is_some()), (vec![], true));
}

#[tokio::test]
async fn a_refused_login_is_held_for_two_minutes_where_it_was_refused() {
    for kind in [Login::bearer(), Login::Basic] {
        let world = world(kind).await;
        let client = world.client();
        let wrong = |number| world.ask(&format!("team/{number}:v1"), login("ann", "wrong"));
        client.resolve(&wrong(0)).await.unwrap_err();
        assert_eq!(refusals(&world), 4);
        world.clock.advance(Duration::from_millis(119_999));
        let held = client.resolve(&wrong(0)).await.unwrap_err();
        assert_eq!((held.code, held.explained), (Code::CredentialsRejected, true));
        assert_eq!(refusals(&world), 0);
        // Another repository says for itself what it thinks of the login.
        client.resolve(&wrong(1)).await.unwrap_err();
        assert_eq!(refusals(&world), 2);
        world.clock.advance(Duration::from_millis(60_001));
        client.resolve(&wrong(0)).await.unwrap_err();
        assert!(refusals(&world) > 0);
    }
}

#[tokio::test]
async fn a_refusal_by_one_repository_says_nothing_about_another() {
    let world = world(Login::Basic).await;
    let refused = Answer::status(401).header("WWW-Authenticate", "Basic realm=\"r\"");
    world.registry.behave("team/7", refused);
    let secrets = ["team-a", "team-b"].map(|namespace| world.secret(namespace, "regcred", "ann", "right"));
    let engine = world.engine(&cluster(&secrets));
    let pods = |namespace: &str, number: usize| pod(namespace, &images(&world, 8)[number..=number], &["regcred"]);
    let verdict = async |namespace, number| world.check(&engine, &pods(namespace, number)).await;
    assert_eq!(verdict("team-a", 0).await.decision, Decision::Allow);
    for namespace in ["team-b", "team-a"] {
        let denied = verdict(namespace, 7).await;
        assert_eq!((denied.decision, codes(&denied)), (Decision::Deny, vec![Code::CredentialsRejected]));
    }
    // What was pulled before is pulled on, and so is what was not.
    for namespace in ["team-a", "team-b"] {
        for number in 0..7 {
            let verdict = verdict(namespace, number).await;
            assert_eq!((codes(&verdict), verdict.decision), (vec![], Decision::Allow), "{namespace} {number}");
        }
    }
}

#[tokio::test]
async fn a_namespace_may_fail_twelve_times_in_three_minutes_and_all_of_them_thirty_times() {
    for kind in [Login::bearer(), Login::Basic] {
        let world = world(kind).await;
        let client = world.client();
        let ask = |namespace: &str, password: String| Ask {
            namespace: namespace.into(),
            ..world.ask("team/0:v1", login("ann", &password))
        };
        // At once, so that counting after the answers would be too late.
        let asks: Vec<_> = (0..20).map(|number| ask("one", format!("wrong {number}"))).collect();
        let outcomes = join_all(asks.iter().map(|ask| client.resolve(ask))).await;
        let tried = |code| outcomes.iter().filter(|outcome| outcome.as_ref().unwrap_err().code == code).count();
        assert_eq!(tried(Code::CredentialsRejected) + tried(Code::NotChecked), 20);
        let seen = refusals(&world);
        assert!((11..=12).contains(&seen), "{seen}");
        let limited = client.resolve(&ask("one", "another".to_owned())).await.unwrap_err();
        assert_eq!(code(&limited), (Code::NotChecked, Some(Cause::Limit)));
        assert_eq!(refusals(&world), 0);
        // A login that nobody has tried is not checked for this namespace, and is for the next one.
        let limited = client.resolve(&ask("one", "right".to_owned())).await.unwrap_err();
        assert_eq!(code(&limited), (Code::NotChecked, Some(Cause::Limit)));
        client.resolve(&ask("two", "right".to_owned())).await.unwrap();
        for number in 0..60 {
            let namespace = ["two", "three", "four", "five"][number % 4];
            client.resolve(&ask(namespace, format!("wrong again {number}"))).await.unwrap_err();
        }
        let seen = seen + refusals(&world);
        assert!((29..=30).contains(&seen), "{seen}");
        // Later there is room again.
        world.clock.advance(Duration::from_mins(3));
        assert_eq!(client.resolve(&ask("one", "other".to_owned())).await.unwrap_err().code, Code::CredentialsRejected);
    }
}

#[tokio::test]
async fn failed_logins_are_counted_at_the_token_server_whatever_registry_names_it() {
    let world = world(Login::bearer()).await;
    let realm = format!("https://{}/token", world.registry.host());
    let named = || Login::Bearer(Bearer { realm: Realm::Url(realm.clone()), ..Bearer::default() });
    let mut others = Vec::new();
    for _ in 0..4 {
        let other = world.another(|spec| spec.login(named())).await;
        other.push("team/0", "v1");
        other.private("team", &["ann"]);
        others.push(other);
    }
    let client = world.client();
    for (number, other) in others.iter().cycle().take(12).enumerate() {
        let image = format!("{}/team/0:v1", other.host());
        client.resolve(&world.ask_for(&image, login("ann", &format!("wrong {number}")))).await.unwrap_err();
    }
    let seen = refusals(&world);
    assert!((11..=12).contains(&seen), "{seen}");
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
        let seen = refusals(&world);
        assert!((2..=6).contains(&seen), "{seen}");
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
async fn a_registry_that_asks_for_basic_and_then_for_a_token_gets_no_further_than_with_a_node() {
    let world = world(Login::bearer()).await;
    let basic = Answer::status(401).header("WWW-Authenticate", "Basic realm=\"r\"");
    world.registry.behave(Target::repository("team/0").before_login().times(1), basic);
    let (client, ask) = (world.client(), world.ask("team/0:v1", login("ann", "right")));
    let resolved = tokio::time::timeout(Duration::from_secs(2), client.resolve(&ask)).await;
    let failure = resolved.expect("a dialogue must not wait for itself").unwrap_err();
    assert_eq!(code(&failure), (Code::RegistryError, None));
    assert!(failure.detail.unwrap().ends_with("asks for a login and then for a token; nodes stay with the login"));
    assert_eq!(world.seen(), ["HEAD manifest 401", "HEAD manifest 401 ann"]);
}
