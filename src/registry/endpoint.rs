//! Where a registry is asked: the API host behind the name in a reference, and how to reach it.

use url::{Url, form_urlencoded};

use crate::policy::RegistryRule;
use crate::reference::{Digest, Reference};
use crate::registry::host_port::HostPort;
use crate::registry::transport::Profile;

/// One registry's API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// As in the reference: `docker.io`, `registry.corp.io:5000`; of a mirror, its own name.
    pub host: String,
    /// The root of the API: `https://registry-1.docker.io/v2`.
    pub base: String,
    /// How to reach it.
    pub profile: Profile,
    /// The registry that it stands in for, which it is told as `?ns=`.
    pub namespace: Option<String>,
}

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint of a reference's registry under a configuration rule. Docker Hub's API has a host of its own
    /// (containerd/containerd `core/remotes/docker/registry.go`).
    pub fn new(reference: &Reference, rule: &RegistryRule) -> Self {
        let host = reference.registry();
        let api = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let scheme = if rule.plain_http { "http" } else { "https" };
        // Zeros before a port must not make a registry of its own, with breakers and limits of its own.
        let api = HostPort::parse(api).map_or_else(|| api.to_owned(), |api| api.to_string());
        let (base, profile) = (format!("{scheme}://{api}/v2"), Profile::of(rule));
        Self { host: host.to_owned(), base, profile, namespace: None }
    }

    /// `host[:port]` of the API.
    pub fn api_host(&self) -> &str {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        rest.split_once('/').map_or(rest, |(host, _)| host)
    }

    /// Whether a URL names the host of this API, whatever its port.
    pub fn is_at(&self, url: &Url) -> bool {
        let own = HostPort::parse(self.api_host()).map(|own| own.host);
        own.is_some() && own == HostPort::of(url).map(|named| named.host)
    }

    /// The manifest's URL. Everything in it passed the reference grammar, so nothing needs escaping.
    pub fn manifest_url(&self, reference: &Reference) -> String {
        self.url(reference, "manifests", reference.object())
    }

    /// The URL of a blob in the repository of a reference.
    pub fn blob_url(&self, reference: &Reference, digest: &Digest) -> String {
        self.url(reference, "blobs", digest.as_str())
    }

    /// The URL of the first `count` tags of a repository.
    pub fn tags_url(&self, reference: &Reference, count: u16) -> String {
        let url = self.url(reference, "tags", "list");
        let mark = if url.contains('?') { '&' } else { '?' };
        format!("{url}{mark}n={count}")
    }

    fn url(&self, reference: &Reference, kind: &str, object: &str) -> String {
        let url = format!("{}/{}/{kind}/{object}", self.base, reference.repository());
        match &self.namespace {
            None => url,
            Some(namespace) => {
                let query = form_urlencoded::Serializer::new(String::new()).append_pair("ns", namespace).finish();
                format!("{url}?{query}")
            }
        }
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
            skip_verify: rule.skip_verify,
            ..Self::default()
        }
    }
}
