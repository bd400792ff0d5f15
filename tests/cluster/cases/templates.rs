//! Workloads with a pod template: a warning at once, the code in the controller's event, and nothing in the way of
//! scaling, rolling back or reporting a status.

use std::fs;

use serde_json::json;

use crate::Failure;
use crate::kubectl::until;
use crate::objects::{self, TEMPLATES, deployment, spec, template};
use crate::report::{Report, ensure};
use crate::world::{TEAM, World};

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    for kind in TEMPLATES {
        report.case(&format!("templates: {} with a wrong tag warns and passes", kind.1), |_| {
            let object = template(kind, TEAM, "wrong-tag", 1, &spec(&world.open("alice/app:v1.4.3")));
            let said = world.kubectl.feed("apply --dry-run=server -f -", &object)?;
            said.warned(&["TagNotFound", "alice/app:v1.4.3", "(container \"app\")"])?;
            Ok(String::new())
        });
    }
    report.case("templates: a kind of one's own, by the path to its template", |_| own_kind(world));
    report.case("templates: pull secrets come through the ServiceAccount", |_| through_the_account(world));
    for placeholder in ["auto", " "] {
        report.case(&format!("templates: the placeholder {placeholder:?} is skipped"), |_| {
            let object = deployment(TEAM, "injected", placeholder, 1);
            let said = world.kubectl.feed("apply --dry-run=server -f -", &object)?.silently()?;
            Ok(said.stdout.trim().to_owned())
        });
    }
    report.case("templates: the annotation of a mirror pod exempts no template", |_| {
        let mut object = deployment(TEAM, "no-mirror", &world.open("alice/app:v1.4.3"), 1);
        object["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "x" });
        let said = world.kubectl.feed("apply --dry-run=server -f -", &object)?;
        said.warned(&["TagNotFound", "alice/app:v1.4.3"])?;
        Ok(String::new())
    });
    report.case("templates: a wrong tag warns, its ReplicaSet says why, the fix rolls out", |shown| {
        let bad = deployment(TEAM, "api", &world.open("alice/app:v1.4.3"), 2);
        let said = world.kubectl.apply(&bad)?.warned(&["TagNotFound"])?;
        ensure(said.stdout.trim() == "deployment.apps/api created", || said.to_string())?;
        shown.show(&said);
        let event = failed_create(world, "api")?;
        ensure(event.contains("TagNotFound: "), || format!("the event does not say the code: {event}"))?;
        world.kubectl.apply(&deployment(TEAM, "api", &world.open("alice/app:v1"), 2))?.succeeded()?;
        rolled_out(world, "api")?;
        world.kubectl.get(&format!("-n {TEAM} rollout status deployment/api --timeout=30s"))
    });
    report.case("templates: what a ReplicaSet's FailedCreate event says", |shown| {
        let list = format!("-n {TEAM} get events --field-selector reason=FailedCreate");
        let said =
            world.kubectl.run(&format!("{list} -o custom-columns=OBJECT:.involvedObject.name,MESSAGE:.message"))?;
        let said = said.succeeded()?;
        ensure(said.stdout.contains("denied the request: TagNotFound: "), || said.to_string())?;
        shown.show(&said);
        Ok(String::new())
    });
    let run = |line: String| -> Result<String, Failure> { Ok(world.kubectl.run(&line)?.silently()?.stdout) };
    let gone = |line: &str| run(format!("-n {TEAM} {line}"));
    report.case("templates: an image that has vanished does not stop scaling", |_| {
        gone("scale deployment/vanished --replicas=3")
    });
    report.case("templates: nor a restart, a label or a pause", |_| {
        gone("rollout restart deployment/vanished")?;
        gone("label deployment/vanished looked=at")?;
        gone("rollout pause deployment/vanished")
    });
    report.case("templates: nor a status", |_| {
        let patch = r#"{"status":{"observedGeneration":99}}"#;
        let patch = ["-n", TEAM, "patch", "deployment", "vanished", "--subresource=status", "-p", patch];
        Ok(world.kubectl.run_with(&patch, None)?.silently()?.stdout)
    });
    report.case("templates: a roll-back to a vanished image warns and passes", |_| {
        let said = world.kubectl.run(&format!("-n {TEAM} rollout undo deployment/rolled"))?;
        said.warned(&["RepositoryNotFound"])?;
        world.field(TEAM, "deployment/rolled", "{.spec.template.spec.containers[0].image}")
    });
    report.case("templates: deny refuses, and still stops no scaling; off says nothing", |_| deny_and_off(world));
    report.case("templates: what cannot start can be scaled to none", |_| {
        // From here on no controller tries again in the background.
        gone("scale deployment/vanished deployment/rolled --replicas=0")
    });
}

/// A rule for the kind is the operator's to add: the chart's webhooks name the built-in kinds.
fn own_kind(world: &World) -> Result<String, Failure> {
    let rule = json!([{
        "op": "add", "path": "/webhooks/0/rules/-",
        "value": {
            "apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["widgets"],
            "operations": ["CREATE", "UPDATE"],
        },
    }]);
    let patch = ["patch", "validatingwebhookconfiguration", "pullgate", "--type=json", "-p", &rule.to_string()];
    world.kubectl.run_with(&patch, None)?.succeeded()?;
    objects::widgets(&world.kubectl)?;
    let widget = |image: &str| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Widget",
            "metadata": { "namespace": TEAM, "name": "templated" }, "spec": { "template": { "spec": spec(image) } },
        })
    };
    until("the API server to call pullgate for Widgets", || {
        let said = world.kubectl.feed("apply --dry-run=server -f -", &widget(&world.open("alice/app:v1.4.3")))?;
        said.warned(&["TagNotFound", "(container \"app\")"]).map(Some)
    })?;
    world.kubectl.feed("apply --dry-run=server -f -", &widget(&world.open("alice/app:v1")))?.soundly()?;
    Ok(String::new())
}

fn through_the_account(world: &World) -> Result<String, Failure> {
    let mut spec = spec(&world.bearer("alice/app:v1"));
    let object = |spec: &serde_json::Value| template(TEMPLATES[0], TEAM, "private", 1, spec);
    let without = world.kubectl.feed("apply --dry-run=server -f -", &object(&spec))?;
    without.warned(&["CredentialsMissing"])?;
    spec["serviceAccountName"] = json!("puller");
    let with = world.kubectl.feed("apply --dry-run=server -f -", &object(&spec))?.succeeded()?;
    ensure(!with.stderr.contains("Credentials"), || with.to_string())?;
    // A list of its own is not merged with the account's.
    spec["imagePullSecrets"] = json!([{ "name": "no-port" }]);
    world.kubectl.feed("apply --dry-run=server -f -", &object(&spec))?.warned(&["CredentialsMissing"])?;
    Ok("with, without, and with a list of its own".to_owned())
}

/// The message of the `FailedCreate` event of a Deployment's `ReplicaSet`.
fn failed_create(world: &World, name: &str) -> Result<String, Failure> {
    until("a FailedCreate event", || {
        let line =
            format!("-n {TEAM} get events --field-selector reason=FailedCreate,involvedObject.kind=ReplicaSet -o json");
        let events: serde_json::Value = serde_json::from_str(&world.kubectl.get(&line)?)?;
        let of = |event: &&serde_json::Value| {
            event["involvedObject"]["name"].as_str().is_some_and(|object| object.starts_with(&format!("{name}-")))
        };
        let event = events["items"].as_array().and_then(|items| items.iter().find(of));
        Ok(event.and_then(|event| event["message"].as_str()).map(str::to_owned))
    })
}

/// Plays the kubelet, one pod after the other as the roll-out goes on, until both replicas are the new ones.
fn rolled_out(world: &World, name: &str) -> Result<(), Failure> {
    let ready = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
    let (ready, label) = (ready.to_string(), format!("app={name}"));
    let placed = "jsonpath={range .items[?(@.spec.nodeName)]}{.metadata.name}{\"\\n\"}{end}";
    until("two available replicas", || {
        let pods =
            world.kubectl.run_with(&["-n", TEAM, "get", "pods", "-l", &label, "-o", placed], None)?.succeeded()?;
        for pod in pods.stdout.lines() {
            let patch = ["-n", TEAM, "patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &ready];
            world.kubectl.run_with(&patch, None)?.succeeded()?;
        }
        let path = "{.status.updatedReplicas},{.status.availableReplicas},{.status.replicas}";
        let status = world.field(TEAM, &format!("deployment/{name}"), path)?;
        if status == "2,2,2" { Ok(Some(())) } else { Err(format!("updated, available, all: {status}").into()) }
    })
}

/// Changes the configuration under the running pullgate, twice, and puts it back.
fn deny_and_off(world: &World) -> Result<String, Failure> {
    let gate = world.gate()?;
    let original = fs::read_to_string(&gate.config)?;
    let bad = deployment(TEAM, "denied", &world.open("alice/app:v1.4.3"), 1);
    let set = |word: &str| -> Result<(), Failure> {
        let changed = original.replace("templates: warn", &format!("templates: {word}"));
        fs::write(&gate.config, changed)?;
        world.signal("pullgate", "-HUP")
    };
    set("deny")?;
    until("the configuration to be taken", || {
        Ok(world.kubectl.feed("apply --dry-run=server -f -", &bad)?.refused("TagNotFound").ok())
    })?;
    let scale = format!("-n {TEAM} scale deployment/vanished --replicas=2");
    world.kubectl.run(&scale)?.silently()?;
    set("off")?;
    until("the configuration to be taken", || {
        Ok(world.kubectl.feed("apply --dry-run=server -f -", &bad)?.silently().ok())
    })?;
    set("warn")?;
    until("the configuration to be taken", || {
        Ok(world.kubectl.feed("apply --dry-run=server -f -", &bad)?.warned(&["TagNotFound"]).ok())
    })?;
    Ok(String::new())
}
