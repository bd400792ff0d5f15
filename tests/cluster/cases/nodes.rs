//! Nodes of a real API server, followed by a watch: what an image offers is held against where its pod can land.

use serde_json::{Value, json};

use crate::kubectl::until;
use crate::objects::pod;
use crate::report::Report;
use crate::world::{TEAM, World};

/// Only pods that tolerate this land on the nodes of these cases.
const POOL: &str = "pullgate.dev/pool";

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    report.case("nodes: an image with nothing for the only node of its pod is refused", |shown| {
        world.kubectl.apply(&node("mainframe", "s390x"))?.succeeded()?;
        let image = world.open("alice/app:multi");
        let chosen = json!({ "kubernetes.io/arch": "s390x" });
        let said = until("the watch to bring the node", || {
            let said = world.kubectl.feed("apply --dry-run=server -f -", &on_pool("dry", &image, &chosen))?;
            Ok((said.code == Some(1)).then_some(said))
        })?;
        let said = said.refused("PlatformMismatch")?;
        shown.show(&said);
        Ok("linux/amd64, linux/arm64 on s390x".to_owned())
    });
    report.case("nodes: where some nodes fit, a warning names the others", |shown| {
        world.kubectl.apply(&node("server", "amd64"))?.succeeded()?;
        let image = world.open("alice/app:multi");
        let said = until("the watch to bring the node", || {
            let said = world.kubectl.feed("apply --dry-run=server -f -", &on_pool("partly", &image, &json!({})))?;
            Ok((said.code == Some(0)).then_some(said))
        })?;
        let said = said.warned(&["PartialPlatform", "1 node with linux/s390x (mainframe)"])?;
        shown.show(&said);
        let chosen = json!({ "kubernetes.io/arch": "amd64" });
        world.kubectl.feed("apply --dry-run=server -f -", &on_pool("chosen", &image, &chosen))?.soundly()?;
        let chosen = json!({ "kubernetes.io/arch": "s390x" });
        world.kubectl.apply(&on_pool("wrong", &image, &chosen))?.refused("PlatformMismatch")?;
        Ok("chosen by nodeSelector: admitted, refused".to_owned())
    });
    report.case("nodes: a pod that no node takes is never refused for its platforms", |_| {
        let image = world.open("alice/app:multi");
        let nowhere = json!({ "kubernetes.io/arch": "riscv64" });
        world.kubectl.feed("apply --dry-run=server -f -", &on_pool("nowhere", &image, &nowhere))?.soundly()?;
        world.kubectl.run("delete node mainframe server")?.succeeded()?;
        Ok("a pool scaled to zero".to_owned())
    });
}

fn node(name: &str, arch: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/arch": arch, "kubernetes.io/os": "linux" } },
        "spec": { "taints": [{ "key": POOL, "value": "test", "effect": "NoSchedule" }] },
    })
}

fn on_pool(name: &str, image: &str, selector: &Value) -> Value {
    let mut pod = pod(TEAM, name, image);
    pod["spec"]["tolerations"] = json!([{ "key": POOL, "operator": "Exists" }]);
    pod["spec"]["nodeSelector"] = selector.clone();
    pod
}
