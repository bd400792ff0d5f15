//! What everything is measured on: a registry that wants a login, the pull secret for it, and recorded reviews that name
//! its images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::admission::review::{self, Subject};
use pullgate::args::NodeArgs;
use pullgate::check::Engine;
use pullgate::cluster::files::{Contents, FileCluster};
use pullgate::demo::registry::{Authority, LOOPBACK_NAMES, Login, Registry, RegistrySpec};
use pullgate::metrics::Metrics;
use pullgate::policy::Policy;
use pullgate::server::TlsFiles;
use pullgate::workload::Workload;
use pullgate::{cli, config};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Failure;

/// A Pod with two images and a pull secret, as a real API server sent it.
const RECORDED: &str = include_str!("../../tests/fixtures/admissionreviews/pod-create.validate.json");
/// The registry in it.
const RECORDED_HOST: &str = "127.0.0.1:15000";

const USER: &str = "alice";
const PASSWORD: &str = "not-a-real-one";

/// The registry, and the files that make pullgate know it.
pub(crate) struct Bed {
    pub(crate) registry: Registry,
    authority: Authority,
    directory: TempDir,
}

// === impl Bed ===

impl Bed {
    /// Starts the registry on the calling runtime; everything under the user's name is private.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let authority = Arc::new(Authority::new()?);
        let registry = Registry::start(RegistrySpec::https(&authority).login(Login::bearer())).await?;
        registry.set_password(USER, PASSWORD);
        registry.private(USER, &[USER]);
        registry.push("alice/app", "1.0");
        registry.push("alice/tool", "1");
        let directory = tempfile::tempdir()?;
        // One authority for registry and servers; nothing else is trusted.
        let leaf = authority.issue(&LOOPBACK_NAMES)?;
        let authority = Arc::into_inner(authority).ok_or("the registry keeps its authority")?;
        std::fs::write(directory.path().join("ca.pem"), authority.pem())?;
        std::fs::write(directory.path().join("tls.crt"), &leaf.certificate_pem)?;
        std::fs::write(directory.path().join("tls.key"), leaf.key_pem.expose_secret())?;
        let bed = Self { registry, authority, directory };
        std::fs::write(bed.config_file(), bed.config())?;
        std::fs::write(bed.cluster_file(), bed.cluster().to_string())?;
        Ok(bed)
    }

    /// The root certificate of every server here.
    pub(crate) fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The serving certificate of every server here.
    pub(crate) fn tls_files(&self) -> TlsFiles {
        TlsFiles { cert: self.path("tls.crt"), key: self.path("tls.key") }
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.path("config.yaml")
    }

    pub(crate) fn cluster_file(&self) -> PathBuf {
        self.path("cluster.json")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.directory.path(), name)
    }

    fn config(&self) -> String {
        let (host, ca) = (self.registry.host(), self.path("ca.pem"));
        format!(
            "mode: enforce\nregistries:\n  - {{ host: \"{host}\", caFile: \"{}\", nodeAccess: none }}\n\
             guard: {{ allowAddresses: [127.0.0.0/8] }}\n",
            ca.display()
        )
    }

    /// One pull secret with two entries, as `kubectl create secret docker-registry` and a second login leave it.
    fn cluster(&self) -> Value {
        let entry = |user: &str| json!({ "auth": STANDARD.encode(format!("{user}:{PASSWORD}")) });
        let auths = json!({ self.registry.host(): entry(USER), "https://index.docker.io/v1/": entry("somebody") });
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "regcred", "namespace": "team-a" },
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": { ".dockerconfigjson": json!({ "auths": auths }).to_string() },
        })
    }

    pub(crate) fn policy(&self) -> Result<Policy, Failure> {
        Ok(config::parse(&self.config(), "config.yaml")?)
    }

    /// An engine that knows nothing yet: no fact, no token, no connection.
    pub(crate) fn engine(&self, metrics: Metrics) -> Result<Engine, Failure> {
        let contents = Contents::parse(&self.cluster().to_string(), "cluster.json")?;
        let node_credentials = cli::node_credentials(NodeArgs::default(), None, &metrics)?;
        Ok(cli::engine(&self.policy()?, Arc::new(FileCluster::of(contents)), node_credentials, metrics)?)
    }

    /// Pushes a private image and returns its reference.
    pub(crate) fn push(&self, repository: &str, tag: &str) -> String {
        self.registry.push(&format!("{USER}/{repository}"), tag);
        format!("{}/{USER}/{repository}:{tag}", self.registry.host())
    }

    /// The recorded review, byte for byte but for the registry.
    pub(crate) fn recorded(&self) -> String {
        RECORDED.replace(RECORDED_HOST, &self.registry.host())
    }
}

/// The recorded review with a container for each of `images`, and no other.
pub(crate) fn review_of(images: &[String]) -> Result<String, Failure> {
    let mut review: Value = serde_json::from_str(RECORDED)?;
    let spec = &mut review["request"]["object"]["spec"];
    let container = spec["containers"][0].clone();
    spec["initContainers"] = json!([]);
    spec["containers"] = images
        .iter()
        .enumerate()
        .map(|(index, image)| {
            let mut container = container.clone();
            container["name"] = json!(format!("c{index}"));
            container["image"] = json!(image);
            container
        })
        .collect();
    Ok(review.to_string())
}

/// What such a review asks to judge.
pub(crate) fn workload_of(images: &[String]) -> Result<Workload, Failure> {
    match review::parse(review_of(images)?.as_bytes())?.subject {
        Subject::Judge(mut workloads) => workloads.pop().ok_or_else(|| "no workload".into()),
        Subject::Pass(_) | Subject::Unreadable { .. } => Err("the recorded review is not judged".into()),
    }
}
