//! The platforms behind digests: read once for everybody, asked for with each caller's own credential.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

use crate::credentials::{Candidate, CredentialId};
use crate::nodes::platform::ReadContent;
use crate::policy::RegistryRule;
use crate::reference::{Digest, Reference};
use crate::registry::Ask;
use crate::registry::manifest::{Kind, Manifest};
use crate::resolver::{DIALOGUE, HELD, Inner, MAX_FACTS, Resolver};
use crate::time::since;

/// Platforms held at most, over all contents. What a digest names never changes.
const MAX_PLATFORMS: u64 = 200_000;

/// Readings of contents under way at once: fewer than dialogues, which must not wait for them.
const MAX_READINGS: usize = 64;

/// How long a reading waits for its turn.
const TURN: Duration = Duration::from_millis(250);

/// How long content is held that nobody asks for.
const CONTENT_HELD: Duration = Duration::from_hours(24);

/// How long it is not asked again after it could not be read.
const CONTENT_PAUSE: Duration = Duration::from_mins(1);

/// What was read, and what is being read.
#[derive(Debug)]
pub(super) struct Contents {
    held: Cache<(Digest, Kind), Arc<ReadContent>>,
    readings: Cache<Reading, (Option<Arc<ReadContent>>, Timestamp)>,
    turns: Semaphore,
}

/// One question for content. A failure is nobody else's: it is held under the host and the credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reading {
    digest: Digest,
    kind: Kind,
    name: String,
    id: CredentialId,
}

// === impl Contents ===

impl Contents {
    pub(super) fn new() -> Self {
        Self {
            held: Cache::builder()
                .max_capacity(MAX_PLATFORMS)
                .weigher(|_, read: &Arc<ReadContent>| read.content.weight())
                .time_to_idle(CONTENT_HELD)
                .build(),
            readings: Cache::builder().max_capacity(MAX_FACTS).time_to_live(HELD).build(),
            turns: Semaphore::new(MAX_READINGS),
        }
    }
}

// === impl Resolver ===

impl Resolver {
    /// The platforms of what `candidate` was just resolved to, or `None` if they cannot be read before `deadline`.
    ///
    /// The content of a digest is the same under every credential; that the caller may see the digest was decided by
    /// [`Resolver::resolve`].
    pub async fn content(
        &self,
        rule: &RegistryRule,
        reference: &Arc<Reference>,
        candidate: &Candidate,
        manifest: &Manifest,
        deadline: Instant,
    ) -> Option<Arc<ReadContent>> {
        let inner = &self.inner;
        let known = (manifest.digest.clone(), manifest.kind);
        if let Some(content) = inner.contents.held.get(&known).await {
            inner.metrics.fact("cache", "platforms");
            return Some(content);
        }
        let (digest, kind) = known;
        let id = inner.identity.id(candidate.credential.as_deref());
        let reading = Reading { digest, kind, name: reference.name().to_owned(), id };
        let ask = self.question(rule, reference, candidate, id);
        let task = tokio::spawn({
            let (inner, manifest) = (Arc::clone(inner), manifest.clone());
            async move { inner.read_content(reading, ask, manifest).await }.in_current_span()
        });
        timeout_at(deadline, task).await.ok()?.ok()?
    }
}

// === impl Inner ===

impl Inner {
    /// One reading for all callers that want the same content with the same credential; what is read is for all.
    async fn read_content(self: Arc<Self>, reading: Reading, ask: Ask, manifest: Manifest) -> Option<Arc<ReadContent>> {
        let known = (reading.digest.clone(), reading.kind);
        let read = async {
            self.metrics.fact("registry", "platforms");
            let _turn = timeout(TURN, self.contents.turns.acquire()).await.ok()?.ok()?;
            let content = timeout(DIALOGUE, self.content(&ask, &manifest)).await.ok()?.ok()?;
            let content = Arc::new(content);
            self.contents.held.insert(known, Arc::clone(&content)).await;
            Some(content)
        };
        let now = (self.clock)();
        let read = async { (read.await, now) };
        let over = |(_, at): &(Option<Arc<ReadContent>>, Timestamp)| since(*at, now) >= CONTENT_PAUSE;
        self.contents.readings.entry(reading).or_insert_with_if(Box::pin(read), over).await.into_value().0
    }
}
