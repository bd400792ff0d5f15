//! The stage of one run: a registry, the control plane, the node, and what is known of the release.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::Failure;
use crate::images;
use crate::kubectl::{Kubectl, Said, until, until_within};
use crate::load::{self, Goods, Load};
use crate::parts::{Login, Part, Workshop, free_ports};
use crate::pki::Authority;
use crate::stack::{self, Stack};
use crate::standin::{Node, Replica};

/// The namespace of the release.
pub(crate) const OWN_NAMESPACE: &str = "pullgate-system";

/// How many replicas the release has.
pub(crate) const REPLICAS: usize = 3;

/// How long a rollout may take.
pub(crate) const ROLLOUT: Duration = Duration::from_secs(90);

/// Everything that runs.
pub(crate) struct Scene {
    // Dropped first: its tasks talk to all the others.
    pub(crate) runtime: Runtime,
    pub(crate) workshop: Workshop,
    pub(crate) stack: Stack,
    pub(crate) kubectl: Kubectl,
    pub(crate) node: Node,
    pub(crate) goods: Goods,
    /// Who signs for the control plane, the callers of webhooks among it.
    pub(crate) authority: Authority,
    client: Client,
    registry: Part,
}

// === impl Scene ===

impl Scene {
    /// Starts everything but pullgate.
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        pullgate::cli::install_crypto();
        let mut needed = vec!["registry".to_owned()];
        needed.extend(stack::needed());
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let workshop = Workshop::new(dir, &needed)?;
        let authority = Authority::new("pullgate test authority")?;
        let [port] = free_ports()?;
        let registry = workshop.registry("registry", port, None, &Login::None)?;
        images::push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "shop/app", "v1", "one")?;
        let image = |tag: &str| format!("127.0.0.1:{port}/shop/app:{tag}");
        let goods = Goods { good: image("v1"), bad: image("v2") };

        let (stack, kubectl) = Stack::start(&workshop, &authority)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let client = runtime.block_on(client(&kubectl.kubeconfig))?;
        let nobody = stack::kubeconfig(&stack.server, &authority, &json!({}));
        let pods = dir.join("pods");
        let node = Node::start(runtime.handle(), client.clone(), OWN_NAMESPACE, "node-1", pods, nobody);
        let scene = Self { runtime, workshop, stack, kubectl, node, goods, authority, client, registry };
        scene.namespaces()?;
        Ok(scene)
    }

    /// Pods are refused until the controller manager has made a namespace's `ServiceAccount`.
    fn namespaces(&self) -> Result<(), Failure> {
        let names = [OWN_NAMESPACE, load::NAMESPACE];
        for name in names {
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            self.kubectl.apply(&namespace)?.succeeded()?;
        }
        for name in names.into_iter().chain(["kube-system"]) {
            until("the ServiceAccount of a namespace", || {
                Ok((self.kubectl.run(&format!("-n {name} get serviceaccount default"))?.code == Some(0)).then_some(()))
            })?;
        }
        Ok(())
    }

    /// pullgate's configuration, as a user writes it into the chart's values.
    pub(crate) fn config(&self) -> Value {
        let host = self.goods.good.split('/').next().unwrap_or_default();
        json!({
            "mode": "enforce",
            "registries": [{ "host": host, "plainHTTP": true, "nodeAccess": "none" }],
            "guard": { "allowAddresses": ["127.0.0.0/8"] },
        })
    }

    /// The values of the release; `marked` is an annotation of its pods.
    pub(crate) fn values(&self, marked: &str) -> Value {
        json!({
            "config": self.config(),
            "replicas": REPLICAS,
            "podAnnotations": { "example.com/mark": marked },
            "webhooks": { "validate": { "failurePolicy": "Fail", "timeoutSeconds": 10 } },
            // Endpoints are known at once here.
            "shutdownDelay": "5s",
            "hooks": { "readyTimeout": "50s" },
            "test": { "namespace": load::NAMESPACE },
        })
    }

    /// `helm VERB pullgate` with the chart and the suite's values.
    pub(crate) fn helm(&self, verb: &str, marked: &str) -> Result<Said, Failure> {
        self.helm_with(verb, &self.values(marked))
    }

    /// The same with these values.
    pub(crate) fn helm_with(&self, verb: &str, values: &Value) -> Result<Said, Failure> {
        let values = self.workshop.file("values.json", values.to_string())?.display().to_string();
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/pullgate").display().to_string();
        self.kubectl.helm(&[verb, "pullgate", &chart, "-n", OWN_NAMESPACE, "-f", &values])?.succeeded()
    }

    /// Waits until the Deployment is what it should be, and all that it should not be is gone.
    pub(crate) fn settled(&self, replicas: usize) -> Result<(), Failure> {
        until_within(ROLLOUT, "the rollout", || {
            let generations = "{.metadata.generation} {.status.observedGeneration} {.status.updatedReplicas}";
            let said = self.kubectl.get(&format!(
                "-n {OWN_NAMESPACE} get deployment pullgate -o jsonpath={}",
                generations.replace(' ', "/")
            ))?;
            let mut numbers = said.split('/').map(|number| number.parse::<u64>().unwrap_or(0));
            let rolled = numbers.next() == numbers.next() && numbers.next() == Some(replicas as u64);
            let here = self.replicas();
            let well = here.len() == replicas && here.iter().all(|replica| replica.ready);
            Ok((well && (rolled || replicas == 0)).then_some(()))
        })
    }

    /// The replicas of the webhook.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        self.node.replicas().into_iter().filter(|replica| replica.serves).collect()
    }

    /// Starts the load.
    pub(crate) fn load(&self) -> Load {
        Load::start(self.runtime.handle(), self.client.clone(), self.goods.clone())
    }

    /// What the API server says of the validating webhooks of the release: whether they fail closed.
    pub(crate) fn fails_closed(&self) -> Result<(), Failure> {
        let path = "{.webhooks[*].failurePolicy}";
        let said = self.kubectl.get(&format!("get validatingwebhookconfiguration pullgate -o jsonpath={path}"))?;
        if said == "Fail" { Ok(()) } else { Err(format!("the failurePolicy read back is {said:?}, not Fail").into()) }
    }

    /// How often the API server got an answer from the validating webhook, over creations.
    pub(crate) fn answers(&self) -> Result<u64, Failure> {
        let page = self.kubectl.get("get --raw /metrics")?;
        let labels = ["name=\"validate.pullgate.dev\"", "operation=\"CREATE\"", "type=\"validating\""];
        let not_called = ["code=\"0\"", "code=\"503\"", "code=\"500\""];
        Ok(sum(&page, "apiserver_admission_webhook_request_total", &labels, &not_called))
    }

    /// How many reviews the replicas that run now say they have answered.
    pub(crate) fn reviews(&self) -> u64 {
        let count = |replica: &Replica| {
            self.metrics(replica).map(|page| sum(&page, "pullgate_reviews_total", &["path=\"validate\""], &[]))
        };
        self.replicas().iter().filter_map(|replica| count(replica).ok()).sum()
    }

    /// The page of `/metrics` of a replica.
    fn metrics(&self, replica: &Replica) -> Result<String, Failure> {
        let port = replica.admin.ok_or("the pod has no port for metrics")?;
        let ask = async {
            let mut stream = TcpStream::connect((replica.address, port)).await?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
            let mut page = String::new();
            stream.read_to_string(&mut page).await?;
            Ok::<_, std::io::Error>(page)
        };
        Ok(self.runtime.block_on(async { timeout(Duration::from_secs(2), ask).await })??)
    }

    /// `pullgate` with the words of a line, as an administrator runs it; gives its exit code and all that it printed.
    pub(crate) fn pullgate(&self, line: &str) -> Result<(Option<i32>, String), Failure> {
        let done = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(line.split_ascii_whitespace())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("KUBECONFIG", &self.kubectl.kubeconfig)
            .output()?;
        let text = [done.stdout, done.stderr].concat();
        Ok((done.status.code(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// What a dry run of a pod with the good image says.
    pub(crate) fn tries(&self, namespace: &str) -> Result<Said, Failure> {
        self.tries_image(namespace, &self.goods.good)
    }

    /// Whether a pod with the bad image is refused.
    pub(crate) fn is_shut(&self) -> Result<bool, Failure> {
        Ok(self.tries_image(load::NAMESPACE, &self.goods.bad)?.refused("TagNotFound").is_ok())
    }

    fn tries_image(&self, namespace: &str, image: &str) -> Result<Said, Failure> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": namespace, "name": "tried" },
            "spec": { "containers": [{ "name": "app", "image": image }] },
        });
        self.kubectl.feed("create --dry-run=server -f -", &pod)
    }

    /// Sends a signal to a part of the control plane.
    pub(crate) fn signal(&self, part: &str, signal: &str) -> Result<(), Failure> {
        let process = fs::read_to_string(self.workshop.dir.join(format!("{part}.pid")))?;
        kill(signal, process.trim())
    }

    /// The ends of all logs.
    pub(crate) fn tails(&self) -> String {
        let pods = fs::read_dir(self.workshop.dir.join("pods")).into_iter().flatten().flatten();
        let logs: Vec<PathBuf> = pods.map(|pod| pod.path().join("log")).collect();
        let tail = |log: &PathBuf| {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"Findings\"")).collect();
            format!(
                "--- {}\n{}",
                log.display(),
                lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
            )
        };
        let pods: Vec<String> = logs.iter().map(tail).collect();
        format!("{}\n{}\n{}", self.registry.tail(), self.stack.tails(), pods.join("\n"))
    }
}

/// `kill`.
pub(crate) fn kill(signal: &str, process: &str) -> Result<(), Failure> {
    let status = Command::new("kill").args([signal, process]).status()?;
    if status.success() { Ok(()) } else { Err(format!("kill {signal} {process}: {status}").into()) }
}

/// The sum of the samples of a family that carry all of some labels and none of others.
fn sum(page: &str, family: &str, labels: &[&str], without: &[&str]) -> u64 {
    let samples = page.lines().filter_map(|line| line.strip_prefix(family)).filter(|rest| rest.starts_with('{'));
    let wanted = samples.filter(|rest| {
        labels.iter().all(|label| rest.contains(label)) && !without.iter().any(|label| rest.contains(label))
    });
    wanted.filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

async fn client(kubeconfig: &Path) -> Result<Client, Failure> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_mins(1));
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
