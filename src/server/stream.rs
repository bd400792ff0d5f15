//! A byte stream → the same stream with deadlines: for the head of a request from its first byte on, and for a response
//! that its reader does not take.
//!
//! hyper has one timer for both the wait for a request and the reading of its head. The first must outlast an API
//! server's idle connections, the second must cut a client that sends a byte now and then, so the second is kept here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The stream of one connection.
#[derive(Debug)]
pub(super) struct TimedStream<S> {
    stream: S,
    head: Timer,
    write: Timer,
    serving: Serving,
    /// The step of `serving` in which `head` was started.
    step: u64,
}

/// How often this connection has begun or ended to answer a request: an odd number while it does. What arrives then is
/// body, not head.
#[derive(Clone, Debug, Default)]
pub(super) struct Serving(Arc<AtomicU64>);

/// A deadline that is set by the first event and cleared by the last.
#[derive(Debug)]
struct Timer {
    after: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

// === impl Serving ===

impl Serving {
    pub(super) fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn step(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Timer ===

impl Timer {
    fn new(after: Duration) -> Self {
        Self { after, sleep: None }
    }

    fn start(&mut self) {
        if self.sleep.is_none() {
            self.sleep = Some(Box::pin(sleep_until(Instant::now() + self.after)));
        }
    }

    fn clear(&mut self) {
        self.sleep = None;
    }

    /// Whether the deadline has passed; if it has not, the task is woken when it does.
    fn expired(&mut self, cx: &mut Context<'_>) -> bool {
        self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
    }
}

// === impl TimedStream ===

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, head_timeout: Duration, write_timeout: Duration, serving: Serving) -> Self {
        Self { stream, head: Timer::new(head_timeout), write: Timer::new(write_timeout), serving, step: 0 }
    }

    fn watch_write<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write.clear();
            return result;
        }
        self.write.start();
        if self.write.expired(cx) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the response was not read in time")));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let step = this.serving.step();
        if this.step != step {
            // The head that was timed has become a request.
            this.head.clear();
            this.step = step;
        }
        // Asked before reading: a client that always has one more byte ready must not outrun its deadline.
        if this.head.expired(cx) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request's head did not end in time")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before && step.is_multiple_of(2) {
            this.head.start();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch_write(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.watch_write(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch_write(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watch_write(cx, result)
    }
}
