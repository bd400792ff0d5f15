//! Redirects: bounded, guarded, and never with a login.

use pullgate::demo::registry::{Behaviour, Login, Registry};
use pullgate::finding::{Cause, Code};

use super::{failure, resolve, world};
use crate::support::{World, code, seen};

/// A second registry with the same image.
async fn elsewhere(world: &World, login: Login) -> Registry {
    let other = world.another(|spec| spec.login(login)).await;
    other.push("team/api", "v1");
    other.private("team", &["ann"]);
    other.set_password("ann", "right");
    other
}

fn to(location: impl Into<String>) -> Behaviour {
    Behaviour::Redirect { status: 307, location: location.into() }
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_login() {
    for login in [Login::Basic, Login::bearer()] {
        for status in [301, 302, 303, 307, 308] {
            let world = world(login.clone()).await;
            let other = elsewhere(&world, Login::None).await;
            let location = format!("https://{}{{path}}", other.host());
            world.registry.behave("team/api", Behaviour::Redirect { status, location });
            let digest = other.push("team/api", "v1");
            assert_eq!(resolve(&world, "team/api:v1").await.unwrap().digest.as_str(), digest);
            assert!(other.requests().iter().all(|request| !request.sent_login));
            assert_eq!(seen(&other), ["HEAD manifest 200"]);
        }
    }
}

#[tokio::test]
async fn a_host_behind_a_redirect_that_wants_a_login_gets_none_and_decides_nothing() {
    for login in [Login::Basic, Login::bearer()] {
        let world = world(Login::Basic).await;
        let other = elsewhere(&world, login).await;
        world.registry.behave("team/api", to(format!("https://{}{{path}}", other.host())));
        let failure = failure(&world, "team/api:v1").await;
        assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Guard)));
        assert!(failure.detail.unwrap().contains(&format!("redirects to {}", other.host())));
        assert!(other.requests().iter().all(|request| !request.sent_login));
        assert_eq!(seen(&other), ["HEAD manifest 401"]);
    }
}

#[tokio::test]
async fn a_redirect_within_the_registry_carries_no_login_either() {
    let world = world(Login::None).await;
    world.registry.behave("team/api", to("/v2/open/manifests/v1"));
    let digest = world.registry.push("open", "v1");
    assert_eq!(resolve(&world, "team/api:v1").await.unwrap().digest.as_str(), digest);
}

#[tokio::test]
async fn a_redirect_into_a_guarded_range_or_out_of_https_is_not_followed() {
    for location in [
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/",
        "https://[::1]/",
        "https://0.0.0.0/",
        "https://100.100.100.200/",
        "http://169.254.169.254/",
        "http://127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://ann:right@127.0.0.1/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
    ] {
        let world = world(Login::None).await;
        world.registry.behave("open", to(location));
        let failure = failure(&world, "open:v1").await;
        assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Guard)), "{location}");
        assert!(!failure.detail.unwrap().contains("right"));
    }
}

#[tokio::test]
async fn a_name_that_leads_into_a_guarded_range_is_not_connected_to() {
    let mut world = world(Login::None).await;
    world.policy.guard.allow_addresses.clear();
    // By its name, which resolves to loopback, and by its address.
    let name = world.registry.host().replace("127.0.0.1", "localhost");
    for host in [name, world.registry.host()] {
        let reference = pullgate::reference::Reference::parse(&format!("{host}/open:v1")).unwrap();
        let endpoint = pullgate::registry::Endpoint::new(&reference, world.policy.registry(&host));
        let ask = pullgate::registry::Ask {
            endpoint: endpoint.into(),
            reference: reference.into(),
            credential: None,
            id: pullgate::credentials::CredentialId::ANONYMOUS,
        };
        let failure = world.client().resolve(&ask).await.unwrap_err();
        assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Guard)), "{host}");
    }
    assert_eq!(world.seen(), [""; 0]);
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let world = world(Login::None).await;
    let other = elsewhere(&world, Login::None).await;
    let there = format!("https://{}{{path}}", other.host());
    for location in ["{path}", "", "?a=b", "#", &there] {
        world.registry.behave("open", to(location));
        other.behave("open", to(format!("https://{}{{path}}", world.registry.host())));
        world.seen();
        assert!(!failure(&world, "open:v1").await.code.certain(), "{location}");
        assert!(world.seen().len() <= 4, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_an_error() {
    for location in ["https://", "https://[::1", "//", "https://a b/", "\u{e9}"] {
        let world = world(Login::None).await;
        world.registry.behave("open", to(location));
        assert!(!failure(&world, "open:v1").await.code.certain(), "{location}");
    }
}
