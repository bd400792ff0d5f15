//! Keys, matches and the order of candidates.

use std::collections::BTreeMap;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn secret(name: &str, json: &str) -> PullSecret {
    let data = BTreeMap::from([(".dockerconfigjson".to_owned(), json.as_bytes().to_vec())]);
    PullSecret::new(name, "kubernetes.io/dockerconfigjson", data)
}

/// One secret with these entries; the user name of each says which one it is.
fn with_entries(secret_name: &str, names: &[&str]) -> PullSecret {
    let entries: Vec<_> = names
        .iter()
        .map(|name| format!("{0}:{{\"username\":{0},\"password\":\"p\"}}", serde_json::to_string(name).unwrap()))
        .collect();
    secret(secret_name, &format!("{{\"auths\":{{{}}}}}", entries.join(",")))
}

fn keyring(names: &[&str]) -> Keyring {
    Keyring::from_pull_secrets([&with_entries("s", names)]).unwrap()
}

fn hits(keyring: &Keyring, repository: &str) -> Vec<String> {
    let candidates = keyring.candidates(repository);
    assert!(!candidates.is_empty());
    candidates
        .into_iter()
        .filter_map(|candidate| candidate.credential)
        .map(|credential| credential.username.clone())
        .collect()
}

#[test]
fn names_become_keys() {
    let table = [
        ("https://index.docker.io/v1/", Some("index.docker.io")),
        ("https://index.docker.io/v1", Some("index.docker.io/v1")),
        ("https://a.io/v2/x", Some("a.io/x")),
        ("http://a.io/v2/", Some("a.io")),
        ("a.io", Some("a.io")),
        ("a.io/", Some("a.io")),
        ("a.io//", Some("a.io//")),
        ("a.io/v2", Some("a.io/v2")),
        ("a.io/v1/v2/", Some("a.io/v2/")),
        ("A.io:5000/X", Some("A.io:5000/X")),
        ("user:pass@a.io/x?q#f", Some("a.io/x")),
        ("a.io/x%20y", Some("a.io/x y")),
        ("a.io/%76%31/x", Some("a.io/x")),
        ("http://https://a.io", Some("https://a.io")),
        ("HTTPS://a.io", Some("HTTPS://a.io")),
        ("ftp://a.io", Some("ftp://a.io")),
        ("", Some("")),
        ("https://", Some("")),
        ("/x", Some("/x")),
        ("%zz", None),
        (" a.io", None),
        ("a.io ", None),
        ("a.io\n", None),
        ("reg.io:*", None),
        ("reg.io:80:90", None),
        ("a.io/%zz", None),
        ("a b@c.io", None),
        ("[::1]:5000/x", Some("[::1]:5000/x")),
        ("[fe80::1%25eth0]", Some("[fe80::1%eth0]")),
        ("[::1", None),
        ("[1.2.3.4]", None),
        ("[nonsense]", None),
        ("*.gcr.io", Some("*.gcr.io")),
        ("é.io", Some("é.io")),
        ("a^b.io", None),
    ];
    for (name, expected) in table {
        assert_eq!(key_of(name).as_deref(), expected, "{name:?}");
        let keyring = keyring(&[name]);
        assert_eq!(keyring.keys().first().map(|(key, _)| *key), expected, "{name:?}");
    }
}

#[test]
fn lookups_give_the_candidates_in_order() {
    let hub = "docker.io/library/busybox";
    let (v1, v1_bare) = ("https://index.docker.io/v1/", "https://index.docker.io/v1");
    let gcr = ["*.gcr.io", "us.gcr.io", "gcr.io", "us.gcr.io/p"];
    let table: [(&str, &[&str], &[&str]); 23] = [
        (hub, &[v1], &[v1]),
        (hub, &[v1_bare], &[]),
        (hub, &["index.docker.io"], &["index.docker.io"]),
        (hub, &["docker.io"], &["docker.io"]),
        (hub, &["registry-1.docker.io"], &[]),
        (hub, &["docker.io", v1], &["docker.io"]),
        (hub, &["docker.io/library", "docker.io"], &["docker.io/library", "docker.io"]),
        (hub, &["*.io"], &["*.io"]),
        (hub, &["HTTPS://docker.io"], &[]),
        (hub, &[" a.io", "%zz", "docker.io"], &["docker.io"]),
        ("registry-1.docker.io/library/busybox", &[v1, "docker.io"], &[]),
        ("localhost/foo", &[v1], &[v1]),
        ("Foo/bar", &[v1], &[v1]),
        ("localhost:5000/foo", &[v1], &[]),
        (
            "quay.io/coreos/etcd",
            &["quay.io", "quay.io/coreos", "quay.io/core"],
            &["quay.io/coreos", "quay.io/core", "quay.io"],
        ),
        ("us.gcr.io/p/i", &gcr, &["us.gcr.io/p", "us.gcr.io", "*.gcr.io"]),
        ("a.io/v2/x", &["a.io/v2"], &["a.io/v2"]),
        ("a.io/x", &["a.io/v2", "a.io/v2/"], &["a.io/v2/"]),
        ("a.io/x", &["a.io", "https://a.io/v1/"], &["a.io", "https://a.io/v1/"]),
        ("a.io/x", &["a.io/%3Fq"], &["a.io/%3Fq"]),
        ("a.io/x", &["a.io/%25zz", "a.io/%0A"], &[]),
        ("[::1]:5000/foo", &["[::1]:5000"], &["[::1]:5000"]),
        ("a.io/x", &[], &[]),
    ];
    for (repository, names, expected) in table {
        assert_eq!(hits(&keyring(names), repository), expected, "{repository} with {names:?}");
    }
}

#[test]
fn equal_keys_keep_the_order_of_the_secrets() {
    let secrets =
        [("1", "a.io"), ("2", "https://a.io/v1/"), ("3", "a.io/x")].map(|(name, entry)| with_entries(name, &[entry]));
    let keyring = Keyring::from_pull_secrets(&secrets).unwrap();
    let sources: Vec<_> =
        keyring.candidates("a.io/x").into_iter().map(|candidate| (candidate.source, candidate.key)).collect();
    let expected = [("3", "a.io/x"), ("1", "a.io"), ("2", "a.io")];
    assert_eq!(sources, expected.map(|(name, key)| (Source::PullSecret(name.into()), Arc::from(key))));
    assert_eq!(keyring.keys().len(), 3);

    let twice = Keyring::from_pull_secrets([&secrets[0], &secrets[0]]).unwrap();
    assert_eq!(twice.candidates("a.io/x").len(), 2);
}

#[test]
fn nothing_that_matches_means_one_anonymous_attempt() {
    for keyring in [Keyring::default(), keyring(&["b.io"])] {
        let candidates = keyring.candidates("a.io/x");
        assert_eq!(candidates.len(), 1);
        assert_eq!(candidates[0].source, Source::Anonymous);
        assert_eq!(&*candidates[0].key, "");
        assert!(candidates[0].credential.is_none());
    }
}

#[test]
fn an_empty_entry_is_a_match_that_keeps_others_away() {
    let keyring =
        Keyring::from_pull_secrets([&secret("s", r#"{"auths":{"docker.io":{},"index.docker.io":{"auth":"dTpw"}}}"#)])
            .unwrap();
    let candidates = keyring.candidates("docker.io/library/busybox");
    assert_eq!(candidates.len(), 1);
    assert_eq!(&*candidates[0].key, "docker.io");
    assert!(candidates[0].credential.as_ref().unwrap().login().is_none());
}

#[test]
fn one_malformed_secret_fails_the_keyring() {
    let good = with_entries("good", &["a.io"]);
    let bad = secret("bad", r#"{"auths":{"a.io":{"auth":"dTpw"},"unrelated.io":{"auth":"dQ=="}}}"#);
    let error = Keyring::from_pull_secrets([&good, &bad]).unwrap_err();
    assert_eq!(error.secret, "bad");
    assert_eq!(error.entry.as_deref(), Some("unrelated.io"));
    assert_eq!(error.to_string(), "unable to parse auth field, must be formatted as base64(username:password)");
    assert_eq!(error.to_string(), error.go_error);
}

#[test]
fn a_value_that_is_no_json_says_at_which_byte() {
    for (value, byte) in [
        (r#"{"auths":{"a.io":{"auth":"dTpw"},}}"#, Some(33)),
        ("eyJhdXRocyI6e319", Some(0)),
        (r#"{"auths":{"#, Some(10)),
        (r#"{"auths":{"a.io":{"auth":"!"}}}"#, None),
    ] {
        assert_eq!(Keyring::from_pull_secrets([&secret("s", value)]).unwrap_err().byte, byte, "{value}");
    }
}

#[test]
fn the_name_of_a_malformed_entry_shows_no_login() {
    let entry = |name: &str| {
        let json = serde_json::json!({"auths": {name: {"auth": "!"}}}).to_string();
        Keyring::from_pull_secrets([&secret("s", &json)]).unwrap_err().entry
    };
    assert_eq!(entry("https://user:hunter2@a.io/x").as_deref(), Some("a.io/x"));
    assert_eq!(entry("https://user:hun%zz@a.io/x"), None);
    assert_eq!(entry("https://index.docker.io/v1/").as_deref(), Some("https://index.docker.io/v1/"));
    assert_eq!(entry(&"é".repeat(500)).unwrap().len(), 200);
}

#[test]
fn secrets_that_do_not_contribute_are_passed_over_even_if_malformed() {
    let mut opaque = secret("opaque", "not json");
    opaque.kind = "Opaque".to_owned();
    let empty = secret("empty", "");
    let mut other_key = secret("other", "not json");
    other_key.kind = "kubernetes.io/dockercfg".to_owned();
    let keyring = Keyring::from_pull_secrets([&opaque, &empty, &other_key]).unwrap();
    assert_eq!(keyring.keys().len(), 0);

    let data = BTreeMap::from([(".dockercfg".to_owned(), br#"{"a.io":{"auth":"dTpw"}}"#.to_vec())]);
    let full = PullSecret::new("full", "kubernetes.io/dockercfg", data);
    let keyring = Keyring::from_pull_secrets([&full]).unwrap();
    let candidates = keyring.candidates("a.io/x");
    let login = candidates[0].credential.as_ref().unwrap().login().unwrap();
    assert_eq!((login.username, login.password.expose_secret()), ("u", "p"));
}

#[test]
fn a_keyring_does_not_print_passwords() {
    let keyring =
        Keyring::from_pull_secrets([&secret("s", r#"{"auths":{"a.io":{"username":"u","password":"hunter2"}}}"#)])
            .unwrap();
    assert!(!format!("{keyring:?}").contains("hunter2"));
}

#[test]
fn a_megabyte_of_anything_is_refused_or_read_in_one_pass() {
    for part in ["[", "{\"auths\":", "\"", "\\", "{\"a\":", " ", "1", "é"] {
        let _ignored = Keyring::from_pull_secrets([&secret("s", &part.repeat((1 << 20) / part.len()))]);
    }
    let names: Vec<String> = (0..20_000).map(|n| format!("*{n}*.io")).collect();
    let keyring = keyring(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(keyring.candidates(&format!("{}.io/x", "9".repeat(1 << 20)))[0].source, Source::Anonymous);
}

proptest! {
    #[test]
    fn any_bytes_make_a_keyring_or_an_error(bytes in any::<Vec<u8>>(), cfg in any::<bool>()) {
        let shape = if cfg { "dockercfg" } else { "dockerconfigjson" };
        let data = BTreeMap::from([(format!(".{shape}"), bytes)]);
        let secret = PullSecret::new("s", format!("kubernetes.io/{shape}"), data);
        prop_assert!(super::super::contributes(&secret).is_ok() || secret.data.values().all(Vec::is_empty));
        let _ignored = Keyring::from_pull_secrets([&secret]);
    }

    #[test]
    fn almost_json_makes_a_keyring_or_an_error(text in "[{}\\[\\]\",:a\\\\un10.eE \n-]{0,40}") {
        let _ignored = Keyring::from_pull_secrets([&secret("s", &text)]);
        let nested = format!("{{\"auths\":{{\"a.io\":{text}}}}}");
        // What serde_json accepts, Go accepts too, apart from wrong types.
        if let Err(error) = Keyring::from_pull_secrets([&secret("s", &nested)])
            && serde_json::from_str::<serde_json::Value>(&nested).is_ok()
        {
            prop_assert!(error.entry.is_some());
        }
    }

    #[test]
    fn any_name_is_a_key_or_none(
        names in proptest::collection::vec(any::<String>(), 0..4),
        repository in any::<String>(),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        prop_assert!(!keyring(&names).candidates(&repository).is_empty());
    }

    #[test]
    fn candidates_come_in_reverse_byte_order_of_their_keys(
        names in proptest::collection::vec("(a|\\*|a\\*)\\.(io|\\*)(/[a-c]{0,2})?", 0..8),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let keys: Vec<_> = keyring(&names).candidates("a.io/abc").into_iter().map(|candidate| candidate.key).collect();
        prop_assert!(keys.is_sorted_by(|a, b| a >= b), "{keys:?}");
    }
}
