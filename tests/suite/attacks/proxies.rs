//! Behind an HTTP proxy: which requests go through it, and which rules still hold where no address is seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use pullgate::demo::registry::{Behaviour, Login};
use pullgate::finding::{Cause, Code};
use pullgate::policy::Proxy;
use pullgate::registry::guard::Guard;
use pullgate::registry::http::{HttpTransport, LookingUp, Names};
use pullgate::registry::proxies::{Proxies, Variables};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::raw::{self, answer_for_ever};
use super::{GUARDED, world};
use crate::support::{World, code, login};

/// A proxy that takes CONNECT and leads every name to loopback.
struct Tunnel {
    port: u16,
    /// The heads of the requests.
    asked: Arc<Mutex<Vec<String>>>,
}

// === impl Tunnel ===

impl Tunnel {
    async fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heads = Arc::clone(&asked);
        // Ends with the test's runtime.
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(tunnel(stream, status, Arc::clone(&heads)));
            }
        });
        Self { port, asked }
    }

    fn url(&self) -> String {
        format!("http://me:hunter2@127.0.0.1:{}", self.port)
    }

    /// The hosts that were asked for, and whether the login came along each time.
    fn asked(&self) -> Vec<String> {
        let heads = std::mem::take(&mut *self.asked.lock().unwrap());
        assert!(heads.iter().all(|head| head.contains("asic bWU6aHVudGVyMg==")), "{heads:?}");
        heads.iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
    }

    /// A client behind this proxy by the environment.
    fn client(&self, world: &World, no: &str) -> pullgate::registry::Registry {
        let variables = Variables { https: self.url(), no: no.to_owned(), ..Variables::default() };
        client(world, Proxies::new(&variables).unwrap())
    }
}

/// DNS that knows nobody: whatever is reached by its name is reached through a proxy, or is `localhost`.
#[derive(Debug)]
struct Nobody;

impl Names for Nobody {
    fn look_up(&self, host: String) -> LookingUp {
        let loopback = std::net::IpAddr::from([127, 0, 0, 1]);
        let found = if host == "localhost" { Ok(vec![loopback]) } else { Err(std::io::ErrorKind::NotFound.into()) };
        Box::pin(std::future::ready(found))
    }
}

fn client(world: &World, proxies: Proxies) -> pullgate::registry::Registry {
    world.client_over(HttpTransport::with_names(Guard::new(&world.policy.guard), proxies, Arc::new(Nobody)))
}

async fn tunnel(mut stream: TcpStream, status: &str, heads: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let port = head.split(' ').nth(1).and_then(|host| host.rsplit(':').next()).unwrap_or_default().to_owned();
    heads.lock().unwrap().push(head);
    stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await?;
    if status.starts_with("200") {
        let mut there = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
        copy_bidirectional(&mut stream, &mut there).await?;
    }
    Ok(())
}

/// A registry under a name that no DNS has, with one image.
async fn named(world: &World) -> String {
    let digest = format!("sha256:{}", "0".repeat(64));
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nContent-Length: 500\r\n\
         Docker-Content-Digest: {digest}\r\n\r\n"
    );
    let port = raw::serve(world, "registry.test", "http/1.1", move |stream| {
        answer_for_ever(stream, head.clone(), String::new())
    });
    format!("registry.test:{}", port.await)
}

#[tokio::test]
async fn the_environments_proxy_is_used_as_the_nodes_go_programs_use_it() {
    let world = world(Login::None).await;
    let (proxy, host) = (Tunnel::start("200 OK").await, named(&world).await);
    let ask = world.ask_for(&format!("{host}/open:v1"), None);
    proxy.client(&world, "").resolve(&ask).await.unwrap();
    assert_eq!(proxy.asked(), [host]);
    // Not for the proxy: then the name has to be known here, and is not.
    let failure = proxy.client(&world, ".test").resolve(&ask).await.unwrap_err();
    assert_eq!(code(&failure), (Code::RegistryUnreachable, Some(Cause::Dns)));
    // Loopback is never asked for through a proxy, by realm and redirect neither.
    let location = format!("https://{}{{path}}", world.registry.host().replace("127.0.0.1", "localhost"));
    world.registry.push("there", "v1");
    world.registry.behave(
        "open",
        Behaviour::Redirect { status: 307, location: location.replace("{path}", "/v2/there/manifests/v1") },
    );
    proxy.client(&world, "").resolve(&world.ask("open:v1", None)).await.unwrap();
    assert_eq!(proxy.asked(), [""; 0]);
}

#[tokio::test]
async fn the_rule_of_a_registry_goes_before_the_environment() {
    let mut world = world(Login::None).await;
    let (environment, own) = (Tunnel::start("200 OK").await, Tunnel::start("200 OK").await);
    let host = named(&world).await;
    world.policy.registries[0].proxy = Proxy::Url(own.url());
    let ask = world.ask_for(&format!("{host}/open:v1"), None);
    environment.client(&world, "").resolve(&ask).await.unwrap();
    // What a rule says holds for loopback too.
    environment.client(&world, "").resolve(&world.ask("open:v1", None)).await.unwrap();
    assert_eq!(own.asked(), [host.clone(), world.registry.host()]);
    world.policy.registries[0].proxy = Proxy::None;
    let ask = world.ask_for(&format!("{host}/open:v1"), None);
    let failure = environment.client(&world, "").resolve(&ask).await.unwrap_err();
    assert_eq!(code(&failure), (Code::RegistryUnreachable, Some(Cause::Dns)));
    assert_eq!(environment.asked(), [""; 0]);
}

#[tokio::test]
async fn behind_a_proxy_what_can_be_seen_in_a_url_is_still_refused() {
    let mut world = world(Login::None).await;
    let proxy = Tunnel::start("200 OK").await;
    // The proxy itself is at a loopback address, by its name: where it is, is the operator's choice.
    world.policy.registries[0].proxy = Proxy::Url(proxy.url().replace("127.0.0.1", "localhost"));
    world.policy.guard.allow_addresses.clear();
    world.policy.guard.deny_registries = vec![pullgate::policy::Pattern::host("denied.example").unwrap()];
    for host in [
        "169.254.169.254",
        "[::ffff:7f00:1]:443",
        "localhost",
        "a.localhost:443",
        "metadata.google.internal",
        "denied.example:8443",
    ] {
        let failure = client(&world, Proxies::default())
            .resolve(&world.ask_for(&format!("{host}/open:v1"), None))
            .await
            .unwrap_err();
        assert_eq!(code(&failure), GUARDED, "{host}: {failure:?}");
    }
    assert_eq!(proxy.asked(), [""; 0]);
    // Any other name goes to the proxy, whose rules hold from here on.
    let host = named(&world).await;
    client(&world, Proxies::default()).resolve(&world.ask_for(&format!("{host}/open:v1"), None)).await.unwrap();
    assert_eq!(proxy.asked(), [host]);
}

#[tokio::test]
async fn a_proxy_that_fails_is_named_and_its_login_is_not() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (angry, forbidding) = (Tunnel::start("407 Who Are You").await, Tunnel::start("403 Forbidden").await);
    let heard: HashMap<&str, String> = HashMap::from([
        ("dead", format!("http://me:hunter2@{dead}")),
        ("nowhere", "http://me:hunter2@proxy.invalid:3128".to_owned()),
        ("angry", angry.url()),
        ("forbidding", forbidding.url()),
    ]);
    let words = HashMap::from([
        ("dead", ": it refused the connection"),
        ("nowhere", "proxy.invalid:3128: "),
        ("angry", ": it wants a login, or another one (407)"),
        ("forbidding", ": it refuses, or does not get there itself (no 200 to CONNECT)"),
    ]);
    for (name, url) in heard {
        let mut world = world(Login::Basic).await;
        world.policy.registries[0].proxy = Proxy::Url(url.clone());
        let failure = client(&world, Proxies::default())
            .resolve(&world.ask("team/api:v1", login("ann", "right")))
            .await
            .unwrap_err();
        assert_eq!(code(&failure), (Code::RegistryUnreachable, Some(Cause::Proxy)), "{name}: {failure:?}");
        let shown = url.split('@').next_back().unwrap();
        let detail = failure.detail.as_deref().unwrap();
        assert!(detail.contains(shown) && detail.contains(words[name]), "{name}: {failure:?}");
        assert!(!format!("{failure:?} {:?}", world.policy).contains("hunter2"), "{name}: {failure:?}");
        assert_eq!(world.seen(), [""; 0], "{name}");
    }
}
