//! The question whether a login is good for itself, asked of registries that give a wrong one a stranger's token.

use std::time::Duration;

use futures_util::future::join_all;
use pullgate::demo::registry::{Access, Answer, Bearer, ChallengeForm, Login, NoAccess, Target, WrongPassword};
use pullgate::finding::Code;
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Decision;

use super::{judged, probed, world};
use crate::support::{TEAM, World, cluster, codes, login, pod, seen};

/// The shapes of a registry as Harbor is: a wrong login gets the token of a stranger, and 401 only where no repository is
/// named; and whoever showed a login is asked for a bare one.
async fn harbor(challenge: ChallengeForm) -> World {
    let bearer = Bearer { wrong_password: WrongPassword::Anonymous, refuse_post: Some(404), ..Bearer::default() };
    world(|spec| spec.login(Login::Bearer(bearer)).access(Access { challenge, ..Access::default() })).await
}

const SHAPES: [ChallengeForm; 2] = [ChallengeForm::One, ChallengeForm::BasicAfterLogin];

/// Questions without a repository since the last call, by status.
fn alone(world: &World) -> Vec<u16> {
    let requests = world.registry.requests();
    let token = requests.iter().filter(|request| request.path == "/token" && request.scopes.is_empty());
    let statuses = token.filter_map(|request| request.status).collect();
    world.registry.clear_log();
    statuses
}

/// How often the registry saw a login fail, whatever it answered.
fn failed_logins(world: &World) -> usize {
    let requests = world.registry.requests();
    requests.iter().filter(|request| request.sent_login && request.status == Some(401) && !request.authorised).count()
}

#[tokio::test]
async fn a_login_that_was_given_a_strangers_token_is_found_out() {
    for shape in SHAPES {
        let world = harbor(shape).await;
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "wrong")]));
        let private = pod(TEAM, &[world.image("team/api:v1")], &["regcred"]);
        let verdict = world.check(&engine, &private).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::CredentialsRejected]), "{shape:?}");
        assert_eq!((probed(&verdict).login, probed(&verdict).public), (Some(false), Some(false)));
        assert_eq!(alone(&world), [401], "{shape:?}");
        // What is public is pulled with it all the same: the login is not held as a wrong one.
        let public = pod(TEAM, &[world.image("open:v1")], &["regcred"]);
        assert_eq!(codes(&world.check(&engine, &public).await), [], "{shape:?}");
        // And what is opened is seen by the very next apply.
        world.registry.public("team");
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(codes(&world.check(&engine, &private).await), [], "{shape:?}");
    }
}

#[tokio::test]
async fn a_wrong_login_is_asked_about_once_in_two_minutes_and_stays_wrong_in_between() {
    for shape in SHAPES {
        let world = harbor(shape).await;
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "wrong")]));
        let private = pod(TEAM, &[world.image("team/api:v1")], &["regcred"]);
        for (wait, asked) in [(0, 1), (10_000, 0), (10_000, 0), (60_000, 0), (39_900, 0), (1_000, 1), (60_000, 0)] {
            world.clock.advance(Duration::from_millis(wait));
            let verdict = world.check(&engine, &private).await;
            assert_eq!(
                (verdict.decision, codes(&verdict)),
                (Decision::Deny, vec![Code::CredentialsRejected]),
                "{shape:?}"
            );
            // As often as a node shows it, and once alone.
            assert!(failed_logins(&world) <= 5, "{shape:?} {:?}", seen(&world.registry));
            assert_eq!(alone(&world).len(), asked, "{shape:?} after {wait} ms more");
        }
    }
}

#[tokio::test]
async fn a_good_login_without_access_is_called_good() {
    for (shape, no_access, code) in [
        (ChallengeForm::One, NoAccess::Unauthorized, Code::NotFoundOrNoAccess),
        (ChallengeForm::BasicAfterLogin, NoAccess::Unauthorized, Code::NotFoundOrNoAccess),
        (ChallengeForm::One, NoAccess::Forbidden, Code::AccessDenied),
    ] {
        let bearer = Bearer { wrong_password: WrongPassword::Anonymous, ..Bearer::default() };
        let access = Access { challenge: shape, no_access, ..Access::default() };
        let world = world(|spec| spec.login(Login::Bearer(bearer)).access(access)).await;
        world.registry.push("team/other", "v1");
        world.registry.private("team/other", &["ann", "bob"]);
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "bob", "right")]));
        let refused = pod(TEAM, &[world.image("team/api:v1")], &["regcred"]);
        for (wait, asked) in [(0, 1), (10, 0), (60, 0), (119, 0), (110, 0), (1, 1), (3000, 1), (3000, 1)] {
            world.clock.advance(Duration::from_secs(wait));
            let verdict = world.check(&engine, &refused).await;
            assert_eq!((codes(&verdict), verdict.decision), (vec![code], Decision::Deny), "{shape:?} {wait}");
            assert_eq!(probed(&verdict).login, Some(true));
            let said = verdict.findings[0].message().contains("the login itself is accepted");
            assert_eq!(said, code == Code::NotFoundOrNoAccess);
            assert_eq!(alone(&world).len(), asked, "{shape:?} {wait}");
        }
        // It is good where it may pull.
        let other = pod(TEAM, &[world.image("team/other:v1")], &["regcred"]);
        assert_eq!(codes(&world.check(&engine, &other).await), [], "{shape:?}");
    }
}

#[tokio::test]
async fn a_login_that_its_token_server_refused_or_a_bare_one_is_not_asked_about() {
    for (kind, secret) in [
        (Login::bearer(), Some(("ann", "wrong"))),
        (Login::Basic, Some(("ann", "wrong"))),
        (Login::Basic, Some(("bob", "right"))),
        (Login::bearer(), None),
    ] {
        let world = world(|spec| spec.login(kind)).await;
        let verdict = judged(&world, "team/api:v1", secret).await;
        assert_eq!((verdict.decision, probed(&verdict).login), (Decision::Deny, None));
        assert_eq!(alone(&world), [0_u16; 0]);
    }
}

#[tokio::test]
async fn a_token_server_that_refuses_to_say_leaves_the_name_as_it_was() {
    for status in [400, 403, 404, 405, 429, 500, 503] {
        let world = harbor(ChallengeForm::One).await;
        let resolver = world.resolver();
        let bob = || login("bob", "right");
        // The token is fetched, then the token server has other thoughts.
        world.resolve(&resolver, "team/api:v1", bob(), Freshness::Cached).await.outcome.unwrap_err();
        world.registry.behave(Target::token(), Answer::status(status));
        let fresh = world.resolve(&resolver, "team/api:v1", bob(), Freshness::Fresh(world.clock.now())).await;
        let failure = fresh.outcome.unwrap_err();
        assert_eq!((failure.code, failure.probed.unwrap().login), (Code::NotFoundOrNoAccess, None), "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_saw_enough_failed_logins_is_not_asked_about_one_more() {
    let world = harbor(ChallengeForm::One).await;
    let resolver = world.resolver();
    let ask = async |number: u8, freshness| {
        let wrong = login("ann", &format!("wrong {number}"));
        world.resolve(&resolver, "team/api:v1", wrong, freshness).await.outcome.unwrap_err()
    };
    // Given a token before the others are found out.
    for number in [98, 99] {
        assert_eq!(ask(number, Freshness::Cached).await.code, Code::NotFoundOrNoAccess);
    }
    for number in (0..11).chain([98]) {
        assert_eq!(ask(number, Freshness::Fresh(world.clock.now())).await.code, Code::CredentialsRejected, "{number}");
    }
    assert_eq!(alone(&world), [401; 12]);
    let unsaid = ask(99, Freshness::Fresh(world.clock.now())).await;
    assert_eq!((unsaid.code, unsaid.probed.unwrap().login), (Code::NotFoundOrNoAccess, None));
    assert_eq!(alone(&world), [0_u16; 0]);
}

#[tokio::test]
async fn the_images_of_a_pod_share_one_question_about_their_login() {
    let world = harbor(ChallengeForm::One).await;
    let names: Vec<String> = (0..8).map(|number| format!("team/{number}")).collect();
    for name in &names {
        world.registry.push(name, "v1");
    }
    world.registry.set_latency(Duration::from_millis(5));
    let images: Vec<String> = names.iter().map(|name| world.image(&format!("{name}:v1"))).collect();
    let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "wrong")]));
    let pod = pod(TEAM, &images, &["regcred"]);
    let verdicts = join_all((0..4).map(|_| world.check(&engine, &pod))).await;
    for verdict in verdicts {
        assert_eq!(codes(&verdict), [Code::CredentialsRejected; 8]);
    }
    assert_eq!(alone(&world), [401]);
}
