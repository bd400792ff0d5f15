//! Windows: an image is for the build of its host.

use super::*;

fn windows(name: &str, build: &str, runtime: &str) -> String {
    let info = json!({
        "architecture": "amd64", "operatingSystem": "windows", "containerRuntimeVersion": runtime, "kernelVersion": build,
    });
    let labels = json!({ "kubernetes.io/arch": "amd64", "kubernetes.io/os": "windows" });
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels }, "status": { "nodeInfo": info },
    })
    .to_string()
}

/// An index of Windows images of these versions, each of which is there.
fn push(world: &World, tag: &str, versions: &[&str]) {
    let child = world.registry.push_for("win", "child", "windows/amd64");
    let entry = |version: &&str| {
        let platform = json!({ "os": "windows", "architecture": "amd64", "os.version": version });
        json!({ "mediaType": OCI_MANIFEST, "digest": child, "size": 7, "platform": platform })
    };
    let entries: Vec<Value> = versions.iter().map(entry).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    world.registry.push_raw("win", tag, OCI_INDEX, index.to_string());
}

#[tokio::test]
async fn an_image_of_another_build_cannot_be_pulled() {
    let world = World::with(Login::None).await;
    push(&world, "2019", &["10.0.17763.6893"]);
    push(&world, "2022", &["10.0.20348.2700"]);
    push(&world, "both", &["10.0.17763.6893", "10.0.20348.2700"]);
    push(&world, "2025", &["10.0.26100.1742"]);
    let (old, new) = (windows("old", "10.0.17763.1", CONTAINERD), windows("new", "10.0.20348.1", CONTAINERD));
    let newest = windows("newest", "10.0.26100.1", "containerd://1.7.20");
    let docker = windows("docker", "10.0.20348.1", "docker://27.1.1");
    let nobody_knows = windows("unknown", "", CONTAINERD);
    let mismatch = |certain| vec![(Code::PlatformMismatch, certain)];
    for (nodes, tag, findings, notices) in [
        (vec![&new], "2019", mismatch(true), vec![]),
        (vec![&new], "2022", vec![], vec![]),
        (vec![&new], "both", vec![], vec![]),
        (vec![&new], "2025", mismatch(true), vec![]),
        (vec![&old], "2022", mismatch(true), vec![]),
        (vec![&newest], "2022", vec![], vec![]),
        (vec![&newest], "2019", mismatch(true), vec![]),
        (vec![&old, &new], "2019", vec![], vec![NoticeCode::PartialPlatform]),
        (vec![&docker], "2019", mismatch(false), vec![]),
        (vec![&nobody_knows], "2019", vec![], vec![]),
    ] {
        let nodes: Vec<String> = nodes.into_iter().cloned().collect();
        let engine = world.engine(&cluster(&nodes));
        let verdict = world.check(&engine, &of(&world, &format!("win:{tag}"))).await;
        assert_eq!(said(&verdict), (findings, notices), "{tag} on {nodes:?}");
    }
    let engine = world.engine(&cluster(&[new]));
    let mut pod = of(&world, "win:2019");
    let message = world.check(&engine, &pod).await.findings[0].message();
    assert!(message.contains("windows/amd64 (10.0.17763.6893)") && message.contains("(build 20348)"), "{message}");
    // Hyper-V runs other builds, under a RuntimeClass.
    pod.placement.runtime_class = "hyperv".to_owned();
    assert_eq!(said(&world.check(&engine, &pod).await).0, mismatch(false));
}
