//! A server's certificate against the authorities that are trusted; one that nobody known has signed is refused with the
//! names that stand in it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Names;
use super::phase::{self, Phase};

/// Verifies as rustls does.
#[derive(Debug)]
pub(super) struct Verifier(Arc<WebPkiServerVerifier>);

/// A certificate that no trusted authority has signed.
#[derive(Debug, thiserror::Error)]
#[error("certificate of {} signed by {}, who is not known", names.subject, names.issuer)]
pub(super) struct UnknownAuthority {
    pub(super) names: Names,
    /// One of that name is trusted, and it is not this one.
    pub(super) namesake: bool,
}

// === impl Verifier ===

impl Verifier {
    /// A verifier with these authorities; `None` where there are none.
    pub(super) fn new(roots: &Arc<RootCertStore>) -> Option<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider).build().ok().map(Self)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let namesake = match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => false,
            // The signature was held against the key of an authority that was found by its name.
            Err(Error::InvalidCertificate(CertificateError::BadSignature)) => true,
            verified => return verified,
        };
        let Some(names) = Names::of(end_entity) else { return verified };
        let unknown = OtherError(Arc::new(UnknownAuthority { names, namesake }));
        Err(Error::InvalidCertificate(CertificateError::Other(unknown)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        phase::reached(Phase::Answer);
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        phase::reached(Phase::Answer);
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
