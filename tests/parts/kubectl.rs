//! `kubectl` and `helm` as a user runs them: arguments and a manifest in, what they printed out.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::canary;

/// How long anything may take that happens by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The command line of an administrator.
#[derive(Clone)]
pub(crate) struct Kubectl {
    pub(crate) binary: PathBuf,
    pub(crate) helm: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    /// For kubectl's caches.
    pub(crate) home: PathBuf,
}

/// What a command did.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// The command, as one would type it.
    pub(crate) command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

// === impl Kubectl ===

impl Kubectl {
    /// Runs `kubectl` with the words of `line` as arguments.
    pub(crate) fn run(&self, line: &str) -> Result<Said, Failure> {
        self.run_with(&words(line), None)
    }

    /// The same, and it must succeed; gives what it printed to standard output.
    pub(crate) fn get(&self, line: &str) -> Result<String, Failure> {
        Ok(self.run(line)?.succeeded()?.stdout)
    }

    /// `kubectl apply -f -`.
    pub(crate) fn apply(&self, manifest: &Value) -> Result<Said, Failure> {
        self.feed("apply -f -", manifest)
    }

    /// Runs `kubectl` with a manifest on its standard input.
    pub(crate) fn feed(&self, line: &str, manifest: &Value) -> Result<Said, Failure> {
        self.run_with(&words(line), Some(&manifest.to_string()))
    }

    /// Runs `kubectl` with these arguments, which may hold blanks.
    pub(crate) fn run_with(&self, arguments: &[&str], input: Option<&str>) -> Result<Said, Failure> {
        self.command(&self.binary, "kubectl", arguments, input)
    }

    /// The same for another thread: what a command prints goes through files of its own.
    #[allow(dead_code, reason = "not every suite has two threads of commands")]
    pub(crate) fn another(&self, name: &str) -> Result<Self, Failure> {
        let home = self.home.join(name);
        std::fs::create_dir_all(&home)?;
        Ok(Self { home, ..self.clone() })
    }

    /// Runs `helm`.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<Said, Failure> {
        self.command(&self.helm, "helm", arguments, None)
    }

    /// What whoever listens at `server` answers to a review of a new pod, sent by anybody.
    #[allow(dead_code, reason = "not every suite asks a webhook itself")]
    pub(crate) fn review(&self, server: &str, path: &str, pod: &Value) -> Result<Value, Failure> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "0", "operation": "CREATE", "namespace": pod["metadata"]["namespace"], "name": "asked",
                "kind": { "group": "", "version": "v1", "kind": "Pod" },
                "resource": { "group": "", "version": "v1", "resource": "pods" },
                "userInfo": { "username": "somebody" }, "object": pod,
            },
        });
        let (server, path) = (format!("--server={server}"), format!("{path}?timeout=5s"));
        let words = [&server, "--insecure-skip-tls-verify", "create", "--raw", &path, "-f", "-"];
        let said = self.run_with(&words, Some(&review.to_string()))?.succeeded()?;
        let mut answer: Value = serde_json::from_str(&said.stdout)?;
        Ok(answer["response"].take())
    }

    fn command(&self, program: &Path, name: &str, words: &[&str], input: Option<&str>) -> Result<Said, Failure> {
        // Written to files, because a pipe that nobody reads stops whoever writes.
        let (stdout, stderr) = (self.home.join("stdout"), self.home.join("stderr"));
        let mut child = Command::new(program)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            pipe.write_all(input.as_bytes())?;
        }
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            // Helm waits for hooks.
            if started.elapsed() > PATIENCE * if name == "helm" { 10 } else { 2 } {
                child.kill()?;
                child.wait()?;
                return Err(format!("{name} {} does not end", words.join(" ")).into());
            }
            thread::sleep(Duration::from_millis(3));
        };
        let stderr = std::fs::read_to_string(stderr)?;
        // Denials and warnings, word for word.
        if let Some(trace) = canary::trace(&stderr) {
            return Err(format!("kubectl prints a password: {trace}").into());
        }
        Ok(Said {
            command: format!("{name} {}", words.join(" ")),
            code: status.code(),
            stdout: std::fs::read_to_string(stdout)?,
            stderr,
        })
    }
}

// === impl Said ===

impl Said {
    /// It must have ended with 0.
    pub(crate) fn succeeded(self) -> Result<Self, Failure> {
        if self.code == Some(0) { Ok(self) } else { Err(format!("this should have passed: {self}").into()) }
    }

    /// It must have passed without a warning.
    pub(crate) fn silently(self) -> Result<Self, Failure> {
        let said = self.succeeded()?;
        if said.stderr.is_empty() { Ok(said) } else { Err(format!("this should warn of nothing: {said}").into()) }
    }

    /// It must have passed, and no image of it is in doubt: only tags may be remarked on.
    pub(crate) fn soundly(self) -> Result<Self, Failure> {
        let said = self.succeeded()?;
        let doubt = said.warnings().any(|warning| !warning.starts_with("MutableTag: "));
        if doubt { Err(format!("this should be in no doubt: {said}").into()) } else { Ok(said) }
    }

    /// It must have passed, with a warning that holds all of these.
    pub(crate) fn warned(self, of: &[&str]) -> Result<Self, Failure> {
        let said = self.succeeded()?;
        if said.warnings().any(|warning| of.iter().all(|part| warning.contains(part))) {
            Ok(said)
        } else {
            Err(format!("no warning with {of:?}: {said}").into())
        }
    }

    /// pullgate must have refused it, with this code as the first word.
    pub(crate) fn refused(self, code: &str) -> Result<Self, Failure> {
        let text = format!("admission webhook \"validate.pullgate.dev\" denied the request: {code}: ");
        if self.code == Some(1) && self.stderr.contains(&text) {
            Ok(self)
        } else {
            Err(format!("this should have been refused with {code}: {self}").into())
        }
    }

    /// The texts behind `Warning: `.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.stderr.lines().filter_map(|line| line.strip_prefix("Warning: "))
    }

    /// Everything printed, with the command in front.
    pub(crate) fn transcript(&self) -> String {
        format!("$ {}\n{}{}", self.command, self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n{}", self.code, self.transcript())
    }
}

/// Asks again until there is an answer; `what` is what the failure says was waited for.
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    until_within(PATIENCE, what, ask)
}

/// The same with another limit.
pub(crate) fn until_within<T>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let started = Instant::now();
    let mut last = None;
    while started.elapsed() < limit {
        match ask() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(failure) => last = Some(failure),
        }
        thread::sleep(Duration::from_millis(100));
    }
    let last = last.map(|failure| format!("; the last attempt: {failure}")).unwrap_or_default();
    Err(format!("waited {} s for {what}{last}", limit.as_secs()).into())
}

fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}
