//! What is known of logins, and how often they may fail: registries ban those who keep trying.
//!
//! What is known is kept by what judged the login: a token server (realm and service), or a registry that takes the
//! login itself. A refusal is held for two minutes, for the repository that it was about, and only once it was repeated:
//! a node shows a login again after a 401 (containerd/containerd `core/remotes/docker/resolver.go`, `retryRequest`). For
//! another repository it spares repetitions, and proves nothing.

mod windows;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::sync::OwnedMutexGuard;

use crate::credentials::CredentialId;
use crate::finding::{Cause, Code};
use crate::registry::failure::{Failure, LoginEvidence};
use crate::registry::logins::windows::{Limit, Reservation, Window, Windows};
use crate::time::{Clock, since};

/// How long a refused login is not tried again.
const REFUSED_HELD: Duration = Duration::from_mins(2);

/// How long an accepted login counts as proven.
const PROVEN_HELD: Duration = Duration::from_mins(5);

/// A login proven this recently is presented by many at once. An older proof is renewed by one request first: a
/// password that was changed at the registry is then refused once, not once per image.
const PROVEN_NOW: Duration = Duration::from_secs(10);

/// Refusals of a login before it is called wrong, where no more may be asked for.
const LEAST_TRIES: usize = 2;

/// Refusals of a login before it is called wrong: as often as a node shows it to a registry.
const MOST_TRIES: usize = 4;

/// Entries of each kind that are remembered.
const ENTRIES: u64 = 10_000;

/// Who judges a login.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Judge {
    /// `host[:port]` whose failed logins are counted.
    pub(super) server: Arc<str>,
    /// Realm and service of a token server, or the root of a registry's API.
    pub(super) place: Arc<str>,
    /// The repository that the login is shown for.
    pub(super) repository: Arc<str>,
}

/// Who shows a login, and to whom.
#[derive(Clone, Debug)]
pub(super) struct Showing {
    pub(super) judge: Judge,
    pub(super) id: CredentialId,
    /// On whose behalf.
    pub(super) namespace: Arc<str>,
    /// Whether a refusal is tried again at once; otherwise other candidates come first.
    pub(super) repeat: bool,
    /// What is asked only explains a refusal: not worth a failed login that is foreseen.
    pub(super) explains: bool,
}

type PlaceKey = (Arc<str>, CredentialId);
type RepositoryKey = (Arc<str>, Arc<str>, CredentialId);

/// What is known of logins, and the gate before an unproven one.
#[derive(Debug)]
pub(super) struct Logins {
    clock: Clock,
    /// For one repository.
    proofs: Cache<RepositoryKey, Timestamp>,
    /// For whatever repository.
    accepted: Cache<PlaceKey, Accepted>,
    refusals: Cache<RepositoryKey, Refusal>,
    /// For which repository a login was last refused at a place, and when.
    elsewhere: Cache<PlaceKey, (Arc<str>, Timestamp)>,
    gates: Cache<PlaceKey, Arc<tokio::sync::Mutex<()>>>,
    windows: Windows,
}

/// A login was accepted somewhere at a place.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    at: Timestamp,
    /// It was refused since, for whatever repository: it is proven where it was accepted, and nowhere else.
    doubted: bool,
}

/// A login was refused for one repository.
#[derive(Clone, Debug)]
struct Refusal {
    at: Timestamp,
    tries: usize,
    /// Another answer than this is given while the login rests: see [`Permit::set_aside`].
    aside: bool,
    failure: Arc<Failure>,
}

/// The right to present one login; settle it with what was answered.
#[derive(Debug)]
#[must_use]
pub(super) struct Permit<'a> {
    logins: &'a Logins,
    showing: Showing,
    reservation: Reservation<'a>,
    _gate: Option<OwnedMutexGuard<()>>,
}

/// What follows from a refusal.
#[derive(Debug)]
pub(super) enum Settled<'a> {
    /// The login is to be shown once more.
    Again(Permit<'a>),
    /// This is the answer.
    Over(Failure),
}

// === impl Logins ===

impl Logins {
    pub(super) fn new(clock: Clock) -> Self {
        fn cache<K, V>(held: Duration) -> Cache<K, V>
        where
            K: std::hash::Hash + Eq + Send + Sync + 'static,
            V: Clone + Send + Sync + 'static,
        {
            Cache::builder().max_capacity(ENTRIES).time_to_live(held).build()
        }
        Self {
            proofs: cache(PROVEN_HELD),
            accepted: cache(PROVEN_HELD),
            refusals: cache(PROVEN_HELD),
            elsewhere: cache(PROVEN_HELD),
            gates: Cache::builder().max_capacity(ENTRIES).time_to_idle(Duration::from_mins(1)).build(),
            windows: Windows::new(clock.clone()),
            clock,
        }
    }

    /// Waits until a login may be shown. `cost` is how many failed logins one try may cause. While a login is unproven,
    /// one request at a time shows it.
    ///
    /// # Errors
    /// The held refusal, or [`Code::NotChecked`] when the server has seen enough failed logins for a while.
    pub(super) async fn admit(&self, showing: Showing, cost: usize) -> Result<Permit<'_>, Failure> {
        self.not_held(&showing).await?;
        if self.proven(&showing, PROVEN_NOW).await {
            return Ok(self.permit(showing, Reservation::none(), None));
        }
        let key = showing.place_key();
        let gate = self.gates.get_with(key.clone(), async { Arc::default() }).await.lock_owned().await;
        self.not_held(&showing).await?;
        if self.proven(&showing, PROVEN_HELD).await {
            let gate = (!self.proven(&showing, PROVEN_NOW).await).then_some(gate);
            return Ok(self.permit(showing, Reservation::none(), gate));
        }
        let refused_elsewhere = self.refused_elsewhere(&showing).await;
        if showing.explains && (refused_elsewhere.is_some() || self.refusal(&showing).await.is_some()) {
            return Err(enough(&showing.judge.server, refused_elsewhere));
        }
        let limit = if refused_elsewhere.is_some() { Limit::Half } else { Limit::Full };
        match self.windows.wait_for(&showing.window(), cost, limit).await {
            Some(reservation) => Ok(self.permit(showing, reservation, Some(gate))),
            None => Err(enough(&showing.judge.server, refused_elsewhere)),
        }
    }

    /// One try of a login beside the dialogue, whatever is known of it: not where the server could see one failed login too
    /// many. Nobody waits for it, and it waits for nobody.
    pub(super) fn spare(&self, showing: Showing) -> Option<Permit<'_>> {
        let reservation = self.windows.reserve(&showing.window(), 1, Limit::Full)?;
        Some(self.permit(showing, reservation, None))
    }

    /// Whether the login was refused for this very repository, and an answer is known that needs no further refusal.
    pub(super) async fn is_set_aside(&self, showing: &Showing) -> bool {
        self.refusal(showing).await.is_some_and(|refusal| refusal.aside && refusal.tries >= LEAST_TRIES)
    }

    fn permit<'a>(
        &'a self,
        showing: Showing,
        reservation: Reservation<'a>,
        gate: Option<OwnedMutexGuard<()>>,
    ) -> Permit<'a> {
        Permit { logins: self, showing, reservation, _gate: gate }
    }

    async fn not_held(&self, showing: &Showing) -> Result<(), Failure> {
        match self.refusal(showing).await {
            Some(refusal) if refusal.holds() => {
                let held = REFUSED_HELD.saturating_sub(since(refusal.at, (self.clock)()));
                Err(Failure { retry_after: Some(held), ..(*refusal.failure).clone() })
            }
            _ => Ok(()),
        }
    }

    async fn refusal(&self, showing: &Showing) -> Option<Refusal> {
        let now = (self.clock)();
        self.refusals.get(&showing.repository_key()).await.filter(|refusal| since(refusal.at, now) < REFUSED_HELD)
    }

    async fn proven(&self, showing: &Showing, within: Duration) -> bool {
        let now = (self.clock)();
        let here = self.proofs.get(&showing.repository_key()).await;
        if here.is_some_and(|at| since(at, now) < within) {
            return true;
        }
        let anywhere = self.accepted.get(&showing.place_key()).await;
        anywhere.is_some_and(|accepted| !accepted.doubted && since(accepted.at, now) < within)
    }

    /// How long ago a login was refused for another repository.
    async fn refused_elsewhere(&self, showing: &Showing) -> Option<Duration> {
        let now = (self.clock)();
        let (repository, at) = self.elsewhere.get(&showing.place_key()).await?;
        let age = since(at, now);
        (repository != showing.judge.repository && age < REFUSED_HELD).then_some(age)
    }
}

/// A login that is not shown, for the server's sake.
fn enough(server: &str, refused_elsewhere: Option<Duration>) -> Failure {
    let detail = match refused_elsewhere {
        Some(age) => format!(
            "{server} refused this login for another repository {} s ago; so as not to be banned, pullgate shows it no \
             further for now",
            age.as_secs()
        ),
        None => format!(
            "{server} has refused several logins in the last three minutes; pullgate does not try more, so as not to be \
             banned"
        ),
    };
    Failure::own(Code::NotChecked, Cause::Limit, detail)
}

/// A login that was refused, and is not shown again for the server's sake: that may have been chance.
fn refused_once(server: &str) -> Failure {
    let detail = format!(
        "{server} refused the login once, and several in the last three minutes; so as not to be banned, pullgate does \
         not show it again for now"
    );
    Failure::own(Code::NotChecked, Cause::Limit, detail)
}

// === impl Showing ===

impl Showing {
    fn place_key(&self) -> PlaceKey {
        (Arc::clone(&self.judge.place), self.id)
    }

    fn repository_key(&self) -> RepositoryKey {
        (Arc::clone(&self.judge.place), Arc::clone(&self.judge.repository), self.id)
    }

    fn window(&self) -> Window {
        Window { server: Arc::clone(&self.judge.server), namespace: Arc::clone(&self.namespace) }
    }
}

// === impl Refusal ===

impl Refusal {
    /// Whether it answers in place of another try: the login itself is wrong. Access may be given at any time.
    fn holds(&self) -> bool {
        !self.aside && self.tries >= LEAST_TRIES && self.failure.code == Code::CredentialsRejected
    }
}

// === impl Permit ===

impl<'a> Permit<'a> {
    /// The login was accepted.
    pub(super) async fn accepted(self) {
        let at = (self.logins.clock)();
        self.logins.proofs.insert(self.showing.repository_key(), at).await;
        self.logins.accepted.insert(self.showing.place_key(), Accepted { at, doubted: false }).await;
        self.logins.refusals.invalidate(&self.showing.repository_key()).await;
        self.logins.elsewhere.invalidate(&self.showing.place_key()).await;
    }

    /// The login was refused, `tries` times, of which `failed` are what a registry counts as failed logins.
    pub(super) async fn refused(self, failure: Failure, tries: usize, failed: usize) -> Settled<'a> {
        self.settle(failure, (tries, failed), false).await
    }

    /// The login was refused, though nothing says that it is wrong: it is not shown for this repository for a while, and
    /// who asks gets another answer than that it is wrong.
    pub(super) async fn set_aside(self, failure: Failure) -> Settled<'a> {
        self.settle(failure, (1, 1), true).await
    }

    /// The same permit for a last try.
    pub(super) fn without_repetition(mut self) -> Self {
        self.showing.repeat = false;
        self
    }

    /// Part of the way was refused, but the login itself is not judged.
    pub(super) fn unsettled(self, failed: usize) {
        self.count(failed);
    }

    async fn settle(self, failure: Failure, (tries, failed): (usize, usize), aside: bool) -> Settled<'a> {
        self.count(failed);
        let Self { logins, showing, reservation, _gate: gate } = self;
        drop(reservation);
        let now = (logins.clock)();
        let tries = logins.refusal(&showing).await.map_or(0, |refusal| refusal.tries).saturating_add(tries);
        let refusal = Refusal { at: now, tries, aside, failure: Arc::new(failure.clone()) };
        logins.refusals.insert(showing.repository_key(), refusal).await;
        logins.proofs.invalidate(&showing.repository_key()).await;
        if !aside && failure.code == Code::CredentialsRejected {
            let refused = (Arc::clone(&showing.judge.repository), now);
            logins.elsewhere.insert(showing.place_key(), refused).await;
        }
        if let Some(accepted) = logins.accepted.get(&showing.place_key()).await {
            logins.accepted.insert(showing.place_key(), Accepted { doubted: true, ..accepted }).await;
        }
        let sure = tries >= LEAST_TRIES;
        let limit = if sure { Limit::Half } else { Limit::Full };
        if showing.repeat
            && tries < MOST_TRIES
            && let Some(reservation) = logins.windows.reserve(&showing.window(), failed.max(1), limit)
        {
            return Settled::Again(logins.permit(showing, reservation, gate));
        }
        Settled::Over(match (sure, showing.repeat) {
            (true, _) => failure,
            (false, true) => refused_once(&showing.judge.server),
            (false, false) => Failure { login: LoginEvidence::RefusedOnce, explained: true, ..failure },
        })
    }

    fn count(&self, failed: usize) {
        self.logins.windows.count(&self.showing.window(), failed);
    }
}
