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

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_millis(900);

    fn send(signal: &str) {
        let kill = format!("kill -{signal} {}", std::process::id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    #[tokio::test]
    async fn a_hangup_is_counted_and_a_termination_ends_the_wait() {
        let mut hangups = hangups().unwrap();
        let stop = requested().unwrap();
        send("HUP");
        timeout(LONG, hangups.changed()).await.unwrap().unwrap();
        send("TERM");
        timeout(LONG, stop).await.unwrap();
    }
}
