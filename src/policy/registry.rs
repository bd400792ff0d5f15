//! What the operator says about registries: how to reach one, what nodes may hold for it, and which are refused.

use std::cell::OnceCell;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::Pattern;
use crate::credentials::url_match::url_match;
use crate::registry::host_port::{HTTP_PORT, HTTPS_PORT, Host, HostPort};

/// The names under which Docker Hub serves images.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

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

    /// Whether the rule is for a registry, `host[:port]`: ports compare as numbers, and the port that HTTPS (or with
    /// `plainHTTP`, HTTP) has by default may be left out on either side.
    pub(super) fn is_for(&self, host: &SpelledHost<'_>) -> bool {
        self.host.is_any() || host.with_default(self.default_port()).iter().any(|name| self.host.matches(name))
    }

    /// The port that is asked where a reference names none.
    pub fn default_port(&self) -> u16 {
        if self.plain_http { HTTP_PORT } else { HTTPS_PORT }
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
    /// Whether the operator lets images come from `host`, `host[:port]`, which is asked on `default_port` where it names no
    /// port. A refused host is refused on every port unless the rule names one, and Docker Hub under each of its names, so
    /// that another spelling is no way around. An allowed host is allowed under its own name.
    pub fn registry_allowed(&self, host: &str, default_port: u16) -> bool {
        if self.registry_denied(host, default_port) {
            return false;
        }
        let allowed = |name: &String| self.allow_registries.iter().any(|pattern| pattern.matches(name));
        self.allow_registries.iter().any(Pattern::is_any) || spellings(host, default_port).iter().any(allowed)
    }

    /// Whether the operator denies `host`, `host[:port]` of an image or of anything that a registry points to.
    pub fn registry_denied(&self, host: &str, default_port: u16) -> bool {
        let denied = |name: &String| self.deny_registries.iter().any(|pattern| pattern.matches(name));
        !self.deny_registries.is_empty() && every_name(host, default_port).iter().any(denied)
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

/// A registry host, parsed once for all rules that are compared with it: reviews look rules up on their way.
#[derive(Debug)]
pub(super) struct SpelledHost<'a> {
    host: &'a str,
    https: OnceCell<Vec<String>>,
    http: OnceCell<Vec<String>>,
}

// === impl SpelledHost ===

impl<'a> SpelledHost<'a> {
    /// Takes `host[:port]` as in the reference.
    pub(super) fn new(host: &'a str) -> Self {
        Self { host, https: OnceCell::new(), http: OnceCell::new() }
    }

    fn with_default(&self, port: u16) -> &[String] {
        let cell = if port == HTTP_PORT { &self.http } else { &self.https };
        cell.get_or_init(|| spellings(self.host, port))
    }
}

/// The spellings of a registry; of what no node could connect to, the text itself.
fn spellings(host: &str, default_port: u16) -> Vec<String> {
    HostPort::parse(host).map_or_else(|| vec![host.to_owned()], |parsed| parsed.spellings(default_port))
}

/// The spellings of a registry, the host alone, and the same of all that it stands for: a rooted name is the name without
/// its dot, and Docker Hub has three names.
fn every_name(host: &str, default_port: u16) -> Vec<String> {
    let Some(HostPort { host: Host::Name(name), port }) = HostPort::parse(host) else {
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        let mut names = spellings(host, default_port);
        names.extend(HostPort::parse(host).map(|parsed| parsed.host.to_string()).or_else(|| Some(bare.to_owned())));
        return names;
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let names = if DOCKER_HUB.contains(&name) { &DOCKER_HUB[..] } else { &[name][..] };
    let spelled = |name: &&str| {
        let mut spelled = HostPort { host: Host::Name((*name).to_owned()), port }.spellings(default_port);
        spelled.push((*name).to_owned());
        spelled
    };
    names.iter().flat_map(spelled).collect()
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
            ("[0:0:0:0:0:0:0:1]:5000", false),
            ("registry-1.docker.io:00443", false),
            ("reg.corp:5000", true),
            ("reg.corp:05000", true),
            ("reg.corp", false),
            ("quay.io:443", true),
            ("quay.io:0443", true),
            ("quay.io:8443", false),
        ] {
            assert_eq!(guard.registry_allowed(host, HTTPS_PORT), expected, "{host}");
        }
        assert!(Guard::default().registry_allowed("anything:1", HTTPS_PORT));
    }

    #[test]
    fn a_denied_registry_is_denied_under_every_spelling_that_leads_there() {
        for (rule, host, port, expected) in [
            ("r.io", "r.io:8443", HTTPS_PORT, true),
            ("r.io:443", "r.io", HTTPS_PORT, true),
            ("r.io:443", "r.io", HTTP_PORT, false),
            ("r.io:80", "r.io", HTTP_PORT, true),
            ("r.io:443", "r.io:8443", HTTPS_PORT, false),
            ("r.io:5000", "R.io:00005000", HTTPS_PORT, true),
            ("r.io:005000", "r.io:5000", HTTPS_PORT, true),
            ("r.io:*", "r.io", HTTPS_PORT, true),
            ("r.io:50*", "r.io:05000", HTTPS_PORT, true),
            ("*.corp.io", "a.corp.io:8443", HTTPS_PORT, true),
            ("r.io", "r.io.", HTTPS_PORT, true),
            ("r.io", "r.io:99999", HTTPS_PORT, true),
            ("127.0.0.1:5000", "[::ffff:7f00:1]:5000", HTTPS_PORT, true),
            ("127.0.0.1", "[::ffff:7f00:1]:5000", HTTPS_PORT, true),
            ("[::1]", "[0::1]:05000", HTTPS_PORT, true),
            ("[::1]:5000", "[::1]:5001", HTTPS_PORT, false),
            ("registry-1.docker.io", "docker.io", HTTPS_PORT, true),
            ("index.docker.io:443", "docker.io", HTTPS_PORT, true),
            ("docker.io", "mydocker.io", HTTPS_PORT, false),
        ] {
            let guard = Guard { deny_registries: vec![Pattern::host(rule).unwrap()], ..Guard::default() };
            assert_eq!(guard.registry_denied(host, port), expected, "{host} by {rule}");
            assert_eq!(guard.registry_allowed(host, port), !expected, "{host} by {rule}");
        }
    }

    #[test]
    fn a_rule_is_for_every_spelling_of_its_registry() {
        let rule =
            |host: &str, plain_http| RegistryRule { plain_http, ..RegistryRule::new(Pattern::host(host).unwrap()) };
        for (rule, host, expected) in [
            (rule("r.io", false), "r.io:443", true),
            (rule("r.io:443", false), "R.io", true),
            (rule("r.io:443", true), "r.io", false),
            (rule("r.io", true), "r.io:080", true),
            (rule("r.io:05000", false), "r.io:5000", true),
            (rule("r.io", false), "r.io:5000", false),
            (rule("[::1]:5000", false), "[0:0::1]:05000", true),
            (rule("*", false), "anything:99999", true),
        ] {
            assert_eq!(rule.is_for(&SpelledHost::new(host)), expected, "{host} by {rule:?}");
        }
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
