//! What the operator says about registries: how to reach one, what nodes may hold for it, and which are refused.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::Pattern;
use crate::credentials::url_match::url_match;

/// Hosts for which nodes usually carry an identity of their own: the patterns that the cloud providers give to their
/// credential plugins (cloud-provider-aws, cloud-provider-azure, cloud-provider-gcp).
const CLOUD_HOSTS: [&str; 10] = [
    "*.dkr.ecr.*.amazonaws.com",
    "*.dkr.ecr.*.amazonaws.com.cn",
    "*.azurecr.io",
    "*.azurecr.cn",
    "*.azurecr.us",
    "*.azurecr.de",
    "gcr.io",
    "*.gcr.io",
    "*.pkg.dev",
    "container.cloud.google.com",
];

/// How to reach the registries whose host matches.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryRule {
    /// Glob over `host[:port]` as the reference writes it.
    pub host: Pattern,
    /// Speak HTTP without TLS.
    pub plain_http: bool,
    /// PEM file of additional certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// PEM file with a client certificate and its key.
    pub client_cert_file: Option<PathBuf>,
    /// Which HTTP proxy leads there.
    pub proxy: Proxy,
    /// The server's certificate is not looked at.
    pub skip_verify: bool,
    /// Longest time for one request.
    pub timeout: Option<Duration>,
    /// What is known about the nodes' own access; none: the host decides.
    pub node_access: Option<NodeAccess>,
}

/// Whether nodes may hold credentials or mirrors for a registry that pods do not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeAccess {
    /// They hold none: the pod's own credentials are all there is.
    None,
    /// They may: a refusal is uncertain.
    Unknown,
    /// They hold what is declared under `nodes` and nothing else, so a refusal is certain.
    Declared,
}

/// Which HTTP proxy requests go through.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// What the environment says for each host ([`crate::registry::proxies`]).
    #[default]
    Environment,
    /// None, whatever the environment says.
    None,
    /// This URL; it may carry a login, so `Debug` does not show it.
    Url(String),
}

/// Which addresses and registries may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Exceptions to the refused address ranges, the operator's own included.
    pub allow_addresses: Vec<IpNet>,
    /// Address ranges to refuse beside those that always are: the API server, the services of the cluster.
    pub deny_addresses: Vec<IpNet>,
    /// Registries that may be used; one match is needed.
    pub allow_registries: Vec<Pattern>,
    /// Registries that may not be used; one match is enough.
    pub deny_registries: Vec<Pattern>,
}

// === impl RegistryRule ===

impl RegistryRule {
    /// A rule that says nothing but which hosts it is for.
    pub fn new(host: Pattern) -> Self {
        Self {
            host,
            plain_http: false,
            ca_file: None,
            client_cert_file: None,
            proxy: Proxy::default(),
            skip_verify: false,
            timeout: None,
            node_access: None,
        }
    }

    /// What nodes may hold for `host`: as configured, else [`NodeAccess::Unknown`] for the clouds' registries, whose
    /// patterns match as the kubelet matches them (kubernetes/kubernetes, `pkg/credentialprovider/keyring.go`).
    pub fn effective_node_access(&self, host: &str) -> NodeAccess {
        self.node_access.unwrap_or_else(|| {
            if CLOUD_HOSTS.iter().any(|pattern| url_match(pattern, host)) {
                NodeAccess::Unknown
            } else {
                NodeAccess::None
            }
        })
    }
}

impl fmt::Debug for RegistryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, plain_http, ca_file, client_cert_file, proxy, skip_verify, timeout, node_access } = self;
        f.debug_struct("RegistryRule")
            .field("host", host)
            .field("plain_http", plain_http)
            .field("ca_file", ca_file)
            .field("client_cert_file", client_cert_file)
            .field("proxy", proxy)
            .field("skip_verify", skip_verify)
            .field("timeout", timeout)
            .field("node_access", node_access)
            .finish()
    }
}

// === impl Proxy ===

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::None => "None",
            Self::Url(_) => "Url(…)",
        })
    }
}

// === impl Guard ===

impl Guard {
    /// Whether the operator lets images come from `host`. A refused host is refused on every port, and Docker Hub under
    /// each of its names, so that another spelling is no way around; an allowed host must be allowed as written.
    pub fn registry_allowed(&self, host: &str) -> bool {
        !self.registry_denied(host) && self.allow_registries.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether the operator denies `host`, `host[:port]` of an image or of anything that a registry points to.
    pub fn registry_denied(&self, host: &str) -> bool {
        other_names(host).any(|name| self.deny_registries.iter().any(|pattern| pattern.matches(name)))
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            allow_addresses: Vec::new(),
            deny_addresses: Vec::new(),
            allow_registries: vec![Pattern::any()],
            deny_registries: Vec::new(),
        }
    }
}

/// `host` itself, without its port and the dot of a rooted name, and what both stand for.
fn other_names(host: &str) -> impl Iterator<Item = &str> {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let hub = ["index.docker.io", "registry-1.docker.io"].iter().any(|name| name.eq_ignore_ascii_case(bare));
    [Some(host), (bare != host).then_some(bare), hub.then_some("docker.io")].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clouds_registries_are_unknown_unless_the_operator_says_otherwise() {
        let silent = RegistryRule::new(Pattern::any());
        for (host, expected) in [
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", NodeAccess::Unknown),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", NodeAccess::Unknown),
            ("a.b.dkr.ecr.eu-central-1.amazonaws.com", NodeAccess::None),
            ("team.azurecr.io", NodeAccess::Unknown),
            ("azurecr.io", NodeAccess::None),
            ("gcr.io", NodeAccess::Unknown),
            ("eu.gcr.io", NodeAccess::Unknown),
            ("europe-docker.pkg.dev", NodeAccess::Unknown),
            ("europe-docker.pkg.dev:443", NodeAccess::None),
            ("docker.io", NodeAccess::None),
            ("registry.corp.io", NodeAccess::None),
        ] {
            assert_eq!(silent.effective_node_access(host), expected, "{host}");
        }
        for word in [NodeAccess::None, NodeAccess::Declared] {
            let told = RegistryRule { node_access: Some(word), ..silent.clone() };
            assert_eq!(told.effective_node_access("gcr.io"), word);
        }
    }

    #[test]
    fn a_denied_registry_has_no_other_spelling_and_allow_is_needed_too() {
        let guard = Guard {
            allow_registries: vec![Pattern::host("*.io").unwrap(), Pattern::host("reg.corp:5000").unwrap()],
            deny_registries: vec![Pattern::host("docker.io").unwrap(), Pattern::host("[::1]").unwrap()],
            ..Guard::default()
        };
        for (host, expected) in [
            ("quay.io", true),
            ("QUAY.IO", true),
            ("docker.io", false),
            ("Docker.io", false),
            ("docker.io:443", false),
            ("registry-1.docker.io", false),
            ("index.docker.io:443", false),
            ("[::1]:5000", false),
            ("reg.corp:5000", true),
            ("reg.corp", false),
        ] {
            assert_eq!(guard.registry_allowed(host), expected, "{host}");
        }
        assert!(Guard::default().registry_allowed("anything:1"));
    }

    #[test]
    fn a_proxy_login_is_not_printed() {
        let rule = RegistryRule {
            proxy: Proxy::Url("http://me:hunter2@proxy:3128".into()),
            ..RegistryRule::new(Pattern::any())
        };
        assert!(!format!("{rule:?}").contains("hunter2"));
    }
}
