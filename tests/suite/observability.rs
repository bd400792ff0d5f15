//! What is watched is what is there: docs/METRICS.md against the families of the code, the chart's alerts and dashboard against
//! both, each alert against its page, and the fields of the line that a denial leaves in the log.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::gate::{GateSpec, PASSWORD};

/// What alerts and dashboard ask of the API server (kubernetes/kubernetes
/// `staging/src/k8s.io/apiserver/pkg/admission/metrics/metrics.go`).
const OF_THE_API_SERVER: [&str; 4] = [
    "apiserver_admission_webhook_admission_duration_seconds_bucket",
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_webhook_rejection_count",
    "apiserver_admission_webhook_request_total",
];

/// What runbooks ask of others.
const OF_OTHERS: [&str; 1] = ["container_cpu_cfs_throttled_periods_total"];

/// Where the pages of the alerts are.
const RUNBOOKS: &str = "https://github.com/pullgate/pullgate/blob/main/docs/runbooks/";

/// The headings of a runbook below its title.
const FRAME: [&str; 4] = ["## What it means", "## How bad it is", "## How to be sure", "## What to do"];

/// One rule.
struct Alert {
    name: String,
    expr: String,
    severity: String,
    annotations: BTreeMap<String, String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn alerts() -> Vec<Alert> {
    let rules: Value =
        pullgate::yaml::single(read("charts/pullgate/alerts.yaml").as_bytes(), pullgate::yaml::Dialect::Manifest)
            .unwrap()
            .unwrap();
    let rules = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rules
        .map(|rule| Alert {
            name: text(&rule["alert"]),
            expr: text(&rule["expr"]),
            severity: text(&rule["labels"]["severity"]),
            annotations: serde_json::from_value(rule["annotations"].clone()).unwrap(),
        })
        .collect()
}

/// The queries of the dashboard, by panel.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("charts/pullgate/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .flat_map(|panel| panel["targets"].as_array().unwrap().iter().map(move |target| (panel, target)))
        .map(|(panel, target)| {
            (panel["title"].as_str().unwrap().to_owned(), target["expr"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// The words of a text that are names of metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let prefixes = ["pullgate_", "apiserver_", "container_cpu_", "kube_", "process_"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// What of `text` is no metric that there is.
fn unknown(text: &str) -> Vec<String> {
    let families = page::families();
    let known = |word: &str| {
        let part = |suffix| word.strip_suffix(suffix).and_then(|base| families.get(base));
        let histogram = ["_bucket", "_count", "_sum"].into_iter().find_map(part);
        families.contains_key(word)
            || histogram.is_some_and(|family| family.kind == "histogram")
            || OF_THE_API_SERVER.contains(&word)
            || OF_OTHERS.contains(&word)
    };
    named(text).into_iter().filter(|word| !known(word)).map(str::to_owned).collect()
}

fn markdown(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { markdown(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

#[test]
fn every_metric_that_is_asked_for_is_there() {
    for alert in alerts() {
        assert_eq!(unknown(&alert.expr), [""; 0], "{}", alert.name);
    }
    for (panel, query) in panels() {
        assert_eq!(unknown(&query), [""; 0], "{panel}");
    }
    for page in markdown(&root().join("docs")) {
        assert_eq!(unknown(&fs::read_to_string(&page).unwrap()), [""; 0], "{}", page.display());
    }
    let planted =
        "rate(pullgate_reviews[5m]) + pullgate_findings_total_bucket + apiserver_admission_webhook_rejections";
    assert_eq!(unknown(planted).len(), 3, "a name that is nearly right is wrong");
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let mut names = BTreeSet::new();
    for Alert { name, severity, annotations, .. } in alerts() {
        assert!(matches!(severity.as_str(), "critical" | "warning"), "{name}: {severity}");
        for key in ["summary", "description"] {
            assert!(annotations[key].ends_with(['.', ')']), "{name}: {key} is a sentence");
        }
        assert_eq!(annotations["runbook_url"], format!("{RUNBOOKS}{name}.md"));
        assert!(
            read("docs/METRICS.md").contains(&format!("[{name}](runbooks/{name}.md)")),
            "{name} is not in the list"
        );
        names.insert(name);
    }
    let pages = markdown(&root().join("docs/runbooks"));
    let pages =
        pages.iter().map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names, pages);
    for name in names {
        let text = read(&format!("docs/runbooks/{name}.md"));
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        let title = format!("# {name}");
        let expected: Vec<&str> = std::iter::once(title.as_str()).chain(FRAME).collect();
        assert_eq!(headings, expected, "{name}");
    }
}

#[test]
fn every_panel_says_what_it_shows_and_asks_once() {
    let panels = panels();
    assert!(panels.len() >= 11, "the dashboard is read");
    let queries: BTreeSet<&str> = panels.iter().map(|(_, query)| query.as_str()).collect();
    assert_eq!(queries.len(), panels.len(), "a query stands twice");
}

#[tokio::test]
async fn a_denial_is_one_line_with_the_fields_that_the_page_names() {
    let gate = GateSpec::new().start().await;
    let review = gate.pod(&[&gate.image("team/gone:v1")], &["regcred"]);
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
    {
        let _log = tracing::subscriber::set_default(log);
        let _another = another_subscriber();
        gate.validate(&review).await;
        gate.validate(&gate.pod(&[&gate.image("open:v1")], &["regcred"])).await;
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let [line] = text.lines().collect::<Vec<_>>()[..] else { panic!("one denial, one line: {text}") };
    let line: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
    let page = read("docs/METRICS.md");
    let row = page.lines().find_map(|line| line.strip_prefix("| `Findings` | INFO | ")).unwrap();
    let fields = row.split('`').skip(1).step_by(2).chain(["timestamp", "level", "target", "message"]);
    assert_eq!(line.keys().map(String::as_str).collect::<BTreeSet<_>>(), fields.collect());
    for (field, value) in
        [("decision", "deny"), ("mode", "enforce"), ("codes", "RepositoryNotFound"), ("namespace", "team-a")]
    {
        assert_eq!(line[field], value, "{line:?}");
    }
    assert_eq!(line["uid"], review["request"]["uid"]);
    assert!(!text.contains(PASSWORD), "{text}");
}

/// While there is one subscriber only, tracing asks whichever thread comes to a line first whether it is wanted, and keeps
/// that: a test without a subscriber would silence the line for all. With two it asks both. Keep it as long as the first.
pub(crate) fn another_subscriber() -> tracing::Dispatch {
    tracing::Dispatch::new(tracing_subscriber::registry())
}

/// What a log wrote.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
