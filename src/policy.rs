//! What the operator wants, compiled: modes, exceptions, pinning and registries, each as a question with an answer.
//!
//! Pure data. The text it comes from is read in [`crate::config`]; today's date is passed in.

mod pattern;
mod registry;
mod shared_cache;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use self::pattern::{Pattern, PatternError};
use self::registry::SpelledHost;
pub use self::registry::{Guard, NodeAccess, Proxy, RegistryRule};
pub use self::shared_cache::SharedCache;
use crate::finding::Code;
use crate::nodes::Runtime;
use crate::registry::hosts::CertsDir;
use crate::workload::configured::TemplateKind;

/// Namespaces that are left alone unless the configuration names them.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// The whole configuration, ready to be asked. One review uses one of these from beginning to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The mode of namespaces that have none of their own.
    pub mode: Mode,
    /// What `enforce` does to workload templates.
    pub templates: TemplatesAction,
    /// What `enforce` does with findings that are not certain.
    pub on_uncertain: OnUncertain,
    /// Modes of namespaces that have their own, by exact name.
    pub namespaces: BTreeMap<String, Mode>,
    /// Findings to overlook; the first that fits counts.
    pub exceptions: Vec<Exception>,
    /// Kinds beside the built-in ones whose pod templates are judged.
    pub kinds: Vec<TemplateKind>,
    /// How images are pinned.
    pub pin: PinPolicy,
    /// How registries are reached; the first match counts.
    pub registries: Vec<RegistryRule>,
    /// What nodes pull with; none: what each Node reports.
    pub runtime: Option<Runtime>,
    /// What may be asked at all.
    pub guard: Guard,
    /// What nodes have that pods do not name.
    pub nodes: Nodes,
    /// Where replicas share what they learnt; none: nowhere.
    pub shared_cache: Option<SharedCache>,
    /// The namespace that pullgate runs in.
    pub own_namespace: Option<String>,
    /// The rule for registries that no other rule is for.
    pub other_registries: RegistryRule,
}

/// What a finding does to a request; the words of Pod Security Admission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Certain findings deny.
    Enforce,
    /// Findings admit with warnings.
    Warn,
    /// Findings admit silently and are recorded.
    #[default]
    Audit,
}

/// Not a [`Mode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mode: use enforce, warn or audit")]
pub struct ModeError(String);

/// What `enforce` does to Deployments and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TemplatesAction {
    /// As to pods.
    Deny,
    /// Admit with warnings: the pods will be judged again.
    #[default]
    Warn,
    /// Do not look.
    Off,
}

/// What `enforce` does with one finding that is not certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UncertainAction {
    /// Admit with a warning.
    #[default]
    Allow,
    /// Deny.
    Deny,
}

/// The answer to uncertain findings, by code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnUncertain {
    /// The answer for codes that are not listed.
    pub default: UncertainAction,
    /// The answers that differ.
    pub by_code: BTreeMap<Code, UncertainAction>,
}

/// How images are pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinPolicy {
    /// Whether digests are written at all.
    pub enabled: bool,
    /// What is written.
    pub format: PinFormat,
    /// Whose pods are pinned.
    pub owners: PinOwners,
    /// Names of images that are left as they are.
    pub skip: Vec<Pattern>,
    /// Whether pods are also kept to nodes whose architecture all their images have.
    pub architecture_affinity: bool,
}

/// What a pinned image looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinFormat {
    /// `name:tag@sha256:…`
    #[default]
    TagAndDigest,
    /// `name@sha256:…`
    DigestOnly,
}

/// Whose pods are pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinOwners {
    /// Pods without a controller, or with one of Kubernetes' own kinds; other controllers may compare what they wrote.
    #[default]
    Builtin,
    /// Every pod.
    Any,
}

/// What nodes have that pods do not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// A copy of containerd's `certs.d` directory.
    pub certs_dir: Option<PathBuf>,
    /// What it holds, once it is read.
    pub hosts: Option<Arc<CertsDir>>,
}

/// A finding that the operator has chosen to overlook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Exact name of a namespace, or `*`.
    pub namespace: String,
    /// Glob over the image.
    pub image: Pattern,
    /// The code to overlook; none: every code.
    pub code: Option<Code>,
    /// The last day on which it counts.
    pub until: Option<Date>,
}

// === impl Policy ===

impl Policy {
    /// The mode for a namespace, or `None` when it is left alone. pullgate's own namespace always is; a namespace with an
    /// entry has that mode; system namespaces without one are left alone.
    pub fn mode_for(&self, namespace: &str) -> Option<Mode> {
        if self.own_namespace.as_deref() == Some(namespace) {
            return None;
        }
        match self.namespaces.get(namespace) {
            Some(mode) => Some(*mode),
            None if SYSTEM_NAMESPACES.contains(&namespace) => None,
            None => Some(self.mode),
        }
    }

    /// The same with another default mode; namespaces that have their own keep it.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The same, leaving alone the namespace that pullgate runs in.
    #[must_use]
    pub fn with_own_namespace(self, own_namespace: Option<String>) -> Self {
        Self { own_namespace, ..self }
    }

    /// The first rule for a registry host, `host[:port]` as in the reference, in any spelling; else a rule with all
    /// defaults.
    pub fn registry(&self, host: &str) -> &RegistryRule {
        let host = SpelledHost::new(host);
        self.registries.iter().find(|rule| rule.is_for(&host)).unwrap_or(&self.other_registries)
    }

    /// What nodes may hold for a registry host: its rule's answer, see [`RegistryRule::effective_node_access`].
    pub fn node_access(&self, host: &str) -> NodeAccess {
        self.registry(host).effective_node_access(host)
    }

    /// Whether images may come from a registry host; see [`Guard::registry_allowed`].
    pub fn registry_allowed(&self, host: &str) -> bool {
        self.guard.registry_allowed(host, self.registry(host).default_port())
    }

    /// The first exception for a finding. `image` is the normal form of the reference, or the reference as written if it
    /// has none; globs match it whole, or without its tag and digest.
    pub fn exception(&self, namespace: &str, image: &str, code: Code, today: Date) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.covers(namespace, image, code, today))
    }

    /// What `enforce` does with an uncertain finding of this code.
    pub fn uncertain(&self, code: Code) -> UncertainAction {
        self.on_uncertain.by_code.get(&code).copied().unwrap_or(self.on_uncertain.default)
    }

    /// Whether an image, by its normal form with or without tag and digest, is left unpinned.
    pub fn pin_skipped(&self, name: &str) -> bool {
        self.pin.skip.iter().any(|pattern| matches_image(pattern, name))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            templates: TemplatesAction::default(),
            on_uncertain: OnUncertain::default(),
            namespaces: BTreeMap::new(),
            exceptions: Vec::new(),
            kinds: Vec::new(),
            pin: PinPolicy::default(),
            registries: Vec::new(),
            runtime: None,
            guard: Guard::default(),
            nodes: Nodes::default(),
            shared_cache: None,
            own_namespace: None,
            other_registries: RegistryRule::new(Pattern::any()),
        }
    }
}

// === impl Mode ===

impl Mode {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(word: &str) -> Result<Self, ModeError> {
        [Self::Enforce, Self::Warn, Self::Audit]
            .into_iter()
            .find(|mode| mode.as_str() == word)
            .ok_or_else(|| ModeError(word.to_owned()))
    }
}

// === impl PinPolicy ===

impl Default for PinPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            format: PinFormat::default(),
            owners: PinOwners::default(),
            skip: Vec::new(),
            architecture_affinity: false,
        }
    }
}

// === impl Exception ===

impl Exception {
    fn covers(&self, namespace: &str, image: &str, code: Code, today: Date) -> bool {
        (self.namespace == "*" || self.namespace == namespace)
            && self.code.is_none_or(|only| only == code)
            && self.until.is_none_or(|last| today <= last)
            && matches_image(&self.image, image)
    }
}

fn matches_image(pattern: &Pattern, image: &str) -> bool {
    pattern.matches(image) || pattern.matches(without_tag_and_digest(image))
}

fn without_tag_and_digest(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _digest)| image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests;
