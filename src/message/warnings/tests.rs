//! Findings and notices → warnings: what stays whole, what is said first, what is said once.

use proptest::prelude::*;

use super::*;
use crate::finding::{Code, NoticeCode};
use crate::message::denial::tests::finding;

const WHAT: &str = "needs a login at r.io, and no pull secret of the pod has one for it";

fn missing(fix: &str) -> Finding {
    let mut finding = finding(Code::CredentialsMissing, "r.io/a:1", "a", WHAT, None);
    finding.fix = fix.to_owned();
    finding
}

fn notice(message: &str, fix: Option<&str>) -> Notice {
    let fix = fix.map(str::to_owned);
    Notice { code: NoticeCode::MutableTag, path: String::new(), message: message.to_owned(), fix, token: None }
}

#[test]
fn what_to_do_stands_behind_what_happened_or_in_a_warning_of_its_own() {
    let head = format!("CredentialsMissing: r.io/a:1 (container \"a\") {WHAT}; beside");
    let (create, attach) = (format!("kubectl create {}", "x".repeat(120)), format!("kubectl patch {}", "y".repeat(90)));
    let long = format!("kubectl create {}", "x".repeat(240));
    for (fix, expected) in [
        ("wait".to_owned(), vec![format!("{head}; wait")]),
        (
            "so:\n  kubectl a\n  kubectl b\nthen c".to_owned(),
            // What comes behind a line to type is not copied with it.
            vec![format!("{head}; so: kubectl a && kubectl b"), "CredentialsMissing: then c".to_owned()],
        ),
        (
            "which exist:\n  skopeo list-tags docker://r.io/a\n  image: b".to_owned(),
            vec![
                format!("{head}; which exist: skopeo list-tags docker://r.io/a"),
                "CredentialsMissing: image: b".to_owned(),
            ],
        ),
        // Both steps have no room in one warning: each has one.
        (
            format!("so:\n  {create}\n  {attach}"),
            vec![head.clone(), format!("CredentialsMissing: so: {create}"), format!("CredentialsMissing: {attach}")],
        ),
        // Words that end with a colon go with what is to be typed.
        (
            format!("some words of which there are many more, and more:\n  {create}"),
            vec![
                head.clone(),
                format!("CredentialsMissing: some words of which there are many more, and more: {create}"),
            ],
        ),
        // One of them has no room in any: half of what is to be typed is worse than none.
        (format!("so:\n  {long}\n  {attach}"), vec![format!("{head}; so: {NO_ROOM}")]),
        (format!("so:\n  image: {long}"), vec![format!("{head}; so: {NO_ROOM}")]),
    ] {
        assert_eq!(warnings(&[missing(&fix)], &[]), expected, "{fix}");
    }
    let said = warnings(&[], &[notice("is pulled only where absent", Some("so:\n  imagePullPolicy: Always"))]);
    assert_eq!(said, ["MutableTag: is pulled only where absent; so: imagePullPolicy: Always"]);
}

#[test]
fn the_same_cause_is_warned_of_once_and_names_the_other_images() {
    let mut other = missing("wait");
    (other.image, other.container) = ("r.io/b:1".to_owned(), "b".to_owned());
    let said = warnings(&[missing("wait"), other], &[]);
    let expected =
        format!("CredentialsMissing: r.io/a:1 (container \"a\") {WHAT}; beside; and 1 more: r.io/b:1 (b); wait");
    assert_eq!(said, [expected]);
}

#[test]
fn what_has_no_room_in_the_first_warning_is_said_in_the_next() {
    let said = "word ".repeat(38);
    let detail = format!("{WHAT} (seen from pullgate; nodes may differ)");
    let long = finding(Code::TagNotFound, "r.io/a:1", "a", &detail, Some(&said));
    let (first, more) = (
        format!("TagNotFound: r.io/a:1 (container \"a\") {detail}; beside"),
        format!("TagNotFound: the registry says: \"{said}\"; a line to type"),
    );
    assert_eq!(warnings(&[long], &[]), [first, more]);
}

#[test]
fn what_happened_goes_before_what_to_do() {
    let fix = "some words ".repeat(20);
    let findings: Vec<Finding> = (0..30)
        .map(|number| {
            let mut finding = missing(&format!("{number} {fix}"));
            finding.description.what.push_str(&format!(" {number}"));
            finding
        })
        .collect();
    let said = warnings(&findings, &[]);
    let heads = said.iter().filter(|text| text.contains("(container")).count();
    assert_eq!(heads, 30);
    assert!(said.len() > 30, "there is room for some fixes");
    assert!(said.iter().map(|text| text.chars().count()).sum::<usize>() <= WARNINGS);
}

proptest! {
    #[test]
    fn no_warning_is_too_long_and_none_has_half_a_line_to_type(
        image in "[a-z./]{1,500}", container in "[a-z-]{1,63}", what in "[a-z ;()\"]{1,300}",
        fix in proptest::collection::vec("(  kubectl |  skopeo |)[a-z :]{1,280}", 0..5),
    ) {
        let fix = fix.join("\n");
        let mut found = finding(Code::AccessDenied, &image, &container, &what, None);
        found.fix.clone_from(&fix);
        let said = warnings(&[found], &[notice(&format!("{image} {what}"), Some(&fix))]);
        let most = WARNING.max(image.len() + 160);
        for text in &said {
            prop_assert!(text.len() <= most, "{} bytes: {text}", text.len());
            prop_assert!(text.starts_with("AccessDenied: ") || text.starts_with("MutableTag: "), "{text}");
        }
        let all = said.join("\n");
        for code in ["AccessDenied", "MutableTag"] {
            let named = format!("{code}: {image}");
            prop_assert!(all.contains(&named), "{named} is not in {all}");
        }
        for line in fix.lines().filter(|line| typed::is_typed(line)) {
            prop_assert!(all.contains(line.trim_start()) || all.contains(NO_ROOM), "{line} is not in {all}");
        }
    }
}
