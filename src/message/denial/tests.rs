//! Findings → denials and warnings: what is kept where there is no room for all.

use proptest::prelude::*;

use super::*;
use crate::finding::{Code, Tried};
use crate::policy::Mode;
use crate::verdict::Decision;

pub(in crate::message) fn finding(
    code: Code,
    image: &str,
    container: &str,
    what: &str,
    registry: Option<&str>,
) -> Finding {
    let quoted = registry.map(|said| format!(": \"{said}\"")).unwrap_or_default();
    Finding {
        code,
        certain: true,
        cause: None,
        path: "spec.containers[0].image".to_owned(),
        container: container.to_owned(),
        image: image.to_owned(),
        resolved: None,
        message: format!("{image} (container \"{container}\") {what}{quoted}; beside"),
        registry: registry.map(str::to_owned),
        node: None,
        fix: "a line to type".to_owned(),
        tried: vec![Tried { source: "Secret \"s\"".to_owned(), outcome: code.to_string() }],
        probed: None,
        nearest: None,
        token: None,
        age: None,
    }
}

fn verdict(findings: Vec<Finding>) -> Verdict {
    Verdict {
        decision: Decision::Deny,
        would: Decision::Deny,
        mode: Mode::Enforce,
        findings,
        excepted: Vec::new(),
        notices: Vec::new(),
        images: Vec::new(),
        account: None,
    }
}

#[test]
fn the_middle_is_left_out_and_both_ends_stay() {
    for (text, width, expected) in [
        ("abc", 3, "abc"),
        ("abcdef", 5, "ab…ef"),
        ("abcdef", 4, "ab…f"),
        ("äöüäöü", 3, "ä…ü"),
        ("abc", usize::MAX, "abc"),
    ] {
        assert_eq!(middle(text, width), expected);
    }
}

#[test]
fn an_image_keeps_its_registry_whole_where_that_leaves_room() {
    for (text, width, expected) in [
        ("registry.corp.io:5000/shop/api:v1.4.2", 37, "registry.corp.io:5000/shop/api:v1.4.2"),
        ("registry.corp.io:5000/shop/api:v1.4.2", 36, "registry.corp.io:5000/…op/api:v1.4.2"),
        ("registry.corp.io:5000/shop/api:v1.4.2", 32, "registry.corp.io:5000/…pi:v1.4.2"),
        ("registry.corp.io:5000/shop/api:v1.4.2", 31, "registry.corp.io:5000/…i:v1.4.2"),
        ("registry.corp.io:5000/shop/api:v1.4.2", 30, "registry.corp.i…hop/api:v1.4.2"),
        ("r.io/a/long/path/to/the/api:v1.4.2", 20, "r.io/a/lon…pi:v1.4.2"),
        ("a-name-without-a-registry:v1.4.2", 20, "a-name-wit…ry:v1.4.2"),
    ] {
        assert_eq!(image(text, width), expected, "{width}");
    }
}

#[test]
fn the_same_cause_is_said_once() {
    let what = "needs a login at r.io, and no pull secret of the pod has one for it";
    let missing = |image, container| finding(Code::CredentialsMissing, image, container, what, None);
    let text = denial(&verdict(vec![
        missing("r.io/a:1", "a"),
        finding(Code::TagNotFound, "r.io/t:1", "t", "is not in the registry", None),
        missing("r.io/b:1", "b"),
        missing("r.io/c:1", "c"),
    ]));
    assert_eq!(
        text,
        r#"CredentialsMissing: r.io/a:1 (container "a") needs a login at r.io, and no pull secret of the pod has one for it; beside
  a line to type
  and 2 more: r.io/b:1 (b), r.io/c:1 (c)
  asked as: Secret "s"
TagNotFound: r.io/t:1 (container "t") is not in the registry; beside
  a line to type
  asked as: Secret "s""#
    );
}

#[test]
fn what_has_no_room_in_the_first_line_stands_below() {
    let image = format!("registry.corp.io/{}/api:v1.4.2", "deep/".repeat(20));
    let what = "is not in the registry";
    let text = denial(&verdict(vec![finding(Code::TagNotFound, &image, "c", what, Some("MANIFEST_UNKNOWN: no"))]));
    let lines: Vec<&str> = text.lines().collect();
    let first = format!("TagNotFound: {image} (container \"c\") is not in the registry; beside");
    let below = r#"  the registry says: "MANIFEST_UNKNOWN: no""#;
    if first.chars().count() < HEADLINE {
        assert_eq!(lines[0], first);
    } else {
        assert!(lines[0].ends_with(":v1.4.2 (container \"c\") is not in the registry"), "{text}");
    }
    assert!(lines.contains(&below), "{text}");
}

#[test]
fn what_is_to_be_typed_is_kept_whole_before_everything_else_or_not_at_all() {
    let what = "needs a login at r.io, and no pull secret of the pod has one for it";
    let mut long = finding(Code::CredentialsMissing, "r.io/a:1", "a", what, Some(&"word ".repeat(38)));
    for (bytes, typed, said) in [(50, true, true), (500, true, false), (640, true, false), (900, false, true)] {
        let line = format!("  kubectl create {}", "x".repeat(bytes - 17));
        long.fix = format!("some words, a good many of them, {}:\n{line}\n  kubectl attach", "and more ".repeat(12));
        let text = denial(&verdict(vec![long.clone(), finding(Code::TagNotFound, "r.io/t:1", "t", "is gone", None)]));
        assert!(text.len() < 1024, "{} bytes", text.len());
        let lines: Vec<&str> = text.lines().collect();
        let whole = lines.contains(&format!("  {line}").as_str()) && lines.contains(&"    kubectl attach");
        assert_eq!(whole, typed, "{bytes}: {text}");
        assert_eq!(text.contains("kubectl"), typed, "{bytes}: {text}");
        assert_eq!(lines.contains(&NO_ROOM), !typed, "{bytes}: {text}");
        assert_eq!(text.contains("the registry says"), said, "{bytes}: {text}");
    }
}

#[test]
fn what_is_bracketed_or_quoted_is_not_taken_apart() {
    for (what, expected) in [
        ("a b; c; d", Some(("a b", "c; d"))),
        ("a (seen from here; there may differ)", None),
        ("a (b (c); d) e; f", Some(("a (b (c); d) e", "f"))),
        ("a \"b; (c\"; d", Some(("a \"b; (c\"", "d"))),
        ("a) b; c", Some(("a) b", "c"))),
        ("a", None),
    ] {
        assert_eq!(essence(what), expected, "{what}");
    }
}

proptest! {
    #[test]
    fn however_long_the_names_the_first_line_is_short_and_keeps_code_and_essence(
        path in "[a-z/]{0,140}", host in "[a-z.]{1,250}", container in "[a-z-]{1,63}", secret in "[a-z.-]{1,253}",
        said in proptest::option::of("[A-Z]{1,30}: [a-z ]{1,160}"), count in 1_usize..12, code in 0_usize..19,
    ) {
        let code = Code::ALL[code];
        let what = format!("cannot be pulled: {host} rejects the login in Secret \"{secret}\"");
        let findings = (0..count).map(|number| {
            let mut finding = finding(code, &format!("r.io/{path}:{number}"), &container, &what, said.as_deref());
            finding.fix = format!("fix {}", number % 5);
            finding
        });
        let text = denial(&verdict(findings.collect()));
        prop_assert!(text.len() < 1024, "{} bytes: {text}", text.len());
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            prop_assert!(line.chars().count() < HEADLINE, "{line}");
            prop_assert!(line.starts_with(&format!("{code}: r.io/")), "{line}");
            prop_assert!(line.contains("cannot be pulled: ") && line.contains(" rejects the login in "), "{line}");
        }
    }
}
