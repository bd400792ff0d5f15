//! The gate away: by accident, and for good.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::examined;
use crate::Failure;
use crate::kubectl::until;
use crate::load;
use crate::report::{Report, ensure};
use crate::scene::{OWN_NAMESPACE, REPLICAS, Scene};

/// Kinds that come and go by themselves.
const PASSING: [&str; 4] = ["events", "events.events.k8s.io", "leases.coordination.k8s.io", "componentstatuses"];

/// All replicas dead: what must go on goes on, everything else stands, and the gate comes back by itself.
pub(super) fn cases(scene: &mut Scene, report: &mut Report) {
    let scaled = |scene: &Scene, replicas: usize| -> Result<(), Failure> {
        scene.kubectl.get(&format!("-n {OWN_NAMESPACE} scale deployment/pullgate --replicas={replicas}"))?;
        scene.settled(replicas)
    };
    report.case("control: all replicas are gone, and creations fail", |_| {
        scene.fails_closed()?;
        scaled(scene, 0)?;
        until("the last endpoint to go", || {
            Ok(scene.tries(load::NAMESPACE)?.stderr.contains("no endpoints available").then_some(()))
        })?;
        let load = scene.load();
        thread::sleep(Duration::from_secs(2));
        let counts = load.finish()?;
        let right =
            counts.failed.iter().all(|(why, _)| why.contains("failed calling webhook \"validate.pullgate.dev\""));
        ensure(counts.created == 0 && counts.failures() > 20 && right, || counts.to_string())?;
        Ok(format!("{} failed, 0 created", counts.failures()))
    });
    report.case("all replicas are gone: doctor and helm test say so", |_| examined::gone(scene));
    report.case("all replicas are gone: own namespace and kube-system still admit", |_| {
        for namespace in [OWN_NAMESPACE, "kube-system"] {
            scene.tries(namespace)?.succeeded()?;
        }
        let said = scene.tries(load::NAMESPACE)?;
        ensure(said.stderr.contains("failed calling webhook"), || format!("elsewhere it should fail: {said}"))?;
        scaled(scene, REPLICAS)?;
        until("pods to be admitted again", || Ok((scene.tries(load::NAMESPACE)?.code == Some(0)).then_some(())))?;
        examined::tested(scene)?.succeeded()?;
        Ok("and the replicas came back".to_owned())
    });
}

/// Uninstalls while pods are created; gives what was counted.
pub(super) fn uninstall(scene: &mut Scene, before: &BTreeSet<String>) -> Result<String, Failure> {
    scene.fails_closed()?;
    let load = scene.load();
    thread::sleep(super::AROUND);
    let done = scene.kubectl.helm(&["uninstall", "pullgate", "-n", OWN_NAMESPACE, "--wait"])?;
    thread::sleep(super::AROUND);
    let counts = load.finish()?;
    done.succeeded()?;
    // Bad pods are refused for as long as there is a gate; afterwards they are created like any other.
    ensure(counts.failures() == 0 && counts.misjudged.is_empty(), || counts.to_string())?;
    let mut left = Vec::new();
    until("everything of the release to go", || {
        left = everything(scene)?.difference(before).cloned().collect();
        Ok(left.is_empty().then_some(()))
    })
    .map_err(|failure| format!("{failure}; left: {}", left.join(" ")))?;
    Ok(format!("{counts}; {} objects of {} kinds left", left.len(), scene.kinds()?.len()))
}

/// Every object that the API server has, but those of the load and those that come and go by themselves.
pub(super) fn everything(scene: &Scene) -> Result<BTreeSet<String>, Failure> {
    let kinds = scene.kinds()?.join(",");
    let columns = "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";
    let said = scene.kubectl.get(&format!("get {kinds} -A --no-headers -o {columns}"))?;
    let lines = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join("/"));
    Ok(lines.filter(|line| !line.starts_with(&format!("Pod/{}/", load::NAMESPACE))).collect())
}

impl Scene {
    /// Every kind that can be listed.
    fn kinds(&self) -> Result<Vec<String>, Failure> {
        let said = self.kubectl.get("api-resources --verbs=list -o name")?;
        Ok(said.lines().filter(|kind| !PASSING.contains(kind)).map(str::to_owned).collect())
    }
}
