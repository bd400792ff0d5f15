//! Modes, rules, exceptions and guards.

use jiff::civil::date;

use super::*;

#[test]
fn a_mode_reads_back_as_it_is_written() {
    for mode in [Mode::Enforce, Mode::Warn, Mode::Audit] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    let error = "Enforce".parse::<Mode>().unwrap_err().to_string();
    assert_eq!(error, r#""Enforce" is not a mode: use enforce, warn or audit"#);
}

#[test]
fn own_and_system_namespaces_are_left_alone_and_named_ones_have_their_mode() {
    let mut policy = Policy::default().with_mode(Mode::Enforce).with_own_namespace(Some("pullgate".into()));
    policy.namespaces.insert("kube-system".into(), Mode::Audit);
    policy.namespaces.insert("legacy".into(), Mode::Warn);
    policy.namespaces.insert("pullgate".into(), Mode::Enforce);
    for (namespace, expected) in [
        ("default", Some(Mode::Enforce)),
        ("legacy", Some(Mode::Warn)),
        ("kube-system", Some(Mode::Audit)),
        ("kube-public", None),
        ("kube-node-lease", None),
        ("pullgate", None),
    ] {
        assert_eq!(policy.mode_for(namespace), expected, "{namespace}");
    }
}

#[test]
fn an_exception_covers_its_namespace_image_code_and_days() {
    let policy = Policy {
        exceptions: vec![
            Exception {
                namespace: "legacy".into(),
                image: Pattern::image("registry.corp.io/old/*").unwrap(),
                code: Some(Code::TagNotFound),
                until: Some(date(2027, 1, 31)),
            },
            Exception {
                namespace: "*".into(),
                image: Pattern::image("registry.corp.io:5000/tool").unwrap(),
                code: None,
                until: None,
            },
        ],
        ..Policy::default()
    };
    let (before, last, after) = (date(2026, 11, 21), date(2027, 1, 31), date(2027, 2, 1));
    for (namespace, image, code, today, expected) in [
        ("legacy", "registry.corp.io/old/a:1", Code::TagNotFound, before, true),
        ("legacy", "registry.corp.io/old/a:1", Code::TagNotFound, last, true),
        ("legacy", "registry.corp.io/old/a:1", Code::TagNotFound, after, false),
        ("legacy", "registry.corp.io/old/a:1", Code::AccessDenied, before, false),
        ("other", "registry.corp.io/old/a:1", Code::TagNotFound, before, false),
        ("other", "registry.corp.io:5000/tool:2@sha256:00", Code::AccessDenied, after, true),
        ("other", "registry.corp.io:5000/tool", Code::AccessDenied, after, true),
        ("other", "registry.corp.io:5000/tools:2", Code::AccessDenied, after, false),
    ] {
        let found = policy.exception(namespace, image, code, today).is_some();
        assert_eq!(found, expected, "{namespace} {image} {code} {today}");
    }
}

#[test]
fn the_first_registry_rule_counts_and_a_silent_one_stands_in() {
    let rule = |host: &str, plain_http| RegistryRule { plain_http, ..RegistryRule::new(Pattern::host(host).unwrap()) };
    let policy =
        Policy { registries: vec![rule("127.0.0.1:5000", true), rule("127.0.0.1:*", false)], ..Policy::default() };
    assert!(policy.registry("127.0.0.1:5000").plain_http);
    assert!(!policy.registry("127.0.0.1:5001").plain_http);
    assert_eq!(policy.registry("quay.io"), &RegistryRule::new(Pattern::any()));
    assert_eq!(policy.node_access("gcr.io"), NodeAccess::Unknown);
}

#[test]
fn uncertain_codes_are_admitted_unless_listed() {
    let mut policy = Policy::default();
    policy.on_uncertain.by_code.insert(Code::RegistryUnreachable, UncertainAction::Deny);
    assert_eq!(policy.uncertain(Code::RegistryUnreachable), UncertainAction::Deny);
    assert_eq!(policy.uncertain(Code::RateLimited), UncertainAction::Allow);
}
