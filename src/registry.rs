//! The registry dialogue: one reference and one credential in, a [`Manifest`] or a [`Failure`] out.
//!
//! Follows containerd's resolver (containerd/containerd `core/remotes/docker/resolver.go`, `authorizer.go`): HEAD first,
//! challenges as they come, GET where HEAD is not served or lacks the digest. It differs where containerd tries again
//! (429 and 5xx are asked once, by design) and where a login would travel further than its host. No retries, no
//! lifetimes of facts here: that is [`crate::resolver`].

mod auth;
pub mod budget;
pub mod challenge;
mod content;
mod endpoint;
pub mod failure;
pub mod guard;
pub mod hosts;
pub mod http;
mod logins;
pub mod manifest;
pub mod node;
pub mod probes;
pub mod said;
mod session;
pub mod throttle;
pub mod transport;

use std::sync::Arc;

use url::Url;

use crate::credentials::{Credential, CredentialId};
use crate::finding::{Cause, Code};
use crate::metrics::Metrics;
use crate::reference::{Algorithm, Digest, Reference};
use crate::registry::budget::{Budget, Budgets, Use};
use crate::registry::challenge::Challenge;
pub use crate::registry::endpoint::Endpoint;
use crate::registry::failure::{Authority, Failure, Presented, Refusal, Weight};
use crate::registry::hosts::{Way, Ways};
use crate::registry::manifest::{Manifest, Nature};
use crate::registry::probes::Probes;
use crate::registry::session::{Authorization, Session};
use crate::registry::transport::{Method, Request, Response, Transport};
use crate::time::Clock;

/// How many redirects a manifest request follows.
const MAX_REDIRECTS: u8 = 3;

/// Rounds of one dialogue: unauthorised, authorised, renewed token, GET in place of HEAD, and one to spare.
const MAX_ROUNDS: usize = 5;

/// One question, owned so that its answer may outlive whoever asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where the registry is.
    pub endpoint: Arc<Endpoint>,
    /// What is asked for.
    pub reference: Arc<Reference>,
    /// The candidate, `None` for anonymous.
    pub credential: Option<Arc<Credential>>,
    /// The candidate's identity; anonymous for a credential that no runtime would send.
    pub id: CredentialId,
}

/// The client. Cheap to share; holds tokens and challenges, never manifests.
#[derive(Debug)]
pub struct Registry {
    transport: Arc<dyn Transport>,
    session: Session,
    budgets: Budgets,
    clock: Clock,
    probes: Probes,
    metrics: Metrics,
    ways: Option<Ways>,
}

// === impl Registry ===

impl Registry {
    /// A client over `transport`.
    pub fn new(transport: Arc<dyn Transport>, clock: Clock, metrics: Metrics) -> Self {
        let (budgets, probes) = (Budgets::new(metrics.clone()), Probes::new(clock.clone()));
        Self { transport, session: Session::new(clock.clone()), budgets, probes, clock, metrics, ways: None }
    }

    /// The same, for nodes that ask other hosts than the one in a reference.
    #[must_use]
    pub fn with_ways(self, ways: Option<Ways>) -> Self {
        Self { ways, ..self }
    }

    /// Whether nodes are declared to have hosts of their own for a registry.
    pub fn declares(&self, host: &str) -> bool {
        self.ways.as_ref().is_some_and(|ways| ways.declares(host))
    }

    /// The hosts that nodes ask, in order; `None` where only the endpoint of the question is.
    pub fn ways(&self, ask: &Ask) -> Option<Vec<Way>> {
        self.ways.as_ref()?.of(&ask.endpoint, &ask.reference)
    }

    /// What the registry of a question said last about how much is left for its credential.
    pub fn budget(&self, ask: &Ask) -> Option<Budget> {
        self.budgets.of(&ask.endpoint.host, ask.id, (self.clock)())
    }

    /// The words of that where nothing is left. Costs next to nothing while something is left everywhere.
    pub fn nothing_left(&self, host: &str, id: CredentialId) -> Option<String> {
        let now = (self.clock)();
        self.budgets.spent(host, id, now).map(|budget| budget.words(host, now))
    }

    /// Whether enough is left for a request that no admission needs.
    ///
    /// # Errors
    /// [`Code::NotChecked`], with what the registry says is left.
    pub fn affords(&self, ask: &Ask, purpose: Use) -> Result<(), Failure> {
        let host = &ask.endpoint.host;
        match self.budget(ask).filter(|budget| !budget.allows(purpose)) {
            None => Ok(()),
            Some(budget) => {
                let left = budget.words(host, (self.clock)());
                Err(Failure::own(Code::NotChecked, Cause::Limit, format!("{left}; that is kept for admissions")))
            }
        }
    }

    /// Resolves as a node would at one endpoint, with one candidate.
    ///
    /// # Errors
    /// A [`Failure`]; `explained` is false where one GET could still bring the registry's own words.
    pub async fn resolve(&self, ask: &Ask) -> Result<Manifest, Failure> {
        let login = ask.credential.as_deref().and_then(Credential::login).is_some();
        let (answer, method) = self.converse(ask, Method::Head).await.map_err(|failure| failure.of(login))?;
        self.manifest(ask, answer, method).await
    }

    /// Asks a refusal's reason with one GET.
    ///
    /// # Errors
    /// Always: the refusal with its reason; what came instead when the GET did not end the same way.
    pub async fn explain(&self, ask: &Ask, refused: Failure) -> Failure {
        if self.affords(ask, Use::Explanation).is_err() {
            return Failure { explained: true, ..refused };
        }
        match self.converse(ask, Method::Get).await {
            Ok(_) => Failure::nonsense("the registry refuses HEAD and serves GET for the same manifest", refused.node),
            // The node asks by HEAD: its line stays.
            Err(reason) => Failure { node: refused.node, explained: true, ..reason },
        }
    }

    /// Asks until the registry has nothing more to challenge: the 2xx answer and the method that got it.
    async fn converse(&self, ask: &Ask, mut method: Method) -> Result<(Response, Method), Failure> {
        let wrong = self.login_alone(ask).await == Some(false);
        let mut presented = self.session.known(self.transport.as_ref(), ask, wrong).await?;
        let mut renewed = false;
        for _ in 0..MAX_ROUNDS {
            let answer = self.request(ask, method, &presented).await?;
            if let (Some(host), 401 | 403) = (&answer.redirected_to, answer.status) {
                let detail = format!("redirects to {host}, which wants a login; pullgate sends none after a redirect");
                return Err(Failure::own(Code::NotChecked, Cause::Guard, format!("{} {detail}", ask.endpoint.host)));
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
                weight: Weight::Unanswered,
            }),
            (Some(Challenge::Bearer { .. } | Challenge::Basic), _) => {
                self.session.answer(self.transport.as_ref(), ask, challenge).await
            }
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
            failure.explained |= !good;
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
        let url = Url::parse(&url).map_err(|_| {
            let detail = format!("{} is no host that a URL can name", ask.endpoint.host);
            Failure { weight: Weight::Unanswered, ..Failure::nonsense(detail, None) }
        })?;
        let request = Request {
            profile: &ask.endpoint.profile,
            method,
            url,
            accept: Some(manifest::ACCEPT),
            authorization: presented.header(),
            form: None,
            max_body: manifest::MAX_SIZE,
            max_redirects: MAX_REDIRECTS,
        };
        let answer = self.transport.send(request).await;
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

    /// Reads digest and kind off a 2xx answer, with one GET where HEAD does not say enough.
    async fn manifest(&self, ask: &Ask, mut answer: Response, mut method: Method) -> Result<Manifest, Failure> {
        let length = |answer: &Response| answer.header("content-length").and_then(|value| value.parse::<u64>().ok());
        if let Some(bytes) = length(&answer).filter(|bytes| *bytes > manifest::MAX_SIZE as u64) {
            let detail = format!("its manifest has {bytes} bytes; containerd takes at most {}", manifest::MAX_SIZE);
            let large = unsupported(detail, node::too_large(&ask.reference, bytes));
            return Err(Failure { weight: Weight::TooLarge, ..large });
        }
        let mut announced = announced_digest(ask, &answer)?;
        if method == Method::Head && (announced.is_none() || length(&answer).is_none()) {
            (answer, method) = self.converse(ask, Method::Get).await?;
            announced = announced_digest(ask, &answer)?;
        }
        let wanted = ask.reference.digest();
        let algorithm = announced.as_ref().or(wanted).map_or(Algorithm::Sha256, Digest::algorithm);
        let hashed = (method == Method::Get).then(|| manifest::digest_of(&answer.body, algorithm)).flatten();
        if let (Some(announced), Some(hashed)) = (&announced, &hashed)
            && announced != hashed
        {
            let detail = format!("{} announces {announced} and sends other bytes", ask.endpoint.host);
            return Err(Failure::nonsense(detail, None));
        }
        let Some(digest) = announced.or(hashed) else {
            return Err(Failure::nonsense(format!("{} names no digest", ask.endpoint.host), None));
        };
        if let Some(wanted) = wanted.filter(|wanted| wanted.algorithm() == digest.algorithm() && **wanted != digest) {
            let detail = format!("{} was asked for {wanted} and announces {digest}", ask.endpoint.host);
            return Err(Failure::nonsense(detail, None));
        }
        let content_type = answer.header("content-type").unwrap_or_default();
        let mut nature = manifest::nature(content_type);
        if let (Nature::Runnable(kind), Method::Get) = (&nature, method) {
            nature = manifest::nature_of_body(*kind, &answer.body);
        }
        match nature {
            Nature::Runnable(kind) => Ok(Manifest { digest, kind }),
            Nature::Schema1 => {
                let failure = unsupported("its manifest is Docker schema 1", node::schema_1(&ask.reference));
                Err(Failure { cause: Some(Cause::Schema1), ..failure })
            }
            Nature::Other(what) => Err(Failure { node: None, ..unsupported(format!("it is {what}"), String::new()) }),
            Nature::Unknown => Err(Failure::nonsense(
                format!("{} answers with \"{}\", not with a manifest", ask.endpoint.host, said::clean(content_type)),
                None,
            )),
        }
    }
}

fn announced_digest(ask: &Ask, answer: &Response) -> Result<Option<Digest>, Failure> {
    let Some(header) = answer.header("docker-content-digest").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    header.parse().map(Some).map_err(|error| {
        let words = format!("\"{}\" in header not a valid digest: {error}", said::clean(header));
        let detail = format!("{} announces something that is no digest", ask.endpoint.host);
        Failure::nonsense(detail, Some(node::resolve_line(&ask.reference, &words)))
    })
}

fn unsupported(detail: impl Into<String>, node: String) -> Failure {
    Failure {
        code: Code::UnsupportedManifest,
        cause: None,
        registry: None,
        detail: Some(detail.into()),
        node: Some(node),
        node_1x: None,
        retry_after: None,
        explained: true,
        probed: None,
        weight: Weight::Final,
    }
}

fn refused(ask: &Ask, method: Method, answer: &Response, error: Option<&str>, presented: Presented) -> Failure {
    let refusal = Refusal {
        authority: Authority::Manifest,
        status: answer.status,
        error,
        presented,
        by_digest: ask.reference.digest().is_some(),
        asked_for_body: method == Method::Get,
        host: &ask.endpoint.host,
    };
    let url = ask.endpoint.manifest_url(&ask.reference);
    let node = match (answer.status, error) {
        (404, _) => node::not_found(&ask.reference),
        (401, Some(error)) => node::resolve_line(&ask.reference, &node::server_message(error)),
        (status, _) => node::resolve_line(&ask.reference, &node::unexpected_status(method, &url, status)),
    };
    Failure::refused(refusal, answer, node)
}
