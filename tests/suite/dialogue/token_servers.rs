//! Token servers that fail, challenges that are odd, tokens that do not hold.

use std::time::Duration;

use hyper::Method;
use pullgate::demo::registry::{
    Access, Answer, Behaviour, ChallengeForm, Login, Realm, Registry, RegistrySpec, Target, TokenFields,
};
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
async fn a_login_follows_no_redirect_to_another_host() {
    let world = world(Login::bearer(), Access::default()).await;
    let other = world.another(|spec| spec).await;
    let location = format!("https://{}/token", other.host());
    for status in [301, 302, 303, 307, 308] {
        let redirect = Behaviour::Redirect { status, location: location.clone() };
        world.registry.behave(Target::token(), redirect);
        let failure = outcome(&world, "team/api:v1", ann()).await.unwrap_err();
        assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Guard)), "{status}");
        let detail = failure.detail.unwrap();
        assert!(detail.ends_with("no login follows to another host, port or scheme"), "{detail}");
        // A form becomes a GET without it after some, and that may be asked anywhere.
        let without = other.requests().iter().all(|request| !request.sent_login);
        assert!(without && seen(&other).len() == usize::from(status < 304), "{status}");
    }
}

#[tokio::test]
async fn redirects_of_token_requests_are_followed_as_go_follows_them() {
    let here = |status, path: &str| Behaviour::Redirect { status, location: path.to_owned() };
    let get = bearer(|bearer| bearer.refuse_post = Some(404));
    for (kind, status, expected) in [
        (Login::bearer(), 307, vec!["POST token 307 ann", "POST token 200 ann"]),
        (Login::bearer(), 308, vec!["POST token 308 ann", "POST token 200 ann"]),
        // Without its form it is nobody's token.
        (Login::bearer(), 301, vec!["POST token 301 ann", "GET token 200"]),
        (get.clone(), 302, vec!["POST token 302 ann", "GET token 200"]),
        (get.clone(), 308, vec!["POST token 308 ann", "POST token 404 ann", "GET token 200 ann"]),
    ] {
        let world = world(kind, Access::default()).await;
        world.registry.behave(Target::token().times(1), here(status, "{path}"));
        let resolved = outcome(&world, "team/api:v1", ann()).await;
        assert_eq!(world.seen()[1..=expected.len()], expected, "{status}: {resolved:?}");
    }
    for status in [301, 302, 303, 307, 308] {
        let world = world(Login::bearer(), Access::default()).await;
        let other = world.another(|spec| spec).await;
        other.behave(Target::token(), here(status, &format!("https://{}{{path}}", world.registry.host())));
        world.registry.behave(Target::token().times(1), here(status, &format!("https://{}{{path}}", other.host())));
        // Nobody's token may come from anywhere.
        outcome(&world, "open:v1", None).await.unwrap();
        assert_eq!(seen(&other), [format!("GET token {status}")]);
    }
    let world = world(Login::bearer(), Access::default()).await;
    world.registry.behave(Target::token(), here(307, "{path}"));
    let failure = outcome(&world, "open:v1", None).await.unwrap_err();
    assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Limit)));
    assert_eq!(world.seen().iter().filter(|line| line.contains("token")).count(), 10);
    for location in ["", "http://[", "ftp://127.0.0.1/"] {
        world.registry.behave(Target::token(), here(302, location));
        let failure = outcome(&world, "open:v1", None).await.unwrap_err();
        assert!(!failure.code.certain(), "{location}: {failure:?}");
    }
}

#[tokio::test]
async fn a_realm_without_tls_gives_tokens_to_nobody_and_gets_no_login() {
    let world = world(Login::bearer(), Access::default()).await;
    let plain = Registry::start(RegistrySpec::plain()).await.unwrap();
    let location = format!("https://{}{{path}}", world.registry.host());
    plain.behave(Target::token(), Behaviour::Redirect { status: 301, location });
    let realm = format!("http://{}/token", plain.host());
    world.registry.set_login(bearer(|bearer| bearer.realm = Realm::Url(realm)));
    outcome(&world, "open:v1", None).await.unwrap();
    assert_eq!(seen(&plain), ["GET token 301"]);
    let failure = outcome(&world, "team/api:v1", ann()).await.unwrap_err();
    assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Guard)));
    assert_eq!(seen(&plain), [""; 0]);
    // From HTTPS no redirect leads there.
    let down = Behaviour::Redirect { status: 301, location: format!("http://{}/token", plain.host()) };
    world.registry.set_login(Login::bearer());
    world.registry.behave(Target::token(), down);
    let failure = outcome(&world, "open:v1", None).await.unwrap_err();
    assert_eq!((code(&failure), seen(&plain)), ((Code::NotChecked, Some(Cause::Guard)), vec![]));
}

#[tokio::test]
async fn each_login_gets_the_form_and_then_the_query_whatever_others_got() {
    // The realm takes ann by GET only and bob by POST only.
    for (first, second) in [("ann", "bob"), ("bob", "ann")] {
        let world = world(Login::bearer(), Access::default()).await;
        world.registry.push("team/web", "v1");
        world.registry.private("team", &["ann", "bob"]);
        let client = world.client();
        for (user, repository) in [(first, "team/api"), (second, "team/web")] {
            let refused = if user == "ann" { Method::POST } else { Method::GET };
            world.registry.behave(Target::token(), None);
            world.registry.behave(Target::token().only(refused), Answer::envelope(401, "UNAUTHORIZED", "not so"));
            let ask = world.ask(&format!("{repository}:v1"), login(user, "right"));
            client.resolve(&ask).await.unwrap_or_else(|failure| panic!("{user} after {first}: {failure:?}"));
        }
    }
}

#[tokio::test]
async fn a_token_by_the_method_of_others_is_fetched_again_in_order_before_it_is_called_refused() {
    let world = world(bearer(|bearer| bearer.refuse_post = Some(404)), Access::default()).await;
    world.registry.push("team/web", "v1");
    let client = world.client();
    client.resolve(&world.ask("team/api:v1", ann())).await.unwrap();
    world.seen();
    // Now it takes the form, and gives nobody's token to who asks by GET.
    world.registry.set_login(Login::bearer());
    let nobody = world.registry.issue_token("nobody", "open");
    let body = format!("{{\"token\":\"{}\"}}", secrecy::ExposeSecret::expose_secret(&nobody));
    world.registry.behave(Target::token().only(Method::GET), Answer::status(200).body("application/json", body));
    client.resolve(&world.ask("team/web:v1", ann())).await.unwrap();
    let seen = world.seen();
    assert_eq!(seen.last().unwrap(), "HEAD manifest 200 ann", "{seen:?}");
    assert!(seen.contains(&"POST token 200 ann".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn a_token_that_one_of_several_replicas_does_not_know_is_shown_again() {
    let lines = |error: &str| format!("Bearer realm=\"https://R/token\",service=\"pullgate-demo\"{error}");
    for (credential, error, times, resolves) in [
        (ann(), "", 1, true),
        (ann(), "", 3, true),
        (None, "", 3, true),
        (ann(), ",error=\"insufficient_scope\"", 1, true),
        // Four times is as often as a node shows it.
        (ann(), "", 4, false),
        (ann(), ",error=\"insufficient_scope\"", 2, false),
    ] {
        let world = world(Login::bearer(), Access::default()).await;
        let name = if credential.is_some() { "team/api" } else { "open" };
        let line = lines(error).replace("//R/", &format!("//{}/", world.registry.host()));
        let stray = Answer::envelope(401, "UNAUTHORIZED", "unknown key").header("WWW-Authenticate", &line);
        world.registry.behave(Target::repository(name).times(times), stray);
        let outcome = world.client().resolve(&world.ask(&format!("{name}:v1"), credential)).await;
        assert_eq!(outcome.is_ok(), resolves, "{error} {times} times: {outcome:?}");
        assert_eq!(world.seen().iter().filter(|line| line.contains("token")).count(), 1, "{error} {times}");
    }
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
