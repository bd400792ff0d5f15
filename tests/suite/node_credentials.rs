//! What nodes hold by themselves, declared by the operator: after the pod's own Secrets, and never instead of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pullgate::demo::registry::Login;
use pullgate::finding::{Cause, Code};
use pullgate::node_credentials::{self, Declared};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{World, cluster, pod};

const TEAM: &str = "team";

async fn world() -> World {
    with(Login::Basic).await
}

async fn with(login: Login) -> World {
    let world = World::with(login).await;
    world.registry.push("team/api", "v1");
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "right");
    world
}

/// A `config.json` with one login for the registry.
fn docker_config(world: &World, files: &TempDir, password: &str) -> PathBuf {
    let path = files.path().join("config.json");
    let auths = json!({ world.registry.host(): { "username": "ann", "password": password } });
    fs::write(&path, json!({ "auths": auths }).to_string()).unwrap();
    path
}

/// One plugin, a shell script, that is called for the registry.
fn plugin(world: &World, files: &TempDir, script: &str) -> Declared {
    let binary = files.path().join("login");
    fs::write(&binary, format!("#!/bin/sh\ncat > {}\n{script}\n", files.path().join("asked").display())).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let declaration = files.path().join("providers.yaml");
    let text = json!({
        "apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
        "providers": [{
            "name": "login", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "matchImages": [world.registry.host()], "defaultCacheDuration": "1m",
        }],
    });
    fs::write(&declaration, text.to_string()).unwrap();
    let providers = node_credentials::read(Path::new(&declaration)).unwrap();
    Declared { providers, bin_dir: files.path().to_owned(), ..Declared::default() }
}

fn answer(host: &str, password: &str) -> String {
    let answer = json!({
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry", "auth": { host: { "username": "ann", "password": password } },
    });
    format!("echo '{answer}'")
}

#[tokio::test]
async fn a_nodes_login_is_tried_after_the_pods_own() {
    let (world, files) = (world().await, TempDir::new().unwrap());
    let declared = Declared { docker_configs: vec![docker_config(&world, &files, "right")], ..Declared::default() };
    let wrong = world.secret(TEAM, "wrong", "ann", "wrong");
    let engine = world.engine_with(&cluster(&[wrong]), declared);
    let image = [world.image("team/api:v1")];

    let verdict = world.check(&engine, &pod(TEAM, &image, &[])).await;
    assert!(verdict.findings.is_empty() && verdict.images[0].digest.is_some(), "{:?}", verdict.findings);
    let verdict = world.check(&engine, &pod(TEAM, &image, &["wrong"])).await;
    assert!(verdict.findings.is_empty(), "the second login is good: {:?}", verdict.findings);
    let gone = world.check(&engine, &pod(TEAM, &[world.image("team/api:v2")], &["wrong"])).await;
    let tried: Vec<_> = gone.findings[0].tried.iter().map(|tried| tried.source.as_str()).collect();
    assert_eq!((gone.findings[0].code, gone.findings[0].certain), (Code::TagNotFound, true));
    assert_eq!(tried, ["Secret \"wrong\"", "node config.json"]);
}

#[tokio::test]
async fn a_nodes_wrong_login_keeps_anonymous_away_as_on_the_node() {
    let (world, files) = (world().await, TempDir::new().unwrap());
    world.registry.push("open", "v1");
    let declared = Declared { docker_configs: vec![docker_config(&world, &files, "wrong")], ..Declared::default() };
    let engine = world.engine_with(&cluster(&[]), declared);
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("team/api:v1")], &[])).await;
    assert_eq!((verdict.findings[0].code, verdict.findings[0].certain), (Code::CredentialsRejected, true));
}

#[tokio::test]
async fn a_plugin_answers_for_the_pods_that_have_no_secret() {
    let (world, files) = (world().await, TempDir::new().unwrap());
    let declared = plugin(&world, &files, &answer(&world.registry.host(), "right"));
    let engine = world.engine_with(&cluster(&[]), declared);
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("team/api:v1")], &[])).await;
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    let asked = fs::read_to_string(files.path().join("asked")).unwrap();
    assert!(asked.contains(&format!("\"image\":\"{}/team/api\"", world.registry.host())), "{asked}");
}

#[tokio::test]
async fn a_plugin_that_breaks_makes_refusals_uncertain_and_nothing_else() {
    for script in ["exit 1", "echo nonsense", "kill -9 $$"] {
        let (world, files) = (world().await, TempDir::new().unwrap());
        let engine = world.engine_with(&cluster(&[]), plugin(&world, &files, script));
        let verdict = world.check(&engine, &pod(TEAM, &[world.image("team/api:v1")], &[])).await;
        let finding = &verdict.findings[0];
        assert_eq!(
            (finding.code, finding.cause, finding.certain),
            (Code::NotChecked, Some(Cause::Plugin), false),
            "{script}"
        );
        assert!(finding.message().contains("credential provider \"login\""), "{}", finding.message());
    }
    let (world, files) = (with(Login::bearer()).await, TempDir::new().unwrap());
    world.registry.push("open", "v1");
    world.registry.public("open");
    let mut declared = plugin(&world, &files, "exit 1");
    declared.bin_dir = files.path().join("nowhere");
    let engine = world.engine_with(&cluster(&[]), declared);
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("open:v1")], &[])).await;
    assert!(verdict.findings.is_empty(), "anonymous still may: {:?}", verdict.findings);
    let verdict = world.check(&engine, &pod(TEAM, &[world.image("open:v2")], &[])).await;
    assert_eq!((verdict.findings[0].code, verdict.findings[0].certain), (Code::TagNotFound, true));
}
