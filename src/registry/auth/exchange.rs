//! One request to a token server and the redirects that it answers with → the last answer.
//!
//! Go's client follows redirects when it fetches a token (golang/go `src/net/http/client.go`, `redirectBehavior`): after
//! 301, 302 and 303 a form becomes a GET without a body; 307 and 308 repeat the request. Here a login stays with the
//! scheme, host and port that the challenge named.

use std::borrow::Cow;

use secrecy::SecretString;
use url::Url;

use super::TokenRequest;
use super::realm::nonsense;
use crate::finding::{Cause, Code};
use crate::registry::failure::Failure;
use crate::registry::host_port::join_url;
use crate::registry::node;
use crate::registry::transport::{self, Method, Request, Response, Transport};

/// Token answers are a few KiB; ACR's reach ten.
const MAX_TOKEN_BODY: usize = 128 * 1024;

/// Requests of one exchange, as Go's client counts them.
const MAX_REQUESTS: usize = 10;

/// One request of an exchange.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) authorization: Option<SecretString>,
    pub(super) form: Option<SecretString>,
}

/// Sends a request and follows where it leads.
///
/// # Errors
/// No answer, a redirect that cannot be followed, or one that a login may not follow.
pub(super) async fn send(transport: &dyn Transport, ask: &TokenRequest<'_>, first: Hop) -> Result<Response, Failure> {
    let origin = first.url.origin();
    let mut hop = first;
    for _ in 0..MAX_REQUESTS {
        let answer = request(transport, ask, &hop).await?;
        let Some(location) = location(&answer) else { return Ok(answer) };
        let Ok(mut url) = join_url(&hop.url, location) else {
            return Err(nonsense(
                "the token server redirects to something that nodes do not read as a URL of a host",
                None,
            ));
        };
        url.set_fragment(None);
        hop = hop.redirected(answer.status, url);
        let to = || transport::host(&hop.url);
        if hop.carries_login() && hop.url.origin() != origin {
            let detail =
                format!("the token server redirects to {}; no login follows to another host, port or scheme", to());
            return Err(Failure::own(Code::NotChecked, Cause::Guard, detail));
        }
        if hop.url.scheme() == "http"
            && origin.ascii_serialization().starts_with("https:")
            && !ask.endpoint.profile.plain_http
        {
            let detail = format!("the token server redirects from HTTPS to plain HTTP at {}", to());
            return Err(Failure::own(Code::NotChecked, Cause::Guard, detail));
        }
    }
    let detail = format!("the token server redirects more than {} times", MAX_REQUESTS - 1);
    Err(Failure::own(Code::NotChecked, Cause::Limit, detail))
}

/// Where an answer leads, if it is a redirect. Go takes one without a `Location` for the answer itself.
fn location(answer: &Response) -> Option<&str> {
    let redirects = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    answer.header("location").filter(|location| redirects && !location.is_empty())
}

async fn request(transport: &dyn Transport, ask: &TokenRequest<'_>, hop: &Hop) -> Result<Response, Failure> {
    let own = ask.endpoint.is_at(&hop.url);
    let mut profile = if own { Cow::Borrowed(&ask.endpoint.profile) } else { ask.endpoint.profile.for_another_host() };
    if hop.url.scheme() == "http" && ask.login.is_none() {
        profile.to_mut().plain_http = true;
    }
    let request = Request {
        profile: &profile,
        intent: ask.intent,
        method: hop.method,
        url: hop.url.clone(),
        accept: None,
        authorization: hop.authorization.clone(),
        form: hop.form.clone(),
        max_body: MAX_TOKEN_BODY,
        max_redirects: 0,
    };
    transport.send(request).await.map_err(|error| {
        let mut failure = Failure::transport(error);
        failure.detail = failure.detail.map(|detail| format!("token server: {detail}"));
        failure.node = failure.node.map(|words| {
            let words = words.strip_prefix("failed to do request: ").unwrap_or(&words);
            node::token_failed(ask.login.is_some(), words)
        });
        failure
    })
}

// === impl Hop ===

impl Hop {
    fn carries_login(&self) -> bool {
        self.authorization.is_some() || self.form.is_some()
    }

    fn redirected(self, status: u16, url: Url) -> Self {
        match self.method {
            Method::Post if matches!(status, 301..=303) => Self { method: Method::Get, url, form: None, ..self },
            Method::Post | Method::Get | Method::Head => Self { url, ..self },
        }
    }
}
