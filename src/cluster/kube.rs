//! A cluster through its API server: one `get` by name at a time, held for 30 seconds. Only Nodes are listed and watched.

use std::sync::Arc;
use std::time::Duration;

use ::kube::{Api, Client};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::cluster::kubeconfig::{KubeError, KubeOptions, Target, client};
use crate::cluster::nodes::{NodeWatch, Trouble};
use crate::cluster::server::{Server, cause};
use crate::cluster::tokens::KubeTokens;
use crate::cluster::{Cluster, ReadFuture, Reading, account_names, pull_secret};
use crate::credentials::PullSecret;
use crate::nodes::Nodes;
use crate::time::{Clock, since};

/// How long a reading answers without another call.
const HELD: Duration = Duration::from_secs(30);

/// How long a cluster that did not answer is left alone.
const UNAVAILABLE_HELD: Duration = Duration::from_secs(1);

/// How long the last state of an object may stand in for a cluster that does not answer; it can then still allow.
const LAST_RESORT: Duration = Duration::from_mins(10);

/// Limit for one call. A review has registries to ask as well.
pub(super) const CALL: Duration = Duration::from_secs(2);

/// How long a watch may be silent: an API server ends one after 5 to 10 minutes at most, the client asks for less.
const WATCH: Duration = Duration::from_secs(295);

/// Calls under way at once.
const MAX_CALLS: usize = 64;

/// Objects held at most.
const MAX_OBJECTS: u64 = 20_000;

/// The API server behind a client.
pub struct KubeCluster {
    client: Client,
    clock: Clock,
    secrets: Held<Arc<PullSecret>>,
    accounts: Held<Vec<String>>,
    turns: Arc<Semaphore>,
    nodes: Arc<NodeWatch>,
    following: Option<AbortHandle>,
    server: Option<Server>,
}

/// Readings by namespace and name, each with the time at which its call began.
type Held<T> = Cache<(String, String), (Reading<T>, Timestamp)>;

// === impl KubeCluster ===

impl KubeCluster {
    /// A client for the cluster that `options` name, which follows its Nodes from now on. Waits a moment for the first
    /// list of them; a cluster that does not answer, or refuses, is no error.
    ///
    /// # Errors
    /// When nothing says where the cluster is, or what says it is not usable.
    pub async fn connect(options: &KubeOptions, clock: Clock) -> Result<Self, KubeError> {
        let Target { config, server } = options.target()?;
        let mut cluster = Self::new(client(config.clone(), CALL, &server).await?, clock);
        let (nodes, patient) = (Arc::clone(&cluster.nodes), client(config, WATCH, &server).await?);
        cluster.server = Some(server);
        cluster.following = Some(tokio::spawn(async move { nodes.follow(patient).await }).abort_handle());
        cluster.nodes.first(CALL).await;
        Ok(cluster)
    }

    /// Tokens of its `ServiceAccounts`.
    pub fn tokens(&self) -> KubeTokens {
        KubeTokens::new(self.client.clone(), self.clock.clone())
    }

    /// The cluster behind a client; its Nodes are not followed.
    pub fn new(client: Client, clock: Clock) -> Self {
        Self {
            client,
            clock,
            secrets: Cache::builder().max_capacity(MAX_OBJECTS).time_to_live(LAST_RESORT).build(),
            accounts: Cache::builder().max_capacity(MAX_OBJECTS).time_to_live(LAST_RESORT).build(),
            turns: Arc::new(Semaphore::new(MAX_CALLS)),
            nodes: Arc::default(),
            following: None,
            server: None,
        }
    }

    /// Which API server it is, where it was connected to by name.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// What keeps the API server from answering, as far as its Nodes were asked for. That they may not be listed is an
    /// answer.
    pub fn trouble(&self) -> Option<KubeError> {
        let server = self.server.clone()?;
        match self.nodes.trouble()? {
            Trouble::Unauthenticated => Some(KubeError::LoginNotAccepted(server)),
            Trouble::Unreachable(cause) => Some(KubeError::Unreachable { server, cause }),
        }
    }

    /// One reading: held, or called for by a task of its own, which all callers of one object share.
    async fn read<K, T>(
        &self,
        held: &Held<T>,
        namespace: &str,
        name: &str,
        not_before: Option<Timestamp>,
        convert: fn(K) -> T,
    ) -> Reading<T>
    where
        K: ::kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug,
        K: serde::de::DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
        T: Clone + Send + Sync + 'static,
    {
        let key = (namespace.to_owned(), name.to_owned());
        let good = {
            let clock = self.clock.clone();
            move |reading: &Reading<T>, at: Timestamp| {
                let held = if matches!(reading, Reading::Unavailable(_)) { UNAVAILABLE_HELD } else { HELD };
                since(at, clock()) < held && not_before.is_none_or(|not_before| at >= not_before)
            }
        };
        let before = held.get(&key).await;
        if let Some((reading, at)) = &before
            && good(reading, *at)
        {
            return reading.clone();
        }
        let task = tokio::spawn({
            let (held, key, clock, turns) = (held.clone(), key.clone(), self.clock.clone(), Arc::clone(&self.turns));
            let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
            async move {
                let mut newest = None;
                // A call that was already under way may have begun too early for this caller: then one more is made.
                for _ in 0..2 {
                    let call = async {
                        let began = clock();
                        (call(&api, &key.1, &turns, convert).await, began)
                    };
                    let entry =
                        held.entry(key.clone()).or_insert_with_if(call, |(reading, at)| !good(reading, *at)).await;
                    let enough = entry.is_fresh() || good(&entry.value().0, entry.value().1);
                    newest = Some(entry.into_value().0);
                    if enough {
                        break;
                    }
                }
                newest
            }
        });
        let reading = match task.await {
            Ok(Some(reading)) => reading,
            Ok(None) | Err(_) => Reading::Unavailable("pullgate failed while it asked the API server".to_owned()),
        };
        match (reading, before) {
            // The last state may allow; what would deny asks with `not_before` and is told the truth.
            (Reading::Unavailable(_), Some((Reading::Found(last), _))) if not_before.is_none() => Reading::Found(last),
            (reading, _) => reading,
        }
    }
}

impl Drop for KubeCluster {
    fn drop(&mut self) {
        if let Some(following) = &self.following {
            following.abort();
        }
    }
}

impl std::fmt::Debug for KubeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeCluster")
    }
}

impl Cluster for KubeCluster {
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Arc<PullSecret>> {
        let convert = |secret: Secret| Arc::new(pull_secret(secret));
        Box::pin(self.read(&self.secrets, namespace, name, not_before, convert))
    }

    fn account_pull_secrets<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Vec<String>> {
        Box::pin(
            self.read(&self.accounts, namespace, name, not_before, |account: ServiceAccount| account_names(account)),
        )
    }

    fn nodes(&self) -> Option<Arc<Nodes>> {
        self.nodes.snapshot()
    }
}

async fn call<K, T>(api: &Api<K>, name: &str, turns: &Semaphore, convert: fn(K) -> T) -> Reading<T>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let asked = timeout(CALL, async {
        let _turn = turns.acquire().await;
        api.get(name).await
    });
    reading(asked.await, convert)
}

/// What a call within [`CALL`] came to.
pub(super) fn reading<K, T>(
    asked: Result<Result<K, ::kube::Error>, Elapsed>,
    convert: impl FnOnce(K) -> T,
) -> Reading<T> {
    match asked {
        Ok(Ok(object)) => Reading::Found(convert(object)),
        Ok(Err(::kube::Error::Api(status))) if status.code == 404 => Reading::Absent,
        Ok(Err(::kube::Error::Api(status))) if status.code == 401 => Reading::Unauthenticated,
        Ok(Err(::kube::Error::Api(status))) if status.code == 403 => Reading::Forbidden,
        Ok(Err(::kube::Error::Api(status))) => Reading::Unavailable(format!("the API server answered {}", status.code)),
        Ok(Err(error)) => Reading::Unavailable(format!("the API server {}", cause(&error))),
        Err(_) => Reading::Unavailable(format!("the API server did not answer within {CALL:?}")),
    }
}
