//! Which builds of Windows run which images: containers of Windows share the kernel of their host.

/// A version of Windows, `10.0.20348`; what follows the build makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowsVersion {
    major: u8,
    minor: u8,
    build: u16,
}

/// Windows Server 2022: from this build on a host runs images that are older than itself.
const SERVER_2022: u16 = 20_348;

// === impl WindowsVersion ===

impl WindowsVersion {
    /// Reads `major.minor.build` and whatever follows behind a further dot; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (major, minor, build) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()?, build: build.parse().ok()? })
    }

    /// The build, which is what people know a release by.
    pub fn build(self) -> u16 {
        self.build
    }

    /// Whether a host of this version takes an image of the version `image` where it shares its kernel with it
    /// (containerd/platforms `platform_compat_windows.go` of v0.2.1, microsoft/hcsshim `osversion`): before Windows Server
    /// 2022 the same build only, since then any build from that of 2022 to its own. v1.0.0-rc.2, of containerd 2.2, begins
    /// at the long-term release before the host's; that differs for hosts after Windows Server 2025 only.
    pub fn runs(self, image: Self) -> bool {
        (self.major, self.minor) == (image.major, image.minor)
            && if self.build < SERVER_2022 {
                self.build == image.build
            } else {
                (SERVER_2022..=self.build).contains(&image.build)
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> WindowsVersion {
        WindowsVersion::parse(text).unwrap()
    }

    #[test]
    fn a_version_has_three_numbers() {
        for text in ["10.0.20348", "10.0.20348.2700", "10.0.20348.1.2"] {
            assert_eq!(version(text).build(), 20_348, "{text}");
        }
        for text in ["", "10.0", "20348", "10.0.x", "10.0.20348-1", "300.0.1", "10.0.70000", "10..20348"] {
            assert_eq!(WindowsVersion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn since_server_2022_a_host_runs_older_images() {
        for (host, image, expected) in [
            ("10.0.17763", "10.0.17763.6893", true),
            ("10.0.17763.1", "10.0.20348.1", false),
            ("10.0.19042", "10.0.17763", false),
            ("10.0.20348.1", "10.0.17763.6893", false),
            ("10.0.20348", "10.0.20348.3000", true),
            ("10.0.20348", "10.0.26100", false),
            ("10.0.22621", "10.0.20348", true),
            ("10.0.25398", "10.0.20348", true),
            ("10.0.26100", "10.0.20348", true),
            ("10.0.26100", "10.0.25398", true),
            ("10.0.26100", "10.0.26100.1742", true),
            ("10.0.26100", "10.0.17763", false),
            ("10.0.20348", "6.3.20348", false),
        ] {
            assert_eq!(version(host).runs(version(image)), expected, "{image} on {host}");
        }
    }
}
