//! One answer of a registry with its time, and what it is still good for. Pure: `now` is passed in.

use std::time::Duration;

use jiff::Timestamp;

use crate::finding::Code;
use crate::registry::failure::Failure;
use crate::registry::manifest::Manifest;
use crate::time::since;

/// A denial, and a pin under `Always`, rest on nothing older.
pub const FRESH: Duration = Duration::from_secs(5);

/// Within [`FRESH`], a refusal is asked again for a review that came after it this many times: a fix is seen by the very
/// next `kubectl apply`, and a storm of the same broken pod costs the registry a handful of questions.
pub const ASKED_AGAIN: u8 = 5;

/// A tag may move.
pub const TAG: Duration = Duration::from_mins(1);

/// A digest cannot move, but access to it can end.
pub const ACCESS: Duration = Duration::from_mins(5);

/// Seconds, not minutes: "I just pushed it" must not be refused.
pub const NOT_FOUND: Duration = Duration::from_secs(5);

/// Registries ban those who keep trying a wrong login.
pub const LOGIN_REFUSED: Duration = Duration::from_mins(2);

/// An error answer for one image; failures of the whole registry are held by its breaker.
pub const ERROR: Duration = Duration::from_secs(2);

/// How fresh a fact has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Within its lifetime.
    Cached,
    /// The same, and this replica asked for it: what is pinned rests on no other's word.
    Own,
    /// At most [`FRESH`] old, whatever its lifetime.
    Recent,
    /// Not older than the review that began at this time.
    Asked(Timestamp),
    /// For a denial: the same, and a refusal with its reason.
    Fresh(Timestamp),
}

/// What a registry answered, and when.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The manifest, or why not.
    pub outcome: Result<Manifest, Failure>,
    /// When the answer came.
    pub at: Timestamp,
    by_digest: bool,
    good_before: Option<(Manifest, Timestamp)>,
    window: Timestamp,
    asked: u8,
    borrowed: bool,
}

// === impl Fact ===

impl Fact {
    /// A fact of now. After an uncertain failure the last good answer of `old` is remembered beside it.
    pub fn new(outcome: Result<Manifest, Failure>, at: Timestamp, by_digest: bool, old: Option<&Self>) -> Self {
        let uncertain = outcome.as_ref().is_err_and(|failure| !failure.code.certain());
        let good_before =
            old.filter(|_| uncertain).and_then(Self::last_good).map(|(manifest, at)| (manifest.clone(), at));
        let (window, asked) = match old {
            Some(old) if since(old.window, at) < FRESH => (old.window, old.asked.saturating_add(1)),
            Some(_) | None => (at, 0),
        };
        Self { outcome, at, by_digest, good_before, window, asked, borrowed: false }
    }

    /// A success of another replica: it may allow, never pin or deny.
    pub fn borrowed(manifest: Manifest, at: Timestamp, by_digest: bool) -> Self {
        Self { borrowed: true, ..Self::new(Ok(manifest), at, by_digest, None) }
    }

    /// Whether it is the word of another replica.
    pub fn is_borrowed(&self) -> bool {
        self.borrowed
    }

    /// Whether it is news beside what is held. A failure that is uncertain says nothing; what it remembers may.
    pub fn supersedes(&self, held: &Self) -> bool {
        match &held.outcome {
            Err(failure) if !failure.code.certain() => held.last_good().is_none_or(|(_, at)| self.at > at),
            _ => self.at > held.at,
        }
    }

    /// How old it is.
    pub fn age(&self, now: Timestamp) -> Duration {
        since(self.at, now)
    }

    /// How long it answers without another question.
    pub fn lifetime(&self) -> Duration {
        match &self.outcome {
            Ok(_) if self.by_digest => ACCESS,
            Ok(_) => TAG,
            Err(failure) => match failure.code {
                Code::CredentialsRejected => LOGIN_REFUSED,
                Code::RegistryError => ERROR,
                Code::NotChecked | Code::RateLimited | Code::RegistryUnreachable => Duration::ZERO,
                Code::InvalidImageName
                | Code::TagNotFound
                | Code::DigestNotFound
                | Code::RepositoryNotFound
                | Code::NotFoundOrNoAccess
                | Code::CredentialsMissing
                | Code::AccessDenied
                | Code::PullSecretMalformed
                | Code::PlatformMismatch
                | Code::ErrImageNeverPull
                | Code::UnsupportedManifest
                | Code::BlockedByRegistry
                | Code::RegistryNotAllowed => NOT_FOUND,
            },
        }
    }

    /// Whether it answers a question of this freshness.
    pub fn good(&self, now: Timestamp, freshness: Freshness) -> bool {
        let age = self.age(now);
        let explained = self.outcome.as_ref().err().is_none_or(|failure| failure.explained);
        // A clock that stepped back must not make facts live for as long as it stepped.
        let from_the_future = since(now, self.at) > FRESH;
        !from_the_future
            && age < self.lifetime()
            && (freshness == Freshness::Cached || !self.borrowed)
            && match freshness {
                Freshness::Cached | Freshness::Own => true,
                Freshness::Recent => age <= FRESH || self.login_refused(),
                Freshness::Asked(began) => self.asked_since(began, age),
                Freshness::Fresh(began) => explained && self.asked_since(began, age),
            }
    }

    /// Whether it was asked after `began`, or need not be: a refused login is held, and a storm is answered from one fact.
    fn asked_since(&self, began: Timestamp, age: Duration) -> bool {
        self.login_refused() || self.at >= began || (age <= FRESH && self.asked >= ASKED_AGAIN)
    }

    fn login_refused(&self) -> bool {
        self.outcome.as_ref().is_err_and(|failure| failure.code == Code::CredentialsRejected)
    }

    /// The last success, however old.
    pub fn last_good(&self) -> Option<(&Manifest, Timestamp)> {
        match &self.outcome {
            Ok(manifest) => Some((manifest, self.at)),
            Err(_) => self.good_before.as_ref().map(|(manifest, at)| (manifest, *at)),
        }
    }
}
