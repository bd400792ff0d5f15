//! What nodes hold by themselves, declared by the operator → the candidates that a kubelet tries after the pod's.
//!
//! The kubelet looks a repository up in a union (kubernetes/kubernetes `pkg/kubelet/images/image_manager.go`
//! `makeLookupPullCredentialsFunc`, `pkg/credentialprovider/secrets/secrets.go` `MakeDockerKeyring`,
//! `pkg/credentialprovider/keyring.go` `UnionDockerKeyring.Lookup`): the pod's Secrets, then the node's docker
//! configuration file, then all plugins. The hits of the parts are appended in that order, equal ones too. Each part
//! sorts its own keys in reverse and falls back to `index.docker.io` by itself, whatever the others found; all plugins
//! are one part, where equal keys stay in the order of the declaration. A pull is anonymous only if no part has a hit.
//! A Secret that does not decode ends everything: no plugin is called then.
//!
//! A plugin is given the repository in normal form without tag and digest, the same text that keys are matched with
//! (`pkg/credentialprovider/plugin/plugins.go`, `plugin.go`). The kubelet calls matching plugins one after the other;
//! here they run side by side.

mod account;
mod cache;
mod declaration;
mod docker_config;
mod exec;
mod files;
mod plugin;
mod protocol;
mod unusable;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

pub use self::account::{Account, AccountFacts, AccountTokens};
pub use self::declaration::{Provider, TokenAttributes, TokenCache, parse};
use self::docker_config::DockerConfig;
pub use self::files::{DeclarationError, read};
use self::plugin::{Plugin, Shares};
pub use self::unusable::{Broken, Unusable};
use crate::credentials::url_match::Pattern;
use crate::credentials::{Candidate, Entries, Keyring, Source};
use crate::metrics::Metrics;
use crate::time::Clock;

/// The kubelet's limit for one call of a plugin.
const CALL: Duration = Duration::from_mins(1);

/// What is declared of the nodes. Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The plugins, in order, from [`read`].
    pub providers: Vec<Provider>,
    /// Where their binaries are.
    pub bin_dir: PathBuf,
    /// Docker configuration files; the first that is of use counts. One that is called `.dockercfg` has the older shape.
    pub docker_configs: Vec<PathBuf>,
    /// Who makes `ServiceAccount` tokens; nobody: plugins that want one are not called.
    pub tokens: Option<Arc<dyn AccountTokens>>,
}

/// The credentials of nodes. Cheap to clone; what plugins answered is shared.
#[derive(Clone, Debug)]
pub struct NodeCredentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    docker_config: DockerConfig,
    plugins: Vec<Arc<Plugin>>,
}

/// The node's part of what a kubelet tries.
#[derive(Clone, Debug, Default)]
pub struct NodeLookup {
    /// In the kubelet's order; empty if nothing matches.
    pub candidates: Vec<Candidate>,
    /// What could not be had. A login may be missing above, so that a refusal is uncertain.
    pub broken: Vec<Broken>,
}

// === impl NodeCredentials ===

impl NodeCredentials {
    /// Nothing is read and nothing is called before the first lookup.
    pub fn new(declared: Declared, clock: &Clock, metrics: &Metrics) -> Self {
        Self::with_limit(declared, clock, metrics, CALL)
    }

    fn with_limit(declared: Declared, clock: &Clock, metrics: &Metrics, limit: Duration) -> Self {
        let Declared { providers, bin_dir, docker_configs, tokens } = declared;
        for provider in providers.iter().filter(|provider| provider.wants_token() && tokens.is_none()) {
            let plugin = &*provider.name;
            warn!(plugin, "Not called: it wants ServiceAccount tokens; refusals of the images it is for are uncertain");
        }
        let shares = Shares { bin_dir: &bin_dir, limit, clock, metrics, tokens: tokens.as_ref() };
        Self(Arc::new(Inner {
            docker_config: DockerConfig::new(docker_configs, clock.clone()),
            plugins: providers.into_iter().map(|provider| Plugin::new(provider, &shares)).collect(),
        }))
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.0.plugins.is_empty() && self.0.docker_config.is_empty()
    }

    /// Whether a plugin is declared for this repository, whatever it would answer.
    pub fn has_plugin_for(&self, repository_name: &str) -> bool {
        self.matching(repository_name).next().is_some()
    }

    /// What a node tries for a repository after the pod's Secrets, from [`crate::reference::Reference::name`].
    ///
    /// With `not_before` nothing that was read or asked for earlier is used. Ends by `deadline`; what is not known then
    /// is broken.
    pub async fn candidates(
        &self,
        repository_name: &str,
        account: Account<'_>,
        not_before: Option<Timestamp>,
        deadline: Instant,
    ) -> NodeLookup {
        let file = in_time(self.0.docker_config.entries(not_before), deadline);
        let plugins = join_all(self.matching(repository_name).map(|plugin| async move {
            let outcome = in_time(plugin.entries(repository_name, account, not_before), deadline).await;
            (plugin.source.clone(), outcome)
        }));
        let (file, plugins) = join(file, plugins).await;
        let mut lookup = NodeLookup::default();
        lookup.add(repository_name, [(Source::NodeConfig, file)]);
        lookup.add(repository_name, plugins);
        lookup
    }

    fn matching(&self, repository_name: &str) -> impl Iterator<Item = &Arc<Plugin>> {
        let repository = Pattern::parse(repository_name.as_bytes());
        let matches = move |plugin: &&Arc<Plugin>| repository.as_ref().is_some_and(|name| plugin.matches(name));
        self.0.plugins.iter().filter(matches)
    }
}

async fn in_time(
    entries: impl Future<Output = Result<Entries, Unusable>>,
    deadline: Instant,
) -> Result<Entries, Unusable> {
    timeout_at(deadline, entries).await.unwrap_or(Err(Unusable::Deadline))
}

// === impl NodeLookup ===

impl NodeLookup {
    /// One part of the union: one keyring from all of its sources.
    fn add(&mut self, repository_name: &str, parts: impl IntoIterator<Item = (Source, Result<Entries, Unusable>)>) {
        let mut known = Vec::new();
        for (part, outcome) in parts {
            match outcome {
                Ok(entries) => known.push(entries),
                Err(why) => self.broken.push(Broken { part, why }),
            }
        }
        self.candidates.extend(known.into_iter().collect::<Keyring>().matching(repository_name));
    }
}

#[cfg(test)]
mod tests;
