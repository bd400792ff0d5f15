//! Everything that the demonstration runs on: certificate authority, registries, cluster, the real server, a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::admission::{self, Gate, Snapshot};
use crate::args::NodeArgs;
use crate::cli::{self, CommandError};
use crate::cluster::files::{Contents, FileCluster};
use crate::config;
use crate::demo::cases::{Case, Names};
use crate::demo::registry::{Access, Authority, Bearer, LOOPBACK_NAMES, LoggedRequest, Login, Registry, RegistrySpec};
use crate::metrics::Metrics;
use crate::server::{self, Limits};

/// The user of every registry.
pub(super) const USER: &str = "alice";
/// A second user.
pub(super) const OTHER_USER: &str = "bob";
/// The user of the cloud's tokens.
pub(super) const CLOUD_USER: &str = "AWS";
/// The namespace of the recorded reviews.
pub(super) const NAMESPACE: &str = "team-a";

/// The running demonstration.
pub(super) struct Stage {
    pub(super) names: Names,
    /// Bearer tokens, private repositories.
    pub(super) bearer: Registry,
    /// Basic logins.
    pub(super) basic: Registry,
    /// Bearer tokens; says the same of missing and of private.
    pub(super) hiding: Registry,
    /// A port that nobody listens on.
    pub(super) closed: String,
    pub(super) server: SocketAddr,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _files: Files,
}

/// A directory that goes away with the demonstration.
struct Files(std::path::PathBuf);

// === impl Stage ===

impl Stage {
    pub(super) async fn start() -> Result<Self, CommandError> {
        let names = Names::draw();
        let authority = Arc::new(Authority::new().map_err(failed)?);
        let start =
            |login: Login, access: Access| Registry::start(RegistrySpec::https(&authority).login(login).access(access));
        let bearer = start(Login::Bearer(Bearer::default()), Access::default()).await?;
        let basic = start(Login::Basic, Access::default()).await?;
        let hiding =
            start(Login::Bearer(Bearer::default()), Access { hide_existence: true, ..Access::default() }).await?;
        let gone = start(Login::None, Access::default()).await?;
        let closed = gone.host();
        gone.stop().await;
        for registry in [&bearer, &basic, &hiding] {
            registry.set_password(USER, names.password.as_str());
            registry.set_password(OTHER_USER, names.other_password.as_str());
        }
        basic.set_password(CLOUD_USER, names.ended.as_str());
        basic.expire_login(CLOUD_USER);
        let files = Files::new(&names.run)?;
        let ca_file = files.write("ca.pem", authority.pem())?;
        let hosts = [bearer.host(), basic.host(), hiding.host(), closed.clone()];
        let rules = hosts
            .map(|host| format!("  - {{ host: \"{host}\", caFile: {}, nodeAccess: none }}\n", ca_file.display()))
            .concat();
        let policy = format!(
            "mode: enforce\nregistries:\n{rules}guard:\n  allowAddresses: [127.0.0.0/8]\n  registries: {{ deny: [registry.example] }}\n"
        );
        let policy = config::parse(&policy, "demo.yaml")?;
        let contents = Contents::parse(&names.secrets(&bearer.host(), &basic.host(), &hiding.host()), "demo cluster")?;
        let metrics = Metrics::new();
        let cluster = Arc::new(FileCluster::of(contents));
        let node_credentials = cli::node_credentials(NodeArgs::default(), None, &metrics)?;
        let engine = cli::engine(&policy, cluster, node_credentials, metrics.clone())?;
        let (_, snapshots) = watch::channel(Arc::new(Snapshot { policy, engine }));
        let issued = authority.issue(&LOOPBACK_NAMES).map_err(failed)?;
        let certificate = files.write("tls.crt", &issued.certificate_pem)?;
        let key = files.write("tls.key", issued.key_pem.expose_secret())?;
        let certificate = server::Certificate::load(server::TlsFiles { cert: certificate, key })?;
        let limits = Limits { shutdown_delay: Duration::ZERO, drain: Duration::from_secs(2), ..Limits::default() };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound =
            server::bind(address, Some(Arc::new(server::server_config(Arc::new(certificate))?)), limits, "demo")
                .await?;
        let server = bound.local_addr();
        let router = admission::router(Gate::new(snapshots, metrics, limits.request_body_timeout));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.serve(router, async {
            // A sender that is dropped stops the server too.
            drop(stopped.await);
        }));
        let ca = reqwest::Certificate::from_pem(authority.pem().as_bytes()).map_err(failed)?;
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().map_err(failed)?;
        Ok(Self { names, bearer, basic, hiding, closed, server, client, stop, serving, _files: files })
    }

    /// Sends the recorded review, with the case's image and pull secrets in it.
    pub(super) async fn review(&self, path: &str, case: &Case) -> Result<Value, CommandError> {
        let url = format!("https://{}/{path}?timeout=10s", self.server);
        let body = case.review(path);
        let uid = body["request"]["uid"].clone();
        let answer = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(failed)?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.map_err(failed)?).map_err(failed)?;
        if answer["response"]["uid"] == uid {
            Ok(answer)
        } else {
            Err(CommandError::Demo("an answer does not carry the uid of its review".to_owned()))
        }
    }

    pub(super) fn registries(&self) -> [&Registry; 3] {
        [&self.bearer, &self.basic, &self.hiding]
    }

    pub(super) fn clear_logs(&self) {
        for registry in self.registries() {
            registry.clear_log();
        }
    }

    /// All registries' requests in the order in which they came.
    pub(super) fn requests(&self) -> Vec<LoggedRequest> {
        let mut requests: Vec<LoggedRequest> =
            self.registries().iter().flat_map(|registry| registry.requests()).collect();
        requests.sort_by_key(|request| request.at);
        requests
    }

    pub(super) async fn stop(self) {
        drop(self.stop);
        // A server that does not end is ended with the runtime.
        drop(self.serving.await);
    }
}

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::Demo(error.to_string())
}

// === impl Files ===

impl Files {
    fn new(run: &str) -> Result<Self, CommandError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("pullgate-demo-{run}"));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<std::path::PathBuf, CommandError> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's directory for temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
