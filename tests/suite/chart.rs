//! The chart's papers, held by a test: every value has a comment, the README's table is written from these comments, and
//! the schema knows the same keys and refuses others. With `CHART=rewrite` the table is written anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

/// Where the table is.
const BEGIN: &str = "<!-- values: written from values.yaml with CHART=rewrite -->\n";
const END: &str = "<!-- end of values -->\n";

/// One value, or a group of them that is one value to the chart.
#[derive(Debug)]
struct Row {
    key: String,
    default: String,
    comment: String,
}

#[test]
fn the_table_of_values_is_written_from_the_comments() {
    let path = chart().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("the README is there");
    let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
    let (_, after) = rest.split_once(END).expect("the table ends");
    let mut table = "\n| value | default | what it is |\n|---|---|---|\n".to_owned();
    for Row { key, default, comment } in rows(&read("values.yaml")) {
        assert!(!comment.is_empty(), "values.yaml: {key} has no comment");
        let cell = |text: &str| text.replace('|', "\\|");
        writeln!(table, "| `{key}` | {} | {} |", cell(&default), cell(&comment)).expect("text");
    }
    let written = format!("{before}{BEGIN}{table}\n{END}{after}");
    if std::env::var_os("CHART").is_some_and(|value| value == "rewrite") {
        std::fs::write(&path, &written).expect("the README can be written");
    } else {
        assert!(
            written == readme,
            "charts/pullgate/README.md is not what values.yaml says; write it with CHART=rewrite"
        );
    }
}

#[test]
fn the_schema_knows_the_keys_of_the_values_and_no_others() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("the schema is JSON");
    let values = values(&read("values.yaml"));
    let (mut known, mut written) = (BTreeSet::new(), BTreeSet::new());
    closed(&schema, "", &mut known);
    keys(&values, &schema, "", &mut written);
    // Helm gives it to every chart.
    known.remove("global");
    assert_eq!(known, written);
    assert!(known.len() > 80, "{}", known.len());
}

#[test]
fn a_planted_mistake_is_noticed() {
    let rows = rows(
        "# Of a.\na:\n  # Of b.\n  b: 1\n  c: x\n# Whole.\nd:\n  e: 1\n  f: [a]\n# A list.\ng:\n  - a\n  # of a kind\n  - b\n",
    );
    let shown: Vec<_> = rows.iter().map(|row| format!("{}={} {}", row.key, row.default, row.comment)).collect();
    assert_eq!(
        shown,
        [
            "a= Of a.",
            "a.b=`1` Of b.",
            "a.c=`\"x\"` ",
            "d=`{\"e\":1,\"f\":[\"a\"]}` Whole.",
            "g=`[\"a\",\"b\"]` A list."
        ]
    );
    let open = serde_json::json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let refused = std::panic::catch_unwind(|| closed(&open, "", &mut BTreeSet::new()));
    assert!(refused.is_err(), "an object that takes unknown keys");
}

fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/pullgate")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(chart().join(file)).expect("a file of the chart")
}

fn values(text: &str) -> Value {
    pullgate::yaml::single(text.as_bytes(), pullgate::yaml::Dialect::Manifest)
        .expect("values.yaml is YAML")
        .expect("values.yaml holds a document")
}

/// Keys with their comments, in the order of the file. A map none of whose keys has a comment is one value.
fn rows(text: &str) -> Vec<Row> {
    let values = values(text);
    let mut rows: Vec<Row> = Vec::new();
    let (mut path, mut comment): (Vec<(usize, String)>, String) = (Vec::new(), String::new());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(words) = line.strip_prefix('#') {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(words.trim());
            continue;
        }
        let key = line.split_once(':').map(|(key, _)| key).filter(|key| !key.starts_with('-') && !key.contains(' '));
        let Some(key) = key else {
            comment.clear();
            continue;
        };
        path.retain(|(at, _)| *at < indent);
        path.push((indent, key.to_owned()));
        let pointer = path.iter().fold(String::new(), |at, (_, key)| at + "/" + &key.replace('/', "~1"));
        let value = values.pointer(&pointer).unwrap_or(&Value::Null);
        let key: Vec<_> = path.iter().map(|(_, key)| key.as_str()).collect();
        rows.push(Row { key: key.join("."), default: format!("`{value}`"), comment: std::mem::take(&mut comment) });
    }
    whole(&rows)
}

/// Puts maps together, and takes the default from those whose keys are rows of their own.
fn whole(rows: &[Row]) -> Vec<Row> {
    let below = |row: &Row, other: &Row| other.key.starts_with(&format!("{}.", row.key));
    let commented = |row: &Row| rows.iter().any(|other| below(row, other) && !other.comment.is_empty());
    let is_map = |row: &Row| rows.iter().any(|other| below(row, other));
    let one_value = |row: &Row| is_map(row) && !row.comment.is_empty() && !commented(row);
    let covered = |row: &Row| rows.iter().any(|other| one_value(other) && below(other, row));
    rows.iter()
        .filter(|row| !covered(row) && (!row.comment.is_empty() || !commented(row)))
        .map(|row| {
            let group = is_map(row) && !one_value(row);
            let default = if group { String::new() } else { row.default.clone() };
            Row { key: row.key.clone(), default, comment: row.comment.clone() }
        })
        .collect()
}

/// The keys of a schema; every object with keys of its own must refuse others, except what is checked by pullgate itself.
fn closed(schema: &Value, path: &str, known: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object().filter(|_| path != "config") else { return };
    assert_eq!(schema["additionalProperties"], false, "values.schema.json: \"{path}\" takes keys that nobody knows");
    for (key, schema) in properties {
        // Not every key of an issuer is written into the values.
        if path == "tls.issuerRef" {
            continue;
        }
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        closed(schema, &path, known);
        known.insert(path);
    }
}

/// The keys of the values, as deep as the schema has keys of its own.
fn keys(values: &Value, schema: &Value, path: &str, written: &mut BTreeSet<String>) {
    if schema["properties"].is_null() || path == "config" {
        return;
    }
    for (key, value) in values.as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        keys(value, &schema["properties"][key.as_str()], &path, written);
        written.insert(path);
    }
}
