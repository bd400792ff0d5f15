//! What the nodes change in a verdict: platforms, runtimes that differ, and images that are there already.

mod fit;

use std::collections::BTreeSet;

pub(super) use self::fit::Fit;
use self::fit::several;
use super::served;
use crate::finding::{Cause, Code};
use crate::nodes::content::{Artifact, Content};
use crate::nodes::{Class, Eligible, Runtime};
use crate::policy::Policy;
use crate::reference::{self, Digest, Reference};
use crate::registry::failure::{Failure, Weight};
use crate::registry::node;
use crate::workload::{ContainerImage, PullPolicy};

/// How many entries of an index are asked for on behalf of all nodes: more than there are kinds of them in a cluster.
const MAX_FETCHED: usize = 8;

/// The nodes that a pod can land on, under a policy.
pub(super) struct Ground<'a> {
    eligible: &'a Eligible,
    /// With the runtime that the operator declares, if he does.
    classes: Vec<Class>,
    runtimes: Vec<Runtime>,
    /// Nothing is known of the nodes, and the runtime is the one that most have.
    assumed: bool,
}

/// What the nodes' runtimes make of a failure.
pub(super) enum Opinion {
    /// All of them fail.
    Fails,
    /// Some do, or what they do is not known.
    Differs,
    /// None of them does.
    Pulls,
}

// === impl Ground ===

impl<'a> Ground<'a> {
    pub(super) fn new(policy: &Policy, eligible: &'a Eligible) -> Self {
        let declared = |class: &Class| Class { runtime: policy.runtime.unwrap_or(class.runtime), ..class.clone() };
        let classes: Vec<Class> = eligible.classes.iter().map(declared).collect();
        let mut runtimes: Vec<Runtime> = classes.iter().map(|class| class.runtime).collect();
        runtimes.sort_unstable();
        runtimes.dedup();
        let assumed = runtimes.is_empty() && policy.runtime.is_none();
        if runtimes.is_empty() {
            runtimes.push(policy.runtime.unwrap_or_default());
        }
        Self { eligible, classes, runtimes, assumed }
    }

    /// Whether a node may understand the name in its own way: CRI-O completes names without a registry.
    pub(super) fn may_ask_elsewhere(&self, image: &ContainerImage) -> bool {
        short(image) && self.runtimes.iter().any(|runtime| matches!(runtime, Runtime::CriO | Runtime::Other))
    }

    /// The architectures of Linux nodes that find something in an image: those of these nodes, by their runtimes' rules,
    /// and those that an index names, which nodes to come may have.
    pub(super) fn architectures(&self, content: &Content) -> Option<BTreeSet<String>> {
        // What runs under a RuntimeClass need not be for the node's processor.
        if !self.eligible.runtime_class.is_empty() {
            return None;
        }
        let linux = |class: &&Class| class.os == "linux" && !class.architecture.is_empty() && content.fits(class);
        let here = self.classes.iter().filter(linux).map(|class| class.architecture.clone());
        match content {
            Content::Single(_) | Content::Artifact(_) if self.classes.is_empty() => None,
            Content::Single(_) | Content::Artifact(_) => Some(here.collect()),
            Content::Index(_) | Content::Other(_) => Some(content.architectures()?.into_iter().chain(here).collect()),
        }
    }

    /// Where runtimes differ, what is certain on one is not on the other.
    pub(super) fn opinion(&self, image: &ContainerImage, failure: &Failure) -> Opinion {
        if failure.code == Code::UnsupportedManifest && failure.cause == Some(Cause::MediaType) {
            return self.opinion_where(image, served::in_containerd);
        }
        let is_volume = image.is_volume();
        let fails = |runtime: Runtime| match (runtime, failure.code) {
            // 1.x converts schema 1, CRI-O still asks for it.
            (Runtime::Containerd1 | Runtime::CriO, Code::UnsupportedManifest) if schema_1(failure) => Some(false),
            (Runtime::Other, Code::UnsupportedManifest) if schema_1(failure) => None,
            // containerd believes the length that is announced; CRI-O counts.
            (Runtime::CriO | Runtime::Other, Code::UnsupportedManifest) if failure.weight == Weight::TooLarge => None,
            // A volume takes what is pulled, whatever it is.
            (_, Code::UnsupportedManifest) if is_volume && !schema_1(failure) && failure.node.is_none() => Some(false),
            _ => Some(true),
        };
        opinion(self.runtimes.iter().map(|&runtime| unless_short(image, runtime, fails(runtime))))
    }

    /// The same for what is known of each runtime: `Some(true)` where it fails. Nodes of which nothing is known may have
    /// any.
    pub(super) fn opinion_where(&self, image: &ContainerImage, fails: impl Fn(Runtime) -> Option<bool>) -> Opinion {
        let any = [Runtime::Containerd2, Runtime::CriO];
        let runtimes: &[Runtime] = if self.assumed { &any } else { &self.runtimes };
        opinion(runtimes.iter().map(|&runtime| unless_short(image, runtime, fails(runtime))))
    }

    /// What the runtimes make of a digest that the registry does not serve, though it resolves `reference` to it: CRI-O
    /// fetches by what is written, which a tag still leads to.
    fn opinion_of_unserved(&self, image: &ContainerImage, reference: &Reference) -> Opinion {
        self.opinion_where(image, |runtime| match runtime {
            Runtime::Containerd1 | Runtime::Containerd20 | Runtime::Containerd2 => Some(true),
            Runtime::CriO => Some(reference.digest().is_some()),
            Runtime::Other => None,
        })
    }

    /// What the runtimes make of a container of something that is no image.
    fn opinion_of_artifact(&self, image: &ContainerImage, artifact: &Artifact) -> Opinion {
        self.opinion_where(image, |runtime| artifact.starts(runtime).map(|starts| !starts))
    }

    /// Whether a node may have the content of a digest, under whatever name.
    pub(super) fn may_have(&self, digest: &Digest) -> bool {
        self.eligible.may_hold_more() || self.eligible.nodes.iter().any(|node| node.images.hold_digest(digest.as_str()))
    }

    /// The line that all of these nodes would show, made from one in the words of containerd 2.1; `None` where it is not
    /// known.
    pub(super) fn line(&self, of: impl Fn(Runtime) -> Option<String>, reference: &Reference) -> Option<String> {
        let mut lines = self.runtimes.iter().map(|&runtime| match runtime {
            Runtime::Containerd2 => of(runtime),
            Runtime::Containerd1 | Runtime::Containerd20 => {
                of(runtime).map(|line| node::of_local_pull(&line, reference))
            }
            Runtime::CriO | Runtime::Other => None,
        });
        let first = lines.next().flatten()?;
        lines.all(|line| line.as_ref() == Some(&first)).then_some(first)
    }

    /// Why a node may start the container without a pull, if one may. Since 1.35 a kubelet asks
    /// whether this pod may use an image that was pulled for another; whether it will say yes is not known here, so presence
    /// makes nothing certain.
    pub(super) fn may_hold(&self, image: &ContainerImage, reference: &Reference) -> Option<&'static str> {
        if image.pull_policy != PullPolicy::IfNotPresent {
            None
        } else if self.eligible.hold(&reference.runtime_form()) {
            Some("nodes that have it already do not pull it (IfNotPresent)")
        } else if self.eligible.may_hold_more() {
            Some("nodes do not list all of their images, and one that has it already does not pull it (IfNotPresent)")
        } else {
            None
        }
    }

    /// Whether it is known that no node has an image that must never be pulled.
    pub(super) fn surely_absent(&self, reference: &Reference) -> bool {
        let name = reference.runtime_form();
        !self.eligible.nodes.is_empty() && !self.eligible.may_hold_more() && !self.eligible.hold(&name)
    }

    /// The entries of an index that these nodes fetch, each once.
    pub(super) fn fetched(&self, content: &Content) -> Vec<Digest> {
        let mut digests: Vec<Digest> = Vec::new();
        let entries = self.classes.iter().flat_map(|class| content.taken(class));
        for digest in entries.filter_map(|entry| entry.digest.as_ref()) {
            if digests.len() < MAX_FETCHED && !digests.contains(digest) {
                digests.push(digest.clone());
            }
        }
        digests
    }

    /// Whether a node has something else under this tag: with the digest it would be pulled anew, or not found.
    pub(super) fn differs(&self, image: &ContainerImage, reference: &Reference, digest: &Digest) -> bool {
        image.pull_policy == PullPolicy::IfNotPresent
            && !self.eligible.nodes.is_empty()
            && self.eligible.hold_other(&reference.runtime_form(), &format!("{}@{digest}", reference.name()))
    }
}

impl Ground<'_> {
    /// The nodes that the pod can land on, by name.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.eligible.nodes.iter().map(|node| node.name.to_string()).collect();
        format!("every node that the pod can land on ({})", several(&names))
    }
}

fn opinion(mut opinions: impl Iterator<Item = Option<bool>>) -> Opinion {
    match opinions.next().flatten() {
        Some(first) if opinions.all(|opinion| opinion == Some(first)) => {
            if first {
                Opinion::Fails
            } else {
                Opinion::Pulls
            }
        }
        _ => Opinion::Differs,
    }
}

/// A name without a registry means what the node's registries.conf says, which nobody here has read.
fn unless_short(image: &ContainerImage, runtime: Runtime, fails: Option<bool>) -> Option<bool> {
    let open = matches!(runtime, Runtime::CriO | Runtime::Other) && short(image);
    // Where it pulls by the registry's word, it is not known to fail either.
    fails.filter(|fails| !(open && *fails))
}

fn short(image: &ContainerImage) -> bool {
    reference::image_was_docker_hub_by_default(&image.image)
}

fn schema_1(failure: &Failure) -> bool {
    failure.cause == Some(Cause::Schema1)
}
