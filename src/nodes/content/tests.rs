//! Which entry and which manifest is for which nodes.

use super::*;
use crate::nodes::WindowsVersion;

fn platform(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Platform { os: next(), architecture: next(), variant: next(), os_version: String::new() }
}

fn entry(text: &str) -> Entry {
    Entry { platform: Some(platform(text)), ..Entry::default() }
}

fn class(text: &str, runtime: Runtime) -> Class {
    let Platform { os, architecture, .. } = platform(text);
    Class { os, architecture, runtime, ..Class::default() }
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
        let content = Content::Index(vec![self::entry(entry)]);
        let fits = [Runtime::Containerd1, Runtime::Containerd2, Runtime::CriO]
            .map(|runtime| content.fits(&class(node, runtime)));
        assert_eq!(fits, expected, "{entry} on {node}");
    }
}

#[test]
fn an_entry_without_a_platform_fits_and_no_entry_does_not() {
    let node = class("linux/amd64", Runtime::Containerd2);
    assert!(Content::Index(vec![Entry::default()]).fits(&node));
    assert!(!Content::Index(Vec::new()).fits(&node));
    assert!(Content::Index(Vec::new()).fits(&class("linux/", Runtime::Containerd2)), "nothing is known of the node");
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
    let index = |entries: &[&str]| Content::Index(entries.iter().map(|text| entry(text)).collect());
    let names =
        |content: &Content| content.architectures().map(|names| names.into_iter().collect::<Vec<_>>().join(" "));
    for (content, expected) in [
        (index(&["linux/amd64", "linux/aarch64/v8", "unknown/unknown", "windows/amd64"]), Some("amd64 arm64")),
        (index(&["linux/amd64/v3", "linux/386"]), Some("386")),
        (index(&["windows/amd64"]), Some("")),
        (Content::Index(vec![Entry::default(), entry("linux/amd64")]), None),
        (Content::Single(platform("linux/arm64")), Some("arm64")),
        (Content::Single(platform("/")), Some("")),
    ] {
        assert_eq!(names(&content).as_deref(), expected, "{content:?}");
    }
}

#[test]
fn attestations_have_no_name() {
    let entries = ["linux/amd64", "unknown/unknown", "linux/arm/v7", "linux/amd64"];
    let content = Content::Index(entries.map(entry).to_vec());
    assert_eq!(content.names(), ["linux/amd64", "linux/arm/v7"]);
}

/// A Windows node of this version, empty for unknown, and an image of that one.
#[test]
fn on_windows_the_build_decides_too() {
    let of = |version: &str| Platform { os_version: version.to_owned(), ..platform("windows/amd64") };
    for (host, image, expected) in [
        ("10.0.20348", "10.0.17763.6893", false),
        ("10.0.20348", "10.0.20348.2700", true),
        ("10.0.26100", "10.0.20348.2700", true),
        ("10.0.20348", "", true),
        ("", "10.0.17763.6893", true),
        ("10.0.20348", "20348", false),
    ] {
        for runtime in [Runtime::Containerd1, Runtime::Containerd2, Runtime::Other] {
            let class = Class { windows: WindowsVersion::parse(host), ..class("windows/amd64", runtime) };
            let index = Content::Index(vec![Entry { platform: Some(of(image)), ..Entry::default() }]);
            assert_eq!(index.fits(&class), expected, "{image} on {host:?} with {runtime}");
            assert_eq!(Content::Single(of(image)).fits(&class), expected, "{image} on {host:?}");
        }
    }
    let linux = Platform { os_version: "6.8".to_owned(), ..platform("linux/amd64") };
    assert!(Content::Single(linux.clone()).fits(&class("linux/amd64", Runtime::Containerd2)));
    let names =
        Content::Index([of("10.0.17763.1"), linux].map(|it| Entry { platform: Some(it), ..Entry::default() }).to_vec());
    assert_eq!(names.names(), ["windows/amd64 (10.0.17763.1)", "linux/amd64"]);
}

#[test]
fn a_node_fetches_the_best_entries_for_it() {
    let index = |entries: &[&str]| {
        let entries = entries.iter().map(|text| if text.is_empty() { Entry::default() } else { entry(text) });
        Content::Index(entries.collect())
    };
    let everything = ["", "linux/386", "linux/arm/v6", "linux/amd64", "linux/arm/v7", "linux/arm64/v8", "linux/arm64"];
    for (node, runtime, entries, expected) in [
        ("linux/amd64", Runtime::Containerd1, &everything[..], &["linux/amd64"][..]),
        ("linux/amd64", Runtime::Containerd1, &everything[..2], &["linux/386"]),
        ("linux/amd64", Runtime::Containerd2, &everything[..2], &[""]),
        ("linux/arm64", Runtime::Containerd20, &everything[..5], &["linux/arm/v7"]),
        ("linux/arm64", Runtime::Containerd2, &everything, &["linux/arm64/v8", "linux/arm64"]),
        ("linux/arm64", Runtime::CriO, &everything, &["linux/arm64/v8"]),
        ("linux/s390x", Runtime::Containerd2, &everything[1..], &[]),
        ("linux/", Runtime::Containerd2, &everything, &[]),
    ] {
        let (content, class) = (index(entries), class(node, runtime));
        let taken = content.taken(&class).map(|entry| entry.platform.as_ref().map(ToString::to_string));
        let taken: Vec<String> = taken.map(Option::unwrap_or_default).collect();
        assert_eq!(taken, expected, "{node} with {runtime}");
    }
}

#[test]
fn what_is_no_image_starts_nowhere_or_nobody_knows() {
    use Rootfs::{Missing, OfAnImage, Unknown, Unpacked};

    let artifact = |rootfs, docker| Artifact {
        config_type: "application/vnd.example.v1+json".to_owned(),
        rootfs,
        docker,
        platform: Platform::default(),
    };
    for (runtime, rootfs, docker, expected) in [
        (Runtime::Containerd1, Missing, false, Some(false)),
        (Runtime::Containerd2, Missing, true, Some(false)),
        (Runtime::Containerd1, Unpacked, false, Some(true)),
        (Runtime::Containerd2, Unpacked, false, None),
        (Runtime::Containerd2, Unknown, false, None),
        (Runtime::CriO, Unpacked, false, Some(false)),
        (Runtime::CriO, Missing, true, None),
        (Runtime::CriO, OfAnImage, false, None),
        (Runtime::Containerd2, OfAnImage, false, Some(true)),
        (Runtime::Other, Missing, false, None),
    ] {
        assert_eq!(artifact(rootfs, docker).starts(runtime), expected, "{runtime} {rootfs:?} {docker}");
    }
}
