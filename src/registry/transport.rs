//! The seam between the registry dialogue and HTTP: one request in; status, headers and a bounded body out.
//!
//! Only the implementation in [`crate::registry::http`] knows the HTTP library, the outbound guard and the
//! redirects. Tests and tools may put another one in its place.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::finding::Cause;
use crate::policy::Proxy;
use crate::registry::hosts::Headers;

/// How one registry is reached: everything that needs an HTTP client of its own.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// PEM file with the only authorities to trust; the system's otherwise.
    pub ca_file: Option<PathBuf>,
    /// PEM file with a client certificate and its key.
    pub client_cert_file: Option<PathBuf>,
    /// Which HTTP proxy leads there.
    pub proxy: Proxy,
    /// Plain HTTP is expected, so a redirect or realm may be plain HTTP too.
    pub plain_http: bool,
    /// Limit for one request, from connect to the last byte.
    pub timeout: Option<Duration>,
    /// PEM files with authorities to trust beside the others.
    pub more_ca_files: Vec<PathBuf>,
    /// Client certificate as a node holds it: PEM file, and the key's where that is another one.
    pub client_pair: Option<(PathBuf, Option<PathBuf>)>,
    /// The server's certificate is not looked at.
    pub skip_verify: bool,
    /// Sent with every request to the host itself, never along a redirect to another scheme, host or port.
    pub headers: Headers,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("ca_file", &self.ca_file)
            .field("proxy", &self.proxy)
            .field("plain_http", &self.plain_http)
            .field("skip_verify", &self.skip_verify)
            .finish_non_exhaustive()
    }
}

/// The methods that the dialogue needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// No body either way.
    Head,
    /// A body comes back.
    Get,
    /// A form goes out.
    Post,
}

/// Who would ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intent {
    /// A kubelet's runtime too, to pull the image.
    #[default]
    Pull,
    /// Only pullgate, to say more about a refusal.
    Explain,
}

/// One HTTP request.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which client to use.
    pub profile: &'a Profile,
    /// Who would ask.
    pub intent: Intent,
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: Url,
    /// `Accept`, where it matters.
    pub accept: Option<&'a str>,
    /// The whole `Authorization` value.
    pub authorization: Option<SecretString>,
    /// An encoded form (`application/x-www-form-urlencoded`) for POST.
    pub form: Option<SecretString>,
    /// The body is refused beyond this many bytes.
    pub max_body: usize,
    /// How many redirects to follow; none may carry the authorization to another scheme, host or port.
    pub max_redirects: u8,
}

/// One HTTP answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header names in lower case with their values, in order; what in a value is no UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
    /// The body, at most `max_body` bytes; empty for HEAD.
    pub body: Vec<u8>,
    /// What answered, when a redirect led there; its query may be a login.
    pub redirected_to: Option<Url>,
    /// A redirect led to another scheme, host or port on the way: what answered has seen no login.
    pub left_origin: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// `dns`, `refused`, `timeout`, `tls`, `proxy`: no connection. `guard`, `limit`: pullgate's own refusal. `None`: an
    /// answer that is no HTTP.
    pub cause: Option<Cause>,
    /// One sentence part, no credentials, no query strings.
    pub detail: String,
    /// How the Go runtime of a node would word it, where it is known.
    pub go: Option<String>,
}

/// What [`Transport::send`] gives.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send + 'a>>;

/// Sends one request.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends `request` and reads the answer within all bounds.
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a>;
}

// === impl Profile ===

impl Profile {
    /// The same for another host than the registry's own, which a realm or a redirect led to: nothing that proves who
    /// pullgate is goes there, and its certificate is looked at whatever holds for the registry.
    pub fn for_another_host(&self) -> Cow<'_, Self> {
        let own = self.client_cert_file.is_some() || self.client_pair.is_some() || self.skip_verify;
        if !own && self.headers.0.is_empty() {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self {
            client_cert_file: None,
            client_pair: None,
            skip_verify: false,
            headers: Headers::default(),
            ..self.clone()
        })
    }
}

// === impl Response ===

impl Response {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a header, by its lower-case name.
    pub fn header_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

// === impl Method ===

impl Method {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// As Go's `net/http` prints it in errors.
    pub fn in_go(self) -> &'static str {
        match self {
            Self::Head => "Head",
            Self::Get => "Get",
            Self::Post => "Post",
        }
    }
}

/// `host[:port]` for messages: never a path or a query.
pub(super) fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "a URL without a host".to_owned(),
    }
}
