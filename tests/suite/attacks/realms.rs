//! Token servers that a registry has no right to name, and registries that the operator denies under another guise.

use std::time::Duration;

use pullgate::demo::registry::{Bearer, Behaviour, Login, Realm, Registry};
use pullgate::policy::Pattern;
use pullgate::resolver::fact::Freshness;

use super::{GUARDED, failure, world};
use crate::support::{World, code, failed, login, seen};

fn naming(realm: String) -> Login {
    Login::Bearer(Bearer { realm: Realm::Url(realm), ..Bearer::default() })
}

/// The token service of `registry` under its name, which is another host than its address.
fn token_server(registry: &Registry) -> String {
    format!("https://{}/token", registry.host().replace("127.0.0.1", "localhost"))
}

/// A registry that takes anybody's login for a token.
async fn thief(world: &World) -> Registry {
    let thief = world.another(|spec| spec.login(Login::bearer())).await;
    thief.set_password("ann", "right");
    thief
}

fn denied(world: &mut World) {
    world.policy.guard.deny_registries = vec![Pattern::host("localhost").unwrap()];
}

#[tokio::test]
async fn cve_2026_48978_a_realm_that_leaves_tls_gets_no_login() {
    for realm in
        ["http://auth.example/token", "HTTP://127.0.0.1:1/token", "ftp://auth.example/", "gopher://auth.example/"]
    {
        let world = world(naming(realm.to_owned())).await;
        let failure = failure(&world, "team/api:v1").await;
        assert_eq!(code(&failure), GUARDED, "{realm}");
        assert_eq!(world.seen(), ["HEAD manifest 401"], "{realm}");
    }
}

#[tokio::test]
async fn a_realm_with_user_information_or_a_fragment_gets_no_login() {
    for realm in ["https://ann@127.0.0.1/token", "https://:x@127.0.0.1/token", "https://127.0.0.1/token#x"] {
        let world = world(naming(realm.to_owned())).await;
        assert_eq!(code(&failure(&world, "team/api:v1").await), GUARDED, "{realm}");
        assert_eq!(world.seen(), ["HEAD manifest 401"], "{realm}");
    }
}

#[tokio::test]
async fn service_and_scope_cannot_add_to_the_query_of_a_token_request() {
    let service = "r&scope=repository:other/secret:pull#".to_owned();
    let world = world(Login::Bearer(Bearer { service, refuse_post: Some(405), ..Bearer::default() })).await;
    super::resolve(&world, "team/api:v1").await.unwrap();
    let asked = world.registry.requests();
    let token = asked.iter().find(|request| request.method == hyper::Method::GET).unwrap();
    assert_eq!(token.scopes, ["repository:team/api:pull"]);
}

#[tokio::test]
async fn a_registry_that_names_another_token_server_than_before_is_believed_an_hour_later() {
    let world = world(Login::bearer()).await;
    for name in ["team/web", "team/old", "team/new"] {
        world.registry.push(name, "v1");
    }
    world.registry.set_login(naming(token_server(&world.registry)));
    let client = world.client();
    let ask = |name: &str| world.ask(name, login("ann", "right"));
    client.resolve(&ask("team/api:v1")).await.unwrap();
    client.resolve(&ask("team/old:v1")).await.unwrap();

    let thief = thief(&world).await;
    world.registry.set_login(naming(token_server(&thief)));
    let failure = client.resolve(&ask("team/web:v1")).await.unwrap_err();
    assert_eq!(code(&failure), GUARDED);
    assert!(failure.detail.unwrap().contains("no login is sent there"));
    assert_eq!(seen(&thief), [""; 0]);
    // Its own host may always have the login: it could ask for it directly.
    world.registry.set_login(Login::bearer());
    client.resolve(&ask("team/web:v1")).await.unwrap();

    // A registry that has really moved is followed.
    world.registry.set_login(naming(token_server(&thief)));
    world.clock.advance(Duration::from_mins(59));
    assert_eq!(code(&client.resolve(&ask("team/new:v1")).await.unwrap_err()), GUARDED);
    // What was named before is remembered, still works, and holds nobody back.
    client.resolve(&ask("team/old:v1")).await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    client.resolve(&ask("team/new:v1")).await.unwrap_err();
    assert_eq!(seen(&thief)[0], "POST token 200 ann");
}

#[tokio::test]
async fn a_denied_registry_is_no_token_server() {
    let mut world = world(Login::bearer()).await;
    let thief = thief(&world).await;
    world.registry.set_login(naming(token_server(&thief)));
    denied(&mut world);
    let failure = failure(&world, "team/api:v1").await;
    assert_eq!(code(&failure), GUARDED);
    assert!(failure.detail.unwrap().contains("guard.registries.deny"));
    assert_eq!(seen(&thief), [""; 0]);
}

#[tokio::test]
async fn a_denied_registry_is_no_target_of_a_redirect() {
    let mut world = world(Login::None).await;
    let other = world.another(|spec| spec).await;
    other.push("open", "v1");
    denied(&mut world);
    for host in [other.host().replace("127.0.0.1", "localhost"), other.host().replace("127.0.0.1", "LOCALHOST.")] {
        let location = format!("https://{host}{{path}}");
        world.registry.behave("open", Behaviour::Redirect { status: 307, location });
        assert_eq!(code(&failure(&world, "open:v1").await), GUARDED, "{host}");
    }
    assert_eq!(seen(&other), [""; 0]);
}

#[tokio::test]
async fn a_denied_registry_is_no_mirror() {
    let mut world = world(Login::None).await;
    let mirror = world.another(|spec| spec).await;
    mirror.push("open", "v2");
    let name = mirror.host().replace("127.0.0.1", "localhost");
    let hosts = format!("server = 'https://{}'\n[host.'https://{name}']\n", world.registry.host());
    world.declare(&world.directory(), &hosts, &[]);
    denied(&mut world);
    // The upstream still answers; what only the mirror has is not found, and not for certain.
    assert!(world.resolve(&world.resolver(), "open:v1", None, Freshness::Cached).await.outcome.is_ok());
    let attempt = world.resolve(&world.resolver(), "open:v2", None, Freshness::Cached).await;
    assert_eq!(failed(&attempt), GUARDED);
    assert_eq!(seen(&mirror), [""; 0]);
}

#[tokio::test]
async fn an_allow_list_of_registries_does_not_forbid_what_they_point_to() {
    let mut world = world(Login::bearer()).await;
    let (own, other) = (world.registry.host(), world.another(|spec| spec).await);
    let digest = other.push("team/api", "v1");
    world.policy.guard.allow_registries = vec![Pattern::host(&own).unwrap()];
    world.registry.set_login(naming(token_server(&world.registry)));
    let location = format!("https://{}{{path}}", other.host().replace("127.0.0.1", "localhost"));
    world.registry.behave("team/api", Behaviour::Redirect { status: 307, location });
    assert_eq!(super::resolve(&world, "team/api:v1").await.unwrap().digest.as_str(), digest);
}
