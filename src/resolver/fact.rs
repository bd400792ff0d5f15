//! One answer of a registry with its time, and what it is still good for. Pure: `now` is passed in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::finding::Code;
use crate::registry::failure::Failure;
use crate::registry::manifest::Manifest;
use crate::time::since;

/// For how long each kind of fact is good, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A denial, and a pin under `Always`, rest on nothing older.
    pub fresh: Duration,
    /// Within `fresh`, a refusal is asked again for a review that came after it this many times: a fix is seen by the
    /// very next `kubectl apply`, and a storm of the same broken pod costs the registry a handful of questions.
    pub asked_again: u8,
    /// A tag may move.
    pub tag: Duration,
    /// A digest cannot move, but access to it can end; never past the end of the credential itself.
    pub access: Duration,
    /// Seconds, not minutes: "I just pushed it" must not be refused.
    pub not_found: Duration,
    /// Registries ban those who keep trying a wrong login.
    pub login_refused: Duration,
    /// An error answer for one image; failures of the whole registry are held by its breaker.
    pub error: Duration,
    /// A success that is past its lifetime, but not older than this many lifetimes, answers a verdict at once while it
    /// is asked again in the background.
    pub refreshing: u32,
    /// A success older than this is not answered in place of a failure either.
    pub stale: Duration,
}

/// How fresh a fact has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Within its lifetime; a success also past it, while it is asked again. For verdicts, never for pins.
    Refreshing,
    /// Within its lifetime.
    Cached,
    /// Within its lifetime, and this replica asked for it: what is pinned rests on no other's word.
    Own,
    /// At most [`Lifetimes::fresh`] old, whatever its lifetime.
    Recent,
    /// Not older than the review that began at this time.
    Asked(Timestamp),
    /// For a denial: the same, and a refusal with its reason.
    Fresh(Timestamp),
}

/// What a registry answered, and when.
#[derive(Debug)]
pub struct Fact {
    /// The manifest, or why not.
    pub outcome: Result<Manifest, Failure>,
    /// When the answer came.
    pub at: Timestamp,
    terms: Terms,
    good_before: Option<(Manifest, Timestamp)>,
    window: Timestamp,
    asked: u8,
    borrowed: bool,
    /// Somebody asks again already.
    refreshing: AtomicBool,
}

/// What decides for how long a fact is good, beside the fact.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The table.
    pub lifetimes: &'static Lifetimes,
    /// A digest was asked for, not a tag.
    pub by_digest: bool,
    /// When the credential itself ends, where that is known.
    pub expires: Option<Timestamp>,
}

// === impl Freshness ===

impl Freshness {
    /// The time that nothing may be older than, where there is one.
    pub fn not_before(self) -> Option<Timestamp> {
        match self {
            Self::Refreshing | Self::Cached | Self::Own | Self::Recent => None,
            Self::Asked(began) | Self::Fresh(began) => Some(began),
        }
    }
}

// === impl Lifetimes ===

impl Lifetimes {
    /// The lifetimes that pullgate promises.
    pub const PROMISED: Self = Self {
        fresh: Duration::from_secs(5),
        asked_again: 5,
        tag: Duration::from_mins(1),
        access: Duration::from_mins(5),
        not_found: Duration::from_secs(5),
        login_refused: Duration::from_mins(2),
        error: Duration::from_secs(2),
        refreshing: 3,
        stale: Duration::from_hours(24),
    };
}

// === impl Fact ===

impl Fact {
    /// A fact of now. After an uncertain failure the last good answer of `old` is remembered beside it.
    pub fn new(outcome: Result<Manifest, Failure>, at: Timestamp, terms: Terms, old: Option<&Self>) -> Self {
        let uncertain = outcome.as_ref().is_err_and(|failure| !failure.certain() || failure.in_doubt());
        let good_before =
            old.filter(|_| uncertain).and_then(Self::last_good).map(|(manifest, at)| (manifest.clone(), at));
        let (window, asked) = match old {
            Some(old) if since(old.window, at) < terms.lifetimes.fresh => (old.window, old.asked.saturating_add(1)),
            Some(_) | None => (at, 0),
        };
        Self { outcome, at, terms, good_before, window, asked, borrowed: false, refreshing: AtomicBool::new(false) }
    }

    /// A success of another replica: it may allow, never pin or deny.
    pub fn borrowed(manifest: Manifest, at: Timestamp, terms: Terms) -> Self {
        Self { borrowed: true, ..Self::new(Ok(manifest), at, terms, None) }
    }

    /// Whether it is the word of another replica.
    pub fn is_borrowed(&self) -> bool {
        self.borrowed
    }

    /// Whether it is news beside what is held. A failure that is uncertain says nothing; what it remembers may.
    pub fn supersedes(&self, held: &Self) -> bool {
        match &held.outcome {
            Err(failure) if !failure.certain() => held.last_good().is_none_or(|(_, at)| self.at > at),
            _ => self.at > held.at,
        }
    }

    /// What the metrics call it: what was found, `refused`, or `failed` where nothing certain was learnt.
    pub fn kind(&self) -> &'static str {
        match &self.outcome {
            Ok(_) => self.wanted(),
            Err(failure) if failure.certain() => "refused",
            Err(_) => "failed",
        }
    }

    /// What was asked for: a `tag` or a `digest`.
    pub fn wanted(&self) -> &'static str {
        if self.terms.by_digest { "digest" } else { "tag" }
    }

    /// How old it is.
    pub fn age(&self, now: Timestamp) -> Duration {
        since(self.at, now)
    }

    /// How long it answers without another question.
    pub fn lifetime(&self) -> Duration {
        let Terms { lifetimes, by_digest, .. } = self.terms;
        match &self.outcome {
            Ok(_) => {
                let lifetime = if by_digest { lifetimes.access } else { lifetimes.tag };
                self.end(self.at).map_or(lifetime, |end| since(self.at, end).min(lifetime))
            }
            // What was refused once is asked again.
            Err(failure) if failure.refused_once() => Duration::ZERO,
            Err(failure) => match failure.code {
                // One that was held already ends with the first.
                Code::CredentialsRejected if failure.login_refused() => {
                    failure.retry_after.map_or(lifetimes.login_refused, |held| held.min(lifetimes.login_refused))
                }
                Code::RegistryError => lifetimes.error,
                Code::NotChecked | Code::RateLimited | Code::RegistryUnreachable => Duration::ZERO,
                Code::InvalidImageName
                | Code::TagNotFound
                | Code::DigestNotFound
                | Code::RepositoryNotFound
                | Code::NotFoundOrNoAccess
                | Code::CredentialsMissing
                | Code::CredentialsRejected
                | Code::CredentialsExpired
                | Code::AccessDenied
                | Code::PullSecretMalformed
                | Code::PlatformMismatch
                | Code::ErrImageNeverPull
                | Code::UnsupportedManifest
                | Code::BlockedByRegistry
                | Code::RegistryNotAllowed => lifetimes.not_found,
            },
        }
    }

    /// Whether it answers a question of this freshness.
    pub fn good(&self, now: Timestamp, freshness: Freshness) -> bool {
        let age = self.age(now);
        let explained = self.outcome.as_ref().err().is_none_or(Failure::settled);
        // A clock that stepped back must not make facts live for as long as it stepped.
        let from_the_future = since(now, self.at) > self.fresh();
        !from_the_future
            && age < self.lifetime()
            && (matches!(freshness, Freshness::Refreshing | Freshness::Cached) || !self.borrowed)
            && match freshness {
                Freshness::Refreshing | Freshness::Cached | Freshness::Own => true,
                Freshness::Recent => age <= self.fresh() || self.login_refused(),
                Freshness::Asked(began) => self.asked_since(began, age),
                Freshness::Fresh(began) => explained && self.asked_since(began, age),
            }
    }

    /// Whether it was asked after `began`, or need not be: a refused login is held, and a storm is answered from one fact.
    fn asked_since(&self, began: Timestamp, age: Duration) -> bool {
        self.login_refused()
            || self.at >= began
            || (age <= self.fresh() && self.asked >= self.terms.lifetimes.asked_again)
    }

    /// Whether it is a certain refusal with its reason, asked after `began`.
    pub fn refused_since(&self, began: Timestamp) -> bool {
        let reasoned = |failure: &Failure| failure.certain() && failure.explained;
        self.at >= began && self.outcome.as_ref().is_err_and(reasoned)
    }

    fn login_refused(&self) -> bool {
        self.outcome.as_ref().is_err_and(|failure| failure.login_refused() && !failure.refused_once())
    }

    /// The credential's own end, for a success of that time. A registry that takes a login after its end does not ask.
    fn end(&self, at: Timestamp) -> Option<Timestamp> {
        self.terms.expires.filter(|expires| *expires > at)
    }

    fn fresh(&self) -> Duration {
        self.terms.lifetimes.fresh
    }

    /// Whether it answers at once although it is past its lifetime; it has to be asked again then.
    pub fn answers_while_asked_again(&self, now: Timestamp) -> bool {
        let ended = self.end(self.at).is_some_and(|end| end <= now);
        self.outcome.is_ok() && !ended && self.age(now) < self.lifetime() * self.terms.lifetimes.refreshing
    }

    /// Whether somebody asks again already.
    pub fn is_asked_again(&self) -> bool {
        self.refreshing.load(Ordering::Relaxed)
    }

    /// From now on somebody does; whatever comes of it takes the fact's place.
    pub fn ask_again(&self) {
        self.refreshing.store(true, Ordering::Relaxed);
    }

    /// The last success, as far as it may stand in for an uncertain failure.
    pub fn stands_in(&self, now: Timestamp) -> Option<(&Manifest, Timestamp)> {
        let ended = |at| self.end(at).is_some_and(|end| end <= now);
        self.last_good().filter(|(_, at)| !ended(*at) && since(*at, now) < self.terms.lifetimes.stale)
    }

    /// The last success, however old.
    pub fn last_good(&self) -> Option<(&Manifest, Timestamp)> {
        match &self.outcome {
            Ok(manifest) => Some((manifest, self.at)),
            Err(_) => self.good_before.as_ref().map(|(manifest, at)| (manifest, *at)),
        }
    }
}
