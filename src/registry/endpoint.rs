//! Where a registry is asked: the API host behind the name in a reference, and how to reach it.

use crate::policy::RegistryRule;
use crate::reference::{Digest, Reference};
use crate::registry::transport::Profile;

/// One registry's API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// As in the reference: `docker.io`, `registry.corp.io:5000`.
    pub host: String,
    /// `https://registry-1.docker.io`.
    pub base: String,
    /// How to reach it.
    pub profile: Profile,
}

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint of a reference's registry under a configuration rule. Docker Hub's API has a host of its own
    /// (containerd/containerd `core/remotes/docker/registry.go`).
    pub fn new(reference: &Reference, rule: &RegistryRule) -> Self {
        let host = reference.registry();
        let api = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let scheme = if rule.plain_http { "http" } else { "https" };
        Self { host: host.to_owned(), base: format!("{scheme}://{api}"), profile: Profile::of(rule) }
    }

    /// `host[:port]` of the API.
    pub fn api_host(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host)
    }

    /// The manifest's URL. Everything in it passed the reference grammar, so nothing needs escaping.
    pub fn manifest_url(&self, reference: &Reference) -> String {
        format!("{}/v2/{}/manifests/{}", self.base, reference.repository(), reference.object())
    }

    /// The URL of a blob in the repository of a reference.
    pub fn blob_url(&self, reference: &Reference, digest: &Digest) -> String {
        format!("{}/v2/{}/blobs/{digest}", self.base, reference.repository())
    }
}

// === impl Profile ===

impl Profile {
    /// The profile of a configuration rule.
    pub fn of(rule: &RegistryRule) -> Self {
        Self {
            ca_file: rule.ca_file.clone(),
            client_cert_file: rule.client_cert_file.clone(),
            proxy: rule.proxy.clone(),
            plain_http: rule.plain_http,
            timeout: rule.timeout,
        }
    }
}
