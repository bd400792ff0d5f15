//! JSON of a Node → [`Node`]: the few fields that matter, the rest skipped.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Images, Node, Runtime, Taint, WindowsVersion};
use crate::workload::placement::transient;

/// `spec` of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// What keeps pods away.
    #[serde(default)]
    pub taints: Option<Vec<TaintObject>>,
}

/// One of `spec.taints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaintObject {
    /// Key.
    pub key: String,
    /// Value.
    pub value: Option<String>,
    /// Effect.
    pub effect: String,
}

/// `status` of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    /// What the kubelet says of itself.
    pub node_info: Option<NodeInfo>,
    /// The images on its disk, by default at most [`super::LISTED_BY_DEFAULT`].
    pub images: Option<Vec<ImageObject>>,
}

/// `status.nodeInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// `linux`.
    pub operating_system: String,
    /// `amd64`.
    pub architecture: String,
    /// `containerd://2.2.1`.
    pub container_runtime_version: String,
    /// Of Windows its version, `10.0.20348.2700`.
    pub kernel_version: String,
}

/// One of `status.images`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageObject {
    /// With tag and with digest.
    pub names: Option<Vec<String>>,
}

// === impl Node ===

impl Node {
    /// A node from the parts of its object. `known` is shared by the nodes of a cluster, see [`Images::new`].
    pub fn new(
        name: &str,
        labels: BTreeMap<String, String>,
        spec: NodeSpec,
        status: NodeStatus,
        known: &mut HashSet<Arc<[String]>>,
    ) -> Self {
        let info = status.node_info.unwrap_or_default();
        // The kubelet sets both; files made by hand may have the labels only.
        let or_label = |value: String, names: [&str; 2]| match value.as_str() {
            "" => names.iter().find_map(|name| labels.get(*name)).cloned().unwrap_or_default(),
            _ => value,
        };
        let taint = |TaintObject { key, value, effect }| Taint { key, value: value.unwrap_or_default(), effect };
        let keeps_away =
            |taint: &Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !transient(&taint.key);
        let os = or_label(info.operating_system, ["kubernetes.io/os", "beta.kubernetes.io/os"]);
        // The kubelet sets the label, too (kubernetes/api `core/v1/well_known_labels.go`, `LabelWindowsBuild`).
        let build = || labels.get("node.kubernetes.io/windows-build").and_then(|build| WindowsVersion::parse(build));
        let windows = (os == "windows").then(|| WindowsVersion::parse(&info.kernel_version).or_else(build)).flatten();
        Self {
            name: name.into(),
            os,
            architecture: or_label(info.architecture, ["kubernetes.io/arch", "beta.kubernetes.io/arch"]),
            runtime: Runtime::of(&info.container_runtime_version),
            windows,
            taints: spec.taints.into_iter().flatten().map(taint).filter(keeps_away).collect(),
            images: Images::new(
                status.images.into_iter().flatten().map(|image| image.names.unwrap_or_default()),
                known,
            ),
            labels,
        }
    }
}
