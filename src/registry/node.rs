//! The lines that a node would show: containerd 2.1 and later, transfer service, as the kubelet passes them on.
//!
//! Texts as containerd/containerd `core/remotes/docker` builds them; a gRPC status of `Unknown` is stripped to its
//! message by the kubelet (kubernetes/kubernetes `cri-client/pkg/remote_image.go`), other codes are kept.

use url::form_urlencoded;

use crate::printable;
use crate::reference::{Digest, Reference};
use crate::registry::transport::Method;

/// `pull access denied…`, the words around every refusal that containerd reads as "no authorisation".
const ACCESS_DENIED: &str = "pull access denied, repository does not exist or may require authorization: ";

/// A reference that does not parse is repeated up to this many characters: more than any that does has.
pub(crate) const IMAGE_LIMIT: usize = 1024;

/// A reference that does not parse (kubernetes/kubernetes `pkg/kubelet/images/image_manager.go`,
/// `pkg/util/parsers/parsers.go`); `error` as the parser words it.
pub fn invalid_image_name(image: &str, error: &str) -> String {
    let quoted = go_quoted(image);
    format!("Failed to apply default image tag {quoted}: couldn't parse image name {quoted}: {error}")
}

/// Policy `Never`, and the image is not there (kubernetes/kubernetes `pkg/kubelet/images/image_manager.go`).
pub fn never_pulled(image: &str) -> String {
    format!("Container image {} is not present with pull policy of Never", go_quoted(image))
}

/// The whole line for an error met while resolving.
pub fn resolve_line(reference: &Reference, error: &str) -> String {
    let normal = reference.runtime_form();
    format!("failed to pull and unpack image \"{normal}\": failed to resolve image: {error}")
}

/// 404, for a tag or a repository alike.
pub fn not_found(reference: &Reference) -> String {
    let error = format!("{}: not found", reference.runtime_form());
    format!("rpc error: code = NotFound desc = {}", resolve_line(reference, &error))
}

/// A manifest that is refused for its schema.
pub fn schema_1(reference: &Reference) -> String {
    let normal = reference.runtime_form();
    format!(
        "rpc error: code = InvalidArgument desc = failed to pull and unpack image \"{normal}\": \
         schema 1 image manifests are no longer supported: invalid argument"
    )
}

/// A manifest that HEAD announced with a length of zero (containerd/containerd `core/remotes/handlers.go`, `Fetch`).
pub fn no_length(reference: &Reference, digest: &Digest) -> String {
    let normal = reference.runtime_form();
    format!(
        "rpc error: code = InvalidArgument desc = failed to pull and unpack image \"{normal}\": unable to fetch \
         descriptor ({digest}) which reports content size of zero: invalid argument"
    )
}

/// An index without an entry for the node's platform.
pub fn no_match(index: &Digest) -> String {
    format!(
        "rpc error: code = NotFound desc = get image config descriptor: no match for platform in manifest {index}: not found"
    )
}

/// The same failure as containerd words it where it pulls by itself, without the transfer service (1.x, 2.0).
pub fn of_local_pull(line: &str, reference: &Reference) -> String {
    let normal = reference.runtime_form();
    if line.contains(" desc = get image config descriptor: ") {
        return format!(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"{normal}\": \
             no match for platform in manifest: not found"
        );
    }
    // Several logins make several texts of one line.
    let pull = format!("failed to pull and unpack image \"{normal}\": failed to resolve ");
    line.replace(&format!("{pull}image: "), &format!("{pull}reference \"{normal}\": "))
}

/// A manifest that the registry does not have under the digest that it announced, or that an index lists.
pub fn content_not_found(reference: &Reference, url: &str) -> String {
    let normal = reference.runtime_form();
    format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{normal}\": failed to copy: httpReadSeeker: \
         failed open: content at {url} not found: not found"
    )
}

/// A manifest over containerd's limit.
pub fn too_large(reference: &Reference, bytes: u64) -> String {
    let error = format!("rejecting {bytes} byte manifest for {}: not found", reference.runtime_form());
    format!("rpc error: code = NotFound desc = {}", resolve_line(reference, &error))
}

/// `unexpected status from HEAD request to U: 403 Forbidden`.
pub fn unexpected_status(method: Method, url: &str, status: u16) -> String {
    format!("unexpected status from {} request to {url}: {}", method.as_str(), status_line(status))
}

/// A valid token that the registry refuses, with the challenge's `error`.
pub fn server_message(error: &str) -> String {
    format!("{ACCESS_DENIED}server message: {error}: authorization failed")
}

/// A Basic challenge and nothing to answer it with.
pub fn no_basic_credentials() -> String {
    format!("{ACCESS_DENIED}authorization failed: no basic auth credentials")
}

/// The token server's refusal.
pub fn token_refused(login: bool, method: Method, url: &str, status: u16) -> String {
    token_failed(login, &unexpected_status(method, url, status))
}

/// Anything else that went wrong at the token server.
pub fn token_failed(login: bool, error: &str) -> String {
    let kind = if login { "oauth" } else { "anonymous" };
    format!("failed to authorize: failed to fetch {kind} token: {error}")
}

/// The token URL with its query as Go's `url.Values.Encode` writes it: sorted by key.
pub fn token_url(realm: &str, service: &str, scopes: &[String]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for scope in scopes {
        query.append_pair("scope", scope);
    }
    if !service.is_empty() {
        query.append_pair("service", service);
    }
    format!("{realm}?{}", query.finish())
}

/// As Go's `%q` prints a text, one line whatever it holds; bounded.
fn go_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for (index, c) in text.chars().enumerate() {
        if index == IMAGE_LIMIT {
            quoted.push('…');
            break;
        }
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if printable::acts(c) && u32::from(c) > 0xffff => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c if printable::acts(c) => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Status and reason phrase as Go prints them.
fn status_line(status: u16) -> String {
    let phrase = match status {
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        418 => "I'm a teapot",
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        // Go leaves the space of a phrase that it does not know.
        _ => "",
    };
    format!("{status} {phrase}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_does_not_parse_is_quoted_as_go_does_it() {
        let line = |image: &str| invalid_image_name(image, "invalid reference format");
        assert_eq!(
            line("app:\"v1\""),
            "Failed to apply default image tag \"app:\\\"v1\\\"\": couldn't parse image name \"app:\\\"v1\\\"\": \
             invalid reference format"
        );
        for (image, quoted) in [
            ("a\\b größe", r#""a\\b größe""#),
            ("a\tb\nc\r\u{7}", r#""a\tb\nc\r\a""#),
            ("\u{1b}[0m\u{7f}\u{85}", r#""\x1b[0m\x7f\u0085""#),
        ] {
            assert_eq!(go_quoted(image), quoted);
        }
        assert_eq!(go_quoted(&"a".repeat(5000)).chars().count(), IMAGE_LIMIT + 3);
    }

    #[test]
    fn lines_read_as_the_node_prints_them() {
        let reference = Reference::parse("registry.corp.io/team/api:v1").unwrap();
        assert_eq!(
            not_found(&reference),
            "rpc error: code = NotFound desc = failed to pull and unpack image \"registry.corp.io/team/api:v1\": \
             failed to resolve image: registry.corp.io/team/api:v1: not found"
        );
        let both = format!("[{0}, {0}]", not_found(&reference));
        assert_eq!(
            of_local_pull(&both, &reference),
            both.replace("resolve image:", "resolve reference \"registry.corp.io/team/api:v1\":")
        );
        let url = token_url("https://r/token", "r", &["repository:team/api:pull".to_owned()]);
        assert_eq!(
            token_refused(true, Method::Get, &url, 401),
            "failed to authorize: failed to fetch oauth token: unexpected status from GET request to \
             https://r/token?scope=repository%3Ateam%2Fapi%3Apull&service=r: 401 Unauthorized"
        );
    }
}
