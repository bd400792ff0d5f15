//! Logins that say themselves when they end: what a refusal is called then, and what is said while they still pull.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pullgate::demo::registry::{Access, Login, NoAccess};
use pullgate::finding::{Code, NoticeCode};
use pullgate::verdict::{Decision, Verdict};
use serde_json::{Value, json};

use crate::support::{PATIENCE, TEAM, World, cluster, codes, pod};

const ACR_USER: &str = "00000000-0000-0000-0000-000000000000";

/// Part of every password here: found wherever one leaks.
const CANARY: &str = "canary-hunter2-Kq7vXw3z";

fn ecr(end: i64) -> String {
    STANDARD.encode(json!({ "payload": CANARY, "type": "DATA_KEY", "expiration": end }).to_string())
}

fn jwt(claims: &Value) -> String {
    format!("{}.{}.{CANARY}", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn reference(end: i64) -> String {
    STANDARD.encode(format!("reftkn:01:{end}:{CANARY}"))
}

/// A registry with a private and a public image, and one login that may pull both.
async fn world(login: Login, access: Access) -> World {
    let world = World::start(|spec| spec.login(login).access(access), PATIENCE).await;
    world.registry.push("team/api", "v1");
    world.registry.push("open", "v1");
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "right");
    world
}

/// Judges a pod of one image with one pull secret.
async fn judged(world: &World, image: &str, user: &str, password: &str) -> Verdict {
    let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", user, password)]));
    let verdict = world.check(&engine, &pod(TEAM, &[world.image(image)], &["regcred"])).await;
    let shown = format!("{verdict:?} {}", pullgate::message::denial(&verdict));
    assert!(!shown.contains(password) && !shown.contains(CANARY), "{shown}");
    verdict
}

fn soon(verdict: &Verdict) -> Vec<String> {
    let soon = verdict.notices.iter().filter(|notice| notice.code == NoticeCode::CredentialsExpireSoon);
    soon.map(|notice| notice.message.clone()).collect()
}

#[tokio::test]
async fn a_refused_login_that_is_over_says_which_it_is_and_since_when() {
    // Every world begins at the same time.
    let now = world(Login::Basic, Access::default()).await.clock.now().as_second();
    for (user, password, words) in [
        ("AWS", ecr(now - 3 * 3600), "the ECR token in Secret \"regcred\" expired 3 h ago"),
        ("AWS", ecr(now - 86_400 * 5), "the ECR token in Secret \"regcred\" expired 5 days ago"),
        (
            "team+bot",
            jwt(&json!({ "exp": now - 1800 })),
            "the Quay robot token in Secret \"regcred\" expired 30 min ago",
        ),
        ("x", reference(now - 121), "the Artifactory token in Secret \"regcred\" expired 2 min ago"),
        ("x", jwt(&json!({ "exp": now - 7200 })), "the token in Secret \"regcred\" expired 2 h ago"),
    ] {
        let basic = world(Login::Basic, Access::default()).await;
        let verdict = judged(&basic, "team/api:v1", user, &password).await;
        let finding = &verdict.findings[0];
        assert_eq!((verdict.decision, finding.code, finding.certain), (Decision::Deny, Code::CredentialsExpired, true));
        assert!(finding.message().contains(words), "{}", finding.message());
        assert_eq!(finding.tried[0].outcome, "CredentialsExpired");
        assert!(
            finding.token.is_some() && finding.fix.contains("create secret docker-registry regcred"),
            "{finding:?}"
        );
        // The login is always tried: it is not for pullgate to judge.
        assert!(basic.registry.requests().iter().any(|request| request.sent_login));
    }
}

#[tokio::test]
async fn a_login_that_is_not_over_or_only_by_what_clocks_differ_is_a_rejected_one() {
    for after in [119, 0, -5000] {
        let world = world(Login::Basic, Access::default()).await;
        let end = world.clock.now().as_second() - after;
        assert_eq!(codes(&judged(&world, "team/api:v1", "AWS", &ecr(end)).await), [Code::CredentialsRejected]);
    }
}

#[tokio::test]
async fn every_refusal_that_a_dead_login_explains_is_one_of_an_expired_login() {
    let no = |no_access| Access { no_access, ..Access::default() };
    for (login, access) in [
        (Login::bearer(), Access::default()),
        (Login::bearer(), no(NoAccess::TokenRefused(403))),
        (Login::bearer(), no(NoAccess::Forbidden)),
        (Login::Basic, no(NoAccess::Forbidden)),
    ] {
        let world = world(login, access).await;
        let dead = ecr(world.clock.now().as_second() - 3600);
        // The token server does not look at it, so that the refusal comes from further on.
        world.registry.set_password("AWS", dead.as_str());
        let verdict = judged(&world, "team/api:v1", "AWS", &dead).await;
        let code = verdict.findings[0].code;
        // Where the login was asked about by itself and accepted, its own word does not count.
        let accepted = verdict.findings[0].probed.is_some_and(|probed| probed.login == Some(true));
        assert_eq!(code == Code::CredentialsExpired, !accepted, "{code} {access:?}");
        // What the registry says of the repository has nothing to do with a login.
        assert_eq!(codes(&judged(&world, "open:v9", "AWS", &dead).await), [Code::TagNotFound], "{access:?}");
    }
}

#[tokio::test]
async fn where_nodes_may_have_a_login_of_their_own_an_expired_one_is_uncertain() {
    let mut world = world(Login::Basic, Access::default()).await;
    world.policy.registries.clear();
    let mut rules = pullgate::config::parse("registries: [{ host: '*', nodeAccess: unknown }]", "test").unwrap();
    std::mem::swap(&mut world.policy.registries, &mut rules.registries);
    let verdict = judged(&world, "team/api:v1", "AWS", &ecr(world.clock.now().as_second() - 3600)).await;
    assert!(verdict.findings.iter().all(|finding| !finding.certain), "{verdict:?}");
}

#[tokio::test]
async fn a_login_that_is_over_and_pulls_all_the_same_is_a_warning() {
    let world = world(Login::Basic, Access::default()).await;
    let dead = ecr(world.clock.now().as_second() - 3 * 3600);
    world.registry.set_password("ann", dead.as_str());
    let verdict = judged(&world, "team/api:v1", "ann", &dead).await;
    assert_eq!((verdict.decision, codes(&verdict)), (Decision::Allow, vec![]));
    let words = "the ECR token in Secret \"regcred\" expired 3 h ago; R lets the image be pulled all the same";
    assert_eq!(soon(&verdict).iter().map(|line| world.plain(Some(line))).collect::<Vec<_>>(), [words]);
}

#[tokio::test]
async fn an_expired_login_beside_one_that_pulls_is_a_warning() {
    let world = world(Login::Basic, Access::default()).await;
    let dead = ecr(world.clock.now().as_second() - 3 * 3600);
    let secrets = [world.secret(TEAM, "dead", "AWS", &dead), world.secret(TEAM, "good", "ann", "right")];
    let engine = world.engine(&cluster(&secrets));
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("team/api:v1")], &["dead", "good"])).await;
    assert_eq!((verdict.decision, codes(&verdict)), (Decision::Allow, vec![]));
    let line = world.plain(soon(&verdict).first().map(String::as_str));
    assert_eq!(line, "the ECR token in Secret \"dead\" expired 3 h ago; R takes another login");
}

#[tokio::test]
async fn a_login_that_pulls_and_ends_soon_is_a_warning_once_a_pod() {
    let world = world(Login::Basic, Access::default()).await;
    let now = world.clock.now().as_second();
    for (password, expected) in [
        (ecr(now + 2460), Some("ends in 40 min")),
        (ecr(now + 3700), None),
        (jwt(&json!({ "exp": now + 2400, "iat": now - 1200 })), None),
        (jwt(&json!({ "exp": now + 660, "iat": now - 3000 })), Some("ends in 10 min")),
        ("right".to_owned(), None),
    ] {
        world.registry.set_password("ann", password.as_str());
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", &password)]));
        let images = [world.image("team/api:v1"), world.image("open:v1")];
        let verdict = world.check(&engine, &pod(TEAM, &images, &["regcred"])).await;
        assert_eq!(codes(&verdict), []);
        let lines = soon(&verdict);
        assert_eq!(lines.len(), usize::from(expected.is_some()), "{lines:?}");
        assert!(expected.is_none_or(|words| lines[0].contains(words)), "{lines:?}");
    }
}

#[tokio::test]
async fn a_token_for_another_registry_says_so_when_it_is_refused() {
    let world = world(Login::Basic, Access::default()).await;
    let claims = json!({ "exp": world.clock.now().as_second() + 7200, "aud": "other.azurecr.io" });
    let verdict = judged(&world, "team/api:v1", ACR_USER, &jwt(&claims)).await;
    assert_eq!(codes(&verdict), [Code::CredentialsRejected]);
    let message = verdict.findings[0].message();
    assert!(message.contains("the token in Secret \"regcred\" is for other.azurecr.io"), "{message}");
}
