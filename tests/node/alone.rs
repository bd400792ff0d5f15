//! The namespaces of the suite: the process that was started → the same program again, as the first process of a network,
//! mount and process namespace of its own. With that process everything ends: children, mounts, addresses. What a
//! kubelet would change on the machine is covered there, and looked after here when it has ended.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;

/// Set for the inner process: the directory of the run.
const INSIDE: &str = "PULLGATE_TEST_NODE_DIRECTORY";

/// What `unshare` is asked for; the inner process has a `/proc` of its own, and dies with the outer one.
const NAMESPACES: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Kernel settings that a kubelet writes (kubernetes/kubernetes `pkg/kubelet/cm/container_manager_linux.go`,
/// `setupKernelTunables`). They belong to the whole machine, so the kubelet gets files in their place.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Directories that kubelet and containerd use whatever they are told.
const FIXED: [&str; 3] = ["/run/containerd", "/var/lib/kubelet", "/var/log/containers"];

/// The node's own address: a kubelet refuses one of loopback.
pub(crate) const NODE_ADDRESS: &str = "192.0.2.1";

/// Where the machine's cgroups are, and where in each hierarchy containerd puts those of pods that name no other.
const CGROUPS: &str = "/sys/fs/cgroup";
const PODS: &str = "k8s.io";

/// The directory of the run, when this is the inner process.
pub(crate) fn inside() -> Option<PathBuf> {
    env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs this program inside and waits for it; gives its exit code.
pub(crate) fn enter() -> Result<u8, Failure> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Err("a kubelet and a containerd run as root only: type sudo -E tests/run.sh".into());
    }
    may_unshare()?;
    let dir = tempfile::tempdir()?;
    let (settings, before) = (read_settings(), cgroups()?);
    let made: Vec<&str> = FIXED.into_iter().filter(|path| !Path::new(path).exists()).collect();
    for path in &made {
        fs::create_dir_all(path)?;
    }
    let outcome = wait_inside(dir.path());
    for path in &made {
        fs::remove_dir(path).map_err(|error| format!("{path} is left behind: {error}"))?;
    }
    remove_cgroups(&before)?;
    nothing_left(dir.path(), &settings)?;
    Ok(outcome?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Starts the inner process and waits for it; a signal to this one is the end of that one.
fn wait_inside(dir: &Path) -> io::Result<ExitStatus> {
    let told = told_to_end()?;
    let mut child = Command::new("unshare")
        .args(NAMESPACES)
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(INSIDE, dir)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if told.load(Ordering::Relaxed) {
            drop(input.take());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Becomes true with the first SIGINT or SIGTERM.
fn told_to_end() -> io::Result<Arc<AtomicBool>> {
    let told = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let heard = Arc::clone(&told);
    let mut terminate = runtime.block_on(async { signal(SignalKind::terminate()) })?;
    let mut interrupt = runtime.block_on(async { signal(SignalKind::interrupt()) })?;
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        });
        heard.store(true, Ordering::Relaxed);
    });
    Ok(told)
}

/// Makes the namespaces a place for a node: loopback with an address that is none of loopback's, names, covered files.
pub(crate) fn settle(dir: &Path, hosts: &str) -> Result<(), Failure> {
    thread::spawn(end_with_input);
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["address", "add", &format!("{NODE_ADDRESS}/32"), "dev", "lo"])?;
    run("ip", &["route", "add", "default", "dev", "lo"])?;
    // Overlays cannot lie on every file system, a container's among them; on this one they can.
    mount_tmpfs(dir)?;
    for path in FIXED {
        mount_tmpfs(Path::new(path))?;
    }
    cover(dir, "hosts", Path::new("/etc/hosts"), hosts)?;
    if Path::new("/etc/resolv.conf").exists() {
        cover(dir, "resolv.conf", Path::new("/etc/resolv.conf"), "nameserver 127.0.0.1\noptions attempts:1\n")?;
    }
    for name in SETTINGS {
        let path = Path::new("/proc/sys").join(name);
        if let Ok(value) = fs::read_to_string(&path) {
            cover(dir, &format!("setting-{}", name.replace('/', "-")), &path, &value)?;
        }
    }
    Ok(())
}

/// The one hierarchy of cgroups, or each of the older kind.
fn hierarchies() -> Result<Vec<PathBuf>, Failure> {
    let root = PathBuf::from(CGROUPS);
    let is_one = |place: &Path| place.join("cgroup.procs").exists();
    if is_one(&root) {
        return Ok(vec![root]);
    }
    let mut found: Vec<PathBuf> = root.read_dir()?.flatten().map(|entry| entry.path()).collect();
    // `cpu,cpuacct` has links beside it.
    found.retain(|place| is_one(place) && !place.is_symlink());
    Ok(found)
}

fn mount_tmpfs(at: &Path) -> Result<(), Failure> {
    run("mount", &["-t", "tmpfs", "-o", "mode=755", "pullgate-test", &at.display().to_string()])
}

/// Lays a file with this content over another.
fn cover(dir: &Path, name: &str, path: &Path, content: &str) -> Result<(), Failure> {
    let file = dir.join("covers").join(name);
    fs::create_dir_all(dir.join("covers"))?;
    fs::write(&file, content)?;
    run("mount", &["--bind", &file.display().to_string(), &path.display().to_string()])
}

/// Ends this process, and with it the namespace, as soon as nobody holds the other end of its input.
fn end_with_input() {
    let mut ignored = [0; 16];
    while io::stdin().read(&mut ignored).is_ok_and(|read| read > 0) {}
    exit(1);
}

fn may_unshare() -> Result<(), Failure> {
    let tried =
        Command::new("unshare").args(NAMESPACES).arg("true").output().map_err(|error| missing("unshare", &error))?;
    if tried.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&tried.stderr);
    let why = said.trim();
    Err(format!("root may make no namespaces here ({why}); in a container, start it with: docker run --privileged")
        .into())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let done = Command::new(program).args(arguments).output().map_err(|error| missing(program, &error))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim()).into())
}

fn missing(program: &str, error: &io::Error) -> Failure {
    let package = if program == "ip" { "iproute2" } else { "util-linux mount" };
    format!("{program}: {error}; type: apt-get install -y {package}").into()
}

fn read_settings() -> Vec<(&'static str, Option<String>)> {
    SETTINGS.into_iter().map(|name| (name, fs::read_to_string(Path::new("/proc/sys").join(name)).ok())).collect()
}

/// The cgroups of pods.
fn cgroups() -> Result<BTreeSet<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    for pods in hierarchies()?.iter().map(|hierarchy| hierarchy.join(PODS)).filter(|pods| pods.is_dir()) {
        found.extend(pods.read_dir()?.flatten().filter(|entry| entry.path().is_dir()).map(|entry| entry.path()));
        found.insert(pods);
    }
    Ok(found)
}

/// Removes the cgroups that were not there before; their processes are gone or about to be. Those of another node on
/// this machine have processes, and stay.
fn remove_cgroups(before: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        // Children stand behind their parent.
        let left =
            cgroups()?.into_iter().rev().filter(|place| !before.contains(place) && fs::remove_dir(place).is_err());
        let left: Vec<PathBuf> = left.collect();
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(10) {
            return Err(format!("{} cgroups are left behind, one of them {}", left.len(), left[0].display()).into());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn nothing_left(dir: &Path, settings: &[(&str, Option<String>)]) -> Result<(), Failure> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let shown = dir.display().to_string();
    if let Some(mount) = mounts.lines().find(|line| line.contains(&shown)) {
        return Err(format!("a mount is left behind: {mount}").into());
    }
    for ((name, before), (_, after)) in settings.iter().zip(read_settings()) {
        if *before != after {
            return Err(format!("/proc/sys/{name} was {before:?} and is {after:?}").into());
        }
    }
    Ok(())
}
