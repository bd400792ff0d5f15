//! One platform against the nodes: which entry of an index a runtime takes, and which of several
//! (containerd/platforms `platforms.go`, `compare.go`, `database.go`; containers/image `internal/pkg/platform`).

use std::fmt;

use super::{Class, Runtime, WindowsVersion};

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
    /// `os.version`, `10.0.20348.2700`; empty if none is written. Nobody looks at it but Windows.
    pub os_version: String,
}

/// Whether a runtime takes an entry of an index on nodes of a class, and how far behind the best that it could find: it
/// takes the entry with the lowest number.
pub(super) fn accepted(entry: &Platform, class: &Class) -> Option<u8> {
    let rank = match class.runtime {
        Runtime::Containerd2 => containerd(entry, class).filter(|rank| *rank == 0),
        Runtime::Containerd1 | Runtime::Containerd20 => containerd(entry, class),
        Runtime::CriO => cri_o(entry, class),
        Runtime::Other => containerd(entry, class).or_else(|| cri_o(entry, class)),
    };
    rank.filter(|_| is_of_the_build(entry, class))
}

/// containerd normalises what is written. Above 0: smaller processors of the same family, which count in a local pull
/// (before 2.1); the transfer service wants the platform itself.
fn containerd(entry: &Platform, class: &Class) -> Option<u8> {
    let (architecture, variant) = normalised(&entry.architecture, &entry.variant);
    let os = entry.os.to_ascii_lowercase();
    if !(os.is_empty() || os == class.os) {
        return None;
    }
    match (class.architecture.as_str(), architecture.as_str(), variant.as_str()) {
        ("amd64", "386", "") | ("arm64", "arm", "v8") | ("arm", "arm", "v6") => Some(1),
        ("arm64", "arm", "v7") | ("arm", "arm", "v5") => Some(2),
        ("arm64", "arm", "v6") => Some(3),
        ("arm64", "arm", "v5") => Some(4),
        ("arm", "arm", "v7") => Some(0),
        ("arm", "arm", _) => None,
        (node, entry, "") => (node == entry).then_some(0),
        _ => None,
    }
}

/// CRI-O compares what is written.
fn cri_o(entry: &Platform, class: &Class) -> Option<u8> {
    if entry.os != class.os || entry.architecture != class.architecture {
        return None;
    }
    let variants: &[&str] = match class.architecture.as_str() {
        "arm64" => &["v8", ""],
        "arm" => &["v7", "v6", "v5", ""],
        _ => &[""],
    };
    let rank = variants.iter().position(|variant| *variant == entry.variant)?;
    u8::try_from(rank).ok()
}

/// Whether what is written of Windows' version fits the hosts of a class; on Linux nobody looks.
fn is_of_the_build(platform: &Platform, class: &Class) -> bool {
    match class.windows {
        Some(host) if class.os == "windows" && !platform.os_version.is_empty() => {
            WindowsVersion::parse(&platform.os_version).is_some_and(|image| host.runs(image))
        }
        Some(_) | None => true,
    }
}

/// Whether a program for a platform starts on a node: its own processor's, or an older one's of the same family, and on
/// Windows its own build's.
pub(super) fn runs(platform: &Platform, class: &Class) -> bool {
    let (architecture, _) = normalised(&platform.architecture, &platform.variant);
    let os = platform.os.to_ascii_lowercase();
    (os.is_empty() || os == class.os)
        && (architecture.is_empty()
            || architecture == class.architecture
            || matches!((class.architecture.as_str(), architecture.as_str()), ("amd64", "386") | ("arm64", "arm")))
        && is_of_the_build(platform, class)
}

/// Architecture and variant under their usual names; a variant that is the default is empty, but for `arm`.
pub(super) fn normalised(architecture: &str, variant: &str) -> (String, String) {
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
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        match self.os_version.as_str() {
            version if !version.is_empty() && os.eq_ignore_ascii_case("windows") => write!(f, " ({version})"),
            _ => Ok(()),
        }
    }
}
