//! A service's name, lifetimes and the time → new authorities, leaves and path segments.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use rustls_pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};

use crate::certificates::read;

/// A certificate is dated back by this much at most, for clocks that lag behind.
const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// Bytes of a path segment: 192 bits.
const SEGMENT_BYTES: usize = 24;

/// The shortest segment that is taken: more than 110 bits in letters and digits.
const SHORTEST_SEGMENT: usize = 22;

/// The longest.
const LONGEST_SEGMENT: usize = 128;

/// A certificate and its private key, both good and for each other.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// PEM.
    pub key: SecretString,
}

/// What could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// A certificate.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// A lifetime ends after the last year that there is.
    #[error("a certificate cannot be valid for that long")]
    Lifetime,
}

/// A certificate authority of its own name, so that two are never taken for each other.
///
/// # Errors
/// Only where the system fails.
pub fn authority(service: &str, lifetime: Duration, now: Timestamp) -> Result<Pair, MintError> {
    let key = KeyPair::generate()?;
    let mut suffix = [0; 4];
    rand::fill(&mut suffix).map_err(|_| MintError::Random)?;
    let name = format!("{service} CA {:08x}", u32::from_be_bytes(suffix));
    let mut params = params(Vec::new(), &name, now, now.checked_add(lifetime).map_err(|_| MintError::Lifetime)?)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.der().clone(), key: key.serialize_pem().into() })
}

/// A serving certificate for `names`, the first of them its subject; it ends with its authority at the latest.
///
/// # Errors
/// When a name cannot stand in a certificate, or the system fails.
pub fn leaf(authority: &Pair, names: Vec<String>, lifetime: Duration, now: Timestamp) -> Result<Pair, MintError> {
    let (_, last) = read::validity(&authority.certificate).ok_or(MintError::Lifetime)?;
    let until = now.checked_add(lifetime).map_err(|_| MintError::Lifetime)?.min(last);
    let key = KeyPair::generate()?;
    let subject = names.first().cloned().unwrap_or_default();
    let mut params = params(names, &subject, now, until)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let issuer_key = KeyPair::from_pem(authority.key.expose_secret())?;
    let certificate = params.signed_by(&key, &Issuer::from_ca_cert_der(&authority.certificate, issuer_key)?)?;
    Ok(Pair { certificate: certificate.der().clone(), key: key.serialize_pem().into() })
}

/// A path segment that nobody can guess.
///
/// # Errors
/// Only where the system fails.
pub fn segment() -> Result<SecretString, MintError> {
    let mut bytes = [0; SEGMENT_BYTES];
    rand::fill(&mut bytes).map_err(|_| MintError::Random)?;
    let mut text = String::with_capacity(2 * SEGMENT_BYTES);
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text.into())
}

/// A text as a path segment; none if it could be guessed or does not fit into a path.
pub fn as_segment(text: &[u8]) -> Option<SecretString> {
    let text = str::from_utf8(text).ok()?.trim();
    // An API server takes a step of a Service's path only if it could be a name in DNS (kubernetes/apiserver
    // `pkg/util/webhook/validation.go`).
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (SHORTEST_SEGMENT..=LONGEST_SEGMENT).contains(&text.len()) && text.bytes().all(legal);
    fits.then(|| text.into())
}

/// The first certificate of `chain` with its key, if the key is its own.
pub fn pair(chain: &[u8], key: &[u8]) -> Option<Pair> {
    let certificate = read::certificates(chain).into_iter().next()?;
    let key = str::from_utf8(key).ok()?;
    let public = KeyPair::from_pem(key).ok()?.subject_public_key_info();
    read::has_key(&certificate, &public).then(|| Pair { certificate, key: key.into() })
}

fn params(
    names: Vec<String>,
    subject: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    let skew = CLOCK_SKEW.min(Duration::try_from(until.duration_since(now)).unwrap_or_default() / 10);
    params.not_before = (SystemTime::from(now) - skew).into();
    params.not_after = SystemTime::from(until).into();
    Ok(params)
}
