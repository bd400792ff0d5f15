//! [`Transport`] over reqwest: one client per [`Profile`], the outbound guard where connections are made, redirects
//! followed by hand (without the authorization), everything bounded in size and time.

mod certificate;
mod clients;
mod errors;
mod names;
mod phase;
pub(crate) mod unverified;
mod verifier;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use secrecy::{ExposeSecret, SecretString};
use tracing::field::Empty;
use tracing::{Instrument as _, trace_span};
use url::{Host, Url};

use crate::finding::Cause;
use crate::policy::Proxy;
use crate::registry::guard::Guard;
use crate::registry::host_port::{self, HTTPS_PORT, UrlError};
use crate::registry::hosts::Headers;
pub use crate::registry::http::names::{LookingUp, Names};
use crate::registry::http::phase::Phase;
use crate::registry::proxies::Proxies;
use crate::registry::transport::{Method, Profile, Request, Response, Sending, Transport, TransportError, host};
use crate::telemetry::SPANS;

/// Limit for one exchange, redirects included, where the configuration names none.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for one TCP connect: a black-holed registry must answer a review within two seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Response headers are refused beyond this count; real registries send about twenty.
const MAX_HEADERS: usize = 100;

/// Response headers are refused beyond these bytes, names and values together.
const MAX_HEADER_LIST: u32 = 64 * 1024;

/// Of a refusal no more is read: enough for every registry's words.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// The real transport.
#[derive(Debug)]
pub struct HttpTransport {
    guard: Guard,
    proxies: Proxies,
    clients: clients::Clients,
}

// === impl HttpTransport ===

impl HttpTransport {
    /// A transport that connects where `guard` allows, through the proxies that a registry's rule or `proxies` names.
    /// Clients are made when first needed.
    pub fn new(guard: Guard, proxies: Proxies) -> Self {
        Self::with_names(guard, proxies, Arc::new(names::SystemNames))
    }

    /// The same with another resolver than the system's: whoever chooses an image's host chooses what DNS says of it, and
    /// a test must be able to say the same.
    pub fn with_names(guard: Guard, proxies: Proxies, names: Arc<dyn Names>) -> Self {
        Self { clients: clients::Clients::new(guard.clone(), names), guard, proxies }
    }

    /// Makes the client of a profile now, so that a file which cannot be used is known before a review needs it.
    ///
    /// # Errors
    /// One sentence with the setting and the file.
    pub fn prepare(&self, profile: &Profile) -> Result<(), String> {
        self.clients.get(profile).map(drop).map_err(|error| error.detail)
    }

    async fn exchange(&self, request: Request<'_>) -> Result<Response, TransportError> {
        let limit = request.profile.timeout.unwrap_or(REQUEST_TIMEOUT);
        let (method, url) = (request.method, request.url.clone());
        phase::watched(host(&url), async {
            let answer = tokio::time::timeout(limit, self.follow(request)).await;
            answer.unwrap_or_else(|_| Err(errors::timeout(method, &url, limit)))
        })
        .await
    }

    async fn follow(&self, request: Request<'_>) -> Result<Response, TransportError> {
        let mut url = request.url.clone();
        let mut redirected_to = None;
        for _ in 0..=request.max_redirects {
            let profile = self.hop(&request, &url, redirected_to.is_some());
            self.check(&profile, &url)?;
            phase::asks(host(&url));
            let client = self.clients.get(&profile)?;
            let authorization = request.authorization.as_ref().filter(|_| redirected_to.is_none());
            let sent = build(&client, &request, &url, authorization)?.send().await;
            let answer = sent.map_err(|error| errors::classify(request.method, &url, &profile.proxy, &error))?;
            let Some(location) = redirect(request.method, &answer).filter(|_| request.max_redirects > 0) else {
                return read(answer, &request, redirected_to, &url, &profile.proxy).await;
            };
            url = host_port::join_url(&url, &location).map_err(|error| {
                let (cause, what) = match error {
                    UrlError::Syntax(_) => (None, "something that is no URL"),
                    UrlError::OtherHost(_) => (Some(Cause::Guard), "a host that nodes read in another way"),
                };
                TransportError { cause, detail: format!("{} redirects to {what}", host(&url)), go: None }
            })?;
            url.set_fragment(None);
            redirected_to = Some(url.clone());
        }
        Err(limit(format!("more than {} redirects", request.max_redirects)))
    }

    /// How the next host is reached: what is the registry's own stays with its own host, header lines of the operator
    /// even with its first answer; and which proxy leads there.
    fn hop<'p>(&self, request: &Request<'p>, url: &Url, redirected: bool) -> Cow<'p, Profile> {
        let mut profile = Cow::Borrowed(request.profile);
        if redirected && url.host() != request.url.host() {
            profile = request.profile.for_another_host();
        } else if redirected && !profile.headers.0.is_empty() {
            profile.to_mut().headers = Headers::default();
        }
        if profile.proxy == Proxy::Environment
            && let Some(proxy) = self.proxies.of(url)
        {
            profile.to_mut().proxy = Proxy::Url(proxy.to_owned());
        }
        profile
    }

    /// Refuses what can be seen in the URL: schemes, user info, denied registries, address literals. Names are checked
    /// after DNS by the resolver of the client, because only that sees the address that is connected to; behind a proxy,
    /// which looks names up itself, those that are known.
    fn check(&self, profile: &Profile, url: &Url) -> Result<(), TransportError> {
        let refuse = |detail: String| Err(TransportError { cause: Some(Cause::Guard), detail, go: None });
        match url.scheme() {
            "https" => {}
            "http" if profile.plain_http => {}
            "http" => {
                return refuse(format!("{} asks for plain HTTP, and is not listed with plainHTTP", host(url)));
            }
            _ => return refuse(format!("{} is neither https nor http", host(url))),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(format!("a URL of {} carries user information", host(url)));
        }
        if self.guard.denies(&host(url), url.port_or_known_default().unwrap_or(HTTPS_PORT)) {
            return refuse(format!("{} is listed under guard.registries.deny", host(url)));
        }
        let (shown, judged) = match url.host() {
            Some(Host::Ipv4(address)) => (address.to_string(), self.guard.check(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), self.guard.check(IpAddr::V6(address))),
            Some(Host::Domain(name)) if matches!(profile.proxy, Proxy::Url(_)) => {
                (name.to_owned(), self.guard.check_name(name))
            }
            Some(Host::Domain(_)) => return Ok(()),
            None => return refuse("a URL without a host".to_owned()),
        };
        judged.or_else(|why| refuse(why.sentence(&shown)))
    }
}

impl Transport for HttpTransport {
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a> {
        let span = trace_span!(
            target: SPANS,
            "registry_request",
            otel.kind = "client",
            method = request.method.as_str(),
            host = request.url.host_str().unwrap_or_default(),
            status = Empty,
        );
        let of = span.clone();
        let sent = async move {
            let answer = self.exchange(request).await;
            of.record("status", answer.as_ref().map_or(0, |answer| answer.status));
            answer
        };
        Box::pin(sent.instrument(span))
    }
}

fn build(
    client: &reqwest::Client,
    request: &Request<'_>,
    url: &Url,
    authorization: Option<&SecretString>,
) -> Result<reqwest::RequestBuilder, TransportError> {
    let method = match request.method {
        Method::Head => reqwest::Method::HEAD,
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut builder = client.request(method, url.clone()).header(ACCEPT_ENCODING, "identity");
    if let Some(accept) = request.accept {
        builder = builder.header(ACCEPT, accept);
    }
    if let Some(value) = authorization {
        let mut value = HeaderValue::from_str(value.expose_secret())
            .map_err(|_| limit("the login has characters that no HTTP header may carry".to_owned()))?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    if let Some(form) = &request.form {
        builder =
            builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.expose_secret().to_owned());
    }
    Ok(builder)
}

/// Where the answer points to, if it is a redirect that may be followed.
fn redirect(method: Method, answer: &reqwest::Response) -> Option<String> {
    let redirects = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if !redirects || method == Method::Post {
        return None;
    }
    answer.headers().get(LOCATION)?.to_str().ok().map(str::to_owned)
}

async fn read(
    mut answer: reqwest::Response,
    request: &Request<'_>,
    redirected_to: Option<Url>,
    url: &Url,
    proxy: &Proxy,
) -> Result<Response, TransportError> {
    let too_large = |bytes: usize| limit(format!("{} sent more than {bytes} bytes", host(url)));
    let status = answer.status().as_u16();
    if header_bytes(answer.headers()) > u64::from(MAX_HEADER_LIST) {
        return Err(limit(format!("{} sent more than {MAX_HEADER_LIST} bytes of headers", host(url))));
    }
    let headers = answer
        .headers()
        .iter()
        .take(MAX_HEADERS)
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let refusal = !answer.status().is_success();
    let mut body = Vec::new();
    let encoded = encoded(answer.headers());
    if request.method != Method::Head && encoded && !refusal {
        // Nothing here inflates: the bytes would be taken for something else than they are.
        let detail = format!("{} sent a compressed body although it was asked for a plain one", host(url));
        return Err(TransportError { cause: None, detail, go: None });
    }
    phase::reached(Phase::Body);
    if request.method != Method::Head && !encoded {
        let declared = answer.content_length().unwrap_or(0);
        if declared > request.max_body as u64 && !refusal {
            return Err(too_large(request.max_body));
        }
        let most = if refusal { request.max_body.min(MAX_ERROR_BODY) } else { request.max_body };
        let failed = |error| errors::classify(request.method, url, proxy, &error);
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            let room = most - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                if refusal {
                    break;
                }
                return Err(too_large(most));
            }
        }
    }
    Ok(Response { status, headers, body, redirected_to })
}

fn header_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}

fn encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// What is beyond pullgate's bounds.
fn limit(detail: String) -> TransportError {
    TransportError { cause: Some(Cause::Limit), detail, go: None }
}
