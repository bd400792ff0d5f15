//! What is behind a digest, as far as nodes pull and start different things: the entries of an index, or one manifest.

use std::collections::BTreeSet;

use super::platform::{Platform, accepted, normalised, runs};
use super::{Class, Runtime};
use crate::reference::Digest;

/// What an image is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An index.
    Index(Vec<Entry>),
    /// A single manifest, with the platform of its configuration. No runtime looks at it before it runs the image.
    Single(Platform),
    /// A single manifest whose configuration is none of a container image.
    Artifact(Artifact),
    /// A single manifest of something that is pulled and cannot run: the word for a sentence.
    Other(&'static str),
}

/// What was read of a manifest's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadContent {
    /// What it is made for.
    pub content: Content,
    /// Its length in bytes.
    pub length: u64,
}

/// An entry of an index, a descriptor of one manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The platform that it names; `None` where it names none.
    pub platform: Option<Platform>,
    /// What a node fetches for it; `None` where that is no digest.
    pub digest: Option<Digest>,
    /// Whether the entry calls what it points to something else than a container image.
    pub artifact: bool,
}

/// A manifest whose configuration has another media type than a container image's: a model, a policy bundle, whatever
/// else is stored in registries. What comes of it differs by runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The media type of its configuration, one printable word.
    pub config_type: String,
    /// What the configuration says of the file system.
    pub rootfs: Rootfs,
    /// The manifest is one of Docker's, not of the OCI's.
    pub docker: bool,
    /// The platform of its configuration, where it has one.
    pub platform: Platform,
}

/// What containerd finds to unpack, whatever the media type of the configuration: it reads `rootfs.diff_ids`, and takes
/// the layers whose media type is a layer's (containerd/containerd `client/image.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rootfs {
    /// Whatever it is, for the media type is one that containerd takes for an image's.
    OfAnImage,
    /// As many layers as the configuration lists, at least one.
    Unpacked,
    /// No layers, or another number than the configuration lists.
    Missing,
    /// The configuration could not be read.
    Unknown,
}

// === impl Content ===

impl Content {
    /// How many platforms are held.
    pub fn weight(&self) -> u32 {
        match self {
            Self::Index(entries) => u32::try_from(entries.len()).unwrap_or(u32::MAX).saturating_add(1),
            Self::Single(_) | Self::Artifact(_) | Self::Other(_) => 1,
        }
    }

    /// Whether nodes of a class find something to pull. What is not known of a node never speaks against the image.
    pub fn fits(&self, class: &Class) -> bool {
        if !class.is_known() {
            return true;
        }
        match self {
            Self::Index(_) => self.taken(class).next().is_some(),
            Self::Single(platform) => runs(platform, class),
            Self::Artifact(artifact) => runs(&artifact.platform, class),
            Self::Other(_) => true,
        }
    }

    /// The entries of an index that nodes of a class fetch: the best for them, all of these where several are as good. An
    /// entry without a platform is the last choice.
    pub fn taken<'c>(&'c self, class: &'c Class) -> impl Iterator<Item = &'c Entry> {
        const LAST: u8 = u8::MAX;
        let rank = |entry: &Entry| entry.platform.as_ref().map_or(Some(LAST), |platform| accepted(platform, class));
        let entries = match self {
            Self::Index(entries) if class.is_known() => entries.as_slice(),
            _ => &[],
        };
        let best = entries.iter().filter_map(rank).min();
        entries.iter().filter(move |entry| best.is_some() && rank(entry) == best)
    }

    /// The architectures under which Linux nodes find something in it; `None` if that is not said of every entry.
    pub fn architectures(&self) -> Option<BTreeSet<String>> {
        let named = match self {
            Self::Index(entries) => entries.iter().map(|entry| entry.platform.as_ref()).collect::<Option<Vec<_>>>()?,
            Self::Single(platform) => vec![platform],
            Self::Artifact(_) | Self::Other(_) => return None,
        };
        let architecture = |platform: &&Platform| normalised(&platform.architecture, &platform.variant).0;
        let fitting = |architecture: &String| {
            let (os, architecture) = ("linux".to_owned(), architecture.clone());
            self.fits(&Class { os, architecture, runtime: Runtime::Containerd2, ..Class::default() })
        };
        Some(
            named
                .iter()
                .map(architecture)
                .filter(|name| !name.is_empty() && name != "unknown")
                .filter(fitting)
                .collect(),
        )
    }

    /// The platforms that it names, without those of attestations, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let (entries, single) = match self {
            Self::Index(entries) => (entries.as_slice(), None),
            Self::Single(platform) => (&[][..], Some(platform)),
            Self::Artifact(_) | Self::Other(_) => (&[][..], None),
        };
        for platform in entries.iter().filter_map(|entry| entry.platform.as_ref()).chain(single) {
            let name = platform.to_string();
            if platform.architecture != "unknown" && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

// === impl Artifact ===

impl Artifact {
    /// Whether a container of it has a file system on a runtime; `None` where that is not known.
    ///
    /// containerd pulls whatever it is. containers/image, which CRI-O pulls with, takes an OCI manifest with exactly the
    /// OCI's configuration (`internal/image/oci.go`), and does not look at that of a Docker manifest.
    pub fn starts(&self, runtime: Runtime) -> Option<bool> {
        match (runtime, self.rootfs) {
            (Runtime::CriO, Rootfs::OfAnImage) | (Runtime::Other, _) => None,
            (Runtime::CriO, _) => (!self.docker).then_some(false),
            (_, Rootfs::Missing) => Some(false),
            (_, Rootfs::OfAnImage) | (Runtime::Containerd1 | Runtime::Containerd20, Rootfs::Unpacked) => Some(true),
            // Since 2.3 it looks at the media type before it unpacks (`internal/cri/opts/container.go`).
            (Runtime::Containerd2, Rootfs::Unpacked) | (_, Rootfs::Unknown) => None,
        }
    }
}

#[cfg(test)]
mod tests;
