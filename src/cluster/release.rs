//! The objects of one release of the chart: waited for when it comes, deleted when it goes.

use std::fmt::Debug;
use std::time::Duration;

use ::kube::api::{DeleteParams, PropagationPolicy};
use ::kube::core::{ClusterResourceScope, NamespaceResourceScope};
use ::kube::{Api, Client, Resource};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::cluster::kubeconfig::{KubeError, KubeOptions};
use crate::cluster::server::{Server, cause};

/// Between two looks at an object that is waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// Limit for one call.
const CALL: Duration = Duration::from_secs(10);

/// How long the keeper may take to stop; a pod has 30 seconds.
const STOPPING: Duration = Duration::from_secs(90);

/// What the cluster did not do.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It took too long.
    #[error("deployment/{name} in namespace \"{namespace}\": {state} after {} s", .waited.as_secs())]
    NotReady {
        /// Which Deployment.
        name: String,
        /// Where.
        namespace: String,
        /// What was last seen.
        state: String,
        /// How long.
        waited: Duration,
    },
    /// The API server did not answer, or did not accept the login.
    #[error("{0}")]
    Server(#[from] KubeError),
    /// An object is still there.
    #[error("{}", .0.join("\n"))]
    Left(Vec<String>),
}

/// A release, by the full name of its objects.
pub struct Release {
    client: Client,
    server: Server,
    namespace: String,
}

// === impl Release ===

impl Release {
    /// The release in a namespace of the cluster that `options` name.
    ///
    /// # Errors
    /// When nothing says where the cluster is, or what says it is not usable.
    pub async fn connect(options: &KubeOptions, namespace: String) -> Result<Self, KubeError> {
        let (client, server) = options.client(CALL).await?;
        Ok(Self { client, server, namespace })
    }

    /// Waits until a replica of the Deployment is ready and, where `webhooks` names the configurations, API servers have
    /// something to trust it by: replicas do not wait for webhooks that are not there yet.
    ///
    /// # Errors
    /// When that is not so before `limit` is over.
    pub async fn ready(&self, name: &str, webhooks: Option<&str>, limit: Duration) -> Result<(), ReleaseError> {
        let (began, api) = (Instant::now(), self.namespaced::<Deployment>());
        loop {
            let state = match (self.untrusted(webhooks).await, api.get(name).await) {
                (Some(state), _) => state,
                (None, Ok(found))
                    if found.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0) > 0 =>
                {
                    return Ok(());
                }
                (None, Ok(_)) => {
                    format!("no replica is ready (kubectl -n {} describe deployment {name})", self.namespace)
                }
                (None, Err(error)) => said(&self.server, &error),
            };
            if began.elapsed() + PAUSE > limit {
                let (name, namespace) = (name.to_owned(), self.namespace.clone());
                return Err(ReleaseError::NotReady { name, namespace, state, waited: began.elapsed() });
            }
            sleep(PAUSE).await;
        }
    }

    /// What keeps API servers from trusting who answers for the webhooks of these configurations; one that is not there
    /// is asked nothing.
    async fn untrusted(&self, webhooks: Option<&str>) -> Option<String> {
        let name = webhooks?;
        let validating = self.cluster::<ValidatingWebhookConfiguration>().get_opt(name).await;
        let mutating = self.cluster::<MutatingWebhookConfiguration>().get_opt(name).await;
        let (validating, mutating) = match (validating, mutating) {
            (Ok(validating), Ok(mutating)) => (validating, mutating),
            (Err(error), _) | (_, Err(error)) => return Some(said(&self.server, &error)),
        };
        let validating = validating.into_iter().flat_map(|object| object.webhooks.unwrap_or_default());
        let mutating = mutating.into_iter().flat_map(|object| object.webhooks.unwrap_or_default());
        let mut clients = validating
            .map(|webhook| (webhook.name, webhook.client_config))
            .chain(mutating.map(|webhook| (webhook.name, webhook.client_config)));
        let without = clients.find(|(_, client)| client.ca_bundle.as_ref().is_none_or(|bundle| bundle.0.is_empty()));
        without.map(|(name, _)| format!("webhook {name} has no caBundle yet"))
    }

    /// Deletes both webhook configurations; gives a line for each that was there.
    ///
    /// # Errors
    /// Names each that could not be deleted; the other was tried all the same.
    pub async fn delete_webhooks(&self, name: &str) -> Result<Vec<String>, ReleaseError> {
        let mut done = Done::of(&self.server);
        done.delete(&self.cluster::<ValidatingWebhookConfiguration>(), name).await;
        done.delete(&self.cluster::<MutatingWebhookConfiguration>(), name).await;
        done.finish()
    }

    /// Stops the keeper, which would make them again, and deletes what it and the hooks made.
    ///
    /// # Errors
    /// Names each object that is still there.
    pub async fn delete_rest(&self, name: &str, secrets: &[String]) -> Result<Vec<String>, ReleaseError> {
        let (keeper, deployments) = (format!("{name}-keeper"), self.namespaced::<Deployment>());
        let mut done = Done::of(&self.server);
        done.delete(&deployments, &keeper).await;
        let began = Instant::now();
        // Deleted in the foreground: it is there until its pods are gone.
        while !matches!(deployments.get_opt(&keeper).await, Ok(None)) {
            if began.elapsed() > STOPPING {
                done.left.push(format!("deployment/{keeper}: it does not end"));
                return done.finish();
            }
            sleep(PAUSE).await;
        }
        for secret in secrets {
            done.delete(&self.namespaced::<Secret>(), secret).await;
        }
        done.delete(&self.namespaced::<Lease>(), &keeper).await;
        // What helm leaves of hooks that failed.
        done.delete(&self.namespaced::<Job>(), &format!("{name}-ready")).await;
        done.delete(&self.namespaced::<Pod>(), &format!("{name}-test")).await;
        done.delete(&self.cluster::<ClusterRoleBinding>(), &format!("{name}-armed")).await;
        done.finish()
    }

    fn namespaced<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn cluster<K: Resource<Scope = ClusterResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }
}

impl Debug for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Release").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// What was deleted, and what was not.
#[derive(Debug)]
struct Done<'r> {
    server: &'r Server,
    deleted: Vec<String>,
    left: Vec<String>,
    /// The API server gave no answer: what it was asked for is not worth a line each.
    silent: Option<KubeError>,
}

// === impl Done ===

impl<'r> Done<'r> {
    fn of(server: &'r Server) -> Self {
        Self { server, deleted: Vec::new(), left: Vec::new(), silent: None }
    }

    /// An object that is not there is as good as deleted.
    async fn delete<K>(&mut self, api: &Api<K>, name: &str)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let object = format!("{}/{name}", K::kind(&()).to_lowercase());
        let how = DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
        match api.delete(name, &how).await {
            Ok(_) => self.deleted.push(format!("{object} deleted")),
            Err(::kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => match unanswered(self.server, &error) {
                Some(silent) => self.silent = Some(silent),
                None => self.left.push(format!("{object}: {}", said(self.server, &error))),
            },
        }
    }

    fn finish(self) -> Result<Vec<String>, ReleaseError> {
        if let Some(silent) = self.silent {
            return Err(silent.into());
        }
        if self.left.is_empty() { Ok(self.deleted) } else { Err(ReleaseError::Left(self.left)) }
    }
}

/// What the API server said, or why it said nothing.
fn said(server: &Server, error: &::kube::Error) -> String {
    match (unanswered(server, error), error) {
        (Some(silent), _) => silent.to_string(),
        (None, ::kube::Error::Api(status)) => status.message.clone(),
        (None, _) => String::new(),
    }
}

/// Why the API server did nothing for anybody; none where it answered.
fn unanswered(server: &Server, error: &::kube::Error) -> Option<KubeError> {
    match error {
        ::kube::Error::Api(status) if status.code == 401 => Some(KubeError::LoginNotAccepted(server.clone())),
        ::kube::Error::Api(_) => None,
        error => Some(KubeError::Unreachable { server: server.clone(), cause: cause(error) }),
    }
}
