//! What containerd makes of a `certs.d` directory: a registry's name in, the hosts that a node asks for it out, in
//! order, each with scheme, API root, capabilities and TLS settings.
//!
//! Rules of containerd/containerd `core/remotes/docker/config/hosts.go`, `config_unix.go` and `registry.go`.

pub mod directory;
mod server;
mod text;
mod ways;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use self::text::parse;
pub use self::ways::{Way, Ways};

/// The directory for registries that have none of their own.
const DEFAULT: &str = "_default";

/// A whole `certs.d` directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertsDir {
    /// By the name of the directory inside, with the path that errors name.
    pub files: BTreeMap<String, (PathBuf, HostsFile)>,
    /// Changes with the content of any file that is named.
    pub fingerprint: Vec<u8>,
}

/// The hosts of one directory; the last is the registry itself and may say nothing about where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsFile {
    /// `[host."…"]` tables in their order, then what stands outside of them.
    pub hosts: Vec<Host>,
}

/// One host that may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `http` or `https`; anything else is asked by nobody.
    pub scheme: String,
    /// `host[:port]` as written; empty where the file names none.
    pub authority: String,
    /// The API's root, without a slash at its end: `/v2`.
    pub path: String,
    /// What it may be asked for.
    pub capabilities: Capabilities,
    /// How it proves itself, and how the node does.
    pub tls: Tls,
    /// Sent with every request.
    pub headers: Headers,
}

/// What a host may be asked for; what concerns a push is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Content by digest.
    pub pull: bool,
    /// The digest behind a tag.
    pub resolve: bool,
}

/// The TLS settings of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM files with authorities to trust beside the system's.
    pub ca: Option<Vec<PathBuf>>,
    /// PEM files with a client certificate, and with its key where that is another file.
    pub client: Vec<(PathBuf, Option<PathBuf>)>,
    /// The server's certificate is not looked at.
    pub skip_verify: Option<bool>,
}

/// Header lines. Their values may be secret, so `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Headers(pub Vec<(String, String)>);

/// A `hosts.toml` that containerd would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {sentence}")]
pub struct HostsError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub sentence: String,
}

// === impl CertsDir ===

impl CertsDir {
    /// The directory for a registry as its name stands in a reference: `HOST_PORT_`, `HOST:PORT`, `_default`.
    pub fn file(&self, namespace: &str) -> Option<&HostsFile> {
        let with_port = match namespace.rfind(':') {
            Some(colon @ 1..) => {
                let (host, port) = namespace.split_at(colon);
                Some(format!("{host}_{}_", port.trim_start_matches(':')))
            }
            Some(0) | None => None,
        };
        let names = with_port.as_deref().into_iter().chain([namespace, DEFAULT]);
        names.filter_map(|name| self.files.get(name)).map(|(_, file)| file).next()
    }
}

// === impl HostsFile ===

impl HostsFile {
    /// A directory in Docker's layout, without a `hosts.toml`: certificates for the registry itself.
    pub fn of_certificates(ca: Vec<PathBuf>, client: Vec<(PathBuf, Option<PathBuf>)>) -> Self {
        let tls = Tls { ca: (!ca.is_empty()).then_some(ca), client, skip_verify: None };
        Self { hosts: vec![Host { tls, ..Host::default() }] }
    }

    /// The hosts for a registry: where the file does not say where the registry itself is, its own place.
    pub fn hosts(&self, namespace: &str) -> Vec<Host> {
        let mut hosts = self.hosts.clone();
        if let Some(upstream) = hosts.last_mut().filter(|host| host.authority.is_empty()) {
            upstream.be_upstream(namespace);
        }
        hosts
    }

    /// Whether the registry itself is left to its own place.
    pub fn leaves_upstream_open(&self) -> bool {
        self.hosts.last().is_some_and(|host| host.authority.is_empty())
    }
}

// === impl Host ===

impl Host {
    fn be_upstream(&mut self, namespace: &str) {
        namespace.clone_into(&mut self.authority);
        "https".clone_into(&mut self.scheme);
        "/v2".clone_into(&mut self.path);
        self.capabilities = Capabilities::default();
        if namespace == "docker.io" {
            "registry-1.docker.io".clone_into(&mut self.authority);
        } else if is_localhost(namespace) {
            let port = port(namespace);
            if !matches!(port, None | Some("443")) {
                "http".clone_into(&mut self.scheme);
            }
            if port != Some("80") {
                self.tls.skip_verify = Some(true);
            }
        }
    }

    /// Whether it stands in for the registry, and is told so by `?ns=`.
    pub fn is_proxy(&self, namespace: &str) -> bool {
        self.authority != namespace && !(namespace == "docker.io" && self.authority == "registry-1.docker.io")
    }

    /// Whether HTTPS is tried although the URL says `http`: TLS settings would be of no use otherwise.
    pub fn tries_https_first(&self) -> bool {
        self.scheme == "http" && self.tls.is_set() && port(&self.authority) != Some("80")
    }

    /// Whether a request to it is possible at all.
    pub fn can_be_asked(&self) -> bool {
        !self.authority.is_empty() && matches!(self.scheme.as_str(), "http" | "https")
    }
}

// === impl Tls ===

impl Tls {
    /// Whether anything is said about TLS, even that nothing is special.
    pub fn is_set(&self) -> bool {
        self.ca.is_some() || !self.client.is_empty() || self.skip_verify.is_some()
    }

    /// Every file that is named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.client.iter().flat_map(|(certificate, key)| [Some(certificate), key.as_ref()]);
        self.ca.iter().flatten().chain(pairs.flatten()).map(PathBuf::as_path)
    }
}

// === impl Capabilities ===

impl Default for Capabilities {
    fn default() -> Self {
        Self { pull: true, resolve: true }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The port of `host:port`, as Go's `net.SplitHostPort` finds it.
pub fn port(authority: &str) -> Option<&str> {
    let (host, port) = authority.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    (bracketed || !host.contains(':')).then_some(port).filter(|port| !port.is_empty() && !port.ends_with(']'))
}

fn is_localhost(namespace: &str) -> bool {
    let host = match namespace.rsplit_once(':') {
        Some((host, _)) if port(namespace).is_some() => {
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
        }
        _ => namespace,
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;
