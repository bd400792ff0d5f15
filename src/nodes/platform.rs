//! The platforms of an image against the nodes: which entry of an index a runtime takes
//! (containerd/platforms `platforms.go`, `compare.go`, `database.go`; containers/image `internal/pkg/platform`).

use std::collections::BTreeSet;
use std::fmt;

use super::{Class, Runtime};

/// An operating system and a processor, as an index or an image configuration writes them. `os.features` is left out: it
/// speaks against nothing, for containerd 1.7 to 2.2 and CRI-O take an entry whatever features it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub architecture: String,
    /// `v8`; empty if none is written.
    pub variant: String,
}

/// What an image is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An index: the platform of every entry, `None` where an entry names none.
    Index(Vec<Option<Platform>>),
    /// A single manifest, with the platform of its configuration. No runtime looks at it before it runs the image.
    Single(Platform),
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

// === impl Content ===

impl Content {
    /// How many platforms are held.
    pub fn weight(&self) -> u32 {
        match self {
            Self::Index(entries) => u32::try_from(entries.len()).unwrap_or(u32::MAX).saturating_add(1),
            Self::Single(_) | Self::Other(_) => 1,
        }
    }

    /// Whether nodes of a class find something to pull. What is not known of a node never speaks against the image.
    pub fn fits(&self, class: &Class) -> bool {
        if class.architecture.is_empty() || class.os.is_empty() {
            return true;
        }
        match self {
            Self::Index(entries) => entries.iter().any(|entry| match entry {
                None => true,
                Some(platform) => accepted(platform, class),
            }),
            Self::Single(platform) => runs(platform, class),
            Self::Other(_) => true,
        }
    }

    /// The architectures under which Linux nodes find something in it; `None` if that is not said of every entry.
    pub fn architectures(&self) -> Option<BTreeSet<String>> {
        let named = match self {
            Self::Index(entries) => entries.iter().map(Option::as_ref).collect::<Option<Vec<_>>>()?,
            Self::Single(platform) => vec![platform],
            Self::Other(_) => return None,
        };
        let architecture = |platform: &&Platform| normalised(&platform.architecture, &platform.variant).0;
        let fitting = |architecture: &String| {
            let (os, architecture) = ("linux".to_owned(), architecture.clone());
            self.fits(&Class { os, architecture, runtime: Runtime::Containerd2, count: 0, first: "".into() })
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
            Self::Other(_) => (&[][..], None),
        };
        for platform in entries.iter().flatten().chain(single) {
            let name = platform.to_string();
            if platform.architecture != "unknown" && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Whether a runtime takes an entry of an index on nodes of a class.
fn accepted(entry: &Platform, class: &Class) -> bool {
    match class.runtime {
        Runtime::Containerd2 => containerd(entry, class, false),
        Runtime::Containerd1 | Runtime::Containerd20 => containerd(entry, class, true),
        Runtime::CriO => cri_o(entry, class),
        Runtime::Other => containerd(entry, class, true) || cri_o(entry, class),
    }
}

/// containerd normalises what is written. `compatible`: smaller processors of the same family count too, as in a local
/// pull (before 2.1); the transfer service wants the platform itself.
fn containerd(entry: &Platform, class: &Class, compatible: bool) -> bool {
    let (architecture, variant) = normalised(&entry.architecture, &entry.variant);
    let os = entry.os.to_ascii_lowercase();
    if !(os.is_empty() || os == class.os) {
        return false;
    }
    match (class.architecture.as_str(), architecture.as_str(), variant.as_str()) {
        ("amd64", "386", "") | ("arm64", "arm", "v5" | "v6" | "v7" | "v8") | ("arm", "arm", "v5" | "v6") => compatible,
        ("arm", "arm", "v7") => true,
        ("arm", "arm", _) => false,
        (node, entry, "") => node == entry,
        _ => false,
    }
}

/// CRI-O compares what is written.
fn cri_o(entry: &Platform, class: &Class) -> bool {
    entry.os == class.os
        && entry.architecture == class.architecture
        && match class.architecture.as_str() {
            "arm64" => matches!(entry.variant.as_str(), "" | "v8"),
            "arm" => matches!(entry.variant.as_str(), "" | "v5" | "v6" | "v7"),
            _ => entry.variant.is_empty(),
        }
}

/// Whether a program for a platform starts on a node: its own processor's, or an older one's of the same family.
fn runs(platform: &Platform, class: &Class) -> bool {
    let (architecture, _) = normalised(&platform.architecture, &platform.variant);
    let os = platform.os.to_ascii_lowercase();
    (os.is_empty() || os == class.os)
        && (architecture.is_empty()
            || architecture == class.architecture
            || matches!((class.architecture.as_str(), architecture.as_str()), ("amd64", "386") | ("arm64", "arm")))
}

/// Architecture and variant under their usual names; a variant that is the default is empty, but for `arm`.
fn normalised(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("i386", _) => ("386", ""),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let os = if self.os.is_empty() { "linux" } else { &self.os };
        write!(f, "{os}/{}", self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Platform { os: next(), architecture: next(), variant: next() }
    }

    fn class(text: &str, runtime: Runtime) -> Class {
        let Platform { os, architecture, .. } = platform(text);
        Class { os, architecture, runtime, count: 1, first: "n".into() }
    }

    /// Node, entry, and whether containerd before 2.1, containerd since 2.1, and CRI-O take it.
    #[test]
    fn each_runtime_takes_its_own() {
        let table = [
            ("linux/amd64", "linux/amd64", [true, true, true]),
            ("linux/amd64", "linux/amd64/v1", [true, true, false]),
            ("linux/amd64", "linux/amd64/v2", [false, false, false]),
            ("linux/amd64", "linux/amd64/v3", [false, false, false]),
            ("linux/amd64", "Linux/x86_64", [true, true, false]),
            ("linux/amd64", "/amd64", [true, true, false]),
            ("linux/amd64", "linux/386", [true, false, false]),
            ("linux/amd64", "linux/i386", [true, false, false]),
            ("linux/amd64", "linux/386/v1", [false, false, false]),
            ("linux/amd64", "linux/arm64", [false, false, false]),
            ("linux/amd64", "windows/amd64", [false, false, false]),
            ("linux/amd64", "unknown/unknown", [false, false, false]),
            ("linux/arm64", "linux/arm64", [true, true, true]),
            ("linux/arm64", "linux/arm64/v8", [true, true, true]),
            ("linux/arm64", "linux/aarch64", [true, true, false]),
            ("linux/arm64", "linux/arm64/v8.0", [true, true, false]),
            ("linux/arm64", "linux/arm64/v9", [false, false, false]),
            ("linux/arm64", "linux/arm", [true, false, false]),
            ("linux/arm64", "linux/arm/v7", [true, false, false]),
            ("linux/arm64", "linux/arm/v8", [true, false, false]),
            ("linux/arm", "linux/arm", [true, true, true]),
            ("linux/arm", "linux/arm/v7", [true, true, true]),
            ("linux/arm", "linux/armhf", [true, true, false]),
            ("linux/arm", "linux/arm/v6", [true, false, true]),
            ("linux/arm", "linux/arm/v5", [true, false, true]),
            ("linux/arm", "linux/arm/v8", [false, false, false]),
            ("linux/s390x", "linux/s390x", [true, true, true]),
            ("windows/amd64", "windows/amd64", [true, true, true]),
        ];
        for (node, entry, expected) in table {
            let content = Content::Index(vec![Some(platform(entry))]);
            let fits = [Runtime::Containerd1, Runtime::Containerd2, Runtime::CriO]
                .map(|runtime| content.fits(&class(node, runtime)));
            assert_eq!(fits, expected, "{entry} on {node}");
        }
    }

    #[test]
    fn an_entry_without_a_platform_fits_and_no_entry_does_not() {
        let node = class("linux/amd64", Runtime::Containerd2);
        assert!(Content::Index(vec![None]).fits(&node));
        assert!(!Content::Index(Vec::new()).fits(&node));
        assert!(
            Content::Index(Vec::new()).fits(&class("linux/", Runtime::Containerd2)),
            "nothing is known of the node"
        );
    }

    #[test]
    fn a_single_manifest_runs_where_its_processor_is() {
        for (node, image, expected) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v3", true),
            ("linux/amd64", "linux/386", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/arm64", "linux/arm/v7", true),
            ("linux/arm", "linux/arm64", false),
            ("linux/amd64", "windows/amd64", false),
            ("linux/amd64", "/", true),
        ] {
            let content = Content::Single(platform(image));
            assert_eq!(content.fits(&class(node, Runtime::Containerd2)), expected, "{image} on {node}");
        }
    }

    #[test]
    fn architectures_are_those_of_linux_nodes() {
        let index = |entries: &[&str]| Content::Index(entries.iter().map(|entry| Some(platform(entry))).collect());
        let names =
            |content: &Content| content.architectures().map(|names| names.into_iter().collect::<Vec<_>>().join(" "));
        for (content, expected) in [
            (index(&["linux/amd64", "linux/aarch64/v8", "unknown/unknown", "windows/amd64"]), Some("amd64 arm64")),
            (index(&["linux/amd64/v3", "linux/386"]), Some("386")),
            (index(&["windows/amd64"]), Some("")),
            (Content::Index(vec![None, Some(platform("linux/amd64"))]), None),
            (Content::Single(platform("linux/arm64")), Some("arm64")),
            (Content::Single(platform("/")), Some("")),
        ] {
            assert_eq!(names(&content).as_deref(), expected, "{content:?}");
        }
    }

    #[test]
    fn attestations_have_no_name() {
        let entries = ["linux/amd64", "unknown/unknown", "linux/arm/v7", "linux/amd64"];
        let content = Content::Index(entries.map(|entry| Some(platform(entry))).to_vec());
        assert_eq!(content.names(), ["linux/amd64", "linux/arm/v7"]);
    }
}
