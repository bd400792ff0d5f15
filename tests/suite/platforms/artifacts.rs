//! What is stored under an image's media type and is no container image: told by the media type of its configuration.

use super::*;

const CRI_O: &str = "cri-o://1.34.0";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A manifest with a configuration of this type and text, and one layer of a type; `kind` is its own media type.
fn push(world: &World, tag: &str, kind: &str, (config_type, config): (&str, &str), layer: &str) {
    let digest = world.registry.push_blob("things", config.to_owned());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": { "mediaType": config_type, "digest": digest, "size": config.len() },
        "layers": [{ "mediaType": layer, "digest": digest, "size": config.len() }],
    });
    world.registry.push_raw("things", tag, kind, manifest.to_string());
}

fn volume(world: &World, tag: &str) -> Workload {
    let mut pod = of(world, &format!("things:{tag}"));
    for image in &mut pod.images {
        "/spec/volumes/0/image/reference".clone_into(&mut Arc::make_mut(image).pointer);
    }
    pod
}

async fn things(runtimes: &[&str]) -> (World, Engine) {
    let world = World::with(Login::None).await;
    let model = "application/vnd.example.model.config.v1+json";
    let one_layer = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:00"]}}"#;
    let docker_config = "application/vnd.docker.container.image.v1+json";
    push(&world, "model", OCI_MANIFEST, (model, r#"{"modelfs":{}}"#), "application/octet-stream");
    push(
        &world,
        "sif",
        OCI_MANIFEST,
        ("application/vnd.sylabs.sif.config.v1+json", "{}"),
        "application/vnd.sylabs.sif.layer.v1.sif",
    );
    push(&world, "unreadable", OCI_MANIFEST, (model, "no JSON"), "application/octet-stream");
    push(&world, "unpacked", OCI_MANIFEST, (model, one_layer), LAYER);
    push(&world, "docker", DOCKER_MANIFEST, (model, "{}"), "application/octet-stream");
    push(&world, "old", OCI_MANIFEST, (docker_config, one_layer), LAYER);
    push(&world, "capitals", OCI_MANIFEST, ("application/vnd.oci.image.Config.v1+json", "{}"), LAYER);
    push(&world, "legacy", DOCKER_MANIFEST, ("application/octet-stream", one_layer), LAYER);
    let node = |(index, runtime): (usize, &&str)| node(&format!("n{index}"), "amd64", runtime, &[]);
    let engine = world.engine(&cluster(&runtimes.iter().enumerate().map(node).collect::<Vec<_>>()));
    (world, engine)
}

#[tokio::test]
async fn what_no_runtime_starts_is_no_image() {
    let unsupported = |certain| vec![(Code::UnsupportedManifest, certain)];
    for (runtimes, tags) in [
        (
            &[CONTAINERD][..],
            vec![
                ("model", Some(true)),
                ("sif", Some(true)),
                ("docker", Some(true)),
                ("capitals", Some(true)),
                ("unreadable", Some(false)),
                ("unpacked", Some(false)),
                ("old", None),
                ("legacy", None),
            ],
        ),
        (&["containerd://1.7.28"], vec![("model", Some(true)), ("unpacked", None), ("legacy", None)]),
        (
            &[CRI_O],
            vec![
                ("model", Some(true)),
                ("unpacked", Some(true)),
                ("docker", Some(false)),
                ("old", Some(false)),
                ("legacy", None),
            ],
        ),
        (&[CONTAINERD, CRI_O], vec![("model", Some(true)), ("docker", Some(false)), ("old", Some(false))]),
        (&["docker://27.1.1"], vec![("model", Some(false)), ("legacy", None)]),
    ] {
        let (world, engine) = things(runtimes).await;
        for (tag, certain) in tags {
            let verdict = world.check(&engine, &of(&world, &format!("things:{tag}"))).await;
            assert_eq!(said(&verdict).0, certain.map(unsupported).unwrap_or_default(), "{tag} on {runtimes:?}");
            assert_eq!(verdict.images[0].pinnable, certain.is_none(), "{tag} on {runtimes:?}");
            assert_eq!(said(&world.check(&engine, &volume(&world, tag)).await).0, [], "{tag} as a volume");
        }
    }
    let (world, engine) = things(&[CONTAINERD]).await;
    let verdict = world.check(&engine, &of(&world, "things:model")).await;
    let message = verdict.findings[0].message();
    assert!(message.contains("application/vnd.example.model.config.v1+json"), "{message}");
}

#[tokio::test]
async fn under_a_runtime_class_its_handler_decides() {
    let (world, engine) = things(&[CONTAINERD]).await;
    world.registry.push_for("module", "1", "wasip1/wasm");
    world.registry.push_index("modules", "1", &["wasip1/wasm"]);
    let classed = |image: &str| {
        let mut pod = of(&world, image);
        pod.placement.runtime_class = "wasmtime".to_owned();
        pod
    };
    let verdict = world.check(&engine, &classed("module:1")).await;
    assert_eq!(said(&verdict), (vec![], vec![NoticeCode::WrongArchitecture]));
    let notice = verdict.notices.iter().find(|notice| notice.code == NoticeCode::WrongArchitecture).unwrap();
    assert!(notice.message.contains("RuntimeClass \"wasmtime\"") && !notice.message.contains("does not start"));
    assert_eq!(verdict.images[0].architectures, None, "no pod is kept to what the handler need not have");
    for (image, code) in [("modules:1", Code::PlatformMismatch), ("things:model", Code::UnsupportedManifest)] {
        assert_eq!(said(&world.check(&engine, &classed(image)).await).0, [(code, false)], "{image}");
        assert_eq!(said(&world.check(&engine, &of(&world, image)).await).0, [(code, true)], "{image}");
    }
}

#[tokio::test]
async fn an_index_that_calls_its_entries_artifacts_is_doubted() {
    let (world, engine) = things(&[CONTAINERD]).await;
    let child = world.registry.push_for("models", "child", "linux/amd64");
    let platform = json!({ "os": "linux", "architecture": "amd64" });
    let entry = |more: Value| {
        let mut entry = json!({ "mediaType": OCI_MANIFEST, "digest": child, "size": 7, "platform": platform });
        more.as_object().unwrap().iter().for_each(|(key, value)| entry[key] = value.clone());
        entry
    };
    let model = entry(json!({ "artifactType": "application/vnd.example.model" }));
    let image = entry(json!({ "artifactType": "application/vnd.oci.image.config.v1+json" }));
    let blob = entry(json!({ "mediaType": "application/vnd.example.blob" }));
    for (tag, entries, findings) in [
        ("model", vec![model.clone()], vec![(Code::UnsupportedManifest, false)]),
        ("blob", vec![blob], vec![(Code::UnsupportedManifest, false)]),
        ("image", vec![image.clone()], vec![]),
        ("both", vec![model, image], vec![]),
    ] {
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        world.registry.push_raw("models", tag, OCI_INDEX, index.to_string());
        assert_eq!(said(&world.check(&engine, &of(&world, &format!("models:{tag}"))).await).0, findings, "{tag}");
    }
}
