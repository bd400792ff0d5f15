//! Every login and every fault, seen from a client's end of the wire.

use std::time::{Duration, Instant};

use hyper::Method;
use reqwest::{Certificate as Root, Client, Response};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

mod behaviours;
mod connections;
mod contents;
mod logins;

/// A client that trusts `registry`, follows no redirect and keeps no connection.
fn client(registry: &Registry) -> Client {
    // Another test may have been first.
    tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let roots = Root::from_pem(registry.ca_pem().as_bytes()).into_iter().filter(|_| !registry.ca_pem().is_empty());
    Client::builder()
        .tls_certs_only(roots)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

async fn https(spec: impl FnOnce(RegistrySpec) -> RegistrySpec) -> Registry {
    let authority = Arc::new(Authority::new().unwrap());
    Registry::start(spec(RegistrySpec::https(&authority))).await.unwrap()
}

async fn plain() -> Registry {
    Registry::start(RegistrySpec::plain()).await.unwrap()
}

/// A plain registry where `a:v1` answers with `behaviour`.
async fn behaving(behaviour: impl Into<Option<Behaviour>>) -> Registry {
    let registry = plain().await;
    registry.push("a", "v1");
    registry.behave("a", behaviour);
    registry
}

fn url(registry: &Registry, path: &str) -> String {
    let scheme = if registry.ca_pem().is_empty() { "http" } else { "https" };
    format!("{scheme}://{}{path}", registry.host())
}

async fn get(registry: &Registry, path: &str) -> Response {
    client(registry).get(url(registry, path)).send().await.unwrap()
}

async fn head(registry: &Registry, path: &str) -> Response {
    client(registry).head(url(registry, path)).send().await.unwrap()
}

async fn get_with(registry: &Registry, path: &str, authorization: &str) -> Response {
    client(registry).get(url(registry, path)).header("Authorization", authorization).send().await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let code = json(response).await["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
    (status, code)
}

fn line<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// What comes back for a GET of `/v2/a/manifests/v1`, byte for byte, until the connection ends or `limit` passes.
async fn raw(registry: &Registry, method: &str, limit: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(registry.host()).await.unwrap();
    let request = format!("{method} /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    // A reset ends the reading as well as a proper end.
    tokio::time::timeout(limit, stream.read_to_end(&mut seen)).await.ok();
    seen
}
