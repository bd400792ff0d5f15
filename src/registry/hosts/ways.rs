//! The hosts of a registry and pullgate's own settings → the endpoints that one question walks.

use std::path::Path;
use std::sync::Arc;

use super::{CertsDir, Host, HostsFile};
use crate::policy::{Policy, RegistryRule};
use crate::reference::Reference;
use crate::registry::endpoint::Endpoint;
use crate::registry::transport::Profile;

/// Every declared way to every registry.
#[derive(Debug)]
pub struct Ways {
    dir: Arc<CertsDir>,
    policy: Policy,
}

/// One host of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where it is asked.
    pub endpoint: Arc<Endpoint>,
    /// The same without TLS, where HTTPS is only a try.
    pub plain: Option<Arc<Endpoint>>,
}

// === impl Ways ===

impl Ways {
    /// The ways that a policy declares; none where it declares nothing.
    pub fn new(policy: &Policy) -> Option<Self> {
        let dir = Arc::clone(policy.nodes.hosts.as_ref()?);
        Some(Self { dir, policy: policy.clone() })
    }

    /// Whether anything is declared for a registry.
    pub fn declares(&self, namespace: &str) -> bool {
        self.dir.file(namespace).is_some()
    }

    /// The hosts that a node asks for `reference`, in order: for a tag those that pull and resolve, for a digest those
    /// that pull. `upstream` is where pullgate would ask by itself. `None` where nothing is declared.
    pub fn of(&self, upstream: &Arc<Endpoint>, reference: &Reference) -> Option<Vec<Way>> {
        let namespace = reference.registry();
        let file = self.dir.file(namespace)?;
        let by_digest = reference.digest().is_some();
        let mut hosts = file.hosts(namespace);
        let upstream_is_plain = upstream.profile.plain_http && file.leaves_upstream_open();
        if let Some(last) = hosts.last_mut().filter(|_| upstream_is_plain) {
            // The operator's word on this registry, where the directory has none.
            "http".clone_into(&mut last.scheme);
            last.tls.skip_verify = None;
        }
        let eligible =
            |host: &&Host| host.can_be_asked() && host.capabilities.pull && (by_digest || host.capabilities.resolve);
        Some(hosts.iter().filter(eligible).map(|host| self.way(host, namespace, upstream)).collect())
    }

    fn way(&self, host: &Host, namespace: &str, upstream: &Endpoint) -> Way {
        let proxy = host.is_proxy(namespace);
        let settings =
            if proxy { Profile::of(self.policy.registry(&host.authority)) } else { upstream.profile.clone() };
        let endpoint = |scheme: &str| {
            Arc::new(Endpoint {
                host: if proxy { host.authority.clone() } else { upstream.host.clone() },
                base: format!("{scheme}://{}{}", host.authority, host.path),
                profile: profile(host, scheme, settings.clone()),
                namespace: proxy.then(|| namespace.to_owned()),
            })
        };
        if host.tries_https_first() {
            Way { endpoint: endpoint("https"), plain: Some(endpoint("http")) }
        } else {
            Way { endpoint: endpoint(&host.scheme), plain: None }
        }
    }

    /// A profile for every host that is declared, with the directory it stands in.
    pub fn profiles(&self) -> impl Iterator<Item = (&Path, Profile)> {
        self.dir.files.values().flat_map(|(path, HostsFile { hosts })| {
            let rule = |host: &Host| -> RegistryRule {
                if host.authority.is_empty() {
                    self.policy.other_registries.clone()
                } else {
                    self.policy.registry(&host.authority).clone()
                }
            };
            hosts.iter().map(move |host| (path.as_path(), profile(host, "https", Profile::of(&rule(host)))))
        })
    }
}

/// How a host is reached: TLS and headers as the directory says, the rest as pullgate's configuration does.
fn profile(host: &Host, scheme: &str, settings: Profile) -> Profile {
    let tls = &host.tls;
    Profile {
        plain_http: scheme == "http",
        client_cert_file: settings.client_cert_file.filter(|_| tls.client.is_empty()),
        more_ca_files: tls.ca.clone().unwrap_or_default(),
        client_pair: tls.client.first().cloned(),
        skip_verify: tls.skip_verify.unwrap_or(settings.skip_verify),
        headers: host.headers.clone(),
        ca_file: settings.ca_file,
        proxy: settings.proxy,
        timeout: settings.timeout,
    }
}
