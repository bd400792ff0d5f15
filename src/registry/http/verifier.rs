//! A server's certificate against the authorities that are trusted; one that nobody known has signed is refused with the
//! names that stand in it.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::anchors::{self, Anchors, Valid};
use super::certificate::Names;
use super::phase::{self, Phase};

/// Verifies as Go does, by way of webpki.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    anchors: Anchors,
    /// What holds for the authorities that are valid now, and until when.
    now: Mutex<Option<Held>>,
}

/// webpki's verifier, none where no authority is valid, and from when until when it holds.
#[derive(Debug)]
struct Held {
    from: UnixTime,
    until: UnixTime,
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

/// A certificate that no trusted authority has signed.
#[derive(Debug, thiserror::Error)]
#[error("certificate of {} signed by {}, who is not known", names.subject, names.issuer)]
pub(super) struct UnknownAuthority {
    pub(super) names: Names,
    /// One of that name is trusted, and it is not this one.
    pub(super) namesake: bool,
}

/// A certificate that a trusted authority has signed, whose own time is over.
#[derive(Debug, thiserror::Error)]
#[error("certificate signed by {issuer}, whose own has expired")]
pub(super) struct EndedAuthority {
    pub(super) issuer: String,
    pub(super) until: UnixTime,
}

// === impl Verifier ===

impl Verifier {
    /// A verifier that trusts these certificates; with none of them nobody is believed.
    pub(super) fn new(trusted: Vec<CertificateDer<'static>>) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Self { provider, anchors: Anchors::new(trusted), now: Mutex::default() }
    }

    /// webpki's verifier with the authorities that are valid at `now`; `None` where there are none.
    fn webpki(&self, now: UnixTime) -> Option<Arc<WebPkiServerVerifier>> {
        let mut held = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Held { from, until, verifier }) = &*held
            && (*from..*until).contains(&now)
        {
            return verifier.clone();
        }
        let Valid { roots, until } = self.anchors.valid(now);
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok();
        *held = Some(Held { from: now, until, verifier: verifier.clone() });
        verifier
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
        if self.anchors.hold(end_entity) {
            return anchors::check_leaf(end_entity, server_name, now).map(|()| ServerCertVerified::assertion());
        }
        let verified = match self.webpki(now) {
            Some(webpki) => webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        let namesake = match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => false,
            // The signature was held against the key of an authority that was found by its name.
            Err(Error::InvalidCertificate(CertificateError::BadSignature)) => true,
            // webpki refuses the certificate of an authority before it looks for who signed it; Go does not care.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if anchors::is_authority(end_entity) => {
                if self.anchors.chain_to(
                    end_entity,
                    intermediates,
                    now,
                    self.provider.signature_verification_algorithms.all,
                ) {
                    return anchors::check_leaf(end_entity, server_name, now).map(|()| ServerCertVerified::assertion());
                }
                false
            }
            verified => return verified,
        };
        let Some(names) = Names::of(end_entity) else { return verified };
        let last = intermediates.last().unwrap_or(end_entity);
        let error = match self.anchors.ended(last, now).or_else(|| self.anchors.ended(end_entity, now)) {
            Some(until) => OtherError(Arc::new(EndedAuthority { issuer: names.issuer, until })),
            None => OtherError(Arc::new(UnknownAuthority { names, namesake })),
        };
        Err(Error::InvalidCertificate(CertificateError::Other(error)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        phase::reached(Phase::Answer);
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        phase::reached(Phase::Answer);
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
