//! What the tests of the webhook stand on: the real server with the real handlers over TLS on loopback, a registry
//! behind it, a cluster of text, and a clock that is moved by hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answer;
mod scenes;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pullgate::admission::callers::Callers;
use pullgate::admission::{self, Snapshot};
use pullgate::check::{Engine, Purpose};
use pullgate::cluster::files::{Contents, FileCluster};
use pullgate::credentials::IdentityKey;
use pullgate::demo::registry::{Authority, LOOPBACK_NAMES, Login, Registry, RegistrySpec};
use pullgate::metrics::Metrics;
use pullgate::node_credentials::{Declared, NodeCredentials};
use pullgate::policy::Policy;
use pullgate::registry::guard::Guard;
use pullgate::registry::http::HttpTransport;
use pullgate::registry::proxies::Proxies;
use pullgate::resolver::Resolver;
use pullgate::server::{self, Certificate, Limits, TlsFiles};
use pullgate::time::Clock;
use pullgate::verdict::Verdict;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

pub(crate) use self::answer::Answer;
pub(crate) use self::scenes::{Scene, noticed, scene};

/// The namespace of the recorded reviews.
pub(crate) const TEAM: &str = "team-a";

/// May pull what is private to ann; a value that is found wherever it leaks.
pub(crate) const PASSWORD: &str = "canary-hunter2-Kq7vXw3z";
/// A login that the registry knows, and that may pull nothing private.
pub(crate) const OTHER_PASSWORD: &str = "canary-swordfish-Jm4tRb8n";
/// A login that no registry knows.
pub(crate) const WRONG_PASSWORD: &str = "canary-letmein-Pd6gHs2c";

/// What a gate is made from.
pub(crate) struct GateSpec {
    login: Login,
    change: Box<dyn FnOnce(RegistrySpec) -> RegistrySpec + Send>,
    policy: String,
    rules: String,
}

/// The running gate and everything around it.
pub(crate) struct Gate {
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) callers: Arc<Callers>,
    cluster: Arc<FileCluster>,
    now: Arc<AtomicI64>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    rules: String,
    address: SocketAddr,
    client: reqwest::Client,
    files: TempDir,
}

// === impl GateSpec ===

impl GateSpec {
    /// A registry with Basic logins, under `mode: enforce`.
    pub(crate) fn new() -> Self {
        Self {
            login: Login::Basic,
            change: Box::new(|spec| spec),
            policy: "mode: enforce".to_owned(),
            rules: String::new(),
        }
    }

    /// With this login at the registry.
    pub(crate) fn login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    /// With a registry of the test's making.
    pub(crate) fn registry(self, change: impl FnOnce(RegistrySpec) -> RegistrySpec + Send + 'static) -> Self {
        Self { change: Box::new(change), ..self }
    }

    /// With this configuration, `registries` and `guard` apart.
    pub(crate) fn policy(self, text: &str) -> Self {
        Self { policy: text.to_owned(), ..self }
    }

    /// With these entries at the head of `registries`; `CA` stands for the authority's file.
    pub(crate) fn rules(self, text: &str) -> Self {
        Self { rules: text.to_owned(), ..self }
    }

    /// Starts everything. The repository `open` is public, what lies under `team` is ann's; bob has a login too.
    pub(crate) async fn start(self) -> Gate {
        pullgate::cli::install_crypto();
        let authority = Arc::new(Authority::new().unwrap());
        let registry = Registry::start((self.change)(RegistrySpec::https(&authority).login(self.login))).await.unwrap();
        registry.push("open", "v1");
        registry.private("team", &["ann"]);
        registry.set_password("ann", PASSWORD);
        registry.set_password("bob", OTHER_PASSWORD);

        let files = TempDir::new().unwrap();
        std::fs::write(files.path().join("ca.pem"), authority.pem()).unwrap();
        let now = Arc::new(AtomicI64::new(1_800_000_000_000));
        let clock = Clock::new({
            let now = Arc::clone(&now);
            move || Timestamp::from_millisecond(now.load(Ordering::SeqCst)).unwrap()
        });
        let policy = policy(&self.policy, &self.rules, files.path());
        let metrics = Metrics::new();
        let transport = Arc::new(HttpTransport::new(Guard::new(&policy.guard), Proxies::default()));
        let asking = pullgate::registry::Registry::new(transport, clock.clone(), metrics.clone());
        let resolver = Resolver::new(asking, IdentityKey::new(&[7; 32]), clock.clone(), metrics.clone());
        let cluster = Arc::new(FileCluster::of(secrets(&registry.host())));
        let node_credentials = NodeCredentials::new(Declared::default(), &clock, &metrics);
        let engine = Engine { cluster: Arc::clone(&cluster) as _, node_credentials, resolver, clock };
        let (snapshots, receiver) = watch::channel(Arc::new(Snapshot { policy, engine }));

        let issued = authority.issue(&LOOPBACK_NAMES).unwrap();
        let tls = TlsFiles { cert: files.path().join("tls.crt"), key: files.path().join("tls.key") };
        std::fs::write(&tls.cert, &issued.certificate_pem).unwrap();
        std::fs::write(&tls.key, issued.key_pem.expose_secret()).unwrap();
        let tls = server::server_config(Arc::new(Certificate::load(tls).unwrap())).unwrap();
        let limits = Limits::default();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = server::bind(loopback, Some(Arc::new(tls)), limits, "test").await.unwrap();
        let address = bound.local_addr();
        let callers = Arc::<Callers>::default();
        let handlers = admission::Gate::new(receiver, metrics.clone(), limits.request_body_timeout);
        let handlers = handlers.telling_apart(Arc::clone(&callers));
        // Ends with the test's runtime.
        tokio::spawn(bound.serve(admission::router(handlers), std::future::pending()));
        let ca = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        Gate { registry, metrics, callers, cluster, now, snapshots, rules: self.rules, address, client, files }
    }
}

// === impl Gate ===

impl Gate {
    /// [`GateSpec::new`], started.
    pub(crate) async fn start() -> Self {
        GateSpec::new().start().await
    }

    /// `name` as it stands in a pod.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    /// A review as an API server sent it, with this registry's address in it.
    pub(crate) fn recorded(&self, name: &str) -> Value {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/admissionreviews");
        let mut text = std::fs::read_to_string(fixtures.join(format!("{name}.json"))).unwrap();
        for host in ["127.0.0.1:15000", "127.0.0.1:15001", "127.0.0.1:15003"] {
            text = text.replace(host, &self.registry.host());
        }
        serde_json::from_str(&text).unwrap()
    }

    /// The creation of a pod with these images, policy `Always`, and these pull secrets.
    pub(crate) fn pod(&self, images: &[&str], secrets: &[&str]) -> Value {
        let mut review = self.recorded("pod-create.validate");
        let container = |(index, image): (usize, &&str)| json!({ "name": format!("c{index}"), "image": image, "imagePullPolicy": "Always" });
        let spec = &mut review["request"]["object"]["spec"];
        spec["initContainers"] = json!([]);
        spec["containers"] = images.iter().enumerate().map(container).collect();
        spec["imagePullSecrets"] = secrets.iter().map(|name| json!({ "name": name })).collect();
        review
    }

    /// The change of a pod from `old` to `new`, each a list of images.
    pub(crate) fn update(&self, old: &[&str], new: &[&str], secrets: &[&str]) -> Value {
        let mut review = self.pod(new, secrets);
        review["request"]["oldObject"] = self.pod(old, secrets)["request"]["object"].take();
        review["request"]["operation"] = json!("UPDATE");
        review
    }

    /// The verdict that `/validate` comes to, without its way back through the API server.
    pub(crate) async fn verdict(&self, review: &Value) -> Verdict {
        self.advance(Duration::from_millis(1));
        let snapshot = self.snapshot();
        let body = review.to_string();
        let review = admission::review::parse(body.as_bytes()).unwrap();
        let admission::review::Subject::Judge(workloads) = &review.subject else { unreachable!("a pod") };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        snapshot.engine.check(&snapshot.policy, &workloads[0], Purpose::Judge, deadline).await
    }

    /// Sends a review to `/validate`.
    pub(crate) async fn validate(&self, review: &Value) -> Answer {
        self.review("validate", review).await
    }

    /// Sends a review to `/mutate`.
    pub(crate) async fn mutate(&self, review: &Value) -> Answer {
        self.review("mutate", review).await
    }

    /// Sends a review as an API server does, and checks that it would take the answer.
    pub(crate) async fn review(&self, path: &str, review: &Value) -> Answer {
        let (status, body) = self.post(&format!("{path}?timeout=10s"), review.to_string()).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        self.read(path, review, &body)
    }

    /// Reads the answer to a review, and checks that an API server would take it.
    pub(crate) fn read(&self, path: &str, review: &Value, body: &[u8]) -> Answer {
        let answer = Answer::read(body, &self.registry.host());
        answer.check(path, review["request"]["uid"].as_str().unwrap());
        answer
    }

    /// Sends a GET; the status of its answer.
    pub(crate) async fn get(&self, path: &str) -> u16 {
        self.client.get(format!("https://{}/{path}", self.address)).send().await.unwrap().status().as_u16()
    }

    /// Sends a body. The clock moves on by one millisecond before, so that every review has a time of its own.
    pub(crate) async fn post(&self, path_and_query: &str, body: impl Into<reqwest::Body>) -> (u16, Vec<u8>) {
        self.advance(Duration::from_millis(1));
        let url = format!("https://{}/{path_and_query}", self.address);
        let request = self.client.post(url).header("content-type", "application/json").body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, by: Duration) {
        self.now.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// A configuration for [`Gate::put`], `registries` and `guard` apart.
    pub(crate) fn policy(&self, text: &str) -> Policy {
        policy(text, &self.rules, self.files.path())
    }

    /// Puts another configuration in place, as a reload does.
    pub(crate) fn put(&self, policy: Policy) {
        let engine = self.snapshot().engine.clone();
        self.snapshots.send_replace(Arc::new(Snapshot { policy, engine }));
    }

    /// What a review that arrives now will see.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Puts other objects in place of the whole cluster.
    pub(crate) fn cluster(&self, objects: &[String]) {
        self.cluster.replace(Contents::parse(&objects.join("\n---\n"), "test").unwrap());
    }

    /// A pull secret for this registry, as YAML.
    pub(crate) fn login(&self, namespace: &str, name: &str, user: &str, password: &str) -> String {
        let config = json!({ "auths": { self.registry.host(): { "username": user, "password": password } } });
        secret(namespace, name, &config)
    }

    /// What the registry was asked since the last call: `HEAD /v2/open/manifests/v1 200`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.registry.requests().into_iter().map(|request| {
            let status = request.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            format!("{} {} {status}", request.method, request.path)
        });
        let asked = asked.collect();
        self.registry.clear_log();
        asked
    }

    /// The sum of all metrics whose line begins with `prefix`.
    pub(crate) fn metric(&self, prefix: &str) -> u64 {
        let text = self.metrics.render();
        let values = text.lines().filter(|line| line.starts_with(prefix)).map(|line| line.rsplit(' ').next().unwrap());
        values.map(|value| value.parse::<u64>().unwrap()).sum()
    }
}

/// A configuration around `text` with which no request leaves loopback.
fn policy(text: &str, rules: &str, files: &Path) -> Policy {
    let ca_file = files.join("ca.pem").display().to_string();
    let text = format!(
        "{text}\n\
         registries:\n\
         {rules}\n\
         \x20 - {{ host: '*', caFile: CA, nodeAccess: none, timeout: 10s }}\n\
         guard: {{ allowAddresses: [127.0.0.0/8], registries: {{ allow: ['127.0.0.1:*', 169.254.169.254] }} }}\n"
    );
    pullgate::config::parse(&text.replace("CA,", &format!("{ca_file},")), "test.yaml").unwrap()
}

/// The Secrets of the namespace: `regcred` is ann's login, `bobs` is bob's, `wrong` is nobody's, `elsewhere` is for another
/// port, `nonsense` does not decode.
fn secrets(host: &str) -> Contents {
    let login = |user: &str, password: &str| json!({ "auths": { host: { "username": user, "password": password } } });
    let elsewhere = json!({ "auths": { "127.0.0.1:1": { "username": "ann", "password": PASSWORD } } });
    let nonsense = json!({ "auths": { "registry.example": { "auth": format!("%%%{WRONG_PASSWORD}") } } });
    let secrets = [
        ("regcred", login("ann", PASSWORD)),
        ("bobs", login("bob", OTHER_PASSWORD)),
        ("wrong", login("ann", WRONG_PASSWORD)),
        ("elsewhere", elsewhere),
        ("nonsense", nonsense),
    ];
    let documents: Vec<String> = secrets.map(|(name, config)| secret(TEAM, name, &config)).into();
    Contents::parse(&documents.join("\n---\n"), "test").unwrap()
}

/// A Secret of type `kubernetes.io/dockerconfigjson`, as YAML.
pub(crate) fn secret(namespace: &str, name: &str, config: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson": config.to_string() },
    })
    .to_string()
}
