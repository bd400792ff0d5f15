//! A cluster as it is once the objects of some manifests are applied to it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Cluster, ReadFuture, Reading, account_names, secret_object};
use crate::credentials::{self, PullSecret};
use crate::manifests::Object;
use crate::nodes::Nodes;

/// By namespace and name.
type Key = (String, String);

/// The Secrets and `ServiceAccounts` of manifests.
#[derive(Debug, Default)]
pub struct Applied {
    /// An error where the Secret does not decode.
    secrets: HashMap<Key, Result<Arc<PullSecret>, String>>,
    /// None where the object has no `imagePullSecrets`: applying it leaves those of the cluster as they are.
    accounts: HashMap<Key, Option<Vec<String>>>,
    /// Kind, namespace and name of each that can matter to a pull, in order.
    named: Vec<String>,
}

/// A cluster, the objects of manifests over it, and a login of the machine.
#[derive(Debug)]
pub struct Overlay {
    inner: Arc<dyn Cluster>,
    applied: Applied,
    login: Option<Arc<PullSecret>>,
}

// === impl Applied ===

impl Applied {
    /// Takes an object if it is a Secret or a `ServiceAccount`; `namespace` is for one that names none.
    pub fn take(&mut self, object: &Object, namespace: &str) {
        let key = (object.namespace().unwrap_or(namespace).to_owned(), object.name().to_owned());
        match (object.api_version(), object.kind()) {
            ("v1", "Secret") => {
                let secret = match secret_object::decode(object) {
                    Ok(secret) => Arc::new(secret),
                    Err(error) => {
                        // A value may be encrypted until it is applied. The place says enough.
                        let place = format!("{}:{}", error.file, error.position.line);
                        self.secrets.insert(key, Err(format!("it does not decode in {place}")));
                        return;
                    }
                };
                if credentials::contributes(&secret).is_ok() {
                    self.named.push(format!("Secret {}/{}", key.0, key.1));
                }
                self.secrets.insert(key, Ok(secret));
            }
            ("v1", "ServiceAccount") => {
                let Ok(account) = object.decode::<ServiceAccount>() else { return };
                self.named.push(format!("ServiceAccount {}/{}", key.0, key.1));
                let names = account.image_pull_secrets.is_some().then(|| account_names(account));
                self.accounts.insert(key, names);
            }
            _ => {}
        }
    }

    /// `Secret shop/regcred` and the like: the pull secrets and `ServiceAccounts` that were taken.
    pub fn named(&self) -> &[String] {
        &self.named
    }
}

// === impl Overlay ===

impl Overlay {
    /// `inner` once `applied` is applied to it, and a login that goes before every pull secret.
    pub fn new(inner: Arc<dyn Cluster>, applied: Applied, login: Option<Arc<PullSecret>>) -> Self {
        Self { inner, applied, login }
    }
}

impl Cluster for Overlay {
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Arc<PullSecret>> {
        let Some(secret) = self.applied.secrets.get(&(namespace.to_owned(), name.to_owned())) else {
            return self.inner.pull_secret(namespace, name, not_before);
        };
        Box::pin(async move {
            match secret {
                Err(why) => Reading::Unavailable(why.clone()),
                Ok(secret) if credentials::contributes(secret).is_ok() => Reading::Found(Arc::clone(secret)),
                // What it does not have stays as it is in the cluster.
                Ok(secret) => match self.inner.pull_secret(namespace, name, not_before).await {
                    Reading::Absent => Reading::Found(Arc::clone(secret)),
                    reading => reading,
                },
            }
        })
    }

    fn account_pull_secrets<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Vec<String>> {
        match self.applied.accounts.get(&(namespace.to_owned(), name.to_owned())) {
            None => self.inner.account_pull_secrets(namespace, name, not_before),
            Some(Some(names)) => Box::pin(std::future::ready(Reading::Found(names.clone()))),
            Some(None) => Box::pin(async move {
                match self.inner.account_pull_secrets(namespace, name, not_before).await {
                    Reading::Absent => Reading::Found(Vec::new()),
                    reading => reading,
                }
            }),
        }
    }

    fn nodes(&self) -> Option<Arc<Nodes>> {
        self.inner.nodes()
    }

    fn is_given(&self) -> bool {
        self.inner.is_given()
    }

    fn local_login(&self) -> Option<Arc<PullSecret>> {
        self.login.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::files::{Contents, FileCluster};
    use crate::cluster::no_cluster::NoCluster;
    use crate::manifests::Source;

    const CLUSTER: &str = r"
{kind: Secret, apiVersion: v1, metadata: {name: kept}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{}'}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: patched}, imagePullSecrets: [{name: theirs}]}
";

    const FILES: &str = r#"
{kind: Secret, apiVersion: v1, metadata: {name: kept}, type: kubernetes.io/dockerconfigjson}
---
{kind: Secret, apiVersion: v1, metadata: {name: own}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{"a": 1}'}}
---
{kind: Secret, apiVersion: v1, metadata: {name: encrypted}, data: {.dockerconfigjson: 'ENC[AES256_GCM,data:hunter2]'}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: patched}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: made}}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: emptied}, imagePullSecrets: []}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: named, namespace: other}, imagePullSecrets: [{name: own}]}
"#;

    fn overlay(inner: Arc<dyn Cluster>) -> Overlay {
        let mut applied = Applied::default();
        for object in Source::new("f.yaml", FILES.as_bytes()).objects() {
            applied.take(&object.unwrap(), "default");
        }
        Overlay::new(inner, applied, None)
    }

    #[tokio::test]
    async fn what_is_applied_goes_over_what_is_there() {
        let inner = FileCluster::of(Contents::parse(CLUSTER, "c.yaml").unwrap());
        let cluster = overlay(Arc::new(inner));
        let value = |reading: Reading<Arc<PullSecret>>| match reading {
            Reading::Found(secret) => secret.value(".dockerconfigjson").map(<[u8]>::to_vec),
            other => panic!("{other:?}"),
        };
        assert_eq!(value(cluster.pull_secret("default", "kept", None).await), Some(b"{}".to_vec()));
        assert_eq!(value(cluster.pull_secret("default", "own", None).await), Some(b"{\"a\": 1}".to_vec()));
        assert!(matches!(cluster.pull_secret("other", "own", None).await, Reading::Absent));
        let Reading::Unavailable(why) = cluster.pull_secret("default", "encrypted", None).await else { panic!() };
        assert!(why.contains("does not decode in f.yaml") && !why.contains("hunter2"), "{why}");
        for (namespace, name, expected) in [
            ("default", "patched", Reading::Found(vec!["theirs".to_owned()])),
            ("default", "made", Reading::Found(Vec::new())),
            ("default", "emptied", Reading::Found(Vec::new())),
            ("default", "named", Reading::Absent),
            ("other", "named", Reading::Found(vec!["own".to_owned()])),
        ] {
            assert_eq!(cluster.account_pull_secrets(namespace, name, None).await, expected, "{namespace}/{name}");
        }
        assert_eq!(cluster.applied.named().len(), 5, "{:?}", cluster.applied.named());
    }

    #[tokio::test]
    async fn without_a_cluster_what_no_file_has_is_not_known() {
        let cluster = overlay(Arc::new(NoCluster));
        assert!(matches!(cluster.pull_secret("default", "own", None).await, Reading::Found(_)));
        assert!(matches!(cluster.pull_secret("default", "kept", None).await, Reading::NoCluster));
        assert_eq!(cluster.account_pull_secrets("default", "made", None).await, Reading::NoCluster);
        assert_eq!(cluster.account_pull_secrets("default", "emptied", None).await, Reading::Found(Vec::new()));
        assert!(!cluster.is_given());
    }
}
