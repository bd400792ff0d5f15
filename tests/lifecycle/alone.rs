//! The namespaces of the suite: the process that was started → the same program again, as the first process of a network,
//! mount and process namespace of its own. With that process everything ends.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio, exit};
use std::{env, thread};

use crate::Failure;

/// Set for the inner process: the directory of the run.
const INSIDE: &str = "PULLGATE_TEST_LIFECYCLE_DIRECTORY";

/// What `unshare` is asked for; the inner process dies with the outer one.
const NAMESPACES: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// The directory of the run, when this is the inner process.
pub(crate) fn inside() -> Option<PathBuf> {
    env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs this program inside and waits for it; gives its exit code.
pub(crate) fn enter() -> Result<u8, Failure> {
    let dir = tempfile::tempdir()?;
    // The inner process ends when nobody holds the other end of its input: when this one is gone.
    let mut child = Command::new("unshare")
        .args(NAMESPACES)
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(INSIDE, dir.path())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unshare: {error}; type: apt-get install -y util-linux mount"))?;
    let held = child.stdin.take();
    let status = child.wait()?;
    drop(held);
    status.code().and_then(|code| u8::try_from(code).ok()).ok_or_else(|| format!("the inner process: {status}").into())
}

/// Makes the namespaces a place for pods: a loopback that takes addresses.
pub(crate) fn settle() -> Result<(), Failure> {
    thread::spawn(|| {
        let mut ignored = [0; 16];
        while io::stdin().read(&mut ignored).is_ok_and(|read| read > 0) {}
        exit(1);
    });
    ip("link set lo up")
}

/// Runs `ip` with the words of a line.
pub(crate) fn ip(line: &str) -> Result<(), Failure> {
    let done = Command::new("ip")
        .args(line.split(' '))
        .output()
        .map_err(|error| format!("ip: {error}; type: apt-get install -y iproute2"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("ip {line}: {}", String::from_utf8_lossy(&done.stderr).trim()).into())
}
