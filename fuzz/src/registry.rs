//! A registry that is a function: no socket, no clock, the same answers every time.

use std::cell::RefCell;
use std::sync::Arc;

use jiff::Timestamp;
use pullgate::metrics::Metrics;
use pullgate::registry::Registry;
use pullgate::registry::transport::{Request, Response, Sending, Transport, TransportError};
use pullgate::time::Clock;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime without threads"));
}

/// Answers a request.
pub(crate) type Answers = fn(&Script, &Request<'_>) -> Response;

/// What a registry answers with, made from an input.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) answers: Answers,
    /// Bodies, to be chosen by the answers.
    pub(crate) bodies: Vec<Vec<u8>>,
    /// Whatever else the answers depend on.
    pub(crate) choice: u8,
}

impl Transport for Script {
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a> {
        let answer = (self.answers)(self, &request);
        let too_large = answer.body.len() > request.max_body;
        Box::pin(async move {
            let refused = || TransportError { cause: None, detail: "the body is too large".to_owned(), go: None };
            if too_large { Err(refused()) } else { Ok(answer) }
        })
    }
}

/// Time stands still: what is cached stays good.
pub(crate) fn clock() -> Clock {
    Clock::new(|| Timestamp::UNIX_EPOCH)
}

/// A client of the scripted registry.
pub(crate) fn client(script: Script) -> Registry {
    Registry::new(Arc::new(script), clock(), Metrics::new())
}

/// Runs what never waits for anything but itself.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.borrow().block_on(future))
}
