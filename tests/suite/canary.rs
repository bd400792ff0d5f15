//! The binary with secrets in every shape that there is, and whatever it prints searched for them: `check` in each format,
//! `explain` with and without a network, `serve` with its log, its answers and its metrics.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use pullgate::demo::registry::{Answer, Authority, Bearer, LOOPBACK_NAMES, Login, Registry, RegistrySpec};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gate::secret;

#[path = "../parts/canary.rs"]
mod forms;

/// What the registry takes from ann.
const PASSWORD: &str = "canary-Kq7vXw3z";

/// Long enough for a loaded machine; reached only where a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry, and files for a command line.
struct Bench {
    registry: Registry,
    authority: Arc<Authority>,
    files: TempDir,
    /// Everything printed so far, each with what was run.
    printed: Vec<(String, String)>,
}

/// The names of pull secrets, each with its document or what stands in its place.
fn documents(host: &str) -> Vec<(&'static str, Value)> {
    let entry = |entry: Value| json!({ "auths": { host: entry } });
    let pair = |password: &str| format!("ann:{password}");
    vec![
        ("plain", entry(json!({ "username": "ann", "password": PASSWORD }))),
        ("auth", entry(json!({ "auth": STANDARD.encode(pair(PASSWORD)) }))),
        ("no-padding", entry(json!({ "auth": STANDARD_NO_PAD.encode(pair(PASSWORD)) }))),
        ("url-safe", entry(json!({ "auth": URL_SAFE.encode(pair("canary-~~~???")) }))),
        ("wrong", entry(json!({ "username": "ann", "password": "canary-wrong" }))),
        ("line-end", entry(json!({ "username": "ann", "password": format!("{PASSWORD}\n") }))),
        ("blank", entry(json!({ "username": "ann", "password": format!(" {PASSWORD}") }))),
        ("identity", entry(json!({ "auth": "", "identitytoken": "canary-identity" }))),
        ("registry-token", entry(json!({ "registrytoken": "canary-registry-token" }))),
        ("no-user", entry(json!({ "username": "", "password": "canary-no-user" }))),
        ("as-user", entry(json!({ "username": "ann", "password": "", "email": "canary-email" }))),
        ("no-colon", entry(json!({ "auth": STANDARD.encode("canary-no-colon") }))),
        ("no-base64", entry(json!({ "auth": "%canary-no-base64%" }))),
        ("no-text", entry(json!({ "username": "ann", "password": ["canary-list"] }))),
        ("a-text", entry(json!("ann:canary-text"))),
        ("elsewhere", json!({ "auths": { "127.0.0.1:1": { "username": "ann", "password": "canary-elsewhere" } } })),
        ("in-the-key", json!({ "auths": { format!("https://ann:canary-key@{host}"): { "auth": "" } } })),
        (
            "ecr",
            entry(json!({ "username": "AWS", "password": STANDARD.encode(json!({
            "payload": "canary-payload", "type": "DATA_KEY", "expiration": 1_700_000_000,
        }).to_string()) })),
        ),
        (
            "jwt",
            entry(json!({ "username": "ann", "password": format!(
            "{}.{}.canary-signature", URL_SAFE.encode("{}"), URL_SAFE.encode(json!({ "exp": 1_700_000_000 }).to_string()),
        ) })),
        ),
    ]
}

// === impl Bench ===

impl Bench {
    async fn new(login: Login) -> Self {
        let authority = Arc::new(Authority::new().unwrap());
        let registry = Registry::start(RegistrySpec::https(&authority).login(login)).await.unwrap();
        registry.push("team/api", "v1");
        registry.private("team", &["ann"]);
        registry.set_password("ann", PASSWORD);
        registry.set_identity_token("ann", "canary-identity");
        registry.behave("team/broken", Answer::html(503));
        let bench = Self { registry, authority, files: TempDir::new().unwrap(), printed: Vec::new() };
        bench.write("ca.pem", bench.authority.pem());
        let config = format!(
            "mode: enforce\n\
             registries:\n\
             - {{ host: '127.0.0.2:1', proxy: 'http://me:canary-proxy@127.0.0.1:1' }}\n\
             - {{ host: '*', caFile: {}, nodeAccess: none, timeout: 10s }}\n\
             guard: {{ allowAddresses: [127.0.0.0/8] }}\n",
            bench.path("ca.pem")
        );
        bench.write("config.yaml", &config);
        let host = bench.registry.host();
        let mut objects: Vec<String> =
            documents(&host).iter().map(|(name, content)| secret("team", name, content)).collect();
        for (name, kind, key, text) in [
            ("no-json", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", "{\"auths\": canary-no-json"),
            ("opaque", "Opaque", ".dockerconfigjson", "canary-opaque"),
            ("other-key", "kubernetes.io/dockerconfigjson", "config.json", "canary-other-key"),
            ("old", "kubernetes.io/dockercfg", ".dockercfg", "{\"127.0.0.1:1\": {\"auth\": \"canary-old\"}}"),
        ] {
            let object = json!({
                "apiVersion": "v1", "kind": "Secret", "type": kind,
                "metadata": { "name": name, "namespace": "team" }, "stringData": { key: text },
            });
            objects.push(object.to_string());
        }
        bench.write("cluster.yaml", &objects.join("\n---\n"));
        bench
    }

    fn names(&self) -> Vec<&'static str> {
        let documents = documents(&self.registry.host());
        documents.iter().map(|(name, _)| *name).chain(["no-json", "opaque", "other-key", "old", "absent"]).collect()
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.registry.host())
    }

    /// Runs the binary to its end and keeps what it printed.
    async fn run(&mut self, args: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
        command.args(args).env_clear().stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        self.printed.push((args.join(" "), text));
    }

    /// The same with the files of the bench.
    async fn judge(&mut self, args: &[&str]) {
        let (config, cluster) = (self.path("config.yaml"), self.path("cluster.yaml"));
        self.run(&[args, &["--config", &config, "--cluster-from", &cluster, "-n", "team"]].concat()).await;
    }

    /// Nothing that was printed has a trace of a password; and all of these words were seen.
    fn silent(&self, seen: &[&str]) {
        for (what, text) in &self.printed {
            let trace = forms::trace(text);
            assert!(trace.is_none(), "{what} prints a password: …{}…", trace.unwrap_or_default());
        }
        for word in seen {
            assert!(self.printed.iter().any(|(_, text)| text.contains(word)), "the test has seen no {word}");
        }
    }
}

fn pod(image: &str, secrets: &[&str]) -> Value {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "team" },
        "spec": { "containers": [{ "name": "app", "image": image }], "imagePullSecrets": secrets },
    })
}

fn logins() -> [Login; 3] {
    [Login::Basic, Login::bearer(), Login::Bearer(Bearer { refuse_post: Some(405), ..Bearer::default() })]
}

/// What every shape of Secret can come to.
const SEEN: [&str; 4] = ["CredentialsRejected", "CredentialsMissing", "PullSecretMalformed", "CredentialsExpired"];

#[tokio::test]
async fn check_prints_no_password_in_any_format() {
    for login in logins() {
        let mut bench = Bench::new(login).await;
        let mut pods = Vec::new();
        for name in bench.names() {
            for rest in ["team/api:v1", "team/gone:v1", "team/broken:v1"] {
                pods.push(pod(&bench.image(rest), &[name]).to_string());
            }
        }
        pods.push(pod("127.0.0.2:1/a:v1", &[]).to_string());
        let pods = bench.write("pods.yaml", &pods.join("\n---\n"));
        // One run writes every report.
        let formats = ["json", "yaml", "junit", "sarif", "github"];
        let files = formats.map(|format| (format, bench.path(&format!("report.{format}"))));
        let outputs = files.iter().map(|(format, file)| format!("--output={format}={file}")).collect::<Vec<_>>();
        let outputs = outputs.iter().map(String::as_str);
        bench.judge(&["check", "-f", &pods, "-o", "table"].into_iter().chain(outputs).collect::<Vec<_>>()).await;
        for (format, file) in files {
            bench.printed.push((format.to_owned(), fs::read_to_string(file).unwrap()));
        }
        bench.silent(&SEEN);
    }
}

#[tokio::test]
async fn explain_prints_no_password() {
    let [basic, form, query] = logins();
    for (login, format) in [(basic, "table"), (form, "json"), (query, "table")] {
        let mut bench = Bench::new(login).await;
        let image = bench.image("team/api:v1");
        for name in bench.names() {
            bench.judge(&["explain", &image, "--pull-secret", name, "--color", "always", "-o", format]).await;
        }
        bench.judge(&["explain", "127.0.0.2:1/a:v1"]).await;
        bench.silent(&["401"]);
    }
    let mut bench = Bench::new(Login::None).await;
    let image = bench.image("team/api:v1");
    for (name, content) in documents(&bench.registry.host()) {
        let file = bench.write(&format!("{name}.json"), &content.to_string());
        bench.run(&["explain", &image, "--offline", "--docker-config", &file]).await;
    }
    let broken = bench.write("broken.json", "{ \"auths\": \"canary-broken");
    bench.run(&["explain", &image, "--docker-config", &broken]).await;
    bench.silent(&["password not shown"]);
}

#[tokio::test]
async fn nodes_logins_are_not_printed() {
    let mut bench = Bench::new(Login::Basic).await;
    let host = bench.registry.host();
    let image = bench.image("team/api:v1");
    for (_, content) in documents(&host) {
        let file = bench.write("node.json", &content.to_string());
        bench.judge(&["check", "--image", &image, "--node-docker-config", &file]).await;
    }
    let declaration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
        "providers": [{
            "name": "login", "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "matchImages": [host],
            "defaultCacheDuration": "1m", "env": [{ "name": "TOKEN", "value": "canary-environment" }],
        }],
    });
    let declaration = bench.write("providers.yaml", &declaration.to_string());
    let answer = |auth: Value| {
        json!({
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderResponse",
            "cacheKeyType": "Registry", "auth": auth,
        })
        .to_string()
    };
    for script in [
        format!("echo '{}'", answer(json!({ &host: { "username": "ann", "password": "canary-plugin" } }))),
        format!("echo '{}'", answer(json!("canary-plugin"))),
        "echo canary-no-json".to_owned(),
        "echo canary-plugin >&2; exit 1".to_owned(),
    ] {
        let plugin = bench.write("login", &format!("#!/bin/sh\ncat >/dev/null\n{script}\n"));
        fs::set_permissions(plugin, fs::Permissions::from_mode(0o755)).unwrap();
        let dir = bench.path("");
        let flags = ["--image-credential-provider-config", &declaration, "--image-credential-provider-bin-dir", &dir];
        bench.judge(&[&["check", "--image", &image][..], &flags].concat()).await;
        bench.judge(&[&["explain", &image][..], &flags].concat()).await;
    }
    bench.silent(&["CredentialsRejected"]);
}

/// A process that ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn serve_prints_no_password_in_answers_log_or_metrics() {
    pullgate::cli::install_crypto();
    let mut bench = Bench::new(Login::bearer()).await;
    let issued = bench.authority.issue(&LOOPBACK_NAMES).unwrap();
    let (cert, key) = (bench.write("tls.crt", &issued.certificate_pem), bench.path("tls.key"));
    fs::write(&key, issued.key_pem.expose_secret()).unwrap();
    let log = bench.path("log");
    let file = fs::File::create(&log).unwrap();
    let (config, cluster) = (bench.path("config.yaml"), bench.path("cluster.yaml"));
    let process = Command::new(env!("CARGO_BIN_EXE_pullgate"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log", "trace"])
        .args(["--config", &config, "--cluster-from", &cluster])
        .args(["--tls-cert-file", &cert, "--tls-private-key-file", &key])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let serving = Serving(process);
    let began = Instant::now();
    let line: Value = loop {
        let text = fs::read_to_string(&log).unwrap();
        let line = text.lines().find(|line| line.contains("\"message\":\"Serving\"") && line.ends_with('}'));
        if let Some(line) = line {
            break serde_json::from_str(line).unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "it does not start: {text}");
        sleep(Duration::from_millis(10));
    };
    let ca = reqwest::Certificate::from_pem(bench.authority.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
    let (address, admin) = (line["address"].as_str().unwrap(), line["admin_address"].as_str().unwrap());
    for name in bench.names() {
        let pod = pod(&bench.image("team/api:v1"), &[name, "wrong"]);
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "0", "operation": "CREATE", "namespace": "team", "name": "p",
                "kind": { "group": "", "version": "v1", "kind": "Pod" },
                "resource": { "group": "", "version": "v1", "resource": "pods" },
                "userInfo": { "username": "ann" }, "object": pod,
            },
        });
        for path in ["mutate", "validate"] {
            let request = client.post(format!("https://{address}/{path}?timeout=10s")).body(review.to_string());
            let answer = request.header("content-type", "application/json").send().await.unwrap();
            let what = format!("/{path} with {name}");
            bench.printed.push((what, answer.text().await.unwrap()));
        }
    }
    for path in ["metrics", "readyz", "livez"] {
        let answer = client.get(format!("http://{admin}/{path}")).send().await.unwrap();
        bench.printed.push((path.to_owned(), answer.text().await.unwrap()));
    }
    drop(serving);
    bench.printed.push(("the log".to_owned(), fs::read_to_string(&log).unwrap()));
    bench.silent(&["CredentialsRejected", "PullSecretMalformed", "pullgate_findings_total", "TRACE"]);
}

#[test]
fn a_password_is_found_in_whatever_it_is_wrapped() {
    for before in ["", "a", "ann:", "robot$ci:", "AWS:"] {
        let text = format!("x {} y", STANDARD.encode(format!("{before}{PASSWORD}")));
        assert!(forms::trace(&text).is_some(), "{text}");
    }
    assert!(forms::trace(&format!("Basic {PASSWORD}")).is_some());
    assert_eq!(forms::trace("no canary here"), None);
    let script = include_str!("../run.sh");
    assert!(script.contains(&format!("canary='{}'", forms::FORMS.join("|"))), "tests/run.sh searches for other forms");
}
