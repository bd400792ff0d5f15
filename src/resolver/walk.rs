//! The hosts that nodes ask for one image, in order, until one of them resolves; else one failure that speaks for all.
//!
//! Order, and which failure a node shows: containerd/containerd `core/remotes/docker/resolver.go`. Certainty is
//! pullgate's own: a host that could not answer may answer the next time, whatever the others said.

use std::sync::Arc;

use crate::finding::{Cause, Code};
use crate::nodes::content::ReadContent;
use crate::registry::budget::Use;
use crate::registry::failure::{Failure, Weight};
use crate::registry::hosts::{self, Way};
use crate::registry::manifest::Manifest;
use crate::registry::{Ask, Endpoint, node};
use crate::resolver::Inner;

/// What one host said instead of a manifest.
struct Said {
    ask: Ask,
    failure: Failure,
}

// === impl Inner ===

impl Inner {
    /// Asks host after host; `explain` brings the reason of a certain refusal.
    pub(super) async fn walk(&self, ask: &Ask, ways: &[Way], explain: bool) -> Result<Manifest, Failure> {
        let mut said: Vec<Said> = Vec::with_capacity(ways.len());
        for way in ways {
            let (asked, outcome) = self.try_way(ask, way).await;
            let failure = match outcome {
                Ok(manifest) => return Ok(manifest),
                Err(failure) => failure,
            };
            let last = failure.weight == Weight::Final;
            said.push(Said { ask: asked, failure });
            if last {
                break;
            }
        }
        if explain {
            // Any of them may be a page that speaks for no registry; then the whole is uncertain.
            for Said { ask, failure } in said.iter_mut().filter(|said| said.failure.in_doubt()) {
                let weight = failure.weight;
                *failure = Failure { weight, ..self.worded(ask, failure.clone()).await };
            }
        }
        if explain && let Some(speaker) = speaker(&said).and_then(|index| said.get_mut(index)) {
            let Said { ask, failure } = speaker;
            if failure.code.certain() && !failure.settled() {
                let weight = failure.weight;
                *failure = Failure { weight, ..self.reason(&ask.endpoint.base, ask, failure.clone()).await };
            }
        }
        Err(together(ask, said))
    }

    /// The platforms of a manifest, from the first host that says them. A host that is known not to answer now is not
    /// asked; one that does not answer rests for manifests, too. Of several failures, one that leaves open what the host
    /// has comes before a refusal.
    pub(super) async fn content(&self, ask: &Ask, manifest: &Manifest) -> Result<ReadContent, Failure> {
        let by_digest = Ask { reference: Arc::new(ask.reference.at(&manifest.digest)), ..ask.clone() };
        let Some(ways) = self.registry.ways(&by_digest) else {
            return self.content_at(&by_digest, &by_digest.endpoint.host, manifest).await;
        };
        let mut failures = Vec::new();
        for way in &ways {
            let asked = at(&by_digest, &way.endpoint);
            let mut outcome = self.content_at(&asked, &way.endpoint.base, manifest).await;
            if let (Err(said), Some(plain)) = (&outcome, &way.plain)
                && speaks_plain_http(said, &way.endpoint)
            {
                outcome = self.content_at(&at(&by_digest, plain), &plain.base, manifest).await;
            }
            match outcome {
                Ok(content) => return Ok(content),
                Err(said) => failures.push(said),
            }
        }
        let open = failures.iter().position(|failure| !failure.refuses_manifest());
        let said = open.unwrap_or(failures.len().saturating_sub(1));
        Err(failures.into_iter().nth(said).unwrap_or_else(|| nobody(&by_digest)))
    }

    async fn content_at(&self, ask: &Ask, host: &str, manifest: &Manifest) -> Result<ReadContent, Failure> {
        self.registry.affords(ask, Use::Platforms)?;
        let at = (self.clock)();
        self.health.admit(host, ask.id, at).map_err(|held| held.failure)?;
        let outcome = self.registry.content(ask, manifest).await;
        self.reported(host, ask, outcome, at)
    }

    async fn try_way(&self, ask: &Ask, way: &Way) -> (Ask, Result<Manifest, Failure>) {
        let asked = at(ask, &way.endpoint);
        let outcome = self.try_host(&asked).await;
        match (&outcome, &way.plain) {
            (Err(failure), Some(plain)) if speaks_plain_http(failure, &way.endpoint) => {
                let asked = at(ask, plain);
                let outcome = self.try_host(&asked).await;
                (asked, outcome)
            }
            _ => (asked, outcome),
        }
    }

    /// One host, unless it is known not to answer now: a dead mirror costs its time once, and closes nobody else.
    async fn try_host(&self, ask: &Ask) -> Result<Manifest, Failure> {
        let host = &ask.endpoint.base;
        let at = (self.clock)();
        if let Err(held) = self.health.admit(host, ask.id, at) {
            // The line of the node is about another image.
            return Err(Failure { node: None, ..self.with_limits(ask, held.failure, Some(held.rest)) });
        }
        let outcome = self.registry.resolve(ask).await;
        self.reported(host, ask, outcome, at)
    }
}

fn at(ask: &Ask, endpoint: &Arc<Endpoint>) -> Ask {
    // A host is left for good before the next one is asked.
    Ask { endpoint: Arc::clone(endpoint), repeat: true, ..ask.clone() }
}

/// Whether a try with TLS says that the host wants none: it spoke HTTP, or nothing listens on the port of HTTPS while
/// the URL names none.
fn speaks_plain_http(failure: &Failure, endpoint: &Endpoint) -> bool {
    let words = failure.node.as_deref().unwrap_or_default();
    let no_port = || hosts::port(endpoint.api_host()).is_none();
    match failure.cause {
        Some(Cause::Tls) => words.contains("server gave HTTP response to HTTPS client"),
        Some(Cause::Refused) => words.contains("connection refused") && no_port(),
        Some(Cause::Timeout) => no_port(),
        _ => false,
    }
}

/// The failure that decides for the node: the heaviest, the first of equals.
fn decisive(said: &[Said]) -> Option<usize> {
    // `max_by_key` takes the last of equals.
    said.iter().enumerate().rev().max_by_key(|(_, said)| said.failure.weight).map(|(index, _)| index)
}

/// The same before containerd 2: the first that is no 404, unless one was final (1.7 `remotes/docker/resolver.go`).
fn decisive_1x(weights: &[Weight]) -> usize {
    let position = |is: fn(&Weight) -> bool| weights.iter().position(is);
    position(|weight| *weight == Weight::Final)
        .or_else(|| position(|weight| *weight != Weight::NotFound))
        .unwrap_or_default()
}

/// The failure that decides for pullgate: the first uncertain one, else the node's.
fn speaker(said: &[Said]) -> Option<usize> {
    said.iter().position(|said| !said.failure.code.certain()).or_else(|| decisive(said))
}

/// One failure for all hosts: code and words of the speaker, the line of the node, and who said what.
fn together(ask: &Ask, said: Vec<Said>) -> Failure {
    let (Some(speaker), Some(decisive)) = (speaker(&said), decisive(&said)) else {
        return nobody(ask);
    };
    let own = matches!(said.as_slice(), [only] if only.ask.endpoint.namespace.is_none());
    let weights: Vec<Weight> = said.iter().map(|said| said.failure.weight).collect();
    let line = |index: usize| said.get(index).and_then(|said| said.failure.node.clone());
    let (node, node_1x) = (line(decisive), line(decisive_1x(&weights)).map(Arc::new));
    let detail: Vec<String> = said.iter().map(words).collect();
    match said.into_iter().nth(speaker) {
        Some(Said { failure, .. }) if own => failure,
        Some(Said { failure, .. }) => Failure { node, node_1x, detail: Some(detail.join("; ")), ..failure },
        None => nobody(ask),
    }
}

fn words(said: &Said) -> String {
    let (host, failure) = (said.ask.endpoint.host.as_str(), &said.failure);
    match failure.detail.as_deref() {
        Some(detail) if detail.contains(host) => detail.to_owned(),
        Some(detail) => format!("{host}: {detail}"),
        None => format!("{host} says {}", failure.code),
    }
}

/// No host of the list may be asked for this.
fn nobody(ask: &Ask) -> Failure {
    let what = if ask.reference.digest().is_some() { "content" } else { "tags" };
    let host = &ask.endpoint.host;
    let detail = format!("no host that nodes have for {host} may be asked for {what}");
    let line = format!(
        "rpc error: code = NotFound desc = {}",
        node::resolve_line(&ask.reference, "no resolve hosts: not found")
    );
    Failure { code: Code::NotChecked, ..Failure::nonsense(detail, Some(line)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_containerd_2_the_first_failure_that_is_no_404_speaks() {
        use Weight::{Final, NotFound, Status, TooLarge, Unanswered};
        for (weights, expected) in [
            (vec![NotFound, NotFound], 0),
            (vec![NotFound, Unanswered], 1),
            (vec![Unanswered, NotFound], 0),
            (vec![NotFound, Unanswered, Status], 1),
            (vec![Status, TooLarge], 0),
            (vec![Status, Final], 1),
        ] {
            assert_eq!(decisive_1x(&weights), expected, "{weights:?}");
        }
    }
}
