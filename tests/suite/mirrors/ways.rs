//! How a host is reached: paths, schemes, certificates, headers, and the directory that stands for every registry.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::demo::registry::{Authority, Login, Registry, RegistrySpec};
use pullgate::finding::{Cause, Code};
use pullgate::resolver::fact::Freshness;

use super::{HEAD, Pair};
use crate::support::{World, failed, seen};

/// An upstream that has nothing, and `mirror` with `open:v1` before it, as `table` says with `M` for its address.
async fn outcome(mirror: &Registry, table: &str, files: &[(&str, &str)]) -> Result<(), (Code, Option<Cause>)> {
    mirror.push("open", "v1");
    let mut world = World::with(Login::None).await;
    let text = format!("server = 'https://{}'\n{table}", world.registry.host());
    world.declare(&world.directory(), &text.replace("//M", &format!("//{}", mirror.host())), files);
    let attempt = world.resolve(&world.resolver(), "open:v1", None, Freshness::Cached).await;
    if attempt.outcome.is_ok() { Ok(()) } else { Err(failed(&attempt)) }
}

async fn stranger() -> (Registry, Arc<Authority>) {
    pullgate::cli::install_crypto();
    let authority = Arc::new(Authority::new().unwrap());
    (Registry::start(RegistrySpec::https(&authority)).await.unwrap(), authority)
}

#[tokio::test]
async fn an_overriding_path_takes_the_place_of_v2() {
    let mut pair = Pair::new("").await;
    pair.mirror.push("proxy/hub/open", "v1");
    let table = |path: &str| format!("[host.'https://{}{path}']\n", pair.mirror.host());
    for (text, expected) in [
        (table("/v2/proxy/hub") + "override_path = true", "/v2/proxy/hub/open/manifests/v1"),
        (table("/v2"), "/v2/open/manifests/v1"),
        (table("/mirror"), "/mirror/v2/open/manifests/v1"),
        (table("") + "override_path = true", "/open/manifests/v1"),
    ] {
        pair.world.declare(&pair.world.directory(), &text, &[]);
        let attempt = pair.world.resolve(&pair.world.resolver(), "open:v1", None, Freshness::Cached).await;
        assert!(attempt.outcome.is_ok(), "{text}: {attempt:?}");
        let asked: Vec<_> = pair.mirror.requests().into_iter().map(|request| request.path).collect();
        assert_eq!(asked, [expected]);
        pair.seen();
    }
}

#[tokio::test]
async fn a_certificate_of_a_strange_authority_is_taken_where_the_directory_says_so() {
    let (mirror, authority) = stranger().await;
    let unreachable = Err((Code::RegistryUnreachable, Some(Cause::Tls)));
    let pem = authority.pem();
    assert_eq!(outcome(&mirror, "[host.'https://M']", &[]).await, unreachable);
    assert_eq!(outcome(&mirror, "[host.'https://M']\nskip_verify = false", &[]).await, unreachable);
    assert_eq!(outcome(&mirror, "[host.'https://M']\nskip_verify = true", &[]).await, Ok(()));
    assert_eq!(outcome(&mirror, "[host.'https://M']\nca = 'mirror.pem'", &[("mirror.pem", pem)]).await, Ok(()));
    let both = "[host.'https://M']\nca = ['other.pem', 'mirror.pem']";
    let other = Authority::new().unwrap();
    assert_eq!(outcome(&mirror, both, &[("mirror.pem", pem), ("other.pem", other.pem())]).await, Ok(()));
}

#[tokio::test]
async fn plain_http_is_spoken_where_the_url_says_so_and_https_is_tried_first_where_tls_is_set() {
    let (over_tls, _) = stranger().await;
    let plain = Registry::start(RegistrySpec::plain()).await.unwrap();
    assert_eq!(outcome(&plain, "[host.'http://M']", &[]).await, Ok(()));
    assert_eq!(outcome(&plain, "[host.'http://M']\nskip_verify = true", &[]).await, Ok(()));
    assert_eq!(outcome(&over_tls, "[host.'http://M']\nskip_verify = true", &[]).await, Ok(()));
    assert_eq!(outcome(&plain, "[host.'https://M']", &[]).await, Err((Code::RegistryUnreachable, Some(Cause::Tls))));
}

#[tokio::test]
async fn headers_of_a_host_are_sent_to_it() {
    let mirror = World::with(Login::Basic).await.registry;
    mirror.private("open", &["ann"]);
    mirror.set_password("ann", "right");
    mirror.push("open", "v1");
    let header = format!("[host.'https://M'.header]\nauthorization = 'Basic {}'", STANDARD.encode("ann:right"));
    let skipped = format!("[host.'https://M']\nskip_verify = true\n{header}");
    assert_eq!(outcome(&mirror, &skipped, &[]).await, Ok(()));
    assert_eq!(seen(&mirror), ["HEAD manifest 200 ann"]);
}

#[tokio::test]
async fn the_default_directory_is_for_every_registry_without_one() {
    let mut pair = Pair::new("").await;
    let other = pair.world.another(|spec| spec).await;
    pair.world.declare("_default", &format!("[host.'https://{}']", other.host()), &[]);
    other.push("open", "v1");
    let reference = pullgate::reference::Reference::parse("registry.example/open:v1").unwrap();
    let rule = pair.world.policy.registry("registry.example");
    let candidates = vec![pullgate::credentials::Candidate::anonymous()];
    let resolver = pair.world.resolver();
    let attempts =
        resolver.resolve(rule, &Arc::new(reference), &candidates, Freshness::Cached, crate::support::soon()).await;
    assert!(attempts[0].outcome.is_ok(), "{attempts:?}");
    assert_eq!(other.requests()[0].namespace.as_deref(), Some("registry.example"));
    assert_eq!((seen(&other), pair.seen()), (vec![HEAD.to_owned()], [vec![], vec![]]));
}

#[tokio::test]
async fn a_registry_on_loopback_that_is_left_to_its_own_place_is_not_verified_and_may_be_plain() {
    for plain in [false, true] {
        let (strange, _) = stranger().await;
        let registry = if plain { Registry::start(RegistrySpec::plain()).await.unwrap() } else { strange };
        registry.push("open", "v1");
        let mut world = World::with(Login::None).await;
        world.registry = registry;
        world.declare("_default", "# nothing\n", &[]);
        let attempt = world.resolve(&world.resolver(), "open:v1", None, Freshness::Cached).await;
        assert!(attempt.outcome.is_ok(), "{plain}: {attempt:?}");
    }
}

#[tokio::test]
async fn a_directory_in_dockers_layout_holds_the_authorities_of_the_registry_itself() {
    let (registry, authority) = stranger().await;
    registry.push("open", "v1");
    let mut world = World::with(Login::None).await;
    world.registry = registry;
    world.declare(&world.directory(), "", &[("corp.crt", authority.pem()), ("notes.txt", "x")]);
    let attempt = world.resolve(&world.resolver(), "open:v1", None, Freshness::Cached).await;
    assert!(attempt.outcome.is_ok(), "{attempt:?}");
    assert_eq!(world.seen(), [HEAD]);
}
