//! The registry dialogue over real HTTP: which requests each kind of registry gets, and what its answers are read as.

mod refusals;
mod token_servers;

use std::time::Duration;

use hyper::Method;
use pullgate::credentials::Credential;
use pullgate::demo::registry::{Access, Answer, Bearer, Behaviour, Login, OCI_MANIFEST, Target};
use pullgate::finding::{Cause, Code};
use pullgate::registry::failure::Failure;
use pullgate::registry::manifest::{Kind, Manifest};

use crate::support::{World, code, login};

const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// A registry with the public `open:v1` and the private `team/api:v1`, which only ann may pull.
async fn world(login: Login, access: Access) -> World {
    let world = World::start(|spec| spec.login(login).access(access), crate::support::PATIENCE).await;
    world.registry.push("open", "v1");
    world.registry.push("team/api", "v1");
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "right");
    world.registry.set_password("bob", "right");
    world
}

fn bearer(change: impl FnOnce(&mut Bearer)) -> Login {
    let mut bearer = Bearer::default();
    change(&mut bearer);
    Login::Bearer(bearer)
}

fn ann() -> Option<Credential> {
    login("ann", "right")
}

/// Resolves with a client that knows nothing, and where it is refused without a reason asks for that too.
async fn outcome(world: &World, name: &str, credential: Option<Credential>) -> Result<Manifest, Failure> {
    let (client, ask) = (world.client(), world.ask(name, credential));
    match client.resolve(&ask).await {
        Err(failure) if failure.code.certain() && !failure.explained => Err(client.explain(&ask, failure).await),
        outcome => outcome,
    }
}

#[tokio::test]
async fn a_public_image_takes_one_request() {
    let world = world(Login::None, Access::default()).await;
    let digest = world.registry.push("open", "v1");
    let found = outcome(&world, "open:v1", None).await.unwrap();
    assert_eq!((found.digest.as_str(), found.kind), (digest.as_str(), Kind::Image));
    assert_eq!(world.seen(), ["HEAD manifest 200"]);
}

#[tokio::test]
async fn the_accept_header_is_containerds() {
    let world = world(Login::None, Access::default()).await;
    world.registry.behave("open", Behaviour::AcceptSensitive);
    assert!(outcome(&world, "open:v1", None).await.is_ok());
    let accept = &world.registry.requests()[0].accept;
    assert!(accept.starts_with("application/vnd.docker.distribution.manifest.v2+json, "), "{accept}");
    assert!(accept.ends_with(", */*"), "{accept}");
}

#[tokio::test]
async fn a_public_image_behind_a_token_server_takes_an_anonymous_token() {
    let world = world(Login::bearer(), Access::default()).await;
    assert!(outcome(&world, "open:v1", None).await.is_ok());
    assert_eq!(world.seen(), ["HEAD manifest 401", "GET token 200", "HEAD manifest 200"]);
}

#[tokio::test]
async fn a_login_goes_by_post_and_its_token_serves_the_repository() {
    let world = world(Login::bearer(), Access::default()).await;
    world.registry.push("team/api", "v2");
    world.registry.push("team/web", "v1");
    let client = world.client();
    client.resolve(&world.ask("team/api:v1", ann())).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 401", "POST token 200 ann", "HEAD manifest 200 ann"]);
    client.resolve(&world.ask("team/api:v2", ann())).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 200 ann"]);
    // Another repository may be asked for differently, and needs a token of its own.
    client.resolve(&world.ask("team/web:v1", ann())).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 401", "POST token 200 ann", "HEAD manifest 200 ann"]);
}

#[tokio::test]
async fn a_token_is_fetched_again_when_its_time_is_over() {
    let world = world(bearer(|bearer| bearer.expires_in = Some(300)), Access::default()).await;
    let (client, ask) = (world.client(), world.ask("team/api:v1", ann()));
    client.resolve(&ask).await.unwrap();
    world.seen();
    world.clock.advance(Duration::from_secs(294));
    client.resolve(&ask).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 200 ann"]);
    // Five seconds early: the request that carries it takes time too.
    world.clock.advance(Duration::from_secs(1));
    client.resolve(&ask).await.unwrap();
    assert_eq!(world.seen(), ["POST token 200 ann", "HEAD manifest 200 ann"]);
}

#[tokio::test]
async fn a_realm_that_refuses_post_is_asked_by_get_and_remembered() {
    for status in [400, 401, 404, 405] {
        let world = world(bearer(|bearer| bearer.refuse_post = Some(status)), Access::default()).await;
        world.registry.push("team/web", "v1");
        let client = world.client();
        client.resolve(&world.ask("team/api:v1", ann())).await.unwrap();
        let expected =
            ["HEAD manifest 401", &format!("POST token {status} ann"), "GET token 200 ann", "HEAD manifest 200 ann"];
        assert_eq!(world.seen(), expected);
        client.resolve(&world.ask("team/web:v1", ann())).await.unwrap();
        assert_eq!(world.seen(), ["HEAD manifest 401", "GET token 200 ann", "HEAD manifest 200 ann"]);
    }
}

#[tokio::test]
async fn a_basic_login_goes_with_the_second_request_and_then_with_the_first() {
    let world = world(Login::Basic, Access::default()).await;
    let (client, ask) = (world.client(), world.ask("team/api:v1", ann()));
    client.resolve(&ask).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 401", "HEAD manifest 200 ann"]);
    client.resolve(&ask).await.unwrap();
    assert_eq!(world.seen(), ["HEAD manifest 200 ann"]);
}

#[tokio::test]
async fn half_a_login_is_none() {
    let half = || login("ann", "");
    let basic = world(Login::Basic, Access::default()).await;
    let failure = outcome(&basic, "team/api:v1", half()).await.unwrap_err();
    assert_eq!(code(&failure), (Code::CredentialsMissing, None));
    // Once more, by GET: one refusal is no proof, and this one has the registry's words.
    assert_eq!(basic.seen(), ["HEAD manifest 401", "GET manifest 401"]);
    assert_eq!(
        basic.plain(failure.node.as_deref()),
        "failed to pull and unpack image \"R/team/api:v1\": failed to resolve image: pull access denied, repository \
         does not exist or may require authorization: authorization failed: no basic auth credentials"
    );
    let token = world(Login::bearer(), Access::default()).await;
    assert!(outcome(&token, "open:v1", half()).await.is_ok());
    assert!(token.registry.requests().iter().all(|request| request.as_user.is_none()));
    assert_eq!(token.seen(), ["HEAD manifest 401", "GET token 200", "HEAD manifest 200"]);
}

#[tokio::test]
async fn a_registry_without_head_is_asked_by_get() {
    let world = world(Login::None, Access::default()).await;
    let digest = world.registry.push("open", "v1");
    world.registry.behave("open", Behaviour::Head405);
    assert_eq!(outcome(&world, "open:v1", None).await.unwrap().digest.as_str(), digest);
    assert_eq!(world.seen(), ["HEAD manifest 405", "GET manifest 200"]);
}

#[tokio::test]
async fn a_missing_digest_or_length_is_made_good_by_one_get() {
    for behaviour in [Behaviour::NoDigestHeader, Behaviour::MissingLength] {
        let world = world(Login::None, Access::default()).await;
        let digest = world.registry.push("open", "v1");
        world.registry.behave("open", behaviour);
        assert_eq!(outcome(&world, "open:v1", None).await.unwrap().digest.as_str(), digest);
        assert_eq!(world.seen(), ["HEAD manifest 200", "GET manifest 200"]);
    }
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_announced_digest_are_no_answer() {
    let world = world(Login::None, Access::default()).await;
    let digest = world.registry.push("open", "v1");
    let head_405 = (Target::repository("open").only(Method::HEAD), Behaviour::Head405);
    let table = [
        ("open:v1".to_owned(), Behaviour::WrongBody),
        ("open:v1".to_owned(), Behaviour::WrongDigestHeader),
        (format!("open@{digest}"), Behaviour::WrongBody),
    ];
    for (name, behaviour) in table {
        world.registry.behave("open", None);
        world.registry.behave(Target::repository("open").only(Method::GET), behaviour.clone());
        world.registry.behave(head_405.0.clone(), head_405.1.clone());
        let failure = outcome(&world, &name, None).await.unwrap_err();
        assert_eq!(code(&failure), (Code::RegistryError, None), "{behaviour:?}");
    }
}

#[tokio::test]
async fn another_digest_than_the_one_asked_for_is_no_answer() {
    let world = world(Login::None, Access::default()).await;
    let digest = world.registry.push("open", "v1");
    world.registry.behave("open", Behaviour::WrongDigestHeader);
    let failure = outcome(&world, &format!("open@{digest}"), None).await.unwrap_err();
    assert_eq!(code(&failure), (Code::RegistryError, None));
    assert!(failure.detail.unwrap().contains(&format!("was asked for {digest} and announces sha256:")));
    // Without a header only the bytes can tell.
    world.registry.behave("open", Behaviour::NoDigestHeader);
    assert!(outcome(&world, &format!("open@{digest}"), None).await.is_ok());
}

#[tokio::test]
async fn a_digest_header_that_is_none_is_an_error_in_the_nodes_words() {
    let world = world(Login::None, Access::default()).await;
    world.registry.behave("open", Behaviour::InvalidDigestHeader);
    let failure = outcome(&world, "open:v1", None).await.unwrap_err();
    assert_eq!(code(&failure), (Code::RegistryError, None));
    let node = world.plain(failure.node.as_deref());
    let start = "failed to pull and unpack image \"R/open:v1\": failed to resolve image: \"sha256:../../etc/passwd\" in \
                 header not a valid digest: ";
    assert!(node.starts_with(start), "{node}");
}

#[tokio::test]
async fn what_no_runtime_can_run_is_told_apart_as_far_as_the_answer_shows_it() {
    let world = world(Login::None, Access::default()).await;
    let index = world.registry.push_index("index", "v1", &["linux/amd64", "linux/arm64"]);
    let found = outcome(&world, "index:v1", None).await.unwrap();
    assert_eq!((found.digest.as_str(), found.kind), (index.as_str(), Kind::Index));

    world.registry.push_raw("old", "v1", SCHEMA_1, r#"{"schemaVersion":1}"#);
    let failure = outcome(&world, "old:v1", None).await.unwrap_err();
    assert_eq!(code(&failure), (Code::UnsupportedManifest, Some(Cause::Schema1)));
    assert_eq!(
        world.plain(failure.node.as_deref()),
        "rpc error: code = InvalidArgument desc = failed to pull and unpack image \"R/old:v1\": schema 1 image \
         manifests are no longer supported: invalid argument"
    );

    let chart = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json",
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
    world.registry.push_raw("chart", "v1", OCI_MANIFEST, chart);
    // A HEAD shows an image manifest; only a body shows the chart in it.
    assert!(outcome(&world, "chart:v1", None).await.is_ok());
    world.registry.behave("chart", Behaviour::Head405);
    let failure = outcome(&world, "chart:v1", None).await.unwrap_err();
    assert_eq!((failure.code, failure.detail.as_deref()), (Code::UnsupportedManifest, Some("it is a Helm chart")));

    world.registry.push_raw("page", "v1", "text/html", "<html>");
    assert_eq!(outcome(&world, "page:v1", None).await.unwrap_err().code, Code::RegistryError);
}

#[tokio::test]
async fn a_manifest_over_containerds_limit_is_refused_by_its_length() {
    let world = world(Login::None, Access::default()).await;
    let bytes = vec![b' '; 4 * 1048 * 1048 + 1];
    world.registry.push_raw("big", "v1", OCI_MANIFEST, bytes);
    let failure = outcome(&world, "big:v1", None).await.unwrap_err();
    assert_eq!(failure.code, Code::UnsupportedManifest);
    assert_eq!(
        world.plain(failure.node.as_deref()),
        "rpc error: code = NotFound desc = failed to pull and unpack image \"R/big:v1\": failed to resolve image: \
         rejecting 4393217 byte manifest for R/big:v1: not found"
    );
}

#[tokio::test]
async fn a_refusal_costs_one_get_more_for_its_reason() {
    let world = world(Login::bearer(), Access::default()).await;
    let missing =
        "failed to pull and unpack image \"R/team/api:v9\": failed to resolve image: R/team/api:v9: not found";
    let (client, ask) = (world.client(), world.ask("team/api:v9", ann()));
    let refused = client.resolve(&ask).await.unwrap_err();
    assert_eq!((refused.code, refused.explained, refused.registry.as_deref()), (Code::TagNotFound, false, None));
    assert_eq!(world.seen(), ["HEAD manifest 401", "POST token 200 ann", "HEAD manifest 404 ann"]);
    let explained = client.explain(&ask, refused).await;
    assert_eq!(explained.registry.as_deref(), Some("MANIFEST_UNKNOWN: manifest unknown"));
    assert_eq!(world.plain(explained.node.as_deref()), format!("rpc error: code = NotFound desc = {missing}"));
    assert_eq!(world.seen(), ["GET manifest 404 ann"]);
}

#[tokio::test]
async fn a_registry_that_refuses_head_and_serves_get_is_uncertain() {
    let world = world(Login::None, Access::default()).await;
    world.registry.behave(Target::repository("open").only(Method::HEAD), Answer::status(403));
    assert_eq!(outcome(&world, "open:v1", None).await.unwrap_err().code, Code::RegistryError);
    assert_eq!(world.seen(), ["HEAD manifest 403", "GET manifest 200"]);
}
