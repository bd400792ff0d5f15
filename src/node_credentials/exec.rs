//! One call of a plugin's binary: a request on its standard input, its standard output back; bounded in bytes and time.
//!
//! The child leads a process group of its own, and the group is killed with everything in it when time is up, when it
//! writes too much or when nobody waits any longer. What it writes to standard error is counted and not kept: plugins
//! print credentials there, and no pattern finds them all.

use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretSlice};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::unusable::Unusable;

/// Bytes of standard output at most. A response takes a few hundred.
pub(super) const MAX_OUTPUT: u64 = 1 << 20;

/// What is executed. The child sees pullgate's environment with `env` over it, as a plugin sees the kubelet's.
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
}

/// How a call ended.
pub(super) struct Run {
    /// Standard output, if the status was zero.
    pub(super) outcome: Result<SecretSlice<u8>, Unusable>,
    /// How much it wrote to standard error.
    pub(super) stderr_bytes: u64,
}

/// A process group that is killed when this is dropped. Only armed while its leader has not been waited for, so that
/// the number cannot belong to somebody else.
struct Group(Option<Pid>);

/// Calls `program` for at most `limit`.
pub(super) async fn run(program: &Program, request: &SecretSlice<u8>, limit: Duration) -> Run {
    let heard = AtomicU64::new(0);
    let outcome = timeout(limit, converse(program, request, &heard)).await.unwrap_or(Err(Unusable::Timeout(limit)));
    Run { outcome, stderr_bytes: heard.into_inner() }
}

async fn converse(
    program: &Program,
    request: &SecretSlice<u8>,
    heard: &AtomicU64,
) -> Result<SecretSlice<u8>, Unusable> {
    let mut child = Command::new(&program.path)
        .args(&program.args)
        .envs(program.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Unusable::Missing,
            kind => Unusable::NotStarted(kind),
        })?;
    // Dropped before the child, which is therefore still there to be killed with its group.
    let mut group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let say = async {
        if let Some(mut stdin) = stdin {
            // A plugin may answer without having read: its answer counts, not the broken pipe.
            drop(stdin.write_all(request.expose_secret()).await);
        }
        Ok(())
    };
    let hear = async {
        if let Some(stderr) = stderr {
            count(stderr, heard).await?;
        }
        Ok(())
    };
    let (text, (), ()) = tokio::try_join!(listen(stdout), hear, say)?;
    let status = child.wait().await.map_err(|error| Unusable::Pipe(error.kind()))?;
    group.0 = None;
    succeeded(status).map(|()| text)
}

async fn listen(stdout: Option<impl AsyncRead + Unpin>) -> Result<SecretSlice<u8>, Unusable> {
    let mut text = Vec::new();
    if let Some(stdout) = stdout {
        let limit = MAX_OUTPUT.saturating_add(1);
        let read = stdout.take(limit).read_to_end(&mut text).await.map_err(|error| Unusable::Pipe(error.kind()))?;
        if read as u64 > MAX_OUTPUT {
            return Err(Unusable::TooMuch);
        }
    }
    Ok(SecretSlice::from(text))
}

async fn count(mut stderr: impl AsyncRead + Unpin, heard: &AtomicU64) -> Result<(), Unusable> {
    let mut buffer = [0; 4096];
    loop {
        match stderr.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(read) => heard.fetch_add(read as u64, Ordering::Relaxed),
            Err(error) => return Err(Unusable::Pipe(error.kind())),
        };
    }
}

fn succeeded(status: ExitStatus) -> Result<(), Unusable> {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Unusable::Exit(code)),
        (None, signal) => Err(Unusable::Signal(signal.unwrap_or_default())),
    }
}

// === impl Program ===

/// Arguments and environment may hold a login.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("path", &self.path).finish_non_exhaustive()
    }
}

// === impl Group ===

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself.
            kill_process_group(leader, Signal::KILL).unwrap_or_default();
        }
    }
}
