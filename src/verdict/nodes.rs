//! What the nodes change in a verdict: platforms, runtimes that differ, and images that are there already.

use std::collections::BTreeSet;

use super::{Draft, served};
use crate::finding::{Cause, Code, Finding, NoticeCode};
use crate::message::{self, shown};
use crate::nodes::eligible::ARCH;
use crate::nodes::platform::Content;
use crate::nodes::{Class, Eligible, Runtime};
use crate::policy::Policy;
use crate::printable;
use crate::reference::{self, Digest, Reference};
use crate::registry::failure::{Failure, Weight};
use crate::registry::node;
use crate::workload::{ContainerImage, PullPolicy};

/// How many platforms that an image has already the line that builds it for one more names: all of them, or there is no
/// such line, for what it does not name is lost with the push.
const MOST_BUILT: usize = 4;

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

/// What the platforms of an image come to on these nodes.
pub(super) enum Fit {
    /// Nothing to say.
    Good,
    /// Worth a word; and what to do.
    Notice(NoticeCode, String, String),
    /// Nothing for any node.
    Mismatch(Box<Finding>),
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
        let linux = |class: &&Class| class.os == "linux" && !class.architecture.is_empty() && content.fits(class);
        let here = self.classes.iter().filter(linux).map(|class| class.architecture.clone());
        match content {
            Content::Single(_) if self.classes.is_empty() => None,
            Content::Single(_) => Some(here.collect()),
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
    pub(super) fn opinion_where(&self, image: &ContainerImage, fails: fn(Runtime) -> Option<bool>) -> Opinion {
        let any = [Runtime::Containerd2, Runtime::CriO];
        let runtimes: &[Runtime] = if self.assumed { &any } else { &self.runtimes };
        opinion(runtimes.iter().map(|&runtime| unless_short(image, runtime, fails(runtime))))
    }

    /// Whether a node may have the content of a digest, under whatever name.
    pub(super) fn may_have(&self, digest: &Digest) -> bool {
        self.eligible.nodes.iter().any(|node| node.images.may_be_cut() || node.images.hold_digest(digest.as_str()))
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

    /// Whether a node may start the container without a pull. Since 1.35 a kubelet asks whether this pod may use an
    /// image that was pulled for another; whether it will say yes is not known here, so presence makes nothing certain.
    pub(super) fn may_hold(&self, image: &ContainerImage, reference: &Reference) -> bool {
        image.pull_policy == PullPolicy::IfNotPresent && self.eligible.hold(&reference.runtime_form())
    }

    /// Whether it is known that no node has an image that must never be pulled.
    pub(super) fn surely_absent(&self, reference: &Reference) -> bool {
        let name = reference.runtime_form();
        !self.eligible.nodes.is_empty()
            && self.eligible.nodes.iter().all(|node| !node.images.may_be_cut() && !node.images.hold(&name))
    }

    /// Whether a node has something else under this tag: with the digest it would be pulled anew, or not found.
    pub(super) fn differs(&self, image: &ContainerImage, reference: &Reference, digest: &Digest) -> bool {
        image.pull_policy == PullPolicy::IfNotPresent
            && !self.eligible.nodes.is_empty()
            && self.eligible.hold_other(&reference.runtime_form(), &format!("{}@{digest}", reference.name()))
    }

    /// Holds the platforms of an image against the nodes.
    pub(super) fn fit(&self, draft: &Draft<'_>, content: &Content, digest: &Digest) -> Fit {
        if let Content::Other(what) = content {
            return if draft.image.is_volume() { Fit::Good } else { Fit::Mismatch(Box::new(draft.no_image(what))) };
        }
        let (fits, misses): (Vec<&Class>, Vec<&Class>) = self.classes.iter().partition(|class| content.fits(class));
        if misses.is_empty() {
            return Fit::Good;
        }
        let (offered, missing) = (offered(content), nodes(&misses));
        match content {
            // It fits everywhere: it does not get here.
            Content::Other(_) => Fit::Good,
            // Nothing in a volume has to start.
            Content::Single(_) if draft.image.is_volume() => Fit::Good,
            Content::Single(_) => {
                let what = format!("is for {offered}; it does not start on {missing}");
                Fit::Notice(NoticeCode::WrongArchitecture, what, self.ways_out(draft, content, &misses))
            }
            Content::Index(_) if !fits.is_empty() => {
                let what = format!("is for {offered}; it cannot be pulled on {missing}");
                Fit::Notice(NoticeCode::PartialPlatform, what, self.ways_out(draft, content, &misses))
            }
            Content::Index(_) => {
                let fix = self.ways_out(draft, content, &misses);
                // A smaller processor of the same family is offered. containerd since 2.1 does not take it, unless some
                // setting of the node makes it pull by itself; and its line names that child.
                let family = |class: &Class| {
                    class.runtime == Runtime::Containerd2
                        && content.fits(&Class { runtime: Runtime::Containerd1, ..class.clone() })
                };
                let known = !self.classes.iter().any(family);
                let line = draft
                    .reference
                    .filter(|_| known)
                    .and_then(|reference| self.line(|_| Some(node::no_match(digest)), reference));
                Fit::Mismatch(Box::new(Finding {
                    description: message::no_platform(draft.image, &offered, &missing),
                    node: line,
                    fix,
                    ..draft.finding(Code::PlatformMismatch, known, None)
                }))
            }
        }
    }
}

impl Ground<'_> {
    /// The nodes that the pod can land on, by name.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.eligible.nodes.iter().map(|node| node.name.to_string()).collect();
        format!("every node that the pod can land on ({})", several(&names))
    }

    /// Two ways to bring an image and nodes together: build it for them, too, or keep the pod where it fits, if the
    /// cluster has such nodes.
    fn ways_out(&self, draft: &Draft<'_>, content: &Content, misses: &[&Class]) -> String {
        let mut platforms = content.names();
        let all = platforms.len() <= MOST_BUILT && platforms.iter().all(|platform| platform.starts_with("linux/"));
        let mut added: Vec<String> = Vec::new();
        for class in misses {
            let platform = format!("{}/{}", class.os, class.architecture);
            if !added.contains(&platform) {
                added.push(platform);
            }
        }
        platforms.extend(added.iter().filter(|platform| !platforms.contains(platform)).cloned().collect::<Vec<_>>());
        let name = draft.reference.map_or("IMAGE", Reference::name);
        let platforms = platforms.join(",");
        // Without a tag in it the line would push latest.
        let tag = draft.reference.and_then(Reference::tag);
        let line = |tag: &str| {
            let (platforms, target) = (message::typed::word(&platforms), format!("{name}:{tag}"));
            format!("docker buildx build --platform {platforms} -t {} --push .", message::typed::word(&target))
        };
        let build = tag.filter(|_| all).map(line);
        // Beside a tag it may be pullgate's own, which the next pod gets anew.
        let alone = draft.reference.is_some_and(|reference| reference.digest().is_some() && tag.is_none());
        let renamed = if alone { " (then name the new digest)" } else { "" };
        let fitting = content.architectures().unwrap_or_default();
        let selected = fitting.intersection(&self.eligible.architectures).next();
        let selector = selected.map(|architecture| self.selector(architecture));
        let prose = match (&build, &selector) {
            (_, Some(_)) => format!("build it for these nodes, too{renamed}, or keep the pod on nodes that it is for"),
            (Some(_), None) => format!("build it for these nodes, too{renamed}; the pod fits none that it is for"),
            (None, None) => {
                format!("add {} to what builds it{renamed}; the pod fits no nodes that it is for", several(&added))
            }
        };
        message::typed::below(&prose, &[build, selector].into_iter().flatten().collect::<Vec<_>>())
    }

    /// The pod's own `nodeSelector` with this architecture in it.
    fn selector(&self, architecture: &str) -> String {
        let pair = |key: &str, value: &str| {
            let value = serde_json::Value::from(value).to_string();
            format!("{}: {}", message::typed::scalar(key), printable::json(&value))
        };
        let others = self.eligible.selector.iter().map(|(key, value)| pair(key, value) + ", ");
        format!("nodeSelector: {{{}{ARCH}: {architecture}}}", others.collect::<String>())
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

/// `linux/amd64, linux/arm64`.
fn offered(content: &Content) -> String {
    let names = content.names();
    if names.is_empty() { "no platform".to_owned() } else { several(&names) }
}

/// `3 nodes with linux/arm64 (arm-1, …)`.
fn nodes(classes: &[&Class]) -> String {
    let group = |class: &&Class| {
        let more = if class.count > 1 { ", …" } else { "" };
        let nodes = if class.count == 1 { "node" } else { "nodes" };
        format!("{} {nodes} with {}/{} ({}{more})", class.count, class.os, class.architecture, class.first)
    };
    several(&classes.iter().map(group).collect::<Vec<_>>())
}

/// A list that stays a line.
fn several(items: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = items.iter().take(SHOWN).map(|item| shown(item)).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
