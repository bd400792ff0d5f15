//! A bound port → connections, each served in a task of its own, until told to stop; then the orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, warn};

use super::clients::{Authenticated, ClientAuthority};
use super::room::{Place, Proven, Room};
use super::stream::{Serving, TimedStream};
use super::{Limits, ServerError};

/// How long to pause when the system has no connection to give, for want of file descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// hyper refuses a smaller buffer.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

/// An open port that is not served yet: clients can connect and wait.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    clients: Option<Arc<ClientAuthority>>,
    limits: Limits,
}

/// What every connection of one server shares.
#[derive(Clone)]
struct Shared {
    http: http1::Builder,
    router: TowerToHyperService<Router>,
    tls: Option<TlsAcceptor>,
    clients: Option<Arc<ClientAuthority>>,
    limits: Limits,
    leaving: Arc<AtomicBool>,
    room: Room,
}

/// Opens a port; `tls: None` is plain HTTP. `flag` is the flag that named the address.
pub async fn bind(
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
    flag: &'static str,
) -> Result<Bound, ServerError> {
    let refuse = |reason| ServerError::Listen { flag, address, reason };
    let listener = TcpListener::bind(address).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    Ok(Bound { listener, address, tls: tls.map(TlsAcceptor::from), clients: None, limits })
}

// === impl Bound ===

impl Bound {
    /// The address, with the port that the system chose if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Marks requests as [`Authenticated`] that come over a connection with a client certificate of these.
    #[must_use]
    pub fn recognizing(self, clients: Option<Arc<ClientAuthority>>) -> Self {
        Self { clients, ..self }
    }

    /// Serves until `shutdown` is done, then for `shutdown_delay` more while clients are told to connect elsewhere, then
    /// closes the port and returns when the requests that have begun are answered, or after `drain`.
    ///
    /// A handler that panics loses its own connection and no other. Dropping the future drops every connection.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let Self { listener, address, tls, clients, limits } = self;
        let shared = Shared {
            http: http(&limits),
            router: TowerToHyperService::new(router),
            tls,
            clients,
            limits,
            leaving: Arc::default(),
            room: Room::default(),
        };
        let permits = Arc::new(Semaphore::new(limits.max_connections));
        let mut waiting = None;
        let open = GracefulShutdown::new();
        let mut tasks = JoinSet::new();

        let mut stop = pin!(async {
            shutdown.await;
            shared.leaving.store(true, Ordering::Relaxed);
            sleep(limits.shutdown_delay).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = tasks.join_next() => report(ended),
                (connection, permit) = accept(&listener, &permits, &shared.room, &mut waiting) => {
                    tasks.spawn(serve_connection(shared.clone(), connection, permit, open.watcher()));
                }
            }
        }

        drop(listener);
        if timeout(limits.drain, open.shutdown()).await.is_err() {
            warn!(%address, drain_s = limits.drain.as_secs(), "Requests were still open at the end of the drain");
            tasks.abort_all();
        }
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // The wait for a request; the reading of its head is timed in `stream`.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER_BYTES))
        .max_header_size(limits.max_header_bytes);
    http
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "A connection was lost to a panic");
    }
}

/// The next connection, as soon as there may be one more.
///
/// `waiting` holds a connection that is accepted and has no permit yet, so that dropping this future loses none.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    room: &Room,
    waiting: &mut Option<TcpStream>,
) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        if waiting.is_some()
            && let Ok(permit) = Arc::clone(permits).acquire_owned().await
            && let Some(connection) = waiting.take()
        {
            return (connection, permit);
        }
        match listener.accept().await {
            Ok((connection, _peer)) => {
                *waiting = Some(connection);
                if permits.available_permits() == 0 {
                    room.make();
                }
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                warn!(%error, "Cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Errors that `accept(2)` passes on from a connection that died in the queue; the next one may be fine.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

async fn serve_connection(shared: Shared, connection: TcpStream, permit: OwnedSemaphorePermit, watcher: Watcher) {
    let place = Arc::new(shared.room.enter());
    tokio::select! {
        () = serve(shared, connection, &place, watcher) => {}
        () = place.told_to_go() => debug!("A connection of somebody who is not known made room"),
    }
    drop(permit);
}

async fn serve(shared: Shared, connection: TcpStream, place: &Arc<Place>, watcher: Watcher) {
    if let Err(error) = connection.set_nodelay(true) {
        debug!(%error, "Cannot turn off delayed sending");
    }
    match shared.tls.clone() {
        None => serve_http(shared, connection, None, place, watcher).await,
        Some(tls) => match timeout(shared.limits.handshake_timeout, tls.accept(connection)).await {
            Ok(Ok(connection)) => {
                let chain = connection.get_ref().1.peer_certificates();
                let known = shared.clients.as_ref().zip(chain).is_some_and(|(clients, chain)| clients.knows(chain));
                serve_http(shared, connection, known.then_some(Authenticated), place, watcher).await;
            }
            Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
            Err(_) => debug!("TLS handshake took too long"),
        },
    }
}

async fn serve_http<S>(
    shared: Shared,
    connection: S,
    client: Option<Authenticated>,
    place: &Arc<Place>,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Shared { http, router, limits, leaving, .. } = shared;
    let serving = Serving::default();
    let place = Arc::clone(place);
    // Connections that came together do not end together.
    let ends = Instant::now() + limits.max_age + limits.max_age / 64 * u32::try_from(place.number() % 16).unwrap_or(0);
    let stream = TimedStream::new(connection, limits.header_timeout, limits.write_timeout, serving.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        serving.begin();
        if let Some(client) = client {
            request.extensions_mut().insert(client);
        }
        let response = router.call(request);
        let (serving, leaving, place) = (serving.clone(), Arc::clone(&leaving), Arc::clone(&place));
        async move {
            let mut response = response.await?;
            serving.end();
            if response.extensions().get::<Proven>().is_some() {
                place.proven();
            }
            if leaving.load(Ordering::Relaxed) || Instant::now() >= ends {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    if let Err(error) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await {
        debug!(%error, "Connection ended");
    }
}
