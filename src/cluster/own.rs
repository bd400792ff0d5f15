//! pullgate's own objects through the API server: the Secrets of its certificate, the webhook configurations, the addresses
//! of its replicas. Each is read by name and written only where nobody else has in between.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ::kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use ::kube::{Api, Client};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::kube::CALL;
use super::kubeconfig::{KubeError, KubeOptions};
use super::server::cause;

/// The label of an `EndpointSlice` that names its Service (kubernetes/api `discovery/v1/well_known_labels.go`).
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The port of the Service behind which metrics are, not the webhook.
const METRICS_PORT: &str = "metrics";

/// Who a write is by, in the object's managed fields.
const FIELD_MANAGER: &str = "pullgate";

/// Own objects, in one namespace.
#[derive(Clone)]
pub struct Own {
    client: Client,
    namespace: String,
}

/// Why an object could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    /// RBAC does not let pullgate.
    #[error("pullgate may not {verb} {what}")]
    Forbidden {
        /// `get`, `patch`, …
        verb: &'static str,
        /// Kind and name.
        what: String,
    },
    /// Somebody else wrote it in between.
    #[error("{what} was changed by somebody else meanwhile")]
    Conflict {
        /// Kind and name.
        what: String,
    },
    /// No answer, or one that is no good.
    #[error("cannot {verb} {what}: {why}")]
    Unavailable {
        /// `get`, `patch`, …
        verb: &'static str,
        /// Kind and name.
        what: String,
        /// In words.
        why: String,
    },
}

/// A Secret as it was read.
#[derive(Clone, Default)]
pub struct OwnSecret {
    /// What is in it.
    pub data: BTreeMap<String, ByteString>,
    /// None: it is not there.
    pub version: Option<String>,
}

/// Which of the two kinds of webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// Calls `/validate`.
    Validating,
    /// Calls `/mutate`.
    Mutating,
}

/// A webhook configuration as it was read.
#[derive(Clone, Debug)]
pub struct HookObject {
    /// Which.
    pub kind: HookKind,
    /// Its webhooks, in order.
    pub hooks: Vec<Hook>,
    version: String,
}

/// How API servers call one webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    name: String,
    /// PEM; empty if nothing is said.
    pub bundle: Vec<u8>,
    /// Where it is not a Service.
    pub url: Option<String>,
    /// The path of the Service, or of the URL.
    pub path: String,
}

// === impl Own ===

impl Own {
    /// A client for the objects in `namespace`.
    ///
    /// # Errors
    /// When nothing says where the cluster is, or what says it is not usable.
    pub async fn connect(options: &KubeOptions, namespace: &str) -> Result<Self, KubeError> {
        Ok(Self { client: options.client(CALL).await?.0, namespace: namespace.to_owned() })
    }

    /// The client, for the Lease.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A Secret, empty if it is not there.
    ///
    /// # Errors
    /// When that is not known.
    pub async fn secret(&self, name: &str) -> Result<OwnSecret, OwnError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = asked("get", || format!("Secret \"{name}\""), api.get_opt(name)).await?;
        Ok(secret.map_or_else(OwnSecret::default, |secret| OwnSecret {
            data: secret.data.unwrap_or_default(),
            version: secret.metadata.resource_version,
        }))
    }

    /// Writes these keys of a Secret over what was read, and no other key; an empty value removes its key. Makes the
    /// Secret if it was not there.
    ///
    /// # Errors
    /// When it was changed meanwhile, or could not be written.
    pub async fn write_secret(
        &self,
        name: &str,
        kind: &str,
        labels: BTreeMap<String, String>,
        read: &OwnSecret,
        data: &BTreeMap<String, ByteString>,
    ) -> Result<(), OwnError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let what = || format!("Secret \"{name}\"");
        let Some(version) = &read.version else {
            let data = data.iter().filter(|(_, value)| !value.0.is_empty());
            let secret = Secret {
                metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
                type_: Some(kind.to_owned()),
                data: Some(data.map(|(key, value)| (key.clone(), value.clone())).collect()),
                ..Secret::default()
            };
            let by = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            return asked("create", what, api.create(&by, &secret)).await.map(drop);
        };
        let data: BTreeMap<&String, Option<&ByteString>> =
            data.iter().map(|(key, value)| (key, Some(value).filter(|value| !value.0.is_empty()))).collect();
        let patch = json!({ "metadata": { "resourceVersion": version }, "data": data });
        let by = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        asked("patch", what, api.patch(name, &by, &Patch::Merge(patch))).await.map(drop)
    }

    /// The webhook configurations of this name, those that are there.
    ///
    /// # Errors
    /// When either could not be read.
    pub async fn hooks(&self, name: &str) -> Result<Vec<HookObject>, OwnError> {
        let mut objects = Vec::new();
        let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let kind = HookKind::Validating;
        if let Some(object) = asked("get", || kind.what(name), api.get_opt(name)).await? {
            let hooks = object.webhooks.unwrap_or_default().into_iter().map(|hook| (hook.name, hook.client_config));
            objects.push(HookObject::new(kind, object.metadata, hooks));
        }
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let kind = HookKind::Mutating;
        if let Some(object) = asked("get", || kind.what(name), api.get_opt(name)).await? {
            let hooks = object.webhooks.unwrap_or_default().into_iter().map(|hook| (hook.name, hook.client_config));
            objects.push(HookObject::new(kind, object.metadata, hooks));
        }
        Ok(objects)
    }

    /// Writes how API servers call each webhook of `object`, in its order, over what was read; what is the same is left
    /// alone. Says whether anything was different.
    ///
    /// # Errors
    /// When it was changed meanwhile, or could not be written.
    pub async fn write_hooks(&self, name: &str, object: &HookObject, hooks: &[Hook]) -> Result<bool, OwnError> {
        let changes: Vec<Value> =
            object.hooks.iter().zip(hooks).filter(|(is, should)| is != should).map(|(_, hook)| hook.patch()).collect();
        if changes.is_empty() {
            return Ok(false);
        }
        // Webhooks are merged by name (kubernetes/api `admissionregistration/v1`, patchMergeKey); a version that is not
        // the object's is a conflict.
        let patch = json!({ "metadata": { "resourceVersion": object.version }, "webhooks": changes });
        let (by, patch) = (
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() },
            Patch::Strategic(patch),
        );
        let what = || object.kind.what(name);
        match object.kind {
            HookKind::Validating => {
                let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
                asked("patch", what, api.patch(name, &by, &patch)).await.map(|_| true)
            }
            HookKind::Mutating => {
                let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
                asked("patch", what, api.patch(name, &by, &patch)).await.map(|_| true)
            }
        }
    }

    /// Where the replicas behind a Service listen, ready or not, those left out that are about to end.
    ///
    /// # Errors
    /// When that could not be read.
    pub async fn replicas(&self, service: &str) -> Result<Vec<SocketAddr>, OwnError> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let named = ListParams::default().labels(&format!("{SERVICE_LABEL}={service}"));
        let slices = asked("list", || "EndpointSlices".to_owned(), api.list(&named)).await?;
        let mut replicas = Vec::new();
        for slice in slices {
            let ports = slice.ports.unwrap_or_default();
            let ports = ports.iter().filter(|port| port.name.as_deref() != Some(METRICS_PORT));
            let ports: Vec<u16> = ports.filter_map(|port| port.port.and_then(|port| port.try_into().ok())).collect();
            let staying = slice.endpoints.into_iter().filter(|endpoint| {
                endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating) != Some(true)
            });
            let addresses = staying.filter_map(|endpoint| endpoint.addresses.first()?.parse::<IpAddr>().ok());
            replicas
                .extend(addresses.flat_map(|address| ports.iter().map(move |port| SocketAddr::new(address, *port))));
        }
        replicas.sort_unstable();
        replicas.dedup();
        Ok(replicas)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSecret").field("version", &self.version).finish_non_exhaustive()
    }
}

/// One call within its time.
pub(super) async fn asked<T: DeserializeOwned>(
    verb: &'static str,
    what: impl Fn() -> String,
    call: impl Future<Output = Result<T, ::kube::Error>>,
) -> Result<T, OwnError> {
    let unavailable = |why: String| OwnError::Unavailable { verb, what: what(), why };
    match timeout(CALL, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(::kube::Error::Api(status))) => Err(match status.code {
            401 => unavailable("the API server does not accept the login (401 Unauthorized)".to_owned()),
            403 => OwnError::Forbidden { verb, what: what() },
            409 => OwnError::Conflict { what: what() },
            // Who deletes what is about to be patched was quicker, too.
            404 if verb == "patch" => OwnError::Conflict { what: what() },
            code => unavailable(format!("the API server answered {code}")),
        }),
        Ok(Err(error)) => Err(unavailable(format!("the API server {}", cause(&error)))),
        Err(_) => Err(unavailable(format!("the API server did not answer within {CALL:?}"))),
    }
}

// === impl HookKind ===

impl HookKind {
    /// What the path begins with.
    pub fn path(self) -> &'static str {
        match self {
            Self::Validating => "/validate",
            Self::Mutating => "/mutate",
        }
    }

    fn what(self, name: &str) -> String {
        match self {
            Self::Validating => format!("ValidatingWebhookConfiguration \"{name}\""),
            Self::Mutating => format!("MutatingWebhookConfiguration \"{name}\""),
        }
    }
}

// === impl HookObject ===

impl HookObject {
    fn new(kind: HookKind, metadata: ObjectMeta, hooks: impl Iterator<Item = (String, WebhookClientConfig)>) -> Self {
        let hooks = hooks.map(|(name, client)| Hook::new(name, client)).collect();
        Self { kind, hooks, version: metadata.resource_version.unwrap_or_default() }
    }
}

// === impl Hook ===

impl Hook {
    fn new(name: String, client: WebhookClientConfig) -> Self {
        let bundle = client.ca_bundle.map(|bundle| bundle.0).unwrap_or_default();
        let path = match (&client.url, client.service) {
            (Some(url), _) => url::Url::parse(url).map(|url| url.path().to_owned()).unwrap_or_default(),
            (None, service) => service.and_then(|service| service.path).unwrap_or_default(),
        };
        Self { name, bundle, url: client.url, path }
    }

    /// The host of the URL, as a certificate names it.
    pub fn host(&self) -> Option<String> {
        let url = url::Url::parse(self.url.as_deref()?).ok()?;
        url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned())
    }

    fn patch(&self) -> Value {
        let mut client = match self.url.as_deref().and_then(|url| url::Url::parse(url).ok()) {
            Some(mut url) => {
                url.set_path(&self.path);
                json!({ "url": url.as_str() })
            }
            None => json!({ "service": { "path": self.path } }),
        };
        if !self.bundle.is_empty() {
            client["caBundle"] = json!(ByteString(self.bundle.clone()));
        }
        json!({ "name": self.name, "clientConfig": client })
    }
}

impl fmt::Debug for Hook {
    /// Without the path, which is known to API servers alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("name", &self.name).finish_non_exhaustive()
    }
}
