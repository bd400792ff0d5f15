//! A pod's placement and all nodes → those that it can land on, grouped by what they pull.
//!
//! As the scheduler decides it (kubernetes/component-helpers `scheduling/corev1/nodeaffinity`, `helpers.go`), except that
//! nothing that passes (a cordon, pressure, a node not ready) excludes a node.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ByName, Node, Runtime, Taint, WindowsVersion};
use crate::workload::Placement;
use crate::workload::placement::{Operator, Requirement, Term, Toleration};

/// The label that kubelets set (kubernetes/api `core/v1/well_known_labels.go`).
pub const ARCH: &str = "kubernetes.io/arch";

/// The nodes that a pod can land on; may be empty.
#[derive(Debug, Default)]
pub struct Eligible {
    /// In the order of their names.
    pub nodes: Vec<Arc<Node>>,
    /// The same, grouped.
    pub classes: Vec<Class>,
    /// The architectures of the Linux nodes that the pod could land on if its `nodeSelector` named theirs.
    pub architectures: BTreeSet<String>,
    /// What its `nodeSelector` says beside the architecture.
    pub selector: Vec<(String, String)>,
    /// Its `runtimeClassName`, empty for none: what runs it there is not what pulls.
    pub runtime_class: String,
    by_name: Arc<ByName>,
    listed_at_most: usize,
}

/// Nodes that take the same images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// `linux`; empty if unknown.
    pub os: String,
    /// `amd64`; empty if unknown.
    pub architecture: String,
    /// What pulls there.
    pub runtime: Runtime,
    /// The version of Windows, where that is their system and known.
    pub windows: Option<WindowsVersion>,
    /// How many nodes.
    pub count: usize,
    /// The first of them.
    pub first: Arc<str>,
}

// === impl Eligible ===

impl Eligible {
    /// Those of `nodes` that `placement` does not exclude; `listed_at_most` is how many images their kubelets list.
    pub fn new(nodes: &[Arc<Node>], placement: &Placement, by_name: Arc<ByName>, listed_at_most: usize) -> Self {
        let selector: Vec<_> = placement.node_selector.iter().filter(|(key, _)| key != ARCH).cloned().collect();
        let anywhere = Placement { node_selector: selector.clone(), ..placement.clone() };
        let chosen = |node: &&Arc<Node>| node.os == "linux" && node.labels.get(ARCH) == Some(&node.architecture);
        let architectures = nodes
            .iter()
            .filter(chosen)
            .filter(|node| takes(node, &anywhere))
            .map(|node| node.architecture.clone())
            .collect();
        let nodes: Vec<_> = nodes.iter().filter(|node| takes(node, placement)).map(Arc::clone).collect();
        let mut classes: Vec<Class> = Vec::new();
        for node in &nodes {
            let same = |class: &&mut Class| {
                class.os == node.os
                    && class.architecture == node.architecture
                    && class.runtime == node.runtime
                    && class.windows == node.windows
            };
            match classes.iter_mut().find(same) {
                Some(class) => class.count += 1,
                None => classes.push(Class {
                    os: node.os.clone(),
                    architecture: node.architecture.clone(),
                    runtime: node.runtime,
                    windows: node.windows,
                    count: 1,
                    first: Arc::clone(&node.name),
                }),
            }
        }
        let runtime_class = placement.runtime_class.clone();
        Self { nodes, classes, architectures, selector, runtime_class, by_name, listed_at_most }
    }

    /// Whether any of them may have images that it does not list.
    pub fn may_hold_more(&self) -> bool {
        self.nodes.iter().any(|node| node.images.may_be_cut(self.listed_at_most))
    }

    /// Whether any of them lists an image of this name.
    pub fn hold(&self, name: &str) -> bool {
        self.by_name.contains_key(name) && self.nodes.iter().any(|node| node.images.hold(name))
    }

    /// Whether any of them lists an image of this name that is not also called `other`.
    pub fn hold_other(&self, name: &str, other: &str) -> bool {
        let is_other = |names: &[String]| !names.iter().any(|name| name == other);
        self.by_name.get(name).is_some_and(|images| images.iter().any(|names| is_other(names)))
            && self.nodes.iter().filter_map(|node| node.images.names_of(name)).any(is_other)
    }
}

// === impl Class ===

impl Class {
    /// Whether it is known what their programs are made for.
    pub fn is_known(&self) -> bool {
        !self.architecture.is_empty() && !self.os.is_empty()
    }
}

/// Whether a node can take a pod. A pod that names its node has been scheduled: taints do not matter any more.
fn takes(node: &Node, placement: &Placement) -> bool {
    if placement.excessive {
        return false;
    }
    let os = placement.os.is_empty() || node.os.is_empty() || node.os == placement.os;
    if !placement.node_name.is_empty() {
        return os && *node.name == *placement.node_name;
    }
    os && placement.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
        && placement.required.as_ref().is_none_or(|terms| terms.iter().any(|term| matches(term, node)))
        && node.taints.iter().all(|taint| placement.tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// A term without a requirement matches nothing.
fn matches(term: &Term, node: &Node) -> bool {
    let name = |field: &Requirement| (field.key == "metadata.name").then_some(&*node.name);
    let label = |label: &Requirement| node.labels.get(&label.key).map(String::as_str);
    !(term.labels.is_empty() && term.fields.is_empty())
        && term.labels.iter().all(|requirement| holds(requirement, label(requirement)))
        && term.fields.iter().all(|requirement| holds(requirement, name(requirement)))
}

fn holds(requirement: &Requirement, actual: Option<&str>) -> bool {
    let listed = |actual: &str| requirement.values.iter().any(|value| value == actual);
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = || requirement.values.first().and_then(|value| number(value));
    match requirement.operator {
        Operator::In => actual.is_some_and(listed),
        Operator::NotIn => !actual.is_some_and(listed),
        Operator::Exists => actual.is_some(),
        Operator::DoesNotExist => actual.is_none(),
        Operator::Gt => matches!((actual.and_then(number), bound()), (Some(actual), Some(bound)) if actual > bound),
        Operator::Lt => matches!((actual.and_then(number), bound()), (Some(actual), Some(bound)) if actual < bound),
        Operator::Other => true,
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    (toleration.effect.is_empty() || toleration.effect == taint.effect)
        && (toleration.key.is_empty() || toleration.key == taint.key)
        && toleration.value.as_ref().is_none_or(|value| *value == taint.value)
}

#[cfg(test)]
mod tests;
