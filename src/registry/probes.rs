//! A refusal that is about to be reported → the same with what one more question told: is the login itself good, is the
//! image public, is the repository there. What is worth asking is decided in [`plan`].
//!
//! Asked at once and beside one another, within a second, and each answer held; a question that fails or does not end
//! changes nothing. None admits an image.

pub mod plan;

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use crate::credentials::{Credential, CredentialId};
use crate::finding::{Code, Probed};
use crate::registry::budget::Use;
use crate::registry::failure::Failure;
use crate::registry::probes::plan::{Probe, Question, Scene};
use crate::registry::said::said;
use crate::registry::session::{Authorization, Granted};
use crate::registry::transport::{Method, Request, Response};
use crate::registry::{Ask, MAX_REDIRECTS, Registry};
use crate::time::{Clock, since};

/// One question; the rest of [`plan::LIMIT`] is for whoever waits for another's.
const QUESTION: Duration = Duration::from_millis(900);

/// One tag and the name of its repository.
const MAX_TAGS: usize = 8 * 1024;

/// Answers held at most, of each kind.
const MAX_ANSWERS: u64 = 10_000;

/// Answers of one process, each under the root of an API.
#[derive(Debug)]
pub(super) struct Probes {
    clock: Clock,
    logins: Cache<(String, CredentialId), Answer>,
    /// By reference: what strangers see is the same for all.
    public: Cache<(String, String), Answer>,
    repositories: Cache<(String, String, CredentialId), Answer>,
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
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<serde::de::IgnoredAny>>,
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
        let now = (self.probes.clock)();
        let granted = self.session.granted(ask).await;
        let plan = plan::plan(&Scene {
            code: failure.code,
            words: failure.registry.as_deref(),
            host: &ask.endpoint.host,
            login: ask.credential.as_deref().and_then(Credential::login).is_some(),
            granted: granted.as_ref().map(|granted| (granted.realm.as_str(), since(granted.at, now))),
        });
        let base = &ask.endpoint.base;
        if self.probes.resting.get(base).await.is_some_and(|at| since(at, now) < plan::REST) {
            return plan::conclude(failure, Probed::default());
        }
        let login = async {
            match (plan.login, &granted) {
                (Question::Yes, _) => Told { yes: Some(true), ..Told::default() },
                (Question::Open, Some(granted)) => {
                    let key = (base.clone(), ask.id);
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
            if !plan.repository {
                return Told::default();
            }
            let key = (base.clone(), ask.reference.repository().to_owned(), ask.id);
            self.answer_to(Probe::Repository, &self.probes.repositories, key, self.ask_for_tags(ask)).await
        };
        let (login, public, repository) = tokio::join!(login, public, repository);
        if [&login, &public, &repository].iter().any(|told| told.throttled) {
            self.probes.resting.insert(base.clone(), (self.probes.clock)()).await;
        }
        let (was, probed) = (failure.code, Probed { login: login.yes, public: public.yes, repository: repository.yes });
        let concluded = plan::conclude(failure, probed);
        // The new name in the words of whoever gave it.
        let words = match concluded.code {
            code if code == was => None,
            Code::CredentialsRejected => login.words,
            _ => repository.words,
        };
        let registry = words.map(|words| words.to_string()).or(concluded.registry);
        Failure { registry, ..concluded }
    }

    /// What the token server said a while ago about this login alone.
    pub(super) async fn login_alone(&self, ask: &Ask) -> Option<bool> {
        let now = (self.probes.clock)();
        let held = self.probes.logins.get(&(ask.endpoint.base.clone(), ask.id)).await?;
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
        match self.converse(&stranger, Method::Head).await {
            Ok(_) => Told { yes: Some(true), ..Told::default() },
            Err(failure) => Told {
                yes: failure.code.certain().then_some(false),
                words: None,
                throttled: failure.code == Code::RateLimited,
            },
        }
    }

    /// One tag of the repository, with what the manifest was asked with.
    async fn ask_for_tags(&self, ask: &Ask) -> Told {
        let (Ok(presented), Ok(url)) = (
            self.session.known(self.transport.as_ref(), ask, false).await,
            Url::parse(&ask.endpoint.tags_url(&ask.reference, 1)),
        ) else {
            return Told::default();
        };
        let request = Request {
            profile: &ask.endpoint.profile,
            method: Method::Get,
            url,
            accept: None,
            authorization: presented.header(),
            form: None,
            max_body: MAX_TAGS,
            max_redirects: MAX_REDIRECTS,
        };
        let answer = self.transport.send(request).await;
        self.metrics.registry_request(&ask.endpoint.host, answer.as_ref().ok().map(|answer| answer.status));
        let Ok(answer) = answer else {
            return Told::default();
        };
        settle(presented, answer.status).await;
        tags(&answer)
    }
}

/// What the answer says about a Basic login on the way.
async fn settle(presented: Authorization<'_>, status: u16) {
    match status {
        401 => presented.set_aside(1),
        200..=499 if status != 429 => presented.accepted().await,
        _ => {}
    }
}

/// An answer to the question for tags. A list without one is no proof: some registries have an empty one for every name.
fn tags(answer: &Response) -> Told {
    let said = said(&answer.body, answer.header("content-type"));
    let listed = || serde_json::from_slice::<Tags>(&answer.body).ok().and_then(|list| list.tags);
    let yes = match answer.status {
        200 => listed().filter(|tags| !tags.is_empty()).map(|_| true),
        404 => said.is(&["NAME_UNKNOWN"]).then_some(false),
        _ => None,
    };
    let words = yes.filter(|yes| !yes).and_then(|_| said.words()).map(Arc::from);
    Told { yes, words, throttled: answer.status == 429 }
}

// === impl Probes ===

impl Probes {
    pub(super) fn new(clock: Clock) -> Self {
        fn cache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
            Cache::builder().max_capacity(MAX_ANSWERS).time_to_live(plan::LOGIN_GOOD).build()
        }
        Self { clock, logins: cache(), public: cache(), repositories: cache(), resting: cache() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_says_that_a_repository_is_there_and_only_name_unknown_that_it_is_not() {
        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
        for (status, body, expected) in [
            (200, r#"{"name":"a","tags":["v1"]}"#, Some(true)),
            (200, r#"{"name":"a","tags":[]}"#, None),
            (200, r#"{"name":"a","tags":null}"#, None),
            (200, "{}", None),
            (200, "<html>", None),
            (404, unknown, Some(false)),
            (404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#, None),
            (404, r#"{"errors":[{"code":"UNSUPPORTED"}]}"#, None),
            (404, "", None),
            (401, unknown, None),
            (403, "", None),
            (405, "", None),
            (429, "", None),
            (500, unknown, None),
        ] {
            let answer = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
            let told = tags(&answer);
            assert_eq!((told.yes, told.throttled), (expected, status == 429), "{status} {body}");
            assert_eq!(told.words.is_some(), expected == Some(false), "{status} {body}");
        }
    }
}
