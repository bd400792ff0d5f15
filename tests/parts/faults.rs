//! Registries that misbehave: one TLS listener whose answer depends on the repository asked for, and a few ports that
//! are wrong below HTTP. One thread per connection, one request per connection.

#[path = "faults/served.rs"]
mod served;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Failure;
use crate::images::sha256;
use crate::pki::Leaf;

/// The manifest that the misbehaving registries hand out where they do hand one out.
pub(crate) const MANIFEST: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

/// A manifest of the time before 2016.
const SCHEMA_1: &[u8] = br#"{"schemaVersion":1,"name":"fault/schema1","tag":"v1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}"#;

/// Bodies of token answers, by name: what a node reads, then what it refuses.
pub(crate) const TOKEN_BODIES: [(&str, &str); 22] = [
    ("capitals", r#"{"TOKEN":"good","Access_Token":"good","EXPIRES_IN":60}"#),
    ("kelvin", "{\"to\u{212a}en\":\"good\",\"acce\u{17f}\u{17f}_token\":\"good\"}"),
    ("escapes", r#"{"\u0074oken":"g\u006fod","access_token":"go\u006fd"}"#),
    ("behind", r#"{"token":"good","access_token":"good"}<!-- served by -->"#),
    ("two", r#"{"token":"good","access_token":"good"}{"token":5}"#),
    ("duplicate", r#"{"token":"bad","token":"good","access_token":"bad","access_token":"good"}"#),
    ("null-after", r#"{"token":"good","access_token":"good","expires_in":5,"expires_in":null,"Token":null}"#),
    ("negative", r#"{"token":"good","access_token":"good","expires_in":-1}"#),
    ("hour", r#"{"token":"good","access_token":"good","issued_at":"2026-01-02T3:04:05,5+24:00"}"#),
    ("fraction", r#"{"token":"good","access_token":"good","expires_in":300.0}"#),
    ("exponent", r#"{"token":"good","access_token":"good","expires_in":3e2}"#),
    ("text", r#"{"token":"good","access_token":"good","expires_in":"300"}"#),
    ("overflow", r#"{"token":"good","access_token":"good","expires_in":9223372036854775808}"#),
    ("unix", r#"{"token":"good","access_token":"good","issued_at":1457510670}"#),
    ("unix-text", r#"{"token":"good","access_token":"good","issued_at":"1457510670"}"#),
    ("blank", r#"{"token":"good","access_token":"good","issued_at":"2026-01-02 03:04:05Z"}"#),
    ("february", r#"{"token":"good","access_token":"good","issued_at":"2026-02-29T03:04:05Z"}"#),
    ("refresh", r#"{"token":"good","access_token":"good","refresh_token":7}"#),
    ("array", r#"{"token":["good"],"access_token":["good"]}"#),
    ("mark", "\u{feff}{\"token\":\"good\",\"access_token\":\"good\"}"),
    ("cut", r#"{"token":"good","access_token":"good""#),
    ("list", r#"[{"token":"good"}]"#),
];

/// How many of [`TOKEN_BODIES`] a node reads.
pub(crate) const READABLE_TOKENS: usize = 9;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// What a port does to whoever connects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    /// Answers in plain HTTP.
    Plain,
    /// Accepts and never says a word.
    Silent,
    /// Sends one byte of an endless header every 100 ms, after TLS.
    Dripping,
    /// Closes after TLS and the request, without an answer.
    Closing,
    /// The registry of [`answer`], over TLS.
    Registry,
    /// Plain HTTP that redirects everything to the registry of `site.own`, over TLS.
    Moved,
}

/// What [`answer`] needs to know about its surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// `host:port` of the listener itself, for token realms.
    pub(crate) own: String,
    /// `host:port` of a sound registry, for redirects.
    pub(crate) elsewhere: String,
    /// `host:port` without TLS that redirects to a token server with it.
    pub(crate) plain: String,
    /// Where requests are noted, and under which letter.
    pub(crate) witness: Option<(char, Witness)>,
}

/// What several listeners were asked, in order: letter, method, path with query, and the scheme of a login.
pub(crate) type Witness = Arc<Mutex<Vec<String>>>;

struct Request {
    method: String,
    /// With its query.
    path: String,
    /// Where it was sent.
    host: String,
    authorization: Option<String>,
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What `Content-Length` says.
    length: Length,
}

/// What is announced of a body.
#[derive(Clone, Copy, Debug)]
enum Length {
    /// Its length.
    True,
    /// Another.
    Of(usize),
    /// None.
    Absent,
}

/// Starts one listener; it lives as long as the process.
pub(crate) fn listen(listener: TcpListener, leaf: &Leaf, port: Port, site: Site) -> Result<SocketAddr, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(leaf.chain(), leaf.key_der())?;
    let (tls, site, address) = (Arc::new(tls), Arc::new(site), listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (tls, site) = (Arc::clone(&tls), Arc::clone(&site));
            // A client that goes away in the middle is what several of the cases are about.
            thread::spawn(move || serve(stream, tls, port, &site).ok());
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, tls: Arc<ServerConfig>, port: Port, site: &Site) -> Result<(), Failure> {
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    match port {
        Port::Silent => {
            let mut ignored = [0; 1024];
            while stream.read(&mut ignored)? > 0 {}
            return Ok(());
        }
        Port::Plain => {
            // What a plain HTTP server in Go says to a ClientHello.
            let mut hello = [0; 1024];
            let _some = stream.read(&mut hello)?;
            stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is no request\n")?;
            return Ok(());
        }
        Port::Moved => {
            if let Some(request) = read_request(&mut stream)? {
                let location = format!("https://{}{}", site.own, request.path);
                write_answer(&mut stream, &Answer::moved("301 Moved Permanently", &location), false)?;
            }
            return Ok(());
        }
        Port::Dripping | Port::Closing | Port::Registry => {}
    }
    let mut stream = StreamOwned::new(ServerConnection::new(tls)?, stream);
    let Some(request) = read_request(&mut stream)? else {
        return Ok(());
    };
    if let Some((letter, witness)) = &site.witness {
        let login = request.authorization.as_deref().and_then(|value| value.split(' ').next()).unwrap_or("-");
        let line = format!("{letter} {} {} {login}", request.method, request.path);
        witness.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
    match port {
        Port::Registry => {
            let head_only = request.method == "HEAD";
            write_answer(&mut stream, &answer(&request, site), head_only)?;
        }
        Port::Dripping => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Endless: ")?;
            loop {
                stream.write_all(b"a")?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(100));
            }
        }
        Port::Plain | Port::Silent | Port::Closing | Port::Moved => {}
    }
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

fn read_request(stream: &mut impl Read) -> Result<Option<Request>, Failure> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (mut authorization, mut host, mut length) = (None, String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "authorization" => authorization = Some(value.to_owned()),
                "host" => value.clone_into(&mut host),
                "content-length" => length = value.parse()?,
                _ => {}
            }
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    Ok(Some(Request { method, path, host, authorization }))
}

fn write_answer(stream: &mut impl Write, answer: &Answer, head_only: bool) -> Result<(), Failure> {
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match answer.length {
        Length::True => head.push_str(&format!("Content-Length: {}\r\n", answer.body.len())),
        Length::Of(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
        Length::Absent => {}
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if !head_only {
        stream.write_all(&answer.body)?;
    }
    stream.flush()?;
    Ok(())
}

/// The misbehaviour is the repository's last segment: `/v2/fault/KIND/manifests/…`, `/token/KIND`; or a mirror's path,
/// whatever the repository is: `/v2/as/KIND/…`.
fn answer(request: &Request, site: &Site) -> Answer {
    if let Some(kind) = request.path.strip_prefix("/token/") {
        return token(kind.split('?').next().unwrap_or_default(), request);
    }
    let path = &request.path;
    let kind = path
        .strip_prefix("/v2/fault/")
        .or_else(|| path.strip_prefix("/v2/as/"))
        .and_then(|rest| rest.split('/').next());
    let login = request.authorization.as_deref();
    let by_digest = path.contains("/manifests/sha256:");
    match kind.unwrap_or_default() {
        "rate" => error("429 Too Many Requests", "TOOMANYREQUESTS").with("Retry-After", "7"),
        // Docker Hub's own way of saying it.
        "counted" => {
            manifest(&sha256(MANIFEST)).with("RateLimit-Limit", "100;w=21600").with("RateLimit-Remaining", "76;w=21600")
        }
        "internal" => error("500 Internal Server Error", "UNKNOWN"),
        "gateway" => Answer::html("502 Bad Gateway"),
        "unavailable" => Answer::html("503 Service Unavailable"),
        "bad" => error("400 Bad Request", "UNSUPPORTED"),
        "denied" => error("403 Forbidden", "DENIED"),
        "unnamed" => error("404 Not Found", "NAME_UNKNOWN"),
        "gone" => error("404 Not Found", "MANIFEST_UNKNOWN"),
        "lost" => Answer::html("404 Not Found"),
        "mute" => error("401 Unauthorized", "UNAUTHORIZED"),
        "no-head" if request.method == "HEAD" => Answer::new("405 Method Not Allowed", Vec::new()),
        "no-digest" => Answer::new("200 OK", MANIFEST.to_vec()).with("Content-Type", MANIFEST_TYPE),
        "false-digest" => manifest(&sha256(b"another manifest")),
        "bad-digest" => manifest("sha256:abc"),
        // The tag is there, and what it names is not.
        "unserved" if by_digest => error("404 Not Found", "MANIFEST_UNKNOWN"),
        "unserved" => Answer::new("200 OK", nowhere_else())
            .with("Content-Type", MANIFEST_TYPE)
            .with("Docker-Content-Digest", &sha256(&nowhere_else())),
        // The index is there, and none of its entries is.
        "sparse" if path.ends_with(&sha256(&nowhere_else())) => error("404 Not Found", "MANIFEST_UNKNOWN"),
        "sparse" => index(),
        "schema1" => Answer::new("200 OK", SCHEMA_1.to_vec())
            .with("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
            .with("Docker-Content-Digest", &sha256(SCHEMA_1)),
        "redirect" => Answer::new("307 Temporary Redirect", Vec::new())
            .with("Location", &format!("https://{}/v2/alice/app/manifests/v1", site.elsewhere)),
        "stale-token" if login.is_some() => {
            bearer(site, "good").with("WWW-Authenticate", "Bearer error=\"invalid_token\"")
        }
        "deaf" => bearer(site, "good"),
        "rate-after-login" if login.is_some() => error("429 Too Many Requests", "TOOMANYREQUESTS"),
        "two-challenges" if login.is_none() => Answer::new("401 Unauthorized", Vec::new())
            .with("WWW-Authenticate", "Basic realm=\"fault\"")
            .with("WWW-Authenticate", &challenge(site, "good")),
        "digest-basic" if login.is_none() => {
            challenges(&["Digest realm=\"fault\", nonce=\"n\"", "Basic realm=\"fault\""])
        }
        "negotiate-basic" if login.is_none() => challenges(&["Negotiate", "BASIC realm=\"fault\"", "NTLM"]),
        "digest-line" if login.is_none() => challenges(&["Digest realm=\"fault\", Basic realm=\"fault\""]),
        "digest-only" => challenges(&["Digest realm=\"fault\", nonce=\"n\""]),
        // A replica that lacks the user, or the key of the token, takes every second request.
        "flaky-basic" if login.is_none() || every_second("basic") => challenges(&["Basic realm=\"fault\""]),
        "flaky-token" if login.is_none() || every_second("token") => bearer(site, "good"),
        "plain-realm" if login.is_none() => {
            challenges(&[&format!("Bearer realm=\"http://{}/token/good\",service=\"fault\"", site.plain)])
        }
        kind @ ("stale-token" | "rate-after-login") if login.is_none() && !kind.is_empty() => bearer(site, "good"),
        kind if kind.starts_with("served-") => served::answer(kind.trim_start_matches("served-"), request, site),
        kind if kind.starts_with("token-") && login.is_none() => bearer(site, kind.trim_start_matches("token-")),
        _ => manifest(&sha256(MANIFEST)),
    }
}

fn token(kind: &str, request: &Request) -> Answer {
    match kind {
        "internal" => Answer::html("500 Internal Server Error"),
        "forbidden" => error("403 Forbidden", "DENIED"),
        "rate" => error("429 Too Many Requests", "TOOMANYREQUESTS"),
        "empty" => Answer::json("200 OK", "{}"),
        "post-only" if request.method == "GET" => error("401 Unauthorized", "UNAUTHORIZED"),
        "post-400" | "post-401" | "post-403" | "post-404" if request.method == "POST" => match kind {
            "post-400" => error("400 Bad Request", "UNSUPPORTED"),
            "post-401" => error("401 Unauthorized", "UNAUTHORIZED"),
            "post-403" => error("403 Forbidden", "DENIED"),
            _ => error("404 Not Found", "UNSUPPORTED"),
        },
        "moved-301" => Answer::moved("301 Moved Permanently", "/token/good"),
        "moved-303" => Answer::moved("303 See Other", "good"),
        "moved-307" => Answer::moved("307 Temporary Redirect", "/token/good"),
        "moved-308" => {
            Answer::moved("308 Permanent Redirect", &format!("{}#end", request.path.replace("moved-308", "good")))
        }
        "moved-300" => Answer::moved("300 Multiple Choices", "/token/good"),
        kind if kind.starts_with("json-") => {
            let known = TOKEN_BODIES.iter().find(|(name, _)| Some(*name) == kind.strip_prefix("json-"));
            Answer::new("200 OK", known.map(|(_, body)| body.as_bytes().to_vec()).unwrap_or_default())
        }
        "get-only" if request.method == "POST" => Answer::new("405 Method Not Allowed", Vec::new()),
        "get-only" if request.authorization.is_none() => error("401 Unauthorized", "UNAUTHORIZED"),
        _ => Answer::json("200 OK", r#"{"token":"good","access_token":"good","expires_in":300}"#),
    }
}

/// Whether this is the first, third, fifth … call for a name.
fn every_second(name: &'static str) -> bool {
    static CALLS: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = calls.entry(name).or_default();
    *count += 1;
    *count % 2 == 1
}

fn challenges(lines: &[&str]) -> Answer {
    lines.iter().fold(error("401 Unauthorized", "UNAUTHORIZED"), |answer, line| answer.with("WWW-Authenticate", line))
}

fn challenge(site: &Site, kind: &str) -> String {
    format!("Bearer realm=\"https://{}/token/{kind}\",service=\"fault\"", site.own)
}

fn bearer(site: &Site, kind: &str) -> Answer {
    error("401 Unauthorized", "UNAUTHORIZED").with("WWW-Authenticate", &challenge(site, kind))
}

fn manifest(digest: &str) -> Answer {
    Answer::new("200 OK", MANIFEST.to_vec()).with("Content-Type", MANIFEST_TYPE).with("Docker-Content-Digest", digest)
}

/// A manifest that no other repository has: what is in a node's store is not fetched.
fn nowhere_else() -> Vec<u8> {
    [MANIFEST, b"\n"].concat()
}

/// An index of two entries, for whatever node it is, both of one manifest.
fn index() -> Answer {
    let entry = |architecture: &str| {
        let (digest, size) = (sha256(&nowhere_else()), nowhere_else().len());
        format!(
            r#"{{"mediaType":"{MANIFEST_TYPE}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
        )
    };
    let entries = [entry("amd64"), entry("arm64")].join(",");
    let body = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[{entries}]}}"#).into_bytes();
    let digest = sha256(&body);
    Answer::new("200 OK", body).with("Content-Type", INDEX_TYPE).with("Docker-Content-Digest", &digest)
}

fn error(status: &'static str, code: &str) -> Answer {
    Answer::json(status, &format!(r#"{{"errors":[{{"code":"{code}","message":"so says the fault"}}]}}"#))
}

// === impl Answer ===

impl Answer {
    fn new(status: &'static str, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body, length: Length::True }
    }

    fn json(status: &'static str, body: &str) -> Self {
        Self::new(status, body.as_bytes().to_vec()).with("Content-Type", "application/json")
    }

    fn moved(status: &'static str, location: &str) -> Self {
        Self::html(status).with("Location", location)
    }

    fn html(status: &'static str) -> Self {
        let body = format!("<html><body><h1>{status}</h1></body></html>\n");
        Self::new(status, body.into_bytes()).with("Content-Type", "text/html")
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}
