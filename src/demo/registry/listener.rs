//! A port that speaks HTTP/1.1, over TLS or plain: connections in, calls to the registry's service out. It is written
//! by hand because faults reach below HTTP: silence before the handshake, bytes one at a time, a cut within a line.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use super::answers::Service;

/// What a listener does with a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accepting {
    /// Handshake, then HTTP.
    #[default]
    Normally,
    /// The connection stands, and nothing is ever said on it: a black hole.
    Silently,
    /// The connection is dropped at once.
    NotAtAll,
}

/// An open port and the connections on it; dropping it closes both.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// The current [`Accepting`], shared with the accept loop.
#[derive(Debug, Default)]
pub(super) struct AcceptSwitch(AtomicU8);

/// How the bytes of one connection leave. A request resets it, a fault changes it.
#[derive(Debug)]
pub(super) struct Wire {
    /// Between two bytes; zero: as fast as it goes.
    interval_us: AtomicU64,
    /// How many more bytes may leave before the connection breaks.
    budget: AtomicU64,
}

/// A stream whose writes obey a [`Wire`].
struct Paced<S> {
    stream: S,
    wire: Arc<Wire>,
    pause: Option<Pin<Box<Sleep>>>,
}

// === impl Listener ===

impl Listener {
    /// Binds `address` and serves from then on.
    pub(super) async fn bind(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        switch: Arc<AcceptSwitch>,
        service: Service,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, tls, switch, service));
        Ok(Self { address, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection; done when the port is free.
    pub(super) async fn close(mut self) {
        self.task.abort();
        // The only outcome of an aborted endless loop is that it was aborted.
        (&mut self.task).await.ok();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl AcceptSwitch ===

impl AcceptSwitch {
    pub(super) fn set(&self, accepting: Accepting) {
        self.0.store(accepting as u8, Ordering::Relaxed);
    }

    fn get(&self) -> Accepting {
        match self.0.load(Ordering::Relaxed) {
            1 => Accepting::Silently,
            2 => Accepting::NotAtAll,
            _ => Accepting::Normally,
        }
    }
}

// === impl Wire ===

impl Wire {
    pub(super) fn reset(&self) {
        self.interval_us.store(0, Ordering::Relaxed);
        self.budget.store(u64::MAX, Ordering::Relaxed);
    }

    pub(super) fn pace(&self, interval: Duration) {
        let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        self.interval_us.store(micros, Ordering::Relaxed);
    }

    pub(super) fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::Relaxed);
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self { interval_us: AtomicU64::new(0), budget: AtomicU64::new(u64::MAX) }
    }
}

// === impl Paced ===

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let interval = Duration::from_micros(self.wire.interval_us.load(Ordering::Relaxed));
        let budget = self.wire.budget.load(Ordering::Relaxed);
        if budget == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let mut length = buf.len().min(usize::try_from(budget).unwrap_or(usize::MAX));
        if !interval.is_zero() {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
            }
            self.pause = Some(Box::pin(tokio::time::sleep_until(Instant::now() + interval)));
            length = length.min(1);
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &buf[..length]))?;
        if budget != u64::MAX {
            self.wire.budget.store(budget - written as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, switch: Arc<AcceptSwitch>, service: Service) {
    // The set belongs to this task: aborting the task drops every connection.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely; a pause lets some come back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        match switch.get() {
            Accepting::NotAtAll => drop(stream),
            Accepting::Silently => {
                connections.spawn(async move {
                    let _held = stream;
                    std::future::pending::<()>().await;
                });
            }
            Accepting::Normally => {
                connections.spawn(connection(stream, tls.clone(), service.clone()));
            }
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, service: Service) {
    // Small answers must not wait for an acknowledgement; failing to say so only makes them slower.
    stream.set_nodelay(true).ok();
    match tls {
        None => serve(stream, service).await,
        Some(tls) => {
            // A client that distrusts the certificate leaves here.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, service).await;
            }
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S, service: Service) {
    let wire = Arc::new(Wire::default());
    let stream = TokioIo::new(Paced { stream, wire: wire.clone(), pause: None });
    let http = hyper::server::conn::http1::Builder::new();
    let requests = service_fn(move |request| {
        wire.reset();
        let (service, wire) = (service.clone(), wire.clone());
        async move { service.answer(request, &wire).await }
    });
    // Most errors here are the faults that were asked for.
    http.serve_connection(stream, requests).await.ok();
}
