//! Who answered, with which status and which words → one [`Failure`] with a stable code.
//!
//! The status alone never names the cause: 401, 403 and 404 are each used by some registry for a missing tag, a
//! missing repository, no login, a wrong login and no permission. Where the registry hides the difference the code
//! says so.

mod code;
mod signs;

use std::sync::Arc;
use std::time::Duration;

use crate::finding::{Cause, Code, Nearest, Probed};
use crate::registry::said::said;
use crate::registry::throttle;
use crate::registry::transport::{Response, TransportError};

/// In the detail of a failure: the setting that would tell pullgate of the authority.
pub(crate) const CA_FILE: &str = "caFile";
/// The same for a port without TLS.
pub(crate) const PLAIN_HTTP: &str = "plainHTTP";
/// The same for a registry that wants a client certificate.
pub(crate) const CLIENT_CERT_FILE: &str = "clientCertFile";
/// In the detail of a failure: no handshake is possible, and nobody's certificate is to blame.
pub(crate) const NO_COMMON_TLS: &str = "no TLS version and cipher in common";
/// Behind the host in the detail of a failure: DNS has answered, and there is no such host.
pub(crate) const NO_SUCH_NAME: &str = "does not resolve: DNS has no such name";

/// Why one attempt did not resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stable word.
    pub code: Code,
    /// The second word.
    pub cause: Option<Cause>,
    /// What the registry or its token server said, cleaned, at most 200 bytes.
    pub registry: Option<String>,
    /// A sentence part for failures without an answer.
    pub detail: Option<String>,
    /// What the node's runtime would print, after the prefix that names the reference.
    pub node: Option<String>,
    /// The same for containerd 1.x, where that shows another of several hosts; shared, for it is rare and failures are moved.
    pub node_1x: Option<Arc<String>>,
    /// How long the registry asked to be left alone; of a login that was refused before, how long it is still held.
    pub retry_after: Option<Duration>,
    /// The reason is known: there was a body, or there is nothing further to ask.
    pub explained: bool,
    /// What was asked beside the image, once that was decided; nothing may have been worth asking.
    pub probed: Option<Probed>,
    /// What is near a tag that is not there.
    pub nearest: Option<Arc<Nearest>>,
    /// What it counts where a node has other hosts to ask.
    pub weight: Weight,
    /// Nothing in the answer shows that a registry gave it; a GET may bring a body that does.
    pub unsigned: bool,
    /// What the failure proves about the login.
    pub login: LoginEvidence,
}

/// What a failure proves about the login that was to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginEvidence {
    /// What the code says.
    #[default]
    AsCoded,
    /// Nothing yet: it was refused, and only once.
    RefusedOnce,
    /// Nothing: the registry did not ask for it, so that it was not sent.
    NotSent,
}

/// How a node with several hosts weighs a failure of one: it goes on to the next unless the failure is final, and shows
/// the heaviest, the first of equals (containerd/containerd `core/remotes/docker/resolver.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// No answer of the registry: no connection, no authorisation.
    Unanswered,
    /// 404.
    NotFound,
    /// Another status.
    Status,
    /// A manifest over the limit.
    TooLarge,
    /// The host resolved, or answered nonsense: no other one is asked.
    Final,
    /// The digest that a manifest was resolved to names other bytes, or a manifest of another kind than announced.
    Contradicted,
}

/// Which authority answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The token server named by the challenge.
    Token,
    /// `/v2/<name>/manifests/<reference>`.
    Manifest,
}

/// What a request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// Nothing, or an anonymous token.
    Nobody,
    /// A token that a login was given, or the login on its way to a token.
    Token,
    /// The login itself.
    Basic,
}

/// A refusal with everything that gives it a meaning.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Who answered.
    pub authority: Authority,
    /// The status.
    pub status: u16,
    /// `error` of the Bearer challenge.
    pub error: Option<&'a str>,
    /// What was presented.
    pub presented: Presented,
    /// A digest was asked for, not a tag.
    pub by_digest: bool,
    /// The body was asked for: its absence means something.
    pub asked_for_body: bool,
    /// A 401 came with a challenge that a node answers.
    pub challenged: bool,
    /// The registry as written in the reference.
    pub host: &'a str,
}

// === impl Failure ===

impl Failure {
    /// A failure of pullgate's own making, or one without an answer.
    pub fn own(code: Code, cause: Cause, detail: impl Into<String>) -> Self {
        Self { code, cause: Some(cause), weight: Weight::Unanswered, ..Self::nonsense(detail, None) }
    }

    /// No answer came.
    pub fn transport(error: TransportError) -> Self {
        let code = match error.cause {
            Some(
                Cause::Guard
                | Cause::Limit
                | Cause::Deadline
                | Cause::Overload
                | Cause::Forbidden
                | Cause::Plugin
                | Cause::Schema1
                | Cause::Length
                | Cause::MediaType,
            ) => Code::NotChecked,
            Some(Cause::Dns | Cause::Refused | Cause::Timeout | Cause::Tls | Cause::Proxy) => Code::RegistryUnreachable,
            None => Code::RegistryError,
        };
        let weight = Weight::Unanswered;
        Self { code, cause: error.cause, weight, ..Self::nonsense(error.detail, error.go) }
    }

    /// An answer came that makes no sense.
    pub fn nonsense(detail: impl Into<String>, node: Option<String>) -> Self {
        Self {
            code: Code::RegistryError,
            cause: None,
            registry: None,
            detail: Some(detail.into()),
            node,
            node_1x: None,
            retry_after: None,
            explained: true,
            probed: None,
            nearest: None,
            weight: Weight::Final,
            unsigned: false,
            login: LoginEvidence::AsCoded,
        }
    }

    /// The registry or its token server refused.
    pub fn refused(refusal: Refusal<'_>, answer: &Response, node: String) -> Self {
        let said = said(&answer.body, answer.header("content-type"));
        let code = code::of(refusal, &said);
        let failure = Self {
            code,
            cause: None,
            registry: said.words(),
            detail: (refusal.status >= 500 || code == Code::RegistryError).then(|| {
                // A 5xx of a registry is often a balancer's page; below that it is somebody else who answers.
                let page = match refusal.status {
                    407 => ", of a proxy that wants a login",
                    ..500 if said.html => ", a web page: a proxy, or no registry",
                    _ => "",
                };
                format!("HTTP {}{page}", refusal.status)
            }),
            node: Some(node),
            node_1x: None,
            retry_after: (code == Code::RateLimited).then(|| throttle::rest(answer, said.message.as_deref())).flatten(),
            explained: refusal.asked_for_body || !code.certain(),
            probed: None,
            nearest: None,
            weight: weight(refusal),
            unsigned: code.certain() && !signs::of(refusal, answer, &said),
            login: LoginEvidence::AsCoded,
        };
        // A refused login is not asked about again: one more GET would be one more failed login.
        if refusal.asked_for_body || code == Code::CredentialsRejected {
            failure.settled_with(&format!("HTTP {}, and ", refusal.status))
        } else {
            failure
        }
    }

    /// Returns the failure of a Basic challenge that the pod has no credential for. A node sends nothing more then, so the
    /// missing credential is the cause even at registries that hide which repositories exist.
    #[must_use]
    pub fn without_basic_credential(self) -> Self {
        let hidden = self.code == Code::NotFoundOrNoAccess;
        Self { code: if hidden { Code::CredentialsMissing } else { self.code }, ..self }
    }

    /// Whether the same question would be answered in the same way: a certain code, and no login that was refused only
    /// once.
    pub fn certain(&self) -> bool {
        self.code.certain() && !self.refused_once()
    }

    /// Whether the login was refused, and only once: it has to be shown again.
    pub fn refused_once(&self) -> bool {
        self.login == LoginEvidence::RefusedOnce
    }

    /// The same without a further question: a refusal that nothing shows to be a registry's is no longer certain.
    #[must_use]
    pub fn for_good(self) -> Self {
        self.settled_with("")
    }

    fn settled_with(self, status: &str) -> Self {
        if !(self.unsigned && self.code.certain()) {
            return Self { explained: true, ..self };
        }
        // What proxies, meshes and balancers say while the registry is away.
        let detail = format!("{status}nothing in the answer is a registry's: a proxy or a balancer, perhaps");
        Self { code: Code::RegistryError, detail: Some(detail), explained: true, ..self }
    }

    /// Whether it looks certain, and a GET has to show that a registry said it.
    pub fn in_doubt(&self) -> bool {
        self.unsigned && self.code.certain() && !self.explained
    }

    /// Whether the registry does not serve a manifest that was asked for by its digest: it refuses it, or sends another.
    pub fn refuses_manifest(&self) -> bool {
        matches!(self.weight, Weight::NotFound | Weight::Contradicted)
            || (self.weight == Weight::Status && self.code.certain())
    }

    /// Whether the registry answered with an error of its own, a 5xx.
    pub fn server_error(&self) -> bool {
        self.code == Code::RegistryError && self.detail.as_deref().is_some_and(|detail| detail.starts_with("HTTP 5"))
    }
}

fn weight(refusal: Refusal<'_>) -> Weight {
    match (refusal.authority, refusal.status) {
        (Authority::Token, _) => Weight::Unanswered,
        // containerd's authorizer ends here, before the answer counts as one.
        (Authority::Manifest, 401) if refusal.error.is_some() => Weight::Unanswered,
        (Authority::Manifest, 404) => Weight::NotFound,
        (Authority::Manifest, 400..) => Weight::Status,
        (Authority::Manifest, _) => Weight::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_challenge_without_a_credential_is_a_missing_credential() {
        let codes = [Code::NotFoundOrNoAccess, Code::CredentialsMissing, Code::RateLimited];
        let seen = codes.map(|code| Failure { code, ..Failure::nonsense("", None) }.without_basic_credential().code);
        assert_eq!(seen, [Code::CredentialsMissing, Code::CredentialsMissing, Code::RateLimited]);
    }
}
