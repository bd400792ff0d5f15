//! What rustls says of a handshake that failed → what is wrong with the other side, for people and in Go's words.

use rustls::AlertDescription;
use url::Url;

use crate::registry::failure::{CA_FILE, CLIENT_CERT_FILE, NO_COMMON_TLS, PLAIN_HTTP};
use crate::registry::host_port::HostPort;
use crate::registry::http::certificate::Names;
use crate::registry::http::verifier::{EndedAuthority, UnknownAuthority};
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

/// What pullgate speaks. rustls has neither RSA key exchange nor CBC suites; Go offers ECDHE with CBC.
const SPOKEN: &str = "pullgate speaks TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20";

/// `sha1WithRSAEncryption` (RFC 8017 appendix C) and `ecdsa-with-SHA1` (RFC 5480 section 2.1.1), as DER.
const SHA_1: [&[u8]; 2] = [
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
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
    if let Some(EndedAuthority { issuer, until }) = other(error) {
        let ended = day(until);
        return format!(
            "TLS with {host} failed: \"{issuer}\", which signed its certificate, expired itself on {ended} ({CA_FILE})"
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
        rustls::Error::InvalidCertificate(Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. }) => {
            "the server's certificate is not for servers (extended key usage)".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id,
            ..
        }) if SHA_1.iter().any(|id| signature_algorithm_id.starts_with(id)) => {
            "the server's certificate is signed with SHA-1, which nodes refuse, too".to_owned()
        }
        rustls::Error::InvalidCertificate(
            Certificate::UnsupportedSignatureAlgorithmContext { .. }
            | Certificate::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => "the server's certificate is signed with an algorithm that pullgate does not know".to_owned(),
        rustls::Error::InvalidCertificate(Certificate::BadEncoding | Certificate::Other(_)) => {
            "the server's certificate cannot be read".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::UnhandledCriticalExtension) => {
            "the server's certificate has a critical extension that is not known".to_owned()
        }
        rustls::Error::AlertReceived(alert) => return alerted(host, *alert),
        rustls::Error::PeerIncompatible(_) | rustls::Error::PeerMisbehaved(_) => {
            format!("they have {NO_COMMON_TLS} ({SPOKEN})")
        }
        other => bounded(&clean(&other.to_string())),
    };
    format!("TLS with {host} failed: {wrong}")
}

/// What the server said when it ended the handshake (RFC 8446 section 6.2).
fn alerted(host: &str, alert: AlertDescription) -> String {
    let wrong = match alert {
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity
        | AlertDescription::IllegalParameter => format!("they have {NO_COMMON_TLS} ({SPOKEN})"),
        AlertDescription::CertificateRequired => format!("it wants a client certificate ({CLIENT_CERT_FILE})"),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            format!("it refuses pullgate's client certificate, or wants one ({CLIENT_CERT_FILE})")
        }
        AlertDescription::UnrecognisedName => "it serves no such host name".to_owned(),
        other => bounded(&format!("it ended the handshake ({other:?})")),
    };
    format!("TLS with {host} failed: {wrong}")
}

/// What a library says is bounded: a warning has room for little.
fn bounded(words: &str) -> String {
    const MOST: usize = 120;
    if words.len() <= MOST { words.to_owned() } else { format!("{}…", &words[..words.floor_char_boundary(MOST)]) }
}

/// The names in a certificate that no trusted authority has signed.
fn unknown_authority(error: &rustls::Error) -> Option<&UnknownAuthority> {
    other(error)
}

/// What the verifier says beyond the library's words.
fn other<T: std::error::Error + 'static>(error: &rustls::Error) -> Option<&T> {
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
        _ if other::<EndedAuthority>(error).is_some() => {
            unverified("certificate has expired or is not yet valid".to_owned())
        }
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
                certificate(CertificateError::InvalidPurpose),
                "the server's certificate is not for servers (extended key usage)",
            ),
            (
                certificate(CertificateError::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: [SHA_1[0], &[5, 0]].concat(),
                    supported_algorithms: vec![rustls_pki_types::alg_id::RSA_PSS_SHA256; 60],
                }),
                "the server's certificate is signed with SHA-1, which nodes refuse, too",
            ),
            (
                certificate(CertificateError::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: vec![6, 3, 1, 2, 3],
                    supported_algorithms: vec![rustls_pki_types::alg_id::RSA_PSS_SHA256; 60],
                }),
                "the server's certificate is signed with an algorithm that pullgate does not know",
            ),
            (
                certificate(CertificateError::Other(rustls::OtherError(Arc::new(EndedAuthority {
                    issuer: "CN=Corp CA".to_owned(),
                    until: at(1_735_689_600),
                })))),
                "\"CN=Corp CA\", which signed its certificate, expired itself on 2025-01-01 (caFile)",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "they have no TLS version and cipher in common (pullgate speaks TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20)",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "it wants a client certificate (clientCertFile)",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "it refuses pullgate's client certificate, or wants one (clientCertFile)",
            ),
            (Error::AlertReceived(AlertDescription::InternalError), "it ended the handshake (InternalError)"),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "it does not speak TLS on this port; plain HTTP perhaps (plainHTTP)",
            ),
        ] {
            let words = in_words("a.io", &error);
            assert!(words.starts_with("TLS with a.io failed: ") && words.ends_with(expected), "{words}");
            assert!(words.len() < 160, "{words}");
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
