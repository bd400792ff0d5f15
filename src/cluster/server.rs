//! An API server as it is named to people, and what kept a call to it from an answer.

use std::error::Error as _;
use std::fmt;
use std::io;

use ::kube::Config;

use super::kubeconfig::auth_words;
use crate::printable;

/// The address of an API server and the context that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Without a login that may stand in it.
    address: String,
    /// None: the pod's own.
    context: Option<String>,
    /// The namespace of the context, or of the pod.
    namespace: String,
}

// === impl Server ===

impl Server {
    pub(super) fn new(config: &Config, context: Option<String>) -> Self {
        let url = &config.cluster_url;
        let (scheme, host) = (url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default());
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = url.path().trim_end_matches('/');
        let namespace = Some(&config.default_namespace).filter(|name| !name.is_empty());
        Self {
            address: format!("{scheme}://{host}{port}{path}"),
            context,
            namespace: namespace.map_or_else(|| "default".to_owned(), String::clone),
        }
    }

    /// The namespace of objects that name none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.context {
            Some(context) => write!(f, "{} (context \"{}\")", self.address, printable::line(context)),
            None => write!(f, "{} (of this pod)", self.address),
        }
    }
}

/// What kept a call from an answer, as a predicate of the API server: `refused the connection`.
pub(super) fn cause(error: &::kube::Error) -> String {
    match error {
        ::kube::Error::Auth(error) => return format!("could not be logged in to: {}", auth_words(error)),
        ::kube::Error::SerdeError(_) | ::kube::Error::FromUtf8(_) => {
            return "sent something that is no answer of an API server".to_owned();
        }
        _ => {}
    }
    let mut link = error.source();
    while let Some(current) = link {
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return tls_words(tls);
        }
        if let Some(error) = current.downcast_ref::<io::Error>()
            && let Some(words) = io_words(error)
        {
            return words;
        }
        let text = current.to_string();
        if text.starts_with("dns error") {
            return "has a name that does not resolve".to_owned();
        }
        if text.contains("connection closed") || text.contains("end of file") {
            return "closed the connection before it answered".to_owned();
        }
        // An error that wraps another gives that one's source as its own.
        link = current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as _)
            .or_else(|| current.source());
    }
    "is not reachable".to_owned()
}

fn io_words(error: &io::Error) -> Option<String> {
    let words = match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused the connection",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => "closed the connection before it answered",
        io::ErrorKind::TimedOut => "did not answer in time",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "has an address that no route leads to",
        _ => return None,
    };
    Some(words.to_owned())
}

fn tls_words(error: &rustls::Error) -> String {
    use rustls::{CertificateError as C, Error as E};
    let words = match error {
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => "shows a certificate that has expired",
        E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "shows a certificate for another name"
        }
        E::InvalidCertificate(C::UnknownIssuer) => {
            "shows a certificate that the certificate-authority of the kubeconfig did not sign"
        }
        E::InvalidCertificate(_) => "shows a certificate that cannot be trusted",
        E::InvalidMessage(_) => "does not speak TLS",
        E::AlertReceived(_) => "refused the TLS handshake",
        _ => "failed in the TLS handshake",
    };
    words.to_owned()
}
