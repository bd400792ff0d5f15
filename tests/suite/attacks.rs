//! Registries, proxies and token servers that mean harm: each ends in a failure with a cause, soon, and no login travels
//! further than it may.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod addresses;
mod bounds;
mod bytes;
mod page;
mod proxies;
mod raw;
mod realms;
mod redirects;
mod words;

use std::time::Duration;

use hyper::Method;
use pullgate::demo::registry::{
    Accepting, Answer, Behaviour, Certificate, Close, Login, OCI_MANIFEST, RegistrySpec, Target,
};
use pullgate::finding::{Cause, Code};
use pullgate::registry::failure::Failure;
use pullgate::registry::manifest::Manifest;
use tokio::time::Instant;

use crate::support::{PATIENCE, World, code, login};

/// Short enough to be waited for in each line of a table.
const IMPATIENCE: Duration = Duration::from_millis(150);

const UNREACHABLE: Code = Code::RegistryUnreachable;

async fn world(login: Login) -> World {
    patient(login, PATIENCE).await
}

/// A world that gives a request as much time as an honest answer needs, or as little as a timeout is worth waiting for.
async fn expecting(login: Login, cause: Option<Cause>) -> World {
    patient(login, if cause == Some(Cause::Timeout) { IMPATIENCE } else { PATIENCE }).await
}

async fn patient(login: Login, patience: Duration) -> World {
    let world = World::start(|spec| spec.login(login), patience).await;
    world.registry.push("open", "v1");
    world.registry.push("team/api", "v1");
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "right");
    world
}

/// Resolves and explains, in time.
async fn resolve(world: &World, name: &str) -> Result<Manifest, Failure> {
    let (client, ask) = (world.client(), world.ask(name, login("ann", "right")));
    let began = Instant::now();
    let outcome = match client.resolve(&ask).await {
        Err(failure) if failure.code.certain() && !failure.explained => Err(client.explain(&ask, failure).await),
        outcome => outcome,
    };
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    outcome
}

async fn failure(world: &World, name: &str) -> Failure {
    resolve(world, name).await.unwrap_err()
}

/// The guard refused; no request was made, or none that matters.
const GUARDED: (Code, Option<Cause>) = (Code::NotChecked, Some(Cause::Guard));

/// Serves the manifest's true HEAD as 405, so that the client asks by GET.
fn only_get(world: &World, behaviour: Behaviour) {
    world.registry.behave(Target::repository("open").only(Method::GET), behaviour);
    world.registry.behave(Target::repository("open").only(Method::HEAD), Behaviour::Head405);
}

#[tokio::test]
async fn an_answer_to_head_that_does_not_come_or_breaks_off_is_unreachable() {
    let drip = Behaviour::Drip(Duration::from_millis(20));
    for (behaviour, expected) in [
        (Behaviour::Hang, (UNREACHABLE, Some(Cause::Timeout))),
        (drip, (UNREACHABLE, Some(Cause::Timeout))),
        (Behaviour::Close(Close::BeforeAnswer), (UNREACHABLE, Some(Cause::Refused))),
        (Behaviour::Close(Close::InHead), (UNREACHABLE, Some(Cause::Refused))),
    ] {
        let world = expecting(Login::None, expected.1).await;
        world.registry.behave("open", behaviour.clone());
        assert_eq!(code(&failure(&world, "open:v1").await), expected, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_or_has_no_end_is_no_answer() {
    let huge = |declared| Behaviour::HugeBody { declared, bytes: 64 * 1024 * 1024 };
    for (behaviour, expected) in [
        (Behaviour::Close(Close::InBody), (UNREACHABLE, Some(Cause::Refused))),
        (Behaviour::Drip(Duration::from_millis(20)), (UNREACHABLE, Some(Cause::Timeout))),
        (huge(true), (Code::NotChecked, Some(Cause::Limit))),
        (huge(false), (Code::NotChecked, Some(Cause::Limit))),
    ] {
        let world = expecting(Login::None, expected.1).await;
        only_get(&world, behaviour.clone());
        assert_eq!(code(&failure(&world, "open:v1").await), expected, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_manifest_is_no_answer() {
    for body in ["", "null", "[]", "{", "<html>", "\u{0}\u{1}", &"[".repeat(100_000)] {
        let world = world(Login::None).await;
        only_get(&world, Answer::status(200).body(OCI_MANIFEST, body.to_owned()).into());
        assert_eq!(code(&failure(&world, "open:v1").await), (Code::RegistryError, None), "{body:.20}");
    }
}

#[tokio::test]
async fn a_flood_of_headers_is_no_answer() {
    for count in [101, 3_000, 30_000] {
        let world = world(Login::None).await;
        world.registry.behave("open", Behaviour::HeaderFlood(count));
        let failure = failure(&world, "open:v1").await;
        assert!(!failure.code.certain(), "{failure:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_spoken_on_is_unreachable() {
    for (accepting, cause) in [(Accepting::Silently, Cause::Timeout), (Accepting::NotAtAll, Cause::Refused)] {
        let world = expecting(Login::None, Some(cause)).await;
        world.registry.set_accepting(accepting);
        assert_eq!(code(&failure(&world, "open:v1").await), (UNREACHABLE, Some(cause)), "{accepting:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_not_overlooked() {
    for (certificate, words) in [
        (
            Certificate::WrongName,
            "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs",
        ),
        (Certificate::Expired, "x509: certificate has expired or is not yet valid"),
    ] {
        let world = World::start(|spec| RegistrySpec { certificate, ..spec }, PATIENCE).await;
        let failure = failure(&world, "open:v1").await;
        assert_eq!(code(&failure), (UNREACHABLE, Some(Cause::Tls)), "{certificate:?}");
        let node = failure.node.unwrap();
        assert!(node.ends_with(words), "{node}");
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_said_in_the_nodes_words() {
    let world = World::start(|_| RegistrySpec::plain(), PATIENCE).await;
    let failure = failure(&world, "open:v1").await;
    assert_eq!(code(&failure), (UNREACHABLE, Some(Cause::Tls)));
    let node = failure.node.unwrap();
    assert!(node.ends_with("http: server gave HTTP response to HTTPS client"), "{node}");
}

#[tokio::test]
async fn the_words_of_a_registry_are_cleaned_and_cut() {
    let long = "x".repeat(60_000);
    let table = [
        ("no\r\n\u{1b}[31mway\u{0}\u{7f}".to_owned(), "DENIED: no [31mway".to_owned()),
        (long, format!("DENIED: {}…", "x".repeat(189))),
        ("\u{202e}gnorw\u{2066} \u{feff}\u{200b}".to_owned(), "DENIED: gnorw".to_owned()),
        ("é".repeat(300), format!("DENIED: {}…", "é".repeat(94))),
    ];
    for (message, expected) in table {
        let world = world(Login::None).await;
        world.registry.behave("open", Answer::envelope(403, "DENIED", &message));
        let said = failure(&world, "open:v1").await.registry.unwrap();
        assert!(said.len() <= 200 && !said.contains(char::is_control), "{said:?}");
        assert_eq!(said, expected);
    }
}

#[tokio::test]
async fn an_error_code_as_long_as_a_book_is_cut_too() {
    let world = world(Login::None).await;
    world.registry.behave("open", Answer::envelope(403, &"C\n".repeat(100_000), "m"));
    let said = failure(&world, "open:v1").await.registry.unwrap_or_default();
    assert!(said.len() <= 200 && !said.contains(char::is_control), "{said:?}");
}

#[tokio::test]
async fn a_token_server_that_means_harm_is_bounded_too() {
    let huge = |declared| Behaviour::HugeBody { declared, bytes: 64 * 1024 * 1024 };
    let expires = |seconds: &str| {
        let body = format!(r#"{{"access_token":"t","expires_in":{seconds}}}"#);
        Behaviour::Answer(Answer::status(200).body("application/json", body))
    };
    for (behaviour, expected) in [
        (huge(true), (Code::NotChecked, Some(Cause::Limit))),
        (huge(false), (Code::NotChecked, Some(Cause::Limit))),
        (Behaviour::Hang, (UNREACHABLE, Some(Cause::Timeout))),
        (Behaviour::Drip(Duration::from_millis(20)), (UNREACHABLE, Some(Cause::Timeout))),
        (Behaviour::Close(Close::BeforeAnswer), (UNREACHABLE, Some(Cause::Refused))),
        (Behaviour::Close(Close::InBody), (UNREACHABLE, Some(Cause::Refused))),
        // Tokens that do not hold, with lifetimes that no clock can hold.
        (expires("1e300"), (Code::RegistryError, None)),
        (expires("-5"), (Code::RegistryError, None)),
        (expires("\"soon\""), (Code::RegistryError, None)),
        (expires("null"), (Code::RegistryError, None)),
    ] {
        let world = expecting(Login::bearer(), expected.1).await;
        world.registry.behave(Target::token(), behaviour.clone());
        assert_eq!(code(&failure(&world, "team/api:v1").await), expected, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_token_that_no_header_may_carry_is_no_token() {
    let world = world(Login::bearer()).await;
    let body = r#"{"access_token":"a\r\nX-Evil: 1","token":"a\r\nX-Evil: 1"}"#;
    world.registry.behave(Target::token(), Answer::status(200).body("application/json", body));
    assert!(!failure(&world, "team/api:v1").await.code.certain());
    assert_eq!(world.seen(), ["HEAD manifest 401", "POST token 200 ann"]);
}

#[tokio::test]
async fn challenges_without_end_are_read_and_ended() {
    let many = (0..60).fold(Answer::status(401), |answer, number| {
        answer.header("WWW-Authenticate", &format!("Bearer realm=\"https://127.0.0.1:1/{number}\",scope=\"{number}\""))
    });
    let long = Answer::status(401).header("WWW-Authenticate", &format!("Bearer realm=\"{}", "\\\"".repeat(20_000)));
    for answer in [many, long] {
        let world = world(Login::None).await;
        world.registry.behave("open", answer);
        assert!(!failure(&world, "open:v1").await.code.certain());
    }
}

#[tokio::test]
async fn a_challenge_longer_than_any_in_earnest_is_neither_answered_nor_remembered() {
    let world = world(Login::bearer()).await;
    for challenge in [
        format!("Bearer realm=\"https://{}/token\",service=\"{}\"", world.registry.host(), "s".repeat(9_000)),
        format!("Bearer realm=\"https://{}/token\",scope=\"{}\"", world.registry.host(), "a ".repeat(5_000)),
    ] {
        let answer = Answer::status(401).header("WWW-Authenticate", &challenge);
        world.registry.behave(Target::repository("open").before_login(), answer);
        let failure = failure(&world, "open:v1").await;
        assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Limit)));
        assert_eq!(world.seen(), ["HEAD manifest 401"]);
    }
    let body = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(40_000));
    world.registry.behave(Target::token(), Answer::status(200).body("application/json", body));
    assert_eq!(code(&failure(&world, "team/api:v1").await), (Code::NotChecked, Some(Cause::Limit)));
}

#[tokio::test]
async fn a_registry_that_challenges_for_ever_is_left_alone_after_a_few_rounds() {
    let world = world(Login::bearer()).await;
    let basic = Answer::status(401).header("WWW-Authenticate", "Basic realm=\"r\"");
    for challenges in [basic.clone(), basic.header("WWW-Authenticate", "Bearer realm=\"https://127.0.0.1:1/t\"")] {
        world.registry.behave(Target::repository("open").before_login(), challenges);
        world.seen();
        resolve(&world, "open:v1").await.unwrap_err();
        assert!(world.seen().len() <= 5);
    }
}
