//! The node: a real containerd and a real kubelet, configured so that they run beside whatever else runs on the machine
//! and reach registries on loopback only.

use std::ffi::OsString;
use std::path::Path;

use serde_json::json;

use crate::Failure;
use crate::alone::NODE_ADDRESS;
use crate::kubectl::{Kubectl, until};
use crate::parts::{Part, Workshop, free_ports};
use crate::pki::Authority;
use crate::stack::{self, Stack, flags, shown};

/// The parts that the node is made of.
pub(crate) const NEEDED: [&str; 5] = ["kubelet", "containerd", "containerd-shim-runc-v2", "runc", "pause"];

/// The name of the Node.
pub(crate) const NAME: &str = "node-1";

/// The running node. The kubelet goes before what it talks to.
pub(crate) struct Node {
    kubelet: Part,
    containerd: Part,
}

// === impl Node ===

impl Node {
    /// Starts both; `hosts` is containerd's directory of hosts.toml directories, `pause` the image of every sandbox.
    pub(crate) fn start(
        workshop: &Workshop,
        authority: &Authority,
        stack: &Stack,
        hosts: &Path,
        pause: &str,
    ) -> Result<Self, Failure> {
        let socket = workshop.dir.join("containerd.sock");
        let config = workshop.file("containerd.toml", containerd(workshop, &socket, hosts, pause))?;
        let arguments: [OsString; 2] = ["--config".into(), config.into()];
        let containerd = workshop.start("containerd", &workshop.binary("containerd"), &arguments)?;
        until("containerd to listen", || Ok(socket.exists().then_some(())))
            .map_err(|failure| format!("{failure}\n{}", containerd.tail()))?;

        // Of the group of nodes it might not read a Secret yet when it sees the pod, and would pull without.
        let user = authority.client(&format!("system:node:{NAME}"), Some("system:masters"))?;
        let kubeconfig = stack::by_certificate(&stack.server, authority, &user).to_string();
        let kubeconfig = workshop.file("node/kubelet.kubeconfig", kubeconfig)?;
        let config = workshop.file("node/kubelet.yaml", kubelet(workshop, &socket)?.to_string())?;
        let arguments = flags(&[
            ("config", &shown(&config)),
            ("kubeconfig", &shown(&kubeconfig)),
            ("root-dir", &shown(&workshop.dir.join("kubelet"))),
            ("cert-dir", &shown(&workshop.dir.join("kubelet-pki"))),
            ("hostname-override", NAME),
            ("node-ip", NODE_ADDRESS),
        ]);
        let kubelet = workshop.start("kubelet", &workshop.binary("kubelet"), &arguments)?;
        Ok(Self { kubelet, containerd })
    }

    /// Waits until the kubelet has made its Node.
    pub(crate) fn wait(&self, kubectl: &Kubectl) -> Result<(), Failure> {
        until("the kubelet to register", || {
            Ok((kubectl.run(&format!("get node {NAME}"))?.code == Some(0)).then_some(()))
        })
        .map_err(|failure| format!("{failure}\n{}", self.tails()).into())
    }

    /// The ends of both logs.
    pub(crate) fn tails(&self) -> String {
        format!("{}\n{}", self.kubelet.tail(), self.containerd.tail())
    }
}

fn containerd(workshop: &Workshop, socket: &Path, hosts: &Path, pause: &str) -> String {
    let dir = workshop.dir.join("containerd").display().to_string();
    let binary = |name: &str| workshop.binary(name).display().to_string();
    format!(
        r#"version = 3
root = "{dir}/root"
state = "{dir}/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{hosts}"
[plugins."io.containerd.cri.v1.runtime"]
  # a container without CAP_SYS_RESOURCE may not lower it
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = "{shim}"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
[plugins."io.containerd.cri.v1.runtime".cni]
  conf_dir = "{dir}/no-cni"
"#,
        socket = socket.display(),
        hosts = hosts.display(),
        shim = binary("containerd-shim-runc-v2"),
        runc = binary("runc"),
    )
}

/// kubernetes/kubernetes `staging/src/k8s.io/kubelet/config/v1beta1/types.go`.
fn kubelet(workshop: &Workshop, socket: &Path) -> Result<serde_json::Value, Failure> {
    let [port, healthz] = free_ports()?;
    let endpoint = format!("unix://{}", socket.display());
    Ok(json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": "127.0.0.1", "port": port, "healthzPort": healthz,
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "containerRuntimeEndpoint": endpoint, "imageServiceEndpoint": endpoint,
        // Without cgroups of the kubelet's own the pods start in a third of the time.
        "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": [],
        "failCgroupV1": false, "failSwapOn": false, "makeIPTablesUtilChains": false,
        "evictionHard": {}, "imageGCHighThresholdPercent": 100,
        "resolvConf": "", "podLogsDir": workshop.dir.join("pod-logs"), "volumePluginDir": workshop.dir.join("no-plugins"),
        // A watch that is not in step yet is a Secret that is not there.
        "configMapAndSecretChangeDetectionStrategy": "Get",
        // All pods at once.
        "maxPods": 1000, "serializeImagePulls": false, "registryPullQPS": 0, "eventRecordQPS": 0,
        "kubeAPIQPS": 1000, "kubeAPIBurst": 2000,
    }))
}
