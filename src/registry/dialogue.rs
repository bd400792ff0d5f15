//! One dialogue: a request, the challenges that come back, and the requests that answer them, until the registry has
//! nothing more to ask for.

mod progress;

use url::Url;

use crate::credentials::Credential;
use crate::finding::{Cause, Code};
use crate::registry::auth::Order;
use crate::registry::challenge::{self, Challenge};
use crate::registry::dialogue::progress::{Next, Progress};
use crate::registry::failure::{Authority, Failure, LoginEvidence, Presented, Refusal, Weight};
use crate::registry::host_port::{self, HostPort, UrlError};
use crate::registry::manifest::Nature;
use crate::registry::session::Authorization;
use crate::registry::transport::{self, Method, Request, Response, TransportError};
use crate::registry::{Ask, MAX_REDIRECTS, Registry, manifest, node, throttle};

// === impl Ask ===

impl Ask {
    /// A request to the registry's own API, with what is presented there.
    pub(super) fn request(
        &self,
        method: Method,
        url: Url,
        presented: &Authorization<'_>,
        max_body: usize,
    ) -> Request<'_> {
        Request {
            profile: &self.endpoint.profile,
            intent: self.intent,
            method,
            url,
            accept: None,
            authorization: presented.header(),
            form: None,
            max_body,
            max_redirects: MAX_REDIRECTS,
        }
    }
}

// === impl Registry ===

impl Registry {
    /// Asks until the registry has nothing more to challenge: the 2xx answer and the method that got it.
    pub(super) async fn converse(&self, ask: &Ask, mut method: Method) -> Result<(Response, Method), Failure> {
        let mut presented = self.session.known(self.transport.as_ref(), ask).await?;
        let remembered = presented.is_some();
        let mut progress = Progress::new(remembered);
        loop {
            let answer = self.request(ask, method, &presented).await?;
            progress.sent();
            if let (Some(url), 401 | 403, true) = (&answer.redirected_to, answer.status, answer.left_origin) {
                return Err(refused_elsewhere(ask, method, &answer, url));
            }
            match answer.status {
                200..=299 => {
                    presented.accepted().await;
                    return Ok((answer, method));
                }
                401 => {
                    presented = self.challenged(ask, method, &answer, presented, &mut progress).await?;
                }
                405 if method == Method::Head && progress.may_go_on() => {
                    method = Method::Get;
                }
                _ => {
                    let failure = refused(ask, method, &answer, None, presented.presented());
                    if failure.code == Code::CredentialsRejected {
                        presented = presented.refused(failure, progress.may_go_on()).await?;
                        continue;
                    }
                    if answer.status < 500 && answer.status != 429 {
                        presented.accepted().await;
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// A 401: what is presented next.
    async fn challenged<'a>(
        &'a self,
        ask: &Ask,
        method: Method,
        answer: &Response,
        presented: Authorization<'a>,
        progress: &mut Progress,
    ) -> Result<Authorization<'a>, Failure> {
        let challenge = challenge::parse(answer.header_all("www-authenticate")).into_iter().next();
        let error = challenge.as_ref().and_then(Challenge::error).map(str::to_owned);
        match progress.next(ask.intent, &presented, challenge) {
            Next::Answer { challenge, order, renew } => {
                self.session.forget(ask, &presented, renew).await;
                // Before the next login waits for its turn, this one's has to end.
                presented.unsettled(1);
                self.answer(ask, challenge, order, method, answer).await
            }
            Next::Repeat => Ok(presented),
            Next::Refused => {
                let failure = self.unauthorised(ask, error.as_deref(), method, answer, &presented).await;
                presented.refused(failure, progress.may_go_on()).await
            }
            Next::Stuck => {
                presented.unsettled(1);
                let detail =
                    format!("{} asks for a login and then for a token; nodes stay with the login", ask.endpoint.host);
                Err(Failure { weight: Weight::Status, ..Failure::nonsense(detail, None) })
            }
        }
    }

    /// Answers a challenge; without a login one for Basic ends the dialogue.
    async fn answer(
        &self,
        ask: &Ask,
        challenge: Challenge,
        order: Option<Order>,
        method: Method,
        answer: &Response,
    ) -> Result<Authorization<'_>, Failure> {
        let login = ask.credential.as_deref().and_then(Credential::login);
        match (&challenge, login) {
            (Challenge::Basic, Some(_)) if self.session.is_set_aside(ask).await => {
                Err(refused(ask, method, answer, None, Presented::Token))
            }
            (Challenge::Basic, None) => {
                let node = node::resolve_line(&ask.reference, &node::no_basic_credentials());
                let failure = refused(ask, method, answer, None, Presented::Nobody);
                Err(Failure { node: Some(node), weight: Weight::Unanswered, ..failure.without_basic_credential() })
            }
            _ => self.session.answer(self.transport.as_ref(), ask, challenge, order).await,
        }
    }

    /// A 401 after everything that could be presented was.
    async fn unauthorised(
        &self,
        ask: &Ask,
        error: Option<&str>,
        method: Method,
        answer: &Response,
        presented: &Authorization<'_>,
    ) -> Failure {
        // A token server gave this login a token, and the registry wants it bare (Harbor): that it is refused does not say
        // that it is wrong.
        let basic = presented.presented() == Presented::Basic;
        let taken = basic && self.session.granted(ask).await.is_some();
        let shown = if taken { Presented::Token } else { presented.presented() };
        let mut failure = refused(ask, method, answer, error, shown);
        // One more GET would be one more failed login.
        if taken && self.login_alone(ask).await != Some(true) {
            failure = failure.for_good();
        }
        failure
    }

    async fn request(&self, ask: &Ask, method: Method, presented: &Authorization<'_>) -> Result<Response, Failure> {
        let url = ask.endpoint.manifest_url(&ask.reference);
        let url = host_port::read_url(&url).map_err(|error| not_asked(ask, method, &url, &error))?;
        let request =
            Request { accept: Some(manifest::ACCEPT), ..ask.request(method, url, presented, manifest::MAX_SIZE) };
        let answer = self.transport.send(request).await;
        if answer.as_ref().is_ok_and(serves) {
            self.metrics.registry_serves(&ask.endpoint.host);
        }
        self.metrics.registry_request(&ask.endpoint.host, answer.as_ref().ok().map(|answer| answer.status));
        if let Some(quota) = answer.as_ref().ok().and_then(throttle::quota) {
            self.budgets.note(&ask.endpoint.host, ask.id, quota, (self.clock)());
        }
        answer.map_err(|error| {
            let mut failure = Failure::transport(error);
            failure.node = failure.node.map(|words| node::resolve_line(&ask.reference, &words));
            failure
        })
    }
}

/// What a host that no request can go to comes to: a node looks up what it does not read as an address.
fn not_asked(ask: &Ask, method: Method, url: &str, error: &UrlError) -> Failure {
    let host = &ask.endpoint.host;
    let UrlError::OtherHost(_) = error else {
        let detail = format!("{host} is no host that a URL can name");
        return Failure { weight: Weight::Unanswered, ..Failure::nonsense(detail, None) };
    };
    let detail = format!(
        "{host} does not resolve: nodes read only four decimal numbers as an IPv4 address, and look this up as a name"
    );
    // Of numbers alone Go asks no DNS server (golang/go `src/net/dnsclient.go`, `isDomainName`).
    let name = HostPort::parse(ask.endpoint.api_host()).map(|it| it.host.to_string()).unwrap_or_default();
    let numbers = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let words = || format!("failed to do request: {} \"{url}\": dial tcp: lookup {name}: no such host", method.in_go());
    let go = numbers.then(|| node::resolve_line(&ask.reference, &words()));
    Failure { node: go, ..Failure::transport(TransportError { cause: Some(Cause::Dns), detail, go: None }) }
}

/// Whether it is a manifest: what answers so is a registry.
fn serves(answer: &Response) -> bool {
    let kind = || manifest::nature(answer.header("content-type").unwrap_or_default());
    (200..300).contains(&answer.status) && !matches!(kind(), Nature::Unknown)
}

/// A refusal of another scheme, host or port than the one that was asked, which has seen no login. What a node shows
/// there depends on its hosts, so that it says nothing about the image.
fn refused_elsewhere(ask: &Ask, method: Method, answer: &Response, url: &Url) -> Failure {
    let leads = format!("{} redirects to {}", ask.endpoint.host, transport::host(url));
    if challenged(answer) {
        let detail = format!("{leads}, which wants a login; pullgate sends none after such a redirect");
        return Failure::own(Code::NotChecked, Cause::Guard, detail);
    }
    let detail = format!("{leads}, which answers {} with HTTP {}", method.as_str(), answer.status);
    Failure { weight: Weight::Status, ..Failure::nonsense(detail, None) }
}

/// Whether a challenge came that containerd answers.
fn challenged(answer: &Response) -> bool {
    !challenge::parse(answer.header_all("www-authenticate")).is_empty()
}

fn refused(ask: &Ask, method: Method, answer: &Response, error: Option<&str>, presented: Presented) -> Failure {
    let refusal = Refusal {
        authority: Authority::Manifest,
        status: answer.status,
        error,
        presented,
        by_digest: ask.reference.digest().is_some(),
        asked_for_body: method == Method::Get,
        challenged: challenged(answer),
        host: &ask.endpoint.host,
    };
    let url = ask.endpoint.manifest_url(&ask.reference);
    let node = match (answer.status, error) {
        (404, _) => Some(node::not_found(&ask.reference)),
        (401, Some(error)) => Some(node::resolve_line(&ask.reference, &node::server_message(error))),
        // The node names the URL that answered, which may hold a login.
        _ if answer.redirected_to.is_some() => None,
        (status, _) => Some(node::resolve_line(&ask.reference, &node::unexpected_status(method, &url, status))),
    };
    let login = ask.credential.as_deref().and_then(Credential::login).is_some();
    let not_sent = login && presented == Presented::Nobody;
    let login = if not_sent { LoginEvidence::NotSent } else { LoginEvidence::AsCoded };
    Failure { node, login, ..Failure::refused(refusal, answer, String::new()) }
}
