//! What pullgate makes of the registries that users have: recorded exchanges in, code, certainty and the number of
//! requests out. `docs/DIALECTS.md` is written from the same run. With `DIALECTS=rewrite` the page and the `expect:`
//! lines are written anew; whoever does that reads the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use self::exchanges::{CAUSES, Family, Played, Row, Stage};

#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/dialects.rs"]
mod exchanges;

/// Opens the page.
const PREFACE: &str = include_str!("dialects/preface.md");

fn rewrite() -> bool {
    std::env::var_os("DIALECTS").is_some_and(|value| value == "rewrite")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_ends_in_its_code_with_its_certainty_and_requests() {
    pullgate::cli::install_crypto();
    let only = std::env::var_os("DIALECTS_ONLY").unwrap_or_default().to_string_lossy().into_owned();
    let mut tasks = Vec::new();
    for family in Family::all().into_iter().filter(|family| family.path.to_string_lossy().contains(&only)) {
        tasks.push(tokio::spawn(async move {
            let stage = Stage::open().expect("a port on loopback");
            let dir = tempfile::tempdir().expect("a directory");
            let ca_file = dir.path().join("ca.pem");
            std::fs::write(&ca_file, stage.ca()).expect("a file");
            let mut played = Vec::new();
            for row in &family.rows {
                played.push(exchanges::ask(&stage, row, &ca_file).await);
            }
            (family, played)
        }));
    }
    let (mut wrong, mut page, mut rows) = (Vec::new(), PREFACE.to_owned(), 0);
    for task in tasks {
        let (family, played) = task.await.expect("a family is played to its end");
        rows += played.len();
        page += &section(&family, &played);
        if rewrite() {
            write_expectations(&family, &played);
        }
        for (row, played) in family.rows.iter().zip(&played) {
            let says = row.says.as_deref().unwrap_or_default();
            let said = played.said.as_deref().unwrap_or_default().contains(says);
            let as_expected = played.outcome == row.expect || rewrite();
            if !as_expected || !said || !played.unanswered.is_empty() {
                wrong.push(format!("{}: {}: expected {:?}, {played:#?}", family.title, row.name, row.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    if only.is_empty() {
        assert!(rows > 140, "{rows}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DIALECTS.md");
        if rewrite() {
            std::fs::write(&path, &page).expect("the page can be written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "docs/DIALECTS.md is not what the run says; write it with DIALECTS=rewrite");
    }
}

#[test]
fn every_family_has_a_row_for_every_cause_or_says_that_it_cannot() {
    for family in Family::all() {
        for cause in CAUSES {
            let has = family.rows.iter().any(|row| row.cause == cause);
            let cannot = family.without.iter().any(|without| without == cause);
            assert!(has != cannot, "{}: {cause}: has rows: {has}, said to have none: {cannot}", family.title);
        }
    }
}

#[test]
fn what_is_only_presumed_of_a_registry_never_speaks_against_a_login_or_a_repository() {
    for family in Family::all() {
        for row in family.rows.iter().filter(|row| row.evidence.starts_with("uncertain")) {
            let verdicts = ["CredentialsRejected, certain", "AccessDenied, certain", "RepositoryNotFound, certain"];
            let accused = verdicts.iter().any(|words| row.expect.starts_with(words));
            assert!(!accused, "{}: {}: {} on {}", family.title, row.name, row.expect, row.evidence);
        }
    }
}

#[test]
fn names_of_rows_are_unique() {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for family in Family::all() {
        for row in &family.rows {
            *seen.entry((family.title.clone(), row.name.clone())).or_default() += 1;
        }
    }
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
}

/// One family as a table.
fn section(family: &Family, played: &[Played]) -> String {
    let mut text = format!("\n## {}\n\n", family.title);
    if !family.without.is_empty() {
        writeln!(text, "No such thing here: {}.\n", family.without.join(", ")).expect("text");
    }
    text += "| | cause | code | certain | requests | evidence |\n|---|---|---|---|---:|---|\n";
    for (row, played) in family.rows.iter().zip(played) {
        let (code, sure) = match played.outcome.split(", ").collect::<Vec<_>>().as_slice() {
            [code, certain, _] => {
                (format!("`{code}`"), (*certain).replace("uncertain", "no").replace("certain", "yes"))
            }
            _ => ("resolves".to_owned(), "–".to_owned()),
        };
        let Row { name, cause, evidence, .. } = &**row;
        let note =
            row.containerd_resolves.as_ref().map(|why| format!(". A node resolves it: {why}")).unwrap_or_default();
        let requests = played.asked.len();
        writeln!(text, "| {name} | {cause} | {code} | {sure} | {requests} | {evidence}{note} |").expect("text");
    }
    text
}

fn write_expectations(family: &Family, played: &[Played]) {
    let text = std::fs::read_to_string(&family.path).expect("the file was read before");
    let mut outcomes = family.rows.iter().map(|row| row.name.as_str()).zip(played);
    let mut current = None;
    let mut out = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ").filter(|name| *name != "common") {
            current = outcomes.next();
            assert_eq!(current.map(|(name, _)| name), Some(name));
        }
        match (line.strip_prefix("expect: "), current) {
            (Some(_), Some((_, played))) => writeln!(out, "expect: {}", played.outcome).expect("text"),
            _ => writeln!(out, "{line}").expect("text"),
        }
    }
    std::fs::write(&family.path, out).expect("the file can be written");
}
