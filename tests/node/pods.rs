//! Rows → the objects of the cluster, and the node's answer read back from a pod's status.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cases::{Field, Row, Secret};
use crate::node;

/// The namespace of all rows.
pub(crate) const NAMESPACE: &str = "rows";

/// What the node did with the image of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Saw {
    /// The container ran and ended with 0.
    Ran,
    /// The image is there; this came of it.
    Pulled(String),
    /// The container waits.
    Waits { reason: String, message: String },
}

/// What stands before everything else: the namespace, and the account that no controller makes here, without which no
/// pod is admitted.
pub(crate) fn ground() -> Vec<Value> {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    vec![namespace, account("default", Vec::new())]
}

/// The Secrets of a row, and its `ServiceAccount`.
pub(crate) fn secrets(row: &Row) -> Vec<Value> {
    let own = row.secrets.iter().enumerate().filter_map(|(index, secret)| stored(&own_name(row, index), secret));
    let of_account = row.account_secrets.iter().enumerate();
    let mut objects: Vec<Value> =
        own.chain(of_account.filter_map(|(index, secret)| stored(&account_name(row, index), secret))).collect();
    if !row.account_secrets.is_empty() {
        let names = (0..row.account_secrets.len()).map(|index| account_name(row, index));
        objects.push(account(&row.pod(), names.collect()));
    }
    objects
}

/// What the status of a row's pod says, once it says something that lasts.
pub(crate) fn saw(row: &Row, pod: &Value) -> Option<Saw> {
    let statuses = match row.field {
        Field::Init => &pod["status"]["initContainerStatuses"],
        // A volume's image is waited for by the container that mounts it.
        Field::Container | Field::Volume => &pod["status"]["containerStatuses"],
    };
    let status = statuses.as_array()?.first()?;
    let state = &status["state"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(ended) = state.get("terminated") {
        return Some(if ended["exitCode"] == 0 {
            Saw::Ran
        } else {
            Saw::Pulled(format!("{}: {}", text(&ended["reason"]), text(&ended["message"])))
        });
    }
    if state.get("running").is_some() {
        return Some(Saw::Ran);
    }
    let waiting = state.get("waiting")?;
    let (reason, message) = (text(&waiting["reason"]), text(&waiting["message"]));
    match reason.as_str() {
        "" | "ContainerCreating" | "PodInitializing" => None,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "CrashLoopBackOff" => {
            Some(Saw::Pulled(format!("{reason}: {message}")))
        }
        // The message keeps the error behind two words of the kubelet's own (`pkg/kubelet/images/image_manager.go`).
        "ImagePullBackOff" => {
            let (_, error) = message.split_once(": ErrImagePull: ")?;
            Some(Saw::Waits { reason: "ErrImagePull".to_owned(), message: error.to_owned() })
        }
        _ => Some(Saw::Waits { reason, message }),
    }
}

fn own_name(row: &Row, index: usize) -> String {
    format!("{}-{}", row.pod(), index + 1)
}

fn account_name(row: &Row, index: usize) -> String {
    format!("{}-account-{}", row.pod(), index + 1)
}

fn account(name: &str, secrets: Vec<String>) -> Value {
    let secrets: Vec<Value> = secrets.into_iter().map(|name| json!({ "name": name })).collect();
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": NAMESPACE, "name": name },
        "imagePullSecrets": secrets, "automountServiceAccountToken": false,
    })
}

fn stored(name: &str, secret: &Secret) -> Option<Value> {
    let Secret::Stored { kind, key, content } = secret else { return None };
    Some(json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": { "namespace": NAMESPACE, "name": name },
        "data": { *key: STANDARD.encode(content) },
    }))
}

/// The pod of a row, bound to the node by name, for nobody schedules; `sound` is an image that anybody may pull.
pub(crate) fn pod(row: &Row, sound: &str) -> Value {
    // The sandbox of a pod that is not privileged gets a seccomp profile, and a runc without libseccomp refuses it.
    let container = |name: &str, image: &str, policy: &str| {
        let privileged = json!({ "privileged": true });
        json!({ "name": name, "image": image, "imagePullPolicy": policy, "securityContext": privileged })
    };
    let names: Vec<Value> = (0..row.secrets.len()).map(|index| json!({ "name": own_name(row, index) })).collect();
    let mut spec = json!({
        "nodeName": node::NAME, "hostNetwork": true, "restartPolicy": "Never", "enableServiceLinks": false,
        "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
        "imagePullSecrets": names,
    });
    if !row.account_secrets.is_empty() {
        spec["serviceAccountName"] = json!(row.pod());
    }
    match row.field {
        Field::Container => spec["containers"] = json!([container("app", &row.image, row.policy)]),
        Field::Init => {
            spec["initContainers"] = json!([container("first", &row.image, row.policy)]);
            spec["containers"] = json!([container("app", sound, "IfNotPresent")]);
        }
        Field::Volume => {
            let mut app = container("app", sound, "IfNotPresent");
            app["volumeMounts"] = json!([{ "name": "files", "mountPath": "/files" }]);
            spec["containers"] = json!([app]);
            spec["volumes"] =
                json!([{ "name": "files", "image": { "reference": row.image, "pullPolicy": row.policy } }]);
        }
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": NAMESPACE, "name": row.pod() }, "spec": spec })
}
