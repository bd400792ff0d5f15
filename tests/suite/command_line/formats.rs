//! The reports that other tools read: what is in them, where they go, and that the exit code is the same for each.

use std::collections::BTreeSet;

use pullgate::demo::registry::Login;
use pullgate::finding::{Code, NoticeCode};
use serde_json::Value;

use super::{Desk, pod, text};

/// Two pods in one file; the second names a tag that is not there, in its ninth line or so.
async fn desk() -> (Desk, String) {
    let desk = Desk::new(Login::None).await;
    let file =
        desk.manifest("pods.yaml", &format!("{}---\n{}", pod("good", "R/open:v1", ""), pod("bad", "R/open:v9", "")));
    (desk, file)
}

#[tokio::test]
async fn the_exit_code_does_not_depend_on_the_format() {
    let (desk, file) = desk().await;
    for format in ["table", "json", "yaml", "junit", "sarif", "github"] {
        let done = desk.run(&["check", "-f", &file, "-o", format]).await;
        assert_eq!((done.code, done.err.as_str()), (1, ""), "{format}");
        assert!(done.out.contains("TagNotFound"), "{format}: {}", done.out);
    }
}

#[tokio::test]
async fn several_reports_come_of_one_run_and_only_one_of_them_on_standard_output() {
    let (desk, file) = desk().await;
    let (sarif, junit) = (desk.path("out.sarif"), desk.path("out.xml"));
    let to = |format: &str, path: &str| format!("{format}={path}");
    let done =
        desk.run(&["check", "-f", &file, "-o", &to("sarif", &sarif), "-o", "github", "-o", &to("junit", &junit)]).await;
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.out.starts_with("::error "), "{}", done.out);
    let sarif: Value = serde_json::from_str(&std::fs::read_to_string(sarif).unwrap()).unwrap();
    assert_eq!(text(&sarif["version"]), "2.1.0");
    assert!(std::fs::read_to_string(junit).unwrap().starts_with("<?xml "));
    let twice = desk.run(&["check", "-f", &file, "-o", "json", "-o", "yaml"]).await;
    assert_eq!((twice.code, twice.out.as_str()), (2, ""));
    assert!(twice.err.contains("only one report can go to standard output"), "{}", twice.err);
    let nowhere = desk.run(&["check", "-f", &file, "-o", "json=/proc/nowhere/x"]).await;
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.err.starts_with("pullgate: --output /proc/nowhere/x: "), "{}", nowhere.err);
}

#[tokio::test]
async fn sarif_has_a_rule_for_every_code_and_places_each_result() {
    let (desk, file) = desk().await;
    let done = desk.run(&["check", "-f", &file, "-o", "sarif"]).await;
    let log = done.json();
    let driver = &log["runs"][0]["tool"]["driver"];
    let rules: BTreeSet<&str> = driver["rules"].as_array().unwrap().iter().map(|rule| text(&rule["id"])).collect();
    let codes = Code::ALL.iter().map(|code| code.as_str()).chain(NoticeCode::ALL.iter().map(|code| code.as_str()));
    assert_eq!(rules, codes.collect());
    let results = log["runs"][0]["results"].as_array().unwrap();
    let result = results.iter().find(|result| result["ruleId"] == "TagNotFound").unwrap();
    assert_eq!(text(&result["level"]), "error");
    let place = &result["locations"][0];
    assert_eq!(text(&place["physicalLocation"]["artifactLocation"]["uri"]), "file://DIR/pods.yaml");
    let written = std::fs::read_to_string(desk.path("pods.yaml")).unwrap();
    let line = written.lines().position(|line| line.contains("open:v9")).unwrap() + 1;
    assert_eq!(place["physicalLocation"]["region"]["startLine"], line);
    assert_eq!(text(&place["logicalLocations"][0]["fullyQualifiedName"]), "Pod/default/bad spec.containers[0].image");
}

#[tokio::test]
async fn junit_counts_a_case_an_image_and_calls_what_was_not_checked_an_error() {
    let desk = Desk::new(Login::None).await;
    let images = ["R/open:v1", "R/open:v9", "refused.example/x:1", "169.254.169.254/x:1"];
    let images: Vec<&str> = images.iter().flat_map(|image| ["--image", image]).collect();
    let done = desk.run(&[&["check", "-o", "junit"], images.as_slice()].concat()).await;
    assert!(done.out.contains(r#"tests="4" "#), "{}", done.out);
    assert!(
        done.out.contains(r#"type="TagNotFound""#) && done.out.contains(r#"type="RegistryNotAllowed""#),
        "{}",
        done.out
    );
    assert!(!done.out.contains('\u{1b}'));
}

#[tokio::test]
async fn a_message_cannot_end_a_workflow_command_or_an_xml_element() {
    let desk = Desk::new(Login::None).await;
    let file = desk.manifest("odd,name:1.yaml", &pod("bad", "\"R/open:v9%0A::error::x</failure>]]>\"", ""));
    let done = desk.run(&["check", "-f", &file, "-o", "github"]).await;
    assert_eq!(done.out.lines().count(), 1, "{}", done.out);
    assert!(done.out.starts_with("::error file=DIR/odd%2Cname%3A1.yaml,line="), "{}", done.out);
    assert!(done.out.contains("%250A::error::x"), "{}", done.out);
    let done = desk.run(&["check", "-f", &file, "-o", "junit"]).await;
    assert!(!done.out.contains("</failure>]]>"), "{}", done.out);
}

#[tokio::test]
async fn yaml_says_what_json_says() {
    let (desk, file) = desk().await;
    let json = desk.run(&["check", "-f", &file, "-o", "json"]).await.json();
    let yaml = desk.run(&["check", "-f", &file, "-o", "yaml"]).await.out;
    let yaml: Value = pullgate::yaml::single(yaml.as_bytes(), pullgate::yaml::Dialect::Manifest).unwrap().unwrap();
    assert_eq!(yaml, json);
}
