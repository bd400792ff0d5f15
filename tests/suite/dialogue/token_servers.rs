//! Token servers that fail, challenges that are odd, tokens that do not hold.

use std::time::Duration;

use pullgate::demo::registry::{Access, Answer, Behaviour, ChallengeForm, Login, Realm, Target, TokenFields};
use pullgate::finding::{Cause, Code};

use super::{ann, bearer, outcome, world};
use crate::support::{code, login, seen};

#[tokio::test]
async fn a_token_by_either_field_name_is_taken_where_containerd_takes_it() {
    let fields = |fields| bearer(move |bearer| bearer.fields = fields);
    for (login, credential, accepted) in [
        (fields(TokenFields::AccessToken), None, true),
        (fields(TokenFields::Token), None, true),
        (fields(TokenFields::AccessToken), ann(), true),
        // A POST must answer with access_token (core/remotes/docker/auth/fetch.go).
        (fields(TokenFields::Token), ann(), false),
        (fields(TokenFields::Neither), None, false),
    ] {
        let shown = format!("{login:?} {credential:?}");
        let world = world(login, Access::default()).await;
        let name = if credential.is_some() { "team/api:v1" } else { "open:v1" };
        match outcome(&world, name, credential).await {
            Ok(_) => assert!(accepted, "{shown}"),
            Err(failure) => {
                assert!(!accepted, "{shown}");
                assert_eq!(code(&failure), (Code::RegistryError, None));
                let node = failure.node.unwrap();
                let words = "token: authorization server did not include a token in the response";
                assert!(node.ends_with(words), "{node}");
            }
        }
    }
}

#[tokio::test]
async fn a_failing_token_server_is_no_verdict_on_the_login() {
    for (answer, expected) in [
        (Answer::status(500), Code::RegistryError),
        (Answer::html(503), Code::RegistryError),
        (Answer::status(404), Code::RegistryError),
        (Answer::status(429), Code::RateLimited),
        (Answer::envelope(403, "DENIED", "denied"), Code::NotFoundOrNoAccess),
        // A ban, or something in between: a registry has words for a refusal of its own.
        (Answer::status(403), Code::RegistryError),
        (Answer::status(200).body("application/json", "{\"token\":\"\",\"access_token\":\"\"}"), Code::RegistryError),
        (Answer::status(200).body("text/html", "<html>"), Code::RegistryError),
    ] {
        let world = world(Login::bearer(), Access::default()).await;
        let shown = format!("{answer:?}");
        world.registry.behave(Target::token(), answer);
        let failure = outcome(&world, "team/api:v1", ann()).await.unwrap_err();
        assert_eq!(code(&failure), (expected, None), "{shown}");
    }
}

#[tokio::test]
async fn a_token_server_on_another_port_gets_the_login_over_https() {
    let world = world(bearer(|bearer| bearer.realm = Realm::OwnPort), Access::default()).await;
    outcome(&world, "team/api:v1", ann()).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 401", "POST token 200 ann", "HEAD manifest 200 ann"]);
}

#[tokio::test]
async fn a_realm_that_cannot_be_trusted_gets_nothing() {
    let long = format!("https://127.0.0.1/{}", "x".repeat(2048));
    for (realm, expected) in [
        (Realm::Relative, (Code::RegistryError, None)),
        (Realm::DoubledPort, (Code::RegistryError, None)),
        (Realm::Url(String::new()), (Code::RegistryError, None)),
        (Realm::Url("https://".to_owned()), (Code::RegistryError, None)),
        (Realm::Http, (Code::NotChecked, Some(Cause::Guard))),
        (Realm::Url("ftp://127.0.0.1/token".to_owned()), (Code::NotChecked, Some(Cause::Guard))),
        (Realm::Url("https://169.254.169.254/token".to_owned()), (Code::NotChecked, Some(Cause::Guard))),
        (Realm::Url("https://[fd00:ec2::254]/token".to_owned()), (Code::NotChecked, Some(Cause::Guard))),
        (Realm::Url("https://ann:pw@127.0.0.1/token".to_owned()), (Code::NotChecked, Some(Cause::Guard))),
        (Realm::Url(long), (Code::NotChecked, Some(Cause::Guard))),
    ] {
        let shown = format!("{realm:?}");
        let world = world(bearer(|bearer| bearer.realm = realm), Access::default()).await;
        let failure = outcome(&world, "team/api:v1", ann()).await.unwrap_err();
        assert_eq!(code(&failure), expected, "{shown}");
        assert_eq!(world.seen(), ["HEAD manifest 401"], "{shown}");
    }
}

#[tokio::test]
async fn a_token_server_elsewhere_is_not_redirected_from() {
    let world = world(Login::bearer(), Access::default()).await;
    let other = world.another(|spec| spec).await;
    let location = format!("https://{}/token", other.host());
    for status in [301, 302, 307, 308] {
        let redirect = Behaviour::Redirect { status, location: location.clone() };
        world.registry.behave(Target::token(), redirect);
        let failure = outcome(&world, "team/api:v1", ann()).await.unwrap_err();
        assert_eq!(code(&failure), (Code::RegistryError, None));
    }
    assert_eq!(seen(&other), [""; 0]);
}

#[tokio::test]
async fn challenges_are_taken_as_containerd_takes_them() {
    for (login, form, expected) in [
        (Login::bearer(), ChallengeForm::One, Ok(())),
        (Login::bearer(), ChallengeForm::Capitals, Ok(())),
        (Login::bearer(), ChallengeForm::TwoLines, Ok(())),
        (Login::bearer(), ChallengeForm::Joined, Ok(())),
        (Login::Basic, ChallengeForm::Capitals, Ok(())),
        (Login::Basic, ChallengeForm::TwoLines, Ok(())),
        // What follows the first challenge on a line is lost on a node too.
        (Login::Basic, ChallengeForm::Joined, Err(Code::NotFoundOrNoAccess)),
        (Login::bearer(), ChallengeForm::Absent, Err(Code::NotFoundOrNoAccess)),
    ] {
        let shown = format!("{login:?} {form:?}");
        let world = world(login, Access { challenge: form, ..Access::default() }).await;
        let found = outcome(&world, "team/api:v1", ann()).await.map(drop).map_err(|failure| failure.code);
        assert_eq!(found, expected, "{shown}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once() {
    let world = world(Login::bearer(), Access::default()).await;
    let (client, ask) = (world.client(), world.ask("team/api:v1", ann()));
    for young in [true, false] {
        client.resolve(&ask).await.unwrap();
        if !young {
            world.clock.advance(Duration::from_secs(30));
        }
        world.registry.revoke_tokens();
        world.seen();
        client.resolve(&ask).await.unwrap();
        assert_eq!(world.seen(), ["HEAD manifest 401", "POST token 200 ann", "HEAD manifest 200 ann"]);
    }
}

#[tokio::test]
async fn tokens_that_never_hold_end_the_dialogue() {
    let world = world(bearer(|bearer| bearer.lifetime = Some(Duration::ZERO)), Access::default()).await;
    let failure = outcome(&world, "team/api:v1", ann()).await.unwrap_err();
    assert_eq!(code(&failure), (Code::RegistryError, None));
    let renewal = ["POST token 200 ann", "HEAD manifest 401"];
    assert_eq!(world.seen(), [&["HEAD manifest 401"][..], &renewal, &renewal].concat());
}

#[tokio::test]
async fn a_registry_that_changes_how_it_asks_is_followed() {
    let world = world(Login::Basic, Access::default()).await;
    let (client, ask) = (world.client(), world.ask("team/api:v1", ann()));
    client.resolve(&ask).await.unwrap();
    world.registry.set_login(Login::bearer());
    world.seen();
    client.resolve(&ask).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 401 ann", "POST token 200 ann", "HEAD manifest 200 ann"]);
    world.registry.set_login(Login::Basic);
    client.resolve(&ask).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 401 ann", "HEAD manifest 200 ann"]);
}

#[tokio::test]
async fn a_token_server_that_gives_strangers_tokens_to_wrong_logins_is_not_taken_for_proof() {
    use pullgate::demo::registry::WrongPassword;
    let world = world(bearer(|bearer| bearer.wrong_password = WrongPassword::Anonymous), Access::default()).await;
    let failure = outcome(&world, "team/api:v1", login("ann", "wrong")).await.unwrap_err();
    // The token is good and reaches nothing: nobody says that the password is wrong.
    assert_eq!(code(&failure), (Code::NotFoundOrNoAccess, None));
}
