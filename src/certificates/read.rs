//! PEM and DER → what is decided on: identity, validity, names, and whether a chain holds at a given time.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::certificates::plan::{Authority, Id};
use crate::certificates::provider;

/// Certificates that are read of one text; more are not pullgate's doing.
const MOST: usize = 32;

/// The same of what somebody else puts into a webhook object: all authorities that a system trusts, perhaps.
const MOST_IN_BUNDLE: usize = 512;

/// Why a certificate that is served would not be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// There is nothing that it could chain to.
    #[error("the bundle holds no certificate authority that is valid now")]
    NoAuthority,
    /// It does not chain to any of them, is not valid now, or is for another name.
    #[error("{0}")]
    Refused(String),
}

/// The certificates of a PEM text; empty if anything in it does not decode.
pub fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(MOST).collect();
    all.ok().filter(|all| all.iter().all(|der| parse(der).is_some())).unwrap_or_default()
}

/// The certificates that an API server would take from a `caBundle`: it passes over what does not decode, as Go's
/// `AppendCertsFromPEM` does.
pub fn bundle(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_slice_iter(pem).take(MOST_IN_BUNDLE).filter_map(Result::ok);
    all.filter(|der| parse(der).is_some()).collect()
}

/// A certificate in PEM.
pub fn pem(der: &CertificateDer<'_>) -> String {
    encoded("CERTIFICATE", der)
}

/// What a certificate is known by: the hash of all of it.
pub fn id(der: &CertificateDer<'_>) -> Id {
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, der).as_ref());
    Id(id)
}

/// From when until when a certificate is valid.
pub fn validity(der: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let parsed = parse(der)?;
    let time = |seconds: i64| Timestamp::from_second(seconds).ok();
    Some((time(parsed.validity().not_before.timestamp())?, time(parsed.validity().not_after.timestamp())?))
}

/// A certificate as an authority; none for one that may not sign others.
pub fn authority(der: &CertificateDer<'_>) -> Option<Authority> {
    if !parse(der)?.is_ca() {
        return None;
    }
    let (from, until) = validity(der)?;
    Some(Authority { from, until, id: id(der) })
}

/// The names of a certificate: of its subject and its alternative names, addresses left out.
pub fn names(der: &CertificateDer<'_>) -> Vec<String> {
    let Some(parsed) = parse(der) else { return Vec::new() };
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned);
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
        _ => None,
    });
    common.chain(alternative).collect()
}

/// Whether `key`, a public key as DER, is that of the certificate.
pub fn has_key(der: &CertificateDer<'_>, key: &[u8]) -> bool {
    parse(der).is_some_and(|parsed| parsed.public_key().raw == key)
}

/// Whether an API server that trusts `bundle` believes at `now` that who shows `chain` is `name`. As Go's verification, and
/// unlike webpki's, an authority counts only while it is valid itself.
///
/// # Errors
/// Why it does not.
pub fn chains(
    chain: &[CertificateDer<'_>],
    bundle: &[CertificateDer<'_>],
    name: &str,
    now: Timestamp,
) -> Result<(), Distrust> {
    let refused = |reason: String| Distrust::Refused(reason);
    let mut roots = RootCertStore::empty();
    for der in bundle.iter().filter(|der| validity(der).is_some_and(|(from, until)| from <= now && now < until)) {
        // What webpki cannot take as an anchor is not one.
        drop(roots.add(der.clone().into_owned()));
    }
    if roots.is_empty() {
        return Err(Distrust::NoAuthority);
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let (leaf, rest) = chain.split_first().ok_or_else(|| refused("there is no certificate".to_owned()))?;
    let name = ServerName::try_from(name).map_err(|error| refused(error.to_string()))?;
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_server_cert(leaf, rest, &name, &[], now).map(drop).map_err(|error| refused(error.to_string()))
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, parsed)| parsed)
}

/// Text encoding of a DER structure (RFC 7468).
fn encoded(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
