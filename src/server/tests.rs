//! A server on the loopback, and clients that write their requests by hand.

mod lifecycle;
mod limits;

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// Long enough for anything that should happen, on a busy machine.
const LONG: Duration = Duration::from_millis(900);
/// What the tests set a limit to when they want to see it reached.
const SHORT: Duration = Duration::from_millis(60);

const SLOW_REQUEST: &str = "POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    handlers: Handlers,
}

#[derive(Clone, Default)]
struct Handlers {
    in_flight: InFlight,
    /// Requests that have reached `/slow`.
    begun: Arc<AtomicUsize>,
    /// Ends one of them.
    go_on: Arc<Notify>,
}

fn limits() -> Limits {
    Limits { shutdown_delay: Duration::ZERO, drain: LONG, ..Limits::default() }
}

async fn start(tls: Option<Arc<Certificate>>, limits: Limits) -> Server {
    start_with(tls, limits, InFlight::new(100, 20)).await
}

async fn start_with(tls: Option<Arc<Certificate>>, limits: Limits, in_flight: InFlight) -> Server {
    let tls = tls.map(|certificate| Arc::new(server_config(certificate).unwrap()));
    let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), tls, limits, "--listen").await.unwrap();
    let handlers = Handlers { in_flight, ..Handlers::default() };
    let router = Router::new()
        .route("/echo", post(echo))
        .route("/known", post(known_caller))
        .route("/slow", post(slow))
        .route("/panic", post(async || -> &'static str { panic!("in a handler") }))
        .with_state(handlers.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let address = bound.local_addr();
    let task = tokio::spawn(bound.serve(router, async { stopped.await.unwrap_or_default() }));
    Server { address, stop: Some(stop), task, handlers }
}

async fn echo(State(handlers): State<Handlers>, headers: HeaderMap, body: axum::body::Body) -> Response {
    match body::read(body, &headers, &handlers.in_flight, 5 * SHORT).await {
        Ok(body) => body.bytes.into_response(),
        Err(error) => (error.status(), error.to_string()).into_response(),
    }
}

async fn known_caller(handlers: State<Handlers>, headers: HeaderMap, body: axum::body::Body) -> Response {
    let mut answer = echo(handlers, headers, body).await;
    answer.extensions_mut().insert(Proven);
    answer
}

async fn slow(State(handlers): State<Handlers>) -> &'static str {
    handlers.begun.fetch_add(1, Ordering::SeqCst);
    handlers.go_on.notified().await;
    "done"
}

impl Server {
    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn has_begun(&self, requests: usize) {
        until(|| self.handlers.begun.load(Ordering::SeqCst) == requests).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    timeout(LONG, async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the condition should come to hold");
}

fn echo_request(body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The same of somebody who proves to be an API server.
fn known(body: &str) -> String {
    echo_request(body).replace("/echo", "/known")
}

/// One response with a `content-length`, head and body.
async fn response(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let read = async {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Some((_, length)) = head.split_once("content-length: ")
                && body.len() >= length.split("\r\n").next().unwrap().parse().unwrap()
            {
                return text.into_owned();
            }
            let byte = stream.read_u8().await.expect("a response should come");
            bytes.push(byte);
        }
    };
    timeout(LONG, read).await.expect("a response should come in time")
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    response(stream).await
}

/// Waits for the other side to close, and says what it sent before.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset is as good an end as any.
    timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("the connection should be closed").unwrap_or_default();
    String::from_utf8(bytes).unwrap()
}

fn trusting(roots: &[&str]) -> TlsConnector {
    let mut store = RootCertStore::empty();
    for pem in roots {
        store.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn tls(server: &Server, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    connector.connect(ServerName::try_from("localhost").unwrap(), server.connect().await).await
}
