//! `pullgate rbac generate` over manifests: what it prints can be read back, and names exactly what they name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use pullgate::manifests::Source;
use serde_json::Value;

const MANIFESTS: &str = "
kind: Deployment
metadata: { name: a, namespace: shop }
spec: { template: { spec: { containers: [{ image: a }], imagePullSecrets: [{ name: 'yes' }, { name: login }] } } }
---
kind: ServiceAccount
metadata: { name: b, namespace: shop }
imagePullSecrets: [{ name: of-account }]
---
kind: Pod
metadata: { name: c }
spec: { containers: [{ image: a }], imagePullSecrets: [{ name: \"# not a comment\" }] }
";

fn generate(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pullgate"))
        .args(["rbac", "generate"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    Source::new("roles.yaml", text).objects().map(|object| object.unwrap().value()).collect()
}

#[test]
fn roles_for_manifests_are_yaml_with_the_names_in_them() {
    let said = generate(&["-f", "-", "-n", "default", "-n", "shop"], MANIFESTS);
    assert!(said.status.success(), "{said:?}");
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.starts_with("# 2 namespaces with 4 pull secrets"), "{text}");
    let objects = objects(&text);
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Role", "RoleBinding", "Role", "RoleBinding"]);
    assert_eq!(objects[0]["metadata"]["namespace"], "default");
    assert_eq!(objects[0]["rules"][0]["resourceNames"], serde_json::json!(["# not a comment"]));
    assert_eq!(objects[2]["rules"][0]["resourceNames"], serde_json::json!(["login", "of-account", "yes"]));
}

#[test]
fn other_namespaces_are_left_out_and_bindings_alone_will_do() {
    let said = generate(&["-f", "-", "-n", "shop", "--mode=namespaced"], MANIFESTS);
    let objects = objects(&String::from_utf8(said.stdout).unwrap());
    // The pod names no namespace: it is in the first that is given.
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["metadata"]["namespace"], "shop");
    assert_eq!(objects[0]["roleRef"]["kind"], "ClusterRole");
}

#[test]
fn without_a_place_to_look_it_says_which_there_are() {
    let said = generate(&[], "");
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8(said.stderr).unwrap().contains("-A, --namespace NAMESPACE or --file FILE"));
}
