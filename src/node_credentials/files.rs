//! A path, as the kubelet takes it, → the providers declared there: one file, or a directory whose `*.json`, `*.yaml`
//! and `*.yml` are merged in the order of their names (kubernetes/kubernetes
//! `pkg/credentialprovider/plugin/config.go`).

use std::io;
use std::path::{Path, PathBuf};

use super::declaration::{self, Provider};
use crate::config::ConfigError;

/// A declaration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeclarationError {
    /// A file or directory cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The directory holds no file with one of the three endings.
    #[error("{0} holds no *.json, *.yaml or *.yml")]
    NoFiles(PathBuf),
    /// A file is wrong.
    #[error(transparent)]
    Text(#[from] ConfigError),
}

/// Reads the declaration of `--image-credential-provider-config`. Blocks; meant for the start of the process.
///
/// # Errors
/// The first thing that would keep a kubelet from starting, except a binary that is not there: that is found out and
/// said when it is called.
pub fn read(path: &Path) -> Result<Vec<Provider>, DeclarationError> {
    let refuse = |path: &Path, error| DeclarationError::Read { path: path.to_owned(), error };
    let files = if std::fs::metadata(path).map_err(|error| refuse(path, error))?.is_dir() {
        let files = files_of(path).map_err(|error| refuse(path, error))?;
        if files.is_empty() {
            return Err(DeclarationError::NoFiles(path.to_owned()));
        }
        files
    } else {
        vec![path.to_owned()]
    };
    let read = |file: PathBuf| match std::fs::read(&file) {
        Ok(text) => Ok((file.display().to_string(), text)),
        Err(error) => Err(refuse(&file, error)),
    };
    Ok(declaration::parse(&files.into_iter().map(read).collect::<Result<Vec<_>, _>>()?)?)
}

/// Links count, as the files of a mounted `ConfigMap` are; directories do not.
fn files_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let ending = name.as_encoded_bytes().rsplitn(2, |byte| *byte == b'.').next().unwrap_or_default();
        let dotted = name.len() > ending.len();
        if dotted && matches!(ending, b"json" | b"yaml" | b"yml") && !entry.file_type()?.is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(name: &str) -> String {
        format!(
            "{{\"apiVersion\": \"kubelet.config.k8s.io/v1\", \"kind\": \"CredentialProviderConfig\", \"providers\": [
               {{\"name\": \"{name}\", \"apiVersion\": \"credentialprovider.kubelet.k8s.io/v1\",
                 \"matchImages\": [\"a.io\"], \"defaultCacheDuration\": \"1m\"}}]}}"
        )
    }

    #[test]
    fn a_directory_is_merged_in_the_order_of_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(read(dir.path()).unwrap_err().to_string().ends_with("holds no *.json, *.yaml or *.yml"));
        for (file, provider) in [("b.yaml", "second"), ("c.json", "third"), ("a.yml", "first"), ("a.txt", "none")] {
            fs::write(path(file), config(provider)).unwrap();
        }
        fs::create_dir(path("d.yaml")).unwrap();
        std::os::unix::fs::symlink(path("a.txt"), path("z.yaml")).unwrap();
        let names: Vec<_> = read(dir.path()).unwrap().iter().map(|provider| provider.name.to_string()).collect();
        assert_eq!(names, ["first", "second", "third", "none"]);
        assert_eq!(read(&path("a.txt")).unwrap().len(), 1, "a file may have any name");
        fs::write(path("e.yml"), config("first")).unwrap();
        let error = read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("e.yml:2:") && error.ends_with("provider \"first\" is declared twice"), "{error}");
        assert!(read(&path("nowhere")).unwrap_err().to_string().starts_with("cannot read "));
    }
}
