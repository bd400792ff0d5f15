//! A Lease → who of several is the one that writes. As client-go's leader election (kubernetes/client-go
//! `tools/leaderelection`): times of others are never compared with one's own clock, only whether the Lease changed within
//! its duration as seen from here.

use std::time::Duration;

use ::kube::Api;
use ::kube::api::{ObjectMeta, PostParams};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::own::{Own, OwnError, asked};
use crate::time::Clock;

/// How long after the last renewal that was seen others take over.
const DURATION: Duration = Duration::from_secs(15);

/// How long after a renewal the holder itself believes in it; the rest is for a write that is under way.
const BELIEVED: Duration = Duration::from_secs(10);

/// How often it is renewed, and tried.
const RETRY: Duration = Duration::from_secs(3);

/// Until when this process is the one. Clones see the same.
#[derive(Clone, Debug)]
pub struct Held(watch::Receiver<Standing>);

/// What a competitor knows of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    until: Option<Instant>,
    reached: bool,
}

/// One competitor for a Lease.
pub struct Competitor {
    api: Api<Lease>,
    name: String,
    identity: String,
    clock: Clock,
    observed: Option<(String, Instant)>,
    standing: watch::Sender<Standing>,
}

// === impl Held ===

impl Held {
    /// Whether this process is the one now.
    pub fn is_held(&self) -> bool {
        self.0.borrow().until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the Lease could be read or written when last tried.
    pub fn is_reached(&self) -> bool {
        self.0.borrow().reached
    }

    /// Waits for the next attempt.
    pub async fn changed(&mut self) {
        // Without a competitor nothing changes any more.
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

// === impl Competitor ===

impl Competitor {
    /// A competitor for the Lease `name` in the namespace of `own`; `identity` is nobody else's.
    pub fn new(own: &Own, name: &str, identity: String, clock: Clock) -> (Self, Held) {
        let (standing, held) = watch::channel(Standing::default());
        let api = Api::namespaced(own.client().clone(), own.namespace());
        (Self { api, name: name.to_owned(), identity, clock, observed: None, standing }, Held(held))
    }

    /// Competes until `stop` is done, then gives the Lease back.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut said = false;
        loop {
            let began = Instant::now();
            match self.attempt(false).await {
                Ok(held) => {
                    said = false;
                    let until = held.then_some(began + BELIEVED);
                    let before = self.standing.send_replace(Standing { until, reached: true });
                    if before.until.is_some() != held {
                        info!(lease = self.name, held, "The Lease changed hands");
                    }
                }
                Err(error) => {
                    if !said {
                        warn!(%error, "The Lease could not be renewed or tried for");
                        said = true;
                    }
                    let lost = |standing: &mut Standing| {
                        standing.reached = false;
                        standing.until = standing.until.filter(|until| Instant::now() < *until);
                    };
                    self.standing.send_modify(lost);
                }
            }
            tokio::select! {
                () = &mut stop => break,
                () = sleep(RETRY) => {}
            }
        }
        if self.standing.send_replace(Standing::default()).until.is_some() {
            // Who comes next waits for the duration if this fails.
            drop(self.attempt(true).await);
        }
    }

    /// One reading, and one write where it may be: whether the Lease is held then.
    async fn attempt(&mut self, release: bool) -> Result<bool, OwnError> {
        let what = || format!("Lease \"{}\"", self.name);
        let now = self.clock.clone()();
        let lease = asked("get", what, self.api.get_opt(&self.name)).await?;
        let Some(mut lease) = lease else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(LeaseSpec::default(), now)) };
            return won(asked("create", what, self.api.create(&PostParams::default(), &lease)).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let seen_at = match &self.observed {
            Some((before, at)) if *before == version => *at,
            _ => self.observed.insert((version, Instant::now())).1,
        };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let over = seen_at.elapsed() >= duration.map_or(DURATION, Duration::from_secs);
        if !(holder.is_empty() || holder == self.identity || over) || (release && holder != self.identity) {
            return Ok(false);
        }
        lease.spec = Some(self.spec(spec, now));
        if release && let Some(spec) = &mut lease.spec {
            (spec.holder_identity, spec.lease_duration_seconds) = (Some(String::new()), Some(1));
        }
        let what = || format!("Lease \"{}\"", self.name);
        won(asked("update", what, self.api.replace(&self.name, &PostParams::default(), &lease)).await)
    }

    fn spec(&self, before: LeaseSpec, now: Timestamp) -> LeaseSpec {
        let mine = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        let seconds = i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(seconds),
            acquire_time: if mine { before.acquire_time } else { Some(MicroTime(now)) },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if mine { transitions } else { transitions.saturating_add(1) }),
            ..before
        }
    }
}

impl std::fmt::Debug for Competitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Competitor").field("name", &self.name).field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Somebody else was quicker: that is an answer, not a failure.
fn won(written: Result<Lease, OwnError>) -> Result<bool, OwnError> {
    match written {
        Ok(_) => Ok(true),
        Err(OwnError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
