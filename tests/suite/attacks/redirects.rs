//! Redirects: bounded, guarded, and never with a login for another host.

use std::sync::{Arc, Mutex};

use pullgate::demo::registry::{Answer, Behaviour, Certificate, Login, Registry, RegistrySpec, Target};
use pullgate::finding::{Cause, Code};
use secrecy::ExposeSecret as _;
use tokio::io::AsyncWriteExt as _;

use super::{failure, raw, resolve, world};
use crate::support::{PATIENCE, World, code, login, seen};

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
async fn cve_2020_15157_a_host_behind_a_redirect_that_answers_401_gets_no_login() {
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
async fn a_redirect_within_the_registry_keeps_the_login() {
    for login in [Login::Basic, Login::bearer()] {
        let world = world(login).await;
        let digest = world.registry.push("team/api", "v2");
        world.registry.behave(Target::repository("team/api").times(1), to("/v2/team/api/manifests/v2"));
        assert_eq!(resolve(&world, "team/api:v1").await.unwrap().digest.as_str(), digest);
        let asked = world.registry.requests();
        let followed = asked.iter().rfind(|asked| asked.path == "/v2/team/api/manifests/v2");
        assert!(followed.is_some_and(|asked| asked.sent_login), "{asked:?}");
    }
}

#[tokio::test]
async fn a_redirect_that_leaves_the_registry_and_comes_back_carries_no_login() {
    let world = world(Login::Basic).await;
    let other = elsewhere(&world, Login::None).await;
    world.registry.push("team/moved", "v1");
    world.registry.behave("team/api", to(format!("https://{}/v2/back/manifests/v1", other.host())));
    other.behave("back", to(format!("https://{}/v2/team/moved/manifests/v1", world.registry.host())));
    let failure = failure(&world, "team/api:v1").await;
    assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Guard)));
    let asked = world.registry.requests();
    let followed: Vec<_> = asked.iter().filter(|asked| asked.path == "/v2/team/moved/manifests/v1").collect();
    assert!(!followed.is_empty() && followed.iter().all(|asked| !asked.sent_login), "{followed:?}");
    assert!(other.requests().iter().all(|asked| !asked.sent_login));
}

#[tokio::test]
async fn nine_redirects_are_followed_and_the_tenth_is_one_too_many() {
    for (redirects, followed) in [(1, true), (8, true), (9, true), (10, false), (11, false)] {
        let world = world(Login::None).await;
        let digest = world.registry.push("end", "v1");
        for hop in 0..redirects {
            let next = if hop + 1 == redirects { "end".to_owned() } else { format!("hop{}", hop + 1) };
            world.registry.behave(format!("hop{hop}").as_str(), to(format!("/v2/{next}/manifests/v1")));
        }
        match resolve(&world, "hop0:v1").await {
            Ok(manifest) => assert!(followed && manifest.digest.as_str() == digest, "{redirects}"),
            Err(failure) => {
                assert!(!followed, "{redirects}: {failure:?}");
                assert_eq!(code(&failure), (Code::RegistryError, None));
                let line = failure.node.unwrap();
                assert!(line.ends_with("manifests/v1\": stopped after 10 redirects"), "{line}");
            }
        }
        assert_eq!(world.seen().len(), (redirects + 1).min(10));
    }
}

#[tokio::test]
async fn a_storage_that_refuses_head_wants_no_login() {
    for status in [401, 403] {
        let world = world(Login::None).await;
        let other = elsewhere(&world, Login::None).await;
        other.behave("team/api", Answer::status(status));
        world.registry.behave("open", to(format!("https://{}/v2/team/api/manifests/v1", other.host())));
        let failure = failure(&world, "open:v1").await;
        assert_eq!(code(&failure), (Code::RegistryError, None));
        let detail = failure.detail.unwrap();
        assert!(detail.ends_with(&format!("which answers HEAD with HTTP {status}")), "{detail}");
        assert!(!detail.contains("login") && failure.node.is_none());
    }
}

#[tokio::test]
async fn a_redirect_to_the_metadata_address_or_out_of_https_is_not_followed() {
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
async fn a_client_certificate_and_a_trust_without_proof_stay_with_the_registrys_own_host() {
    let mut world = world(Login::None).await;
    let shown = Arc::<Mutex<Vec<(String, bool)>>>::default();
    let log = Arc::clone(&shown);
    let talk = move |mut stream: raw::Stream| {
        let log = Arc::clone(&log);
        async move {
            let head = raw::request(&mut stream).await?;
            let header =
                |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
            let (host, path) = (header("host: "), head.split(' ').nth(1).unwrap_or_default().to_owned());
            log.lock().unwrap().push((format!("{} {path}", host.split(':').next().unwrap()), raw::certified(&stream)));
            let port = host.split(':').next_back().unwrap().to_owned();
            let answer = match path.as_str() {
                "/v2/redirect/manifests/v1" => format!("307 Away\r\nLocation: https://localhost:{port}/blob"),
                "/v2/realm/manifests/v1" => {
                    format!("401 No\r\nWWW-Authenticate: Bearer realm=\"https://localhost:{port}/token\"")
                }
                _ => "404 Not Found".to_owned(),
            };
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }
    };
    let port = raw::serve(&world, "localhost", "http/1.1", talk).await;
    let own = world.authority().issue(&["client"]).unwrap();
    let file = world.write("client.pem", &(own.certificate_pem + own.key_pem.expose_secret()));
    world.policy.registries[0].client_cert_file = Some(file);
    for repository in ["redirect", "realm"] {
        let ask = world.ask_for(&format!("127.0.0.1:{port}/{repository}:v1"), login("ann", "right"));
        world.client().resolve(&ask).await.unwrap_err();
    }
    let shown = std::mem::take(&mut *shown.lock().unwrap());
    let to =
        |prefix: &str| shown.iter().filter(|(to, _)| to.starts_with(prefix)).map(|(_, own)| *own).collect::<Vec<_>>();
    assert_eq!(to("127.0.0.1 "), [true, true], "{shown:?}");
    assert!(to("localhost /blob") == [false] && to("localhost /token").iter().all(|own| !own), "{shown:?}");
    assert!(!to("localhost /token").is_empty(), "{shown:?}");
}

#[tokio::test]
async fn a_registry_whose_certificate_is_not_looked_at_does_not_lend_that_to_others() {
    let wrong = |spec: RegistrySpec| RegistrySpec { certificate: Certificate::WrongName, ..spec };
    let mut world = World::start(wrong, PATIENCE).await;
    world.registry.push("open", "v1");
    assert_eq!(failure(&world, "open:v1").await.cause, Some(Cause::Tls));
    world.policy.registries[0].skip_verify = true;
    resolve(&world, "open:v1").await.unwrap();
    world.registry.push("there", "v1");
    let there = world.registry.host().replace("127.0.0.1", "localhost");
    world.registry.behave("open", to(format!("https://{there}/v2/there/manifests/v1")));
    assert_eq!(failure(&world, "open:v1").await.cause, Some(Cause::Tls));
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
        assert!(world.seen().len() <= 10, "{location}");
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
