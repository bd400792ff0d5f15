//! Flags around the serving certificate: those of `keep`, and those of `serve` about certificates and callers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::{KubeArgs, duration};

/// Who makes certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Certificates {
    /// The keeper
    SelfManaged,
    /// Somebody else: only the path segment is kept
    External,
}

/// Flags of `keep`.
#[derive(Debug, clap::Args)]
pub struct KeepArgs {
    /// The Service in front of the replicas
    #[arg(long, env = "PULLGATE_SERVICE", default_value = "pullgate", value_name = "NAME")]
    pub service: String,
    /// Namespace of the Service, the Secrets and the Lease (default: the pod's own)
    #[arg(long, env = "PULLGATE_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The `ValidatingWebhookConfiguration` and the `MutatingWebhookConfiguration` of this name
    #[arg(long, env = "PULLGATE_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    pub webhook_configuration: String,
    /// Secret of the serving certificate and the path segment (default: SERVICE-tls)
    #[arg(long, env = "PULLGATE_TLS_SECRET", value_name = "NAME")]
    pub tls_secret: Option<String>,
    /// Secret of the certificate authority (default: SERVICE-ca)
    #[arg(long, env = "PULLGATE_CA_SECRET", value_name = "NAME")]
    pub ca_secret: Option<String>,
    /// Lease by which one of several keepers is the one that writes (default: SERVICE-keeper)
    #[arg(long, env = "PULLGATE_LEASE", value_name = "NAME")]
    pub lease: Option<String>,
    /// Who makes certificates
    #[arg(long, env = "PULLGATE_CERTIFICATES", default_value = "self-managed", value_name = "WHO")]
    pub certificates: Certificates,
    /// Lifetime of a certificate authority; replaced when two thirds of it are over
    #[arg(long, env = "PULLGATE_CA_LIFETIME", default_value = "87600h", value_parser = duration, value_name = "DURATION")]
    pub ca_lifetime: Duration,
    /// Lifetime of a serving certificate; renewed when two thirds of it are over
    #[arg(long, env = "PULLGATE_LEAF_LIFETIME", default_value = "2160h", value_parser = duration, value_name = "DURATION")]
    pub leaf_lifetime: Duration,
    /// How often everything is looked at
    #[arg(long, env = "PULLGATE_EVERY", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub every: Duration,
    /// How long after a change of the webhook objects until every API server is taken to know it
    #[arg(long, env = "PULLGATE_SETTLE", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub settle: Duration,
    /// Address of /livez, /readyz and /metrics (plain HTTP)
    #[arg(long, env = "PULLGATE_ADMIN_LISTEN", default_value = "0.0.0.0:9090", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// Which cluster, said as kubectl takes it
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Log filter: error, warn, info, debug, trace, or per module
    #[arg(long, env = "PULLGATE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// Log format
    #[arg(long, env = "PULLGATE_LOG_FORMAT", default_value = "json", value_name = "FORMAT")]
    pub log_format: crate::telemetry::LogFormat,
}

/// Flags of `serve`: where the certificate comes from, and who is told everything.
#[derive(Debug, clap::Args)]
pub struct TlsArgs {
    /// Serving certificate with its chain (PEM); watched
    #[arg(
        long,
        env = "PULLGATE_TLS_CERT_FILE",
        value_name = "FILE",
        requires = "tls_private_key_file",
        required_unless_present = "tls_secret",
        conflicts_with = "tls_secret"
    )]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key (PEM); watched
    #[arg(long, env = "PULLGATE_TLS_PRIVATE_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// Secret with certificate, key and path segment, in the own namespace; instead of files, read every 5 s
    #[arg(long, env = "PULLGATE_TLS_SECRET", value_name = "NAME")]
    pub tls_secret: Option<String>,
    /// Path segment by which API servers are known; watched
    #[arg(long, env = "PULLGATE_PATH_FILE", value_name = "FILE", conflicts_with = "tls_secret")]
    pub path_file: Option<PathBuf>,
    /// Be ready only while the certificate chains to the bundle in the webhook configurations of this name
    #[arg(long, env = "PULLGATE_WEBHOOK_CONFIGURATION", value_name = "NAME", requires = "service")]
    pub webhook_configuration: Option<String>,
    /// The Service by which API servers call
    #[arg(long, env = "PULLGATE_SERVICE", value_name = "NAME")]
    pub service: Option<String>,
    /// Authority of the API servers' client certificates (PEM); watched
    #[arg(long, env = "PULLGATE_CLIENT_CA_FILE", value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// Name of an API server in its client certificate; may be given several times (default: any name)
    #[arg(
        long = "client-name",
        env = "PULLGATE_CLIENT_NAME",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "client_ca_file"
    )]
    pub client_names: Vec<String>,
}
