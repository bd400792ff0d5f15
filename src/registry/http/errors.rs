//! What reqwest, hyper, rustls and the operating system say → a cause, a sentence, and the words of a node's Go runtime.

use std::error::Error;
use std::io;
use std::time::Duration;

use url::Url;

use crate::finding::Cause;
use crate::policy::Proxy;
use crate::registry::http::names::{NameRefused, NameUnresolved};
use crate::registry::http::{CONNECT_TIMEOUT, host};
use crate::registry::said::clean;
use crate::registry::transport::{Method, TransportError};

/// The whole exchange took longer than its limit.
pub(super) fn timeout(method: Method, url: &Url, limit: Duration) -> TransportError {
    TransportError {
        cause: Some(Cause::Timeout),
        detail: format!("{} did not answer within {limit:?}", host(url)),
        go: Some(go(method, url, "net/http: timeout awaiting response headers")),
    }
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
            return made(Some(Cause::Tls), tls_in_words(&host, tls), tls_in_go(url, tls));
        }
        if let Some(failed) = link.downcast_ref::<io::Error>()
            && let Some(found) = from_io(&host, url, failed)
        {
            return made(Some(found.0), found.1, found.2);
        }
    }
    if error.is_timeout() {
        // The name, TCP and TLS share one limit, and nothing tells which of them took it.
        let words = dial(url, "i/o timeout");
        let detail =
            format!("no connection to {host} came about within {CONNECT_TIMEOUT:?} (DNS, TCP and TLS together)");
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
    let proxy = Url::parse(proxy).map_or_else(|_| "no URL".to_owned(), |proxy| host(&proxy));
    let last = if last.to_ascii_lowercase().contains("proxy auth") {
        format!("it wants a login, or another one (407: {last})")
    } else {
        last
    };
    let detail = format!("no connection to {} through the proxy {proxy}: {last}", host(url));
    Some(TransportError { cause: Some(Cause::Proxy), detail, go: None })
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
        (format!("{host} does not resolve: DNS has no such name"), absent)
    } else if says(&["No address associated", "no usable address"]) {
        (format!("{host} does not resolve: DNS has the name, and no address for it"), absent)
    } else if says(&["Temporary failure", "Try again"]) {
        (format!("{host} does not resolve: the DNS server failed or did not answer in time"), None)
    } else {
        (format!("{host} does not resolve: {said}"), absent)
    }
}

/// What is wrong with the other side of a handshake, and for whom.
fn tls_in_words(host: &str, error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let day = |time: &rustls_pki_types::UnixTime| {
        let at = i64::try_from(time.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        at.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
    };
    let wrong = match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "its certificate is signed by an authority that pullgate does not know (caFile)".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::ExpiredContext { not_after, .. }) => {
            format!("the server's certificate expired on {}", day(not_after))
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidYetContext { not_before, .. }) => {
            format!("the server's certificate begins on {}: one of the clocks is wrong", day(not_before))
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidForNameContext { presented, .. }) => {
            let names: Vec<&str> = presented.iter().take(4).map(|name| bare_name(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!("the server's certificate is for {}, not for this host", clean(&names))
        }
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            "it does not speak TLS on this port; plain HTTP perhaps (plainHTTP)".to_owned()
        }
        other => other.to_string(),
    };
    format!("TLS with {host} failed: {wrong}")
}

/// `DnsName("a")` → `a`.
fn bare_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

fn tls_in_go(url: &Url, error: &rustls::Error) -> Option<String> {
    use rustls::CertificateError as Certificate;
    let unverified = |what: String| Some(format!("tls: failed to verify certificate: x509: {what}"));
    match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            unverified("certificate signed by unknown authority".to_owned())
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            unverified("certificate has expired or is not yet valid".to_owned())
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidForName) => {
            unverified(format!("certificate is not valid for {}", url.host_str().unwrap_or_default()))
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidForNameContext { presented, .. }) => {
            unverified(wrong_name(url, presented))
        }
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            Some("http: server gave HTTP response to HTTPS client".to_owned())
        }
        _ => None,
    }
}

/// As `crypto/x509` words a certificate for other names, which rustls lists as `DnsName("a")` or `IpAddress(…)`.
fn wrong_name(url: &Url, presented: &[String]) -> String {
    let host = url.host_str().unwrap_or_default();
    let names: Vec<&str> =
        presented.iter().filter_map(|name| name.strip_prefix("DnsName(\"")?.strip_suffix("\")")).collect();
    if matches!(url.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_))) {
        if presented.len() == names.len() {
            return format!("cannot validate certificate for {host} because it doesn't contain any IP SANs");
        }
        return format!("certificate is not valid for {host}");
    }
    if names.is_empty() {
        return format!("certificate is not valid for any names, but wanted to match {host}");
    }
    format!("certificate is valid for {}, not {host}", names.join(", "))
}

/// `failed to do request: Head "U": …` as `net/url.Error` prints it.
fn go(method: Method, url: &Url, what: &str) -> String {
    format!("failed to do request: {} \"{url}\": {what}", method.in_go())
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error, InvalidMessage};
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

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

    #[test]
    fn a_handshake_that_fails_names_the_side_and_the_reason() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let certificate = Error::InvalidCertificate;
        for (error, expected) in [
            (
                certificate(CertificateError::UnknownIssuer),
                "signed by an authority that pullgate does not know (caFile)",
            ),
            (
                certificate(CertificateError::ExpiredContext { time: at(1_800_000_000), not_after: at(1_735_689_600) }),
                "the server's certificate expired on 2025-01-01",
            ),
            (
                certificate(CertificateError::NotValidYetContext { time: at(0), not_before: at(1_735_689_600) }),
                "the server's certificate begins on 2025-01-01: one of the clocks is wrong",
            ),
            (
                certificate(CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("a.io").unwrap(),
                    presented: vec!["DnsName(\"b.io\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()],
                }),
                "the server's certificate is for b.io, 10.0.0.1, not for this host",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "it does not speak TLS on this port; plain HTTP perhaps (plainHTTP)",
            ),
        ] {
            let words = tls_in_words("a.io", &error);
            assert!(words.starts_with("TLS with a.io failed: ") && words.ends_with(expected), "{words}");
        }
    }
}
