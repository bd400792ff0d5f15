//! A release from its installation to its end, with `failurePolicy: Fail`: what is refused when, what reaches pullgate at
//! all, and what is left of it afterwards.

use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::Failure;
use crate::hands::Hands;
use crate::kubectl::{PATIENCE, Said, until, until_within};
use crate::objects::{TEMPLATES, deployment, list, namespace, pod, template};
use crate::report::{Report, ensure};
use crate::stack;
use crate::stream::Stream;
use crate::world::{OWN_NAMESPACE, World};

/// Where pods are created all the time.
const BUSY: &str = "busy";

/// How many pods each part of an installation must outlast.
const ENOUGH: usize = 30;

/// Before the release that all other cases share.
pub(super) fn cases(world: &mut World, report: &mut Report) -> Result<(), Failure> {
    world.kubectl.apply(&namespace(BUSY))?.succeeded()?;
    until("the ServiceAccount of a namespace", || {
        Ok((world.kubectl.run(&format!("-n {BUSY} get serviceaccount default"))?.code == Some(0)).then_some(()))
    })?;
    let hands = Hands::start(world)?;
    report.case("lifecycle: Fail installed while pods are created refuses none", |_| installed(world, &hands));
    report.case("lifecycle: with all replicas dead, Fail refuses what would be judged", |_| refused(world));
    report.case("lifecycle: and nothing else reaches pullgate", |_| untouched(world));
    report.case("lifecycle: own namespace and kube-system admit with all replicas dead", |_| spared(world));
    report.case("lifecycle: the emergency stop leaves nothing but the webhooks out", |_| stopped(world));
    super::permissions::cases(world, report);
    report.case("lifecycle: an upgrade and a roll-back change what they should", |_| upgraded(world));
    report.case("lifecycle: a second release is refused, and says why", |shown| {
        let second = world.chart(&["install", "second"], "default", &json!({}))?;
        ensure(second.code == Some(1), || second.to_string())?;
        let reason = format!("pullgate is installed already, as release \"pullgate\" in namespace \"{OWN_NAMESPACE}\"");
        ensure(second.stderr.contains(&reason), || second.to_string())?;
        shown.show(&second);
        Ok(String::new())
    });
    report.case("lifecycle: helm uninstall leaves nothing", |_| removed(world, &hands));
    world.kubectl.run(&format!("delete namespace {BUSY} --wait=false"))?.succeeded().map(drop)
}

/// The values of a release that fails closed.
fn closed() -> Value {
    json!({ "webhooks": { "validate": { "failurePolicy": "Fail" }, "mutate": { "failurePolicy": "Fail" } } })
}

fn installed(world: &mut World, hands: &Hands) -> Result<String, Failure> {
    let stream = Stream::start(world, BUSY, &world.open("alice/app:v1"))?;
    stream.goes_on(5)?;
    let helm = thread::spawn({
        let (kubectl, arguments) = world.chart_command(&["install", "pullgate"], OWN_NAMESPACE, &closed())?;
        let kubectl = kubectl.another("helm")?;
        move || kubectl.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    });
    until("both webhooks", || Ok((policies(world)? == "Fail Fail").then_some(())))?;
    let before = stream.goes_on(ENOUGH)?;
    let armed = "get clusterrolebinding pullgate-armed";
    ensure(world.kubectl.run(armed)?.stderr.contains("NotFound"), || "armed with no replica ready".to_owned())?;

    // That they pass is the doing of the condition: with the right it waits for, they are refused.
    stream.pause(true);
    let grant = format!("--clusterrole=pullgate-armed --serviceaccount={OWN_NAMESPACE}:pullgate");
    world.kubectl.run(&format!("create clusterrolebinding early {grant}"))?.succeeded()?;
    until("pods to be refused", || Ok(unanswered(&attempt(world, BUSY)?).ok()))?;
    world.kubectl.run("delete clusterrolebinding early")?.succeeded()?;
    until("pods to pass", || Ok(attempt(world, BUSY)?.succeeded().ok()))?;
    stream.pause(false);
    stream.goes_on(ENOUGH)?;

    world.gate = Some(world.start_gate()?);
    world.point_webhooks(world.gate()?.webhook)?;
    hands.ready();
    let said = helm.join().map_err(|_| "helm's thread failed")??;
    said.succeeded().map_err(|failure| format!("{failure}\n{}", hands.printed().unwrap_or_default()))?;
    world.kubectl.get(armed)?;
    let bad = pod(BUSY, "bad", &world.open("alice/app:none"));
    until("pullgate to be asked", || {
        Ok(world.kubectl.feed("create --dry-run=server -f -", &bad)?.refused("TagNotFound").ok())
    })?;
    stream.goes_on(ENOUGH)?;
    ensure(policies(world)? == "Fail Fail", || "it is not Fail any more".to_owned())?;
    // What the next cases change, once nobody answers.
    let image = world.open("alice/app:v1");
    let mut many = pod(BUSY, "many", &image);
    many["spec"]["containers"] =
        (0..300).map(|number| json!({ "name": format!("c{number}"), "image": image })).collect();
    let cron = template(TEMPLATES[6], BUSY, "still", 0, &crate::objects::spec(&image));
    world
        .kubectl
        .apply(&list([pod(BUSY, "still", &image), deployment(BUSY, "still", &image, 0), cron, many]))?
        .succeeded()?;
    let all = stream.stop()?;
    world.gate = None;
    until("pods to be refused", || Ok(unanswered(&attempt(world, BUSY)?).ok()))?;
    Ok(format!("{all} pods, {before} of them before a replica was ready, 0 refused; without the gate: refused"))
}

/// What both webhook configurations say.
fn policies(world: &World) -> Result<String, Failure> {
    let objects = "get validatingwebhookconfiguration/pullgate mutatingwebhookconfiguration/pullgate";
    world.kubectl.get(&format!("{objects} -o jsonpath={{.items[*].webhooks[0].failurePolicy}}"))
}

/// Creates a pod by dry run.
fn attempt(world: &World, namespace: &str) -> Result<Said, Failure> {
    let pod = pod(namespace, "attempt", &world.open("alice/app:v1"));
    world.kubectl.feed("create --dry-run=server -f -", &pod)
}

/// It must have been refused because nobody answered.
fn unanswered(said: &Said) -> Result<(), Failure> {
    let refused = said.code == Some(1) && said.stderr.contains("failed calling webhook");
    ensure(refused, || format!("this should have waited for pullgate: {said}"))
}

fn patched(world: &World, object: &str, patch: &str) -> Result<Said, Failure> {
    world.kubectl.run_with(&["-n", BUSY, "patch", object, "--type=merge", "-p", patch], None)
}

fn refused(world: &World) -> Result<String, Failure> {
    let other = world.open("solo:v1");
    let deployed = |spec: &Value| json!({ "spec": { "template": { "spec": spec } } }).to_string();
    let volumes = json!([{ "name": "data", "image": { "reference": other } }]);
    let mut asked = 0;
    for (object, patch) in [
        ("pod/still", json!({ "spec": { "containers": [{ "name": "app", "image": other }] } }).to_string()),
        ("deployment/still", deployed(&json!({ "containers": [{ "name": "app", "image": other }] }))),
        ("deployment/still", deployed(&json!({ "initContainers": [{ "name": "init", "image": other }] }))),
        ("deployment/still", deployed(&json!({ "volumes": volumes }))),
        ("deployment/still", deployed(&json!({ "imagePullSecrets": [{ "name": "basic" }] }))),
        ("deployment/still", deployed(&json!({ "serviceAccountName": "puller" }))),
        ("deployment/still", deployed(&json!({ "nodeSelector": { "kubernetes.io/arch": "arm64" } }))),
        ("deployment/still", deployed(&json!({ "tolerations": [{ "operator": "Exists" }] }))),
        (
            "cronjob/still",
            json!({ "spec": { "jobTemplate": { "spec": { "template": { "spec": {
            "imagePullSecrets": [{ "name": "basic" }] } } } } } })
            .to_string(),
        ),
    ] {
        unanswered(&patched(world, object, &patch)?)?;
        asked += 1;
    }
    let debug = format!("-n {BUSY} debug still --profile=general --image={other} -c second -- sleep 1");
    unanswered(&world.kubectl.run(&debug)?)?;
    unanswered(&attempt(world, BUSY)?)?;
    Ok(format!("{} changes", asked + 2))
}

fn untouched(world: &World) -> Result<String, Failure> {
    let status = r#"{"status":{"observedGeneration":99}}"#;
    let mut passed = 0;
    for line in [
        "label pod/still looked=at",
        "annotate pod/still looked=at",
        // Lists of 300 images are compared within what an API server allows an expression to cost.
        "label pod/many looked=at",
        "label deployment/still looked=at",
        "scale deployment/still --replicas=1",
        "scale deployment/still --replicas=0",
        "rollout pause deployment/still",
        "set env deployment/still A=b",
        "set resources deployment/still --limits=cpu=1",
        "label cronjob/still looked=at",
    ] {
        world.kubectl.run(&format!("-n {BUSY} {line}"))?.succeeded()?;
        passed += 1;
    }
    for (object, patch) in [
        ("deployment/still", r#"{"spec":{"replicas":0,"minReadySeconds":3}}"#),
        ("deployment/still", r#"{"spec":{"template":{"metadata":{"annotations":{"restarted":"at"}}}}}"#),
        ("deployment/still", r#"{"metadata":{"finalizers":["example.com/a"]}}"#),
        ("deployment/still", r#"{"metadata":{"finalizers":null}}"#),
        ("cronjob/still", r#"{"spec":{"suspend":true}}"#),
    ] {
        patched(world, object, patch)?.succeeded()?;
        passed += 1;
    }
    for (object, status) in [("deployment/still", status), ("pod/still", r#"{"status":{"phase":"Failed"}}"#)] {
        let arguments = ["-n", BUSY, "patch", object, "--subresource=status", "--type=merge", "-p", status];
        world.kubectl.run_with(&arguments, None)?.succeeded()?;
        passed += 1;
    }
    world.kubectl.run(&format!("-n {BUSY} delete pod/still --grace-period=0 --force"))?.succeeded()?;
    Ok(format!("{} changes", passed + 1))
}

fn spared(world: &World) -> Result<String, Failure> {
    unanswered(&attempt(world, BUSY)?)?;
    let spared = [OWN_NAMESPACE, "kube-system", "kube-public"];
    for namespace in spared {
        until("a ServiceAccount", || {
            Ok((world.kubectl.run(&format!("-n {namespace} get serviceaccount default"))?.code == Some(0))
                .then_some(()))
        })?;
        attempt(world, namespace)?.succeeded()?;
    }
    Ok(spared.join(", "))
}

fn stopped(world: &World) -> Result<String, Failure> {
    unanswered(&attempt(world, BUSY)?)?;
    let said = Command::new(env!("CARGO_BIN_EXE_pullgate"))
        .args(["uninstall", "--webhooks-only", "--kubeconfig", &stack::shown(&world.kubectl.kubeconfig)])
        .output()?;
    let printed = String::from_utf8_lossy(&said.stdout).into_owned();
    ensure(said.status.success() && printed.lines().count() == 2, || format!("{said:?}"))?;
    until("pods to pass", || Ok(attempt(world, BUSY)?.succeeded().ok()))?;
    world.kubectl.get(&format!("-n {OWN_NAMESPACE} get deployment/pullgate deployment/pullgate-keeper"))?;
    Ok(printed.replace('\n', ", "))
}

/// Helm makes the webhooks again that the emergency stop deleted.
fn upgraded(world: &World) -> Result<String, Failure> {
    let replicas = || world.field(OWN_NAMESPACE, "deployment/pullgate", "{.spec.replicas}");
    ensure(replicas()? == "2", || "it began with 2".to_owned())?;
    let mut more = closed();
    more["replicas"] = json!(3);
    world.chart(&["upgrade", "pullgate"], OWN_NAMESPACE, &more)?.succeeded()?;
    ensure(replicas()? == "3" && policies(world)? == "Fail Fail", || "the upgrade did not come".to_owned())?;
    world.kubectl.get("get clusterrolebinding pullgate-armed")?;
    world.kubectl.helm(&["rollback", "pullgate", "1", "-n", OWN_NAMESPACE])?.succeeded()?;
    ensure(replicas()? == "2" && policies(world)? == "Fail Fail", || "the roll-back did not come".to_owned())?;
    world.kubectl.get("get clusterrolebinding pullgate-armed")?;
    Ok("2 replicas, 3, 2; Fail and armed all along".to_owned())
}

fn removed(world: &World, hands: &Hands) -> Result<String, Failure> {
    // What the keeper makes: its pod does not run here.
    let meta = |name: &str| json!({ "namespace": OWN_NAMESPACE, "name": name });
    world
        .kubectl
        .apply(&list([
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": meta("pullgate-path") }),
            json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta("pullgate-keeper") }),
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": meta("of-somebody-else") }),
        ]))?
        .succeeded()?;
    let before = left(world)?;
    ensure(before.len() > 20, || format!("{before:?}"))?;
    let said = world.kubectl.helm(&["uninstall", "pullgate", "-n", OWN_NAMESPACE])?;
    said.succeeded().map_err(|failure| format!("{failure}\n{}", hands.printed().unwrap_or_default()))?;
    let after = until_within(4 * PATIENCE, "the last objects to go", || {
        let left = left(world)?;
        if left.is_empty() { Ok(Some(left)) } else { Err(left.join(", ").into()) }
    })?;
    world.kubectl.get(&format!("-n {OWN_NAMESPACE} get secret of-somebody-else"))?;
    attempt(world, BUSY)?.succeeded()?;
    Ok(format!("{} objects before, {} after", before.len(), after.len()))
}

/// Every object of every kind that is labelled as pullgate's, what the keeper and helm made, as `kind/name`.
fn left(world: &World) -> Result<Vec<String>, Failure> {
    let kinds = world.kubectl.get("api-resources --verbs=list -o name")?;
    let kinds = kinds.lines().collect::<Vec<_>>().join(",");
    let mut left = String::new();
    for labels in ["app.kubernetes.io/part-of=pullgate", "owner=helm"] {
        left += &world.kubectl.get(&format!("get {kinds} -A -l {labels} -o name"))?;
    }
    let own = format!("-n {OWN_NAMESPACE} get secret/pullgate-path lease/pullgate-keeper --ignore-not-found -o name");
    left += &world.kubectl.get(&own)?;
    left += &world.kubectl.get("get clusterrolebinding/pullgate-armed --ignore-not-found -o name")?;
    Ok(left.lines().map(str::to_owned).collect())
}
