//! The commands behind the flags: what each reads, runs and prints.

pub mod check;
mod docker_config;
pub mod doctor;
pub mod explain;
mod input;
pub mod keep;
pub mod rbac;
pub mod release;
pub mod serve;
mod sharing;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::args::{KubeArgs, NodeArgs, SourceArgs};
use crate::check::Engine;
use crate::cluster::files::{FileCluster, FileClusterError};
use crate::cluster::{Cluster, KubeCluster, KubeError, KubeTokens, NoCluster, ReleaseError, Unnamed};
use crate::config::{self, ConfigError};
use crate::manifests::ManifestError;
use crate::metrics::Metrics;
use crate::node_credentials::{self, DeclarationError, Declared, NodeCredentials};
use crate::policy::{Pattern, Policy};
use crate::printable::{self, os_error};
use crate::registry::Registry;
use crate::registry::guard::Guard;
use crate::registry::hosts::Ways;
use crate::registry::hosts::directory::{self, CertsDirError};
use crate::registry::http::HttpTransport;
use crate::registry::proxies::{Proxies, ProxyError};
use crate::registry::transport::{Profile, Transport};
use crate::resolver::Resolver;
use crate::server::{ServerError, TlsError};
use crate::telemetry::TelemetryError;
use crate::time::Clock;

/// What ends a command before it has done its work. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration file cannot be read.
    #[error("--config {path}: {}", os_error(.source))]
    ConfigFile {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The configuration is wrong.
    #[error("--config {0}")]
    Config(#[from] ConfigError),
    /// A file that a registry's rule names is not usable.
    #[error("--config registries, host \"{host}\": {reason}")]
    Registry {
        /// The rule.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// A proxy variable of the environment is not usable.
    #[error("environment: {0}")]
    Proxy(#[from] ProxyError),
    /// The directory of the nodes' registry hosts is not usable.
    #[error("--config nodes.certsDir: {0}")]
    CertsDir(#[from] CertsDirError),
    /// A file of the shared cache is not usable.
    #[error("--config cache.shared.{key}: {path}: {reason}")]
    SharedCache {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that it names is not usable.
    #[error("--config nodes.certsDir: {path}/hosts.toml: {reason}")]
    Hosts {
        /// The directory of the `hosts.toml`.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The files given as a cluster are wrong.
    #[error("{0}")]
    Cluster(#[from] FileClusterError),
    /// The cluster cannot be reached.
    #[error("{0}")]
    Kube(#[from] KubeError),
    /// There is no cluster.
    #[error("{} or --cluster-from PATH", KubeError::NoCluster(.0.clone()))]
    NoCluster(Unnamed),
    /// Objects of one's own need to be somewhere.
    #[error("{flag}: not in a pod, so give the namespace that pullgate itself runs in")]
    NoNamespace {
        /// The flag that names it.
        flag: &'static str,
    },
    /// The path segment cannot be used.
    #[error("--path-file {path}: {reason}")]
    PathFile {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// What is declared of nodes is wrong.
    #[error("--image-credential-provider-config {0}")]
    NodeCredentials(#[from] DeclarationError),
    /// A manifest is wrong.
    #[error("--file {0}")]
    Manifest(#[from] ManifestError),
    /// The image given does not parse.
    #[error("{image}: {reason}")]
    Image {
        /// As given.
        image: String,
        /// What is wrong.
        reason: String,
    },
    /// The local docker configuration cannot be read.
    #[error("--docker-config {path}: {reason}")]
    DockerConfig {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Nothing says where the docker configuration is.
    #[error("--docker-config: neither DOCKER_CONFIG nor a home directory says where it is; give a file")]
    NoDockerConfig,
    /// Two reports for one standard output.
    #[error("--output: only one report can go to standard output; send the others to files, as in --output sarif=FILE")]
    Outputs,
    /// A report cannot be written.
    #[error("--output {path}: {}", os_error(.source))]
    OutputFile {
        /// Where to.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The server cannot start.
    #[error("{0}")]
    Server(#[from] ServerError),
    /// The serving certificate is not usable.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The log cannot be set up.
    #[error("{0}")]
    Telemetry(#[from] TelemetryError),
    /// The runtime or standard output failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The cluster did not do what it was asked.
    #[error("{0}")]
    Release(#[from] ReleaseError),
    /// Neither manifests nor namespaces.
    #[error("rbac generate: say where to look: -A, --namespace NAMESPACE or --file FILE")]
    Nowhere,
    /// The demonstration did not go as it must.
    #[error("demo: {0}")]
    Demo(String),
}

/// How often files and objects are compared with what was loaded.
const POLL: Duration = Duration::from_secs(5);

/// Where a pod finds the namespace it runs in.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The namespace that a flag names, else the pod's own.
fn own_namespace(named: Option<String>) -> Option<String> {
    named.or_else(|| std::fs::read_to_string(NAMESPACE_FILE).ok())
}

/// Writes the sentence to standard error.
pub fn print_error(error: &CommandError) {
    // Without a standard error there is nobody to tell.
    _ = writeln!(io::stderr(), "pullgate: {}", printable::lines(&error.to_string()));
}

/// Writes a line to standard error.
fn warn(text: &str) {
    // Without a standard error there is nobody to tell.
    _ = writeln!(io::stderr(), "pullgate: {}", printable::line(text));
}

/// Writes to standard output; a reader that has gone away is no error.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A cluster, and who makes tokens there.
#[derive(Debug)]
pub struct Opened {
    /// Where objects are read.
    pub cluster: Arc<dyn Cluster>,
    /// None for files.
    pub tokens: Option<KubeTokens>,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// What is not known of the cluster, and why, where that is clear already.
    pub doubt: Option<String>,
}

// === impl Opened ===

impl Opened {
    /// Says once, on standard error, what is not known.
    fn say_doubt(&self) {
        self.doubt.iter().for_each(|doubt| warn(doubt));
    }
}

/// Installs the one crypto provider of the program.
pub fn install_crypto() {
    // An error says that one is installed already, and there is only one in the program.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// The policy of a file, or the default one, with everything that it names. A command that ends asks for itself: it
/// shares nothing.
pub fn load_policy(path: Option<&Path>) -> Result<Policy, CommandError> {
    with_hosts(Policy { shared_cache: None, ..read_policy(path)? })
}

fn read_policy(path: Option<&Path>) -> Result<Policy, CommandError> {
    let Some(path) = path else { return Ok(Policy::default()) };
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| CommandError::ConfigFile { path: name.clone(), source })?;
    Ok(config::from_bytes(&bytes, &name)?)
}

/// The same policy with what nodes are declared to have.
fn with_hosts(mut policy: Policy) -> Result<Policy, CommandError> {
    if let Some(dir) = &policy.nodes.certs_dir {
        policy.nodes.hosts = Some(Arc::new(directory::read(dir)?));
    }
    Ok(policy)
}

/// The cluster that the flags name: files, a kubeconfig, the pod's own. `namespace` goes before the one of the context.
///
/// # Errors
/// What was named and cannot be used, or [`CommandError::NoCluster`].
pub async fn open_cluster(
    path: Option<&Path>,
    kube: &KubeArgs,
    namespace: Option<&str>,
) -> Result<Opened, CommandError> {
    if let Some(path) = path {
        let namespace = namespace.unwrap_or("default").to_owned();
        let cluster = Arc::new(FileCluster::open(path, &namespace)?);
        return Ok(Opened { cluster, tokens: None, namespace, doubt: None });
    }
    match KubeCluster::connect(&kube.options(), Clock::system()).await {
        Ok(cluster) => Ok(Opened {
            tokens: Some(cluster.tokens()),
            namespace: namespace.or_else(|| Some(cluster.server()?.namespace())).unwrap_or("default").to_owned(),
            doubt: cluster
                .trouble()
                .map(|trouble| format!("{trouble}; what has to be read of the cluster is not known")),
            cluster: Arc::new(cluster),
        }),
        Err(KubeError::NoCluster(unnamed)) => Err(CommandError::NoCluster(unnamed)),
        Err(error) => Err(error.into()),
    }
}

/// The cluster of the command line; [`NoCluster`] where nothing names one.
async fn source_cluster(source: &SourceArgs) -> Result<Opened, CommandError> {
    let SourceArgs { cluster_from, kube, namespace, .. } = source;
    match open_cluster(cluster_from.as_deref(), kube, namespace.as_deref()).await {
        Err(CommandError::NoCluster(unnamed)) => {
            let doubt = format!(
                "no cluster was given ({unnamed}), so nothing about Secrets, ServiceAccounts and nodes is certain; \
                 give --kubeconfig FILE or --cluster-from PATH"
            );
            Ok(Opened { doubt: Some(doubt), ..no_cluster(source) })
        }
        opened => opened,
    }
}

/// What stands in for a cluster where none is to be read.
fn no_cluster(source: &SourceArgs) -> Opened {
    let namespace = source.namespace.as_deref().unwrap_or("default").to_owned();
    Opened { cluster: Arc::new(NoCluster), tokens: None, namespace, doubt: None }
}

/// An engine with its own transport and an empty cache, beside what replicas share where the policy says so.
///
/// # Errors
/// When a file that the rule of a registry or the shared cache names cannot be used.
pub fn engine(
    policy: &Policy,
    cluster: Arc<dyn Cluster>,
    node_credentials: NodeCredentials,
    metrics: Metrics,
) -> Result<Engine, CommandError> {
    engine_over(policy, cluster, node_credentials, metrics, |transport| transport)
}

/// The same, with `over` the transport what every request goes through.
fn engine_over(
    policy: &Policy,
    cluster: Arc<dyn Cluster>,
    node_credentials: NodeCredentials,
    metrics: Metrics,
    over: impl FnOnce(Arc<dyn Transport>) -> Arc<dyn Transport>,
) -> Result<Engine, CommandError> {
    let clock = Clock::system();
    let proxies = Proxies::new(&crate::args::proxy_variables())?;
    let transport = Arc::new(HttpTransport::new(Guard::new(&policy.guard), proxies));
    let words = policy.registries.iter().map(|rule| &rule.host).filter(|host| host.is_word());
    metrics.registries_named(words.map(Pattern::as_str));
    for rule in &policy.registries {
        transport
            .prepare(&Profile::of(rule))
            .map_err(|reason| CommandError::Registry { host: rule.host.as_str().to_owned(), reason })?;
    }
    let ways = Ways::new(policy);
    for (path, profile) in ways.iter().flat_map(Ways::profiles) {
        transport
            .prepare(&profile)
            .map_err(|reason| CommandError::Hosts { path: path.display().to_string(), reason })?;
    }
    let registry = Registry::new(over(transport), clock.clone(), metrics.clone()).with_ways(ways);
    let (identity, shared) = sharing::level(policy, &clock, &metrics)?;
    let resolver = Resolver::sharing(registry, identity, clock.clone(), metrics, shared);
    Ok(Engine { cluster, node_credentials, resolver, clock })
}

/// Runs a command on a runtime of its own.
fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    install_crypto();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// What nodes hold by themselves, as the flags declare it.
///
/// # Errors
/// A declaration that a kubelet would refuse.
pub fn node_credentials(
    args: NodeArgs,
    tokens: Option<KubeTokens>,
    metrics: &Metrics,
) -> Result<NodeCredentials, CommandError> {
    let NodeArgs {
        image_credential_provider_config: config,
        image_credential_provider_bin_dir: bin_dir,
        image_credential_provider_tokens: with_tokens,
        node_docker_configs: docker_configs,
    } = args;
    let declared = Declared {
        providers: config.as_deref().map(node_credentials::read).transpose()?.unwrap_or_default(),
        bin_dir: bin_dir.unwrap_or_default(),
        docker_configs,
        tokens: tokens.filter(|_| with_tokens).map(|tokens| Arc::new(tokens) as _),
    };
    Ok(NodeCredentials::new(declared, &Clock::system(), metrics))
}

/// The engine of the command line.
fn source_engine(
    source: &SourceArgs,
    policy: &Policy,
    cluster: Arc<dyn Cluster>,
    tokens: Option<KubeTokens>,
) -> Result<Engine, CommandError> {
    let metrics = Metrics::new();
    let node_credentials = node_credentials(source.nodes.clone(), tokens, &metrics)?;
    engine(policy, cluster, node_credentials, metrics)
}

/// The policy of the command line: judged as `enforce`, templates too, in every namespace.
fn strict_policy(source: &SourceArgs, namespaces: impl IntoIterator<Item = String>) -> Result<Policy, CommandError> {
    let mut policy = load_policy(source.config.as_deref())?.with_mode(crate::policy::Mode::Enforce);
    policy.templates = crate::policy::TemplatesAction::Deny;
    policy.namespaces = namespaces.into_iter().map(|name| (name, crate::policy::Mode::Enforce)).collect();
    Ok(policy)
}

fn exit(code: u8) -> ExitCode {
    ExitCode::from(code)
}
