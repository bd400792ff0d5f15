//! Findings → denials and warnings: what is kept where there is no room for all.

use proptest::prelude::*;

use super::*;
use crate::finding::{Code, Description, Tried};
use crate::policy::Mode;
use crate::verdict::Decision;

pub(in crate::message) fn finding(
    code: Code,
    image: &str,
    container: &str,
    what: &str,
    registry: Option<&str>,
) -> Finding {
    Finding {
        code,
        certain: true,
        cause: None,
        path: "spec.containers[0].image".to_owned(),
        container: container.to_owned(),
        image: image.to_owned(),
        resolved: None,
        description: Description {
            field: format!("container \"{container}\""),
            what: what.to_owned(),
            short: what.to_owned(),
            left_out: None,
            quoted: true,
            details: vec!["beside".to_owned()],
        },
        registry: registry.map(str::to_owned),
        node: None,
        fix: "a line to type".to_owned(),
        tried: vec![Tried { source: "Secret \"s\"".to_owned(), outcome: code.to_string(), unasked: false }],
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
    let no_room = |code: Code, image: &str, container: &str, what: &str, short: &str| {
        let mut found = finding(code, image, container, what, Some("DENIED: no"));
        found.description.short = short.to_owned();
        denial(&verdict(vec![found]))
    };
    let quotation = "  the registry says: \"DENIED: no\"";
    let what = "cannot be pulled: the-registry.corp.io accepts the login in Secret \"s\" but not for team/api";
    let short = "cannot be pulled: the login in Secret \"s\" may not pull it";
    for (length, expected, below) in [
        (2, format!("(container \"c\") {what}: \"DENIED: no\"; beside"), vec![]),
        (20, format!("(container \"c\") {what}; beside"), vec![quotation]),
        (25, format!("(container \"c\") {what}"), vec![quotation, "  beside"]),
        (50, format!("(container \"c\") {short}"), vec![quotation, "  beside"]),
        (80, short.to_owned(), vec![quotation, "  beside", "  container \"c\""]),
        // Too long it is whole all the same.
        (400, short.to_owned(), vec![quotation, "  beside", "  container \"c\""]),
    ] {
        let image = format!("r.io/{}:1", "a".repeat(length));
        let text = no_room(Code::AccessDenied, &image, "c", what, short);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("AccessDenied: {image} {expected}"), "{length}");
        for line in below {
            assert!(lines.contains(&line), "{line} is not in {text}");
        }
        assert!(!text.contains('…'), "{text}");
    }
}

#[test]
fn other_names_are_cut_in_the_middle_and_what_is_cut_at_the_end_stands_below() {
    let secret = "s".repeat(200);
    let mut found = finding(Code::AccessDenied, &format!("r.io/{}:1", "a".repeat(90)), "c", "x", None);
    found.description.what = format!("cannot be pulled: the login in Secret \"{secret}\" may not pull it");
    found.description.short = found.description.what.clone();
    let text = denial(&verdict(vec![found.clone()]));
    let first = text.lines().next().unwrap();
    assert!(
        first.contains(&found.image) && first.contains("Secret \"sssss") && first.ends_with(" may not pull it"),
        "{text}"
    );
    found.description.short = "word ".repeat(40).trim_end().to_owned();
    let text = denial(&verdict(vec![found.clone()]));
    let first = text.lines().next().unwrap();
    assert!(first.contains(&found.image) && first.ends_with(" word…"), "{text}");
    assert!(text.contains(&format!("\n  {}\n", found.description.short)), "{text}");
}

#[test]
fn further_images_are_named_whole_or_counted() {
    let what = "needs a login";
    let images = ["r.io/a:1", "r.io/a-name-of-forty-characters-and-more-than-that:v1.4.2", "r.io/b:1"];
    let findings: Vec<Finding> =
        images.iter().map(|image| finding(Code::CredentialsMissing, image, "c", what, None)).collect();
    let causes = causes(&findings);
    let long = format!("{} (c)", images[1]);
    for (room, expected) in [
        (200, format!("and 2 more: {long}, r.io/b:1 (c)")),
        (80, format!("and 2 more: {long}, …")),
        (40, "and 2 more".to_owned()),
    ] {
        assert_eq!(causes[0].further(room), Some(expected), "{room}");
    }
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

proptest! {
    #[test]
    fn however_long_the_names_the_first_line_names_the_image_whole_and_keeps_code_and_essence(
        path in "[a-z/]{0,400}", host in "[a-z.]{1,250}", container in "[a-z-]{1,63}", secret in "[a-z.-]{1,253}",
        said in proptest::option::of("[A-Z]{1,30}: [a-z ]{1,160}"), count in 1_usize..12, code in 0_usize..19,
    ) {
        let code = Code::ALL[code];
        let what = format!("cannot be pulled: {host} rejects the login in Secret \"{secret}\"");
        let image = |number: usize| format!("r.io/{path}:{number}");
        let findings = (0..count).map(|number| {
            let mut finding = finding(code, &image(number), &container, &what, said.as_deref());
            finding.description.short = format!("cannot be pulled: the login in Secret \"{secret}\" is rejected");
            finding.fix = format!("fix {}", number % 5);
            finding
        });
        let text = denial(&verdict(findings.collect()));
        prop_assert!(text.len() < 1024, "{} bytes: {text}", text.len());
        prop_assert!(text.starts_with(&format!("{code}: {} ", image(0))), "{text}");
        for line in text.lines().filter(|line| !line.starts_with(' ')) {
            let taken = code.as_str().len() + image(0).len();
            prop_assert!(line.chars().count() < HEADLINE.max(taken + 90), "{line}");
            prop_assert!(line.starts_with(&format!("{code}: r.io/")), "{line}");
            prop_assert!(line.contains("cannot be pulled: ") && line.contains("reject"), "{line}");
        }
    }
}
