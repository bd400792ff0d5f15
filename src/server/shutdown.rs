//! Signals → futures: when to stop, and when to read files again.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

/// Changes whenever the process receives SIGHUP.
pub type Hangups = watch::Receiver<u64>;

/// Done at the first SIGTERM or SIGINT. From this call on, before the future is polled, these signals no longer end the
/// process by themselves.
///
/// # Errors
/// When the system does not let the process listen for signals.
pub fn requested() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "Stopping");
    })
}

/// Listens for SIGHUP from now on.
///
/// # Errors
/// When the system does not let the process listen for signals.
pub fn hangups() -> io::Result<Hangups> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() && !sender.is_closed() {
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok(receiver)
}
