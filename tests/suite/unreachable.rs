//! No answer: which part of the request nothing came of, and who stands in the way, in words.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use pullgate::demo::registry::{Accepting, Authority, Behaviour, Certificate, Login, Registry, RegistrySpec};
use pullgate::finding::{Cause, Code};
use pullgate::registry::guard::Guard;
use pullgate::registry::http::{HttpTransport, LookingUp, Names};
use pullgate::registry::proxies::Proxies;

use crate::support::{PATIENCE, World, cluster, pod};

/// Shorter than connecting may take, so that each part can be the one.
const SHORT: Duration = Duration::from_millis(400);

/// A DNS server that never answers.
#[derive(Debug)]
struct Mute;

impl Names for Mute {
    fn look_up(&self, _host: String) -> LookingUp {
        Box::pin(std::future::pending())
    }
}

async fn detail(world: &World, image: &str) -> (Option<Cause>, String) {
    let failure = world.client().resolve(&world.ask_for(image, None)).await.unwrap_err();
    assert_eq!(failure.code, Code::RegistryUnreachable, "{failure:?}");
    (failure.cause, world.plain(failure.detail.as_deref()))
}

#[tokio::test]
async fn a_request_that_gets_nothing_says_what_it_waited_for() {
    for (patience, within) in [(SHORT, "400ms"), (Duration::from_secs(3), "1.5s")] {
        let world = World::start(|spec| spec.login(Login::None), patience).await;
        world.registry.set_accepting(Accepting::Silently);
        let words = format!("R accepted a connection, but no TLS handshake came about within {within}");
        assert_eq!(detail(&world, &world.image("open:v1")).await, (Some(Cause::Timeout), words));
    }
    let world = World::start(|spec| spec.login(Login::None), SHORT).await;
    world.registry.push("open", "v1");
    world.registry.behave("open", Behaviour::Hang);
    let words = "R accepted a connection, but sent no first byte within 400ms".to_owned();
    // The second goes over a connection that stands.
    for _ in 0..2 {
        assert_eq!(detail(&world, &world.image("open:v1")).await, (Some(Cause::Timeout), words.clone()));
    }
    let transport = HttpTransport::with_names(Guard::new(&world.policy.guard), Proxies::default(), Arc::new(Mute));
    let failure = world.client_over(transport).resolve(&world.ask_for("r.invalid/a:1", None)).await.unwrap_err();
    assert_eq!(failure.detail.unwrap(), "DNS did not answer within 400ms where r.invalid is");
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_told_with_its_names() {
    let world = World::with(Login::None).await;
    let stranger = Registry::start(RegistrySpec::https(&Arc::new(Authority::new().unwrap()))).await.unwrap();
    let (cause, words) = detail(&world, &format!("{}/open:v1", stranger.host())).await;
    let expected = format!(
        "TLS with {} failed: its certificate (\"CN=pullgate demo\") is signed by another \"CN=pullgate demo \
         authority\" than the one that is known, which pullgate does not know (caFile)",
        stranger.host()
    );
    assert_eq!((cause, words), (Some(Cause::Tls), expected));
    for (certificate, words) in [
        (Certificate::WrongName, "the server's certificate is for another-registry.invalid, not for this host"),
        (Certificate::Expired, "the server's certificate expired on 20"),
    ] {
        let world = World::start(|spec| RegistrySpec { certificate, ..spec }, PATIENCE).await;
        let (cause, detail) = detail(&world, &world.image("open:v1")).await;
        assert!(cause == Some(Cause::Tls) && detail.contains(words), "{detail}");
    }
    let world = World::start(|_| RegistrySpec::plain(), PATIENCE).await;
    let (_, detail) = detail(&world, &world.image("open:v1")).await;
    assert!(detail.ends_with("it does not speak TLS on this port; plain HTTP perhaps (plainHTTP)"), "{detail}");
}

#[tokio::test]
async fn what_is_only_seen_from_here_says_so() {
    for (behaviour, words) in [
        (Behaviour::Hang, "(seen from pullgate; nodes may differ)"),
        (
            pullgate::demo::registry::Answer::html(403).into(),
            "(HTTP 403, a web page: a proxy, or no registry) (seen from pullgate; nodes may differ)",
        ),
        (
            pullgate::demo::registry::Answer::status(407).into(),
            "(HTTP 407, of a proxy that wants a login) (seen from pullgate; nodes may differ)",
        ),
    ] {
        let world = World::start(|spec| spec.login(Login::None), SHORT).await;
        world.registry.push("open", "v1");
        world.registry.behave("open", behaviour);
        let verdict = world.check(&world.engine(&cluster(&[])), &pod("team", &[world.image("open:v1")], &[])).await;
        assert!(verdict.findings[0].message().ends_with(words), "{}", verdict.findings[0].message());
    }
}
