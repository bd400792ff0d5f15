//! Who answered, with which status and which words → one [`Failure`] with a stable code.
//!
//! The status alone never names the cause: 401, 403 and 404 are each used by some registry for a missing tag, a
//! missing repository, no login, a wrong login and no permission. Where the registry hides the difference the code
//! says so.

use std::sync::Arc;
use std::time::Duration;

use crate::finding::{Cause, Code, Nearest, Probed};
use crate::registry::said::{Said, said};
use crate::registry::throttle;
use crate::registry::transport::{Response, TransportError};

/// Registries whose answers to strangers are the same for private and for missing repositories.
const HIDES_EXISTENCE: [&str; 3] = ["docker.io", "quay.io", "ghcr.io"];

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
    /// The registry as written in the reference.
    pub host: &'a str,
}

// === impl Failure ===

impl Failure {
    /// A failure of pullgate's own making, or one without an answer.
    pub fn own(code: Code, cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            code,
            cause: Some(cause),
            registry: None,
            detail: Some(detail.into()),
            node: None,
            node_1x: None,
            retry_after: None,
            explained: true,
            probed: None,
            nearest: None,
            weight: Weight::Unanswered,
        }
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
                | Cause::Schema1,
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
        }
    }

    /// The registry or its token server refused.
    pub fn refused(refusal: Refusal<'_>, answer: &Response, node: String) -> Self {
        let said = said(&answer.body, answer.header("content-type"));
        let code = code(refusal, &said);
        Self {
            code,
            cause: None,
            registry: said.words(),
            detail: (refusal.status >= 500 || code == Code::RegistryError).then(|| format!("HTTP {}", refusal.status)),
            node: Some(node),
            node_1x: None,
            retry_after: (code == Code::RateLimited).then(|| throttle::rest(answer, said.message.as_deref())).flatten(),
            explained: refusal.asked_for_body || !code.certain(),
            probed: None,
            nearest: None,
            weight: weight(refusal),
        }
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

/// The code of a refusal.
fn code(refusal: Refusal<'_>, said: &Said) -> Code {
    if throttled(refusal.status, said) {
        return Code::RateLimited;
    }
    match (refusal.authority, refusal.status) {
        (_, 500..) => Code::RegistryError,
        (Authority::Token, status) => token(refusal, status),
        (Authority::Manifest, 401) => unauthorised(refusal),
        (Authority::Manifest, 403) => forbidden(refusal, said),
        (Authority::Manifest, 404) => missing(refusal, said),
        (Authority::Manifest, 412 | 451) => Code::BlockedByRegistry,
        (Authority::Manifest, _) => Code::RegistryError,
    }
}

fn throttled(status: u16, said: &Said) -> bool {
    status == 429
        || said.is(&["TOOMANYREQUESTS", "TOO_MANY_REQUEST"])
        || (status != 404 && said.mentions(&["toomanyrequests", "rate limit"]))
}

fn token(refusal: Refusal<'_>, status: u16) -> Code {
    match status {
        401 if refusal.presented != Presented::Nobody => Code::CredentialsRejected,
        401 if hides_existence(refusal.host) => Code::NotFoundOrNoAccess,
        401 => Code::CredentialsMissing,
        // GHCR: a wrong login, no permission and no such package are one answer; GitLab: the last two.
        403 => Code::NotFoundOrNoAccess,
        _ => Code::RegistryError,
    }
}

fn unauthorised(refusal: Refusal<'_>) -> Code {
    match refusal.error {
        Some("invalid_token") => Code::RegistryError,
        _ if refusal.presented == Presented::Basic => Code::CredentialsRejected,
        // A valid token that does not reach: the registry authorises before it looks, so missing is private.
        _ if refusal.presented != Presented::Nobody || hides_existence(refusal.host) => Code::NotFoundOrNoAccess,
        _ => Code::CredentialsMissing,
    }
}

fn forbidden(refusal: Refusal<'_>, said: &Said) -> Code {
    if said.html {
        return Code::RegistryError;
    }
    let policy = said.mentions(&["policy"]) && said.mentions(&["violat", "prevent", "block"]);
    if said.is(&["PROJECTPOLICYVIOLATION"]) || policy {
        return Code::BlockedByRegistry;
    }
    if refusal.presented != Presented::Nobody && said.mentions(&["token has expired", "token is expired"]) {
        return Code::CredentialsRejected;
    }
    let hidden = said.mentions(&["may not exist", "does not exist or", "not found or"]);
    if hidden || refusal.presented == Presented::Nobody || hides_existence(refusal.host) {
        return Code::NotFoundOrNoAccess;
    }
    Code::AccessDenied
}

fn missing(refusal: Refusal<'_>, said: &Said) -> Code {
    let manifest = if refusal.by_digest { Code::DigestNotFound } else { Code::TagNotFound };
    if said.mentions(&["accept header", "does not support"]) {
        // A registry that cannot serve the media types asked for says "not found" about an image that is there.
        return Code::RegistryError;
    }
    if said.is(&["NAME_UNKNOWN"]) {
        return Code::RepositoryNotFound;
    }
    if said.is(&["NOT_FOUND", "UNKNOWN"]) {
        let message = said.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        return if message.starts_with("repository") || message.starts_with("project") {
            Code::RepositoryNotFound
        } else {
            manifest
        };
    }
    if said.code.is_some() || !refusal.asked_for_body {
        return manifest;
    }
    // Asked for words and given none: nothing says whether repository or manifest is missing.
    Code::NotFoundOrNoAccess
}

fn hides_existence(host: &str) -> bool {
    HIDES_EXISTENCE.iter().any(|known| host.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Refusal<'_> = Refusal {
        authority: Authority::Manifest,
        status: 404,
        error: None,
        presented: Presented::Nobody,
        by_digest: false,
        asked_for_body: true,
        host: "registry.corp.io",
    };

    fn answered(refusal: Refusal<'_>, body: &str) -> Failure {
        let answer = Response { status: refusal.status, body: body.as_bytes().to_vec(), ..Response::default() };
        Failure::refused(refusal, &answer, String::new())
    }

    #[test]
    fn a_refusal_gets_the_code_that_its_authority_status_and_words_deserve() {
        let manifest_unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        let name_unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}"#;
        let denied = r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#;
        let login = Refusal { presented: Presented::Token, ..BASE };
        let token = Refusal { authority: Authority::Token, ..BASE };
        let insufficient = Some("insufficient_scope");
        let table: &[(&str, Refusal<'_>, &str, Code)] = &[
            ("missing tag", BASE, manifest_unknown, Code::TagNotFound),
            ("missing digest", Refusal { by_digest: true, ..BASE }, manifest_unknown, Code::DigestNotFound),
            ("missing repository", BASE, name_unknown, Code::RepositoryNotFound),
            ("quay expired tag", BASE, r#"{"errors":[{"code":"TAG_EXPIRED"}]}"#, Code::TagNotFound),
            (
                "harbor repository",
                BASE,
                r#"{"errors":[{"code":"NOT_FOUND","message":"repository a/b not found"}]}"#,
                Code::RepositoryNotFound,
            ),
            (
                "harbor tag",
                BASE,
                r#"{"errors":[{"code":"NOT_FOUND","message":"artifact a/b:1 not found"}]}"#,
                Code::TagNotFound,
            ),
            (
                "false not found",
                BASE,
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"OCI index found, but Accept header does not support OCI indexes"}]}"#,
                Code::RegistryError,
            ),
            ("404 web page", BASE, "<html>nope</html>", Code::NotFoundOrNoAccess),
            ("404 to HEAD", Refusal { asked_for_body: false, ..BASE }, "", Code::TagNotFound),
            ("anonymous 401", Refusal { status: 401, ..BASE }, "", Code::CredentialsMissing),
            (
                "hub 401",
                Refusal { status: 401, host: "docker.io", error: insufficient, ..BASE },
                "",
                Code::NotFoundOrNoAccess,
            ),
            ("login 401", Refusal { status: 401, error: insufficient, ..login }, "", Code::NotFoundOrNoAccess),
            ("basic 401", Refusal { status: 401, presented: Presented::Basic, ..login }, "", Code::CredentialsRejected),
            ("invalid token", Refusal { status: 401, error: Some("invalid_token"), ..login }, "", Code::RegistryError),
            ("login 403", Refusal { status: 403, ..login }, denied, Code::AccessDenied),
            ("anonymous 403", Refusal { status: 403, ..BASE }, denied, Code::NotFoundOrNoAccess),
            (
                "artifact registry 403",
                Refusal { status: 403, ..login },
                r#"{"errors":[{"code":"DENIED","message":"Permission \"x\" denied on resource \"y\" (or it may not exist)"}]}"#,
                Code::NotFoundOrNoAccess,
            ),
            (
                "ecr expired",
                Refusal { status: 403, ..login },
                r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#,
                Code::CredentialsRejected,
            ),
            ("proxy page", Refusal { status: 403, ..login }, "<html>blocked</html>", Code::RegistryError),
            ("harbor policy", Refusal { status: 412, ..login }, "", Code::BlockedByRegistry),
            ("token 401", Refusal { status: 401, presented: Presented::Token, ..token }, "", Code::CredentialsRejected),
            ("anonymous token 401", Refusal { status: 401, ..token }, "", Code::CredentialsMissing),
            (
                "ghcr anonymous token 401",
                Refusal { status: 401, host: "ghcr.io", ..token },
                "",
                Code::NotFoundOrNoAccess,
            ),
            (
                "token 403",
                Refusal { status: 403, presented: Presented::Token, ..token },
                denied,
                Code::NotFoundOrNoAccess,
            ),
            ("token 500", Refusal { status: 500, presented: Presented::Token, ..token }, "", Code::RegistryError),
            ("token 404", Refusal { status: 404, presented: Presented::Token, ..token }, "", Code::RegistryError),
            ("429", Refusal { status: 429, ..BASE }, "", Code::RateLimited),
            (
                "harbor 429",
                Refusal { status: 400, ..BASE },
                r#"{"errors":[{"code":"TOO_MANY_REQUEST"}]}"#,
                Code::RateLimited,
            ),
            (
                "pull-through 500",
                Refusal { status: 500, ..BASE },
                r#"{"errors":[{"code":"UNKNOWN","message":"toomanyrequests: You have reached your limit"}]}"#,
                Code::RateLimited,
            ),
            ("503", Refusal { status: 503, ..BASE }, "", Code::RegistryError),
            ("400", Refusal { status: 400, ..BASE }, "", Code::RegistryError),
            ("unfollowed redirect", Refusal { status: 302, ..BASE }, "", Code::RegistryError),
        ];
        for (name, refusal, body, expected) in table {
            assert_eq!(answered(*refusal, body).code, *expected, "{name}");
        }
    }
}
