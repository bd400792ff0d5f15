//! The tag that a wanted one comes after → when it was built: its manifest, one of an index if it is one, and the image
//! configuration with `created` (opencontainers/image-spec `config.md`). Said by whoever built it, and used for nothing
//! but words.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::finding::{Code, Nearest};
use crate::reference::{Digest, Reference};
use crate::registry::budget::Use;
use crate::registry::content::checked;
use crate::registry::failure::Failure;
use crate::registry::probes::Told;
use crate::registry::probes::plan::Probe;
use crate::registry::transport::Method;
use crate::registry::{Ask, Registry};

/// A manifest, an index or a configuration that is larger says nothing.
const MAX_BODY: usize = 256 * 1024;

/// What of a manifest or an index leads to a configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    platform: Platform,
}

/// `unknown` is what stands beside an image: an attestation (moby/buildkit `docs/attestations/attestation-storage.md`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Platform {
    os: String,
}

#[derive(Deserialize)]
struct Configuration {
    created: Option<String>,
}

// === impl Registry ===

impl Registry {
    /// The same, with the time of the build that the wanted tag comes after, if it is told before `until`.
    pub(super) async fn dated(&self, ask: &Ask, nearest: Arc<Nearest>, until: Instant) -> Arc<Nearest> {
        let Some(before) = &nearest.before else { return nearest };
        let Ok(reference) = Reference::parse(&format!("{}:{before}", ask.reference.name())) else { return nearest };
        if self.affords(ask, Use::Explanation).is_err() {
            return nearest;
        }
        let ask = &Ask { reference: Arc::new(reference), ..ask.clone() };
        let key = (ask.endpoint.base.clone(), ask.reference.runtime_form(), ask.id);
        let asking = self.answer_to(Probe::Built, &self.probes.built, key, self.ask_when_built(ask));
        let Ok(told) = timeout_at(until, asking).await else { return nearest };
        if told.throttled {
            self.probes.resting.insert(ask.endpoint.base.clone(), (self.probes.clock)()).await;
        }
        match told.built {
            Some(built) => Arc::new(Nearest { built: Some(built), ..(*nearest).clone() }),
            None => nearest,
        }
    }

    async fn ask_when_built(&self, ask: &Ask) -> Told {
        match Box::pin(self.when_built(ask)).await {
            Ok(built) => Told { yes: built.map(|_| true), built, ..Told::default() },
            Err(failure) => Told { throttled: failure.code == Code::RateLimited, ..Told::default() },
        }
    }

    async fn when_built(&self, ask: &Ask) -> Result<Option<Timestamp>, Failure> {
        let (answer, _) = self.converse(ask, Method::Get).await?;
        let Some(Body { manifests, mut config }) = small(&answer.body) else { return Ok(None) };
        if config.is_none()
            && let Some(child) = manifests.into_iter().find(|entry| entry.platform.os != "unknown")
            && let Ok(digest) = child.digest.parse::<Digest>()
        {
            let child = Ask { reference: Arc::new(ask.reference.at(&digest)), ..ask.clone() };
            let (answer, _) = self.converse(&child, Method::Get).await?;
            config = small(&answer.body).and_then(|Body { config, .. }| config);
        }
        let Some(Ok(digest)) = config.map(|config| config.digest.parse::<Digest>()) else { return Ok(None) };
        let blob = self.blob(ask, &digest, MAX_BODY).await?;
        let Configuration { created } = checked(&blob, &digest, ask)?;
        Ok(created.and_then(|created| created.parse().ok()))
    }
}

fn small(body: &[u8]) -> Option<Body> {
    (body.len() <= MAX_BODY).then(|| serde_json::from_slice(body).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_read() {
        let body = |blanks: usize| format!("{{\"manifests\":[]}}{}", " ".repeat(blanks));
        assert!(small(body(0).as_bytes()).is_some());
        assert!(small(body(MAX_BODY).as_bytes()).is_none());
    }
}
