//! [`Transport`] over reqwest: one client per [`Profile`], the outbound guard where connections are made, redirects
//! followed by hand (without the authorization), everything bounded in size and time.

mod clients;
mod errors;
mod unverified;

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use secrecy::ExposeSecret;
use url::{Host, Url};

use crate::finding::Cause;
use crate::registry::guard::Guard;
use crate::registry::hosts::Headers;
use crate::registry::transport::{Method, Profile, Request, Response, Sending, Transport, TransportError};

/// Limit for one exchange, redirects included, where the configuration names none.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Limit for one TCP connect: a black-holed registry must answer a review within two seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Response headers are refused beyond this count; real registries send about twenty.
const MAX_HEADERS: usize = 100;

/// The real transport.
#[derive(Debug)]
pub struct HttpTransport {
    guard: Guard,
    clients: clients::Clients,
}

// === impl HttpTransport ===

impl HttpTransport {
    /// A transport that connects where `guard` allows. Clients are made when first needed.
    pub fn new(guard: Guard) -> Self {
        Self { clients: clients::Clients::new(guard.clone()), guard }
    }

    /// Makes the client of a profile now, so that a file which cannot be used is known before a review needs it.
    ///
    /// # Errors
    /// One sentence with the setting and the file.
    pub fn prepare(&self, profile: &Profile) -> Result<(), String> {
        self.clients.get(profile).map(drop).map_err(|error| error.detail)
    }

    async fn exchange(&self, request: Request<'_>) -> Result<Response, TransportError> {
        let client = self.clients.get(request.profile)?;
        let limit = request.profile.timeout.unwrap_or(REQUEST_TIMEOUT);
        let (method, url) = (request.method, request.url.clone());
        match tokio::time::timeout(limit, self.follow(&client, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(errors::timeout(method, &url, limit)),
        }
    }

    async fn follow(&self, client: &reqwest::Client, request: Request<'_>) -> Result<Response, TransportError> {
        let mut url = request.url.clone();
        let mut client = client.clone();
        let mut authorization = request.authorization.as_ref();
        let mut redirected_to = None;
        for _ in 0..=request.max_redirects {
            self.check(request.profile, &url)?;
            let mut builder = client
                .request(
                    match request.method {
                        Method::Head => reqwest::Method::HEAD,
                        Method::Get => reqwest::Method::GET,
                        Method::Post => reqwest::Method::POST,
                    },
                    url.clone(),
                )
                .header(ACCEPT_ENCODING, "identity");
            if let Some(accept) = request.accept {
                builder = builder.header(ACCEPT, accept);
            }
            if let Some(value) = authorization {
                let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| TransportError {
                    cause: Some(Cause::Limit),
                    detail: "the login has characters that no HTTP header may carry".to_owned(),
                    go: None,
                })?;
                value.set_sensitive(true);
                builder = builder.header(AUTHORIZATION, value);
            }
            if let Some(form) = &request.form {
                builder = builder
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.expose_secret().to_owned());
            }
            let answer = builder.send().await.map_err(|error| errors::classify(request.method, &url, &error))?;
            let Some(location) = redirect(request.method, &answer).filter(|_| request.max_redirects > 0) else {
                return read(answer, &request, redirected_to, &url).await;
            };
            url = url.join(&location).map_err(|_| TransportError {
                cause: None,
                detail: format!("{} redirects to something that is no URL", host(&url)),
                go: None,
            })?;
            url.set_fragment(None);
            redirected_to = Some(host(&url));
            authorization = None;
            if !request.profile.headers.0.is_empty() {
                let headers = Headers::default();
                client = self.clients.get(&Profile { headers, ..request.profile.clone() })?;
            }
        }
        Err(TransportError {
            cause: Some(Cause::Limit),
            detail: format!("more than {} redirects", request.max_redirects),
            go: None,
        })
    }

    /// Refuses what can be seen in the URL: schemes, user info, address literals. Names are checked after DNS by
    /// the resolver of the client, because only that sees the address that is connected to.
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
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return refuse("a URL without a host".to_owned()),
        };
        self.guard.check(literal).or_else(|why| {
            refuse(format!("{literal} is a {} address; guard.allowAddresses does not list it", why.as_str()))
        })
    }
}

impl Transport for HttpTransport {
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a> {
        Box::pin(self.exchange(request))
    }
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
    redirected_to: Option<String>,
    url: &Url,
) -> Result<Response, TransportError> {
    let too_large = || TransportError {
        cause: Some(Cause::Limit),
        detail: format!("{} sent more than {} bytes", host(url), request.max_body),
        go: None,
    };
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .take(MAX_HEADERS)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let mut body = Vec::new();
    if request.method != Method::Head {
        let declared = answer.content_length().unwrap_or(0);
        if declared > request.max_body as u64 {
            return Err(too_large());
        }
        while let Some(chunk) = answer.chunk().await.map_err(|error| errors::classify(request.method, url, &error))? {
            if body.len() + chunk.len() > request.max_body {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }
    Ok(Response { status, headers, body, redirected_to })
}

/// `host[:port]` for messages: never a path or a query.
fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "a URL without a host".to_owned(),
    }
}
