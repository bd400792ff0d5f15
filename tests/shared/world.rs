//! A registry on loopback, servers to share in, and replicas that are made from a configuration file as `serve` does.

use std::ffi::OsString;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs};

use pullgate::check::{Engine, Purpose};
use pullgate::cli;
use pullgate::cluster::files::{Contents, FileCluster};
use pullgate::demo::registry::{Authority, Login, Registry, RegistrySpec};
use pullgate::metrics::Metrics;
use pullgate::node_credentials::{Declared, NodeCredentials};
use pullgate::policy::Policy;
use pullgate::time::Clock;
use pullgate::verdict::{Decision, Verdict};
use pullgate::workload::{ContainerImage, ObjectRef, Owner, Placement, PullPolicy, PullSecretNames, Shape, Workload};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::Failure;
use crate::parts::{Part, Workshop, free_ports};

/// The secret of replicas that share.
pub(crate) const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

/// How often something that must come about is tried.
pub(crate) const TRIES: usize = 200;

/// How long between two tries, and how long a review may take.
pub(crate) const BETWEEN: Duration = Duration::from_millis(50);
const REVIEW: Duration = Duration::from_secs(10);

/// Who pulls.
const USER: &str = "ann-of-accounting";
const PASSWORD: &str = "canary-wonderland-7";

/// Everything that the scenes have in common.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) dir: TempDir,
    program: PathBuf,
    images: AtomicUsize,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) port: u16,
    directory: PathBuf,
    _part: Part,
}

/// One replica, with counters of its own.
#[derive(Clone)]
pub(crate) struct Replica {
    engine: Engine,
    policy: Policy,
    metrics: Metrics,
}

// === impl World ===

impl World {
    pub(crate) async fn new() -> Result<Self, Failure> {
        let program = ["valkey-server", "redis-server"].into_iter().find_map(on_path);
        let program = program
            .ok_or("neither valkey-server nor redis-server is on the PATH; type: apt-get install -y redis-server")?;
        let authority = Arc::new(Authority::new()?);
        let registry = Registry::start(RegistrySpec::https(&authority).login(Login::bearer())).await?;
        registry.set_password(USER, PASSWORD.to_owned());
        registry.private("books", &[USER]);
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("registry.pem"), authority.pem())?;
        fs::write(dir.path().join("key"), KEY)?;
        Ok(Self { registry, dir, program, images: AtomicUsize::new(0) })
    }

    pub(crate) fn version(&self) -> Result<String, Failure> {
        Ok(String::from_utf8(Command::new(&self.program).arg("--version").output()?.stdout)?.trim().to_owned())
    }

    /// Writes a file and says where.
    pub(crate) fn file(&self, name: &str, content: &str) -> Result<String, Failure> {
        let path = self.dir.path().join(name);
        fs::write(&path, content)?;
        Ok(path.display().to_string())
    }

    /// A server on a port of its own, with these arguments besides.
    pub(crate) fn server(&self, arguments: &[&str]) -> Result<Server, Failure> {
        let [port] = free_ports()?;
        self.server_at(port, arguments)
    }

    /// The same on this port; `port 0` is added for TLS by the caller.
    pub(crate) fn server_at(&self, port: u16, arguments: &[&str]) -> Result<Server, Failure> {
        let number = self.images.fetch_add(1, Ordering::SeqCst);
        let directory = self.dir.path().join(format!("server-{number}"));
        fs::create_dir_all(&directory)?;
        let workshop = Workshop::new(&directory, &[])?;
        let plain = port.to_string();
        let mut all = vec!["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        if !arguments.contains(&"--port") {
            all.extend(["--port", &plain]);
        }
        let path = directory.display().to_string();
        all.extend(["--dir", &path]);
        all.extend(arguments);
        let all: Vec<OsString> = all.into_iter().map(OsString::from).collect();
        let running = workshop.start("server", &self.program, &all)?.wait_for(port)?;
        Ok(Server { port, directory, _part: running })
    }

    /// A replica that shares at this URL under [`KEY`].
    pub(crate) fn replica(&self, url: &str) -> Result<Replica, Failure> {
        self.replica_with(url, "key", "", "")
    }

    /// The same with another key, more lines for the shared cache, and more for the only registry rule.
    pub(crate) fn replica_with(&self, url: &str, key: &str, shared: &str, rule: &str) -> Result<Replica, Failure> {
        let policy = pullgate::config::parse(&self.config(url, key, shared, rule), "test.yaml")?;
        let config = serde_json::json!({
            "auths": { self.registry.host(): { "username": USER, "password": PASSWORD } }
        });
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "regcred", "namespace": "team" },
            "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": config.to_string() },
        });
        let cluster = Arc::new(FileCluster::of(Contents::parse(&secret.to_string(), "test")?));
        let metrics = Metrics::new();
        let nodes = NodeCredentials::new(Declared::default(), &Clock::system(), &metrics);
        let engine = cli::engine(&policy, cluster, nodes, metrics.clone())?;
        Ok(Replica { engine, policy, metrics })
    }

    pub(crate) fn config(&self, url: &str, key: &str, shared: &str, rule: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            "mode: enforce\n\
             registries: [{{ host: '*', caFile: {dir}/registry.pem, nodeAccess: none{rule} }}]\n\
             guard: {{ allowAddresses: [127.0.0.0/8] }}\n\
             cache:\n  shared:\n    url: {url}\n    keyFile: {dir}/{key}\n{shared}"
        )
    }

    /// An image that was never asked for.
    pub(crate) fn image(&self) -> String {
        let tag = format!("v{}", self.images.fetch_add(1, Ordering::SeqCst));
        self.registry.push("books/ledger", &tag);
        format!("{}/books/ledger:{tag}", self.registry.host())
    }

    /// Tries new images until `second` answers one without the registry after `first` resolved it. Every verdict on the
    /// way must be right.
    pub(crate) async fn shared_image(&self, first: &Replica, second: &Replica) -> Result<String, Failure> {
        for _ in 0..TRIES {
            let image = self.image();
            first.allows(&image).await?;
            // The entry is on its way.
            tokio::time::sleep(BETWEEN).await;
            self.registry.clear_log();
            second.allows(&image).await?;
            if self.registry.requests().is_empty() {
                return Ok(image);
            }
        }
        Err(format!("nothing was shared in {TRIES} tries\n{}\n{}", first.counters(), second.counters()).into())
    }
}

// === impl Server ===

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a signal to the server itself.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid: i32 = fs::read_to_string(self.directory.join("server.pid"))?.trim().parse()?;
        Ok(kill_process(Pid::from_raw(pid).ok_or("no process")?, signal)?)
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(&self) -> Result<(), Failure> {
        self.signal(Signal::KILL)?;
        for _ in 0..TRIES {
            if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN).await;
        }
        Err("the server outlives SIGKILL".into())
    }

    /// A connection of the test's own, as anybody has one who can reach the server.
    pub(crate) fn intruder(&self) -> Result<redis::Connection, Failure> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }
}

// === impl Replica ===

impl Replica {
    pub(crate) async fn check(&self, image: &str, purpose: Purpose) -> Verdict {
        self.engine.check(&self.policy, &pod(image), purpose, Instant::now() + REVIEW).await
    }

    /// Judges a pod of an image that is there.
    pub(crate) async fn allows(&self, image: &str) -> Result<(), Failure> {
        let verdict = self.check(image, Purpose::Judge).await;
        let right = verdict.decision == Decision::Allow && verdict.findings.is_empty();
        right.then_some(()).ok_or_else(|| format!("{image}: {:?} {:?}", verdict.decision, verdict.findings).into())
    }

    /// Judges a pod of an image that is not there.
    pub(crate) async fn denies(&self, image: &str) -> Result<(), Failure> {
        let verdict = self.check(image, Purpose::Judge).await;
        let right = verdict.decision == Decision::Deny && verdict.findings.iter().all(|finding| finding.certain);
        right.then_some(()).ok_or_else(|| format!("{image}: {:?} {:?}", verdict.decision, verdict.findings).into())
    }

    /// Pins an image that is there.
    pub(crate) async fn pins(&self, image: &str) -> Result<(), Failure> {
        let verdict = self.check(image, Purpose::Pin).await;
        let right = verdict.images.iter().all(|judged| judged.pinnable && judged.digest.is_some());
        right.then_some(()).ok_or_else(|| format!("{image}: not pinned, {:?}", verdict.findings).into())
    }

    /// How many `reads` or `writes` ended like this.
    pub(crate) fn count(&self, what: &str, outcome: &str) -> u64 {
        let start = format!("pullgate_shared_cache_{what}_total{{outcome=\"{outcome}\"}} ");
        let text = self.metrics.render();
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or_default()
    }

    /// All of them, for a remark.
    pub(crate) fn counters(&self) -> String {
        let text = self.metrics.render();
        let lines = text.lines().filter_map(|line| line.strip_prefix("pullgate_shared_cache_"));
        let lines = lines.filter(|line| !line.ends_with(" 0"));
        let plain = |line: &str| line.replace("_total{outcome=\"", " ").replace("\"}", "");
        lines.map(plain).collect::<Vec<_>>().join(", ")
    }
}

fn pod(image: &str) -> Workload {
    let image = ContainerImage {
        path: "spec.containers[0].image".to_owned(),
        pointer: "/spec/containers/0/image".to_owned(),
        container: "app".to_owned(),
        image: image.to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        old_image: None,
    };
    let (api_version, kind) = ("v1".to_owned(), "Pod".to_owned());
    Workload {
        object: ObjectRef { api_version, kind, namespace: "team".to_owned(), name: "p".to_owned() },
        shape: Shape::Pod,
        images: vec![Arc::new(image)],
        pull_secrets: PullSecretNames::Final(vec!["regcred".to_owned()]),
        owner: Owner::None,
        account: "default".to_owned(),
        placement: Placement::default(),
        existing: false,
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir: PathBuf| Path::new(&dir).join(name)).find(|file| file.is_file())
}
