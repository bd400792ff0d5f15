//! A refusal that is about to be reported → the same with what one more question told: is the login itself good, is the
//! image public, is the repository there, which tags are near and how old. What is worth asking is decided in [`plan`].
//!
//! Asked at once and beside one another, within a second, and each answer held; a question that fails or does not end
//! changes nothing. None admits an image.

mod built;
pub mod plan;
mod tags;

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::time::{Instant, timeout};

use crate::credentials::{Credential, CredentialId};
use crate::finding::{Code, Nearest, Probed};
use crate::registry::budget::Use;
use crate::registry::failure::{Failure, LoginEvidence};
use crate::registry::probes::plan::{Probe, Question, Scene};
use crate::registry::probes::tags::Wanted;
use crate::registry::session::{Authorization, Granted};
use crate::registry::transport::{Intent, Method};
use crate::registry::{Ask, Registry};
use crate::time::{Clock, since};

/// One question; the rest of [`plan::LIMIT`] is for whoever waits for another's.
const QUESTION: Duration = Duration::from_millis(900);

/// Answers held at most, of each kind.
const MAX_ANSWERS: u64 = 10_000;

/// Answers of one process, each under the root of an API.
#[derive(Debug)]
pub(super) struct Probes {
    clock: Clock,
    /// By token server and login.
    logins: Cache<(String, String, CredentialId), Answer>,
    /// By reference: what strangers see is the same for all.
    public: Cache<(String, String), Answer>,
    /// By repository, login and the tag that was looked for.
    repositories: Cache<(String, String, CredentialId, Wanted), Answer>,
    /// By reference and login.
    built: Cache<(String, String, CredentialId), Answer>,
    elsewhere: Cache<(String, String, CredentialId), Answer>,
    /// When a registry last said 429 to a question.
    resting: Cache<String, Timestamp>,
}

/// What one question told, and when.
#[derive(Clone, Debug)]
struct Answer {
    told: Told,
    at: Timestamp,
}

/// What one question told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Yes, no, or nothing.
    pub(super) yes: Option<bool>,
    /// In whose words.
    pub(super) words: Option<Arc<str>>,
    /// The answer was 429.
    pub(super) throttled: bool,
    /// What is near a tag that is not there.
    pub(super) nearest: Option<Arc<Nearest>>,
    /// When a build was made.
    pub(super) built: Option<Timestamp>,
}

// === impl Registry ===

impl Registry {
    /// Tells apart what a refusal may mean. Asks nothing where nothing more can be learnt, and what was asked a moment
    /// ago is not asked again.
    ///
    /// # Errors
    /// None: the refusal comes back, perhaps by a better name, and with what was found out.
    pub async fn probe(&self, ask: &Ask, failure: Failure) -> Failure {
        if failure.probed.is_some() || !plan::conceivable(failure.code) {
            return failure;
        }
        if self.affords(ask, Use::Explanation).is_err() {
            return plan::conclude(failure, Probed::default());
        }
        let ask = &Ask { intent: Intent::Explain, ..ask.clone() };
        let now = (self.probes.clock)();
        let granted = self.session.granted(ask).await;
        let plan = plan::plan(&Scene {
            code: failure.code,
            words: failure.registry.as_deref(),
            host: &ask.endpoint.host,
            login: ask.credential.as_deref().and_then(Credential::login).is_some()
                && failure.login != LoginEvidence::NotSent,
            granted: granted.as_ref().map(|granted| (granted.realm.as_str(), since(granted.at, now))),
        });
        let base = &ask.endpoint.base;
        let until = Instant::now() + plan::LIMIT;
        if self.rests(base).await {
            return plan::conclude(failure, Probed::default());
        }
        let login = async {
            match (plan.login, &granted) {
                (Question::Yes, _) => Told { yes: Some(true), ..Told::default() },
                (Question::Open, Some(granted)) => {
                    let key = (granted.realm.clone(), granted.service.clone(), ask.id);
                    self.answer_to(Probe::Login, &self.probes.logins, key, self.ask_login(ask, granted)).await
                }
                (Question::Open, None) | (Question::Idle, _) => Told::default(),
            }
        };
        let public = async {
            if !plan.public {
                return Told::default();
            }
            let key = (base.clone(), ask.reference.runtime_form());
            self.answer_to(Probe::Public, &self.probes.public, key, self.ask_as_stranger(ask)).await
        };
        let repository = async {
            if !plan.repository && !plan.tags {
                return Told::default();
            }
            let tag = ask.reference.tag().filter(|_| plan.tags).map(str::to_owned);
            let wanted = Wanted { tag };
            let key = (base.clone(), ask.reference.repository().to_owned(), ask.id, wanted.clone());
            self.answer_to(Probe::Repository, &self.probes.repositories, key, self.ask_for_tags(ask, &wanted)).await
        };
        let (login, public, repository) = tokio::join!(login, public, repository);
        if [&login, &public, &repository].iter().any(|told| told.throttled) {
            self.probes.resting.insert(base.clone(), (self.probes.clock)()).await;
        }
        let nearest = match repository.nearest {
            Some(nearest) => Some(self.dated(ask, nearest, until).await),
            None => None,
        };
        let there = repository.yes.filter(|there| *there || plan.repository);
        let (was, probed) = (failure.code, Probed { login: login.yes, public: public.yes, repository: there });
        let concluded = plan::conclude(failure, probed);
        // The new name in the words of whoever gave it.
        let words = match concluded.code {
            code if code == was => None,
            Code::CredentialsRejected => login.words,
            _ => repository.words,
        };
        let registry = words.map(|words| words.to_string()).or(concluded.registry);
        Failure { registry, nearest, ..concluded }
    }

    /// Whether a registry has what `ask` names, asked only to say so; `None` where nobody may ask, or nothing is learnt.
    pub async fn has(&self, ask: &Ask) -> Option<bool> {
        let base = &ask.endpoint.base;
        if self.affords(ask, Use::Explanation).is_err() || self.rests(base).await {
            return None;
        }
        let ask = &Ask { intent: Intent::Explain, ..ask.clone() };
        let key = (base.clone(), ask.reference.runtime_form(), ask.id);
        let told = self.answer_to(Probe::Elsewhere, &self.probes.elsewhere, key, self.ask_whether_there(ask)).await;
        if told.throttled {
            self.probes.resting.insert(base.clone(), (self.probes.clock)()).await;
        }
        told.yes
    }

    /// Whether it said 429 to a question a while ago.
    async fn rests(&self, base: &str) -> bool {
        let now = (self.probes.clock)();
        self.probes.resting.get(base).await.is_some_and(|at| since(at, now) < plan::REST)
    }

    /// What the token server that gave this login a token said a while ago about the login alone.
    pub(super) async fn login_alone(&self, ask: &Ask) -> Option<bool> {
        let now = (self.probes.clock)();
        let granted = self.session.granted(ask).await?;
        let held = self.probes.logins.get(&(granted.realm, granted.service, ask.id)).await?;
        held.told.yes.filter(|_| since(held.at, now) < plan::lifetime(Probe::Login, held.told.yes))
    }

    /// A held answer, or the one that `asking` brings: one for all who want it now.
    async fn answer_to<K>(
        &self,
        probe: Probe,
        held: &Cache<K, Answer>,
        key: K,
        asking: impl Future<Output = Told> + Send,
    ) -> Told
    where
        K: Hash + Eq + Send + Sync + 'static,
    {
        let clock = &self.probes.clock;
        let now = clock();
        let ask = async {
            let told = timeout(QUESTION, asking).await.unwrap_or_default();
            self.metrics.registry_probe(probe, told.yes);
            Answer { told, at: now }
        };
        let over = |answer: &Answer| since(answer.at, now) >= plan::lifetime(probe, answer.told.yes);
        let entry = held.entry(key).or_insert_with_if(Box::pin(ask), over);
        match timeout(plan::LIMIT, entry).await {
            Ok(entry) => entry.into_value().told,
            Err(_) => Told::default(),
        }
    }

    async fn ask_login(&self, ask: &Ask, granted: &Granted) -> Told {
        self.session.try_login(self.transport.as_ref(), ask, granted).await
    }

    /// HEAD for the image without a login, as anybody.
    async fn ask_as_stranger(&self, ask: &Ask) -> Told {
        let stranger = Ask { credential: None, id: CredentialId::ANONYMOUS, ..ask.clone() };
        self.ask_whether_there(&stranger).await
    }

    /// HEAD for the image.
    async fn ask_whether_there(&self, ask: &Ask) -> Told {
        match Box::pin(self.converse(ask, Method::Head)).await {
            Ok(_) => Told { yes: Some(true), ..Told::default() },
            Err(failure) => Told {
                yes: failure.code.certain().then_some(false),
                throttled: failure.code == Code::RateLimited,
                ..Told::default()
            },
        }
    }
}

/// What the answer says about a Basic login on the way.
async fn settle(presented: Authorization<'_>, status: u16) {
    match status {
        401 => presented.unsettled(1),
        200..=499 if status != 429 => presented.accepted().await,
        _ => {}
    }
}

// === impl Probes ===

impl Probes {
    pub(super) fn new(clock: Clock) -> Self {
        fn cache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
            Cache::builder().max_capacity(MAX_ANSWERS).time_to_live(plan::LOGIN_GOOD).build()
        }
        Self {
            clock,
            logins: cache(),
            public: cache(),
            repositories: cache(),
            built: cache(),
            elsewhere: cache(),
            resting: cache(),
        }
    }
}
