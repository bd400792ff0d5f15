//! An authority's file and names → whether who called is an API server that shows its client certificate.
//!
//! A certificate of somebody else is no reason to refuse the connection, because a request that is refused is a pod that is
//! not created: such a caller is one without a certificate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::tls::{TlsError, read};
use crate::certificates::provider;
use crate::certificates::read::{certificates, names};

/// The flag that names the authority.
const FLAG: &str = "--client-ca-file";

/// Put into every request of a connection whose client certificate is an API server's.
#[derive(Clone, Copy, Debug)]
pub struct Authenticated;

/// Who may sign API servers' client certificates, and for which names.
#[derive(Debug)]
pub struct ClientAuthority {
    file: PathBuf,
    names: Vec<String>,
    current: RwLock<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    pem: Vec<u8>,
    verifier: Arc<dyn ClientCertVerifier>,
}

// === impl ClientAuthority ===

impl ClientAuthority {
    /// Reads and checks the file; without names every certificate of the authority counts.
    ///
    /// # Errors
    /// One sentence with flag and file.
    pub fn load(file: PathBuf, names: Vec<String>) -> Result<Self, TlsError> {
        let current = RwLock::new(load(&file)?);
        Ok(Self { file, names, current })
    }

    /// Reads the file again; says whether it holds something new. On an error, what was loaded before stays in use.
    ///
    /// # Errors
    /// As [`ClientAuthority::load`].
    pub fn reload(&self) -> Result<bool, TlsError> {
        let loaded = load(&self.file)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let new = loaded.pem != current.pem;
        *current = loaded;
        Ok(new)
    }

    /// Whether this chain, whose key the caller has, is an API server's.
    pub(super) fn knows(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((leaf, rest)) = chain.split_first() else { return false };
        #[expect(clippy::disallowed_methods, reason = "a handshake is now; rustls would read the same clock")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let named = || self.names.is_empty() || names(leaf).iter().any(|name| self.names.contains(name));
        self.verifier().verify_client_cert(leaf, rest, UnixTime::since_unix_epoch(now)).is_ok() && named()
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).verifier)
    }
}

impl ClientCertVerifier for ClientAuthority {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: whoever has one certificate shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Any, here; [`ClientAuthority::knows`] judges after the handshake.
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}

fn load(file: &Path) -> Result<Current, TlsError> {
    let pem = read(FLAG, file)?;
    let refuse = |reason: &str| TlsError::Content { flag: FLAG, file: file.to_path_buf(), reason: reason.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&pem) {
        roots.add(certificate).map_err(|error| refuse(&format!("a certificate cannot be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(refuse("the file holds no certificate: give PEM with BEGIN CERTIFICATE"));
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| refuse(&format!("the certificates cannot be used: {error}")))?;
    Ok(Current { pem, verifier })
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };

    use super::*;

    struct Signer(Issuer<'static, KeyPair>, String);

    fn signer() -> Signer {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Signer(Issuer::new(params, key), pem)
    }

    fn client(
        signer: &Signer,
        common_name: &str,
        other: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![other.to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![usage];
        params.signed_by(&KeyPair::generate().unwrap(), &signer.0).unwrap().der().clone()
    }

    #[test]
    fn an_api_server_is_known_by_authority_name_and_usage() {
        let (own, other) = (signer(), signer());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, &own.1).unwrap();
        let any = ClientAuthority::load(file.clone(), Vec::new()).unwrap();
        let named = ClientAuthority::load(file.clone(), vec!["api".to_owned(), "api.example".to_owned()]).unwrap();
        let to_call = ExtendedKeyUsagePurpose::ClientAuth;
        for (certificate, by_any, by_name) in [
            (client(&own, "api", "x.example", to_call.clone()), true, true),
            (client(&own, "x", "api.example", to_call.clone()), true, true),
            (client(&own, "x", "x.example", to_call.clone()), true, false),
            (client(&own, "api", "x.example", ExtendedKeyUsagePurpose::ServerAuth), false, false),
            (client(&other, "api", "x.example", to_call.clone()), false, false),
        ] {
            let who = names(&certificate);
            let chain = [certificate];
            assert_eq!((any.knows(&chain), named.knows(&chain)), (by_any, by_name), "{who:?}");
        }
        assert!(!any.knows(&[]));
        std::fs::write(&file, "garbage").unwrap();
        assert!(any.reload().unwrap_err().to_string().starts_with("--client-ca-file "));
        std::fs::write(&file, &other.1).unwrap();
        assert!(any.reload().unwrap() && any.knows(&[client(&other, "x", "x.example", to_call)]));
    }
}
