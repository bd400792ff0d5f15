//! A cluster that is a file or a directory: multi-document YAML or JSON of Secrets, `ServiceAccounts` and Nodes.
//!
//! Other kinds may stand in the same files; they are passed over. Files without a Node say nothing about nodes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::cluster::{Cluster, ReadFuture, Reading, account_names, secret_object};
use crate::credentials::PullSecret;
use crate::manifests::{ManifestError, Source};
use crate::nodes::object::{NodeSpec, NodeStatus};
use crate::nodes::{Node, Nodes};
use crate::printable::os_error;

/// The namespace of objects that name none.
const DEFAULT: &str = "default";

/// Objects read from files.
#[derive(Debug)]
pub struct FileCluster {
    /// Read again when a fresh state is asked for.
    path: Option<PathBuf>,
    /// Where objects are that name no namespace.
    namespace: String,
    contents: RwLock<Arc<Contents>>,
}

/// Secrets and `ServiceAccounts` by namespace and name, and Nodes.
#[derive(Debug, Default)]
pub struct Contents {
    secrets: HashMap<(String, String), Arc<PullSecret>>,
    accounts: HashMap<(String, String), Vec<String>>,
    nodes: Option<Arc<Nodes>>,
}

#[derive(Deserialize)]
struct NodeObject {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

/// Files that are no cluster.
#[derive(Debug, thiserror::Error)]
pub enum FileClusterError {
    /// The path cannot be read.
    #[error("--cluster-from {path}: {}", os_error(.source))]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file in it is not understood.
    #[error("--cluster-from {0}")]
    Manifest(#[from] ManifestError),
}

// === impl FileCluster ===

impl FileCluster {
    /// Reads a file, or every `.yaml`, `.yml` and `.json` of a directory (not of its subdirectories). Objects that name
    /// no namespace are in `namespace`.
    pub fn open(path: &Path, namespace: &str) -> Result<Self, FileClusterError> {
        let contents = RwLock::new(Arc::new(Contents::read(path, namespace)?));
        Ok(Self { path: Some(path.to_owned()), namespace: namespace.to_owned(), contents })
    }

    /// A cluster of given objects, and no file behind it.
    pub fn of(contents: Contents) -> Self {
        Self { path: None, namespace: DEFAULT.to_owned(), contents: RwLock::new(Arc::new(contents)) }
    }

    /// Puts other objects in place of all present ones.
    pub fn replace(&self, contents: Contents) {
        *self.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contents);
    }

    async fn contents(&self, fresh: bool) -> Result<Arc<Contents>, String> {
        if let (true, Some(path)) = (fresh, self.path.clone()) {
            let namespace = self.namespace.clone();
            let read = tokio::task::spawn_blocking(move || Contents::read(&path, &namespace)).await;
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

    fn nodes(&self) -> Option<Arc<Nodes>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).nodes.clone()
    }
}

// === impl Contents ===

impl Contents {
    /// Objects from text; `file` appears in errors only. An object without a namespace is in `default`.
    pub fn parse(text: &str, file: &str) -> Result<Self, FileClusterError> {
        let (mut contents, mut nodes) = (Self::default(), Vec::new());
        contents.add(&Source::new(file, text), DEFAULT, &mut nodes)?;
        Ok(contents.with(nodes))
    }

    fn read(path: &Path, namespace: &str) -> Result<Self, FileClusterError> {
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
        let (mut contents, mut nodes) = (Self::default(), Vec::new());
        for file in files {
            let bytes = std::fs::read(&file).map_err(|source| unreadable(&file, source))?;
            contents.add(&Source::new(&file.display().to_string(), bytes), namespace, &mut nodes)?;
        }
        Ok(contents.with(nodes))
    }

    fn with(self, nodes: Vec<NodeObject>) -> Self {
        let mut known = HashSet::new();
        let node = |NodeObject { metadata, spec, status }: NodeObject| {
            let labels = metadata.labels.unwrap_or_default();
            Arc::new(Node::new(&metadata.name.unwrap_or_default(), labels, spec, status, &mut known))
        };
        let nodes = (!nodes.is_empty()).then(|| Arc::new(Nodes::new(nodes.into_iter().map(node))));
        Self { nodes, ..self }
    }

    fn add(&mut self, file: &Source, namespace: &str, nodes: &mut Vec<NodeObject>) -> Result<(), ManifestError> {
        for object in file.objects() {
            let object = object?;
            let key = (object.namespace().unwrap_or(namespace).to_owned(), object.name().to_owned());
            match object.kind() {
                "Secret" => {
                    self.secrets.insert(key, Arc::new(secret_object::decode(&object)?));
                }
                "ServiceAccount" => {
                    let account: ServiceAccount = object.decode()?;
                    self.accounts.insert(key, account_names(account));
                }
                "Node" => nodes.push(object.decode()?),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::Runtime;
    use crate::workload::Placement;
    use crate::workload::placement::Toleration;

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
metadata: { name: n1, labels: { kubernetes.io/arch: arm64, kubernetes.io/os: linux } }
spec: { taints: [ { key: a, effect: NoSchedule } ] }
---
kind: Node
apiVersion: v1
metadata: { name: n2 }
status:
  nodeInfo: { operatingSystem: linux, architecture: amd64, containerRuntimeVersion: containerd://1.7.28 }
  images: [ { names: [ \"a.io/x@sha256:1\", \"a.io/x:1\" ], sizeBytes: 5 }, { sizeBytes: 1 } ]
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
        let cluster = FileCluster::open(directory.path(), "default").unwrap();
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
    fn nodes_are_known_where_files_have_some() {
        let cluster = FileCluster::of(Contents::parse(TEXT, "t").unwrap());
        let eligible = cluster.nodes().unwrap().eligible(&Placement::default());
        let class = &eligible.classes[0];
        assert_eq!((eligible.classes.len(), &*class.architecture, class.runtime), (1, "amd64", Runtime::Containerd1));
        assert!(eligible.hold("a.io/x:1") && !eligible.hold("a.io/x:2"));
        let tolerant = Toleration { key: String::new(), value: None, effect: String::new() };
        let everywhere = Placement { tolerations: vec![tolerant], ..Placement::default() };
        assert_eq!(cluster.nodes().unwrap().eligible(&everywhere).nodes.len(), 2);
        assert!(
            FileCluster::of(Contents::parse("kind: Secret\nmetadata: { name: s }", "t").unwrap()).nodes().is_none()
        );
    }

    #[test]
    fn a_secret_that_does_not_decode_is_named_and_not_shown() {
        let text = "kind: Secret\nmetadata: { name: s }\ndata: { a: 'hunter2!!' }";
        let error = Contents::parse(text, "f.yaml").unwrap_err().to_string();
        let expected = "--cluster-from f.yaml:3:12: Secret \"s\": data[\"a\"]: the value of \"a\" is not base64: ";
        assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
    }
}
