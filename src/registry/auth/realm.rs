//! The realm of a challenge → a URL that pullgate is willing to ask for a token. Pure.

use url::Url;

use super::TokenRequest;
use crate::finding::{Cause, Code};
use crate::registry::failure::{Failure, Weight};
use crate::registry::host_port::{UrlError, read_url};
use crate::registry::node;

/// A realm beyond this is not a URL that anyone announces in earnest.
const MAX_REALM: usize = 2048;

/// A login goes over HTTPS, or over plain HTTP where the registry itself speaks that. Without a login the scheme is the
/// registry's to choose, as it is for a node; nothing may stand in the URL that no request would carry.
///
/// # Errors
/// What the node says of a realm that it refuses too; else a failure of the guard.
pub(super) fn check(ask: &TokenRequest<'_>) -> Result<Url, Box<Failure>> {
    if ask.realm.is_empty() {
        let node = "no realm specified for token auth challenge".to_owned();
        return Err(Box::new(nonsense(
            "the registry is misconfigured: its challenge names no token server",
            Some(node),
        )));
    }
    let guard = |detail: String| Err(Box::new(Failure::own(Code::NotChecked, Cause::Guard, detail)));
    if ask.realm.len() > MAX_REALM {
        return guard("the challenge's realm is longer than 2 KiB".to_owned());
    }
    let url = match read_url(ask.realm) {
        Ok(url) if url.has_host() => url,
        Err(UrlError::OtherHost(_)) => {
            return guard("the challenge names a token server by a host that nodes read in another way".to_owned());
        }
        // containerd refuses a relative realm too: there is no host to ask.
        parsed => {
            let detail = "the registry is misconfigured: the realm of its challenge is not an absolute URL";
            let error =
                parsed.err().and_then(|error| if let UrlError::Syntax(error) = error { Some(error) } else { None });
            return Err(Box::new(nonsense(detail, Some(not_a_url(ask, error)))));
        }
    };
    if url.fragment().is_some() {
        return guard("the challenge names a token server by a URL with a fragment".to_owned());
    }
    match (url.scheme(), ask.login) {
        ("https", _) | ("http", None) => Ok(url),
        ("http", Some(_)) if ask.endpoint.profile.plain_http => Ok(url),
        (_, Some(_)) => {
            guard("the challenge names a token server that is not HTTPS; no login is sent there".to_owned())
        }
        (_, None) => guard("the challenge names a token server that is neither HTTPS nor HTTP".to_owned()),
    }
}

/// No authorisation comes of it; another host may still be asked.
pub(super) fn nonsense(detail: impl Into<String>, node: Option<String>) -> Failure {
    Failure { weight: Weight::Unanswered, ..Failure::nonsense(detail, node) }
}

/// What containerd says of a realm that is no URL; Go takes a second port for part of the host until it connects.
fn not_a_url(ask: &TokenRequest<'_>, error: Option<url::ParseError>) -> String {
    let login = ask.login.is_some();
    let words = if error == Some(url::ParseError::InvalidPort) {
        let address = ask.realm.split('/').nth(2).unwrap_or_default();
        format!("dial tcp: address {address}: too many colons in address")
    } else {
        "unsupported protocol scheme \"\"".to_owned()
    };
    let request = if login {
        format!("Post \"{}\"", ask.realm)
    } else {
        format!("Get \"{}\"", node::token_url(ask.realm, ask.service, ask.scopes))
    };
    node::token_failed(login, &format!("{request}: {words}"))
}
