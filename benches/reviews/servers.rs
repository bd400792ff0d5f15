//! The servers that are compared, each on a runtime of its own with one worker thread: pullgate; a handler that only
//! reads the body, behind pullgate's own listener; and the same handler behind nothing but hyper and rustls.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use pullgate::admission::{self, Gate, Snapshot};
use pullgate::metrics::Metrics;
use pullgate::server::{self, Certificate, InFlight, Limits, body};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::bed::Bed;
use crate::{Failure, runtime};

/// What the servers that judge nothing answer.
const ANSWER: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"73851721-b80c-41be-a464-cfac9b87d05b","allowed":true}}"#;

/// A running server.
pub(crate) struct Server {
    /// The name of its worker thread.
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    runtime: Runtime,
}

// === impl Server ===

impl Server {
    /// The whole webhook with an empty cache.
    pub(crate) fn pullgate(bed: &Bed, metrics: Metrics) -> Result<Self, Failure> {
        let snapshot = Snapshot { policy: bed.policy()?, engine: bed.engine(metrics.clone())? };
        let (sender, snapshots) = watch::channel(Arc::new(snapshot));
        let gate = Gate::new(snapshots, metrics, Limits::default().request_body_timeout);
        // The handlers read the last snapshot whether or not its sender lives.
        drop(sender);
        Self::listening("pullgate", bed, admission::router(gate))
    }

    /// A handler that reads the body as pullgate's does and answers with fixed bytes.
    pub(crate) fn reading(bed: &Bed) -> Result<Self, Failure> {
        Self::listening("reading", bed, reading())
    }

    fn listening(name: &'static str, bed: &Bed, router: Router) -> Result<Self, Failure> {
        let runtime = runtime(name, 1)?;
        let tls = Arc::new(server::server_config(Arc::new(Certificate::load(bed.tls_files())?))?);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = runtime.block_on(server::bind(address, Some(tls), Limits::default(), "bench"))?;
        let address = bound.local_addr();
        runtime.spawn(bound.serve(router, std::future::pending()));
        Ok(Self { name, address, runtime })
    }

    /// The same handler without limits on connections, bytes or time around it.
    pub(crate) fn plain(bed: &Bed) -> Result<Self, Failure> {
        let runtime = runtime("plain", 1)?;
        let tls = Arc::new(server::server_config(Arc::new(Certificate::load(bed.tls_files())?))?);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let service = TowerToHyperService::new(reading());
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (tls, service) = (TlsAcceptor::from(Arc::clone(&tls)), service.clone());
                tokio::spawn(async move {
                    connection.set_nodelay(true)?;
                    let connection = TokioIo::new(tls.accept(connection).await?);
                    http1::Builder::new().serve_connection(connection, service).await?;
                    Ok::<_, Failure>(())
                });
            }
        });
        Ok(Self { name: "plain", address, runtime })
    }

    pub(crate) fn stop(self) {
        self.runtime.shutdown_background();
    }
}

fn reading() -> Router {
    let in_flight = InFlight::default();
    Router::new().route("/validate", post(read)).with_state(in_flight)
}

async fn read(State(in_flight): State<InFlight>, headers: HeaderMap, body: Body) -> impl IntoResponse {
    match body::read(body, &headers, &in_flight, Limits::default().request_body_timeout).await {
        Ok(_) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], ANSWER),
        Err(refused) => (refused.status(), [(CONTENT_TYPE, "text/plain")], ""),
    }
}
