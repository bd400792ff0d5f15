//! The life of one pod on the node: directories, process, probes, status, restarts, and an end with grace.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Probe, ServiceAccount};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::process::{self, Plan};
use super::volumes::Mounted;
use super::{Ground, News, Replica};
use crate::Failure;
use crate::alone::ip;

/// How often `ConfigMap`s and Secrets are read again; a kubelet takes up to a minute or two.
const RENEW: Duration = Duration::from_secs(1);

/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// One pod and what it has on the node.
struct Life {
    ground: Ground,
    news: News,
    pod: Arc<Pod>,
    uid: String,
    container: Container,
    address: Ipv4Addr,
    volumes: Vec<Mounted>,
    kubeconfig: Option<PathBuf>,
    log: PathBuf,
    restarts: u32,
}

/// How a time of running ended.
enum End {
    Exited(ExitStatus),
    /// Somebody wants the pod to end.
    Told,
}

/// Runs the pod from its first state to its end.
pub(super) async fn run(ground: Ground, news: News) {
    let name = news.borrow().as_ref().and_then(|pod| pod.metadata.name.clone()).unwrap_or_default();
    if let Err(failure) = live(ground, news).await {
        println!("stand-in: pod {name}: {failure}");
    }
}

async fn live(ground: Ground, news: News) -> Result<(), Failure> {
    let Some(pod) = news.borrow().clone() else { return Ok(()) };
    let spec = pod.spec.clone().unwrap_or_default();
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let name = pod.metadata.name.clone().unwrap_or_default();
    let dir = ground.dir.join(&name);
    std::fs::create_dir_all(&dir)?;
    let [container] = spec.containers.as_slice() else { return Err("the stand-in runs pods of one container".into()) };
    let address = ground.address();
    ip(&format!("address add {address}/32 dev lo"))?;
    let mut life = Life {
        volumes: Mounted::of(spec.volumes.as_deref().unwrap_or_default(), &dir.join("volumes")),
        container: container.clone(),
        kubeconfig: None,
        log: dir.join("log"),
        restarts: 0,
        ground,
        news,
        pod,
        uid,
        address,
    };
    if life.prepare(&spec, &dir).await {
        life.stay(&spec).await?;
    }
    life.ground.running().remove(&life.uid);
    life.remove().await;
    ip(&format!("address del {address}/32 dev lo"))
}

// === impl Life ===

impl Life {
    /// Volumes and token; false if the pod is to end before it has them.
    async fn prepare(&mut self, spec: &PodSpec, dir: &std::path::Path) -> bool {
        while !self.told() {
            match self.prepared(spec, dir).await {
                Ok(()) => return true,
                // As a kubelet: until the object is there.
                Err(_) => sleep(PAUSE).await,
            }
        }
        false
    }

    async fn prepared(&mut self, spec: &PodSpec, dir: &std::path::Path) -> Result<(), Failure> {
        let Ground { client, namespace, kubeconfig, .. } = &self.ground;
        for volume in &mut self.volumes {
            volume.renew(client, namespace).await?;
        }
        let sources = spec.volumes.iter().flatten().filter_map(|volume| volume.projected.as_ref()?.sources.as_ref());
        if sources.flatten().any(|source| source.service_account_token.is_some()) {
            let account = spec.service_account_name.as_deref().unwrap_or("default");
            let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
            let wanted = TokenRequest {
                spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
                ..TokenRequest::default()
            };
            let made = accounts.create_token_request(account, &PostParams::default(), &wanted).await?;
            let mut kubeconfig = kubeconfig.clone();
            kubeconfig["users"][0]["user"] =
                json!({ "token": made.status.ok_or("a token request without a token")?.token });
            let file = dir.join("kubeconfig");
            std::fs::write(&file, kubeconfig.to_string())?;
            self.kubeconfig = Some(file);
        }
        Ok(())
    }

    /// Runs the container again and again, as its restart policy says, until the pod is told to end.
    async fn stay(&mut self, spec: &PodSpec) -> Result<(), Failure> {
        let always = spec.restart_policy.as_deref().is_none_or(|policy| policy == "Always");
        while !self.told() {
            let mut child = self.start()?;
            match self.attend(&mut child).await? {
                End::Told => {
                    let delay =
                        self.container.lifecycle.as_ref().and_then(|hooks| hooks.pre_stop.as_ref()?.sleep.as_ref());
                    if let Some(delay) = delay {
                        sleep(Duration::from_secs(delay.seconds.unsigned_abs())).await;
                    }
                    end(&mut child, self.grace()).await?;
                }
                End::Exited(status) if always => {
                    self.ground.running().remove(&self.uid);
                    self.restarts += 1;
                    self.report("Running", false, &json!({ "waiting": { "reason": "CrashLoopBackOff" } })).await;
                    println!("stand-in: {} ended with {status}, start {}", self.name(), self.restarts + 1);
                    if self.restarts > 1 {
                        // At once the first time, then the more slowly the more often it dies.
                        self.rest(Duration::from_secs(10)).await;
                    }
                }
                End::Exited(status) => {
                    self.ground.running().remove(&self.uid);
                    let phase = if status.success() { "Succeeded" } else { "Failed" };
                    let code = status.code().unwrap_or(137);
                    self.report(phase, false, &json!({ "terminated": { "exitCode": code, "reason": phase } })).await;
                    while !self.told() {
                        self.rest(RENEW).await;
                    }
                }
            }
        }
        Ok(())
    }

    fn start(&mut self) -> Result<Child, Failure> {
        let plan = Plan {
            pod: &self.pod,
            container: &self.container,
            volumes: &self.volumes,
            address: self.address,
            kubeconfig: self.kubeconfig.as_deref(),
            log: &self.log,
        };
        let child = plan.start()?;
        let port = |name: &str| process::port(&self.container, &IntOrString::String(name.to_owned()));
        let replica = Replica {
            name: self.name(),
            address: self.address,
            process: child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default(),
            log: self.log.clone(),
            admin: port("admin"),
            serves: port("webhook").is_some(),
            ready: false,
        };
        self.ground.running().insert(self.uid.clone(), replica);
        Ok(child)
    }

    /// Probes, renews volumes and writes the status until the process ends or is to end.
    async fn attend(&mut self, child: &mut Child) -> Result<End, Failure> {
        let probe = self.container.readiness_probe.clone();
        let period = probe.as_ref().and_then(|probe| probe.period_seconds).unwrap_or(10).max(1).unsigned_abs();
        let mut probes = interval(Duration::from_secs(period.into()));
        let mut renewals = interval(RENEW);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ready, mut row) = (probe.is_none(), 0);
        let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        self.report("Running", ready, &running).await;
        loop {
            if self.told() {
                return Ok(End::Told);
            }
            tokio::select! {
                status = child.wait() => return Ok(End::Exited(status?)),
                _ = self.news.changed() => {}
                _ = renewals.tick() => {
                    for volume in &mut self.volumes {
                        volume.renew(&self.ground.client, &self.ground.namespace).await.ok();
                    }
                }
                _ = probes.tick(), if probe.is_some() => {
                    let Some(probe) = &probe else { continue };
                    let holds = process::holds(probe, &self.container, self.address).await;
                    row = if holds == ready { 0 } else { row + 1 };
                    if row >= needed(probe, holds) {
                        (ready, row) = (holds, 0);
                        self.report("Running", ready, &running).await;
                    }
                }
            }
        }
    }

    /// Writes the status; an API server that is away is asked until it is back.
    async fn report(&mut self, phase: &str, ready: bool, state: &Value) {
        if let Some(replica) = self.ground.running().get_mut(&self.uid) {
            replica.ready = ready;
        }
        let condition =
            |kind: &str, holds: bool| json!({ "type": kind, "status": if holds { "True" } else { "False" } });
        let status = json!({ "status": {
            "phase": phase, "podIP": self.address.to_string(), "podIPs": [{ "ip": self.address.to_string() }],
            "hostIP": "127.0.0.1", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [
                condition("PodScheduled", true), condition("Initialized", true),
                condition("ContainersReady", ready), condition("Ready", ready),
            ],
            "containerStatuses": [{
                "name": self.container.name, "image": self.container.image, "imageID": "", "ready": ready,
                "started": phase == "Running", "restartCount": self.restarts, "state": state,
            }],
        } });
        let pods: Api<Pod> = Api::namespaced(self.ground.client.clone(), &self.ground.namespace);
        let name = self.name();
        while !self.gone() {
            match pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await {
                Ok(_) => return,
                Err(kube::Error::Api(refused)) if refused.code == 404 => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// The last thing a kubelet does for a pod that is to go: takes it from the API server.
    async fn remove(&mut self) {
        let pods: Api<Pod> = Api::namespaced(self.ground.client.clone(), &self.ground.namespace);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }
            .preconditions(Preconditions { uid: Some(self.uid.clone()), resource_version: None });
        let name = self.name();
        while !self.gone() {
            match pods.delete(&name, &now).await {
                Ok(_) => return,
                Err(kube::Error::Api(refused)) if matches!(refused.code, 404 | 409) => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while !self.told() && timeout(until - Instant::now(), self.news.changed()).await.is_ok_and(|news| news.is_ok())
        {
        }
    }

    fn told(&self) -> bool {
        self.news.borrow().as_ref().is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
    }

    fn gone(&self) -> bool {
        self.news.borrow().is_none()
    }

    fn grace(&self) -> Duration {
        let seconds = self.news.borrow().as_ref().and_then(|pod| pod.metadata.deletion_grace_period_seconds);
        Duration::from_secs(seconds.unwrap_or(0).unsigned_abs())
    }

    fn name(&self) -> String {
        self.pod.metadata.name.clone().unwrap_or_default()
    }
}

/// How many answers in a row change a probe's mind.
fn needed(probe: &Probe, holds: bool) -> i32 {
    if holds { probe.success_threshold.unwrap_or(1) } else { probe.failure_threshold.unwrap_or(3) }
}

/// SIGTERM, and SIGKILL after the time of grace.
async fn end(child: &mut Child, grace: Duration) -> Result<(), Failure> {
    if let Some(process) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // It may have ended by itself.
        kill_process(process, Signal::TERM).ok();
    }
    if timeout(grace, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}
