//! Plays the kubelet for the pods of the release: those of hooks run as the processes that they ask for, with the rights of
//! their own `ServiceAccount` and no others; those of the webhook are ready when they are said to be; who must go, goes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Failure;
use crate::kubectl::Kubectl;
use crate::stack;
use crate::world::{OWN_NAMESPACE, World};

/// Until it is dropped.
pub(crate) struct Hands {
    ready: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    logs: PathBuf,
}

/// What the thread works with.
struct Work {
    kubectl: Kubectl,
    /// With `TOKEN` where the token goes.
    kubeconfig: String,
    dir: PathBuf,
    ready: Arc<AtomicBool>,
    running: BTreeMap<String, Child>,
}

// === impl Hands ===

impl Hands {
    /// Starts; pods of the webhook are not ready before [`Hands::ready`].
    pub(crate) fn start(world: &World) -> Result<Self, Failure> {
        let dir = world.workshop.dir.join("hands");
        fs::create_dir_all(&dir)?;
        let (ready, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut work = Work {
            kubectl: world.kubectl.another("hands")?,
            kubeconfig: stack::kubeconfig(&world.stack.server, &world.authority, &json!({ "token": "TOKEN" }))
                .to_string(),
            dir: dir.clone(),
            ready: Arc::clone(&ready),
            running: BTreeMap::new(),
        };
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(SeqCst) {
                    // A pod that is gone meanwhile is no failure; what matters shows in what helm says.
                    drop(work.once());
                    thread::sleep(Duration::from_millis(400));
                }
            }
        });
        Ok(Self { ready, stop, thread: Some(thread), logs: dir })
    }

    /// From now on every pod of the webhook is ready.
    pub(crate) fn ready(&self) {
        self.ready.store(true, SeqCst);
    }

    /// What the processes of hooks printed.
    pub(crate) fn printed(&self) -> Result<String, Failure> {
        let mut all = String::new();
        for entry in fs::read_dir(&self.logs)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "log") {
                all += &fs::read_to_string(path)?;
            }
        }
        Ok(all)
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

// === impl Work ===

impl Work {
    fn once(&mut self) -> Result<(), Failure> {
        let pods: Value = serde_json::from_str(&self.kubectl.get(&format!("-n {OWN_NAMESPACE} get pods -o json"))?)?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let labels = &pod["metadata"]["labels"];
            if labels["app.kubernetes.io/part-of"] != "pullgate" || pod["spec"]["nodeName"].is_null() {
                continue;
            }
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                self.kubectl.run(&format!("-n {OWN_NAMESPACE} delete pod {name} --force --grace-period=0"))?;
                continue;
            }
            let pending = pod["status"]["phase"] == "Pending";
            match labels["app.kubernetes.io/component"].as_str() {
                Some("hook") if pending && !self.running.contains_key(&name) => {
                    let child = self.run(&name, pod)?;
                    self.running.insert(name, child);
                }
                Some("webhook") if pending && self.ready.load(SeqCst) => {
                    let ready = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
                    self.status(&name, &ready)?;
                }
                _ => {}
            }
        }
        let mut ended = Vec::new();
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                ended.push((name.clone(), if status.success() { "Succeeded" } else { "Failed" }));
            }
        }
        for (name, phase) in ended {
            self.running.remove(&name);
            self.status(&name, &json!({ "phase": phase }))?;
        }
        Ok(())
    }

    /// The process of a pod's one container.
    fn run(&self, name: &str, pod: &Value) -> Result<Child, Failure> {
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
        let token = self.kubectl.get(&format!("-n {OWN_NAMESPACE} create token {account}"))?;
        let kubeconfig = self.dir.join(format!("{name}.kubeconfig"));
        fs::write(&kubeconfig, self.kubeconfig.replace("TOKEN", token.trim()))?;
        let arguments = pod["spec"]["containers"][0]["args"].as_array().ok_or("a hook has arguments")?;
        let log = File::create(self.dir.join(format!("{name}.log")))?;
        let child = Command::new(Path::new(env!("CARGO_BIN_EXE_pullgate")))
            .args(arguments.iter().filter_map(Value::as_str))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(child)
    }

    fn status(&self, pod: &str, status: &Value) -> Result<(), Failure> {
        let patch = json!({ "status": status }).to_string();
        let arguments =
            ["-n", OWN_NAMESPACE, "patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &patch];
        self.kubectl.run_with(&arguments, None)?.succeeded().map(drop)
    }
}
