//! What pullgate may read and whether it can: no right and no API server are no reason to deny.

use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::Failure;
use crate::canary;
use crate::kubectl::{Said, until};
use crate::objects::{ALICE, TEMPLATES, account, list, pod, pod_with, pull_secret, spec, template};
use crate::report::{Report, ensure};
use crate::world::{OWN_NAMESPACE, TEAM, World};

/// As long as the issue asks for.
const OUTAGE: Duration = Duration::from_secs(10);

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let shared = &*world;
    report.case("access: Secrets forbidden by RBAC admit, and the warning names what is missing", |shown| {
        let said = forbidden(shared)?;
        shown.show(&said);
        Ok(said.warnings().next().unwrap_or_default().chars().take(60).collect())
    });
    report.case("access: an API server that hangs is waited for no longer than the review allows", |_| hanging(shared));
    report.case("access: an API server that was gone for 10 s makes no wrong denial", |_| outage(world));
}

fn forbidden(world: &World) -> Result<Said, Failure> {
    let host = world.places.basic.as_str();
    world
        .kubectl
        .apply(&list([
            pull_secret(TEAM, "unreadable", &[(host, ALICE)]),
            account(TEAM, "unreadable", &["unreadable"]),
        ]))?
        .succeeded()?;
    let binding = world.kubectl.get("get clusterrolebinding pullgate -o json")?;
    world.kubectl.run("delete clusterrolebinding pullgate")?.succeeded()?;
    let may = |expected: &str| {
        until("RBAC to change", || {
            let user = format!("--as=system:serviceaccount:{OWN_NAMESPACE}:pullgate");
            let said = world.kubectl.run(&format!("auth can-i get secrets -n {TEAM} {user}"))?;
            Ok((said.stdout.trim() == expected).then_some(()))
        })
    };
    let image = world.basic("alice/app:v1");
    let outcome = may("no").and_then(|()| {
        let said = world.kubectl.apply(&pod_with(TEAM, "forbidden", &image, &["unreadable"]))?;
        let said = said.warned(&["pullgate may not get Secret \"unreadable\" in namespace \"team\""])?;
        let mut spec = spec(&image);
        spec["serviceAccountName"] = json!("unreadable");
        let object = template(TEMPLATES[0], TEAM, "forbidden", 1, &spec);
        let through = world.kubectl.feed("apply --dry-run=server -f -", &object)?;
        through.warned(&["pullgate may not get ServiceAccount \"unreadable\""])?;
        // What needs no Secret is still judged.
        world.kubectl.apply(&pod(TEAM, "forbidden-not", &world.open("alice/app:none")))?.refused("TagNotFound")?;
        Ok(said)
    });
    world.kubectl.feed("create -f -", &without_server_fields(&binding)?)?.succeeded()?;
    may("yes")?;
    outcome
}

/// The whole API server is stopped in its tracks, so reads neither fail nor end.
fn hanging(world: &World) -> Result<String, Failure> {
    let host = world.places.basic.as_str();
    world.kubectl.apply(&pull_secret(TEAM, "slow", &[(host, ALICE)]))?.succeeded()?;
    world.signal("kube-apiserver", "-STOP")?;
    let began = Instant::now();
    let answer = ask(world, &pod_with(TEAM, "hanging", &world.basic("alice/app:v1"), &["slow"]));
    let took = began.elapsed();
    world.signal("kube-apiserver", "-CONT")?;
    let answer = answer?;
    ensure(answer["allowed"] == true, || answer.to_string())?;
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    ensure(warning.contains("Secret \"slow\" could not be read"), || format!("no such warning: {answer}"))?;
    ensure(took < Duration::from_secs(5), || format!("{took:?} of 5 s"))?;
    Ok(format!("{:.1} of 5 s", took.as_secs_f32()))
}

fn without_server_fields(object: &str) -> Result<Value, Failure> {
    let mut object: Value = serde_json::from_str(object)?;
    let metadata = object["metadata"].as_object_mut().ok_or("an object has metadata")?;
    metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
    Ok(object)
}

fn outage(world: &mut World) -> Result<String, Failure> {
    let host = world.places.basic.clone();
    let image = world.basic("alice/app:v1");
    world
        .kubectl
        .apply(&list([pull_secret(TEAM, "before", &[(&host, ALICE)]), pull_secret(TEAM, "unread", &[(&host, ALICE)])]))?
        .succeeded()?;
    world.kubectl.apply(&pod_with(TEAM, "before-outage", &image, &["before"]))?.silently()?;

    world.stack.stop_api_server();
    let began = Instant::now();
    // Nobody can ask through an API server that is gone; another of its kind would still ask.
    let unread = ask(world, &pod_with(TEAM, "during", &image, &["unread"]))?;
    let held = ask(world, &pod_with(TEAM, "during", &image, &["before"]))?;
    let open = ask(world, &pod(TEAM, "during", &world.open("alice/app:none")))?;
    thread::sleep(OUTAGE.saturating_sub(began.elapsed()));
    let still_held = ask(world, &pod_with(TEAM, "during", &image, &["before"]))?;
    world.stack.start_api_server(&world.workshop, &world.kubectl)?;
    let gone = began.elapsed();

    for (name, answer) in [("unread", &unread), ("held", &held), ("held for 10 s", &still_held)] {
        ensure(answer["allowed"] == true, || format!("{name}: {answer}"))?;
    }
    let warning = unread["warnings"][0].as_str().unwrap_or_default();
    ensure(warning.contains("Secret \"unread\" could not be read"), || format!("no such warning: {unread}"))?;
    ensure(open["status"]["message"].as_str().is_some_and(|text| text.starts_with("TagNotFound")), || {
        open.to_string()
    })?;
    // The first words of the API server that is back, whatever pullgate remembers of the outage.
    world.kubectl.apply(&pod_with(TEAM, "after-outage", &image, &["unread"]))?.succeeded()?;
    until("a pin after the outage", || {
        let name = format!("after-{}", began.elapsed().as_millis());
        world.kubectl.apply(&pod_with(TEAM, &name, &image, &["unread"]))?.succeeded()?;
        Ok(world.pinned(TEAM, &name, &image, &world.images.single).ok())
    })?;
    world.kubectl.apply(&pod(TEAM, "after-bad", &world.open("alice/app:none")))?.refused("TagNotFound")?;
    Ok(format!("{:.0} s", gone.as_secs_f32()))
}

/// Sends a review as an API server does, with `kubectl create --raw`.
fn ask(world: &World, pod: &Value) -> Result<Value, Failure> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "0", "operation": "CREATE", "namespace": TEAM, "name": pod["metadata"]["name"],
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "userInfo": { "username": "another-api-server" }, "object": pod,
        },
    });
    let file = world.workshop.file("review.json", review.to_string())?;
    let server = format!("--server=https://127.0.0.1:{}", world.gate()?.webhook);
    let arguments = [&server, "create", "--raw", "/validate?timeout=5s", "-f", &file.display().to_string()];
    let said = world.kubectl.run_with(&arguments, None)?.succeeded()?;
    let answer: Value = serde_json::from_str(&said.stdout)?;
    Ok(answer["response"].clone())
}

/// When everything has happened: what pullgate did at the API server, and what it let slip.
pub(super) fn trace(world: &mut World, report: &mut Report) {
    let world = &*world;
    report.case("trace: the audit log knows pullgate by single gets, and by one watch of the Nodes", |_| {
        let user = format!("system:serviceaccount:{OWN_NAMESPACE}:pullgate");
        let (mut gets, mut lists) = (0, 0);
        for event in world.stack.audit_events()?.iter().filter(|event| event["user"]["username"] == user) {
            let (verb, object) = (&event["verb"], &event["objectRef"]);
            if object["resource"] == "nodes" && (verb == "list" || verb == "watch") {
                lists += usize::from(verb == "list");
                continue;
            }
            let known = object["resource"] == "secrets" || object["resource"] == "serviceaccounts";
            ensure(verb == "get" && known && object["name"].is_string(), || event.to_string())?;
            gets += 1;
        }
        // A thousand pods of one Secret are among what it judged.
        ensure((1..200).contains(&gets), || format!("{gets} gets"))?;
        // One at the start, and one more after each outage that the cases made.
        ensure((1..10).contains(&lists), || format!("{lists} lists of Nodes"))?;
        Ok(format!("{gets} gets, {lists} lists of Nodes"))
    });
    report.case("trace: no password in what pullgate said, anywhere", |_| {
        let log = world.gate()?.part.log();
        let places = [
            ("log", log.clone()),
            ("metrics", world.gate()?.metrics()?),
            ("audit log", fs::read_to_string(world.workshop.dir.join("audit.log"))?),
            ("API server's log", world.stack.api_server_log()),
            ("events", world.kubectl.get("get events -A -o json")?),
            ("pods", world.kubectl.get("get pods -A -o json")?),
            ("webhooks' configuration", fs::read_to_string(&world.gate()?.config)?),
        ];
        for (name, text) in &places {
            let trace = canary::trace(text);
            ensure(trace.is_none(), || format!("a password is in the {name}: {}", trace.unwrap_or_default()))?;
        }
        ensure(!log.contains("panic"), || "pullgate panicked".to_owned())?;
        Ok(format!("{} lines of log", log.lines().count()))
    });
}
