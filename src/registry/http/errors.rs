//! What reqwest, hyper, rustls and the operating system say → a cause, a sentence, and the words of a node's Go runtime.

mod tls;

use std::error::Error;
use std::io;
use std::time::Duration;

use url::Url;

use crate::finding::Cause;
use crate::policy::Proxy;
use crate::registry::failure::NO_SUCH_NAME;
use crate::registry::http::names::{NameRefused, NameUnresolved};
use crate::registry::http::phase::{self, Phase, Wait};
use crate::registry::http::{CONNECT_TIMEOUT, host};
use crate::registry::transport::{Method, TransportError};

/// The whole exchange took longer than its limit.
pub(super) fn timeout(method: Method, url: &Url, limit: Duration) -> TransportError {
    let wait = phase::now().unwrap_or_else(|| Wait { host: host(url), phase: Phase::Answer });
    // What connecting takes is limited by itself, and to less than most exchanges.
    let phase = if limit > CONNECT_TIMEOUT { wait.phase.max(Phase::Answer) } else { wait.phase };
    let (detail, words) = waited(url, &Wait { phase, ..wait }, limit);
    TransportError { cause: Some(Cause::Timeout), detail, go: Some(go(method, url, &words)) }
}

/// What did not come in time, and how Go says it.
fn waited(url: &Url, wait: &Wait, limit: Duration) -> (String, String) {
    let Wait { host, phase } = wait;
    match phase {
        Phase::Start => (
            format!("{host} did not answer within {limit:?}"),
            "net/http: timeout awaiting response headers".to_owned(),
        ),
        Phase::Lookup => (
            format!("DNS did not answer within {limit:?} where {host} is"),
            format!("dial tcp: lookup {}: i/o timeout", url.host_str().unwrap_or_default()),
        ),
        Phase::Connect => {
            (format!("{host} did not accept a connection within {limit:?} (TCP)"), dial(url, "i/o timeout"))
        }
        Phase::Tls => (
            format!("{host} accepted a connection, but no TLS handshake came about within {limit:?}"),
            "net/http: TLS handshake timeout".to_owned(),
        ),
        Phase::Answer => (
            format!("{host} accepted a connection, but sent no first byte within {limit:?}"),
            "net/http: timeout awaiting response headers".to_owned(),
        ),
        Phase::Body => (
            format!("{host} began to answer, but did not send the whole body within {limit:?}"),
            "context deadline exceeded (Client.Timeout or context cancellation while reading body)".to_owned(),
        ),
    }
}

/// One redirect more than Go's client follows (golang/go `net/http/client.go`, `defaultCheckRedirect`).
pub(super) fn redirects(method: Method, first: &Url, location: &str, followed: u8) -> TransportError {
    let detail = format!("{} redirects more than {followed} times; nodes follow no more either", host(first));
    // A query may be a login.
    let shown = !location.contains('?') && location.chars().all(|c| c.is_ascii_graphic());
    let line = || {
        let stopped = u16::from(followed) + 1;
        format!("failed to do request: {} \"{location}\": stopped after {stopped} redirects", method.in_go())
    };
    TransportError { cause: None, detail, go: shown.then(line) }
}

/// Finds the error that matters in the chain.
pub(super) fn classify(method: Method, url: &Url, proxy: &Proxy, error: &reqwest::Error) -> TransportError {
    if let Proxy::Url(proxy) = proxy
        && error.is_connect()
        && let Some(failed) = from_proxy(url, proxy, error)
    {
        return failed;
    }
    let host = host(url);
    let chain = || std::iter::successors(error.source(), |error| beneath(*error));
    let made = |cause: Option<Cause>, detail: String, words: Option<String>| TransportError {
        cause,
        detail,
        go: words.map(|words| go(method, url, &words)),
    };
    for link in chain() {
        if let Some(refused) = link.downcast_ref::<NameRefused>() {
            return made(Some(Cause::Guard), refused.to_string(), None);
        }
        if let Some(unresolved) = link.downcast_ref::<NameUnresolved>() {
            let (detail, words) = unresolved_in_words(&unresolved.host, &unresolved.source.to_string());
            return made(Some(Cause::Dns), detail, words);
        }
        if let Some(tls) = link.downcast_ref::<rustls::Error>() {
            return made(Some(Cause::Tls), tls::in_words(&host, tls), tls::in_go(url, tls));
        }
        if let Some(failed) = link.downcast_ref::<io::Error>()
            && let Some(found) = from_io(&host, url, failed)
        {
            return made(Some(found.0), found.1, found.2);
        }
    }
    if error.is_timeout() {
        // Only connecting has a limit in the client, and an address is not looked up.
        let wait = phase::now().unwrap_or(Wait { host, phase: Phase::Connect });
        let phase = if matches!(wait.phase, Phase::Lookup | Phase::Tls) { wait.phase } else { Phase::Connect };
        let (detail, words) = waited(url, &Wait { phase, ..wait }, CONNECT_TIMEOUT);
        return made(Some(Cause::Timeout), detail, Some(words));
    }
    let last = chain().last().map_or_else(|| "no further reason".to_owned(), ToString::to_string);
    if error.is_connect() {
        return made(Some(Cause::Refused), format!("no connection to {host}: {last}"), None);
    }
    let closed = chain().any(|link| {
        let text = link.to_string();
        text.contains("connection closed") || text.contains("end of file") || text.contains("incomplete")
    });
    if closed {
        return made(
            Some(Cause::Refused),
            format!("{host} closed the connection before it answered"),
            Some("EOF".into()),
        );
    }
    made(None, format!("{host} sent something that is no HTTP answer: {last}"), None)
}

/// The way to the registry ended at the proxy; `None` where the registry itself was reached and its TLS failed.
fn from_proxy(url: &Url, proxy: &str, error: &reqwest::Error) -> Option<TransportError> {
    let chain = || std::iter::successors(error.source(), |error| beneath(*error));
    if chain().any(<dyn Error>::is::<rustls::Error>) {
        return None;
    }
    let last = chain().last().map_or_else(|| "no further reason".to_owned(), ToString::to_string);
    let kind = chain().find_map(|link| link.downcast_ref::<io::Error>()).map(io::Error::kind);
    let proxy = Url::parse(proxy).map_or_else(|_| "no URL".to_owned(), |proxy| host(&proxy));
    let detail = format!("no connection to {} through the proxy {proxy}: {}", host(url), of_proxy(&last, kind));
    Some(TransportError { cause: Some(Cause::Proxy), detail, go: None })
}

/// What a proxy did, by what hyper says of its answer to CONNECT (hyperium/hyper-util
/// `src/client/legacy/connect/proxy/tunnel.rs`), and by what the system says of the connection to it.
fn of_proxy(said: &str, kind: Option<io::ErrorKind>) -> String {
    let says = |text: &str| said.contains(text);
    if says("proxy authorization required") {
        "it wants a login, or another one (407)".to_owned()
    } else if says("unsuccessful") {
        "it refuses, or does not get there itself (no 200 to CONNECT)".to_owned()
    } else if says("unexpected end of file") {
        "it closed the connection before it answered".to_owned()
    } else {
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => "it refused the connection".to_owned(),
            _ => said.to_owned(),
        }
    }
}

/// The next error down. What an [`io::Error`] carries is skipped by its `source`, and is what matters most here.
fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

fn from_io(host: &str, url: &Url, error: &io::Error) -> Option<(Cause, String, Option<String>)> {
    let unreachable = |reason: &str| dial(url, &format!("connect: {reason}"));
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some((Cause::Refused, format!("{host} refused the connection"), Some(unreachable("connection refused"))))
        }
        io::ErrorKind::HostUnreachable => {
            Some((Cause::Refused, format!("there is no route to {host}"), Some(unreachable("no route to host"))))
        }
        io::ErrorKind::NetworkUnreachable => {
            Some((Cause::Refused, format!("no network leads to {host}"), Some(unreachable("network is unreachable"))))
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => {
            Some((Cause::Refused, format!("{host} closed the connection before it answered"), Some("EOF".to_owned())))
        }
        io::ErrorKind::TimedOut => {
            let words = dial(url, "i/o timeout");
            Some((Cause::Timeout, format!("{host} did not accept a connection in time"), Some(words)))
        }
        _ => None,
    }
}

/// `dial tcp <ip:port>: …` needs the address, which is known here only when the host is one.
fn dial(url: &Url, what: &str) -> String {
    match (url.host(), url.port_or_known_default()) {
        (Some(url::Host::Ipv4(ip)), Some(port)) => format!("dial tcp {ip}:{port}: {what}"),
        (Some(url::Host::Ipv6(ip)), Some(port)) => format!("dial tcp [{ip}]:{port}: {what}"),
        _ => format!("dial tcp: {what}"),
    }
}

/// What the system's resolver says of a name, by the texts of the C libraries; where it failed itself, what a node's would
/// say is not known.
fn unresolved_in_words(host: &str, said: &str) -> (String, Option<String>) {
    let says = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    let absent = Some(format!("dial tcp: lookup {host}: no such host"));
    if says(&["Name or service not known", "Name does not resolve", "nodename nor servname"]) {
        (format!("{host} {NO_SUCH_NAME}"), absent)
    } else if says(&["No address associated", "no usable address"]) {
        (format!("{host} does not resolve: DNS has the name, and no address for it"), absent)
    } else if says(&["Temporary failure", "Try again"]) {
        (format!("{host} does not resolve: the DNS server failed or did not answer in time"), None)
    } else {
        (format!("{host} does not resolve: {said}"), absent)
    }
}

/// `failed to do request: Head "U": …` as `net/url.Error` prints it.
fn go(method: Method, url: &Url, what: &str) -> String {
    format!("failed to do request: {} \"{url}\": {what}", method.in_go())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_did_is_told_in_words() {
        for (said, kind, expected) in [
            ("tunnel error: proxy authorization required", None, "it wants a login, or another one (407)"),
            ("tunnel error: unsuccessful", None, "it refuses, or does not get there itself (no 200 to CONNECT)"),
            ("tunnel error: unexpected end of file", None, "it closed the connection before it answered"),
            ("Connection refused (os error 111)", Some(io::ErrorKind::ConnectionRefused), "it refused the connection"),
            ("else", Some(io::ErrorKind::Other), "else"),
        ] {
            assert_eq!(of_proxy(said, kind), expected, "{said}");
        }
    }

    #[test]
    fn what_the_resolver_says_of_a_name_is_told_apart() {
        for (said, expected, absent) in [
            ("failed to lookup address information: Name or service not known", "DNS has no such name", true),
            ("failed to lookup address information: Name does not resolve", "DNS has no such name", true),
            (
                "failed to lookup address information: No address associated with hostname",
                "DNS has the name, and no address for it",
                true,
            ),
            (
                "failed to lookup address information: Temporary failure in name resolution",
                "the DNS server failed or did not answer in time",
                false,
            ),
            ("else", "else", true),
        ] {
            let (detail, go) = unresolved_in_words("a.io", said);
            assert_eq!(detail, format!("a.io does not resolve: {expected}"));
            assert_eq!(go.is_some(), absent, "{said}");
        }
    }
}
