//! Certificates of the operator's own, from files, and API servers that are known by the certificate that they show: leaf
//! and authority are exchanged by hand as `docs/CERTIFICATES.md` says, while pods are created.

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::certificates::NAME;
use super::{changes, gone, lossless, under_load};
use crate::Failure;
use crate::kubectl::until;
use crate::load::NAMESPACE as SHOP;
use crate::pki::{Authority, Leaf};
use crate::report::{Report, ensure};
use crate::scene::{OWN_NAMESPACE, Scene};
use crate::stack::CALLER;

/// The Secret with the operator's certificate.
const SECRET: &str = "own-tls";

/// The `ConfigMap` with who signs for API servers.
const CALLERS: &str = "api-servers";

/// How long an API server may take to know a changed webhook object.
const KNOWN: Duration = Duration::from_secs(1);

pub(super) fn cases(scene: &mut Scene, report: &mut Report) -> Result<(), Failure> {
    let (one, two) = (Authority::new("corp one")?, Authority::new("corp two")?);
    prepare(scene, &one)?;
    let before = gone::everything(scene)?;
    report.case("files: helm install with a certificate of one's own", |_| {
        changes::installed(scene, |scene| scene.helm_with("install", &values(scene, &one.pem)).map(drop))
    });
    report.case("files: another leaf in the Secret", |_| under_load(scene, |scene| exchanged(scene, &one), lossless));
    report.case("files: another authority, in three steps", |_| {
        let steps = |scene: &mut Scene| {
            scene.helm_with("upgrade", &values(scene, &format!("{}{}", one.pem, two.pem)))?;
            thread::sleep(KNOWN);
            exchanged(scene, &two)?;
            scene.helm_with("upgrade", &values(scene, &two.pem))?;
            thread::sleep(KNOWN);
            Ok(String::new())
        };
        under_load(scene, steps, lossless)
    });
    report.case("files: an API server is known by its certificate alone", |_| known(scene));
    report.case("files: helm uninstall under load, and nothing is left", |_| gone::uninstall(scene, &before));
    Ok(())
}

/// What the operator brings: a Secret, and who signs for API servers.
fn prepare(scene: &Scene, authority: &Authority) -> Result<(), Failure> {
    let leaf = leaf(authority)?;
    let meta = |name: &str| json!({ "namespace": OWN_NAMESPACE, "name": name });
    for object in [
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": meta(SECRET), "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": leaf.certificate_pem(), "tls.key": leaf.key_pem() },
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(CALLERS),
            "data": { "ca.crt": scene.authority.pem },
        }),
    ] {
        scene.kubectl.apply(&object)?.succeeded()?;
    }
    Ok(())
}

fn leaf(authority: &Authority) -> Result<Leaf, Failure> {
    authority.issue(&[NAME])
}

fn values(scene: &Scene, bundle: &str) -> Value {
    let mut values = scene.values("files");
    values["tls"] = json!({ "mode": "files", "secretName": SECRET, "caBundle": STANDARD.encode(bundle) });
    values["callers"] = json!({ "clientCAConfigMap": CALLERS, "clientName": CALLER });
    values
}

/// Another leaf of this authority, served by the same processes.
fn exchanged(scene: &mut Scene, authority: &Authority) -> Result<String, Failure> {
    let processes = |scene: &Scene| scene.replicas().into_iter().map(|replica| replica.process).collect::<Vec<_>>();
    let (before, leaf) = (processes(scene), leaf(authority)?);
    scene.write(SECRET, &[("tls.crt", leaf.certificate_pem()), ("tls.key", &leaf.key_pem())])?;
    let [certificate] = leaf.chain().try_into().map_err(|_| "a leaf alone")?;
    scene.shown(&certificate)?;
    ensure(processes(scene) == before, || "a replica was restarted".to_owned())?;
    Ok(", no restart".to_owned())
}

/// Without the path segment an API server is told everything all the same, and nobody else is.
fn known(scene: &mut Scene) -> Result<String, Failure> {
    scene.keepers(0)?;
    for (kind, path) in [("validating", "/validate"), ("mutating", "/mutate")] {
        let object = format!("{kind}webhookconfiguration");
        let patch = json!([{ "op": "replace", "path": "/webhooks/0/clientConfig/service/path", "value": path }]);
        let words = ["patch", &object, "pullgate", "--type=json", "-p", &patch.to_string()];
        scene.kubectl.run_with(&words, None)?.succeeded()?;
    }
    thread::sleep(KNOWN);
    // In full: code, image and fix.
    until("the gate to be shut", || Ok(scene.is_shut()?.then_some(())))?;
    let replica = scene.replicas().into_iter().next().ok_or("a replica")?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": SHOP, "name": "asked" },
        "spec": { "containers": [{ "name": "app", "image": scene.goods.bad }] },
    });
    // kubectl shows the administrator's certificate: of the same authority, under another name.
    let answer = scene.kubectl.review(&format!("https://{}:10250", replica.address), "/validate", &pod)?;
    let told = answer["status"]["message"].as_str().unwrap_or_default();
    ensure(told == "TagNotFound", || format!("who is not known is told {told:?}"))?;
    scene.keepers(1)?;
    Ok("another certificate of the same authority is told the code".to_owned())
}
