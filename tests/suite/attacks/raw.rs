//! Servers below HTTP: TLS on loopback, and every byte after it is the test's.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::World;

/// One accepted connection.
pub(super) type Stream = TlsStream<TcpStream>;

/// Asks for a client certificate, and takes any or none.
#[derive(Debug)]
struct AnyClient;

/// Serves each connection with `talk` under a certificate for `name` and `localhost`, speaking `alpn`; the port.
pub(super) async fn serve<F>(world: &World, name: &str, alpn: &str, talk: impl Fn(Stream) -> F + Send + 'static) -> u16
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let issued = world.authority().issue(&[name, "localhost", "127.0.0.1"]).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.expose_secret().as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(Arc::new(AnyClient))
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the test's runtime.
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                // The client leaves when it has had enough.
                tokio::spawn(talk(stream));
            }
        }
    });
    port
}

/// Reads one request head and writes `head`, then `again` for as long as the client listens.
pub(super) async fn answer_for_ever(mut stream: Stream, head: String, again: String) -> std::io::Result<()> {
    request(&mut stream).await?;
    stream.write_all(head.as_bytes()).await?;
    while !again.is_empty() {
        stream.write_all(again.as_bytes()).await?;
        stream.flush().await?;
        tokio::task::yield_now().await;
    }
    stream.flush().await?;
    stream.shutdown().await
}

/// The head of one request.
pub(super) async fn request(stream: &mut Stream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Whether the client has shown a certificate.
pub(super) fn certified(stream: &Stream) -> bool {
    stream.get_ref().1.peer_certificates().is_some()
}

// === impl AnyClient ===

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}
