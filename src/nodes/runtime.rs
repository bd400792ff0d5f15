//! `containerRuntimeVersion` → what pulls the images of a node, as far as pulls differ.

use std::fmt;

/// A container runtime and its generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// containerd 1.x.
    Containerd1,
    /// containerd 2.0, which pulls as 1.x does and refuses schema 1.
    Containerd20,
    /// containerd since 2.1, with its transfer service. Where nothing is known of a node, this is assumed.
    #[default]
    Containerd2,
    /// CRI-O.
    CriO,
    /// Another one, of which nothing is known.
    Other,
}

// === impl Runtime ===

impl Runtime {
    /// Reads `status.nodeInfo.containerRuntimeVersion`, `containerd://2.2.1`.
    pub fn of(version: &str) -> Self {
        let (name, version) = version.split_once("://").unwrap_or((version, ""));
        let mut numbers = version.trim_start_matches('v').split(['.', '-']).map(str::parse::<u32>);
        match (name, numbers.next(), numbers.next()) {
            ("", ..) => Self::default(),
            ("containerd", Some(Ok(0 | 1)), _) => Self::Containerd1,
            ("containerd", Some(Ok(2)), Some(Ok(0))) => Self::Containerd20,
            ("containerd", ..) => Self::Containerd2,
            ("cri-o", ..) => Self::CriO,
            _ => Self::Other,
        }
    }

    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Containerd1 => "containerd-1",
            Self::Containerd20 => "containerd-2.0",
            Self::Containerd2 => "containerd-2",
            Self::CriO => "cri-o",
            Self::Other => "another runtime",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_kubelets_report_them() {
        for (version, expected) in [
            ("containerd://1.7.28", Runtime::Containerd1),
            ("containerd://1.6.20~ds1", Runtime::Containerd1),
            ("containerd://2.0.5", Runtime::Containerd20),
            ("containerd://2.0.0-rc.1", Runtime::Containerd20),
            ("containerd://2.1.0", Runtime::Containerd2),
            ("containerd://v2.2.9", Runtime::Containerd2),
            ("containerd://3.0.0", Runtime::Containerd2),
            ("containerd://Unknown", Runtime::Containerd2),
            ("cri-o://1.34.0", Runtime::CriO),
            ("docker://27.1.1", Runtime::Other),
            ("", Runtime::Containerd2),
        ] {
            assert_eq!(Runtime::of(version), expected, "{version}");
        }
    }
}
