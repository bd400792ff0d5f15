//! Pods that are created one after the other while something else happens, and counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::kubectl::{PATIENCE, until_within};
use crate::objects::pod;
use crate::world::World;
use crate::{Failure, bench};

/// Between one pod and the next.
const PACE: Duration = Duration::from_millis(50);

/// Until it is dropped or stopped.
pub(crate) struct Stream {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    created: AtomicUsize,
    failed: Mutex<Vec<String>>,
    paused: AtomicBool,
    stop: AtomicBool,
}

// === impl Stream ===

impl Stream {
    /// Starts to create pods of `image`.
    pub(crate) fn start(world: &World, namespace: &str, image: &str) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let client = bench::client(world)?;
        let url = format!("{}/api/v1/namespaces/{namespace}/pods", world.stack.server);
        let mut pod = pod(namespace, "", image);
        pod["metadata"] = json!({ "generateName": "stream-" });
        let (runtime, body) = (Runtime::new()?, pod.to_string());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while !shared.stop.load(SeqCst) {
                    if !shared.paused.load(SeqCst) {
                        match runtime.block_on(create(&client, &url, &body)) {
                            Ok(()) => drop(shared.created.fetch_add(1, SeqCst)),
                            Err(failure) => shared.failures().push(failure.to_string()),
                        }
                    }
                    thread::sleep(PACE);
                }
            }
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until `more` pods are created; says how many there are by then.
    pub(crate) fn goes_on(&self, more: usize) -> Result<usize, Failure> {
        let goal = self.shared.created.load(SeqCst) + more;
        until_within(3 * PATIENCE, "pods to be created", || {
            self.none_failed()?;
            Ok((self.shared.created.load(SeqCst) >= goal).then_some(goal))
        })
    }

    /// Creates none until it is told to go on; one may be under way.
    pub(crate) fn pause(&self, pause: bool) {
        self.shared.paused.store(pause, SeqCst);
        thread::sleep(Duration::from_millis(500));
    }

    /// Stops, and says how many were created; it is a failure if one was not.
    pub(crate) fn stop(mut self) -> Result<usize, Failure> {
        self.end();
        self.none_failed()?;
        Ok(self.shared.created.load(SeqCst))
    }

    fn none_failed(&self) -> Result<(), Failure> {
        let failed = self.shared.failures();
        let created = self.shared.created.load(SeqCst);
        failed.first().map_or(Ok(()), |first| {
            Err(format!("{} pods were refused beside {created} created; the first: {first}", failed.len()).into())
        })
    }

    fn end(&mut self) {
        self.shared.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn create(client: &reqwest::Client, url: &str, body: &str) -> Result<(), Failure> {
    let request = client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_owned());
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if status.as_u16() == 201 { Ok(()) } else { Err(format!("{status}: {text}").into()) }
}

// === impl Shared ===

impl Shared {
    fn failures(&self) -> MutexGuard<'_, Vec<String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}
