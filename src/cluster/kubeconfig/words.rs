//! What the client library says of a kubeconfig, a login or TLS → plain words, none of them of a library.

use ::kube::client::AuthError;
use ::kube::config::{InClusterError, KubeconfigError, LoadDataError};

use crate::printable::{self, os_error};

/// What is wrong with a kubeconfig.
pub(super) fn kubeconfig_words(error: &KubeconfigError) -> String {
    use KubeconfigError as E;
    match error {
        E::ReadConfig(error, _) => os_error(error),
        E::Parse(_) => "it does not parse as a kubeconfig".to_owned(),
        E::KindMismatch | E::ApiVersionMismatch => "it is no kubeconfig: it has another kind or apiVersion".to_owned(),
        E::CurrentContextNotSet => "it names no current context".to_owned(),
        E::LoadContext(_) => "it is empty".to_owned(),
        E::LoadClusterOfContext(cluster) => format!("its cluster \"{cluster}\" is not in the kubeconfig"),
        E::FindPath => "there is no home directory".to_owned(),
        E::MissingClusterUrl => "its cluster has no server".to_owned(),
        E::ParseClusterUrl(_) => "the server of its cluster is no URL".to_owned(),
        E::ParseProxyUrl(_) => "the proxy is no URL (proxy-url, HTTPS_PROXY)".to_owned(),
        E::LoadCertificateAuthority(error) => load("certificate-authority", error),
        E::LoadClientCertificate(error) => load("client-certificate", error),
        E::LoadClientKey(error) => load("client-key", error),
        E::ParseCertificates(_) => "its certificate-authority holds no PEM certificate".to_owned(),
    }
}

fn load(field: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => format!("its {field}-data is no base64"),
        LoadDataError::ReadFile(error, path) => format!("its {field} {}: {}", path.display(), os_error(error)),
        LoadDataError::NoBase64DataOrFile => format!("it has neither {field} nor {field}-data"),
    }
}

/// What keeps a client from being made.
pub(super) fn client_words(error: &::kube::Error) -> String {
    match error {
        ::kube::Error::InferKubeconfig(error) => kubeconfig_words(error),
        ::kube::Error::Auth(error) => auth_words(error),
        ::kube::Error::RustlsTls(_) => {
            "its certificates cannot be used: PEM certificates and a PEM key are wanted".to_owned()
        }
        ::kube::Error::ProxyProtocolDisabled { .. } | ::kube::Error::ProxyProtocolUnsupported { .. } => {
            "it has a proxy-url, which pullgate does not use".to_owned()
        }
        _ => "no client can be made of what the kubeconfig says".to_owned(),
    }
}

/// Why there is no login to send.
pub(in crate::cluster) fn auth_words(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecStart(error) => format!("its login command cannot be run: {}", os_error(error)),
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            let code =
                out.status.code().map_or_else(|| "by a signal".to_owned(), |code| format!("with exit code {code}"));
            printable::line(&format!("its login command ended {code}: {last}")).trim_end_matches([':', ' ']).to_owned()
        }
        AuthError::ReadTokenFile(error, path) => format!("its token file {}: {}", path.display(), os_error(error)),
        AuthError::MissingCommand => "its exec login names no command".to_owned(),
        AuthError::InvalidBasicAuth(_) | AuthError::InvalidBearerToken(_) => {
            "its user name, password or token has characters that no header can hold".to_owned()
        }
        _ => "its login command did not give a login".to_owned(),
    }
}

/// What is wrong with the files of a pod.
pub(super) fn pod_words(error: &InClusterError) -> String {
    match error {
        InClusterError::ReadDefaultNamespace(error) => format!("its namespace cannot be read: {}", os_error(error)),
        InClusterError::ReadCertificateBundle(error) => format!("its ca.crt cannot be read: {}", os_error(error)),
        InClusterError::ParseCertificates(_) => "its ca.crt holds no PEM certificate".to_owned(),
        InClusterError::ParseClusterPort(_) | InClusterError::ParseClusterUrl(_) => {
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no address".to_owned()
        }
        InClusterError::ReadEnvironmentVariable(_) => {
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set".to_owned()
        }
    }
}
