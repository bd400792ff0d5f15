//! What happens to a release while pods are created.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Failure;
use crate::kubectl::{Said, until, until_within};
use crate::load::NAMESPACE as SHOP;
use crate::report::ensure;
use crate::scene::{OWN_NAMESPACE, REPLICAS, ROLLOUT, Scene, kill as signal};
use crate::standin::Replica;

/// The release, with all replicas ready; no pod is refused on the way, and then the gate is shut.
pub(super) fn install(scene: &mut Scene) -> Result<String, Failure> {
    installed(scene, |scene| scene.helm("install", "one").map(drop))
}

/// The same by another way to install it.
pub(super) fn installed(scene: &mut Scene, by: impl FnOnce(&Scene) -> Result<(), Failure>) -> Result<String, Failure> {
    let load = scene.load();
    thread::sleep(super::AROUND);
    by(scene)?;
    scene.hurry_keeper()?;
    let settled = scene
        .settled(REPLICAS)
        .and_then(|()| until_within(ROLLOUT, "the gate to be shut", || Ok(scene.is_shut()?.then_some(()))));
    thread::sleep(super::AROUND);
    let counts = load.finish()?;
    settled.map_err(|failure| format!("{failure}: {counts}"))?;
    scene.fails_closed()?;
    ensure(counts.failures() == 0 && counts.misjudged.is_empty() && counts.refused > 2, || counts.to_string())?;
    Ok(format!("{counts} before the gate was shut"))
}

/// The load alone, and a look at the gate.
pub(super) fn nothing(scene: &mut Scene) -> Result<String, Failure> {
    thread::sleep(Duration::from_secs(2));
    ensure(scene.is_shut()?, || "a bad pod should be refused".to_owned())?;
    Ok(String::new())
}

pub(super) fn restart(scene: &mut Scene) -> Result<String, Failure> {
    replaced(scene, |scene| scene.kubectl.run(&format!("-n {OWN_NAMESPACE} rollout restart deployment/pullgate")))
}

pub(super) fn upgrade(scene: &mut Scene) -> Result<String, Failure> {
    replaced(scene, |scene| scene.helm("upgrade", "two"))
}

pub(super) fn rollback(scene: &mut Scene) -> Result<String, Failure> {
    replaced(scene, |scene| scene.kubectl.helm(&["rollback", "pullgate", "-n", OWN_NAMESPACE]))
}

/// Does it and waits until other pods than before are the replicas.
fn replaced(scene: &Scene, by: impl FnOnce(&Scene) -> Result<Said, Failure>) -> Result<String, Failure> {
    let before: Vec<String> = scene.replicas().into_iter().map(|replica| replica.name).collect();
    by(scene)?.succeeded()?;
    until_within(ROLLOUT, "all replicas to be others", || {
        let now = scene.replicas();
        let others = now.iter().all(|replica| replica.ready && !before.contains(&replica.name));
        Ok((now.len() == REPLICAS && others).then_some(()))
    })?;
    Ok(String::new())
}

/// A change that is taken and one that is not.
pub(super) fn reload(scene: &mut Scene) -> Result<String, Failure> {
    let mut good = scene.config();
    good["pin"] = json!({ "skip": ["dev.local/*"] });
    configure(scene, &good)?;
    said(scene, "Reloaded")?;
    configure(scene, &json!({ "mode": "no such mode" }))?;
    said(scene, "Not reloaded")?;
    configure(scene, &scene.config())?;
    Ok(String::new())
}

fn configure(scene: &Scene, config: &Value) -> Result<(), Failure> {
    let patch = json!({ "data": { "config.yaml": config.to_string() } }).to_string();
    let words = ["-n", OWN_NAMESPACE, "patch", "configmap", "pullgate", "--type=merge", "-p", &patch];
    scene.kubectl.run_with(&words, None)?.succeeded().map(drop)
}

/// Waits until every replica has logged it.
fn said(scene: &Scene, words: &str) -> Result<(), Failure> {
    let quoted = format!("\"{words}");
    until(&format!("every replica to say {words:?}"), || {
        let all = scene
            .replicas()
            .iter()
            .all(|replica| fs::read_to_string(&replica.log).is_ok_and(|log| log.contains(&quoted)));
        Ok(all.then_some(()))
    })
}

pub(super) fn etcd(scene: &mut Scene) -> Result<String, Failure> {
    scene.signal("etcd", "-STOP")?;
    thread::sleep(Duration::from_secs(5));
    scene.signal("etcd", "-CONT")?;
    until("the API server to be ready", || scene.kubectl.run("get --raw /readyz")?.succeeded().map(Some))?;
    thread::sleep(Duration::from_secs(1));
    Ok(String::new())
}

pub(super) fn api_server(scene: &mut Scene) -> Result<String, Failure> {
    scene.stack.stop_api_server();
    let Scene { stack, workshop, kubectl, .. } = scene;
    stack.start_api_server(workshop, kubectl)?;
    thread::sleep(Duration::from_secs(1));
    Ok(String::new())
}

/// The process of one pod, which the node starts again.
pub(super) fn kill_one(scene: &mut Scene) -> Result<String, Failure> {
    let victim = scene.replicas().into_iter().next().ok_or("a replica")?;
    killed(scene, &victim)?;
    Ok(String::new())
}

/// Kills a replica, and waits until it is ready again.
fn killed(scene: &Scene, victim: &Replica) -> Result<(), Failure> {
    signal("-KILL", &victim.process.to_string())?;
    until("the replica to be started again", || {
        let now = scene.replicas();
        let again = now.iter().find(|replica| replica.name == victim.name);
        Ok(again.filter(|replica| replica.process != victim.process && replica.ready).map(drop))
    })
}

/// The process of one pod after another, which the node starts again, while a Deployment wants pods: its controller asks
/// again, so that it gets them all.
pub(super) fn kill(scene: &mut Scene) -> Result<String, Failure> {
    const WANTED: u32 = 30;
    scene.kubectl.get(&format!("-n {SHOP} create deployment crowd --image={} --replicas=0", scene.goods.good))?;
    for (step, victim) in (1..).zip(scene.replicas()) {
        scene.kubectl.get(&format!("-n {SHOP} scale deployment/crowd --replicas={}", WANTED * step))?;
        killed(scene, &victim)?;
        until("all pods of a Deployment to be there", || {
            let there =
                scene.kubectl.get(&format!("-n {SHOP} get deployment crowd -o jsonpath={{.status.replicas}}"))?;
            Ok((there == (WANTED * step).to_string()).then_some(()))
        })?;
    }
    scene.kubectl.get(&format!("-n {SHOP} delete deployment crowd"))?;
    Ok(format!(", and a Deployment got its {} pods", WANTED * 3))
}
