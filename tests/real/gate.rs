//! pullgate from outside: cases in, pod manifests, Secrets and a configuration out; its JSON answers read back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Failure;
use crate::canary;
use crate::cases::{Case, Form, Secret};

const NAMESPACE: &str = "real";

/// A debug build on a busy machine, with the longest fault among its registries, needs far less.
const PATIENCE: Duration = Duration::from_mins(1);

/// The program under test with everything it is given.
pub(crate) struct Gate {
    dir: PathBuf,
    config: PathBuf,
    cluster: PathBuf,
}

/// What `check -o json` says about one pod.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PodAnswer {
    object: Object,
    pub(crate) verdict: String,
    pub(crate) images: Vec<ImageAnswer>,
    pub(crate) findings: Vec<FindingAnswer>,
}

#[derive(Clone, Debug, Deserialize)]
struct Object {
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ImageAnswer {
    pub(crate) digest: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FindingAnswer {
    pub(crate) code: String,
    pub(crate) certain: bool,
    /// What a person would read; for the report of a failure.
    message: String,
    pub(crate) node: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Report {
    results: Vec<PodAnswer>,
}

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    /// By pod name.
    pub(crate) pods: BTreeMap<String, PodAnswer>,
    pub(crate) stderr: String,
}

// === impl Gate ===

impl Gate {
    /// Writes the Secrets of all cases, as a cluster of one namespace.
    pub(crate) fn new(dir: &Path, config: &str, cases: &[Case]) -> Result<Self, Failure> {
        let gate = Self { dir: dir.to_owned(), config: dir.join("config.yaml"), cluster: dir.join("cluster.yaml") };
        fs::create_dir_all(dir)?;
        fs::write(&gate.config, config)?;
        let mut documents = Vec::new();
        for case in cases {
            for (index, secret) in case.secrets.iter().enumerate() {
                documents.extend(secret_document(&secret_name(case, index), secret)?);
            }
        }
        fs::write(&gate.cluster, documents.join("---\n"))?;
        Ok(gate)
    }

    /// Asks about the pods of these cases in one process.
    pub(crate) fn check(&self, cases: &[&Case]) -> Result<Run, Failure> {
        let mut pods = Vec::new();
        for case in cases {
            let names = (0..case.secrets.len()).map(|index| json!({ "name": secret_name(case, index) }));
            pods.push(serde_json::to_string_pretty(&json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": pod_name(case), "namespace": NAMESPACE },
                "spec": {
                    "imagePullSecrets": names.collect::<Vec<_>>(),
                    "containers": [{ "name": "app", "image": case.image, "imagePullPolicy": "Always" }],
                },
            }))?);
        }
        let manifest = self.dir.join("pods.yaml");
        fs::write(&manifest, pods.join("\n---\n"))?;
        let (stdout, stderr) = (self.dir.join("stdout"), self.dir.join("stderr"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .arg("check")
            .arg("--config")
            .arg(&self.config)
            .arg("--cluster-from")
            .arg(&self.cluster)
            .args(["-n", NAMESPACE, "-o", "json", "-f"])
            .arg(&manifest)
            .env_clear()
            .env("HOME", &self.dir)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Err(format!("pullgate check did not end within {} s", PATIENCE.as_secs()).into());
            }
            thread::sleep(Duration::from_millis(2));
        };
        let (stdout, stderr) = (fs::read_to_string(stdout)?, fs::read_to_string(stderr)?);
        if let Some(trace) = canary::trace(&stdout).or_else(|| canary::trace(&stderr)) {
            return Err(format!("check prints a password: {trace}").into());
        }
        let report: Report = serde_json::from_str(&stdout)
            .map_err(|error| format!("{status}, and no JSON of check ({error}):\n{stdout}{stderr}"))?;
        let pods = report.results.into_iter().map(|pod| (pod.object.name.clone(), pod)).collect();
        Ok(Run { code: status.code(), pods, stderr })
    }
}

// === impl PodAnswer ===

impl PodAnswer {
    /// The finding that stops the pull: the first that is no mere warning.
    pub(crate) fn failure(&self) -> Option<&FindingAnswer> {
        const WARNINGS: [&str; 4] = ["PullSecretMissing", "MutableTag", "ImplicitLatest", "ImplicitDockerHub"];
        self.findings.iter().find(|finding| !WARNINGS.contains(&finding.code.as_str()))
    }

    /// The digest, when nothing stops the pull.
    pub(crate) fn digest(&self) -> Option<&str> {
        match (self.failure(), self.images.as_slice()) {
            (None, [image]) => image.digest.as_deref(),
            _ => None,
        }
    }

    /// The exit code that this answer alone asks for.
    pub(crate) fn exit_code(&self) -> i32 {
        match self.failure() {
            None => 0,
            Some(finding) if finding.certain => 1,
            Some(_) => 3,
        }
    }
}

// === impl FindingAnswer ===

impl FindingAnswer {
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

/// The configuration for these `host:port`s; `plain_http` ones are asked without TLS, `slow` ones for one second only.
pub(crate) fn config(ca: &Path, hosts: &[&str], plain_http: &[&str], slow: &[&str]) -> String {
    let mut config = "mode: enforce\nregistries:\n".to_owned();
    for host in plain_http {
        config += &format!("  - {{ host: \"{host}\", plainHTTP: true, nodeAccess: none }}\n");
    }
    for host in hosts {
        let timeout = if slow.contains(host) { ", timeout: 1s" } else { "" };
        config += &format!("  - {{ host: \"{host}\", caFile: \"{}\", nodeAccess: none{timeout} }}\n", ca.display());
    }
    config + "guard: { allowAddresses: [127.0.0.0/8] }\n"
}

/// The configuration by containerd's own means: everything that can be said in `certs.d` is said there.
pub(crate) fn certs_config(hosts_dir: &Path) -> String {
    format!(
        "mode: enforce\nregistries: [{{ host: \"*\", nodeAccess: declared }}]\nnodes: {{ certsDir: \"{}\" }}\n\
         guard: {{ allowAddresses: [127.0.0.0/8] }}\n",
        hosts_dir.display()
    )
}

pub(crate) fn pod_name(case: &Case) -> String {
    format!("case-{}", case.number)
}

fn secret_name(case: &Case, index: usize) -> String {
    format!("case-{}-{}", case.number, index + 1)
}

/// One YAML document, or none for a Secret that is only named.
fn secret_document(name: &str, secret: &Secret) -> Result<Option<String>, Failure> {
    let (kind, key) = match secret.form {
        Form::Missing => return Ok(None),
        Form::DockerCfg => ("kubernetes.io/dockercfg", ".dockercfg"),
        Form::Opaque => ("Opaque", ".dockerconfigjson"),
        Form::DockerConfigJson | Form::StringData => ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
    };
    let content = serde_json::to_string(&secret.content)?;
    let (field, content) = match secret.form {
        Form::StringData => ("stringData", content),
        _ => ("data", STANDARD.encode(content)),
    };
    let document: Value = json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": { "name": name, "namespace": NAMESPACE },
        field: { key: content },
    });
    Ok(Some(serde_json::to_string_pretty(&document)? + "\n"))
}
