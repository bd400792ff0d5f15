//! Which API server: kubeconfig files read as kubectl reads them, else the files of a pod
//! (kubernetes/client-go `tools/clientcmd/loader.go` and `client_config.go`).

mod words;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::kube::config::{InClusterError, Kubeconfig, KubeconfigError};
use ::kube::{Client, Config};

pub(super) use self::words::auth_words;
use self::words::{client_words, kubeconfig_words};
use super::kube::CALL;
use super::server::Server;
use crate::printable;

/// The token of a pod's `ServiceAccount`. client-go takes a process for one in a pod only where it is there.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What names an API server.
#[derive(Clone, Debug, Default)]
pub struct KubeOptions {
    /// `--kubeconfig`: the only file that is read.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// The files of `KUBECONFIG`; none where the variable is not set.
    pub variable: Option<Vec<PathBuf>>,
    /// `.kube/config` of the home directory.
    pub home: Option<PathBuf>,
}

/// No way to an API server.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// A kubeconfig cannot be used.
    #[error("{origin} {file}: {reason}")]
    Kubeconfig {
        /// What names the file: a flag or a variable.
        origin: &'static str,
        /// Which file, with line and column where they are known.
        file: String,
        /// Why.
        reason: String,
    },
    /// No kubeconfig has the context.
    #[error("--context {name}: no such context in {files}{}", known(.contexts))]
    Context {
        /// The context.
        name: String,
        /// The files that were read.
        files: String,
        /// The contexts that they have.
        contexts: Vec<String>,
    },
    /// The files of a pod cannot be used.
    #[error("the ServiceAccount of this pod cannot be used: {0}")]
    Pod(String),
    /// What the kubeconfig says of the login or of TLS cannot be used.
    #[error("{server}: {reason}")]
    Client {
        /// Which API server.
        server: Server,
        /// Why.
        reason: String,
    },
    /// Neither a kubeconfig nor a pod names a cluster.
    #[error("no cluster: {0}, and this is no pod with a ServiceAccount token; give --kubeconfig FILE")]
    NoCluster(Unnamed),
    /// The API server did not answer.
    #[error("the API server {server} {cause}")]
    Unreachable {
        /// Which API server.
        server: Server,
        /// What happened, as a predicate: `refused the connection`.
        cause: String,
    },
    /// The API server answered 401.
    #[error(
        "the API server {0} did not accept your login (401 Unauthorized): log in again, or renew the credentials in the kubeconfig"
    )]
    LoginNotAccepted(Server),
}

/// Why no kubeconfig names a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// There is no place to look at.
    Nowhere,
    /// None of the files is there.
    Missing {
        /// `KUBECONFIG` names them.
        variable: bool,
        /// Which.
        files: String,
    },
    /// They name no current context.
    NoContext {
        /// Which.
        files: String,
        /// The contexts that they have.
        contexts: Vec<String>,
    },
}

/// The API server that was chosen.
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) server: Server,
}

/// Kubeconfig files as one, and their names.
struct Merged {
    kubeconfig: Kubeconfig,
    files: String,
}

// === impl KubeOptions ===

impl KubeOptions {
    /// A client for one call after the other, none of them longer than `limit`.
    pub(super) async fn client(&self, limit: Duration) -> Result<(Client, Server), KubeError> {
        let Target { config, server } = self.target()?;
        Ok((client(config, limit, &server).await?, server))
    }

    /// The API server that the flags name, else kubectl's files, else the pod.
    pub(super) fn target(&self) -> Result<Target, KubeError> {
        let merged = match (&self.kubeconfig, &self.variable, &self.home) {
            (Some(file), ..) => Some(explicit(file)?),
            (None, Some(files), _) => merge(files, "KUBECONFIG")?,
            (None, None, Some(file)) => merge(std::slice::from_ref(file), "kubeconfig")?,
            (None, None, None) => None,
        };
        let Some(Merged { mut kubeconfig, files }) = merged else {
            return self.without_kubeconfig();
        };
        let contexts = || kubeconfig.contexts.iter().map(|context| context.name.clone()).collect::<Vec<_>>();
        let wrong = |reason: String| KubeError::Kubeconfig { origin: self.origin(), file: files.clone(), reason };
        let Some(name) = self.context.clone().or_else(|| kubeconfig.current_context.clone()) else {
            return match &self.kubeconfig {
                Some(_) => {
                    Err(wrong(format!("it names no current context; give --context NAME{}", known(&contexts()))))
                }
                None => in_pod(Unnamed::NoContext { files, contexts: contexts() }),
            };
        };
        if !kubeconfig.contexts.iter().any(|context| context.name == name) {
            return Err(match self.context {
                Some(_) => KubeError::Context { name, files, contexts: contexts() },
                None => wrong(format!("its current context \"{name}\" is not in it{}", known(&contexts()))),
            });
        }
        if proxied(&kubeconfig, &name) {
            return Err(wrong(format!(
                "the cluster of context \"{name}\" has a proxy-url, which pullgate does not use"
            )));
        }
        kubeconfig.current_context = Some(name.clone());
        let mut config = Config::try_from(kubeconfig)
            .map_err(|error| wrong(format!("context \"{name}\": {}", kubeconfig_words(&error))))?;
        // The proxy variables are for registries: the client has no way through a proxy.
        config.proxy_url = None;
        Ok(Target { server: Server::new(&config, Some(name)), config })
    }

    fn without_kubeconfig(&self) -> Result<Target, KubeError> {
        let listed = |files: &[PathBuf]| names(files.iter().map(PathBuf::as_path));
        let (variable, files) = match (&self.variable, &self.home) {
            (Some(files), _) => (true, listed(files)),
            (None, Some(file)) => (false, listed(std::slice::from_ref(file))),
            (None, None) => (false, String::new()),
        };
        if let Some(name) = self.context.clone() {
            let files = if files.is_empty() { "a kubeconfig: none was found".to_owned() } else { files };
            return Err(KubeError::Context { name, files, contexts: Vec::new() });
        }
        in_pod(if files.is_empty() { Unnamed::Nowhere } else { Unnamed::Missing { variable, files } })
    }

    /// What names the files.
    fn origin(&self) -> &'static str {
        match (&self.kubeconfig, &self.variable) {
            (Some(_), _) => "--kubeconfig",
            (None, Some(_)) => "KUBECONFIG",
            (None, None) => "kubeconfig",
        }
    }
}

/// A client of a configuration. The login command of a kubeconfig, which blocks, runs here.
pub(super) async fn client(mut config: Config, read_timeout: Duration, server: &Server) -> Result<Client, KubeError> {
    config.connect_timeout = Some(CALL);
    config.read_timeout = Some(read_timeout);
    config.default_retry = false;
    // The client wants to be made within a runtime.
    let made = async { Client::try_from(config) }.await;
    made.map_err(|error| KubeError::Client { server: server.clone(), reason: client_words(&error) })
}

/// The pod's own API server, where this is a pod.
fn in_pod(unnamed: Unnamed) -> Result<Target, KubeError> {
    match Config::incluster() {
        Ok(config) => Ok(Target { server: Server::new(&config, None), config }),
        Err(InClusterError::ReadEnvironmentVariable(_)) => Err(KubeError::NoCluster(unnamed)),
        Err(_) if !Path::new(POD_TOKEN).is_file() => Err(KubeError::NoCluster(unnamed)),
        Err(error) => Err(KubeError::Pod(words::pod_words(&error))),
    }
}

/// The file of `--kubeconfig`, which has to be there.
fn explicit(file: &Path) -> Result<Merged, KubeError> {
    let kubeconfig = read(file, "--kubeconfig")?.ok_or_else(|| KubeError::Kubeconfig {
        origin: "--kubeconfig",
        file: file.display().to_string(),
        reason: "No such file or directory".to_owned(),
    })?;
    Ok(Merged { kubeconfig, files: file.display().to_string() })
}

/// The files as one: missing ones are passed over, and what is named twice is as the first file has it. None where no
/// file is there.
fn merge(files: &[PathBuf], origin: &'static str) -> Result<Option<Merged>, KubeError> {
    let mut merged: Option<Kubeconfig> = None;
    let mut there = Vec::new();
    for file in files.iter().filter(|file| !file.as_os_str().is_empty()) {
        let Some(next) = read(file, origin)? else { continue };
        there.push(file.as_path());
        merged = Some(match merged {
            None => next,
            Some(first) => first.merge(next).map_err(|error| KubeError::Kubeconfig {
                origin,
                file: file.display().to_string(),
                reason: kubeconfig_words(&error),
            })?,
        });
    }
    Ok(merged.map(|kubeconfig| Merged { kubeconfig, files: names(there.into_iter()) }))
}

/// One file; none where it is not there.
fn read(file: &Path, origin: &'static str) -> Result<Option<Kubeconfig>, KubeError> {
    let error = match Kubeconfig::read_from(file) {
        Ok(kubeconfig) => {
            // kubectl writes an empty name for none, and none does not go before the next file's.
            let current_context = kubeconfig.current_context.filter(|name| !name.is_empty());
            return Ok(Some(Kubeconfig { current_context, ..kubeconfig }));
        }
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => error,
    };
    let mut name = file.display().to_string();
    if let KubeconfigError::Parse(error) = &error
        && let Some(at) = error.location()
    {
        name = format!("{name}:{}:{}", at.line().max(1), at.column().max(1));
    }
    Err(KubeError::Kubeconfig { origin, file: name, reason: kubeconfig_words(&error) })
}

/// Whether the cluster of a context is behind a proxy.
fn proxied(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let context =
        kubeconfig.contexts.iter().find(|known| known.name == context).and_then(|known| known.context.as_ref());
    let of_context = |cluster: &str| context.is_some_and(|context| context.cluster == cluster);
    let cluster =
        kubeconfig.clusters.iter().find(|known| of_context(&known.name)).and_then(|known| known.cluster.as_ref());
    cluster.and_then(|cluster| cluster.proxy_url.as_ref()).is_some_and(|url| !url.is_empty())
}

fn names<'p>(files: impl Iterator<Item = &'p Path>) -> String {
    files
        .filter(|file| !file.as_os_str().is_empty())
        .map(|file| file.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn known(contexts: &[String]) -> String {
    match contexts {
        [] => String::new(),
        names => printable::line(&format!(" (contexts: {})", names.join(", "))).into_owned(),
    }
}

// === impl Unnamed ===

impl fmt::Display for Unnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("neither KUBECONFIG nor a home directory names a kubeconfig"),
            Self::Missing { variable: true, files } => write!(f, "no file of KUBECONFIG is there ({files})"),
            Self::Missing { variable: false, files } => write!(f, "there is no {files}"),
            Self::NoContext { files, contexts } => {
                write!(f, "{files} names no current context{}", known(contexts))
            }
        }
    }
}

#[cfg(test)]
mod tests;
