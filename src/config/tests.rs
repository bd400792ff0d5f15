//! What the configuration accepts, and what it refuses where.

use super::*;
use crate::finding::Code;
use crate::policy::{NodeAccess, PinFormat, PinOwners, TemplatesAction, UncertainAction};

const EVERYTHING: &str = r#"
mode: audit                      # enforce | warn | audit
templates: warn
onUncertain: { RateLimited: allow, RegistryUnreachable: deny }
namespaces:
  - { names: [kube-system], mode: audit }
exceptions:
  - { namespace: legacy, image: "registry.corp.io/old/*", code: TagNotFound, until: 2027-01-31 }
pin: { enabled: true, format: tag-and-digest, owners: builtin, skip: ["kind.local/*"] }
registries:                      # first match wins; host globs
  - host: 127.0.0.1:5000
    plainHTTP: true
    nodeAccess: none
  - host: "*.corp.io"
    caFile: /etc/pullgate/ca.pem
    clientCertFile: /etc/pullgate/client.pem
    proxy: http://proxy.corp.io:3128
    timeout: 1500ms
    nodeAccess: unknown
  - { host: lab.example, skipVerify: true, proxy: none }
guard:
  allowAddresses: [127.0.0.0/8, "::1"]
  denyAddresses: [10.96.0.0/12]
  registries: { allow: ["*"], deny: [docker.io] }
nodes: { certsDir: /etc/pullgate/certs.d }
"#;

fn refusal(text: &str) -> String {
    parse(text, "pullgate.yaml").unwrap_err().to_string()
}

#[test]
fn every_key_is_understood() {
    let policy = parse(EVERYTHING, "pullgate.yaml").unwrap();
    assert_eq!(policy.mode, Mode::Audit);
    assert_eq!(policy.templates, TemplatesAction::Warn);
    assert_eq!(policy.uncertain(Code::RateLimited), UncertainAction::Allow);
    assert_eq!(policy.uncertain(Code::RegistryUnreachable), UncertainAction::Deny);
    assert_eq!(policy.uncertain(Code::RegistryError), UncertainAction::Allow);
    assert_eq!(policy.mode_for("kube-system"), Some(Mode::Audit));
    let today = jiff::civil::date(2027, 1, 31);
    assert!(policy.exception("legacy", "registry.corp.io/old/a:1", Code::TagNotFound, today).is_some());
    assert_eq!((policy.pin.format, policy.pin.owners), (PinFormat::TagAndDigest, PinOwners::Builtin));
    assert!(policy.pin_skipped("kind.local/app:1"));
    assert!(policy.registry("127.0.0.1:5000").plain_http);
    assert_eq!(policy.node_access("127.0.0.1:5000"), NodeAccess::None);
    let corp = policy.registry("EU.corp.io");
    assert_eq!(corp.ca_file, Some(PathBuf::from("/etc/pullgate/ca.pem")));
    assert_eq!(corp.client_cert_file, Some(PathBuf::from("/etc/pullgate/client.pem")));
    assert_eq!(corp.proxy, Proxy::Url("http://proxy.corp.io:3128".to_owned()));
    assert_eq!(policy.registry("127.0.0.1:5000").proxy, Proxy::Environment);
    assert!(!corp.skip_verify);
    let lab = policy.registry("lab.example");
    assert!(lab.skip_verify && lab.proxy == Proxy::None);
    assert_eq!(corp.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(policy.node_access("eu.corp.io"), NodeAccess::Unknown);
    assert_eq!((policy.guard.allow_addresses.len(), policy.guard.deny_addresses.len()), (2, 1));
    assert_eq!(policy.nodes.certs_dir, Some(PathBuf::from("/etc/pullgate/certs.d")));
    assert!(policy.registry_allowed("quay.io") && !policy.registry_allowed("docker.io"));
}

#[test]
fn what_is_not_written_is_the_default_policy() {
    for text in
        ["{}", "namespaces:\nregistries:\nonUncertain:\n", "pin: {}\nguard: { registries: {} }\nnamespaces: []\n"]
    {
        assert_eq!(parse(text, "pullgate.yaml"), Ok(Policy::default()), "{text:?}");
    }
}

#[test]
fn one_word_answers_for_every_uncertain_code() {
    let policy = parse("onUncertain: deny", "pullgate.yaml").unwrap();
    assert_eq!(policy.uncertain(Code::NotChecked), UncertainAction::Deny);
    assert_eq!(parse("templates: off", "pullgate.yaml").unwrap().templates, TemplatesAction::Off);
}

#[test]
fn an_empty_allow_list_allows_nothing() {
    let policy = parse("guard: { registries: { allow: [] } }", "pullgate.yaml").unwrap();
    assert!(!policy.registry_allowed("quay.io"));
}

#[test]
fn a_mistake_is_named_with_file_line_and_column() {
    for (text, expected) in [
        (
            "mode: audit\nmodes: audit\n",
            "2:1: unknown key \"modes\"; known here: mode, templates, onUncertain, namespaces, exceptions, kinds, pin, registries, runtime, guard, nodes, cache",
        ),
        (
            "registries:\n  - host: a.io\n    plainHttp: true\n",
            "3:5: unknown key \"plainHttp\"; known here: host, plainHTTP, caFile, clientCertFile, proxy, skipVerify, timeout, nodeAccess",
        ),
        ("", "1:1: the file holds no configuration: write mode: audit or more, or {} for all defaults"),
        (
            "# mode: enforce\n\n",
            "1:1: the file holds no configuration: write mode: audit or more, or {} for all defaults",
        ),
        ("---\n...\n", "1:1: the file holds no configuration: write mode: audit or more, or {} for all defaults"),
        (
            "kinds:\n  - { group: a.io/v1, kind: Rollout, path: spec.template }",
            "2:14: \"a.io/v1\" is not an API group: write it without a version, such as argoproj.io",
        ),
        (
            "kinds:\n  - { group: a.io, kind: rollouts.a.io, path: spec.template }",
            "2:26: \"rollouts.a.io\" is not a kind: write it as the object does, such as Rollout",
        ),
        (
            "kinds:\n  - { group: apps, kind: Deployment, path: spec.template }",
            "2:26: Deployment of apps is built in and always judged: remove this entry",
        ),
        ("kinds:\n  - { kind: Pod, path: spec }", "2:13: Pod is built in and always judged: remove this entry"),
        (
            "kinds:\n  - { group: a.io, kind: Job, path: spec.jobs.0.template }",
            "2:37: \"0\" is not the name of a field: an entry of a list is written like jobs[0], every entry like jobs[*]",
        ),
        (
            "kinds:\n  - { group: a.io, kind: Job, path: 'spec.jobs[x]' }",
            "2:37: \"[x]\" is not an entry of a list: write [0] for the first one, or [*] for every one",
        ),
        ("mode: deny", "1:7: \"deny\" is not known here: use enforce, warn, audit"),
        (
            "registries:\n  - { host: a.io, nodeAccess: some }",
            "2:31: \"some\" is not known here: use none, unknown, declared",
        ),
        ("nodes: { certsDir: \"\" }", "1:20: the name of a directory is empty"),
        (
            "nodes:\n  certsDir: /etc/containerd/certs.d:/etc/docker/certs.d",
            "2:13: name one directory: a list with colons is not read here",
        ),
        ("nodes: { mirrors: [] }", "1:10: unknown key \"mirrors\"; known here: certsDir"),
        ("onUncertain: maybe", "1:14: \"maybe\" is not known here: use allow, deny, or a map"),
        ("onUncertain: { RateLimited: maybe }", "1:29: \"maybe\" is not known here: use allow, deny"),
        ("mode: audit\nmode: warn\n", "2:1: key \"mode\" is given twice"),
        ("namespaces:\n  - { names: [a] }", "2:5: key \"mode\" is missing"),
        (
            "namespaces:\n  - { names: [\"team-*\"], mode: warn }",
            "2:15: \"team-*\" is not the name of a namespace: names are exact, globs are not read here",
        ),
        (
            "namespaces:\n  - { names: [a], mode: warn }\n  - { names: [b, a], mode: audit }",
            "3:18: namespace \"a\" is named twice",
        ),
        (
            "exceptions:\n  - { namespace: a, image: \"x/*\", until: 2027-02-30 }",
            "2:42: \"2027-02-30\" is not a date: write it like 2027-01-31",
        ),
        ("pin:\n  skip:\n    - \"kind.local/{a\"", "3:7: \"kind.local/{a\" is not a glob: "),
        (
            "registries:\n  - host: https://reg.io",
            "2:11: \"https://reg.io\" is not a registry host: write host or host:port, without scheme and path",
        ),
        (
            "registries:\n  - host: reg.io\n    timeout: soon",
            "3:14: \"soon\" is not a duration: write it like 1500ms or 5s, above zero",
        ),
        (
            "registries:\n  - host: reg.io\n    timeout: -5s",
            "3:14: \"-5s\" is not a duration: write it like 1500ms or 5s, above zero",
        ),
        (
            "registries:\n  - host: reg.io\n    plainHTTP: true\n    caFile: ca.pem",
            "4:13: a certificate has no use with plainHTTP: true: remove one of the two",
        ),
        (
            "registries:\n  - host: reg.io\n    proxy: \"me:hunter2@proxy\"",
            "3:12: the proxy is no URL: write it like http://proxy.corp.io:3128, or none for no proxy at all",
        ),
        (
            "registries:\n  - host: reg.io\n    proxy: socks5://proxy",
            "3:12: the proxy is no URL: write it like http://proxy.corp.io:3128, or none for no proxy at all",
        ),
        (
            "registries:\n  - host: reg.io\n    skipVerify: true\n    caFile: ca.pem",
            "4:13: an authority has no use with skipVerify: true: remove one of the two",
        ),
        (
            "registries:\n  - { host: reg.io, skipVerify: true, plainHTTP: true }",
            "2:13: skipVerify has no use with plainHTTP: true: remove one of the two",
        ),
        (
            "guard:\n  denyAddresses: [kubernetes.default]",
            "2:19: \"kubernetes.default\" is not an address range: write it like",
        ),
        (
            "guard:\n  allowAddresses: [10.0.0.0/8, 10.0.0.0/33]",
            "2:32: \"10.0.0.0/33\" is not an address range: write it like 10.0.0.0/8, fd00::/8 or 127.0.0.1",
        ),
        ("guard:\n  registries: { deny: [\"a{b\"] }", "2:24: \"a{b\" is not a glob: "),
        ("mode: audit\nonUncertain: [allow]", "2:14: expected allow, deny, or a map from codes to these"),
        ("mode: audit\nonUncertain: 3", "2:14: expected allow, deny, or a map from codes to these"),
        ("mode: 3", "1:7: \"3\" is not known here: use enforce, warn, audit"),
        ("mode: [audit]\n", "1:7: mode: expected one word, found a list"),
        ("pin: { enabled: perhaps }", "1:17: pin.enabled: expected true or false, found a string"),
        ("- mode", "1:1: expected a mapping, found a list"),
        ("registries: [{}]", "1:14: key \"host\" is missing"),
        ("namespaces: everywhere", "1:13: namespaces: expected a list, found a string"),
        ("mode: audit\n---\nmode: warn\n", "3:1: the file holds a second document: keep one"),
        ("mode: \"audit\n", "2:1: "),
    ] {
        let refusal = refusal(text);
        assert!(refusal.starts_with(&format!("pullgate.yaml:{expected}")), "{text}\n{refusal}");
        assert!(!refusal.contains('\n') && !refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
fn an_unknown_code_lists_the_known_ones() {
    let refusal = refusal("exceptions:\n  - { namespace: a, image: \"*\", code: TagMissing }");
    assert!(
        refusal.starts_with("pullgate.yaml:2:39: \"TagMissing\" is not known here: use InvalidImageName, TagNotFound")
    );
    let refusal = self::refusal("onUncertain: { Nothing: allow }");
    assert!(
        refusal.starts_with("pullgate.yaml:1:16: \"Nothing\" is not known here: use InvalidImageName"),
        "{refusal}"
    );
}

const SHARED: &str = "cache:\n  shared:\n    keyFile: /etc/pullgate/cache/key\n";

#[test]
#[cfg(feature = "redis")]
fn a_shared_cache_is_a_server_and_files() {
    let text = format!(
        "{SHARED}    url: rediss://cache.corp.io/1\n    username: gate\n    passwordFile: pw\n    caFile: ca.pem"
    );
    let shared = parse(&text, "pullgate.yaml").unwrap().shared_cache.unwrap();
    assert_eq!((shared.host.as_str(), shared.port, shared.database, shared.tls), ("cache.corp.io", 6379, 1, true));
    assert_eq!(shared.key_file, PathBuf::from("/etc/pullgate/cache/key"));
    assert_eq!(shared.password_file, Some(PathBuf::from("pw")));
    assert_eq!((shared.ca_file, shared.username.as_deref()), (Some(PathBuf::from("ca.pem")), Some("gate")));
    assert_eq!(parse("cache: {}", "pullgate.yaml").unwrap().shared_cache, None);
    for (more, expected) in [
        ("", "3:5: key \"url\" is missing"),
        ("    url: cache:6379", "4:10: the URL is not one of a Valkey or Redis server"),
        ("    url: rediss://:hunter2@cache", "4:10: no login belongs into the URL: use username and passwordFile"),
        ("    url: redis://cache\n    caFile: ca.pem", "5:13: an authority has no use without TLS"),
        ("    url: redis://cache\n    username: gate", "4:10: a username needs a passwordFile"),
        ("    url: redis://cache\n    passwordFile: \"\"", "5:19: the name of a file is empty"),
        (
            "    url: redis://cache\n    password: hunter2",
            "5:5: unknown key \"password\"; known here: url, username, passwordFile, caFile, keyFile",
        ),
    ] {
        let refusal = refusal(&format!("{SHARED}{more}"));
        assert!(refusal.starts_with(&format!("pullgate.yaml:{expected}")), "{more}\n{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
#[cfg(not(feature = "redis"))]
fn a_build_without_a_shared_cache_refuses_one_and_says_which_has_it() {
    let refusal = refusal(&format!("{SHARED}    url: redis://cache\n"));
    let expected = "pullgate.yaml:4:10: this build has no shared cache: use the image, or build with --features redis";
    assert_eq!(refusal, expected);
}
