//! An `AdmissionReview` through the real handlers, with a registry behind them that has every image of an even name:
//! what an API server makes of the answer is the pod that was reviewed with its images pinned, and nothing else.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use pullgate::admission::review::{self, Operation, Review, Subject};
use pullgate::admission::{self, Gate, Snapshot};
use pullgate::check::Engine;
use pullgate::cluster::files::{Contents, FileCluster};
use pullgate::credentials::IdentityKey;
use pullgate::metrics::Metrics;
use pullgate::node_credentials::{Declared, NodeCredentials};
use pullgate::policy::{PinFormat, Policy};
use pullgate::reference::{Algorithm, Reference};
use pullgate::registry::manifest::{MAX_SIZE, digest_of};
use pullgate::registry::transport::{Method, Request, Response};
use pullgate::resolver::Resolver;
use pullgate::verdict::may_pin;
use pullgate::workload::{PullPolicy, Workload};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::registry::{Script, client, clock, run};
use super::text::is_harmful;

/// The configurations that the first letter chooses from.
const POLICIES: [&str; 4] = [
    "mode: enforce",
    "mode: warn\npin: { format: digest-only, owners: any }\nonUncertain: deny",
    "mode: enforce\npin: { architectureAffinity: true, skip: ['docker.io/library/skip*'] }\ntemplates: deny",
    "mode: audit\nnamespaces: [{ names: [team-a], mode: enforce }]\nkinds: [{ group: argoproj.io, kind: Rollout, path: spec.template }]",
];

/// Reads a letter that chooses the configuration, and the body of a request. Only what is patched counts as deep.
pub fn property(data: &[u8]) -> bool {
    let Some((&choice, body)) = data.split_first() else { return false };
    let gate = gate(choice);
    let mutated = post(gate, "/mutate", body);
    let validated = post(gate, "/validate", body);
    let mut review = match review::parse(body) {
        Ok(review) => review,
        Err(error) => {
            assert!(mutated.is_none() && validated.is_none(), "{error}");
            return false;
        }
    };
    review.look_for(&gate.policy.kinds);
    let (mutated, validated) = (mutated.expect("a uid is answered"), validated.expect("a uid is answered"));
    is_an_answer(&mutated, &review.uid);
    is_an_answer(&validated, &review.uid);
    assert_eq!(mutated["response"]["allowed"], true, "only /validate denies");
    assert!(validated["response"].get("patch").is_none(), "only /mutate patches");

    let expected = expected(gate, &review);
    let patch = patch(&mutated);
    let operations = patch.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // What pullgate skips it does not decode; what another reader does not take, no API server sends.
    let Ok(before) = serde_json::from_slice::<Value>(body) else { return false };
    let (pins, affinity) = taken_apart(operations);
    let expected_pins: Vec<_> = expected.iter().map(|(pointer, old, new)| (&**pointer, &**old, &**new)).collect();
    assert_eq!(pins, expected_pins);
    if operations.is_empty() {
        return false;
    }
    applies_as_expected(gate, &before, operations, &pins, affinity);
    true
}

/// One configuration with everything behind it.
struct Prepared {
    policy: Policy,
    gate: Gate,
    // The handlers take the newest snapshot; there is one for ever.
    _snapshots: watch::Sender<Arc<Snapshot>>,
}

fn gate(choice: u8) -> &'static Prepared {
    static GATES: OnceLock<Vec<Prepared>> = OnceLock::new();
    let prepared = |text: &&str| {
        let policy = pullgate::config::parse(text, "policy.yaml").expect("a configuration");
        let metrics = Metrics::new();
        let registry = client(Script { answers, bodies: Vec::new(), choice: 0 });
        let resolver = Resolver::new(registry, IdentityKey::new(&[7; 32]), clock(), metrics.clone());
        let node_credentials = NodeCredentials::new(Declared::default(), &clock(), &metrics);
        let cluster = Arc::new(FileCluster::of(Contents::default()));
        let engine = Engine { cluster, node_credentials, resolver, clock: clock() };
        let snapshot = Snapshot { policy: policy.clone(), engine };
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot));
        Prepared { policy, gate: Gate::new(receiver, metrics, Duration::from_secs(5)), _snapshots: snapshots }
    };
    let gates = GATES.get_or_init(|| POLICIES.iter().map(prepared).collect());
    &gates[usize::from(choice) % gates.len()]
}

/// Sends a body to the handlers; `None` where they refuse it.
fn post(to: &Prepared, path: &str, body: &[u8]) -> Option<Value> {
    let request = HttpRequest::post(path).body(Body::from(body.to_vec())).expect("a request");
    let (status, body) = run(async {
        let answer =
            TowerToHyperService::new(admission::router(to.gate.clone())).call(request).await.expect("a router answers");
        let status = answer.status();
        (status, axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a whole body"))
    });
    if status == StatusCode::OK {
        return Some(serde_json::from_slice(&body).expect("the answer is JSON"));
    }
    assert_eq!(status, StatusCode::BAD_REQUEST, "{}", String::from_utf8_lossy(&body));
    None
}

/// What an API server demands of an answer, and what it passes on unchanged.
fn is_an_answer(answer: &Value, uid: &str) {
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    let response = &answer["response"];
    assert_eq!(response["uid"], uid);
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some());
    for warning in response["warnings"].as_array().into_iter().flatten() {
        let warning = warning.as_str().expect("a warning is text");
        assert!(warning.len() <= 256 && !warning.contains(is_harmful), "{warning:?}");
    }
    for (key, value) in response["auditAnnotations"].as_object().into_iter().flatten() {
        assert!(key.len() <= 63 && value.as_str().is_some_and(|value| value.len() <= 1024), "{key}: {value}");
    }
    let Some(message) = response["status"].get("message") else {
        assert_eq!(response["allowed"], true);
        return;
    };
    let message = message.as_str().expect("a message is text");
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(403)));
    assert!(message.len() < 1024 && !message.contains(|c| c != '\n' && is_harmful(c)), "{message:?}");
    assert!(response.get("warnings").is_none() || !message.is_empty());
}

fn patch(answer: &Value) -> Option<Value> {
    let patch = STANDARD.decode(answer["response"].get("patch")?.as_str()?).expect("a patch is base64");
    Some(serde_json::from_slice(&patch).expect("a patch is JSON"))
}

/// Pointer, old image and new image.
type Pins<'a> = Vec<(&'a str, &'a str, &'a str)>;

/// Every `replace` behind its `test`; the change of the affinity by itself.
fn taken_apart(operations: &[Value]) -> (Pins<'_>, Option<&Value>) {
    let text = |operation: &'_ Value, key: &str| operation[key].as_str().map(str::to_owned);
    let mut rest = operations;
    let mut pins = Pins::new();
    while let [test, replace, ..] = rest {
        let path = test["path"].as_str().expect("an operation has a path");
        if path == "/spec/affinity" {
            break;
        }
        assert_eq!(text(test, "op").as_deref(), Some("test"));
        assert_eq!(text(replace, "op").as_deref(), Some("replace"));
        assert_eq!(replace["path"], path);
        pins.push((path, test["value"].as_str().expect("text"), replace["value"].as_str().expect("text")));
        rest = &rest[2..];
    }
    assert!(matches!(rest.len(), 0..=2), "{rest:?}");
    assert!(rest.iter().all(|operation| operation["path"] == "/spec/affinity"), "{rest:?}");
    assert!(rest.len() != 2 || rest[0]["op"] == "test", "{rest:?}");
    (pins, rest.last().map(|operation| &operation["value"]))
}

fn applies_as_expected(
    gate: &Prepared,
    before: &Value,
    operations: &[Value],
    pins: &[(&str, &str, &str)],
    affinity: Option<&Value>,
) {
    let object = &before["request"]["object"];
    let apply = |to: &Value| {
        let operations: json_patch::Patch =
            serde_json::from_value(Value::Array(operations.to_vec())).expect("a JSON Patch");
        let mut to = to.clone();
        json_patch::patch(&mut to, &operations).map(|()| to)
    };
    let patched = apply(object).unwrap_or_else(|error| panic!("{error}: {operations:?} on {object}"));
    let mut expected = object.clone();
    for (pointer, old, new) in pins {
        let field = expected.pointer_mut(pointer).expect("an image is where its pointer says");
        assert_eq!(field, old);
        *field = json!(new);
    }
    if let Some(affinity) = affinity {
        expected["spec"]["affinity"] = affinity.clone();
    }
    assert_eq!(patched, expected, "the pod with its images pinned, and nothing else");

    // Another pod than the one that was reviewed is left alone, whichever of its images is another.
    for (pointer, ..) in pins {
        let mut changed = object.clone();
        *changed.pointer_mut(pointer).expect("as before") = json!("other:1");
        assert!(apply(&changed).is_err(), "{pointer}");
    }
    let mut next = before.clone();
    next["request"]["object"] = patched;
    let body = serde_json::to_vec(&next).expect("JSON");
    let again = post(gate, "/mutate", &body).expect("the uid is still there");
    assert_eq!(patch(&again), None, "the second call has nothing to add");
}

/// The pins that a review deserves, from the rules and the registry's word alone.
fn expected(gate: &Prepared, review: &Review<'_>) -> Vec<(String, String, String)> {
    let Subject::Judge(workloads) = &review.subject else { return Vec::new() };
    let Some(workload) = workloads.first() else { return Vec::new() };
    if gate.policy.mode_for(&review.namespace).is_none() || !may_pin(&gate.policy, workload) {
        return Vec::new();
    }
    let update = review.operation == Operation::Update && review.subresource.is_empty();
    let pin = |image: &Arc<pullgate::workload::ContainerImage>| {
        let (old, before) = (image.image.clone(), image.old_image.as_deref().unwrap_or_default());
        let new = if update { restored(before, &old) } else { pinned(&gate.policy, workload, image) };
        Some((image.pointer.clone(), old, new?))
    };
    workload.images.iter().filter_map(pin).collect()
}

/// The digest that was there before comes back where nothing else was changed.
fn restored(before: &str, now: &str) -> Option<String> {
    let (name, _digest) = before.split_once('@')?;
    (name == now || name == format!("{now}:latest")).then(|| before.to_owned())
}

fn pinned(policy: &Policy, workload: &Workload, image: &pullgate::workload::ContainerImage) -> Option<String> {
    assert!(!workload.images.is_empty());
    let reference = Reference::parse(&image.image).ok()?;
    let asked = image.pull_policy != PullPolicy::Never && reference.digest().is_none();
    if !asked || !has(reference.repository()) || skipped(policy, &reference) {
        return None;
    }
    // Hosts that no URL can name are not asked.
    url::Url::parse(&format!("https://{}/v2/", reference.registry())).ok()?;
    let digest = digest_of(&index_of(reference.repository()), Algorithm::Sha256).expect("bytes have a digest");
    let tag = reference.tag().expect("a tag or a digest");
    let name = image.image.strip_suffix(&format!(":{tag}")).filter(|_| !reference.implicit_latest());
    let name = name.unwrap_or(&image.image);
    Some(match policy.pin.format {
        PinFormat::TagAndDigest => format!("{name}:{tag}@{digest}"),
        PinFormat::DigestOnly => format!("{name}@{digest}"),
    })
}

fn skipped(policy: &Policy, reference: &Reference) -> bool {
    !policy.pin.skip.is_empty() && reference.name().starts_with("docker.io/library/skip")
}

/// Whether the registry has a repository: names of an odd length are not there.
fn has(repository: &str) -> bool {
    repository.len().is_multiple_of(2)
}

/// The index of every tag of a repository; sixteen different ones.
fn index_of(repository: &str) -> Vec<u8> {
    index(repository.bytes().fold(0, |sum, byte| sum ^ byte) & 15)
}

fn index(number: u8) -> Vec<u8> {
    let architectures = ["amd64", "arm64", "s390x", "riscv64"];
    let entry = |at: usize| json!({ "platform": { "os": "linux", "architecture": architectures[at] } });
    let entries: Vec<Value> = (0..4).filter(|at| number & 1 << at == 0).map(entry).collect();
    json!({ "schemaVersion": 2, "manifests": entries, "annotations": { "number": number } }).to_string().into_bytes()
}

fn answers(_: &Script, request: &Request<'_>) -> Response {
    assert_eq!(request.max_body, MAX_SIZE);
    let path = request.url.path();
    let (repository, object) =
        path.strip_prefix("/v2/").and_then(|path| path.rsplit_once("/manifests/")).expect("a manifest is asked for");
    if !has(repository) {
        return Response { status: 404, ..Response::default() };
    }
    let digest = |body: &[u8]| digest_of(body, Algorithm::Sha256).expect("bytes have a digest").to_string();
    let body = match object.contains(':') {
        true => (0..16).map(index).find(|body| digest(body) == object),
        false => Some(index_of(repository)),
    };
    let Some(body) = body else { return Response { status: 404, ..Response::default() } };
    let header = |name: &str, value: String| (name.to_owned(), value);
    Response {
        status: 200,
        headers: vec![
            header("content-type", "application/vnd.oci.image.index.v1+json".to_owned()),
            header("content-length", body.len().to_string()),
            header("docker-content-digest", digest(&body)),
        ],
        body: if request.method == Method::Get { body } else { Vec::new() },
        redirected_to: None,
        left_origin: false,
    }
}
