//! `POST /mutate` over HTTPS: which images get a digest, which digest, and that nothing else changes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use pullgate::demo::registry::{Behaviour, Login};
use serde_json::{Value, json};

use crate::gate::{Gate, GateSpec};

/// The pod under review.
fn object(review: &Value) -> &Value {
    &review["request"]["object"]
}

/// The review with a JSON Patch applied to its pod, as the API server does before the next call.
fn patched(review: &Value, patch: &Value) -> Value {
    let mut review = review.clone();
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
    review
}

/// The images of all containers after the patch.
fn images(review: &Value, patch: &Value) -> Vec<String> {
    let review = patched(review, patch);
    let containers = object(&review)["spec"]["containers"].as_array().unwrap();
    containers.iter().map(|container| container["image"].as_str().unwrap().to_owned()).collect()
}

/// A gate that asks for no login, and a review of `open:v1`; the digest of that.
async fn open(policy: &str) -> (Gate, Value, String) {
    let gate = GateSpec::new().login(Login::None).policy(policy).start().await;
    let digest = gate.registry.push("open", "v1");
    let review = gate.pod(&[&gate.image("open:v1")], &[]);
    (gate, review, digest)
}

fn own(review: &mut Value, api_version: &str, kind: &str, controller: bool) {
    review["request"]["object"]["metadata"]["ownerReferences"] = json!([
        { "apiVersion": api_version, "kind": kind, "name": "o", "uid": "u", "controller": controller }
    ]);
}

#[tokio::test]
async fn a_recorded_pod_gets_its_digests_and_no_other_change() {
    let gate = GateSpec::new().login(Login::None).start().await;
    let app = gate.registry.push("alice/app", "1.0");
    let tool = gate.registry.push("alice/tool", "1");
    let review = gate.recorded("pod-create.mutate");
    let patch = gate.mutate(&review).await.patch().unwrap();
    let (app_tag, tool_tag) = (gate.image("alice/app:1.0"), gate.image("alice/tool:1"));
    let (app_pin, tool_pin) = (format!("{app_tag}@{app}"), format!("{tool_tag}@{tool}"));
    let expected = json!([
        { "op": "test", "path": "/spec/containers/0/image", "value": app_tag },
        { "op": "replace", "path": "/spec/containers/0/image", "value": app_pin },
        { "op": "test", "path": "/spec/initContainers/0/image", "value": tool_tag },
        { "op": "replace", "path": "/spec/initContainers/0/image", "value": tool_pin },
    ]);
    assert_eq!(patch, expected);

    let mut undone = patched(&review, &patch);
    undone["request"]["object"]["spec"]["containers"][0]["image"] = json!(app_tag);
    undone["request"]["object"]["spec"]["initContainers"][0]["image"] = json!(tool_tag);
    assert_eq!(undone, review);
}

#[tokio::test]
async fn a_pinned_pod_is_left_alone_by_the_second_call() {
    let (gate, review, _) = open("mode: enforce").await;
    let patch = gate.mutate(&review).await.patch().unwrap();
    gate.asked();
    let pinned = patched(&review, &patch);
    assert!(gate.mutate(&pinned).await.is_silent());
    assert!(gate.validate(&pinned).await.is_silent(), "what was pinned is known, and judged by its digest");
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn the_tag_goes_where_the_operator_wants_the_digest_only() {
    let (gate, review, digest) = open("mode: enforce\npin: { format: digest-only }").await;
    let patch = gate.mutate(&review).await.patch().unwrap();
    assert_eq!(images(&review, &patch), [format!("{}@{digest}", gate.image("open"))]);
}

#[tokio::test]
async fn an_index_is_pinned_and_not_one_of_its_children() {
    let (gate, review, _) = open("mode: enforce").await;
    let index = gate.registry.push_index("open", "v1", &["linux/amd64", "linux/arm64"]);
    let patch = gate.mutate(&review).await.patch().unwrap();
    assert_eq!(images(&review, &patch), [format!("{}@{index}", gate.image("open:v1"))]);
}

#[tokio::test]
async fn image_volumes_sidecars_and_ephemeral_containers_are_pinned_too() {
    let gate = GateSpec::new().login(Login::None).start().await;
    for (repository, tag) in [("alice/app", "latest"), ("alice/side", "1"), ("alice/vol", "1"), ("alice/debug", "1")] {
        gate.registry.push(repository, tag);
    }
    for (recorded, expected) in [
        (
            "pod-create-imagevolume-sidecar.mutate",
            vec!["/spec/containers/0/image", "/spec/initContainers/0/image", "/spec/volumes/0/image/reference"],
        ),
        ("pod-ephemeralcontainers-update.mutate", vec!["/spec/ephemeralContainers/0/image"]),
    ] {
        let patch = gate.mutate(&gate.recorded(recorded)).await.patch().unwrap();
        let replaced = patch.as_array().unwrap().iter().filter(|operation| operation["op"] == "replace");
        let paths: Vec<&str> = replaced.map(|operation| operation["path"].as_str().unwrap()).collect();
        assert_eq!(paths, expected, "{recorded}");
    }
}

#[tokio::test]
async fn pods_of_kubernetes_own_controllers_are_pinned() {
    let gate = GateSpec::new().login(Login::None).start().await;
    gate.registry.push("alice/app", "1.0");
    for owner in ["daemonset", "job"] {
        let review = gate.recorded(&format!("pod-create-by-{owner}.mutate"));
        assert!(gate.mutate(&review).await.patch().is_some(), "{owner}");
    }
}

#[tokio::test]
async fn the_pods_of_an_operator_are_judged_and_not_pinned() {
    let (gate, mut review, _) = open("mode: enforce").await;
    own(&mut review, "postgresql.cnpg.io/v1", "Cluster", true);
    assert!(gate.mutate(&review).await.is_silent());
    assert!(gate.asked().is_empty());
    // Another group's kind of a familiar name is a stranger too.
    own(&mut review, "apps.kruise.io/v1beta1", "StatefulSet", true);
    assert!(gate.mutate(&review).await.is_silent());
    // An owner that does not control the pod compares nothing.
    own(&mut review, "postgresql.cnpg.io/v1", "Cluster", false);
    assert!(gate.mutate(&review).await.patch().is_some());

    let mut missing = gate.pod(&[&gate.image("open:v2")], &[]);
    own(&mut missing, "postgresql.cnpg.io/v1", "Cluster", true);
    assert!(!gate.validate(&missing).await.allowed());
}

#[tokio::test]
async fn every_pod_is_pinned_where_the_operator_says_any() {
    let (gate, mut review, _) = open("mode: enforce\npin: { owners: any }").await;
    own(&mut review, "postgresql.cnpg.io/v1", "Cluster", true);
    assert!(gate.mutate(&review).await.patch().is_some());
}

#[tokio::test]
async fn enforce_and_warn_pin_and_audit_does_not() {
    let (gate, review, _) = open("mode: enforce").await;
    for (policy, pins) in [
        ("mode: enforce", true),
        ("mode: warn", true),
        ("mode: audit", false),
        ("mode: enforce\nnamespaces: [{ names: [team-a], mode: audit }]", false),
        ("mode: audit\nnamespaces: [{ names: [team-a], mode: warn }]", true),
        ("mode: enforce\npin: { enabled: false }", false),
    ] {
        gate.put(gate.policy(policy));
        gate.asked();
        assert_eq!(gate.mutate(&review).await.patch().is_some(), pins, "{policy}");
        assert!(pins || gate.asked().is_empty(), "{policy}: what is not pinned is not asked for");
        gate.advance(Duration::from_secs(6));
    }
}

#[tokio::test]
async fn an_image_that_the_operator_skips_is_not_pinned() {
    let (gate, _, digest) = open("mode: enforce\npin: { skip: ['127.0.0.1:*/kind/*'] }").await;
    gate.registry.push("kind/node", "v1");
    let review = gate.pod(&[&gate.image("kind/node:v1"), &gate.image("open:v1")], &[]);
    let patch = gate.mutate(&review).await.patch().unwrap();
    assert_eq!(images(&review, &patch), [gate.image("kind/node:v1"), format!("{}@{digest}", gate.image("open:v1"))]);
}

#[tokio::test]
async fn under_always_a_pin_rests_on_an_answer_of_the_last_five_seconds() {
    let (gate, review, _) = open("mode: enforce").await;
    assert!(gate.mutate(&review).await.patch().is_some());
    gate.advance(Duration::from_millis(4900));
    assert!(gate.mutate(&review).await.patch().is_some());
    assert_eq!(gate.asked(), ["HEAD /v2/open/manifests/v1 200"]);
    gate.advance(Duration::from_millis(200));
    let moved = gate.registry.push_index("open", "v1", &["linux/amd64"]);
    let patch = gate.mutate(&review).await.patch().unwrap();
    assert_eq!(images(&review, &patch), [format!("{}@{moved}", gate.image("open:v1"))]);
    assert_eq!(gate.asked(), ["HEAD /v2/open/manifests/v1 200"]);
}

#[tokio::test]
async fn under_if_not_present_a_pin_may_come_from_the_cache() {
    let (gate, mut review, _) = open("mode: enforce").await;
    review["request"]["object"]["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    assert!(gate.mutate(&review).await.patch().is_some());
    gate.advance(Duration::from_secs(50));
    assert!(gate.mutate(&review).await.patch().is_some());
    assert_eq!(gate.asked(), ["HEAD /v2/open/manifests/v1 200"]);
    gate.advance(Duration::from_secs(10));
    assert!(gate.mutate(&review).await.patch().is_some());
    assert_eq!(gate.asked(), ["HEAD /v2/open/manifests/v1 200"]);
}

#[tokio::test]
async fn an_image_that_is_never_pulled_is_not_pinned() {
    let (gate, mut review, _) = open("mode: enforce").await;
    review["request"]["object"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    assert!(gate.mutate(&review).await.is_silent());
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn a_stale_answer_admits_and_pins_nothing() {
    let (gate, mut review, _) = open("mode: enforce").await;
    for policy in ["Always", "IfNotPresent"] {
        review["request"]["object"]["spec"]["containers"][0]["imagePullPolicy"] = json!(policy);
        assert!(gate.mutate(&review).await.patch().is_some(), "{policy}");
        gate.advance(Duration::from_secs(70));
        gate.registry.stop().await;
        assert!(gate.mutate(&review).await.is_silent(), "{policy}");
        assert!(gate.validate(&review).await.allowed(), "{policy}");
        gate.registry.resume().await.unwrap();
        gate.advance(Duration::from_secs(70));
    }
}

#[tokio::test]
async fn an_update_that_merely_drops_the_digest_gets_it_back_without_a_question() {
    let (gate, _, digest) = open("mode: enforce").await;
    let (tag, pin) = (gate.image("open:v1"), format!("{}@{digest}", gate.image("open:v1")));
    let review = gate.update(&[&pin], &[&tag], &[]);
    let patch = gate.mutate(&review).await.patch().unwrap();
    assert_eq!(images(&review, &patch), std::slice::from_ref(&pin));
    assert!(gate.validate(&patched(&review, &patch)).await.is_silent(), "nothing has changed then");
    // Another tag is a wish, and an unchanged pod is none.
    assert!(gate.mutate(&gate.update(&[&pin], &[&gate.image("open:v2")], &[])).await.is_silent());
    assert!(gate.mutate(&gate.update(&[&pin], &[&pin], &[])).await.is_silent());
    assert!(gate.mutate(&gate.update(&[&tag], &[&tag], &[])).await.is_silent());
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn an_image_that_fails_stays_as_it_is_beside_one_that_is_pinned() {
    let (gate, _, digest) = open("mode: enforce").await;
    let bad = [gate.image("open:v2"), gate.image("Open:v1"), gate.image("gone/app:1")];
    let review = gate.pod(&[&bad[0], &bad[1], &gate.image("open:v1"), &bad[2]], &[]);
    let patch = gate.mutate(&review).await.patch().unwrap();
    let pin = format!("{}@{digest}", gate.image("open:v1"));
    assert_eq!(images(&review, &patch), [bad[0].clone(), bad[1].clone(), pin, bad[2].clone()]);
}

#[tokio::test]
async fn mutate_allows_whatever_happens() {
    let (gate, mut review, _) = open("mode: enforce\nonUncertain: deny").await;
    gate.registry.behave("open", Behaviour::Hang);
    let (status, body) = gate.post("mutate?timeout=400ms", review.to_string()).await;
    assert_eq!(status, 200);
    assert!(gate.read("mutate", &review, &body).is_silent());
    review["request"]["object"]["spec"]["containers"][0]["image"] = json!(7);
    assert!(gate.mutate(&review).await.is_silent());
    review["request"]["object"]["spec"]["imagePullSecrets"] = json!([{ "name": "nonsense" }]);
    assert!(gate.mutate(&review).await.is_silent());
}

#[tokio::test]
async fn a_dry_run_gets_the_same_patch() {
    let (gate, review, _) = open("mode: enforce").await;
    let mut dry = review.clone();
    dry["request"]["dryRun"] = json!(true);
    assert_eq!(gate.mutate(&dry).await.patch(), gate.mutate(&review).await.patch());
    assert_eq!(gate.metric("pullgate_reviews_total"), 1);
}

#[tokio::test]
async fn a_template_is_never_pinned() {
    let gate = GateSpec::new().login(Login::None).start().await;
    gate.registry.push("alice/app", "1.0");
    let review = gate.recorded("job-create.validate");
    assert!(gate.validate(&review).await.allowed());
    assert!(gate.mutate(&review).await.is_silent());
}

#[tokio::test]
async fn a_pod_can_be_kept_to_the_architectures_that_all_its_images_have() {
    let policy = "mode: enforce\npin: { architectureAffinity: true }";
    let gate = GateSpec::new().login(Login::None).policy(policy).start().await;
    gate.registry.push_index("open", "v1", &["linux/amd64", "linux/arm64", "linux/s390x"]);
    gate.registry.push_index("side", "v1", &["linux/arm64", "linux/amd64"]);
    let review = gate.pod(&[&gate.image("open:v1"), &gate.image("side:v1")], &[]);
    let patch = gate.mutate(&review).await.patch().unwrap();
    let kept = patched(&review, &patch);
    let arch = json!({ "key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"] });
    let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": [arch] }] });
    assert_eq!(
        object(&kept)["spec"]["affinity"],
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } })
    );
    assert!(gate.mutate(&kept).await.patch().is_none(), "twice");

    let mut choosing = review.clone();
    choosing["request"]["object"]["spec"]["nodeSelector"] = json!({ "kubernetes.io/arch": "arm64" });
    let patch = gate.mutate(&choosing).await.patch().unwrap();
    assert!(object(&patched(&choosing, &patch))["spec"].get("affinity").is_none(), "it chooses itself");

    gate.registry.behave("side", Behaviour::from(pullgate::demo::registry::Answer::status(503)));
    gate.advance(Duration::from_secs(61));
    let patch = gate.mutate(&review).await.patch().unwrap();
    assert!(object(&patched(&review, &patch))["spec"].get("affinity").is_none(), "of one image nothing is known");
}
