//! A container's spec → the process that stands for it: arguments and environment as written, but paths of mounts, the
//! address it listens on and the way to the API server are those of the stage.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::volumes::Mounted;
use crate::Failure;

/// Everything a process is made from.
pub(super) struct Plan<'a> {
    pub(super) pod: &'a Pod,
    pub(super) container: &'a Container,
    pub(super) volumes: &'a [Mounted],
    pub(super) address: Ipv4Addr,
    /// None: the pod holds no token.
    pub(super) kubeconfig: Option<&'a Path>,
    pub(super) log: &'a Path,
}

// === impl Plan ===

impl Plan<'_> {
    /// Starts the process.
    pub(super) fn start(&self) -> Result<Child, Failure> {
        let log = File::options().create(true).append(true).open(self.log)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
        command.env_clear().env("PATH", "/usr/bin:/bin");
        if let Some(namespace) = &self.pod.metadata.namespace {
            command.env("PULLGATE_NAMESPACE", namespace);
        }
        command.env("PULLGATE_KUBECONFIG", self.kubeconfig.unwrap_or(Path::new("/no/token/here")));
        for variable in self.container.env.iter().flatten() {
            command.env(&variable.name, self.here(&self.value(variable)?));
        }
        // The image's entry point is pullgate; a command that is given begins with it.
        let words = self.container.command.iter().flatten().skip(1).chain(self.container.args.iter().flatten());
        command.args(words.map(|word| self.here(&expanded(word, self))));
        Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()?)
    }

    fn value(&self, variable: &k8s_openapi::api::core::v1::EnvVar) -> Result<String, Failure> {
        if let Some(value) = &variable.value {
            return Ok(value.clone());
        }
        let field = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        let metadata = &self.pod.metadata;
        match field.map(|field| field.field_path.as_str()) {
            Some("metadata.name") => Ok(metadata.name.clone().unwrap_or_default()),
            Some("metadata.namespace") => Ok(metadata.namespace.clone().unwrap_or_default()),
            Some("metadata.uid") => Ok(metadata.uid.clone().unwrap_or_default()),
            Some("status.podIP") => Ok(self.address.to_string()),
            Some("spec.nodeName") => {
                Ok(self.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default())
            }
            None if variable.value_from.is_none() => Ok(String::new()),
            _ => Err(format!("the stand-in knows no source of this kind for variable {}", variable.name).into()),
        }
    }

    /// A word of the spec as it holds on this stage.
    fn here(&self, word: &str) -> String {
        let mut word =
            word.replace("0.0.0.0:", &format!("{}:", self.address)).replace("[::]:", &format!("{}:", self.address));
        let mut mounts: Vec<_> = self.container.volume_mounts.iter().flatten().collect();
        // One path may begin with another.
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.mount_path.len()));
        for mount in mounts {
            let Some(volume) = self.volumes.iter().find(|volume| volume.name == mount.name) else { continue };
            let path = mount.mount_path.trim_end_matches('/');
            word = word.replace(path, &volume.dir.display().to_string());
        }
        word
    }
}

/// `$(NAME)` of variables with a value.
fn expanded(word: &str, plan: &Plan<'_>) -> String {
    plan.container.env.iter().flatten().fold(word.to_owned(), |word, variable| {
        word.replace(&format!("$({})", variable.name), &plan.value(variable).unwrap_or_default())
    })
}

/// The port of the container with this name or number.
pub(super) fn port(container: &Container, port: &IntOrString) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name))?.container_port
        }
    };
    u16::try_from(number).ok()
}

/// Whether an HTTP probe holds; one of another kind does.
pub(super) async fn holds(probe: &Probe, container: &Container, address: Ipv4Addr) -> bool {
    let Some(get) = &probe.http_get else { return true };
    let Some(port) = port(container, &get.port) else { return false };
    let limit = Duration::from_secs(probe.timeout_seconds.unwrap_or(1).unsigned_abs().into());
    let answer = async {
        let mut stream = TcpStream::connect((address, port)).await?;
        let path = get.path.as_deref().unwrap_or("/");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    match timeout(limit, answer).await {
        Ok(Ok(answer)) => answer.starts_with(b"HTTP/1.1 2") || answer.starts_with(b"HTTP/1.1 3"),
        _ => false,
    }
}
