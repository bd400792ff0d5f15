//! The golden vectors of the reference grammar.

use proptest::prelude::*;

use super::*;

const H: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn parsed(image: &str) -> Reference {
    Reference::parse(image).unwrap_or_else(|error| panic!("{image:?}: {error}"))
}

fn error(image: &str) -> String {
    match Reference::parse(image) {
        Ok(reference) => panic!("{image:?} parses as {reference}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn accepted_references_take_the_form_that_the_kubelet_gives_them() {
    let long = "n".repeat(247);
    let library_long = format!("library/{long}");
    let library_hex = format!("library/{H}");
    let hex_tagged = format!("{H}:tag");
    let pinned = format!("foo:latest@sha256:{H}");
    let table = [
        ("busybox", "docker.io", "library/busybox", "latest"),
        ("docker.io", "docker.io", "library/docker.io", "latest"),
        ("localhost", "docker.io", "library/localhost", "latest"),
        ("example.com", "docker.io", "library/example.com", "latest"),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),
        ("localhost/foo", "localhost", "foo", "latest"),
        ("LOCALHOST/x", "LOCALHOST", "x", "latest"),
        ("index.docker.io/busybox", "docker.io", "library/busybox", "latest"),
        ("docker.io/a/b/c:1", "docker.io", "a/b/c", "1"),
        ("registry-1.docker.io/library/busybox", "registry-1.docker.io", "library/busybox", "latest"),
        ("registry-1.docker.io/busybox", "registry-1.docker.io", "busybox", "latest"),
        ("DOCKER.IO/busybox", "DOCKER.IO", "busybox", "latest"),
        ("Foo/bar", "Foo", "bar", "latest"),
        ("foo:BAR", "docker.io", "library/foo", "BAR"),
        ("my_host/foo", "docker.io", "my_host/foo", "latest"),
        ("my_host.com/foo", "my_host.com", "foo", "latest"),
        ("[::1]:5000/foo", "[::1]:5000", "foo", "latest"),
        ("[::1]/foo:v1", "[::1]", "foo", "v1"),
        ("x.y:99999999/z", "x.y:99999999", "z", "latest"),
        ("a.io:5000/x:_", "a.io:5000", "x", "_"),
        (&long, "docker.io", &library_long, "latest"),
        (&hex_tagged, "docker.io", &library_hex, "tag"),
        (&library_hex, "docker.io", &library_hex, "latest"),
        (&pinned, "docker.io", "library/foo", "latest"),
    ];
    for (image, registry, repository, tag) in table {
        let reference = parsed(image);
        assert_eq!(reference.name(), format!("{registry}/{repository}"), "{image}");
        assert_eq!(reference.registry(), registry, "{image}");
        assert_eq!(reference.repository(), repository, "{image}");
        assert_eq!(reference.tag(), Some(tag), "{image}");
        let digest = image.split_once('@').map(|(_, digest)| digest);
        assert_eq!(reference.digest().map(Digest::as_str), digest, "{image}");
    }
    for accepted in [format!("foo:{}", "t".repeat(128)), "a".repeat(247), format!("a.io/{}", "a".repeat(255))] {
        parsed(&accepted);
    }
}

#[test]
fn refused_references_get_the_error_that_a_node_shows() {
    let invalid = "invalid reference format";
    let table: Vec<(String, String)> = [
        ("foo/Bar", "invalid reference format: repository name (foo/Bar) must be lowercase"),
        ("FOO", "invalid reference format: repository name (library/FOO) must be lowercase"),
        ("a.io/É", "invalid reference format: repository name (É) must be lowercase"),
        ("Foo_Bar/x", "repository name must be lowercase"),
        ("My_host.com/foo", "repository name must be lowercase"),
        ("a.io/\u{a7d0}", "invalid reference format: repository name (\u{a7d0}) must be lowercase"),
        // Upper case since Unicode 16, which Go does not have.
        ("a.io/\u{1c89}", invalid),
        ("a.io/\u{10d50}", invalid),
        ("\u{130}_/x", invalid),
        ("\u{130}_a/x", "repository name must be lowercase"),
        ("example.com:/x", invalid),
        ("", invalid),
        (" ", invalid),
        (":", invalid),
        ("@", invalid),
        ("/", invalid),
        ("/foo", invalid),
        ("a.io/", invalid),
        ("foo ", invalid),
        (" foo", invalid),
        ("foo\n", invalid),
        ("foo\0", invalid),
        ("http://foo/bar", invalid),
        ("https://registry.io/app:1", invalid),
        ("foo//bar", invalid),
        ("foo:-x", invalid),
        ("foo:", invalid),
        ("foo:a:b", invalid),
        ("foo@latest", invalid),
        ("user@reg.io/foo", invalid),
        ("[fe80::1%eth0]/foo", invalid),
        ("a..io/foo", invalid),
        ("[::1/foo", invalid),
        ("foo%2fbar", invalid),
    ]
    .map(|(image, error)| (image.to_owned(), error.to_owned()))
    .into_iter()
    .chain([
        (H.to_owned(), format!("invalid repository name ({H}), cannot specify 64-byte hexadecimal strings")),
        (format!("foo:{}", "t".repeat(129)), invalid.to_owned()),
        ("a".repeat(248), "repository name must not be more than 255 characters".to_owned()),
        (format!("my_host.com/{}", "a".repeat(244)), "repository name must not be more than 255 characters".to_owned()),
        (format!("foo@sha256:{}", "A".repeat(64)), "invalid checksum digest format".to_owned()),
        (format!("foo@sha512:{H}"), "invalid checksum digest length".to_owned()),
        (format!("foo@sha1:{}", "a".repeat(40)), "unsupported digest algorithm".to_owned()),
        (format!("foo@md5:{}", "a".repeat(32)), "unsupported digest algorithm".to_owned()),
        (format!("foo:1@SHA256:{H}"), "invalid checksum digest format".to_owned()),
        (
            format!("foo@SHA256:{H}"),
            "invalid reference format: repository name (library/foo@SHA256) must be lowercase".to_owned(),
        ),
        (format!("foo@sha256:{}", "a".repeat(31)), invalid.to_owned()),
        (format!("a.b@sha256:{H}/foo"), invalid.to_owned()),
    ])
    .collect();
    for (image, expected) in table {
        assert_eq!(error(&image), expected, "{image:?}");
    }
}

#[test]
fn a_tag_beside_a_digest_is_dropped_for_the_runtime_only() {
    let reference = parsed(&format!("foo:latest@sha256:{H}"));
    assert_eq!(reference.to_string(), format!("docker.io/library/foo:latest@sha256:{H}"));
    assert_eq!(reference.runtime_form(), format!("docker.io/library/foo@sha256:{H}"));
    assert_eq!(reference.object(), format!("sha256:{H}"));
    assert_eq!(parsed("foo").runtime_form(), "docker.io/library/foo:latest");
    assert_eq!(parsed(&format!("foo@sha256:{H}")).tag(), None);
}

#[test]
fn latest_is_implicit_only_without_tag_and_digest() {
    assert!(parsed("foo").implicit_latest());
    assert!(!parsed("foo:latest").implicit_latest());
    assert!(!parsed(&format!("foo@sha256:{H}")).implicit_latest());
    assert_eq!(parsed("foo"), parsed("docker.io/library/foo:latest"));
}

#[test]
fn the_pull_policy_defaults_to_always_for_latest() {
    let table = [
        ("app".to_owned(), true),
        ("app:latest".to_owned(), true),
        (format!("app:latest@sha256:{H}"), true),
        (format!("app@sha256:{H}"), false),
        ("app:1".to_owned(), false),
        ("app:Latest".to_owned(), false),
        ("not valid:latest".to_owned(), false),
    ];
    for (image, expected) in table {
        assert_eq!(defaults_to_always(&image), expected, "{image}");
    }
}

#[test]
fn docker_hub_is_the_default_only_when_no_registry_is_written() {
    for image in ["busybox", "localhost", "example.com", "a/b", "my_host/foo", "localhost:5000"] {
        assert!(image_was_docker_hub_by_default(image), "{image}");
    }
    for image in ["docker.io/busybox", "index.docker.io/busybox", "localhost/x", "Foo/bar", "a.io/b", "a:1/b"] {
        assert!(!image_was_docker_hub_by_default(image), "{image}");
    }
}

#[test]
fn errors_repeat_at_most_200_bytes() {
    let shown = error(&format!("{}A", "é".repeat(1000)));
    assert!(shown.len() <= 200 + "invalid reference format: repository name () must be lowercase".len(), "{shown}");
}

#[test]
fn a_megabyte_is_read_in_one_pass() {
    for image in ["a", "a/", "-", "é", "É", ":", "@", "a.", "[", "a:1/", "__", "a__"] {
        let _ignored = Reference::parse(&image.repeat((1 << 20) / image.len()));
    }
    let host = format!("{}/x", "a.".repeat(1 << 19) + "a");
    assert_eq!(parsed(&host).registry().len(), (1 << 20) + 1);
}

proptest! {
    #[test]
    fn any_string_parses_or_is_refused(image in any::<String>()) {
        let _ignored = Reference::parse(&image);
        let _ignored = defaults_to_always(&image);
    }

    #[test]
    fn the_normal_form_parses_to_itself(
        image in "([A-Za-z0-9.:_-]{0,6}/){0,3}[a-zA-Z0-9._-]{1,6}\
                  (:[A-Za-z0-9._-]{0,4})?(@sha256:[a-f0-9]{64})?",
    ) {
        if let Ok(reference) = Reference::parse(&image) {
            let again = Reference::parse(&reference.to_string()).unwrap();
            prop_assert_eq!(&again, &reference);
            prop_assert_eq!(again.to_string(), reference.to_string());
            let runtime = Reference::parse(&reference.runtime_form()).unwrap();
            prop_assert_eq!(runtime.name(), reference.name());
            prop_assert_eq!(runtime.object(), reference.object());
        }
    }

    #[test]
    fn well_formed_references_are_accepted(
        domain in "([a-z0-9]{1,5}(-[a-z0-9]{1,3})?\\.){1,3}[a-z]{2,3}(:[0-9]{1,5})?",
        path in "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,4}){0,2}",
        tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}",
    ) {
        let reference = Reference::parse(&format!("{domain}/{path}:{tag}")).unwrap();
        prop_assert_eq!(reference.tag(), Some(tag.as_str()));
        let domain = if domain == "index.docker.io" { DOCKER_HUB } else { &domain };
        prop_assert_eq!(reference.registry(), domain);
    }
}
