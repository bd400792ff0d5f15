//! A Pod, or an object with a pod template, reduced to what decides a pull: images, policies, pull secrets, owner.
//!
//! [`spec`] reads the JSON; [`extract`] turns it into a [`Workload`].

pub mod configured;
pub mod extract;
mod lenient;
pub mod placement;
pub mod spec;
pub mod template_path;

use std::sync::Arc;

pub use self::placement::Placement;
pub use lenient::{List, Nullable, Pairs, Scalar, Text};

/// The object under review, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `Pod`, `Deployment`.
    pub kind: String,
    /// From the request, never from the object.
    pub namespace: String,
    /// Name, or `generateName` followed by `*` while there is no name yet.
    pub name: String,
}

/// What the gate looks at in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Which object.
    pub object: ObjectRef,
    /// A pod that will run, or a template that makes pods.
    pub shape: Shape,
    /// The images to judge, in the order of the fields; unchanged images are already gone, and of a template placeholders.
    pub images: Vec<Arc<ContainerImage>>,
    /// Where the names of the pull secrets come from.
    pub pull_secrets: PullSecretNames,
    /// Who made the pod.
    pub owner: Owner,
    /// `serviceAccountName`, or `default`.
    pub account: String,
    /// Which nodes it can land on.
    pub placement: Placement,
    /// A Pod that was made before: of its spec only images can change.
    pub existing: bool,
}

/// A pod, or something that makes pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A Pod.
    Pod,
    /// A pod template.
    Template,
}

/// One field that names an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerImage {
    /// Field path for people: `spec.initContainers[0].image`, `spec.volumes[2].image.reference`.
    pub path: String,
    /// The same as a JSON pointer (RFC 6901): `/spec/initContainers/0/image`.
    pub pointer: String,
    /// Name of the container or the volume.
    pub container: String,
    /// The reference as written.
    pub image: String,
    /// When the kubelet pulls.
    pub pull_policy: PullPolicy,
    /// On UPDATE: what the same container had before, if it had something else.
    pub old_image: Option<String>,
}

/// `imagePullPolicy`, defaulted as the API server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Ask the registry at every start.
    Always,
    /// Pull when the node does not have it.
    IfNotPresent,
    /// Never pull.
    Never,
}

/// Where the names of the pull secrets come from
/// (kubernetes/kubernetes `plugin/pkg/admission/serviceaccount/admission.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullSecretNames {
    /// Nothing will be added: the `ServiceAccount` plugin has already run.
    Final(Vec<String>),
    /// Entries and not one name: any entry, even an empty one, suppresses the account's.
    Nameless,
    /// The plugin has not run yet: an empty list means the `ServiceAccount`'s.
    ThroughServiceAccount {
        /// The object's own names; if there is one, the account's are not used.
        listed: Vec<String>,
        /// `serviceAccountName`, or `default`.
        account: String,
    },
}

/// The controller owner of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Made by hand.
    None,
    /// `ReplicaSet`, `StatefulSet`, `DaemonSet`, Job, `ReplicationController`, Node; of a template, Deployment and `CronJob` too.
    BuiltIn,
    /// An operator's kind, which may compare its pods to a template: judged, never pinned.
    Foreign(String),
}

// === impl Shape ===

impl Shape {
    /// The shape of a kind that pullgate knows, in any version.
    pub fn of_group(group: &str, kind: &str) -> Option<Self> {
        let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
        Self::of(&version, kind)
    }

    /// The shape of a kind that pullgate knows; `None` for any other. Versions beside these are converted by the API
    /// server before the call (`matchPolicy: Equivalent`).
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("v1", "Pod") => Some(Self::Pod),
            ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("v1", "ReplicationController")
            | ("batch/v1", "Job" | "CronJob") => Some(Self::Template),
            _ => None,
        }
    }
}

// === impl ContainerImage ===

impl ContainerImage {
    /// Whether a template may have it in place of an image: nothing or blanks are filled in by the platform (the API server
    /// takes them in templates for that, kubernetes/kubernetes `pkg/apis/core/validation/validation.go`), `auto` by service
    /// meshes.
    pub fn is_placeholder(&self) -> bool {
        extract::placeholder(&self.image)
    }

    /// The path of the pod spec that the field is in: `spec.template.spec` of `spec.template.spec.containers[0].image`.
    pub fn spec_path(&self) -> &str {
        let list = self.path.rsplit_once('[').map_or(self.path.as_str(), |(list, _)| list);
        list.rsplit_once('.').map_or("spec", |(spec, _)| spec)
    }

    /// Whether it is mounted, not run.
    pub fn is_volume(&self) -> bool {
        self.pointer.ends_with("/image/reference")
    }
}

// === impl PullPolicy ===

impl PullPolicy {
    /// The policy as written, or the API server's default for `image` where nothing (or nothing known) is written
    /// (kubernetes/kubernetes `pkg/apis/core/v1/defaults.go`).
    pub fn or_default(written: &str, image: &str) -> Self {
        match written {
            "Always" => Self::Always,
            "IfNotPresent" => Self::IfNotPresent,
            "Never" => Self::Never,
            _ if crate::reference::defaults_to_always(image) => Self::Always,
            _ => Self::IfNotPresent,
        }
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}
