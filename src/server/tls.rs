//! PEM files → a certificate that is checked before it is used and can change while connections live on.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::clients::ClientAuthority;
use crate::certificates::{keys, provider};

/// The flag that names the certificate.
const CERT_FLAG: &str = "--tls-cert-file";
/// The flag that names its key.
const KEY_FLAG: &str = "--tls-private-key-file";

/// A chain with its key is a few kilobytes; a file of this size is something else.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Validity of a certificate made here, and the allowance for clocks that lag behind.
const SELF_SIGNED_VALIDITY: Duration = Duration::from_hours(90 * 24);
const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM certificates, the server's own first.
    pub cert: PathBuf,
    /// PEM private key of the first certificate.
    pub key: PathBuf,
}

/// The server's certificate and key; what a handshake gets is what was loaded last.
#[derive(Debug)]
pub struct Certificate {
    files: Option<TlsFiles>,
    current: RwLock<Option<Arc<CertifiedKey>>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file does not open, or does not end.
    #[error("{flag} {}: cannot read the file: {reason}", file.display())]
    Read {
        /// The flag that named the file.
        flag: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A file is readable and is not what it should be.
    #[error("{flag} {}: {reason}", file.display())]
    Content {
        /// The flag that named the file.
        flag: &'static str,
        /// The file.
        file: PathBuf,
        /// What it should be.
        reason: String,
    },
    /// Both files are good, but not for each other.
    #[error(
        "{KEY_FLAG} {} does not belong to the certificate in {CERT_FLAG} {}: give the key that the certificate was made for",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        cert: PathBuf,
    },
    /// A Secret holds something else.
    #[error("{key}: {reason}")]
    Secret {
        /// The key in the Secret.
        key: &'static str,
        /// What it should be.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    Generate(String),
    /// TLS itself does not start.
    #[error("cannot set up TLS: {0}")]
    Setup(Error),
}

/// TLS 1.2 and 1.3, `http/1.1` only (all that API servers speak to webhooks), no client certificates.
///
/// There is no resumption: API servers keep no sessions, and every new connection should see the newest certificate.
pub fn server_config(certificate: Arc<Certificate>) -> Result<ServerConfig, TlsError> {
    server_config_with(certificate, None)
}

/// The same, asking for client certificates where there is somebody to know them.
pub fn server_config_with(
    certificate: Arc<Certificate>,
    clients: Option<Arc<ClientAuthority>>,
) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Setup)?;
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(clients),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

// === impl Certificate ===

impl Certificate {
    /// Reads and checks both files.
    ///
    /// # Errors
    /// One sentence with flag and file: not readable, not PEM, a key of an unknown kind, or a key of another certificate.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = RwLock::new(Some(Arc::new(load(&files)?)));
        Ok(Self { files: Some(files), current })
    }

    /// No certificate yet: until one is [put](Self::put) here, no handshake succeeds.
    pub fn awaited() -> Self {
        Self { files: None, current: RwLock::new(None) }
    }

    /// Takes a certificate and its key from a Secret; says whether they are new. On an error, what was there before stays in
    /// use.
    ///
    /// # Errors
    /// As [`Certificate::load`], with the Secret's key for the file.
    pub fn put(&self, chain: &[u8], private_key: &[u8]) -> Result<bool, TlsError> {
        let loaded = certified(chain, private_key).map_err(|flaw| match flaw {
            Flaw::Chain(reason) => TlsError::Secret { key: keys::TLS_CRT, reason },
            Flaw::Key(reason) => TlsError::Secret { key: keys::TLS_KEY, reason },
            Flaw::Mismatch => {
                let reason = "it does not belong to the certificate in tls.crt".to_owned();
                TlsError::Secret { key: keys::TLS_KEY, reason }
            }
        })?;
        Ok(self.replace(loaded))
    }

    /// The certificates that are shown, the own one first; none if there are none yet.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current().map(|current| current.cert.clone()).unwrap_or_default()
    }

    /// Makes a certificate authority, and with it a certificate for `names` (host names and addresses) that is valid for
    /// 90 days. Returns the authority's certificate as PEM; its key is forgotten.
    pub fn self_signed(names: &[impl AsRef<str>]) -> Result<(Self, String), TlsError> {
        let (certified_key, authority) = generate(names).map_err(|error| TlsError::Generate(error.to_string()))?;
        let certified_key = certified_key.map_err(|error| TlsError::Generate(error.to_string()))?;
        Ok((Self { files: None, current: RwLock::new(Some(Arc::new(certified_key))) }, authority))
    }

    /// Reads the files again; says whether they hold something new. On an error, what was loaded before stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Some(files) = &self.files else { return Ok(false) };
        Ok(self.replace(load(files)?))
    }

    fn replace(&self, loaded: CertifiedKey) -> bool {
        // The key fits the certificate, so a new key shows in the certificate too.
        if self.current().is_some_and(|current| current.cert == loaded.cert) {
            return false;
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(loaded));
        true
    }

    /// The files to watch; none if the certificate was made here.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.iter().flat_map(|files| [files.cert.clone(), files.key.clone()]).collect()
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// What is wrong with a certificate and its key.
enum Flaw {
    Chain(String),
    Key(String),
    Mismatch,
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let TlsFiles { cert, key } = files;
    let content = |flag, file: &Path, reason: String| TlsError::Content { flag, file: file.to_owned(), reason };
    certified(&read(CERT_FLAG, cert)?, &read(KEY_FLAG, key)?).map_err(|flaw| match flaw {
        Flaw::Chain(reason) => content(CERT_FLAG, cert, format!("the file {reason}")),
        Flaw::Key(reason) => content(KEY_FLAG, key, format!("the file {reason}")),
        Flaw::Mismatch => TlsError::Mismatch { key: key.clone(), cert: cert.clone() },
    })
}

fn certified(chain: &[u8], private_key: &[u8]) -> Result<CertifiedKey, Flaw> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| Flaw::Chain(format!("is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(Flaw::Chain("holds no certificate: give PEM with BEGIN CERTIFICATE".to_owned()));
    }
    let private_key = PrivateKeyDer::from_pem_slice(private_key)
        .map_err(|_| Flaw::Key("holds no private key: give PEM with BEGIN PRIVATE KEY".to_owned()))?;
    let signing_key = provider()
        .key_provider
        .load_private_key(private_key)
        .map_err(|error| Flaw::Key(format!("holds a private key that cannot be used: {error}")))?;
    let certified_key = CertifiedKey::new(chain, signing_key);
    match certified_key.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified_key),
        Err(Error::InconsistentKeys(_)) => Err(Flaw::Mismatch),
        Err(error) => Err(Flaw::Chain(format!("holds a certificate that cannot be used: {error}"))),
    }
}

pub(super) fn read(flag: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    let refuse = |reason| TlsError::Read { flag, file: file.to_owned(), reason };
    let mut bytes = Vec::new();
    File::open(file).and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(refuse)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(refuse(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
    }
    Ok(bytes)
}

type Generated = (Result<CertifiedKey, Error>, String);

fn generate(names: &[impl AsRef<str>]) -> Result<Generated, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = params(&[], "pullgate self-signed authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_pem = authority.self_signed(&authority_key)?.pem();

    let key = KeyPair::generate()?;
    let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
    let mut server = params(&names, "pullgate")?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;

    let private_key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let certified_key = CertifiedKey::from_der(vec![certificate.into()], private_key.into(), &provider());
    Ok((certified_key, authority_pem))
}

fn params(names: &[String], common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // Left alone, these would be the years 1975 and 4096.
    #[expect(clippy::disallowed_methods, reason = "a certificate is dated when it is made, and nothing decides on it")]
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + SELF_SIGNED_VALIDITY).into();
    Ok(params)
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    /// PEM of a new certificate for `localhost` and of its key.
    pub(crate) fn pem_pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = params(&["localhost".to_owned()], "localhost").unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// A new certificate and its key in files.
    pub(crate) fn write_pair(dir: &Path) -> TlsFiles {
        let (cert, key) = pem_pair();
        let files = TlsFiles { cert: dir.join("tls.crt"), key: dir.join("tls.key") };
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
        files
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_one_sentence_with_flag_and_file() {
        let dir = tempfile::tempdir().unwrap();
        let ((cert, key), (_, other_key)) = (pem_pair(), pem_pair());
        let broken = cert.replace("MII", "MI");
        for (cert, key, expected) in [
            (None, Some(key.as_str()), "--tls-cert-file {cert}: cannot read the file: No such file"),
            (Some(cert.as_str()), None, "--tls-private-key-file {key}: cannot read the file: No such file"),
            (Some(""), Some(&key), "--tls-cert-file {cert}: the file holds no certificate"),
            (Some(&key), Some(&key), "--tls-cert-file {cert}: the file holds no certificate"),
            (Some(&broken), Some(&key), "--tls-cert-file {cert}: the "),
            (Some(&cert), Some(&cert), "--tls-private-key-file {key}: the file holds no private key"),
            (Some(&cert), Some("secret"), "--tls-private-key-file {key}: the file holds no private key"),
            (Some(&cert), Some(&other_key), "--tls-private-key-file {key} does not belong to the certificate in"),
        ] {
            let files = TlsFiles { cert: dir.path().join("tls.crt"), key: dir.path().join("tls.key") };
            for (file, text) in [(&files.cert, cert), (&files.key, key)] {
                match text {
                    Some(text) => fs::write(file, text).unwrap(),
                    None => fs::remove_file(file).unwrap_or_default(),
                }
            }
            let expected = expected
                .replace("{cert}", &files.cert.display().to_string())
                .replace("{key}", &files.key.display().to_string());
            let error = Certificate::load(files).unwrap_err().to_string();
            assert!(error.starts_with(&expected) && !error.contains('\n'), "{expected}\n{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_bad_reload_keeps_what_was_good() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = Certificate::load(write_pair(dir.path())).unwrap();
        let first = certificate.chain();
        assert!(!certificate.reload().unwrap(), "nothing new");

        fs::write(dir.path().join("tls.key"), pem_pair().1).unwrap();
        assert!(matches!(certificate.reload(), Err(TlsError::Mismatch { .. })));
        assert_eq!(first, certificate.chain());

        write_pair(dir.path());
        assert!(certificate.reload().unwrap());
        assert_ne!(first, certificate.chain());
    }

    #[test]
    fn the_key_is_not_printed() {
        let (certificate, _) = Certificate::self_signed(&["localhost"]).unwrap();
        let printed = format!("{certificate:?}");
        assert!(!printed.to_lowercase().contains("private"), "{printed}");
    }
}
