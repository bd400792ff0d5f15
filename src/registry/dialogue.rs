//! One dialogue: a request, the challenges that come back, and the requests that answer them, until the registry has
//! nothing more to ask for.

use url::Url;

use crate::credentials::Credential;
use crate::finding::{Cause, Code};
use crate::registry::challenge::{self, Challenge};
use crate::registry::failure::{Authority, Failure, Presented, Refusal, Weight};
use crate::registry::host_port::{self, HostPort, UrlError};
use crate::registry::manifest::Nature;
use crate::registry::session::Authorization;
use crate::registry::transport::{self, Method, Request, Response, TransportError};
use crate::registry::{Ask, MAX_REDIRECTS, Registry, manifest, node, throttle};

/// Rounds of one dialogue: unauthorised, authorised, renewed token, GET in place of HEAD, and one to spare.
const MAX_ROUNDS: usize = 5;

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
        let wrong = self.login_alone(ask).await == Some(false);
        let mut presented = self.session.known(self.transport.as_ref(), ask, wrong).await?;
        let mut renewed = false;
        for _ in 0..MAX_ROUNDS {
            let answer = self.request(ask, method, &presented).await?;
            if let (Some(url), 401 | 403, true) = (&answer.redirected_to, answer.status, answer.left_origin) {
                return Err(refused_elsewhere(ask, method, &answer, url));
            }
            let challenge = || challenge::parse(answer.header_all("www-authenticate")).into_iter().next();
            match answer.status {
                200..=299 => {
                    presented.accepted().await;
                    return Ok((answer, method));
                }
                401 => {
                    let challenge = challenge();
                    if presented.may_be_renewed(challenge.as_ref(), renewed) {
                        renewed = presented.is_some();
                        self.session.forget(ask, &presented).await;
                        // Before the next login waits for its turn, this one's has to end.
                        presented.set_aside(1);
                        presented = self.answer(ask, challenge, method, &answer).await?;
                        continue;
                    }
                    return Err(self.unauthorised(ask, challenge, method, &answer, presented).await);
                }
                405 if method == Method::Head => {
                    method = Method::Get;
                }
                _ => {
                    let failure = refused(ask, method, &answer, None, presented.presented());
                    if failure.code == Code::CredentialsRejected {
                        presented.refused(&failure).await;
                    } else if answer.status < 500 && answer.status != 429 {
                        presented.accepted().await;
                    }
                    return Err(failure);
                }
            }
        }
        let detail = format!("{} keeps asking for another login", ask.endpoint.host);
        Err(Failure { weight: Weight::Status, ..Failure::nonsense(detail, None) })
    }

    /// Answers a first challenge; anonymous where no challenge can be answered by a token.
    async fn answer(
        &self,
        ask: &Ask,
        challenge: Option<Challenge>,
        method: Method,
        answer: &Response,
    ) -> Result<Authorization<'_>, Failure> {
        let login = ask.credential.as_deref().and_then(Credential::login);
        match (&challenge, login) {
            // The token server has refused it by itself: the registry need not see it fail too.
            (Some(Challenge::Basic), Some(_)) if self.login_alone(ask).await == Some(false) => {
                Err(refused(ask, method, answer, None, Presented::Token))
            }
            (Some(Challenge::Basic), None) => Err(Failure {
                code: Code::CredentialsMissing,
                cause: None,
                registry: None,
                detail: None,
                node: Some(node::resolve_line(&ask.reference, &node::no_basic_credentials())),
                node_1x: None,
                retry_after: None,
                explained: true,
                probed: None,
                nearest: None,
                weight: Weight::Unanswered,
                unsigned: false,
            }),
            (Some(Challenge::Bearer { .. } | Challenge::Basic), _) => {
                self.session.answer(self.transport.as_ref(), ask, challenge).await
            }
            // containerd does not look for the challenge at /v2/, where some registries have it: neither does the node.
            (Some(Challenge::Digest) | None, _) => {
                Err(refused(ask, method, answer, None, login.map_or(Presented::Nobody, |_| Presented::Token)))
            }
        }
    }

    /// A 401 after everything that could be presented was.
    async fn unauthorised(
        &self,
        ask: &Ask,
        challenge: Option<Challenge>,
        method: Method,
        answer: &Response,
        presented: Authorization<'_>,
    ) -> Failure {
        let error = match &challenge {
            Some(Challenge::Bearer { error, .. }) => error.as_deref(),
            Some(Challenge::Basic | Challenge::Digest) | None => None,
        };
        // A token server gave this login a token, and the registry wants it bare (Harbor): that it is refused does not say
        // that it is wrong.
        let basic = presented.presented() == Presented::Basic;
        let taken = basic && self.session.granted(ask).await.is_some();
        let shown = if taken { Presented::Token } else { presented.presented() };
        let mut failure = refused(ask, method, answer, error, shown);
        if taken {
            let good = self.login_alone(ask).await == Some(true);
            // One more GET would be one more failed login.
            if !good {
                failure = failure.for_good();
            }
            presented.set_aside(usize::from(!good));
        } else if failure.code == Code::CredentialsRejected {
            // One more GET would be one more failed login.
            failure.explained = true;
            presented.refused(&failure).await;
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
    let answerable = |challenge: &Challenge| matches!(challenge, Challenge::Bearer { .. } | Challenge::Basic);
    challenge::parse(answer.header_all("www-authenticate")).iter().any(answerable)
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
    Failure { node, ..Failure::refused(refusal, answer, String::new()) }
}
