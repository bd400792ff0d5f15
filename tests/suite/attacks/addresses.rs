//! Addresses that no registry lives at, by every way that leads there: the image's host, a mirror, a realm, a redirect,
//! a name, a name that changes its mind.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use pullgate::demo::registry::{Behaviour, Login, Realm, Registry};
use pullgate::finding::{Cause, Code};
use pullgate::registry::guard::Guard;
use pullgate::registry::http::{HttpTransport, LookingUp, Names};
use pullgate::registry::proxies::Proxies;
use pullgate::resolver::fact::Freshness;

use super::{GUARDED, world};
use crate::support::{World, code, failed, login, seen};

/// DNS in the hands of the attacker: each lookup of any name takes the next answer, the last one stays.
#[derive(Debug)]
struct Rebinding {
    answers: Mutex<VecDeque<Vec<&'static str>>>,
    asked: Mutex<Vec<String>>,
}

// === impl Rebinding ===

impl Rebinding {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn client(self: &Arc<Self>, world: &World) -> pullgate::registry::Registry {
        let guard = Guard::new(&world.policy.guard);
        world.client_over(HttpTransport::with_names(guard, Proxies::default(), Arc::clone(self) as _))
    }
}

impl Names for Rebinding {
    fn look_up(&self, host: String) -> LookingUp {
        self.asked.lock().unwrap().push(host);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        let addresses = answer.unwrap().iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        Box::pin(std::future::ready(io::Result::Ok(addresses)))
    }
}

fn by_name(registry: &Registry) -> String {
    registry.host().replace("127.0.0.1", "localhost")
}

const METADATA: &str = "169.254.169.254";

#[tokio::test]
async fn an_image_host_in_any_spelling_of_a_guarded_address_is_not_connected_to() {
    let mut world = world(Login::None).await;
    world.policy.guard.allow_addresses.clear();
    for host in [
        "169.254.169.254",
        "169.254.169.254:8443",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]:443",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:5db8:d822::5601:5601]",
        "[fe80::5efe:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "[::ffff:7f00:1]:05000",
        "127.0.0.1:05000",
        "0.0.0.0:443",
        "[::]:443",
        "[::1]:443",
        "[::127.0.0.1]:443",
    ] {
        let Ok(reference) = pullgate::reference::Reference::parse(&format!("{host}/open:v1")) else {
            // No kubelet would take it either.
            assert_eq!(host, "[::127.0.0.1]:443");
            continue;
        };
        let ask = world.ask_for(&reference.to_string(), login("ann", "right"));
        let failure = world.client().resolve(&ask).await.unwrap_err();
        assert_eq!(code(&failure), GUARDED, "{host}: {failure:?}");
    }
}

#[tokio::test]
async fn what_a_node_looks_up_as_a_name_is_not_asked_as_an_address() {
    let world = world(Login::None).await;
    let port = world.registry.host().rsplit_once(':').unwrap().1.to_owned();
    for (host, words) in [
        ("127.1", Some("dial tcp: lookup 127.1: no such host")),
        ("127.0.1", Some("dial tcp: lookup 127.0.1: no such host")),
        ("0177.0.0.1", Some("dial tcp: lookup 0177.0.0.1: no such host")),
        ("127.0.0.01", Some("dial tcp: lookup 127.0.0.01: no such host")),
        ("2130706433", Some("dial tcp: lookup 2130706433: no such host")),
        // What DNS says of these is not known.
        ("0x7f.0.0.1", None),
        ("0x7F000001", None),
        ("0x7f.1", None),
        ("registry.1", None),
    ] {
        let failure =
            world.client().resolve(&world.ask_for(&format!("{host}:{port}/open:v1"), None)).await.unwrap_err();
        assert_eq!(code(&failure), (Code::RegistryUnreachable, Some(Cause::Dns)), "{host}: {failure:?}");
        assert!(failure.detail.as_ref().unwrap().contains("nodes read only four decimal numbers"), "{failure:?}");
        match words {
            Some(words) => assert!(failure.node.as_ref().unwrap().ends_with(words), "{failure:?}"),
            None => assert_eq!(failure.node, None, "{host}"),
        }
    }
    // Another spelling of the port is the same port.
    let failure =
        world.client().resolve(&world.ask_for(&format!("127.0.0.1:0{port}/open:v2"), None)).await.unwrap_err();
    assert_eq!(code(&failure).0, Code::TagNotFound, "{failure:?}");
    assert!(world.seen().iter().all(|line| line.ends_with("404")), "{:?}", world.seen());
}

#[tokio::test]
async fn a_name_that_leads_into_a_guarded_range_is_not_connected_to() {
    let mut world = world(Login::None).await;
    world.policy.guard.allow_addresses.clear();
    // By its name, which resolves to loopback, and by its address.
    for host in [by_name(&world.registry), world.registry.host()] {
        let failure = world.client().resolve(&world.ask_for(&format!("{host}/open:v1"), None)).await.unwrap_err();
        assert_eq!(code(&failure), GUARDED, "{host}");
    }
    assert_eq!(world.seen(), [""; 0]);
}

#[tokio::test]
async fn a_mirror_at_a_guarded_address_is_not_connected_to() {
    let mut world = world(Login::None).await;
    let mirror = world.another(|spec| spec).await;
    mirror.push("open", "v1");
    world.policy.guard.allow_addresses.clear();
    let hosts = format!("server = 'https://169.254.169.254'\n[host.'https://{}']\n", by_name(&mirror));
    world.declare(&world.directory(), &hosts, &[]);
    let attempt = world.resolve(&world.resolver(), "open:v1", None, Freshness::Cached).await;
    assert_eq!(failed(&attempt), GUARDED);
    assert_eq!((seen(&mirror), world.seen()), (vec![], vec![]));
}

#[tokio::test]
async fn the_metadata_address_behind_a_realm_gets_nothing() {
    for realm in [
        "https://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "https://2852039166/token",
        "https://0xa9.254.0251.254/token",
        "https://[::ffff:169.254.169.254]/token",
        "https://[64:ff9b::169.254.169.254]/token",
        "https://[fd00:ec2::254]/token",
        "https://169.254.169.254%2f/token",
        "https://\u{ff11}\u{ff16}\u{ff19}.254.169.254/token",
        "http://169.254.169.254/token",
    ] {
        let world = world(Login::Bearer(pullgate::demo::registry::Bearer {
            realm: Realm::Url(realm.to_owned()),
            ..pullgate::demo::registry::Bearer::default()
        }))
        .await;
        let failure = super::failure(&world, "team/api:v1").await;
        assert!(!failure.code.certain(), "{realm}");
        // A host that no URL can have ends before the guard, as it does on a node.
        let no_url = realm.contains('%');
        assert!(no_url || code(&failure) == GUARDED, "{realm}: {failure:?}");
        assert_eq!(world.seen(), ["HEAD manifest 401"], "{realm}");
    }
}

#[tokio::test]
async fn a_realm_whose_name_leads_to_the_metadata_address_gets_nothing() {
    let other = world(Login::None).await;
    let realm = Realm::Url(format!("https://{}/token", by_name(&other.registry)));
    let bearer = pullgate::demo::registry::Bearer { realm, ..pullgate::demo::registry::Bearer::default() };
    let world = world(Login::Bearer(bearer)).await;
    let dns = Rebinding::new(&[&[METADATA, "fd00:ec2::254"]]);
    let failure = dns.client(&world).resolve(&world.ask("team/api:v1", login("ann", "right"))).await.unwrap_err();
    assert_eq!(code(&failure), GUARDED);
    let said = failure.detail.unwrap();
    assert!(said.contains("localhost resolves to an address that is refused"), "{said}");
    assert_eq!((dns.asked(), world.seen()), (1, vec!["HEAD manifest 401".to_owned()]));
}

#[tokio::test]
async fn a_redirect_to_a_name_that_leads_to_the_metadata_address_is_not_followed() {
    let world = world(Login::None).await;
    let location = format!("https://{}/latest/meta-data", by_name(&world.registry));
    world.registry.behave("open", Behaviour::Redirect { status: 307, location });
    for address in [METADATA, "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd20:ce::254", "224.0.0.1"] {
        let dns = Rebinding::new(&[&[address]]);
        let failure = dns.client(&world).resolve(&world.ask("open:v1", None)).await.unwrap_err();
        assert_eq!(code(&failure), GUARDED, "{address}");
    }
    assert_eq!(world.seen().len(), 5, "nothing but the redirects");
}

#[tokio::test]
async fn dns_rebinding_finds_no_second_lookup_between_the_check_and_the_connection() {
    let world = world(Login::None).await;
    let image = format!("{}/open:v1", by_name(&world.registry));
    let ask = world.ask_for(&image, None);
    let dns = Rebinding::new(&[&["127.0.0.1"], &[METADATA]]);
    let client = dns.client(&world);
    // One lookup, one connection: what was checked is what is connected to.
    client.resolve(&ask).await.unwrap();
    assert_eq!(dns.asked(), 1);
    // The name leads elsewhere now. The connection that is open goes where it went; a new one is checked anew.
    client.resolve(&ask).await.unwrap();
    assert_eq!(dns.asked(), 1);
    world.registry.stop().await;
    world.registry.resume().await.unwrap();
    world.seen();
    let failure = client.resolve(&ask).await.unwrap_err();
    assert_eq!(code(&failure), GUARDED, "{failure:?}");
    assert_eq!((dns.asked(), world.seen()), (2, vec![]));
}

#[tokio::test]
async fn dns_rebinding_by_an_answer_of_two_addresses_reaches_the_allowed_one_only() {
    let world = world(Login::None).await;
    let ask = world.ask_for(&format!("{}/open:v1", by_name(&world.registry)), None);
    for answer in [&[METADATA, "::1", "127.0.0.1"][..], &["127.0.0.1", METADATA]] {
        let dns = Rebinding::new(&[answer]);
        dns.client(&world).resolve(&ask).await.unwrap();
        assert_eq!(dns.asked(), 1);
    }
    // Were the refused addresses tried first, this would wait for them.
    let dns = Rebinding::new(&[&[METADATA]]);
    assert_eq!(code(&dns.client(&world).resolve(&ask).await.unwrap_err()), GUARDED);
}

#[tokio::test]
async fn a_connection_that_one_guard_let_pass_serves_no_other_guard() {
    let mut world = world(Login::None).await;
    let client = world.client();
    let ask = world.ask("open:v1", None);
    client.resolve(&ask).await.unwrap();
    world.policy.guard.allow_addresses.clear();
    // A reload that changes the guard makes another client, as `serve` does; nothing of the first is left to it.
    assert_eq!(code(&world.client().resolve(&ask).await.unwrap_err()), GUARDED);
}

#[tokio::test]
async fn a_range_that_the_operator_denies_is_refused_like_the_others() {
    let mut world = world(Login::None).await;
    world.policy.guard.allow_addresses.clear();
    world.policy.guard.deny_addresses = vec!["10.96.0.0/12".parse().unwrap()];
    let dns = Rebinding::new(&[&["10.96.0.1"]]);
    for image in ["kubernetes.default.svc:443/api:v1", "10.96.0.1:443/api:v1", "[64:ff9b::a60:1]:443/api:v1"] {
        let failure = dns.client(&world).resolve(&world.ask_for(image, None)).await.unwrap_err();
        assert_eq!(code(&failure), GUARDED, "{image}");
        assert!(failure.detail.unwrap().contains("guard.denyAddresses"), "{image}");
    }
}
