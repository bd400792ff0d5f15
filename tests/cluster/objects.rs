//! Manifests, as short as they can be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::kubectl::{Kubectl, until};

/// A user name and a password that the registries know.
pub(crate) const ALICE: (&str, &str) = ("alice", "canary-wonderland");
/// And one that they do not. Only this one: a registry sees a bounded number of failed logins.
pub(crate) const WRONG: (&str, &str) = ("alice", "canary-looking-glass");

/// The kinds with a pod template, and where it lies.
pub(crate) const TEMPLATES: [(&str, &str); 7] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "ReplicationController"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
];

pub(crate) fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

pub(crate) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items.into_iter().collect::<Vec<_>>() })
}

/// A pod of one container, `app`, that no scheduler looks at.
pub(crate) fn pod(namespace: &str, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "namespace": namespace, "name": name, "labels": { "app": name } },
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "app", "image": image }] },
    })
}

/// The same with pull secrets, in this order.
pub(crate) fn pod_with(namespace: &str, name: &str, image: &str, secrets: &[&str]) -> Value {
    let mut pod = pod(namespace, name, image);
    pod["spec"]["imagePullSecrets"] = secrets.iter().map(|secret| json!({ "name": secret })).collect();
    pod
}

/// A workload of one of [`TEMPLATES`] around `spec`, a pod's.
pub(crate) fn template(kind: (&str, &str), namespace: &str, name: &str, replicas: u32, spec: &Value) -> Value {
    let labels = json!({ "app": name });
    let template = json!({ "metadata": { "labels": labels }, "spec": spec });
    let mut inner = json!({ "template": template });
    match kind.1 {
        "Job" => inner["template"]["spec"]["restartPolicy"] = json!("Never"),
        "CronJob" => {
            inner["template"]["spec"]["restartPolicy"] = json!("Never");
            inner = json!({ "schedule": "0 0 1 1 *", "jobTemplate": { "spec": inner } });
        }
        _ => {
            inner["selector"] =
                if kind.1 == "ReplicationController" { labels } else { json!({ "matchLabels": { "app": name } }) };
            if kind.1 != "DaemonSet" {
                inner["replicas"] = json!(replicas);
            }
            if kind.1 == "StatefulSet" {
                inner["serviceName"] = json!(name);
            }
        }
    }
    json!({
        "apiVersion": kind.0, "kind": kind.1,
        "metadata": { "namespace": namespace, "name": name },
        "spec": inner,
    })
}

/// A Deployment whose pods the scheduler places.
pub(crate) fn deployment(namespace: &str, name: &str, image: &str, replicas: u32) -> Value {
    template(TEMPLATES[0], namespace, name, replicas, &spec(image))
}

/// A pod's spec with one container.
pub(crate) fn spec(image: &str) -> Value {
    json!({ "containers": [{ "name": "app", "image": image }] })
}

/// A pull secret with these entries.
pub(crate) fn pull_secret(namespace: &str, name: &str, entries: &[(&str, (&str, &str))]) -> Value {
    let auths: Map<String, Value> = entries
        .iter()
        .map(|(key, (user, password))| {
            ((*key).to_owned(), json!({ "auth": STANDARD.encode(format!("{user}:{password}")) }))
        })
        .collect();
    secret(namespace, name, "kubernetes.io/dockerconfigjson", &json!({ "auths": auths }))
}

/// A Secret of any type around the document of a pull secret.
pub(crate) fn secret(namespace: &str, name: &str, kind: &str, content: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": { "namespace": namespace, "name": name },
        "stringData": { ".dockerconfigjson": content.to_string() },
    })
}

pub(crate) fn account(namespace: &str, name: &str, secrets: &[&str]) -> Value {
    let secrets: Vec<Value> = secrets.iter().map(|secret| json!({ "name": secret })).collect();
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "namespace": namespace, "name": name }, "imagePullSecrets": secrets,
    })
}

/// Makes an API that is not built in: Widgets, with any fields, and waits until it is served.
pub(crate) fn widgets(kubectl: &Kubectl) -> Result<(), Failure> {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "kind": "Widget", "plural": "widgets", "singular": "widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    });
    kubectl.apply(&definition)?.succeeded()?;
    until("the API of Widgets", || kubectl.run("-n default get widgets")?.succeeded().map(|_| Some(())))
}
