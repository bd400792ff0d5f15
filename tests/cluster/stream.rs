//! Pods that are created one after the other while something else happens, and counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Failure;
use crate::kubectl::until;
use crate::objects::pod;
use crate::world::World;

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
        let kubectl = world.kubectl.another("stream")?;
        let thread = thread::spawn({
            let (shared, namespace, image) = (Arc::clone(&shared), namespace.to_owned(), image.to_owned());
            move || {
                for number in 0.. {
                    while shared.paused.load(SeqCst) && !shared.stop.load(SeqCst) {
                        thread::sleep(Duration::from_millis(20));
                    }
                    if shared.stop.load(SeqCst) {
                        return;
                    }
                    let pod = pod(&namespace, &format!("stream-{number}"), &image);
                    match kubectl.feed("create -f -", &pod).and_then(crate::kubectl::Said::succeeded) {
                        Ok(_) => drop(shared.created.fetch_add(1, SeqCst)),
                        Err(failure) => {
                            shared.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failure.to_string());
                        }
                    }
                }
            }
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until `more` pods are created; says how many there are by then.
    pub(crate) fn goes_on(&self, more: usize) -> Result<usize, Failure> {
        let goal = self.shared.created.load(SeqCst) + more;
        until("pods to be created", || {
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
        let failed = self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}
