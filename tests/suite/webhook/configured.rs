//! Kinds of the configuration: every entry, every template, and paths that lead to none.

use pullgate::demo::registry::Login;
use serde_json::{Value, json};

use crate::gate::{Gate, GateSpec};

const KINDS: &str = "mode: enforce
templates: deny
kinds:
- { group: batch.example.io, kind: Trainer, path: spec.leader }
- { group: batch.example.io, kind: Trainer, path: 'spec.workers[*].template' }
- { group: batch.example.io, kind: Trainer, path: spec.evaluatr }
";

async fn gate() -> Gate {
    GateSpec::new().login(Login::None).policy(KINDS).start().await
}

/// A review of a Trainer: its leader's image, and those of its workers.
fn trainer(gate: &Gate, leader: &str, workers: &[&str]) -> Value {
    let template = |image: &str| json!({ "spec": { "containers": [{ "name": "c", "image": gate.image(image) }] } });
    let workers: Vec<_> = workers.iter().map(|image| json!({ "template": template(image) })).collect();
    let mut review = gate.recorded("deployment-create.validate");
    let request = &mut review["request"];
    for field in ["kind", "requestKind"] {
        request[field] = json!({ "group": "batch.example.io", "version": "v1", "kind": "Trainer" });
    }
    for field in ["resource", "requestResource"] {
        request[field] = json!({ "group": "batch.example.io", "version": "v1", "resource": "trainers" });
    }
    request["object"] = json!({
        "apiVersion": "batch.example.io/v1",
        "kind": "Trainer",
        "metadata": { "name": "t", "namespace": "team-a" },
        "spec": { "leader": template(leader), "workers": workers },
    });
    review
}

#[tokio::test]
async fn every_template_of_an_object_is_judged() {
    let gate = gate().await;
    for (leader, workers, path) in [
        ("open:gone", &["open:v1", "open:v1"][..], Some("spec.leader.spec.containers[0].image")),
        ("open:v1", &["open:gone", "open:v1"], Some("spec.workers[0].template.spec.containers[0].image")),
        ("open:v1", &["open:v1", "open:gone"], Some("spec.workers[1].template.spec.containers[0].image")),
        ("open:v1", &["open:v1"; 40], None),
    ] {
        let answer = gate.validate(&trainer(&gate, leader, workers)).await;
        assert_eq!(answer.allowed(), path.is_none(), "{answer:?}");
        if let Some(path) = path {
            assert_eq!(answer.annotation("findings"), format!("TagNotFound {path} R/open:gone"));
        }
    }
}

#[tokio::test]
async fn an_update_of_one_template_is_judged_and_one_that_changes_no_pull_is_not() {
    let gate = gate().await;
    let update = |old: Value, new: Value| {
        let mut review = new;
        review["request"]["oldObject"] = old["request"]["object"].clone();
        review["request"]["operation"] = json!("UPDATE");
        review
    };
    let old = trainer(&gate, "open:gone", &["open:v1"]);
    let answer = gate.validate(&update(old.clone(), trainer(&gate, "open:gone", &["open:v1"]))).await;
    assert!(answer.is_silent(), "{answer:?}");
    let answer = gate.validate(&update(old.clone(), trainer(&gate, "open:gone", &["open:v1", "open:v1"]))).await;
    assert!(answer.is_silent(), "{answer:?}");
    let answer = gate.validate(&update(old, trainer(&gate, "open:gone", &["open:lost"]))).await;
    assert!(!answer.allowed(), "{answer:?}");
    assert_eq!(
        answer.annotation("findings"),
        "TagNotFound spec.workers[0].template.spec.containers[0].image R/open:lost"
    );
}

#[tokio::test]
async fn a_path_that_leads_to_no_template_is_counted_by_kind_and_path() {
    let gate = gate().await;
    let unmatched = |path: &str| {
        let labels = format!("group=\"batch.example.io\",kind=\"Trainer\",path=\"{path}\"");
        gate.metric(&format!("pullgate_template_paths_unmatched_total{{{labels}}}"))
    };
    for count in 1..=3 {
        assert!(gate.validate(&trainer(&gate, "open:v1", &["open:v1"])).await.allowed());
        assert_eq!(unmatched("spec.evaluatr"), count);
    }
    assert_eq!((unmatched("spec.leader"), unmatched("spec.workers[*].template")), (0, 0));
    gate.validate(&trainer(&gate, "open:v1", &[])).await;
    assert_eq!(unmatched("spec.workers[*].template"), 1);
    // A dry run leaves no trace.
    let mut review = trainer(&gate, "open:v1", &[]);
    review["request"]["dryRun"] = json!(true);
    gate.validate(&review).await;
    assert_eq!(unmatched("spec.workers[*].template"), 1);
}
