//! The docker login of this machine → a pull secret of its words, as if somebody had made it of the file, and what in the
//! file no kubelet would use.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::CommandError;
use crate::cluster::{Cluster, ReadFuture, Reading};
use crate::credentials::{Keyring, MalformedSecret, PullSecret};
use crate::nodes::Nodes;
use crate::printable::os_error;
use crate::registry::said::clean;

/// The name of the Secret.
pub(super) const NAME: &str = "docker-config";

/// Bytes at most: the API server takes a Secret of one MiB.
const MAX_FILE: u64 = 1 << 20;

/// What a file has.
#[derive(Debug)]
pub(super) struct DockerConfig {
    path: PathBuf,
    secret: Arc<PullSecret>,
    /// What in it is of no use to a kubelet, and why.
    pub(super) passed_over: Vec<String>,
}

/// A cluster with one more Secret, in every namespace.
#[derive(Debug)]
struct Extended {
    inner: Arc<dyn Cluster>,
    secret: Arc<PullSecret>,
}

// === impl DockerConfig ===

impl DockerConfig {
    /// Reads a `config.json`, or that of a directory.
    ///
    /// # Errors
    /// A file that cannot be read. What it says is judged as a kubelet would.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let path = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
        let wrong = |reason| CommandError::DockerConfig { path: path.display().to_string(), reason };
        let mut text = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text))
            .map_err(|error| wrong(os_error(&error)))?;
        if text.len() as u64 > MAX_FILE {
            return Err(wrong(format!("it has more than {MAX_FILE} bytes, which no Secret can hold")));
        }
        Ok(Self { path, ..Self::of(text) })
    }

    fn of(text: Vec<u8>) -> Self {
        let passed_over = passed_over(&serde_json::from_slice(&text).unwrap_or_default());
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), text)]);
        Self {
            path: PathBuf::new(),
            secret: Arc::new(PullSecret::new(NAME, "kubernetes.io/dockerconfigjson", data)),
            passed_over,
        }
    }

    /// The Secret, under a name that no object has.
    pub(super) fn secret(&self) -> Arc<PullSecret> {
        Arc::clone(&self.secret)
    }

    /// Whether a kubelet could decode it: what is not a pod's own must not fail its images.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn decodes(&self) -> Result<(), CommandError> {
        let keyring = Keyring::from_pull_secrets(std::iter::once(&*self.secret));
        let wrong = |error: MalformedSecret| CommandError::DockerConfig {
            path: self.path.display().to_string(),
            reason: format!("no kubelet can decode it: {}", error.go_error),
        };
        keyring.map(drop).map_err(wrong)
    }

    /// `cluster` with the Secret.
    pub(super) fn with(&self, cluster: Arc<dyn Cluster>) -> Arc<dyn Cluster> {
        Arc::new(Extended { inner: cluster, secret: Arc::clone(&self.secret) })
    }
}

/// Logins that are not in the file, and tokens that kubelets do not read
/// (kubernetes/kubernetes `pkg/credentialprovider/config.go` has no field for them).
fn passed_over(config: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(helper) = config["credsStore"].as_str().filter(|helper| !helper.is_empty()) {
        lines.push(format!("credsStore: held by a helper that kubelets do not run (\"{}\")", clean(helper)));
    }
    for (host, helper) in config["credHelpers"].as_object().into_iter().flatten() {
        let helper = clean(helper.as_str().unwrap_or_default());
        lines.push(format!(
            "credHelpers, {}: held by a helper that kubelets do not run (\"{helper}\")",
            without_login(host)
        ));
    }
    for (host, entry) in config["auths"].as_object().into_iter().flatten() {
        for (article, field) in [("an", "identitytoken"), ("a", "registrytoken")] {
            if entry[field].as_str().is_some_and(|token| !token.is_empty()) {
                lines.push(format!("auths, {}: {article} {field}, which kubelets ignore", without_login(host)));
            }
        }
    }
    lines
}

/// Somebody may have written `https://user:password@host`.
fn without_login(name: &str) -> String {
    clean(name.rsplit('@').next().unwrap_or_default())
}

// === impl Extended ===

impl Cluster for Extended {
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Arc<PullSecret>> {
        if name == NAME {
            return Box::pin(std::future::ready(Reading::Found(Arc::clone(&self.secret))));
        }
        self.inner.pull_secret(namespace, name, not_before)
    }

    fn account_pull_secrets<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Vec<String>> {
        self.inner.account_pull_secrets(namespace, name, not_before)
    }

    fn nodes(&self) -> Option<Arc<Nodes>> {
        self.inner.nodes()
    }

    fn is_given(&self) -> bool {
        self.inner.is_given()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_kubelet_would_use_is_named_without_a_value() {
        let text = r#"{
            "credsStore": "desktop",
            "credHelpers": { "1.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login" },
            "auths": {
                "a.io": { "identitytoken": "hunter2" },
                "https://ann:hunter2@b.io": { "auth": "YTpi", "registrytoken": "hunter2" },
                "c.io": { "auth": "YTpi", "identitytoken": "" }
            }
        }"#;
        let expected = [
            "credsStore: held by a helper that kubelets do not run (\"desktop\")",
            "credHelpers, 1.dkr.ecr.eu-west-1.amazonaws.com: held by a helper that kubelets do not run (\"ecr-login\")",
            "auths, a.io: an identitytoken, which kubelets ignore",
            "auths, b.io: a registrytoken, which kubelets ignore",
        ];
        assert_eq!(DockerConfig::of(text.into()).passed_over, expected);
        for text in ["", "[]", "{}", "{\"auths\":7,\"credHelpers\":[1]}", "{\"auths\":{\"a\":null}}"] {
            assert!(DockerConfig::of(text.into()).passed_over.is_empty(), "{text}");
        }
    }
}
