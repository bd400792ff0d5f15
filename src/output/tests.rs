//! Reports of verdicts that no registry gave: places, causes, counts and escapes.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::finding::{Cause, Code, Description, NoticeCode};
use crate::manifests::Source;
use crate::policy::Mode;
use crate::reference::Reference;
use crate::verdict::Decision;
use crate::workload::{ContainerImage, PullPolicy};

/// What is wrong with an image, if anything is.
type Wrong = Option<(Code, bool, &'static str)>;

fn container(index: usize, name: &str, image: &str) -> ContainerImage {
    ContainerImage {
        path: format!("spec.containers[{index}].image"),
        pointer: format!("/spec/containers/{index}/image"),
        container: name.to_owned(),
        image: image.to_owned(),
        pull_policy: PullPolicy::Always,
        old_image: None,
    }
}

fn finding(image: &ContainerImage, (code, certain, what): (Code, bool, &str)) -> Finding {
    Finding {
        code,
        certain,
        cause: None,
        path: image.path.clone(),
        container: image.container.clone(),
        image: image.image.clone(),
        resolved: Reference::parse(&image.image).ok().map(|reference| reference.to_string()),
        description: Description {
            field: format!("container \"{}\"", image.container),
            what: what.to_owned(),
            short: what.to_owned(),
            ..Description::default()
        },
        registry: None,
        node: None,
        fix: "a fix".to_owned(),
        tried: Vec::new(),
        probed: None,
        nearest: None,
        token: None,
        age: None,
    }
}

/// A verdict about these images: denied where a finding is certain.
fn verdict(images: &[(&str, Wrong)]) -> Verdict {
    let mut verdict = Verdict {
        decision: Decision::Allow,
        would: Decision::Allow,
        mode: Mode::Enforce,
        findings: Vec::new(),
        excepted: Vec::new(),
        notices: Vec::new(),
        images: Vec::new(),
        account: None,
    };
    for (index, (image, wrong)) in images.iter().enumerate() {
        let image = container(index, &format!("c{index}"), image);
        let reference = Reference::parse(&image.image).ok().map(Arc::new);
        verdict.findings.extend(wrong.map(|wrong| finding(&image, wrong)));
        let digest = wrong.is_none().then(|| format!("sha256:{}", "0".repeat(64)).parse().unwrap());
        verdict.images.push(Judged {
            image: Arc::new(image),
            reference,
            digest,
            stale: None,
            pinnable: false,
            architectures: None,
        });
    }
    if verdict.findings.iter().any(|finding| finding.certain) {
        (verdict.decision, verdict.would) = (Decision::Deny, Decision::Deny);
    }
    verdict
}

fn object(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn manifest(file: &str, image: &str) -> manifests::Object {
    let text = format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: c0\n    image: {image}\n");
    Source::new(file, text.as_bytes()).objects().next().unwrap().unwrap()
}

const GONE: Wrong = Some((Code::TagNotFound, true, "is not in the registry"));

#[test]
fn a_row_names_place_namespace_object_container_and_the_whole_image() {
    let image = format!("{}.example/{}:{}", "h".repeat(200), "p/".repeat(120) + "p", "t".repeat(128));
    let mut report = Report::new("/work".into());
    report.push(&object("shop", "web"), Some(&manifest("m/a.yaml", "r.io/a:1")), &verdict(&[("r.io/a:1", GONE)]));
    report.push(&object("blog", "web"), Some(&manifest("-", "r.io/b:1")), &verdict(&[("r.io/b:1", None)]));
    report.push(&object("default", "command-line"), None, &verdict(&[(&image, GONE)]));
    let table = report.table();
    let cells =
        |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = table.lines().take(4).map(cells).collect();
    let digest = format!("sha256:{}", "0".repeat(12));
    assert_eq!(rows[1], ["m/a.yaml:6", "shop", "Pod/web", "c0", "r.io/a:1", "TagNotFound"]);
    assert_eq!(rows[2], ["stdin:6", "blog", "Pod/web", "c0", "r.io/b:1", "ok", &digest]);
    assert_eq!(rows[3], ["command line", "default", "Pod/command-line", "c0", &image, "TagNotFound"]);
    assert!(!table.contains('…'), "{table}");
}

#[test]
fn a_cause_is_one_block_however_many_objects_it_is_met_in() {
    let mut report = Report::new("/work".into());
    for index in 0..200 {
        let image = if index % 2 == 0 { "r.io/a:1" } else { "r.io/a:2" };
        report.push(
            &object("shop", &format!("web-{index}")),
            Some(&manifest("a.yaml", image)),
            &verdict(&[(image, GONE)]),
        );
    }
    let other = Some((Code::TagNotFound, false, "is not in the registry"));
    report.push(&object("shop", "held"), None, &verdict(&[("r.io/a:1", other)]));
    let table = report.table();
    let (rows, blocks) = table.split_once("\n\n").unwrap();
    assert_eq!(rows.lines().count(), 1 + 201);
    assert!((0..200).all(|index| rows.contains(&format!(" Pod/web-{index} "))), "each is named");
    assert_eq!(
        blocks,
        "TagNotFound: r.io/a:1 (container \"c0\") is not in the registry\n".to_owned()
            + "  at        a.yaml:6 Pod/shop/web-0 spec.containers[0].image\n"
            + "            a.yaml:6 Pod/shop/web-1 spec.containers[0].image r.io/a:2\n"
            + "            a.yaml:6 Pod/shop/web-2 spec.containers[0].image\n"
            + "            a.yaml:6 Pod/shop/web-3 spec.containers[0].image r.io/a:2\n"
            + "            a.yaml:6 Pod/shop/web-4 spec.containers[0].image\n"
            + "            a.yaml:6 Pod/shop/web-5 spec.containers[0].image r.io/a:2\n"
            + "            a.yaml:6 Pod/shop/web-6 spec.containers[0].image\n"
            + "            a.yaml:6 Pod/shop/web-7 spec.containers[0].image r.io/a:2\n"
            + "            a.yaml:6 Pod/shop/web-8 spec.containers[0].image\n"
            + "            a.yaml:6 Pod/shop/web-9 spec.containers[0].image r.io/a:2\n"
            + "            and 190 more\n"
            + "  to do     a fix\n\n"
            + "TagNotFound (uncertain): r.io/a:1 (container \"c0\") is not in the registry\n"
            + "  at        command line Pod/shop/held spec.containers[0].image\n"
            + "  to do     a fix\n\n"
            + "201 images: 0 ok, 200 denied, 0 not checked, 1 uncertain\n"
    );
}

#[test]
fn the_last_line_counts_each_image_once() {
    let unknown = |code| Some((code, false, "was not checked: no answer"));
    let refused = Some((Code::CredentialsMissing, false, "needs a login"));
    let mut report = Report::new("/work".into());
    assert_eq!(report.table(), "0 images: 0 ok, 0 denied, 0 not checked\n");
    report.push(&object("a", "a"), None, &verdict(&[("r.io/a:1", None)]));
    assert!(report.table().ends_with("\n1 image: 1 ok, 0 denied, 0 not checked\n"), "{}", report.table());
    let images =
        [("r.io/a:1", None), ("r.io/b:1", GONE), ("r.io/c:1", unknown(Code::RateLimited)), ("r.io/d:1", refused)];
    report.push(&object("a", "b"), None, &verdict(&images));
    let mut never = verdict(&[("r.io/a:1", None), ("r.io/e:1", GONE)]);
    never.images[0].digest = None;
    never.excepted = std::mem::take(&mut never.findings);
    report.push(&object("a", "c"), None, &never);
    // The operator denies what is uncertain.
    let mut strict = verdict(&[("r.io/a:1", unknown(Code::NotChecked))]);
    strict.decision = Decision::Deny;
    report.push(&object("a", "d"), None, &strict);
    let expected = "8 images: 2 ok, 2 denied, 1 not checked, 1 uncertain, 1 excepted, 1 never pulled";
    assert_eq!(report.table().lines().last(), Some(expected));
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    let parts = ["ok", "denied", "uncertain", "notChecked", "excepted", "neverPulled"];
    let sum: u64 = parts.iter().map(|part| json["counts"][part].as_u64().unwrap()).sum();
    assert_eq!((sum, &json["counts"]["images"], &json["counts"]["objects"]), (8, &8.into(), &4.into()));
}

/// One finding and one notice of an object.
fn reported(directory: &str, origin: Option<&manifests::Object>) -> Report {
    let mut judged = verdict(&[("r.io/a:1", GONE)]);
    judged.notices.push(Notice {
        code: NoticeCode::MutableTag,
        path: "spec.containers[0].image".to_owned(),
        message: "r.io/a:1 moves".to_owned(),
        fix: Some("100%:\n  image: b".to_owned()),
        token: None,
    });
    let mut report = Report::new(directory.into());
    report.push(&object("shop", "web"), origin, &judged);
    report
}

#[test]
fn findings_and_notices_have_file_line_and_column() {
    let report = reported("/work", Some(&manifest("./m/a b.yaml", "r.io/a:1")));
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    for entry in [&json["results"][0]["findings"][0], &json["results"][0]["notices"][0]] {
        assert_eq!((&entry["file"], &entry["line"]), (&"./m/a b.yaml".into(), &6.into()), "{entry}");
        assert!(entry["column"].is_u64(), "{entry}");
    }
    let column = json["results"][0]["findings"][0]["column"].as_u64().unwrap();
    let place = format!("file=m/a b.yaml,line=6,col={column},title=");
    let github = report.github();
    let lines: Vec<&str> = github.lines().collect();
    assert_eq!(
        lines[0],
        format!("::error {place}TagNotFound::r.io/a:1 (container \"c0\") is not in the registry%0Aa fix")
    );
    assert_eq!(lines[1], format!("::notice {place}MutableTag::r.io/a:1 moves%0A100%25:%0A  image: b"));
    let sarif: Value = serde_json::from_str(&report.sarif()).unwrap();
    assert_eq!(sarif["runs"][0]["columnKind"], "unicodeCodePoints");
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        let physical = &result["locations"][0]["physicalLocation"];
        assert_eq!(physical["artifactLocation"]["uri"], "m/a%20b.yaml");
        assert_eq!((&physical["region"]["startLine"], &physical["region"]["startColumn"]), (&6.into(), &column.into()));
    }
    assert!(report.junit().contains("file=\"m/a b.yaml\" line=\"6\""), "{}", report.junit());
}

#[test]
fn what_is_in_no_file_has_a_physical_location_in_sarif_and_no_file_in_annotations() {
    let stdin = manifest("-", "r.io/a:1");
    for (origin, uri, line, file, annotation) in [
        (Some(&stdin), "stdin", 6, Some("stdin"), "::error title=TagNotFound::stdin:6: r.io/a:1 "),
        (None, "command-line", 1, None, "::error title=TagNotFound::r.io/a:1 "),
    ] {
        let report = reported("/work", origin);
        let sarif: Value = serde_json::from_str(&report.sarif()).unwrap();
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        for result in results {
            let physical = &result["locations"][0]["physicalLocation"];
            assert_eq!(physical["artifactLocation"]["uri"], uri);
            assert_eq!(physical["region"]["startLine"], line);
        }
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["results"][0]["findings"][0]["file"].as_str(), file);
        assert!(report.github().starts_with(annotation), "{}", report.github());
        assert!(!report.github().contains("file="));
    }
}

#[test]
fn no_file_name_ends_a_line_a_command_or_an_element() {
    let odd = manifest("a\n::error file=b,x::\"<&>\u{1b}[2J%.yaml", "r.io/a:1");
    let report = reported("/work", Some(&odd));
    assert_eq!(report.github().lines().count(), 2);
    assert!(
        report.github().starts_with("::error file=a%0A%3A%3Aerror file=b%2Cx%3A%3A\"<&>\u{fffd}[2J%25.yaml,line=6,")
    );
    let table = report.table();
    assert!(!table.contains('\u{1b}') && !table.lines().any(|line| line.starts_with("::error")), "{table}");
    assert!(!report.junit().contains("\"<&>") && !report.junit().contains('\u{1b}'), "{}", report.junit());
    let sarif: Value = serde_json::from_str(&report.sarif()).unwrap();
    let uri = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(uri, "a%0A%3A%3Aerror%20file%3Db%2Cx%3A%3A%22%3C%26%3E%1B%5B2J%25.yaml");
}

#[test]
fn the_guard_s_refusal_of_loopback_says_what_admits_it() {
    let mut refused = verdict(&[("127.0.0.1:5000/a:1", Some((Code::NotChecked, false, "was not checked")))]);
    refused.findings[0].cause = Some(Cause::Guard);
    let mut report = Report::new("/work".into());
    report.push(&object("shop", "web"), None, &refused);
    let said = "  to do     a fix; if this registry is yours, write into the file of --config:\n".to_owned()
        + "              guard: { allowAddresses: [127.0.0.1] }\n"
        + "              registries: [{ host: \"127.0.0.1:5000\", plainHTTP: true }]  # plainHTTP: without TLS\n";
    assert!(report.table().contains(&said), "{}", report.table());
}

#[test]
fn yaml_is_the_same_report() {
    let report = reported("/work", Some(&manifest("a.yaml", "r.io/a:1")));
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    let yaml: Value = serde_saphyr::from_str(&report.yaml()).unwrap();
    assert_eq!(yaml, json);
}
