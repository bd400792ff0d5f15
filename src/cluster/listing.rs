//! Everything of a cluster that can name a pull secret, listed page by page. Secrets themselves are not asked for.

use std::fmt;
use std::time::Duration;

use ::kube::api::{ApiResource, DynamicObject, ListParams};
use ::kube::core::GroupVersionKind;
use ::kube::{Api, Client};
use serde_json::Value;

use crate::cluster::kubeconfig::{KubeError, KubeOptions};
use crate::cluster::server::{Server, cause};

/// Objects in one answer.
const PAGE: u32 = 500;

/// Limit for one page.
const CALL: Duration = Duration::from_secs(30);

/// What names pull secrets. The pods of other kinds are there to be seen, unless these are scaled to none.
const KINDS: [(&str, &str, &str); 9] = [
    ("", "ServiceAccount", "serviceaccounts"),
    ("", "Pod", "pods"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("apps", "Deployment", "deployments"),
    ("apps", "StatefulSet", "statefulsets"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "ReplicaSet", "replicasets"),
    ("batch", "Job", "jobs"),
    ("batch", "CronJob", "cronjobs"),
];

/// A cluster with the rights of whoever asks.
pub struct Workloads {
    client: Client,
    server: Server,
}

/// How far a listing went: a line for each kind that could not be listed, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Empty: everything was seen.
    pub unseen: Vec<String>,
}

// === impl Workloads ===

impl Workloads {
    /// A client for the cluster that `options` name.
    ///
    /// # Errors
    /// When nothing says where the cluster is, or what says it is not usable.
    pub async fn connect(options: &KubeOptions) -> Result<Self, KubeError> {
        let (client, server) = options.client(CALL).await?;
        Ok(Self { client, server })
    }

    /// Gives every workload and `ServiceAccount` of one namespace, or of all, to `take`.
    ///
    /// # Errors
    /// When the API server does not answer, or does not accept the login: then nothing at all can be listed.
    pub async fn each(
        &self,
        namespace: Option<&str>,
        listed: &mut Listed,
        mut take: impl FnMut(&Value),
    ) -> Result<(), KubeError> {
        for (group, kind, plural) in KINDS {
            let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
            let api: Api<DynamicObject> = match namespace {
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                None => Api::all_with(self.client.clone(), &resource),
            };
            if let Err(error) = pages(&api, &mut take).await {
                let place = namespace.map_or("every namespace".to_owned(), |name| format!("namespace \"{name}\""));
                let server = || self.server.clone();
                match error {
                    ::kube::Error::Api(status) if status.code == 401 => {
                        return Err(KubeError::LoginNotAccepted(server()));
                    }
                    ::kube::Error::Api(status) => {
                        listed.unseen.push(format!("{plural} in {place}: {}", status.message));
                    }
                    error => return Err(KubeError::Unreachable { server: server(), cause: cause(&error) }),
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Workloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workloads")
    }
}

async fn pages(api: &Api<DynamicObject>, take: &mut impl FnMut(&Value)) -> Result<(), ::kube::Error> {
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&page).await?;
        for object in list.items {
            take(&serde_json::to_value(object).map_err(::kube::Error::SerdeError)?);
        }
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => page.continue_token = Some(token),
            _ => return Ok(()),
        }
    }
}
