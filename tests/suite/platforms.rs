//! Images against the nodes that a pod can land on: platforms, runtimes that differ, and what nodes already hold.

mod artifacts;
mod fetched;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use pullgate::check::{Engine, Purpose};
use pullgate::demo::registry::{Answer, Login, OCI_INDEX, OCI_MANIFEST, Target};
use pullgate::finding::{Code, NoticeCode};
use pullgate::nodes::Runtime;
use pullgate::verdict::Verdict;
use pullgate::workload::{Placement, PullPolicy, Workload};
use serde_json::{Value, json};

use crate::support::{World, cluster, pod, soon};

const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const CONTAINERD: &str = "containerd://2.2.1";

/// `name`, `arch`, runtime, images on disk.
pub(crate) fn node(name: &str, arch: &str, runtime: &str, images: &[&[&str]]) -> String {
    let images: Vec<Value> = images.iter().map(|names| json!({ "names": names })).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/arch": arch, "kubernetes.io/os": "linux" } },
        "status": {
            "nodeInfo": { "architecture": arch, "operatingSystem": "linux", "containerRuntimeVersion": runtime },
            "images": images,
        },
    })
    .to_string()
}

/// A node of containerd with the label `pool`.
fn node_of(pool: &str, name: &str, arch: &str) -> String {
    let label = format!(r#""labels":{{"pool":"{pool}","#);
    node(name, arch, CONTAINERD, &[]).replacen(r#""labels":{"#, &label, 1)
}

async fn world(nodes: &[String]) -> (World, Engine) {
    let world = World::with(Login::None).await;
    world.registry.push_index("arm", "1", &["linux/arm64", "linux/arm/v7"]);
    world.registry.push_index("both", "1", &["linux/amd64", "linux/arm64"]);
    world.registry.push_index("old", "1", &["linux/386"]);
    world.registry.push_for("single", "1", "linux/arm64");
    world.registry.push_raw("legacy", "1", SCHEMA_1, r#"{"schemaVersion":1}"#);
    let engine = world.engine(&cluster(nodes));
    (world, engine)
}

fn of(world: &World, name: &str) -> Workload {
    pod("team", &[world.image(name)], &[])
}

fn with_policy(pod: Workload, policy: PullPolicy) -> Workload {
    let mut pod = pod;
    for image in &mut pod.images {
        Arc::make_mut(image).pull_policy = policy;
    }
    pod
}

fn onto(pod: Workload, arch: &str) -> Workload {
    let node_selector = vec![("kubernetes.io/arch".to_owned(), arch.to_owned())];
    Workload { placement: Placement { node_selector, ..Placement::default() }, ..pod }
}

/// Codes with their certainty, and codes of notices that are about nodes.
fn said(verdict: &Verdict) -> (Vec<(Code, bool)>, Vec<NoticeCode>) {
    let about_nodes = |code: &NoticeCode| matches!(code, NoticeCode::PartialPlatform | NoticeCode::WrongArchitecture);
    (
        verdict.findings.iter().map(|finding| (finding.code, finding.certain)).collect(),
        verdict.notices.iter().map(|notice| notice.code).filter(about_nodes).collect(),
    )
}

#[tokio::test]
async fn an_image_is_held_against_the_nodes_that_the_pod_can_land_on() {
    let amd = node("amd-1", "amd64", CONTAINERD, &[]);
    let arm = node("arm-1", "arm64", CONTAINERD, &[]);
    let mismatch = vec![(Code::PlatformMismatch, true)];
    let (world, one) = world(std::slice::from_ref(&amd)).await;
    let mixed = world.engine(&cluster(&[amd, arm]));
    let unknown = world.engine(&cluster(&[]));
    for (engine, pod, findings, notices) in [
        (&one, of(&world, "arm:1"), mismatch.clone(), vec![]),
        (&one, of(&world, "both:1"), vec![], vec![]),
        (&one, of(&world, "single:1"), vec![], vec![NoticeCode::WrongArchitecture]),
        (&one, onto(of(&world, "arm:1"), "arm64"), vec![], vec![]),
        (&mixed, of(&world, "arm:1"), vec![], vec![NoticeCode::PartialPlatform]),
        (&mixed, of(&world, "both:1"), vec![], vec![]),
        (&mixed, onto(of(&world, "arm:1"), "arm64"), vec![], vec![]),
        (&mixed, onto(of(&world, "arm:1"), "amd64"), mismatch, vec![]),
        (&mixed, onto(of(&world, "single:1"), "arm64"), vec![], vec![]),
        (&unknown, of(&world, "arm:1"), vec![], vec![]),
    ] {
        let verdict = world.check(engine, &pod).await;
        assert_eq!(said(&verdict), (findings, notices), "{} {:?}", pod.images[0].image, pod.placement);
    }
}

#[tokio::test]
async fn a_mismatch_says_what_there_is_what_is_needed_and_what_the_node_would_say() {
    let (world, engine) =
        world(&[node("amd-1", "amd64", CONTAINERD, &[]), node("amd-2", "amd64", CONTAINERD, &[])]).await;
    let verdict = world.check(&engine, &of(&world, "arm:1")).await;
    let finding = &verdict.findings[0];
    let image = world.image("arm:1");
    assert_eq!(
        finding.message(),
        format!(
            "{image} (container \"c0\") is for linux/arm64, linux/arm/v7; the pod can land only on \
             2 nodes with linux/amd64 (amd-1, …)"
        )
    );
    let digest = verdict.images[0].digest.as_ref().unwrap();
    assert_eq!(
        finding.node.as_deref().unwrap(),
        format!(
            "rpc error: code = NotFound desc = get image config descriptor: no match for platform in manifest \
             {digest}: not found"
        )
    );
    let build = format!("docker buildx build --platform linux/arm64,linux/arm/v7,linux/amd64 -t {image} --push .");
    let prose = "build it for these nodes, too; the pod fits none that it is for:";
    assert_eq!(finding.fix, format!("{prose}\n  {build}"));
    // Without a tag the line would push latest; and the digest that is written is that of the old one.
    let (name, tag) = image.rsplit_once(':').unwrap();
    for (image, expected) in [
        (
            format!("{name}@{digest}"),
            "add linux/amd64 to what builds it (then name the new digest); the pod".to_owned(),
        ),
        (
            format!("{name}:{tag}@{digest}"),
            format!("build it for these nodes, too; the pod fits none that it is for:\n  {build}"),
        ),
    ] {
        let verdict = world.check(&engine, &pod("team", &[image], &[])).await;
        assert!(verdict.findings[0].fix.starts_with(&expected), "{:?}", verdict.findings);
    }
    // What the line would not name would be gone with the push.
    world.registry.push_index(
        "many",
        "1",
        &["linux/arm64", "linux/arm/v7", "linux/s390x", "linux/ppc64le", "linux/riscv64"],
    );
    world.registry.push_index("other", "1", &["linux/arm64", "windows/amd64"]);
    for image in ["many:1", "other:1"] {
        let verdict = world.check(&engine, &of(&world, image)).await;
        let expected = "add linux/amd64 to what builds it; the pod fits no nodes that it is for";
        assert_eq!(verdict.findings[0].fix, expected, "{image}");
    }
    // The pod is kept from nodes that would do.
    let engine =
        world.engine(&cluster(&[node("amd-1", "amd64", CONTAINERD, &[]), node("arm-1", "arm64", CONTAINERD, &[])]));
    let verdict = world.check(&engine, &onto(of(&world, "arm:1"), "amd64")).await;
    let fix = &verdict.findings[0].fix;
    assert!(fix.ends_with("\n  nodeSelector: {kubernetes.io/arch: arm64}"), "{fix}");
    // What else it asks of its node stays, and where no such node is for the image, no line says so.
    let pooled = |pod: Workload, pool: &str| {
        let mut pod = onto(pod, "amd64");
        pod.placement.node_selector.push(("pool".to_owned(), pool.to_owned()));
        pod
    };
    let nodes = [node_of("a", "amd-1", "amd64"), node_of("b", "amd-2", "amd64"), node_of("a", "arm-1", "arm64")];
    let pools = world.engine(&cluster(&nodes));
    let verdict = world.check(&pools, &pooled(of(&world, "arm:1"), "a")).await;
    let fix = &verdict.findings[0].fix;
    assert!(fix.ends_with("\n  nodeSelector: {pool: \"a\", kubernetes.io/arch: arm64}"), "{fix}");
    let verdict = world.check(&pools, &pooled(of(&world, "arm:1"), "b")).await;
    assert!(!verdict.findings[0].fix.contains("nodeSelector"), "{:?}", verdict.findings);
    // A single manifest is pulled, and does not start on one of the two.
    let verdict = world.check(&engine, &of(&world, "single:1")).await;
    let notice = verdict.notices.iter().find(|notice| notice.code == NoticeCode::WrongArchitecture).unwrap();
    assert!(notice.fix.as_deref().unwrap().contains("\n  nodeSelector: {kubernetes.io/arch: "), "{notice:?}");
}

#[tokio::test]
async fn what_is_behind_a_digest_is_asked_once() {
    let (world, engine) = world(&[node("amd-1", "amd64", CONTAINERD, &[])]).await;
    world.seen();
    let pinning = engine.check(&world.policy, &of(&world, "both:1"), Purpose::Pin, soon()).await;
    assert!(pinning.images[0].pinnable);
    // The tag, the index, and its entry for the node: the verdict that follows asks for nothing.
    assert_eq!(world.seen(), ["HEAD manifest 200", "GET manifest 200", "HEAD manifest 200"]);
    world.check(&engine, &of(&world, "both:1")).await;
    assert!(world.seen().is_empty());
    world.clock.advance(Duration::from_secs(181));
    world.check(&engine, &of(&world, "both:1")).await;
    assert_eq!(world.seen(), ["HEAD manifest 200"]);
    world.check(&engine, &of(&world, "single:1")).await;
    assert_eq!(world.seen(), ["HEAD manifest 200", "GET manifest 200", "GET Blob 200"]);
}

#[tokio::test]
async fn platforms_that_cannot_be_read_refuse_nobody() {
    let (world, engine) = world(&[node("amd-1", "amd64", CONTAINERD, &[])]).await;
    for answer in [Answer::status(500), Answer::status(429), Answer::status(200).body("application/json", "{}")] {
        world.registry.behave(Target::repository("arm").only(hyper::Method::GET), answer);
        let verdict = world.check(&engine, &of(&world, "arm:1")).await;
        assert_eq!(said(&verdict), (vec![], vec![]));
        world.clock.advance(Duration::from_secs(61));
    }
    world.registry.behave(Target::repository("arm").only(hyper::Method::GET), None);
    let verdict = world.check(&engine, &of(&world, "arm:1")).await;
    assert_eq!(said(&verdict).0, [(Code::PlatformMismatch, true)], "asked again after a minute");
}

#[tokio::test]
async fn where_runtimes_differ_the_nodes_decide() {
    let (old, new, crio) = ("containerd://1.7.28", CONTAINERD, "cri-o://1.34.0");
    let nodes = |runtimes: &[&str]| -> Vec<String> {
        let node = |(index, runtime): (usize, &&str)| node(&format!("n{index}"), "amd64", runtime, &[]);
        runtimes.iter().enumerate().map(node).collect()
    };
    let (mut world, none) = world(&[]).await;
    let legacy = |certain| vec![(Code::UnsupportedManifest, certain)];
    let mismatch = || vec![(Code::PlatformMismatch, true)];
    for (runtimes, image, findings, notices) in [
        (&[new][..], "legacy:1", legacy(true), vec![]),
        (&[old], "legacy:1", vec![], vec![]),
        (&[crio], "legacy:1", vec![], vec![]),
        (&["containerd://2.0.5"], "legacy:1", legacy(true), vec![]),
        (&[old, new], "legacy:1", legacy(false), vec![]),
        (&["docker://27.1"], "legacy:1", legacy(false), vec![]),
        // Some settings make containerd 2.1 and later pull by itself, and then take it.
        (&[new], "old:1", vec![(Code::PlatformMismatch, false)], vec![]),
        (&[crio], "old:1", mismatch(), vec![]),
        (&[old], "old:1", vec![], vec![]),
        (&[old, new], "old:1", vec![], vec![NoticeCode::PartialPlatform]),
    ] {
        let engine = world.engine(&cluster(&nodes(runtimes)));
        let verdict = world.check(&engine, &of(&world, image)).await;
        assert_eq!(said(&verdict), (findings, notices), "{image} on {runtimes:?}");
    }
    let gone = of(&world, "arm:2");
    let line = |verdict: Verdict| verdict.findings[0].node.clone();
    let containerd_2 = line(world.check(&none, &gone).await).unwrap();
    let containerd_1 = line(world.check(&world.engine(&cluster(&nodes(&[old]))), &gone).await).unwrap();
    let image = world.image("arm:2");
    assert_eq!(containerd_2.replace("resolve image: ", &format!("resolve reference \"{image}\": ")), containerd_1);
    for runtimes in [&[old, new][..], &[crio]] {
        assert_eq!(line(world.check(&world.engine(&cluster(&nodes(runtimes))), &gone).await), None, "{runtimes:?}");
    }
    world.policy.runtime = Some(Runtime::Containerd1);
    assert_eq!(said(&world.check(&none, &of(&world, "legacy:1")).await).0, []);
    assert_eq!(line(world.check(&none, &gone).await).unwrap(), containerd_1);
}

#[tokio::test]
async fn a_name_without_a_registry_is_anybodys_guess_on_cri_o() {
    let (world, engine) = world(&[node("n", "amd64", "cri-o://1.34.0", &[])]).await;
    let mut policy = world.policy.clone();
    policy.guard.allow_addresses.clear();
    // Nothing is asked: the failure is pullgate's own, and uncertain either way.
    let verdict = engine.check(&policy, &pod("team", &["busybox".to_owned()], &[]), Purpose::Judge, soon()).await;
    assert!(verdict.findings.iter().all(|finding| !finding.certain));
}

#[tokio::test]
async fn what_a_node_may_hold_is_not_certain_to_fail() {
    let world = World::with(Login::None).await;
    world.registry.push("api", "1");
    let gone = world.image("api:2");
    let holds = |names: &[&str]| cluster(&[node("n", "amd64", CONTAINERD, &[names])]);
    let (holding, other) = (world.engine(&holds(&[&gone])), world.engine(&holds(&[&world.image("api:3")])));
    for (engine, policy, certain) in [
        (&holding, PullPolicy::IfNotPresent, false),
        (&holding, PullPolicy::Always, true),
        (&other, PullPolicy::IfNotPresent, true),
    ] {
        let verdict = world.check(engine, &with_policy(of(&world, "api:2"), policy)).await;
        assert_eq!(said(&verdict).0, [(Code::TagNotFound, certain)], "{policy:?}");
        assert!(!verdict.findings[0].message().contains("\"n\""), "which node holds it is not said");
    }
}

#[tokio::test]
async fn never_is_judged_by_what_all_nodes_list() {
    let world = World::with(Login::None).await;
    let image = world.image("loaded:1");
    let full: Vec<String> = (0..50).map(|number| format!("a.io/x:{number}")).collect();
    let full: Vec<[&str; 1]> = full.iter().map(|name| [name.as_str()]).collect();
    let full: Vec<&[&str]> = full.iter().map(<[&str; 1]>::as_slice).collect();
    let (empty, holding) = (node("a", "amd64", CONTAINERD, &[]), node("b", "amd64", CONTAINERD, &[&[&image]]));
    let cut = node("c", "amd64", CONTAINERD, &full);
    let absent = vec![(Code::ErrImageNeverPull, false)];
    for (nodes, findings) in [
        (vec![], vec![]),
        (vec![empty.clone()], absent),
        (vec![empty.clone(), holding], vec![]),
        (vec![empty, cut], vec![]),
    ] {
        let engine = world.engine(&cluster(&nodes));
        let verdict = world.check(&engine, &with_policy(of(&world, "loaded:1"), PullPolicy::Never)).await;
        assert_eq!(said(&verdict).0, findings, "{nodes:?}");
    }
    assert!(world.seen().is_empty(), "nothing is asked");
}

#[tokio::test]
async fn a_tag_that_means_something_else_on_a_node_is_not_pinned() {
    let world = World::with(Login::None).await;
    let digest = world.registry.push("api", "1");
    let image = world.image("api:1");
    let pinned = format!("{}@{digest}", world.image("api"));
    for (names, policy, pinnable) in [
        (vec![image.as_str()], PullPolicy::IfNotPresent, false),
        (vec![image.as_str()], PullPolicy::Always, true),
        (vec![&pinned, &image], PullPolicy::IfNotPresent, true),
        (vec!["a.io/other:1"], PullPolicy::IfNotPresent, true),
    ] {
        let engine = world.engine(&cluster(&[node("n", "amd64", CONTAINERD, &[&names])]));
        let pod = with_policy(of(&world, "api:1"), policy);
        let verdict = engine.check(&world.policy, &pod, Purpose::Pin, soon()).await;
        assert_eq!(verdict.images[0].pinnable, pinnable, "{names:?} {policy:?}");
    }
}

#[tokio::test]
async fn what_one_registry_calls_an_index_is_no_index_for_another() {
    let (world, engine) = world(&[node("amd-1", "amd64", CONTAINERD, &[])]).await;
    let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{}", "0".repeat(64)), "size": 2 });
    let bytes = json!({ "schemaVersion": 2, "config": config, "layers": [] }).to_string();
    world.registry.push_raw("theirs", "1", OCI_INDEX, bytes.clone());
    world.registry.push_raw("ours", "1", OCI_MANIFEST, bytes);
    let contradicted = vec![(Code::RegistryError, false)];
    for (image, findings) in [("theirs:1", contradicted.clone()), ("ours:1", vec![]), ("theirs:1", contradicted)] {
        assert_eq!(said(&world.check(&engine, &of(&world, image)).await), (findings, vec![]), "{image}");
    }
}

#[tokio::test]
async fn an_index_of_more_entries_than_can_be_looked_at_refuses_nobody() {
    let (world, engine) = world(&[node("amd-1", "amd64", CONTAINERD, &[])]).await;
    let entry = json!({ "platform": { "os": "linux", "architecture": "arm64" } });
    for (tag, entries, findings) in [("full", 1000, vec![(Code::PlatformMismatch, true)]), ("over", 1001, vec![])] {
        let index = json!({ "schemaVersion": 2, "manifests": vec![entry.clone(); entries] });
        world.registry.push_raw("huge", tag, OCI_INDEX, index.to_string());
        assert_eq!(said(&world.check(&engine, &of(&world, &format!("huge:{tag}"))).await).0, findings, "{tag}");
    }
    let wordy = json!({ "manifests": [{ "platform": { "os": "linux", "architecture": "a".repeat(65) } }] });
    world.registry.push_raw("huge", "wordy", OCI_INDEX, wordy.to_string());
    assert_eq!(said(&world.check(&engine, &of(&world, "huge:wordy")).await).0, []);
}

#[tokio::test]
async fn a_mismatch_is_not_certain_on_what_was_true_before_an_outage() {
    let (world, engine) = world(&[node("amd-1", "amd64", CONTAINERD, &[])]).await;
    assert_eq!(said(&world.check(&engine, &of(&world, "arm:1")).await).0, [(Code::PlatformMismatch, true)]);
    world.registry.stop().await;
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(said(&world.check(&engine, &of(&world, "arm:1")).await).0, [(Code::PlatformMismatch, false)]);
}

#[tokio::test]
async fn a_pod_that_says_too_much_about_placement_is_held_against_no_node() {
    let (world, engine) = world(&[node("amd-1", "amd64", CONTAINERD, &[])]).await;
    let values: Vec<String> = (0..2000).map(|number| format!("n{number}")).collect();
    let terms = json!([{ "matchExpressions": [{ "key": "x", "operator": "NotIn", "values": values }] }]);
    let affinity = json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
    let spec = json!({ "affinity": { "nodeAffinity": affinity } }).to_string();
    let placement = Placement::of(&serde_json::from_str(&spec).unwrap());
    assert!(placement.excessive && placement.required.is_none());
    let pod = Workload { placement, ..of(&world, "arm:1") };
    assert_eq!(said(&world.check(&engine, &pod).await), (vec![], vec![]));
}
