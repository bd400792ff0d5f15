//! What rustls says of a handshake that failed → what is wrong with the other side, for people and in Go's words.

use url::Url;

use crate::registry::failure::{CA_FILE, PLAIN_HTTP};
use crate::registry::host_port::HostPort;
use crate::registry::http::certificate::Names;
use crate::registry::http::verifier::UnknownAuthority;
use crate::registry::said::clean;

/// Registries, and what their answers lead to, whose certificates every system trusts.
const PUBLIC: [&str; 13] = [
    "*.docker.io",
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "*.gcr.io",
    "*.pkg.dev",
    "registry.k8s.io",
    "mcr.microsoft.com",
    "*.azurecr.io",
    "public.ecr.aws",
    "*.amazonaws.com",
    "registry.gitlab.com",
];

/// What is wrong with the other side of a handshake, and for whom.
pub(super) fn in_words(host: &str, error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let day = |time: &rustls_pki_types::UnixTime| {
        let at = i64::try_from(time.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        at.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
    };
    if let Some(UnknownAuthority { names: Names { subject, issuer }, namesake }) = unknown_authority(error) {
        let by = match (subject == issuer, namesake) {
            (true, _) => "itself".to_owned(),
            (false, true) => format!("another \"{issuer}\" than the one that is known"),
            (false, false) => format!("\"{issuer}\""),
        };
        let proxy = if known_to_all(host) { "; a proxy that opens TLS seems to be in the way" } else { "" };
        return format!(
            "TLS with {host} failed: its certificate (\"{subject}\") is signed by {by}, which pullgate does not know ({CA_FILE}){proxy}"
        );
    }
    let wrong = match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            format!("its certificate is signed by an authority that pullgate does not know ({CA_FILE})")
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
            format!("it does not speak TLS on this port; plain HTTP perhaps ({PLAIN_HTTP})")
        }
        other => other.to_string(),
    };
    format!("TLS with {host} failed: {wrong}")
}

/// The names in a certificate that no trusted authority has signed.
fn unknown_authority(error: &rustls::Error) -> Option<&UnknownAuthority> {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => other.0.downcast_ref(),
        _ => None,
    }
}

/// Whether a registry's own certificate is one that every system trusts: another one is somebody else's.
fn known_to_all(host: &str) -> bool {
    let host = HostPort::parse(host).map(|it| it.host.to_string()).unwrap_or_default();
    PUBLIC.iter().any(|known| match known.strip_prefix('*') {
        Some(end) => host.ends_with(end),
        None => host == *known,
    })
}

/// `DnsName("a")` → `a`.
fn bare_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// How Go says it, where that is known.
pub(super) fn in_go(url: &Url, error: &rustls::Error) -> Option<String> {
    use rustls::CertificateError as Certificate;
    let unverified = |what: String| Some(format!("tls: failed to verify certificate: x509: {what}"));
    match error {
        _ if unknown_authority(error).is_some() => unverified("certificate signed by unknown authority".to_owned()),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::{CertificateError, Error, InvalidMessage};
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

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
            let words = in_words("a.io", &error);
            assert!(words.starts_with("TLS with a.io failed: ") && words.ends_with(expected), "{words}");
        }
    }

    #[test]
    fn an_unknown_authority_is_named_and_that_of_a_public_registry_is_a_proxy() {
        for (host, subject, issuer, expected) in [
            (
                "r.corp.io:5000",
                "CN=r",
                "CN=Corp CA",
                r#"its certificate ("CN=r") is signed by "CN=Corp CA", which pullgate does not know (caFile)"#,
            ),
            (
                "r.corp.io",
                "CN=r",
                "CN=r",
                r#"its certificate ("CN=r") is signed by itself, which pullgate does not know (caFile)"#,
            ),
            (
                "registry-1.docker.io",
                "CN=*.docker.io",
                "CN=Corp Proxy CA, O=Corp",
                "does not know (caFile); a proxy that opens TLS seems to be in the way",
            ),
            ("notdocker.io:443", "CN=r", "CN=x", "does not know (caFile)"),
            ("ghcr.io:443", "CN=r", "CN=x", "seems to be in the way"),
        ] {
            let names = Names { subject: subject.to_owned(), issuer: issuer.to_owned() };
            let error = rustls::OtherError(Arc::new(UnknownAuthority { names, namesake: false }));
            let error = Error::InvalidCertificate(CertificateError::Other(error));
            let words = in_words(host, &error);
            assert!(words.ends_with(expected), "{words}");
            let go = in_go(&Url::parse("https://a.io").unwrap(), &error);
            assert_eq!(go.unwrap(), "tls: failed to verify certificate: x509: certificate signed by unknown authority");
        }
    }
}
