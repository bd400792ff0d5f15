//! Clients that cost as little as TLS lets them: the same bytes again and again over connections that stay open, answers
//! read by their length and not decoded. Their thread never sleeps: a server would pay for waking it, and the slower
//! the server, the oftener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// Connections to one server and the request that all of them send.
pub(crate) struct Load {
    request: Arc<[u8]>,
    connections: Vec<Connection>,
}

/// TLS settings that trust `ca_pem` only.
pub(crate) fn tls(ca_pem: &str) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// A whole HTTP/1.1 request, as an API server writes it.
pub(crate) fn request(path: &str, body: &str) -> Arc<[u8]> {
    let length = body.len();
    let head = format!(
        "POST {path}?timeout=10s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-apiserver-admission\r\n\
         Content-Length: {length}\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n\
         Accept-Encoding: gzip\r\n\r\n"
    );
    (head + body).into_bytes().into()
}

// === impl Connection ===

impl Connection {
    pub(crate) async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends one request and returns the body of its answer, which must have status 200.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8], Failure> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        let (body, end) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed a connection".into());
            }
            if let Some(place) = body_of(&self.buffer)? {
                break place;
            }
        };
        while self.buffer.len() < end {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server cut an answer short".into());
            }
        }
        self.buffer.get(body..end).ok_or_else(|| "an answer without a body".into())
    }
}

/// Where the body begins and ends, once the head is there.
fn body_of(answer: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&answer[..head])?;
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("an answer begins with {:?}", text.lines().next().unwrap_or_default()).into());
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or("an answer without content-length")?.parse()?;
    Ok(Some((head + 4, head + 4 + length)))
}

// === impl Load ===

impl Load {
    /// Opens `connections` connections.
    pub(crate) async fn open(
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
        connections: usize,
        request: Arc<[u8]>,
    ) -> Result<Self, Failure> {
        let mut load = Self { request, connections: Vec::with_capacity(connections) };
        for _ in 0..connections {
            load.connections.push(Connection::open(address, tls).await?);
        }
        Ok(load)
    }

    /// One answer, for a look at it.
    pub(crate) async fn answer(&mut self) -> Result<String, Failure> {
        let request = Arc::clone(&self.request);
        let connection = self.connections.first_mut().ok_or("no connection")?;
        Ok(String::from_utf8(connection.exchange(&request).await?.to_vec())?)
    }

    /// Sends as fast as answers come for `time`, or `limit` requests in all; returns how many were answered.
    pub(crate) async fn saturate(mut self, time: Duration, limit: u32) -> Result<(Self, u32), Failure> {
        let end = Instant::now() + time;
        let sent = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (request, sent) = (Arc::clone(&self.request), Arc::clone(&sent));
            tasks.spawn(async move {
                let mut answered = 0;
                while Instant::now() < end && sent.fetch_add(1, Ordering::Relaxed) < limit {
                    connection.exchange(&request).await?;
                    answered += 1;
                }
                Ok::<_, Failure>((connection, answered))
            });
        }
        let mut total = 0;
        while !tasks.is_empty() {
            while let Some(task) = tasks.try_join_next() {
                let (connection, answered) = task??;
                self.connections.push(connection);
                total += answered;
            }
            yield_now().await;
        }
        Ok((self, total))
    }

    /// Sends `rate` requests a second for `time`, whether or not answers come, and returns how long after the moment
    /// when it was due each answer came, sorted. Waiting for a free connection counts: nothing slow is left out.
    pub(crate) async fn on_schedule(mut self, rate: f64, time: Duration) -> Result<(Self, Vec<Duration>), Failure> {
        let interval = Duration::from_secs_f64(1.0 / rate);
        let began = Instant::now();
        let due = Arc::new(Semaphore::new(0));
        let next = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (request, due, next) = (Arc::clone(&self.request), Arc::clone(&due), Arc::clone(&next));
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                while let Ok(permit) = due.acquire().await {
                    permit.forget();
                    let at = began + interval * next.fetch_add(1, Ordering::Relaxed);
                    connection.exchange(&request).await?;
                    latencies.push(at.elapsed());
                }
                Ok::<_, Failure>((connection, latencies))
            });
        }
        // By turns, not by timers: those of the runtime have a grain of a millisecond, those of a thread wake it late.
        let mut number = 0;
        while began.elapsed() < time {
            if began.elapsed() >= interval * number {
                due.add_permits(1);
                number += 1;
            }
            yield_now().await;
        }
        while next.load(Ordering::Relaxed) < number {
            yield_now().await;
        }
        due.close();
        let mut latencies = Vec::new();
        while let Some(task) = tasks.join_next().await {
            let (connection, some) = task??;
            self.connections.push(connection);
            latencies.extend(some);
        }
        latencies.sort_unstable();
        Ok((self, latencies))
    }
}
