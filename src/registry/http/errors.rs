//! What reqwest, hyper, rustls and the operating system say → a cause, a sentence, and the words of a node's Go runtime.

use std::error::Error;
use std::io;
use std::time::Duration;

use url::Url;

use crate::finding::Cause;
use crate::policy::Proxy;
use crate::registry::http::host;
use crate::registry::http::names::{NameRefused, NameUnresolved};
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
            let words = format!("dial tcp: lookup {}: no such host", unresolved.host);
            return made(Some(Cause::Dns), unresolved.to_string(), Some(words));
        }
        if let Some(tls) = link.downcast_ref::<rustls::Error>() {
            return made(Some(Cause::Tls), format!("TLS with {host} failed: {tls}"), tls_in_go(url, tls));
        }
        if let Some(failed) = link.downcast_ref::<io::Error>()
            && let Some(found) = from_io(&host, url, failed)
        {
            return made(Some(found.0), found.1, found.2);
        }
    }
    if error.is_timeout() {
        let words = dial(url, "i/o timeout");
        return made(Some(Cause::Timeout), format!("{host} did not accept a connection in time"), Some(words));
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
