//! A `certs.d` directory → [`CertsDir`]: every directory in it, with its `hosts.toml` or its certificate files.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::{CertsDir, HostsError, HostsFile, parse};

/// A larger `hosts.toml` is none.
const MAX_FILE: u64 = 1 << 20;

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertsDirError {
    /// Something in it, or a file that it names, cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that a `hosts.toml` names cannot be read.
    #[error("{hosts} names {path}: {source}; beside it, a relative name finds it wherever the directory is mounted")]
    Named {
        /// The directory of the `hosts.toml`.
        hosts: String,
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A `hosts.toml` does not decode; a node would ignore its hosts.
    #[error("{path}:{error}; nodes ignore such a file")]
    Text {
        /// Which.
        path: String,
        /// Where and why.
        error: HostsError,
    },
}

/// Reads the whole directory, and the files that it names only to know when they change.
///
/// # Errors
/// With the path of what cannot be used.
pub fn read(root: &Path) -> Result<CertsDir, CertsDirError> {
    let mut seen = digest::Context::new(&digest::SHA256);
    let mut dir = CertsDir::default();
    for path in entries(root)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // Kubernetes mounts a volume's content under `..data` and links to it.
        if name.starts_with('.') || !path.is_dir() {
            continue;
        }
        let (file, text) = hosts_file(&path)?;
        for part in [name.as_bytes(), &text] {
            seen.update(&part.len().to_be_bytes());
            seen.update(part);
        }
        for named in file.hosts.iter().flat_map(|host| host.tls.files()) {
            let content = fs::read(named).map_err(|source| CertsDirError::Named {
                hosts: path.join("hosts.toml").display().to_string(),
                path: named.display().to_string(),
                source,
            })?;
            seen.update(&content.len().to_be_bytes());
            seen.update(&content);
        }
        dir.files.insert(name.to_owned(), (path, file));
    }
    dir.fingerprint = seen.finish().as_ref().to_vec();
    Ok(dir)
}

fn hosts_file(dir: &Path) -> Result<(HostsFile, Vec<u8>), CertsDirError> {
    let path = dir.join("hosts.toml");
    let text = match fs::File::open(&path) {
        Ok(file) => {
            let mut text = Vec::new();
            file.take(MAX_FILE).read_to_end(&mut text).map_err(|source| failed(&path, source))?;
            text
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(failed(&path, source)),
    };
    if text.is_empty() {
        return Ok((certificates(dir)?, text));
    }
    match parse(&text, dir) {
        Ok(file) => Ok((file, text)),
        Err(error) => Err(CertsDirError::Text { path: path.display().to_string(), error }),
    }
}

/// Docker's layout: authorities in `*.crt`, client certificates in `*.cert`, their keys beside them in `*.key`.
fn certificates(dir: &Path) -> Result<HostsFile, CertsDirError> {
    let (mut ca, mut client) = (Vec::new(), Vec::new());
    for path in entries(dir)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") if !path.is_dir() => ca.push(path),
            Some("cert") if !path.is_dir() => {
                let key = path.with_extension("key");
                let key = key.exists().then_some(key);
                client.push((path, key));
            }
            _ => {}
        }
    }
    Ok(HostsFile::of_certificates(ca, client))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, CertsDirError> {
    let read = || fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = read().map_err(|source| failed(dir, source))?;
    paths.sort();
    Ok(paths)
}

fn failed(path: &Path, source: io::Error) -> CertsDirError {
    CertsDirError::Read { path: path.display().to_string(), source }
}
