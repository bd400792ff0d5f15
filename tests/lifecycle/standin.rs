//! A stand-in for the kubelet: pods of one namespace that the scheduler put on the node → processes of the built
//! pullgate, each on an address of its own, with the arguments, environment, volumes and probes of its spec, its status
//! written back, and ended as a kubelet ends a pod.

mod pod;
mod process;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

/// How often the API server is asked for the node's pods.
const EVERY: Duration = Duration::from_millis(100);

/// The node and what runs on it.
pub(crate) struct Node {
    running: Arc<Mutex<BTreeMap<String, Replica>>>,
}

/// A pod's process.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    /// Of the pod.
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) process: i32,
    pub(crate) log: PathBuf,
    /// The port of `/metrics`.
    pub(crate) admin: Option<u16>,
    /// Whether API servers call it: its container names a port `webhook`.
    pub(crate) serves: bool,
    pub(crate) ready: bool,
}

/// What all pods of the node share.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) node: String,
    /// For the directories of pods.
    pub(crate) dir: PathBuf,
    /// A kubeconfig without a user.
    pub(crate) kubeconfig: Value,
    addresses: Arc<AtomicU8>,
    running: Arc<Mutex<BTreeMap<String, Replica>>>,
}

/// The newest state of a pod; none when it is gone from the API server.
type News = watch::Receiver<Option<Arc<Pod>>>;

// === impl Node ===

impl Node {
    /// Runs what is and will be bound to the node, for as long as the runtime lives.
    pub(crate) fn start(
        runtime: &Handle,
        client: Client,
        namespace: &str,
        node: &str,
        dir: PathBuf,
        kubeconfig: Value,
    ) -> Self {
        let running = Arc::<Mutex<BTreeMap<String, Replica>>>::default();
        let ground = Ground {
            client,
            namespace: namespace.to_owned(),
            node: node.to_owned(),
            dir,
            kubeconfig,
            addresses: Arc::default(),
            running: Arc::clone(&running),
        };
        runtime.spawn(follow(ground));
        Self { running }
    }

    /// Every process that runs now.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        lock(&self.running).values().cloned().collect()
    }
}

async fn follow(ground: Ground) {
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), &ground.namespace);
    let of_node = ListParams::default().fields(&format!("spec.nodeName={}", ground.node));
    let mut known: BTreeMap<String, watch::Sender<Option<Arc<Pod>>>> = BTreeMap::new();
    loop {
        // An API server that does not answer changes nothing on a node.
        if let Ok(list) = pods.list(&of_node).await {
            let mut here = BTreeSet::new();
            for pod in list.items {
                let Some(uid) = pod.metadata.uid.clone() else { continue };
                here.insert(uid.clone());
                let pod = Some(Arc::new(pod));
                if let Some(news) = known.get(&uid) {
                    news.send_replace(pod);
                } else {
                    let (news, told) = watch::channel(pod);
                    tokio::spawn(pod::run(ground.clone(), told));
                    known.insert(uid, news);
                }
            }
            known.retain(|uid, news| {
                let stays = here.contains(uid);
                if !stays {
                    news.send_replace(None);
                }
                stays
            });
        }
        sleep(EVERY).await;
    }
}

// === impl Ground ===

impl Ground {
    /// An address that no pod of this run had.
    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, 0, self.addresses.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Replica>> {
        lock(&self.running)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
