//! docs/METRICS.md and the families of the code, held equal: names, types, labels, and the values that a label can have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::registry::Registry;
use pullgate::credentials::TokenKind;
use pullgate::finding::{Cause, Code, Description, Finding};
use pullgate::metrics::certificates::{CertificateMetrics, Which};
use pullgate::metrics::{Metrics, exposition};
use pullgate::policy::Mode;
use pullgate::registry::probes::plan::Probe;

/// One family: its type, and its labels with their values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The same on the page: of a label the words in backticks, or none where it may be any.
#[derive(Debug, Default)]
struct Section {
    kind: String,
    labels: BTreeMap<String, Option<BTreeSet<String>>>,
    text: String,
}

/// Every family after each recorder was called once, by the name that is queried.
pub(super) fn families() -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    for line in recorded().lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            families.insert(name, Family { kind: kind.to_owned(), ..Family::default() });
        } else if !line.starts_with('#') {
            let (name, rest) = line.split_once('{').or_else(|| line.split_once(' ')).unwrap();
            let rest = if line.contains('{') { rest } else { "" };
            let suffixes = ["", "_bucket", "_count", "_sum"];
            let base = suffixes
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix).filter(|base| families.contains_key(*base)));
            let family = families.get_mut(base.expect("a sample has a type above it")).unwrap();
            for label in rest.split('}').next().unwrap().split("\",").filter(|label| !label.is_empty()) {
                let (label, value) = label.split_once("=\"").unwrap();
                if label != "le" {
                    let value = value.trim_end_matches('"').to_owned();
                    family.labels.entry(label.to_owned()).or_default().insert(value);
                }
            }
        }
    }
    families
}

fn recorded() -> String {
    let metrics = Metrics::new();
    metrics.review("validate", "deny", Duration::from_secs(1), "a\"b\\c\n\u{202e}");
    metrics.finding(&finding(), Mode::Enforce);
    metrics.admitted_unchecked(Mode::Warn, Code::NotChecked);
    metrics.registry_serves("registry.corp.io");
    metrics.registry_request("registry.corp.io", Some(200));
    metrics.registry_request("junk.example", None);
    metrics.registry_left("registry.corp.io", 7);
    metrics.registry_breaker("registry.corp.io", 2);
    metrics.registry_resting("registry.corp.io", 1);
    metrics.registry_turn("waited");
    metrics.registry_probe(Probe::ALL[0], Some(true));
    metrics.fact("cache", "tag");
    metrics.credentials_expired(TokenKind::ALL[0]);
    metrics.credentials_expire_soon(TokenKind::ALL[0]);
    metrics.credential_plugin_call("ecr", "ok");
    metrics.shared_cache();
    for what in ["configuration", "certificate", "path segment", "client authority"] {
        assert_eq!(metrics.reloaded(what, Err::<(), _>("bad")), Err("bad"));
    }
    metrics.unknown_caller();
    metrics.template_path_unmatched("batch.example.io", "Trainer", "spec.workers[*].template");
    for condition in ["serving", "certificate"] {
        metrics.condition(condition, true);
    }
    let mut registry = Registry::with_prefix("pullgate");
    let kept = CertificateMetrics::of_keeper(&mut registry);
    for which in [Which::Ca, Which::Leaf, Which::Bundle] {
        kept.expires(which, Some(Timestamp::UNIX_EPOCH));
    }
    metrics.render() + &exposition(&registry)
}

fn finding() -> Finding {
    Finding {
        code: Code::RegistryUnreachable,
        certain: false,
        cause: Some(Cause::Dns),
        path: String::new(),
        container: String::new(),
        image: String::new(),
        resolved: Some("registry.corp.io/team/api:v1".to_owned()),
        description: Description::default(),
        registry: None,
        node: None,
        fix: String::new(),
        tried: Vec::new(),
        probed: None,
        nearest: None,
        token: None,
        age: None,
    }
}

fn sections(page: &str) -> BTreeMap<String, Section> {
    let parts = page.split("\n### `").skip(1);
    parts
        .map(|part| {
            let part = part.split("\n## ").next().unwrap();
            let (name, text) = part.split_once("`\n\n").unwrap();
            let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
            let words = |values: &str| values.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            let labels =
                rows.map(|(label, values)| (label.to_owned(), (!values.starts_with("any")).then(|| words(values))));
            let kind = text.split('.').next().unwrap().to_owned();
            (name.to_owned(), Section { kind, labels: labels.collect(), text: text.to_owned() })
        })
        .collect()
}

/// What page and code disagree about.
fn faults(page: &str, families: &BTreeMap<String, Family>) -> Vec<String> {
    let sections = sections(page);
    let mut faults = Vec::new();
    for name in sections.keys().filter(|name| !families.contains_key(*name)) {
        faults.push(format!("{name} is on the page and not in the code"));
    }
    for (name, family) in families {
        let Some(section) = sections.get(name) else {
            faults.push(format!("{name} is in the code and not on the page"));
            continue;
        };
        if section.kind != family.kind {
            faults.push(format!("{name} is a {}", family.kind));
        }
        if !section.labels.keys().eq(family.labels.keys()) {
            faults.push(format!("{name} has the labels {:?}", family.labels.keys()));
        }
        for (label, values) in &family.labels {
            let Some(Some(listed)) = section.labels.get(label) else { continue };
            let missing: Vec<_> = values.iter().filter(|value| !listed.contains(*value)).collect();
            if !missing.is_empty() {
                faults.push(format!("{name}: {label} may be {missing:?}"));
            }
        }
        let example = section.text.split("```promql\n").nth(1).and_then(|rest| rest.split("```").next());
        if !example.is_some_and(|example| example.contains(name.as_str())) {
            faults.push(format!("{name} has no example"));
        }
    }
    faults
}

#[test]
fn the_page_and_the_code_have_the_same_families() {
    let families = families();
    let sources = [include_str!("../../../src/metrics.rs"), include_str!("../../../src/metrics/certificates.rs")];
    let registered: usize = sources.iter().map(|source| source.matches("registry.register(").count()).sum();
    assert_eq!(
        families.len(),
        registered,
        "a family is registered that `recorded` does not fill: {:?}",
        families.keys()
    );
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md")).unwrap();
    let found = faults(&page, &families);
    assert!(found.is_empty(), "docs/METRICS.md: {found:#?}");
    for (planted, word) in [
        (page.replace("### `pullgate_facts_total`", "### `pullgate_fact_total`"), "pullgate_fact_total is on"),
        (page.replace("counter. Facts that", "gauge. Facts that"), "is a counter"),
        (page.replace("| `kind` |", "| `sort` |"), "has the labels"),
        (page.replace("; `platforms`: what", ": what"), "may be [\"platforms\"]"),
        (page.replace("min by (registry) (pullgate_registry_quota_left)", "up"), "no example"),
    ] {
        let found = faults(&planted, &families);
        assert!(found.iter().any(|fault| fault.contains(word)), "{word}: {found:?}");
    }
}

#[test]
fn the_uid_of_a_slow_review_is_an_exemplar_that_breaks_no_line() {
    let text = recorded();
    let exemplar = text.lines().find(|line| line.contains(" # {uid=")).unwrap();
    assert!(exemplar.ends_with(" # {uid=\"a\\\"b\\\\c\u{fffd}\u{fffd}\"} 1.0"), "{exemplar}");
    let metrics = Metrics::new();
    metrics.review("validate", "allow", Duration::from_millis(1), "a");
    assert!(!metrics.render().contains("uid="), "a quick review leaves none");
}
