//! [`Transport`] over reqwest: one client per [`Profile`], the outbound guard where connections are made, redirects
//! followed by hand (the authorization stays on its scheme, host and port), everything bounded in size and time.

mod anchors;
mod body;
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

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
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
use crate::registry::proxies::Proxies;
use crate::registry::transport::{Method, Profile, Request, Response, Sending, Transport, TransportError, host};
use crate::telemetry::SPANS;

/// Limit for one exchange, redirects included, where the configuration names none.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for one TCP connect: a black-holed registry must answer a review within two seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Where a request has come to.
#[derive(Debug)]
struct Hop {
    url: Url,
    /// A redirect led here.
    redirected: bool,
    /// Some redirect led to another scheme, host or port than the one that was asked. It stays so if a later one leads
    /// back: who was in between must not choose what a login is sent to.
    left_origin: bool,
}

/// The real transport.
#[derive(Debug)]
pub struct HttpTransport {
    guard: Guard,
    proxies: Proxies,
    clients: clients::Clients,
}

// === impl Hop ===

impl Hop {
    /// The next URL, from a `Location`.
    fn to(self, first: &Url, location: &str) -> Result<Self, TransportError> {
        let mut url = host_port::join_url(&self.url, location).map_err(|error| {
            let (cause, what) = match error {
                UrlError::Syntax(_) => (None, "something that is no URL"),
                UrlError::OtherHost(_) => (Some(Cause::Guard), "a host that nodes read in another way"),
            };
            TransportError { cause, detail: format!("{} redirects to {what}", host(&self.url)), go: None }
        })?;
        url.set_fragment(None);
        let left_origin = self.left_origin || url.origin() != first.origin();
        Ok(Self { url, redirected: true, left_origin })
    }
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
        let mut hop = Hop { url: request.url.clone(), redirected: false, left_origin: false };
        for followed in 0.. {
            let profile = self.profile(&request, &hop);
            self.check(&profile, &hop.url)?;
            phase::asks(host(&hop.url));
            let client = self.clients.get(&profile)?;
            let authorization = request.authorization.as_ref().filter(|_| !hop.left_origin);
            let sent = build(&client, &request, &hop.url, authorization)?.send().await;
            let answer = sent.map_err(|error| errors::classify(request.method, &hop.url, &profile.proxy, &error))?;
            let Some(location) = redirect(request.method, &answer).filter(|_| request.max_redirects > 0) else {
                return body::read(answer, &request, hop, &profile.proxy).await;
            };
            if followed == request.max_redirects {
                return Err(errors::redirects(request.method, &request.url, &location, followed));
            }
            hop = hop.to(&request.url, &location)?;
        }
        Err(limit("redirects without end".to_owned()))
    }

    /// How the next URL is reached: client certificate and header lines of the operator stay on the scheme, host and port
    /// that they are for, like a login; and which proxy leads there.
    fn profile<'p>(&self, request: &Request<'p>, hop: &Hop) -> Cow<'p, Profile> {
        let mut profile = Cow::Borrowed(request.profile);
        if hop.left_origin && hop.url.host() != request.url.host() {
            profile = request.profile.for_another_host();
        } else if hop.left_origin && !profile.headers.0.is_empty() {
            profile.to_mut().headers = Headers::default();
        }
        if profile.proxy == Proxy::Environment
            && let Some(proxy) = self.proxies.of(&hop.url)
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
    // Go's client takes an answer without a location, or with an empty one, as it is.
    answer.headers().get(LOCATION)?.to_str().ok().filter(|location| !location.is_empty()).map(str::to_owned)
}

/// What is beyond pullgate's bounds.
fn limit(detail: String) -> TransportError {
    TransportError { cause: Some(Cause::Limit), detail, go: None }
}
