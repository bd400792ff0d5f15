//! The volumes of a pod → directories, written and renewed as a kubelet does it: all files of a new state at once, by
//! swapping one symbolic link (kubernetes/kubernetes `pkg/volume/util/atomic_writer.go`).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Volume};
use kube::{Api, Client};

use crate::Failure;

/// One volume that holds files.
pub(super) struct Mounted {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    source: Source,
    optional: bool,
    held: Option<BTreeMap<String, Vec<u8>>>,
    step: u32,
}

enum Source {
    ConfigMap(String),
    Secret(String),
    /// `emptyDir`.
    Nothing,
}

// === impl Mounted ===

impl Mounted {
    /// The volumes of these that are directories of a pod's own; others (tokens) are somebody else's.
    pub(super) fn of(volumes: &[Volume], below: &Path) -> Vec<Self> {
        let of_one = |volume: &Volume| {
            let (source, optional) = if let Some(map) = &volume.config_map {
                (Source::ConfigMap(map.name.clone()), map.optional)
            } else if let Some(secret) = &volume.secret {
                (Source::Secret(secret.secret_name.clone()?), secret.optional)
            } else if volume.empty_dir.is_some() {
                (Source::Nothing, None)
            } else {
                return None;
            };
            let (name, dir) = (volume.name.clone(), below.join(&volume.name));
            Some(Self { name, dir, source, optional: optional.unwrap_or(false), held: None, step: 0 })
        };
        volumes.iter().filter_map(of_one).collect()
    }

    /// Reads the object and writes what is new; what cannot be read stays as it was once it was there.
    pub(super) async fn renew(&mut self, client: &Client, namespace: &str) -> Result<(), Failure> {
        match self.read(client, namespace).await {
            Ok(now) if self.held.as_ref() == Some(&now) => Ok(()),
            Ok(now) => {
                self.write(&now)?;
                self.held = Some(now);
                Ok(())
            }
            Err(_) if self.held.is_some() => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn read(&self, client: &Client, namespace: &str) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let absent = |name: &str| Failure::from(format!("volume {}: {name} is not there", self.name));
        match &self.source {
            Source::Nothing => Ok(BTreeMap::new()),
            Source::ConfigMap(name) => {
                match Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await? {
                    Some(map) => {
                        Ok(map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into())).collect())
                    }
                    None if self.optional => Ok(BTreeMap::new()),
                    None => Err(absent(name)),
                }
            }
            Source::Secret(name) => match Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await? {
                Some(secret) => {
                    Ok(secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
                }
                None if self.optional => Ok(BTreeMap::new()),
                None => Err(absent(name)),
            },
        }
    }

    fn write(&mut self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
        self.step += 1;
        let state = format!("..{}", self.step);
        fs::create_dir_all(self.dir.join(&state))?;
        for (name, content) in files {
            fs::write(self.dir.join(&state).join(name), content)?;
        }
        symlink(&state, self.dir.join("..new"))?;
        fs::rename(self.dir.join("..new"), self.dir.join("..data"))?;
        for name in files.keys() {
            let link = self.dir.join(name);
            if fs::symlink_metadata(&link).is_err() {
                symlink(Path::new("..data").join(name), link)?;
            }
        }
        let before = self.held.iter().flat_map(BTreeMap::keys);
        for gone in before.filter(|name| !files.contains_key(*name)) {
            fs::remove_file(self.dir.join(gone))?;
        }
        Ok(())
    }
}
