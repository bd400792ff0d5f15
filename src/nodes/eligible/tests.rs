//! Which nodes take which pods.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::nodes::LISTED_BY_DEFAULT;
use crate::nodes::object::{NodeSpec, NodeStatus};
use crate::workload::spec::Spec;

fn node(name: &str, labels: &Value, taints: &Value) -> Arc<Node> {
    let spec: NodeSpec = serde_json::from_value(json!({ "taints": taints })).unwrap();
    let labels = serde_json::from_value(labels.clone()).unwrap();
    Arc::new(Node::new(name, labels, spec, NodeStatus::default(), &mut HashSet::new()))
}

fn cluster() -> Vec<Arc<Node>> {
    let linux = |arch: &str, pool: &str, cores: &str| json!({ "kubernetes.io/arch": arch, "kubernetes.io/os": "linux", "pool": pool, "cores": cores });
    let windows = json!({ "kubernetes.io/arch": "amd64", "kubernetes.io/os": "windows" });
    let taint = |key: &str, value: &str, effect: &str| json!([{ "key": key, "value": value, "effect": effect }]);
    let cordoned = taint("node.kubernetes.io/unschedulable", "", "NoSchedule");
    vec![
        node("amd-1", &linux("amd64", "a", "4"), &json!([])),
        node("amd-2", &linux("amd64", "a", "16"), &cordoned),
        node("arm-1", &linux("arm64", "b", "8"), &json!([])),
        node("gpu-1", &linux("amd64", "g", "x"), &taint("gpu", "yes", "NoSchedule")),
        node("soft-1", &linux("arm64", "b", "8"), &taint("soft", "", "PreferNoSchedule")),
        node("win-1", &windows, &taint("os", "windows", "NoExecute")),
    ]
}

fn names(spec: &Value) -> Vec<String> {
    let text = spec.to_string();
    let spec: Spec<'_> = serde_json::from_str(&text).unwrap();
    Eligible::new(&cluster(), &Placement::of(&spec), Arc::default(), LISTED_BY_DEFAULT)
        .nodes
        .iter()
        .map(|node| node.name.to_string())
        .collect()
}

fn affinity(terms: &Value) -> Value {
    json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } })
}

#[test]
fn a_pod_lands_where_its_spec_lets_it() {
    let everywhere = ["amd-1", "amd-2", "arm-1", "soft-1"];
    let table: Vec<(Value, &[&str])> = vec![
        (json!({}), &everywhere),
        (json!({ "nodeSelector": { "kubernetes.io/arch": "arm64" } }), &["arm-1", "soft-1"]),
        (json!({ "nodeSelector": { "kubernetes.io/arch": "arm64", "pool": "a" } }), &[]),
        (json!({ "nodeSelector": { "absent": "" } }), &[]),
        (json!({ "nodeName": "gpu-1" }), &["gpu-1"]),
        (json!({ "nodeName": "gone" }), &[]),
        (
            json!({ "tolerations": [{ "key": "gpu", "operator": "Exists" }] }),
            &["amd-1", "amd-2", "arm-1", "gpu-1", "soft-1"],
        ),
        (
            json!({ "tolerations": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] }),
            &["amd-1", "amd-2", "arm-1", "gpu-1", "soft-1"],
        ),
        (json!({ "tolerations": [{ "key": "gpu", "value": "no" }] }), &everywhere),
        (json!({ "tolerations": [{ "key": "gpu", "operator": "Exists", "effect": "NoExecute" }] }), &everywhere),
        (json!({ "tolerations": [{ "operator": "Exists" }], "os": { "name": "windows" } }), &["win-1"]),
        (
            json!({ "tolerations": [{ "operator": "Exists" }] }),
            &["amd-1", "amd-2", "arm-1", "gpu-1", "soft-1", "win-1"],
        ),
        (
            affinity(&json!([{ "matchExpressions": [{ "key": "pool", "operator": "In", "values": ["b", "c"] }] }])),
            &["arm-1", "soft-1"],
        ),
        (
            affinity(&json!([{ "matchExpressions": [{ "key": "pool", "operator": "NotIn", "values": ["b"] }] }])),
            &["amd-1", "amd-2"],
        ),
        (
            affinity(&json!([{ "matchExpressions": [{ "key": "absent", "operator": "NotIn", "values": ["b"] }] }])),
            &everywhere,
        ),
        (
            affinity(
                &json!([{ "matchExpressions": [{ "key": "pool", "operator": "Exists" }, { "key": "absent", "operator": "DoesNotExist" }] }]),
            ),
            &everywhere,
        ),
        (
            affinity(&json!([{ "matchExpressions": [{ "key": "cores", "operator": "Gt", "values": ["4"] }] }])),
            &["amd-2", "arm-1", "soft-1"],
        ),
        (
            affinity(&json!([{ "matchExpressions": [{ "key": "cores", "operator": "Lt", "values": ["8"] }] }])),
            &["amd-1"],
        ),
        (
            affinity(&json!([{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["arm-1"] }] }])),
            &["arm-1"],
        ),
        (
            affinity(
                &json!([{ "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["arm-1"] }] }]),
            ),
            &["amd-1", "amd-2", "soft-1"],
        ),
        (
            affinity(&json!([
                { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["arm-1"] }] },
                { "matchExpressions": [{ "key": "cores", "operator": "Gt", "values": ["8"] }] },
            ])),
            &["amd-2", "arm-1"],
        ),
        (affinity(&json!([{}])), &[]),
        (affinity(&json!([])), &[]),
        (
            affinity(&json!([{ "matchExpressions": [{ "key": "pool", "operator": "Resembles", "values": [] }] }])),
            &everywhere,
        ),
    ];
    for (spec, expected) in table {
        assert_eq!(names(&spec), expected, "{spec}");
    }
}

#[test]
fn an_architecture_is_offered_only_where_the_rest_of_the_placement_has_it() {
    let selected = |spec: &Value| {
        let text = spec.to_string();
        let spec: Spec<'_> = serde_json::from_str(&text).unwrap();
        let eligible = Eligible::new(&cluster(), &Placement::of(&spec), Arc::default(), LISTED_BY_DEFAULT);
        (eligible.architectures.into_iter().collect::<Vec<_>>().join(" "), eligible.selector)
    };
    let pool = |name: &str| vec![("pool".to_owned(), name.to_owned())];
    let arch = |of: &str| json!([{ "matchExpressions": [{ "key": ARCH, "operator": "In", "values": [of] }] }]);
    for (spec, architectures, selector) in [
        (json!({}), "amd64 arm64", Vec::new()),
        // The line that is offered takes the place of this one.
        (json!({ "nodeSelector": { ARCH: "arm64" } }), "amd64 arm64", Vec::new()),
        (json!({ "nodeSelector": { ARCH: "arm64", "pool": "a" } }), "amd64", pool("a")),
        (json!({ "nodeSelector": { "pool": "b" } }), "arm64", pool("b")),
        (json!({ "nodeSelector": { "pool": "g" } }), "", pool("g")),
        (affinity(&arch("arm64")), "arm64", Vec::new()),
        (json!({ "nodeName": "amd-1" }), "amd64", Vec::new()),
    ] {
        assert_eq!(selected(&spec), (architectures.to_owned(), selector), "{spec}");
    }
}

#[test]
fn nodes_are_grouped_by_what_they_pull() {
    let eligible = Eligible::new(&cluster(), &Placement::default(), Arc::default(), LISTED_BY_DEFAULT);
    let classes: Vec<_> =
        eligible.classes.iter().map(|class| (&*class.architecture, class.count, &*class.first)).collect();
    assert_eq!(classes, [("amd64", 2, "amd-1"), ("arm64", 2, "arm-1")]);
}
