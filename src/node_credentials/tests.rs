//! Real processes: small shell scripts stand in for plugins. Here the stage and the order of candidates.

mod accounts;
mod calls;
mod holding;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use super::*;

/// A directory of plugins with a declaration, and a clock that stands still.
struct Stage {
    dir: TempDir,
    providers: String,
    docker_configs: Vec<PathBuf>,
    tokens: Option<Arc<dyn AccountTokens>>,
    limit: Duration,
    now: Arc<Mutex<Timestamp>>,
    metrics: Metrics,
}

impl Stage {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            providers: String::new(),
            docker_configs: Vec::new(),
            tokens: None,
            limit: Duration::from_secs(20),
            now: Arc::new(Mutex::new(Timestamp::UNIX_EPOCH)),
            metrics: Metrics::new(),
        }
    }

    /// A plugin that answers in v1 to every image of `*.io` and of Docker Hub.
    fn plugin(&mut self, name: &str, script: &str) {
        self.declared(name, "v1", "", script);
    }

    fn declared(&mut self, name: &str, version: &str, more: &str, script: &str) {
        self.providers += &format!(
            "- {{name: {name}, apiVersion: credentialprovider.kubelet.k8s.io/{version}, matchImages: ['*.io'],
                defaultCacheDuration: 1m, args: [first, ''], env: [{{name: HERE, value: {:?}}}, {{name: V, value: {version}}}] {more}}}\n",
            self.dir.path()
        );
        write_script(&self.dir.path().join(name), script);
    }

    fn docker_config(&mut self, json: &str) {
        let path = self.dir.path().join("config.json");
        fs::write(&path, json).unwrap();
        self.docker_configs.push(path);
    }

    fn credentials(&self) -> NodeCredentials {
        let text = format!(
            "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n{}",
            self.providers
        );
        let providers =
            if self.providers.is_empty() { Vec::new() } else { parse(&[("c.yaml".to_owned(), text)]).unwrap() };
        let declared = Declared {
            providers,
            bin_dir: self.dir.path().to_owned(),
            docker_configs: self.docker_configs.clone(),
            tokens: self.tokens.clone(),
        };
        let now = Arc::clone(&self.now);
        NodeCredentials::with_limit(declared, &Clock::new(move || *now.lock().unwrap()), &self.metrics, self.limit)
    }

    /// Sets the clock, in seconds.
    fn at(&self, second: i64) -> Timestamp {
        let now = Timestamp::from_second(second).unwrap();
        *self.now.lock().unwrap() = now;
        now
    }

    /// How often a script that says so was called.
    fn calls(&self) -> usize {
        fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default().lines().count()
    }

    fn counted(&self, plugin: &str, outcome: &str, times: usize) -> bool {
        let line = format!("credential_plugin_calls_total{{plugin=\"{plugin}\",outcome=\"{outcome}\"}} {times}\n");
        self.metrics.render().contains(&line)
    }
}

/// Another process writes the file: were it open for writing here while a test beside this one forks, it could not be
/// executed.
fn write_script(path: &Path, script: &str) {
    let mut command = Command::new("sh");
    command.arg("-c").arg("cat >\"$0\" && chmod +x \"$0\"").arg(path);
    let mut shell = command.stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// A line of shell that answers in the version of `$V`.
fn answer(rest: &str) -> String {
    format!(
        "printf '%s' '{{\"kind\":\"CredentialProviderResponse\",\"apiVersion\":\"credentialprovider.kubelet.k8s.io/'\"$V\"'\",{rest}}}'"
    )
}

/// The same with one login per name; the user name says which.
fn logins(names: &[(&str, &str)]) -> String {
    let logins: Vec<_> =
        names.iter().map(|(name, user)| format!("\"{name}\":{{\"username\":\"{user}\",\"password\":\"p\"}}")).collect();
    answer(&format!("\"cacheKeyType\":\"Image\",\"auth\":{{{}}}", logins.join(",")))
}

const NOBODY: Account<'_> = Account { namespace: "shop", name: "" };

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

async fn look(credentials: &NodeCredentials, image: &str) -> NodeLookup {
    credentials.candidates(image, NOBODY, None, soon()).await
}

fn users(lookup: &NodeLookup) -> Vec<String> {
    lookup.candidates.iter().filter_map(|c| c.credential.as_ref()).map(|c| c.username.clone()).collect()
}

fn broken(lookup: &NodeLookup) -> Vec<String> {
    lookup.broken.iter().map(Broken::to_string).collect()
}

#[tokio::test]
async fn the_file_comes_before_all_plugins_and_each_part_has_its_own_order() {
    let mut stage = Stage::new();
    stage.docker_config(
        r#"{"auths":{"reg.io":{"username":"file","password":"p"},"reg.io/team":{"username":"file-team","password":"p"}}}"#,
    );
    stage.plugin("one", &logins(&[("reg.io", "one"), ("*.io", "one-any"), ("https://reg.io/v2/team/", "one-team")]));
    stage.plugin("two", &logins(&[("reg.io", "two"), ("reg.io/team/app", "two-app"), ("%zz", "none")]));
    let lookup = look(&stage.credentials(), "reg.io/team/app").await;
    assert_eq!(users(&lookup), ["file-team", "file", "two-app", "one-team", "one", "two", "one-any"]);
    assert_eq!(broken(&lookup), [""; 0]);
    let sources: Vec<_> = lookup.candidates.iter().map(|candidate| candidate.source.to_string()).collect();
    assert_eq!(sources[1..3], ["node config.json", "credential provider \"two\""]);
}

#[tokio::test]
async fn each_part_falls_back_to_docker_hubs_key_by_itself() {
    let mut stage = Stage::new();
    stage.docker_config(
        r#"{"auths":{"docker.io":{"username":"file","password":"p"},"https://index.docker.io/v1/":{"username":"file-index","password":"p"}}}"#,
    );
    stage.plugin("one", &logins(&[("https://index.docker.io/v1/", "one-index")]));
    assert_eq!(users(&look(&stage.credentials(), "docker.io/library/nginx").await), ["file", "one-index"]);
}

#[tokio::test]
async fn where_nothing_matches_there_is_nothing_and_nobody_is_called() {
    let mut stage = Stage::new();
    stage.docker_config(r#"{"auths":{"other.io":{"username":"file","password":"p"}}}"#);
    stage.plugin("one", "echo x >>$HERE/calls");
    let credentials = stage.credentials();
    let lookup = look(&credentials, "reg.corp/team/app").await;
    assert!(lookup.candidates.is_empty() && lookup.broken.is_empty() && stage.calls() == 0);
    assert!(!credentials.has_plugin_for("reg.corp/team/app") && credentials.has_plugin_for("reg.io/team/app"));
    let nothing = NodeCredentials::new(Declared::default(), &Clock::system(), &Metrics::new());
    let lookup = look(&nothing, "reg.io/team/app").await;
    assert!(lookup.candidates.is_empty() && lookup.broken.is_empty());
}

#[tokio::test]
async fn a_declared_file_that_is_of_no_use_is_said() {
    let mut stage = Stage::new();
    stage.docker_config("{");
    let lookup = look(&stage.credentials(), "reg.io/team/app").await;
    let [said] = broken(&lookup).try_into().unwrap();
    assert!(
        said.starts_with("node config.json: ") && said.ends_with("does not decode (unexpected end of JSON input)"),
        "{said}"
    );
}
