//! Addresses → the certificate that each replica shows to whoever asks. Nothing is sent and nothing is believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificates::provider;
use crate::registry::http::unverified::AnyServer;

/// For connecting and shaking hands.
const ANSWER: Duration = Duration::from_secs(3);

/// Replicas asked at once.
const AT_ONCE: usize = 16;

/// The chain that each of these shows for `name`; none for one that does not answer.
pub async fn shown(addresses: Vec<SocketAddr>, name: &str) -> Vec<Option<Vec<CertificateDer<'static>>>> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map(|config| config.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new())));
    let (Ok(config), Ok(name)) = (config, ServerName::try_from(name.to_owned())) else {
        return vec![None; addresses.len()];
    };
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let asked = addresses.into_iter().map(|address| {
        let (connector, name) = (connector.clone(), name.clone());
        async move {
            let shaking = async {
                let stream = TcpStream::connect(address).await.ok()?;
                let stream = connector.connect(name, stream).await.ok()?;
                stream.get_ref().1.peer_certificates().map(<[_]>::to_vec)
            };
            timeout(ANSWER, shaking).await.ok().flatten()
        }
    });
    stream::iter(asked).buffered(AT_ONCE).collect().await
}
