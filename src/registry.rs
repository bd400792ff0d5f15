//! The registry dialogue: one reference and one credential in, a [`Manifest`] or a [`Failure`] out.
//!
//! Follows containerd's resolver (containerd/containerd `core/remotes/docker/resolver.go`, `authorizer.go`): HEAD first,
//! challenges as they come, GET where HEAD is not served or lacks the digest. It differs where containerd tries again
//! (429 and 5xx are asked once, by design) and where a login would travel further than its host. No retries, no
//! lifetimes of facts here: that is [`crate::resolver`].

mod auth;
pub mod budget;
pub mod challenge;
mod content;
mod dialogue;
mod endpoint;
pub mod failure;
pub mod guard;
pub mod host_port;
pub mod hosts;
pub mod http;
mod logins;
pub mod manifest;
pub mod node;
pub mod probes;
pub mod proxies;
mod reading;
mod realms;
pub mod said;
mod session;
pub mod throttle;
pub mod trace;
pub mod transport;

use std::sync::Arc;

use crate::credentials::{Credential, CredentialId};
use crate::finding::{Cause, Code};
use crate::metrics::Metrics;
use crate::reference::Reference;
use crate::registry::budget::{Budget, Budgets, Use};
pub use crate::registry::endpoint::Endpoint;
use crate::registry::failure::{Failure, LoginEvidence};
use crate::registry::hosts::{Way, Ways};
use crate::registry::manifest::Manifest;
use crate::registry::probes::Probes;
use crate::registry::session::Session;
use crate::registry::transport::{Intent, Method, Transport};
use crate::time::Clock;

/// How many redirects a manifest or blob request follows: Go's client stops at the tenth
/// (containerd/containerd `core/remotes/docker/resolver.go`, `request.do`).
const MAX_REDIRECTS: u8 = 9;

/// One question, owned so that its answer may outlive whoever asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where the registry is.
    pub endpoint: Arc<Endpoint>,
    /// What is asked for.
    pub reference: Arc<Reference>,
    /// The candidate, `None` for anonymous.
    pub credential: Option<Arc<Credential>>,
    /// The candidate's identity; anonymous for a credential that no runtime would send.
    pub id: CredentialId,
    /// Whether a runtime would ask too.
    pub intent: Intent,
    /// The namespace on whose behalf: failed logins are counted by it.
    pub namespace: Arc<str>,
    /// Whether a login that is refused is shown again at once; otherwise it is [`LoginEvidence::RefusedOnce`].
    pub repeat: bool,
}

/// The client. Cheap to share; holds tokens and challenges, never manifests.
#[derive(Debug)]
pub struct Registry {
    transport: Arc<dyn Transport>,
    session: Session,
    budgets: Budgets,
    clock: Clock,
    probes: Probes,
    metrics: Metrics,
    ways: Option<Ways>,
}

// === impl Registry ===

impl Registry {
    /// A client over `transport`.
    pub fn new(transport: Arc<dyn Transport>, clock: Clock, metrics: Metrics) -> Self {
        let (budgets, probes) = (Budgets::new(metrics.clone()), Probes::new(clock.clone()));
        Self { transport, session: Session::new(clock.clone()), budgets, probes, clock, metrics, ways: None }
    }

    /// The same, for nodes that ask other hosts than the one in a reference.
    #[must_use]
    pub fn with_ways(self, ways: Option<Ways>) -> Self {
        Self { ways, ..self }
    }

    /// Whether nodes are declared to have hosts of their own for a registry.
    pub fn declares(&self, host: &str) -> bool {
        self.ways.as_ref().is_some_and(|ways| ways.declares(host))
    }

    /// The hosts that nodes ask, in order; `None` where only the endpoint of the question is.
    pub fn ways(&self, ask: &Ask) -> Option<Vec<Way>> {
        self.ways.as_ref()?.of(&ask.endpoint, &ask.reference)
    }

    /// What the registry of a question said last about how much is left for its credential.
    pub fn budget(&self, ask: &Ask) -> Option<Budget> {
        self.budgets.of(&ask.endpoint.host, ask.id, (self.clock)())
    }

    /// The words of that where nothing is left. Costs next to nothing while something is left everywhere.
    pub fn nothing_left(&self, host: &str, id: CredentialId) -> Option<String> {
        let now = (self.clock)();
        self.budgets.spent(host, id, now).map(|budget| budget.words(host, now))
    }

    /// Whether enough is left for a request that no admission needs.
    ///
    /// # Errors
    /// [`Code::NotChecked`], with what the registry says is left.
    pub fn affords(&self, ask: &Ask, purpose: Use) -> Result<(), Failure> {
        let host = &ask.endpoint.host;
        match self.budget(ask).filter(|budget| !budget.allows(purpose)) {
            None => Ok(()),
            Some(budget) => {
                let left = budget.words(host, (self.clock)());
                Err(Failure::own(Code::NotChecked, Cause::Limit, format!("{left}; that is kept for admissions")))
            }
        }
    }

    /// Resolves as a node would at one endpoint, with one candidate.
    ///
    /// # Errors
    /// A [`Failure`]; `explained` is false where one GET could still bring the registry's own words.
    pub async fn resolve(&self, ask: &Ask) -> Result<Manifest, Failure> {
        let login = ask.credential.as_deref().and_then(Credential::login).is_some();
        let (answer, method) = self.converse(ask, Method::Head).await.map_err(|failure| failure.of(login))?;
        self.manifest(ask, answer, method).await
    }

    /// Asks a refusal's reason with one GET.
    ///
    /// # Errors
    /// Always: the refusal with its reason; what came instead when the GET did not end the same way.
    pub async fn explain(&self, ask: &Ask, refused: Failure) -> Failure {
        if self.affords(ask, Use::Explanation).is_err() {
            return refused.for_good();
        }
        let only = Ask { intent: Intent::Explain, ..ask.clone() };
        // Rare, and large: not part of the future of every dialogue.
        match Box::pin(self.converse(&only, Method::Get)).await {
            Ok(_) => Failure::nonsense("the registry refuses HEAD and serves GET for the same manifest", refused.node),
            // The node asks by HEAD: its line stays. What HEAD was refused is refused for the second time.
            Err(reason) => {
                let repeated = reason.refused_once() && refused.code.refusal();
                let login = if repeated { LoginEvidence::AsCoded } else { reason.login };
                Failure { node: refused.node, explained: true, login, ..reason }
            }
        }
    }
}
