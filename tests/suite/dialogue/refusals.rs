//! Every shape of refusal and the code, words and node's line that it is given.

use std::time::Duration;

use pullgate::credentials::Credential;
use pullgate::demo::registry::{Access, Answer, ChallengeForm, Login, MissingRepository, NoAccess, RegistrySpec};
use pullgate::finding::{Cause, Code};
use pullgate::registry::failure::Failure;

use super::{ann, outcome, world};
use crate::support::{PATIENCE, World, code, login};

const RESOLVE: &str = "failed to pull and unpack image \"R/team/api:v1\": failed to resolve image: ";

fn bob() -> Option<Credential> {
    login("bob", "right")
}

fn wrong() -> Option<Credential> {
    login("ann", "wrong")
}

/// Code and the registry's words.
fn said(failure: &Failure) -> String {
    format!("{} | {}", failure.code, failure.registry.as_deref().unwrap_or("nothing"))
}

#[tokio::test]
async fn missing_private_and_hidden_are_told_apart_where_the_registry_does() {
    let bearer = Login::bearer;
    let plain = Access::default();
    let no = |no_access| Access { no_access, ..plain };
    let hidden = Access { hide_existence: true, ..plain };
    let silent = Access { challenge: ChallengeForm::Absent, ..plain };
    let unauthorized = "UNAUTHORIZED: authentication required";
    let denied = "DENIED: requested access to the resource is denied";
    let (forbidden, refused) = (NoAccess::Forbidden, NoAccess::TokenRefused);
    let table = [
        ("missing tag", bearer(), plain, "open:v9", None, "TagNotFound | MANIFEST_UNKNOWN: manifest unknown"),
        ("private", bearer(), plain, "team/api:v1", None, &format!("CredentialsMissing | {unauthorized}")),
        ("other user", bearer(), plain, "team/api:v1", bob(), &format!("NotFoundOrNoAccess | {unauthorized}")),
        ("private, 403", bearer(), no(forbidden), "team/api:v1", bob(), &format!("AccessDenied | {denied}")),
        ("stranger, 403", bearer(), no(forbidden), "team/api:v1", None, &format!("NotFoundOrNoAccess | {denied}")),
        ("token 403", bearer(), no(refused(403)), "team/api:v1", bob(), &format!("NotFoundOrNoAccess | {denied}")),
        ("hidden", bearer(), hidden, "nothing:v1", ann(), &format!("NotFoundOrNoAccess | {unauthorized}")),
        ("wrong", bearer(), plain, "team/api:v1", wrong(), "CredentialsRejected | incorrect username or password"),
        ("basic, stranger", Login::Basic, plain, "team/api:v1", None, &format!("CredentialsMissing | {unauthorized}")),
        ("basic, wrong", Login::Basic, plain, "team/api:v1", wrong(), "CredentialsRejected | nothing"),
        ("basic, 403", Login::Basic, no(forbidden), "team/api:v1", bob(), &format!("AccessDenied | {denied}")),
        ("no challenge", bearer(), silent, "team/api:v1", None, &format!("NotFoundOrNoAccess | {unauthorized}")),
    ];
    for (title, login, access, name, credential, expected) in table {
        let world = world(login, access).await;
        let failure = outcome(&world, name, credential).await.unwrap_err();
        assert_eq!(said(&failure), expected, "{title}");
        assert!(failure.explained, "{title}");
    }
}

#[tokio::test]
async fn a_missing_repository_is_one_only_where_the_registry_says_so() {
    for (form, by_digest, expected) in [
        (MissingRepository::NameUnknown, false, Code::RepositoryNotFound),
        (MissingRepository::NameUnknown, true, Code::RepositoryNotFound),
        (MissingRepository::ManifestUnknown, false, Code::TagNotFound),
        (MissingRepository::ManifestUnknown, true, Code::DigestNotFound),
    ] {
        let world = World::start(|spec| RegistrySpec { missing_repository: form, ..spec }, PATIENCE).await;
        let name = if by_digest { format!("nothing@sha256:{}", "0".repeat(64)) } else { "nothing:v1".to_owned() };
        assert_eq!(outcome(&world, &name, None).await.unwrap_err().code, expected, "{form:?} {name}");
    }
}

#[tokio::test]
async fn an_expired_login_is_a_rejected_one() {
    let world = world(Login::Basic, Access::default()).await;
    world.registry.expire_login("ann");
    let failure = outcome(&world, "team/api:v1", ann()).await.unwrap_err();
    let words = "CredentialsRejected | DENIED: Your authorization token has expired. Reauthenticate and try again.";
    assert_eq!(said(&failure), words);
}

#[tokio::test]
async fn the_registrys_own_troubles_and_rules_are_no_verdict_on_the_image() {
    let policy = "The image is prevented from being pulled: violates the policy of the project";
    let table = [
        (
            Answer::envelope(412, "PROJECTPOLICYVIOLATION", "locked"),
            "BlockedByRegistry | PROJECTPOLICYVIOLATION: locked",
        ),
        (Answer::envelope(403, "DENIED", policy), &format!("BlockedByRegistry | DENIED: {policy}")),
        (Answer::envelope(429, "TOOMANYREQUESTS", "slow down"), "RateLimited | nothing"),
        (Answer::envelope(500, "UNKNOWN", "boom"), "RegistryError | nothing"),
        (Answer::status(502), "RegistryError | nothing"),
        (Answer::html(503), "RegistryError | nothing"),
        (Answer::html(403), "RegistryError | nothing"),
        (Answer::html(404), "RegistryError | nothing"),
        (
            Answer::status(404).body("text/plain", "default backend - 404").unsigned(),
            "RegistryError | default backend - 404",
        ),
        (
            Answer::status(403).body("text/plain", "RBAC: access denied").unsigned(),
            "RegistryError | RBAC: access denied",
        ),
        (Answer::status(401).unsigned(), "RegistryError | nothing"),
        (Answer::envelope(404, "MANIFEST_UNKNOWN", "gone").unsigned(), "TagNotFound | MANIFEST_UNKNOWN: gone"),
        (Answer::status(404), "NotFoundOrNoAccess | nothing"),
        (Answer::status(400), "RegistryError | nothing"),
        (Answer::status(302), "RegistryError | nothing"),
        (Answer::status(418), "RegistryError | nothing"),
    ];
    for (answer, expected) in table {
        let world = world(Login::Basic, Access::default()).await;
        let shown = format!("{answer:?}");
        world.registry.behave("team/api", answer);
        assert_eq!(said(&outcome(&world, "team/api:v1", ann()).await.unwrap_err()), expected, "{shown}");
    }
}

#[tokio::test]
async fn a_quota_says_when_to_come_back_and_is_not_asked_again() {
    let world = world(Login::bearer(), Access::default()).await;
    for (header, expected) in [
        ("7", Some(7)),
        ("99999999", Some(3_600)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        ("Mon, 06 Nov 2994 08:49:37 GMT", Some(3_600)),
        ("tomorrow", None),
    ] {
        world.registry.behave("open", Answer::status(429).header("Retry-After", header));
        world.seen();
        let failure = outcome(&world, "open:v1", None).await.unwrap_err();
        assert_eq!((failure.code, failure.retry_after), (Code::RateLimited, expected.map(Duration::from_secs)));
        assert_eq!(world.seen(), ["HEAD manifest 401", "GET token 200", "HEAD manifest 429"]);
    }
}

#[tokio::test]
async fn a_failing_registry_is_asked_once() {
    for status in [500, 502, 503, 504] {
        let world = world(Login::None, Access::default()).await;
        world.registry.behave("open", Answer::status(status));
        outcome(&world, "open:v1", None).await.unwrap_err();
        assert_eq!(world.seen(), [format!("HEAD manifest {status}")]);
    }
}

#[tokio::test]
async fn a_closed_port_is_unreachable_in_the_nodes_words() {
    let world = world(Login::None, Access::default()).await;
    world.registry.stop().await;
    let failure = outcome(&world, "team/api:v1", None).await.unwrap_err();
    assert_eq!(code(&failure), (Code::RegistryUnreachable, Some(Cause::Refused)));
    let words =
        "failed to do request: Head \"https://R/v2/team/api/manifests/v1\": dial tcp R: connect: connection refused";
    assert_eq!(world.plain(failure.node.as_deref()), format!("{RESOLVE}{words}"));
}

#[tokio::test]
async fn a_refusal_has_the_line_that_the_node_would_show() {
    let bearer = Login::bearer;
    let plain = Access::default();
    let no = |no_access| Access { no_access, ..plain };
    let token = "https://R/token?scope=repository%3Ateam%2Fapi%3Apull&service=pullgate-demo";
    let fetch = "failed to authorize: failed to fetch";
    let status = "unexpected status from";
    let denied = "pull access denied, repository does not exist or may require authorization:";
    let insufficient = format!("{denied} server message: insufficient_scope: authorization failed");
    let table = [
        (bearer(), plain, bob(), insufficient.clone()),
        (bearer(), plain, None, insufficient),
        (bearer(), plain, wrong(), format!("{fetch} oauth token: {status} GET request to {token}: 401 Unauthorized")),
        (
            bearer(),
            no(NoAccess::TokenRefused(403)),
            bob(),
            format!("{fetch} oauth token: {status} POST request to https://R/token: 403 Forbidden"),
        ),
        (
            bearer(),
            no(NoAccess::TokenRefused(401)),
            None,
            format!("{fetch} anonymous token: {status} GET request to {token}: 401 Unauthorized"),
        ),
        (
            bearer(),
            no(NoAccess::Forbidden),
            bob(),
            format!("{status} HEAD request to https://R/v2/team/api/manifests/v1: 403 Forbidden"),
        ),
        (Login::Basic, plain, None, format!("{denied} authorization failed: no basic auth credentials")),
        (
            Login::Basic,
            plain,
            wrong(),
            format!("{status} HEAD request to https://R/v2/team/api/manifests/v1: 401 Unauthorized"),
        ),
    ];
    for (login, access, credential, expected) in table {
        let world = world(login, access).await;
        let failure = outcome(&world, "team/api:v1", credential).await.unwrap_err();
        assert_eq!(world.plain(failure.node.as_deref()), format!("{RESOLVE}{expected}"));
    }
}
