//! What is behind digests: platforms, read once for everybody and asked for with each caller's own credential, and
//! whether a repository serves what nodes fetch by digest.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

use crate::credentials::{Candidate, CredentialId};
use crate::facts::{Behind, MissingEntry};
use crate::finding::{Cause, Code};
use crate::nodes::content::{Content, ReadContent};
use crate::policy::RegistryRule;
use crate::reference::{Digest, Reference};
use crate::registry::budget::Use;
use crate::registry::failure::{Failure, Weight};
use crate::registry::manifest::{Kind, Manifest};
use crate::registry::{Ask, node};
use crate::resolver::fact::Freshness;
use crate::resolver::{DIALOGUE, HELD, Inner, Key, MAX_FACTS, Resolver};
use crate::time::since;

/// Platforms held at most, over all contents. What a digest names never changes.
const MAX_PLATFORMS: u64 = 100_000;

/// Readers of contents under way at once: fewer than dialogues, which must not wait for them.
const MAX_READINGS: usize = 64;

/// How long a reading waits for its turn.
const TURN: Duration = Duration::from_millis(250);

/// How long content is held that nobody asks for, and how long a digest that a repository served is taken to be there.
const CONTENT_HELD: Duration = Duration::from_hours(24);

/// How long it is not asked again after it could not be read.
const CONTENT_PAUSE: Duration = Duration::from_mins(1);

/// One image of a review, and who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The rule of its registry.
    pub rule: &'a RegistryRule,
    /// The image.
    pub reference: &'a Arc<Reference>,
    /// Whose credential resolved it.
    pub candidate: &'a Candidate,
    /// How old a refusal may be.
    pub freshness: Freshness,
    /// When the answer has to be there.
    pub deadline: Instant,
}

/// What was read, and what is being read.
#[derive(Debug)]
pub(super) struct Contents {
    held: Cache<(Digest, Kind), Arc<ReadContent>>,
    served: Cache<(String, Digest), ()>,
    readings: Cache<Reading, Read>,
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

/// The answer to a [`Reading`].
#[derive(Clone, Debug)]
struct Read {
    outcome: Result<Arc<ReadContent>, Arc<Failure>>,
    at: Timestamp,
    /// When the first of several questions in a row was asked, and how many followed it.
    window: Timestamp,
    again: u8,
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
            served: Cache::builder().max_capacity(MAX_FACTS).time_to_live(CONTENT_HELD).build(),
            readings: Cache::builder().max_capacity(MAX_FACTS).time_to_live(HELD).build(),
            turns: Semaphore::new(MAX_READINGS),
        }
    }
}

// === impl Resolver ===

impl Resolver {
    /// What is behind the digest that an image was just resolved to; what cannot be had before the deadline is not known.
    /// `fetched` says which entries of an index nodes fetch.
    pub async fn behind(
        &self,
        asked: Asked<'_>,
        manifest: &Manifest,
        fetched: impl FnOnce(&Content) -> Vec<Digest>,
    ) -> Behind {
        match self.content(asked, manifest).await {
            None => Behind::default(),
            Some(Err(refused)) => Behind { refused: Some(refused), ..Behind::default() },
            Some(Ok(content)) => {
                let entries = fetched(&content.content);
                Behind { content: Some(content), missing: self.missing(asked, entries).await, refused: None }
            }
        }
    }

    /// The platforms of a manifest, or the refusal of its digest; `None` if they cannot be read before the deadline.
    ///
    /// The content of a digest is the same under every credential; that the caller may see the digest was decided by
    /// [`Resolver::resolve`]. That it is served is known for each repository by itself.
    async fn content(&self, asked: Asked<'_>, manifest: &Manifest) -> Option<Result<Arc<ReadContent>, Failure>> {
        let Asked { rule, reference, candidate, freshness, deadline } = asked;
        let inner = &self.inner;
        let known = (manifest.digest.clone(), manifest.kind);
        if let Some(content) = inner.contents.held.get(&known).await
            && inner.contents.served.contains_key(&(reference.name().to_owned(), manifest.digest.clone()))
        {
            inner.metrics.fact("cache", "platforms");
            return Some(Ok(content));
        }
        let (digest, kind) = known;
        let id = inner.identity.id(candidate.credential.as_deref());
        let reading = Reading { digest, kind, name: reference.name().to_owned(), id };
        let ask = self.question(rule, reference, candidate, id);
        let task = tokio::spawn({
            let (inner, manifest) = (Arc::clone(inner), manifest.clone());
            async move { inner.read_content(reading, ask, manifest, freshness).await }.in_current_span()
        });
        match timeout_at(deadline, task).await.ok()?.ok()? {
            Ok(content) => Some(Ok(content)),
            Err(failure) if failure.refuses_manifest() => Some(Err(Arc::unwrap_or_clone(failure))),
            Err(_) => None,
        }
    }

    /// Those of `entries` that the repository of an image refuses. What is not known counts as there.
    async fn missing(&self, asked: Asked<'_>, entries: Vec<Digest>) -> Vec<MissingEntry> {
        let asking = entries.into_iter().map(|digest| self.missing_entry(asked, digest));
        join_all(asking).await.into_iter().flatten().collect()
    }

    async fn missing_entry(&self, asked: Asked<'_>, digest: Digest) -> Option<MissingEntry> {
        let Asked { rule, reference, candidate, freshness, deadline } = asked;
        let inner = &self.inner;
        let served = (reference.name().to_owned(), digest.clone());
        if inner.contents.served.contains_key(&served) {
            return None;
        }
        let entry = Arc::new(reference.at(&digest));
        let id = inner.identity.id(candidate.credential.as_deref());
        let ask = self.question(rule, &entry, candidate, id);
        inner.registry.affords(&ask, Use::Platforms).ok()?;
        let key = Key { plain_http: rule.plain_http, reference: entry.runtime_form(), id };
        let line = inner.line(&ask, reference);
        let freshness = if freshness.not_before().is_some() { freshness } else { Freshness::Cached };
        let (outcome, _, stale) = self.fact(key, || ask, freshness, deadline).await;
        match outcome {
            Ok(_) => {
                if !stale {
                    inner.contents.served.insert(served, ()).await;
                }
                None
            }
            Err(failure) if failure.refuses_manifest() => {
                let node = line.filter(|_| failure.weight == Weight::NotFound);
                Some(MissingEntry { digest, failure: Failure { node, ..failure } })
            }
            Err(_) => None,
        }
    }
}

// === impl Inner ===

impl Inner {
    /// One reading for all callers that want the same content with the same credential; what is read is for all.
    async fn read_content(
        self: Arc<Self>,
        reading: Reading,
        ask: Ask,
        manifest: Manifest,
        freshness: Freshness,
    ) -> Result<Arc<ReadContent>, Arc<Failure>> {
        let now = (self.clock)();
        let again =
            self.contents.readings.get(&reading).await.filter(|read| since(read.window, now) < self.lifetimes.fresh);
        let (window, again) = again.map_or((now, 0), |read| (read.window, read.again.saturating_add(1)));
        let read = async { Read { outcome: self.ask_content(&ask, &manifest).await, at: now, window, again } };
        let over = |read: &Read| self.read_again(read, now, freshness);
        self.contents.readings.entry(reading).or_insert_with_if(Box::pin(read), over).await.into_value().outcome
    }

    /// Whether what was read is asked again: a failure after a pause, a refusal for a review that began after it, which is
    /// bounded as for facts.
    fn read_again(&self, read: &Read, now: Timestamp, freshness: Freshness) -> bool {
        let age = since(read.at, now);
        let refused = read.outcome.as_ref().is_err_and(|failure| failure.refuses_manifest());
        let older = freshness.not_before().is_some_and(|began| read.at < began);
        let often = age <= self.lifetimes.fresh && read.again >= self.lifetimes.asked_again;
        age >= CONTENT_PAUSE || (refused && older && !often)
    }

    async fn ask_content(&self, ask: &Ask, manifest: &Manifest) -> Result<Arc<ReadContent>, Arc<Failure>> {
        self.metrics.fact("registry", "platforms");
        let late = |what: &str| Arc::new(Failure::own(Code::NotChecked, Cause::Overload, what));
        let turn = timeout(TURN, self.contents.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(late("too many platforms are being read")) };
        let Ok(read) = timeout(DIALOGUE, self.content(ask, manifest)).await else {
            return Err(late("the registry did not say the platforms in time"));
        };
        let content = Arc::new(read.map_err(|failure| {
            let by_digest = Ask { reference: Arc::new(ask.reference.at(&manifest.digest)), ..ask.clone() };
            let node = self.line(&by_digest, &ask.reference).filter(|_| failure.weight == Weight::NotFound);
            Arc::new(Failure { node, ..failure })
        })?);
        self.contents.held.insert((manifest.digest.clone(), manifest.kind), Arc::clone(&content)).await;
        let served = (ask.reference.name().to_owned(), manifest.digest.clone());
        self.contents.served.insert(served, ()).await;
        Ok(content)
    }

    /// The line of a node that fetches what `by_digest` names for an image, and does not find it; unknown where nodes ask
    /// several hosts.
    fn line(&self, by_digest: &Ask, image: &Reference) -> Option<String> {
        let url = by_digest.endpoint.manifest_url(&by_digest.reference);
        (!self.registry.declares(&by_digest.endpoint.host)).then(|| node::content_not_found(image, &url))
    }
}
