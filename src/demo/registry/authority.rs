//! A certificate authority that lives as long as the process: names in, serving certificates out. One authority can
//! serve several registries and the demo's webhook, so a client trusts a single root.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::rustls;

/// The names under which a listener on loopback is reached.
pub const LOOPBACK_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

const DAY: Duration = Duration::from_hours(24);

/// Signs serving certificates with a key that never leaves memory.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A serving certificate with its key, both as PEM.
pub struct ServingCertificate {
    /// The leaf certificate.
    pub certificate_pem: String,
    /// Its private key (PKCS #8).
    pub key_pem: SecretString,
}

/// What is wrong, if anything, with the certificate that a listener shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// Valid now, for the loopback names.
    #[default]
    Valid,
    /// Valid now, for another name.
    WrongName,
    /// For the right names, but its time is over.
    Expired,
}

// === impl Authority ===

impl Authority {
    /// Makes a new key and root certificate, valid from yesterday for thirty days.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut params = validity(Vec::new(), DAY, DAY * 30)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "pullgate demo authority");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The root certificate to trust, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `names` (DNS names or addresses), valid from yesterday for thirty days.
    pub fn issue(&self, names: &[&str]) -> Result<ServingCertificate, rcgen::Error> {
        self.sign(validity(owned(names), DAY, DAY * 29)?)
    }

    /// A certificate for `names` that expired an hour ago.
    pub fn issue_expired(&self, names: &[&str]) -> Result<ServingCertificate, rcgen::Error> {
        let mut params = validity(owned(names), DAY, DAY)?;
        params.not_after = (now() - Duration::from_hours(1)).into();
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<ServingCertificate, rcgen::Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "pullgate demo");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServingCertificate { certificate_pem: certificate.pem(), key_pem: key.serialize_pem().into() })
    }

    /// The TLS settings of a listener that shows `certificate` and speaks HTTP/1.1.
    pub(super) fn server_config(&self, certificate: Certificate) -> std::io::Result<rustls::ServerConfig> {
        let leaf = match certificate {
            Certificate::Valid => self.issue(&LOOPBACK_NAMES),
            Certificate::WrongName => self.issue(&["another-registry.invalid"]),
            Certificate::Expired => self.issue_expired(&LOOPBACK_NAMES),
        }
        .map_err(std::io::Error::other)?;
        let chain =
            vec![CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).map_err(std::io::Error::other)?];
        let key =
            PrivateKeyDer::from_pem_slice(leaf.key_pem.expose_secret().as_bytes()).map_err(std::io::Error::other)?;
        // Named, not taken from the process: the demo may start before or after the process chose a provider.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = rustls::ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(std::io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Explicit dates: the library's own defaults reach from 1975 to 4096, which strict clients refuse.
fn validity(names: Vec<String>, past: Duration, future: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.not_before = (now() - past).into();
    params.not_after = (now() + future).into();
    Ok(params)
}

#[expect(clippy::disallowed_methods, reason = "a certificate is valid by the clock that its clients read")]
fn now() -> SystemTime {
    jiff::Timestamp::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_key() {
        let authority = Authority::new().unwrap();
        let leaf = authority.issue(&["localhost"]).unwrap();
        assert!(leaf.key_pem.expose_secret().contains("PRIVATE KEY"));
        assert!(!format!("{authority:?} {leaf:?}").contains("PRIVATE KEY"));
    }
}
