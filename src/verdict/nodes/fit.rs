//! What is behind a digest against the nodes of a pod: platforms, entries that the registry does not have, and what is no
//! image at all.

use super::{Ground, Opinion};
use crate::facts::{Behind, MissingEntry};
use crate::finding::{Code, Finding, NoticeCode};
use crate::message::{self, shown};
use crate::nodes::content::{Artifact, Content, Entry};
use crate::nodes::eligible::ARCH;
use crate::nodes::{Class, Runtime};
use crate::printable;
use crate::reference::{Digest, Reference};
use crate::registry::failure::{Failure, Weight};
use crate::registry::node;
use crate::verdict::Draft;

/// How many platforms that an image has already the line that builds it for one more names: all of them, or there is no
/// such line, for what it does not name is lost with the push.
const MOST_BUILT: usize = 4;

/// What to do about an artifact in the place of an image.
const ARTIFACT_FIX: &str = "name a container image; what is stored there is for another tool";

/// What an image comes to on the nodes of a pod.
pub(in crate::verdict) enum Fit {
    /// Nothing to say.
    Good,
    /// Worth a word; and what to do.
    Notice(NoticeCode, String, String),
    /// Nothing for any node.
    Mismatch(Box<Finding>),
}

// === impl Ground ===

impl Ground<'_> {
    /// Holds what is behind a digest against the nodes.
    pub(in crate::verdict) fn fit(&self, draft: &Draft<'_>, behind: &Behind, digest: &Digest) -> Fit {
        match (&behind.refused, behind.content.as_deref().map(|read| &read.content)) {
            (Some(failure), _) => self.unserved(draft, digest, failure),
            (None, Some(Content::Index(_))) if !behind.missing.is_empty() => self.sparse(draft, behind, digest),
            (None, Some(content)) => self.fit_of_content(draft, content, digest),
            (None, None) => Fit::Good,
        }
    }

    fn unserved(&self, draft: &Draft<'_>, digest: &Digest, failure: &Failure) -> Fit {
        let opinion =
            draft.reference.map_or(Opinion::Differs, |reference| self.opinion_of_unserved(draft.image, reference));
        // What a node has already is not fetched.
        let certain = matches!(opinion, Opinion::Fails) && is_certain(failure) && !self.may_have(digest);
        if matches!(opinion, Opinion::Pulls) {
            return Fit::Good;
        }
        let line = draft.reference.and_then(|reference| self.line(|_| failure.node.clone(), reference));
        Fit::Mismatch(Box::new(Finding { node: line, ..draft.not_served(digest, certain, failure) }))
    }

    /// An index of which the registry does not have every entry that these nodes fetch.
    fn sparse(&self, draft: &Draft<'_>, behind: &Behind, digest: &Digest) -> Fit {
        let Some(content) = behind.content.as_deref().map(|read| &read.content) else { return Fit::Good };
        let missing =
            |entry: &&Entry| behind.missing.iter().find(|missing| entry.digest.as_ref() == Some(&missing.digest));
        let taken = |class: &Class| content.taken(class).count();
        let lost = |class: &Class| content.taken(class).filter(|entry| missing(entry).is_some()).count();
        // Several entries may be as good as each other, of which some runtimes fetch all and some the first.
        let fails = |class: &&Class| !content.fits(class) || (class.is_known() && lost(class) == taken(class));
        let touched: Vec<&Class> = self.classes.iter().filter(|class| lost(class) > 0 || fails(class)).collect();
        let entries: Vec<String> = behind.missing.iter().map(|missing| missing.digest.to_string()).collect();
        let said = behind.missing.iter().find_map(|missing| missing.failure.registry.as_deref());
        let of_it = format!("lists {}, which the registry does not have", several(&entries));
        let fix = "push it again with all of its platforms: a mirror or a copy of some leaves such an index behind";
        if !self.classes.iter().all(|class| fails(&class)) {
            let what = format!("{of_it}; it cannot be pulled on {}", nodes(&touched));
            return Fit::Notice(NoticeCode::PartialPlatform, what, fix.to_owned());
        }
        let refused = behind.missing.iter().all(|missing| is_certain(&missing.failure));
        let known = refused && self.is_sure(content) && !self.may_have(digest);
        let what = format!("{of_it}; the pod can land only on {}", nodes(&touched));
        let line = |MissingEntry { failure, .. }: &MissingEntry| failure.node.clone();
        let line = match behind.missing.as_slice() {
            [only] => draft.reference.filter(|_| known).and_then(|reference| self.line(|_| line(only), reference)),
            _ => None,
        };
        Fit::Mismatch(Box::new(Finding {
            description: message::no_entry(draft.image, what),
            registry: said.map(str::to_owned),
            node: line,
            fix: fix.to_owned(),
            ..draft.finding(Code::PlatformMismatch, known, None)
        }))
    }

    fn fit_of_content(&self, draft: &Draft<'_>, content: &Content, digest: &Digest) -> Fit {
        // Nothing in a volume has to start.
        let runs = !draft.image.is_volume();
        match content {
            Content::Other(what) if runs => {
                let certain = self.eligible.runtime_class.is_empty();
                Fit::Mismatch(Box::new(draft.no_image(what, certain)))
            }
            Content::Artifact(artifact) if runs => self.artifact(draft, artifact, content),
            Content::Single(_) if runs => self.single(draft, content),
            Content::Single(_) | Content::Artifact(_) | Content::Other(_) => Fit::Good,
            Content::Index(_) => self.index(draft, content, digest),
        }
    }

    fn artifact(&self, draft: &Draft<'_>, artifact: &Artifact, content: &Content) -> Fit {
        let config_type = match artifact.config_type.as_str() {
            "" => "no media type that can be read".to_owned(),
            config_type => format!("the media type {}", shown(config_type)),
        };
        let what = format!("no container image: its configuration has {config_type}");
        let finding = |what: &str, certain| {
            Fit::Mismatch(Box::new(Finding { fix: ARTIFACT_FIX.to_owned(), ..draft.no_image(what, certain) }))
        };
        match (self.opinion_of_artifact(draft.image, artifact), self.handler()) {
            (Opinion::Pulls, _) => self.single(draft, content),
            (Opinion::Fails, None) => finding(&what, true),
            (Opinion::Differs, None) => finding(&what, false),
            (Opinion::Fails | Opinion::Differs, Some(handler)) => {
                finding(&format!("{what}; only {handler} can say whether it starts"), false)
            }
        }
    }

    fn single(&self, draft: &Draft<'_>, content: &Content) -> Fit {
        let misses: Vec<&Class> = self.classes.iter().filter(|class| !content.fits(class)).collect();
        if misses.is_empty() {
            return Fit::Good;
        }
        let (offered, missing) = (offered(content), nodes(&misses));
        let what = match self.handler() {
            None => format!("is for {offered}; it does not start on {missing}"),
            Some(handler) => format!("is for {offered}; only {handler} can say whether it starts on {missing}"),
        };
        Fit::Notice(NoticeCode::WrongArchitecture, what, self.ways_out(draft, content, &misses))
    }

    fn index(&self, draft: &Draft<'_>, content: &Content, digest: &Digest) -> Fit {
        let (fits, misses): (Vec<&Class>, Vec<&Class>) = self.classes.iter().partition(|class| content.fits(class));
        let called_artifact = |class: &Class| {
            let mut taken = content.taken(class).peekable();
            taken.peek().is_some() && taken.all(|entry| entry.artifact)
        };
        if misses.is_empty() {
            let artifacts = !fits.is_empty() && fits.iter().all(|class| called_artifact(class));
            let what = "no container image, by the word of its index";
            let finding =
                || Fit::Mismatch(Box::new(Finding { fix: ARTIFACT_FIX.to_owned(), ..draft.no_image(what, false) }));
            return if artifacts && !draft.image.is_volume() { finding() } else { Fit::Good };
        }
        let (offered, missing) = (offered(content), nodes(&misses));
        let fix = self.ways_out(draft, content, &misses);
        if !fits.is_empty() {
            let what = format!("is for {offered}; it cannot be pulled on {missing}");
            return Fit::Notice(NoticeCode::PartialPlatform, what, fix);
        }
        let known = self.is_sure(content);
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

    /// Whether it is certain that nodes take no entry of an index which they do not take by the rules: not under a
    /// `RuntimeClass`, whose handler may have platforms of its own (Hyper-V runs other builds of Windows); not where a
    /// smaller processor of the same family is offered, which containerd since 2.1 takes if some setting makes it pull by
    /// itself; not where another runtime may look at Windows' version in another way.
    fn is_sure(&self, content: &Content) -> bool {
        let family = |class: &Class| {
            class.runtime == Runtime::Containerd2
                && content.fits(&Class { runtime: Runtime::Containerd1, ..class.clone() })
        };
        let build =
            |class: &Class| class.runtime == Runtime::Other && content.fits(&Class { windows: None, ..class.clone() });
        self.handler().is_none()
            && !self.classes.iter().any(|class| !content.fits(class) && (family(class) || build(class)))
    }

    /// What runs the pod where that is not the nodes' own way, for a sentence.
    fn handler(&self) -> Option<String> {
        let class = self.eligible.runtime_class.as_str();
        (!class.is_empty()).then(|| format!("the handler of RuntimeClass \"{}\"", shown(class)))
    }

    /// Two ways to bring an image and nodes together: build it for them, too, or keep the pod where it fits, if the
    /// cluster has such nodes.
    fn ways_out(&self, draft: &Draft<'_>, content: &Content, misses: &[&Class]) -> String {
        let mut platforms = content.names();
        let all = platforms.len() <= MOST_BUILT && platforms.iter().all(|platform| platform.starts_with("linux/"));
        let mut added: Vec<String> = Vec::new();
        for class in misses {
            let platform = platform(class);
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

/// Whether a refusal leaves nothing open: the registry does not have it, or its policy refuses it. A refusal of access may
/// be about more than the manifest.
fn is_certain(failure: &Failure) -> bool {
    failure.certain() && (failure.weight == Weight::NotFound || failure.code == Code::BlockedByRegistry)
}

/// `linux/amd64, linux/arm64`.
fn offered(content: &Content) -> String {
    let names = content.names();
    if names.is_empty() { "no platform".to_owned() } else { several(&names) }
}

/// `linux/arm64`, `windows/amd64 (build 20348)`.
fn platform(class: &Class) -> String {
    let build = class.windows.map(|version| format!(" (build {})", version.build())).unwrap_or_default();
    format!("{}/{}{build}", class.os, class.architecture)
}

/// `3 nodes with linux/arm64 (arm-1, …)`.
fn nodes(classes: &[&Class]) -> String {
    let group = |class: &&Class| {
        let more = if class.count > 1 { ", …" } else { "" };
        let nodes = if class.count == 1 { "node" } else { "nodes" };
        format!("{} {nodes} with {} ({}{more})", class.count, platform(class), class.first)
    };
    several(&classes.iter().map(group).collect::<Vec<_>>())
}

/// A list that stays a line.
pub(super) fn several(items: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = items.iter().take(SHOWN).map(|item| shown(item)).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
