//! The certificates that are trusted, with what Go's verification asks of them and webpki's does not (golang/go
//! `src/crypto/x509/verify.go`, `Verify`): an authority counts only while it is valid, and a server's certificate that is
//! among the trusted ones is believed by itself, be it marked as an authority (as `openssl req -x509` marks it) or not.

use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Certificates between a server's and a trusted one.
const MAX_INTERMEDIATES: usize = 4;

/// Every trusted certificate.
#[derive(Debug)]
pub(super) struct Anchors(Vec<Anchor>);

/// One trusted certificate, and from when until when it is valid, in seconds since 1970.
#[derive(Debug)]
struct Anchor {
    der: CertificateDer<'static>,
    from: u64,
    until: u64,
}

/// The authorities that are valid for a while.
#[derive(Debug)]
pub(super) struct Valid {
    /// These.
    pub(super) roots: RootCertStore,
    /// The first second at which others are.
    pub(super) until: UnixTime,
}

// === impl Anchors ===

impl Anchors {
    /// Takes certificates that rustls takes as roots.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let anchor = |der: CertificateDer<'static>| {
            let (from, until) = parse(&der).map_or((0, u64::MAX), |parsed| {
                let second = |time: i64| u64::try_from(time).unwrap_or_default();
                let validity = parsed.validity();
                (second(validity.not_before.timestamp()), second(validity.not_after.timestamp()))
            });
            Anchor { der, from, until }
        };
        Self(certificates.into_iter().map(anchor).collect())
    }

    /// The authorities that are valid at `now`.
    pub(super) fn valid(&self, now: UnixTime) -> Valid {
        let now = now.as_secs();
        let mut roots = RootCertStore::empty();
        let mut until = u64::MAX;
        for Anchor { der, from, until: last } in &self.0 {
            if *from <= now && now <= *last {
                // What webpki does not take as an anchor is not one.
                drop(roots.add(der.clone()));
                until = until.min(last.saturating_add(1));
            } else if now < *from {
                until = until.min(*from);
            }
        }
        Valid { roots, until: UnixTime::since_unix_epoch(std::time::Duration::from_secs(until)) }
    }

    /// Whether a certificate is itself among the trusted ones.
    pub(super) fn hold(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0.iter().any(|anchor| anchor.der == *certificate)
    }

    /// Whether a chain leads from `leaf` through `intermediates` to an authority that is trusted and valid at `now`. Name
    /// constraints and purposes of an authority are not weighed: a chain with one of these is none here.
    pub(super) fn chain_to(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let mut signed = leaf;
        for _ in 0..=MAX_INTERMEDIATES {
            let signs = |authority: &CertificateDer<'_>| signs(authority, signed, now, algorithms);
            if self.0.iter().any(|anchor| signs(&anchor.der)) {
                return true;
            }
            let Some(next) = intermediates.iter().find(|authority| signs(authority)) else { return false };
            signed = next;
        }
        false
    }

    /// When the trusted authority ended that bears the name of a certificate's issuer, if it has ended.
    pub(super) fn ended(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Option<UnixTime> {
        let parsed = parse(certificate)?;
        let issuer = parsed.issuer().as_raw();
        let ended = self.0.iter().filter(|anchor| anchor.until < now.as_secs());
        let mut of_it = ended.filter(|anchor| parse(&anchor.der).is_some_and(|root| root.subject().as_raw() == issuer));
        of_it.next().map(|anchor| UnixTime::since_unix_epoch(std::time::Duration::from_secs(anchor.until)))
    }
}

/// Whether `authority` is one, valid at `now`, and has signed `certificate`.
fn signs(
    authority: &CertificateDer<'_>,
    certificate: &CertificateDer<'_>,
    now: UnixTime,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> bool {
    let (Some(authority), Some(signed)) = (parse(authority), parse(certificate)) else { return false };
    let second = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = authority.validity();
    let plain = matches!(authority.name_constraints(), Ok(None)) && matches!(authority.extended_key_usage(), Ok(None));
    let valid = validity.not_before.timestamp() <= second && second <= validity.not_after.timestamp();
    if !authority.is_ca() || !plain || !valid || authority.subject().as_raw() != signed.issuer().as_raw() {
        return false;
    }
    let oid = signed.signature_algorithm.algorithm.as_bytes();
    let key = &authority.public_key().subject_public_key.data;
    let message = signed.tbs_certificate.as_ref();
    // An algorithm's identifier begins with the tag and the length of its OID.
    let same = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
        algorithm.signature_alg_id().as_ref().get(2..).is_some_and(|id| id.starts_with(oid))
    };
    let verifies = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        algorithm.verify_signature(key, message, &signed.signature_value.data).is_ok()
    };
    algorithms.iter().filter(same).any(verifies)
}

/// Judges a server's certificate that is trusted by itself, or whose chain was found: its time, its name, and what it may be used for.
pub(super) fn check_leaf(leaf: &CertificateDer<'_>, server_name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    let refuse = |why| Err(Error::InvalidCertificate(why));
    // Critical extensions that are not known are refused here.
    let readable = ParsedCertificate::try_from(leaf)?;
    let Some(parsed) = parse(leaf) else { return refuse(CertificateError::BadEncoding) };
    let time =
        |seconds: i64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let (not_before, not_after) =
        (time(parsed.validity().not_before.timestamp()), time(parsed.validity().not_after.timestamp()));
    if now < not_before {
        return refuse(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if now > not_after {
        return refuse(CertificateError::ExpiredContext { time: now, not_after });
    }
    verify_server_name(&readable, server_name)?;
    match parsed.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.any && !usage.value.server_auth => refuse(CertificateError::InvalidPurpose),
        Ok(_) => Ok(()),
        Err(_) => refuse(CertificateError::BadEncoding),
    }
}

/// Whether a certificate is marked as that of an authority.
pub(super) fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_some_and(|parsed| parsed.is_ca())
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, parsed)| parsed)
}
