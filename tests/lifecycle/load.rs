//! A steady rate of pod creations through the API server, and what became of each: most name a good image, some one that
//! pullgate must refuse. Trouble of the API server itself is waited out, as every client and controller does; a call of
//! a webhook that failed is a failed creation, and nobody asks again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::Failure;

/// The namespace of the load, which is like any other.
pub(crate) const NAMESPACE: &str = "shop";

/// Creations per second.
const RATE: u32 = 25;

/// One in so many names an image that is not there.
const BAD: u32 = 10;

/// How long an API server that is away is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The images of the load.
#[derive(Clone)]
pub(crate) struct Goods {
    pub(crate) good: String,
    pub(crate) bad: String,
}

/// A load that runs.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    running: JoinHandle<Counts>,
    runtime: Handle,
}

/// What became of the creations of one load.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Good pods that were created.
    pub(crate) created: u32,
    /// Good pods whose image carries no digest: the mutating webhook, which may fail, was not heard.
    pub(crate) unpinned: u32,
    /// Bad pods that pullgate refused.
    pub(crate) refused: u32,
    /// Bad pods that were created all the same.
    pub(crate) slipped: u32,
    /// Good pods that were not created, and why: the words of the API server, and how often.
    pub(crate) failed: BTreeMap<String, u32>,
    /// Bad pods that were refused for another reason than theirs.
    pub(crate) misjudged: BTreeMap<String, u32>,
    /// Answers of the API server that were none, or its own trouble; asked again.
    pub(crate) again: u32,
}

enum Outcome {
    Created { pinned: bool },
    Denied(String),
    Failed(String),
}

// === impl Load ===

impl Load {
    /// Starts to create.
    pub(crate) fn start(runtime: &Handle, client: Client, goods: Goods) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, running: runtime.spawn(create(client, goods, stopped)), runtime: runtime.clone() }
    }

    /// Stops, and waits for what is under way.
    pub(crate) fn finish(self) -> Result<Counts, Failure> {
        _ = self.stop.send(true);
        Ok(self.runtime.block_on(self.running)?)
    }
}

async fn create(client: Client, goods: Goods, stopped: watch::Receiver<bool>) -> Counts {
    /// Names are never used twice in a run.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let goods = Arc::new(goods);
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    let mut counts = Counts::default();
    while !*stopped.borrow() {
        ticks.tick().await;
        while let Some(done) = under_way.try_join_next() {
            counts.add(done);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (pods, goods) = (pods.clone(), Arc::clone(&goods));
        under_way.spawn(async move {
            let bad = number % BAD == BAD - 1;
            let (outcome, again) = one(&pods, number, if bad { &goods.bad } else { &goods.good }).await;
            (bad, outcome, again)
        });
    }
    while let Some(done) = under_way.join_next().await {
        counts.add(done);
    }
    counts
}

/// One creation to its end, and how often it was asked for again.
async fn one(pods: &Api<Pod>, number: u32, image: &str) -> (Outcome, u32) {
    let name = format!("load-{number}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "app", "image": image }] },
    });
    let pod: Pod = match serde_json::from_value(pod) {
        Ok(pod) => pod,
        Err(error) => return (Outcome::Failed(error.to_string()), 0),
    };
    let (started, mut again) = (Instant::now(), 0);
    loop {
        let trouble = match pods.create(&PostParams::default(), &pod).await {
            Ok(pod) => {
                tokio::spawn(delete(pods.clone(), name));
                let images = pod.spec.iter().flat_map(|spec| &spec.containers).filter_map(|it| it.image.as_deref());
                return (
                    Outcome::Created { pinned: images.into_iter().all(|image| image.contains("@sha256:")) },
                    again,
                );
            }
            Err(kube::Error::Api(said)) if said.message.contains("denied the request") => {
                return (Outcome::Denied(said.message.clone()), again);
            }
            Err(kube::Error::Api(said)) if said.message.contains("webhook") => {
                return (Outcome::Failed(format!("{} {}", said.code, masked(&said.message))), again);
            }
            // The answer to an earlier attempt was lost, not the pod.
            Err(kube::Error::Api(said)) if said.code == 409 && again > 0 && said.reason == "AlreadyExists" => {
                tokio::spawn(delete(pods.clone(), name));
                return (Outcome::Created { pinned: true }, again);
            }
            Err(kube::Error::Api(said)) if matches!(said.code, 429 | 500..) => said.message.clone(),
            Err(kube::Error::Api(said)) => return (Outcome::Failed(format!("{} {}", said.code, said.message)), again),
            Err(error) => error.to_string(),
        };
        again += 1;
        if started.elapsed() > PATIENCE {
            return (Outcome::Failed(format!("the API server is away: {trouble}")), again);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// What differs from one failure to the next of the same kind.
fn masked(message: &str) -> String {
    message
        .split(' ')
        .map(|word| if word.contains("127.0.0.1:") && word.contains("->") { "…" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

async fn delete(pods: Api<Pod>, name: String) {
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    for _ in 0..100 {
        match pods.delete(&name, &now).await {
            Ok(_) => return,
            Err(kube::Error::Api(said)) if said.code == 404 => return,
            Err(_) => sleep(Duration::from_millis(300)).await,
        }
    }
}

// === impl Counts ===

impl Counts {
    fn add(&mut self, done: Result<(bool, Outcome, u32), tokio::task::JoinError>) {
        let (bad, outcome, again) = done.unwrap_or_else(|error| (false, Outcome::Failed(error.to_string()), 0));
        self.again += again;
        match outcome {
            Outcome::Created { .. } if bad => self.slipped += 1,
            Outcome::Created { pinned } => {
                self.created += 1;
                self.unpinned += u32::from(!pinned);
            }
            Outcome::Denied(why) if bad && why.contains("TagNotFound") => self.refused += 1,
            Outcome::Denied(why) | Outcome::Failed(why) => {
                let whys = if bad { &mut self.misjudged } else { &mut self.failed };
                *whys.entry(why).or_default() += 1;
            }
        }
    }

    /// Whether all that failed were calls of a process that died under them, or had just died.
    pub(crate) fn only_of_the_dead(&self) -> bool {
        let dead =
            ["connection refused", "connection reset by peer", "broken pipe", "closed network connection", "EOF"];
        self.failed.keys().chain(self.misjudged.keys()).all(|why| dead.iter().any(|words| why.contains(words)))
    }

    /// Good pods that were not created.
    pub(crate) fn failures(&self) -> u32 {
        self.failed.values().sum()
    }

    /// Objects that somebody must have judged.
    pub(crate) fn judged(&self) -> u32 {
        self.created + self.refused
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, unpinned, refused, slipped, again, .. } = self;
        write!(f, "{created} created, {} failed, {refused} bad refused, {slipped} slipped", self.failures())?;
        if *unpinned > 0 {
            write!(f, ", {unpinned} unpinned")?;
        }
        if *again > 0 {
            write!(f, ", {again} asked again")?;
        }
        for (why, times) in self.failed.iter().chain(&self.misjudged) {
            write!(f, "\n{times} × {why}")?;
        }
        Ok(())
    }
}
