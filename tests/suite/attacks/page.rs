//! `docs/GUARD.md` names the test of every attack: each of them exists.

use std::fs;
use std::path::Path;

fn sources(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/GUARD.md")).unwrap();
    let mut text = String::new();
    for dir in ["src", "tests/suite"] {
        sources(&root.join(dir), &mut text);
    }
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 4).collect();
    let rows: Vec<&str> = rows.into_iter().filter(|row| !row.starts_with("| attack")).collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let named: Vec<&str> = row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for test in named {
            assert!(text.contains(&format!("fn {test}(")), "{test} is named in docs/GUARD.md and is no test");
        }
    }
}
