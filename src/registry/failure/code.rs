//! A refusal and its words → the stable code. The words come before the status where they are plain, the status before
//! a guess; where neither tells two causes apart the code says so.
//!
//! Rests on what registries are documented to answer, or were seen to: `docs/DIALECTS.md` lists the exchanges.

use super::{Authority, Presented, Refusal};
use crate::finding::Code;
use crate::registry::said::Said;

/// Registries whose answers to strangers are the same for private and for missing repositories.
const HIDES_EXISTENCE: [&str; 6] =
    ["docker.io", "quay.io", "ghcr.io", "registry.gitlab.com", "cgr.dev", "container-registry.oracle.com"];

/// The same, by the end of the name.
const HIDES_EXISTENCE_BELOW: [&str; 2] = [".ocir.io", ".icr.io"];

/// Registries that are public altogether: what they refuse has nothing to do with whoever asks.
const PUBLIC_ALTOGETHER: [&str; 2] = ["mcr.microsoft.com", "registry.k8s.io"];

/// The code of a refusal.
pub(super) fn of(refusal: Refusal<'_>, said: &Said) -> Code {
    if throttled(refusal.status, said) {
        return Code::RateLimited;
    }
    match (refusal.authority, refusal.status) {
        (_, 500..) => Code::RegistryError,
        (_, 401 | 403) if among(refusal.host, &PUBLIC_ALTOGETHER) => Code::RegistryError,
        // There can be no repository of that name.
        (_, 400 | 404) if said.is(&["NAME_INVALID"]) => Code::RepositoryNotFound,
        (Authority::Token, status) => token(refusal, status, said),
        (Authority::Manifest, 401) => unauthorised(refusal, said),
        (Authority::Manifest, 403) => forbidden(refusal, said),
        (Authority::Manifest, 404) => missing(refusal, said),
        (Authority::Manifest, 412 | 451) => Code::BlockedByRegistry,
        (Authority::Manifest, _) => Code::RegistryError,
    }
}

/// 429 in its disguises; a quota that is used up is one, for it comes back.
fn throttled(status: u16, said: &Said) -> bool {
    let quota = || status == 403 && said.mentions(&["quota"]) && said.mentions(&["exceed"]);
    status == 429
        || said.is(&["TOOMANYREQUESTS", "TOO_MANY_REQUEST"])
        || (status != 404 && said.mentions(&["toomanyrequests", "rate limit", "rate exceeded"]))
        || quota()
}

fn token(refusal: Refusal<'_>, status: u16, said: &Said) -> Code {
    match status {
        401 if refusal.presented != Presented::Nobody => Code::CredentialsRejected,
        401 if hides_existence(refusal.host) => Code::NotFoundOrNoAccess,
        401 => Code::CredentialsMissing,
        403 if names_the_login(refusal, said) => Code::CredentialsRejected,
        // GitLab bans an address without a word; a page is of something in between.
        403 if said.words().is_none() || names_the_address(said) => Code::RegistryError,
        // GHCR: a wrong login, no permission and no such package are one answer; GitLab: the last two.
        403 => Code::NotFoundOrNoAccess,
        // Quay: a disabled namespace; a repository of something else than images.
        405 if said.is(&["DENIED"]) => Code::BlockedByRegistry,
        405 if said.is(&["UNSUPPORTED"]) => Code::UnsupportedManifest,
        _ => Code::RegistryError,
    }
}

fn unauthorised(refusal: Refusal<'_>, said: &Said) -> Code {
    // Harbor: only the words tell a project that is not there from one that is private.
    if said.mentions(&["project "]) && said.mentions(&["not found"]) {
        return Code::RepositoryNotFound;
    }
    match refusal.error {
        Some("invalid_token") => Code::RegistryError,
        _ if refusal.presented == Presented::Basic => Code::CredentialsRejected,
        // Nobody could present a login, so that none is missing.
        _ if !refusal.challenged => Code::NotFoundOrNoAccess,
        // A valid token that does not reach: the registry authorises before it looks, so missing is private.
        _ if refusal.presented != Presented::Nobody || hides_existence(refusal.host) => Code::NotFoundOrNoAccess,
        _ => Code::CredentialsMissing,
    }
}

fn forbidden(refusal: Refusal<'_>, said: &Said) -> Code {
    // Another address may be let in, the node's for one.
    if said.html || names_the_address(said) {
        return Code::RegistryError;
    }
    let policy = said.mentions(&["policy"]) && said.mentions(&["violat", "prevent", "block"]);
    if said.is(&["PROJECTPOLICYVIOLATION"]) || policy {
        return Code::BlockedByRegistry;
    }
    if names_the_login(refusal, said) {
        return Code::CredentialsRejected;
    }
    // Artifactory says 403, and no more than that, where one member of a virtual repository may not be read.
    let wordless = said.code.is_none();
    let hidden = said.mentions(&[
        "may not exist",
        "does not exist or",
        "not found or",
        "insufficient scope",
        // Artifactory, for a tag that is not there, too.
        "download request for repo:path",
    ]);
    if wordless || hidden || refusal.presented == Presented::Nobody || hides_existence(refusal.host) {
        return Code::NotFoundOrNoAccess;
    }
    Code::AccessDenied
}

/// Whether the words are about the login that was presented: ECR's has expired; OCIR takes a wrong one for nobody's.
fn names_the_login(refusal: Refusal<'_>, said: &Said) -> bool {
    refusal.presented != Presented::Nobody
        && said.mentions(&["token has expired", "token is expired", "anonymous users are only"])
}

/// Whether the words are about where the request came from, which for a node is somewhere else.
fn names_the_address(said: &Said) -> bool {
    said.mentions(&["client with ip", "ip address", "firewall"])
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
    let host = host.to_ascii_lowercase();
    among(&host, &HIDES_EXISTENCE) || HIDES_EXISTENCE_BELOW.iter().any(|end| host.ends_with(end))
}

fn among(host: &str, known: &[&str]) -> bool {
    known.iter().any(|known| host.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use super::*;
    use crate::registry::transport::Response;

    const BASE: Refusal<'_> = Refusal {
        authority: Authority::Manifest,
        status: 404,
        error: None,
        presented: Presented::Nobody,
        by_digest: false,
        asked_for_body: true,
        challenged: true,
        host: "registry.corp.io",
    };

    fn answered(refusal: Refusal<'_>, body: &str) -> Failure {
        let sign = ("docker-distribution-api-version".to_owned(), "registry/2.0".to_owned());
        let body = body.as_bytes().to_vec();
        let answer = Response { status: refusal.status, headers: vec![sign], body, ..Response::default() };
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
