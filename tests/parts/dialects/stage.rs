//! The registry of the rows: an HTTP proxy on loopback behind which every host there is answers over TLS, under its own
//! name, with the bytes of the row that is being played. Whoever is told of the proxy believes to speak with
//! `registry-1.docker.io`. One thread per connection.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use pullgate::demo::registry::Authority;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use secrecy::ExposeSecret as _;

use super::Row;

/// Where rows are played, one after another.
#[derive(Clone)]
pub(crate) struct Stage {
    proxy: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    authority: Authority,
    configs: Mutex<HashMap<String, Arc<ServerConfig>>>,
    row: Mutex<Arc<Row>>,
    /// Every request, and whether the row has an answer for it.
    asked: Mutex<Vec<(String, bool)>>,
}

/// The head of a request, and its form.
struct Request {
    method: String,
    target: String,
    authorization: String,
    form: String,
}

// === impl Stage ===

impl Stage {
    /// Opens the proxy; it lives as long as the process.
    pub(crate) fn open() -> io::Result<Self> {
        let authority = Authority::new().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let shared =
            Arc::new(Shared { authority, configs: Mutex::default(), row: Mutex::default(), asked: Mutex::default() });
        let stage = Self { proxy: listener.local_addr()?, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes away is no failure.
                thread::spawn(move || shared.tunnel(stream).ok());
            }
        });
        Ok(stage)
    }

    /// What is to be trusted, as PEM.
    pub(crate) fn ca(&self) -> &str {
        self.shared.authority.pem()
    }

    /// The URL of the proxy.
    pub(crate) fn proxy(&self) -> String {
        format!("http://{}", self.proxy)
    }

    /// Plays another row from now on.
    pub(crate) fn play(&self, row: &Arc<Row>) {
        *lock(&self.shared.row) = Arc::clone(row);
        lock(&self.shared.asked).clear();
    }

    /// What was asked since, and what of it the row has no answer for.
    pub(crate) fn asked(&self) -> (Vec<String>, Vec<String>) {
        let asked = lock(&self.shared.asked);
        let unanswered = asked.iter().filter(|(_, answered)| !answered);
        (asked.iter().map(|(line, _)| line.clone()).collect(), unanswered.map(|(line, _)| line.clone()).collect())
    }
}

// === impl Shared ===

impl Shared {
    /// `CONNECT host:port`, TLS as that host, requests; or requests in plain HTTP.
    fn tunnel(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        stream.set_nodelay(true)?;
        let first = read_request(&mut BufReader::new(OneByOne(&mut stream)))?;
        let Some(first) = first else { return Ok(()) };
        if first.method != "CONNECT" {
            let (answer, _) = self.answer(&first, "");
            return stream.write_all(&answer);
        }
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let host = first.target.strip_suffix(":443").unwrap_or(&first.target).to_owned();
        let connection = ServerConnection::new(self.config(&host)?).map_err(io::Error::other)?;
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        while let Some(request) = read_request(&mut stream)? {
            let (answer, delimited) = self.answer(&request, &host);
            let stream = stream.get_mut();
            stream.write_all(&answer)?;
            stream.flush()?;
            if !delimited {
                stream.conn.send_close_notify();
                return stream.flush();
            }
        }
        Ok(())
    }

    /// The answer of the row, and whether the connection can be used again after it.
    fn answer(&self, request: &Request, host: &str) -> (Vec<u8>, bool) {
        let Request { method, target, authorization, form } = request;
        let form = if form.is_empty() { String::new() } else { format!("?{form}") };
        let url = format!("{host}{target}{form}");
        let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization.as_str(), ""));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "" if form.contains("password=") || form.contains("refresh_token=") => "form".to_owned(),
            "" => "none".to_owned(),
            "bearer" => format!("bearer:{rest}"),
            other => other.to_owned(),
        };
        let row = Arc::clone(&lock(&self.row));
        let answer = row.answer(method, &url, &kind);
        let shown = format!("{method} {host}{target} {}", kind.split(':').next().unwrap_or_default());
        lock(&self.asked).push((shown, answer.is_some()));
        let mut answer = answer.unwrap_or_else(|| {
            let body = "no answer is recorded for this request";
            format!("HTTP/1.1 599 Unrecorded\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        });
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        let says_length = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase().contains("\ncontent-length:");
        if method == "HEAD" {
            answer.truncate(head);
        }
        (answer, says_length || method == "HEAD")
    }

    fn config(&self, host: &str) -> io::Result<Arc<ServerConfig>> {
        let mut configs = lock(&self.configs);
        if let Some(config) = configs.get(host) {
            return Ok(Arc::clone(config));
        }
        let name = host.split(':').next().unwrap_or(host);
        let leaf = self.authority.issue(&[name]).map_err(io::Error::other)?;
        let certificate = CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.expose_secret().as_bytes()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
            .map_err(io::Error::other)?;
        let config = Arc::new(config);
        configs.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }
}

/// Reads no further than it is asked to: what follows the first request is TLS.
struct OneByOne<'a>(&'a mut TcpStream);

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (mut authorization, mut length) = (String::new(), 0_u64);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "authorization" => value.clone_into(&mut authorization),
                "content-length" => length = value.parse().map_err(io::Error::other)?,
                _ => {}
            }
        }
    }
    let mut form = Vec::new();
    reader.take(length).read_to_end(&mut form)?;
    Ok(Some(Request { method, target, authorization, form: String::from_utf8_lossy(&form).into_owned() }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
