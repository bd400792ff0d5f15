//! A cluster that is a file or a directory: multi-document YAML or JSON of Secrets and `ServiceAccounts`.
//!
//! Namespaces and Nodes may stand in the same files; other kinds are passed over.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use crate::cluster::{Cluster, ReadFuture, Reading, account_names, pull_secret};
use crate::credentials::PullSecret;
use crate::manifests::{self, ManifestError};

/// Objects read from files.
#[derive(Debug)]
pub struct FileCluster {
    /// Read again when a fresh state is asked for.
    path: Option<PathBuf>,
    contents: RwLock<Arc<Contents>>,
}

/// Secrets and `ServiceAccounts` by namespace and name.
#[derive(Debug, Default)]
pub struct Contents {
    secrets: HashMap<(String, String), Arc<PullSecret>>,
    accounts: HashMap<(String, String), Vec<String>>,
}

/// Files that are no cluster.
#[derive(Debug, thiserror::Error)]
pub enum FileClusterError {
    /// The path cannot be read.
    #[error("--cluster-from {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file in it is not understood.
    #[error("--cluster-from {0}")]
    Manifest(#[from] ManifestError),
    /// An object in it is not what its kind says. The value is not repeated: it may be a secret.
    #[error("--cluster-from {file}: {kind} \"{name}\" does not decode")]
    Object {
        /// Which file.
        file: String,
        /// Which kind.
        kind: String,
        /// Which object.
        name: String,
    },
}

// === impl FileCluster ===

impl FileCluster {
    /// A cluster without any object.
    pub fn empty() -> Self {
        Self { path: None, contents: RwLock::default() }
    }

    /// Reads a file, or every `.yaml`, `.yml` and `.json` of a directory (not of its subdirectories).
    pub fn open(path: &Path) -> Result<Self, FileClusterError> {
        let contents = RwLock::new(Arc::new(Contents::read(path)?));
        Ok(Self { path: Some(path.to_owned()), contents })
    }

    /// A cluster of given objects, and no file behind it.
    pub fn of(contents: Contents) -> Self {
        Self { path: None, contents: RwLock::new(Arc::new(contents)) }
    }

    /// Puts other objects in place of all present ones.
    pub fn replace(&self, contents: Contents) {
        *self.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contents);
    }

    async fn contents(&self, fresh: bool) -> Result<Arc<Contents>, String> {
        if let (true, Some(path)) = (fresh, self.path.clone()) {
            let read = tokio::task::spawn_blocking(move || Contents::read(&path)).await;
            match read {
                Ok(Ok(contents)) => self.replace(contents),
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err("reading the files was interrupted".to_owned()),
            }
        }
        Ok(Arc::clone(&self.contents.read().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn look<T>(&self, not_before: Option<Timestamp>, pick: impl FnOnce(&Contents) -> Option<T>) -> Reading<T> {
        match self.contents(not_before.is_some()).await {
            Ok(contents) => pick(&contents).map_or(Reading::Absent, Reading::Found),
            Err(reason) => Reading::Unavailable(reason),
        }
    }
}

impl Cluster for FileCluster {
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Arc<PullSecret>> {
        let key = (namespace.to_owned(), name.to_owned());
        Box::pin(self.look(not_before, move |contents| contents.secrets.get(&key).cloned()))
    }

    fn account_pull_secrets<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, Vec<String>> {
        let key = (namespace.to_owned(), name.to_owned());
        Box::pin(self.look(not_before, move |contents| contents.accounts.get(&key).cloned()))
    }
}

// === impl Contents ===

impl Contents {
    /// Objects from text; `file` appears in errors only. An object without a namespace is in `default`.
    pub fn parse(text: &str, file: &str) -> Result<Self, FileClusterError> {
        let mut contents = Self::default();
        contents.add(text, file)?;
        Ok(contents)
    }

    fn read(path: &Path) -> Result<Self, FileClusterError> {
        let unreadable = |path: &Path, source| FileClusterError::Read { path: path.display().to_string(), source };
        let mut files = Vec::new();
        if path.is_dir() {
            for entry in path.read_dir().map_err(|source| unreadable(path, source))? {
                let file = entry.map_err(|source| unreadable(path, source))?.path();
                let known =
                    file.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
                if known && file.is_file() {
                    files.push(file);
                }
            }
            files.sort();
        } else {
            files.push(path.to_owned());
        }
        let mut contents = Self::default();
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|source| unreadable(&file, source))?;
            contents.add(&text, &file.display().to_string())?;
        }
        Ok(contents)
    }

    fn add(&mut self, text: &str, file: &str) -> Result<(), FileClusterError> {
        for object in manifests::parse(text, file)? {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
            let wrong = || FileClusterError::Object { file: file.to_owned(), kind: kind.clone(), name: name.clone() };
            match kind.as_str() {
                "Secret" => {
                    let secret: Secret = serde_json::from_value(object).map_err(|_| wrong())?;
                    self.secrets.insert((namespace, name), Arc::new(pull_secret(secret)));
                }
                "ServiceAccount" => {
                    let account: ServiceAccount = serde_json::from_value(object).map_err(|_| wrong())?;
                    self.accounts.insert((namespace, name), account_names(account));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
kind: Secret
apiVersion: v1
metadata: { name: regcred, namespace: team-a }
type: kubernetes.io/dockerconfigjson
stringData: { .dockerconfigjson: '{}' }
---
kind: ServiceAccount
apiVersion: v1
metadata: { name: default, namespace: team-a }
imagePullSecrets: [ { name: regcred }, { name: \"\" } ]
---
kind: Node
apiVersion: v1
metadata: { name: n1 }
";

    #[tokio::test]
    async fn secrets_and_accounts_are_found_in_their_namespace_only() {
        let cluster = FileCluster::of(Contents::parse(TEXT, "t").unwrap());
        let Reading::Found(secret) = cluster.pull_secret("team-a", "regcred", Some(Timestamp::UNIX_EPOCH)).await else {
            panic!()
        };
        assert_eq!(secret.value(".dockerconfigjson"), Some(&b"{}"[..]));
        assert!(matches!(cluster.pull_secret("team-b", "regcred", None).await, Reading::Absent));
        let names = cluster.account_pull_secrets("team-a", "default", None).await;
        assert_eq!(names, Reading::Found(vec!["regcred".to_owned(), String::new()]));
    }

    #[tokio::test]
    async fn a_fresh_reading_sees_a_changed_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        std::fs::write(&file, "").unwrap();
        let cluster = FileCluster::open(directory.path()).unwrap();
        std::fs::write(&file, TEXT).unwrap();
        assert!(matches!(cluster.pull_secret("team-a", "regcred", None).await, Reading::Absent));
        assert!(matches!(
            cluster.pull_secret("team-a", "regcred", Some(Timestamp::UNIX_EPOCH)).await,
            Reading::Found(_)
        ));
        std::fs::write(&file, "kind: [").unwrap();
        assert!(matches!(
            cluster.pull_secret("team-a", "regcred", Some(Timestamp::UNIX_EPOCH)).await,
            Reading::Unavailable(_)
        ));
    }

    #[test]
    fn a_secret_that_does_not_decode_is_named_and_not_shown() {
        let text = "kind: Secret\nmetadata: { name: s }\ndata: { a: 'hunter2!!' }";
        let error = Contents::parse(text, "f.yaml").unwrap_err().to_string();
        assert_eq!(error, "--cluster-from f.yaml: Secret \"s\" does not decode");
    }
}
