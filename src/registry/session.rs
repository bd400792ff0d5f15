//! What a registry is remembered to want, and the tokens it gave: one cache each, every key with the credential in it.

mod authorization;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::credentials::{Credential, CredentialId};
use crate::finding::{Cause, Code};
use crate::registry::Ask;
use crate::registry::auth::{self, Order, TokenMethod, TokenRequest};
use crate::registry::challenge::Challenge;
use crate::registry::failure::Failure;
use crate::registry::logins::{Judge, Logins, Settled, Showing};
use crate::registry::node;
use crate::registry::probes::Told;
use crate::registry::realms::Realms;
pub(super) use crate::registry::session::authorization::Authorization;
use crate::registry::transport::{self, Intent, Transport};
use crate::time::{Clock, since};

/// A token is not used in its last seconds: the request that carries it takes time too.
const EARLY: Duration = Duration::from_secs(5);

/// A token this young is not renewed because it was refused: the server would only say the same again. Nobody grants
/// access and applies again in less.
const JUST_FETCHED: Duration = Duration::from_secs(1);

/// How long a challenge is remembered.
const CHALLENGE_HELD: Duration = Duration::from_hours(1);

/// Bytes of challenges, and of tokens, that are remembered: registries choose how long each is.
const MEMORY: u64 = 32 * 1024 * 1024;

/// What an entry costs beside its text.
const ENTRY: usize = 256;

/// Memory of one process about all registries.
#[derive(Debug)]
pub(super) struct Session {
    clock: Clock,
    logins: Logins,
    /// By API base and repository: registries may ask differently for each.
    challenges: Cache<(String, String), Challenge>,
    tokens: Cache<TokenKey, Token>,
    /// Realms that gave a login its token by GET: the next login is shown that way first.
    by_get: Cache<String, ()>,
    realms: Realms,
    /// By API base, repository and login: who gave it a token last. Held for longer than any challenge, so that a
    /// registry which wants the bare login after the token is not taken for one that knows no tokens.
    granted: Cache<(String, String, CredentialId), Granted>,
}

/// The token server that gave a login a token.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) realm: String,
    pub(super) service: String,
    pub(super) at: Timestamp,
    method: TokenMethod,
}

/// Realm, service, scope and credential; and the endpoint, whose trust settings fetched the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    base: String,
    realm: String,
    service: String,
    scopes: Vec<String>,
    id: CredentialId,
}

#[derive(Clone, Debug)]
struct Token {
    value: Arc<SecretString>,
    fetched: Timestamp,
    expires: Timestamp,
    /// Not by the method that a node tries first.
    out_of_order: bool,
}

/// Opaque to the dialogue.
#[derive(Debug)]
pub(in crate::registry) struct TokenKeyRef(TokenKey);

// === impl Session ===

impl Session {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            logins: Logins::new(clock.clone()),
            realms: Realms::new(clock.clone()),
            clock,
            challenges: Cache::builder()
                .weigher(|(base, repository): &(String, String), challenge: &Challenge| {
                    weight([base.len(), repository.len(), auth::challenge_bytes(challenge)])
                })
                .max_capacity(MEMORY)
                .time_to_live(CHALLENGE_HELD)
                .build(),
            tokens: Cache::builder()
                .weigher(|key: &TokenKey, token: &Token| {
                    let scopes = key.scopes.iter().map(String::len).sum();
                    let value = token.value.expose_secret().len();
                    weight([key.base.len(), key.realm.len(), key.service.len(), scopes, value])
                })
                .max_capacity(MEMORY)
                .time_to_live(CHALLENGE_HELD)
                .build(),
            by_get: Cache::builder().max_capacity(10_000).time_to_live(CHALLENGE_HELD).build(),
            granted: Cache::builder().max_capacity(10_000).time_to_live(CHALLENGE_HELD * 2).build(),
        }
    }

    /// What this repository is known to want, or nothing: then the first request goes out bare, as a node's does.
    /// A login that was just refused here is not shown at once.
    pub(super) async fn known(&self, transport: &dyn Transport, ask: &Ask) -> Result<Authorization<'_>, Failure> {
        match self.challenges.get(&challenge_key(ask)).await {
            Some(Challenge::Basic)
                if ask.credential.as_deref().and_then(Credential::login).is_none() || self.is_set_aside(ask).await =>
            {
                Ok(Authorization::None)
            }
            None => Ok(Authorization::None),
            Some(known) => self.present(transport, ask, known, None).await,
        }
    }

    /// Answers a challenge with a token or a login, and remembers the challenge. Without an `order` the methods of the
    /// token server are tried as earlier logins suggest.
    pub(super) async fn answer(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        challenge: Challenge,
        order: Option<Order>,
    ) -> Result<Authorization<'_>, Failure> {
        auth::check_challenge(&challenge)?;
        let login = ask.credential.as_deref().and_then(Credential::login);
        let realm = match (&challenge, login) {
            (Challenge::Bearer { realm, .. }, Some(_)) => Some(realm.clone()),
            _ => None,
        };
        if let Some(realm) = &realm {
            self.realms.check(&ask.endpoint, &ask.reference, realm).await?;
        }
        // The error belongs to one answer, not to what the registry wants.
        let remembered = match &challenge {
            Challenge::Bearer { realm, service, scopes, .. } => Challenge::Bearer {
                realm: realm.clone(),
                service: service.clone(),
                scopes: scopes.clone(),
                error: None,
            },
            Challenge::Basic => Challenge::Basic,
        };
        self.challenges.insert(challenge_key(ask), remembered).await;
        let outcome = self.present(transport, ask, challenge, order).await;
        if let (Ok(_), Some(realm)) = (&outcome, realm) {
            self.realms.accepted(&ask.endpoint, &ask.reference, &realm).await;
        }
        outcome
    }

    /// What answers a challenge, new or remembered.
    async fn present(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        challenge: Challenge,
        order: Option<Order>,
    ) -> Result<Authorization<'_>, Failure> {
        let login = ask.credential.as_deref().and_then(Credential::login);
        match (challenge, login) {
            (Challenge::Bearer { realm, service, scopes, .. }, _) => {
                let outcome = self.bearer(transport, ask, (realm, service, scopes), order).await;
                if outcome.as_ref().is_err_and(no_token_server) {
                    // The registry may name another one by the next time.
                    self.challenges.invalidate(&challenge_key(ask)).await;
                }
                outcome
            }
            (Challenge::Basic, Some(login)) => {
                let permit = self.logins.admit(showing(ask, of_registry(ask)), 1).await?;
                Ok(Authorization::Basic { header: auth::basic(login), permit })
            }
            (Challenge::Basic, None) => Ok(Authorization::None),
        }
    }

    async fn bearer(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        (realm, service, mut scopes): (String, String, Vec<String>),
        order: Option<Order>,
    ) -> Result<Authorization<'_>, Failure> {
        scopes.push(format!("repository:{}:pull", ask.reference.repository()));
        scopes.sort_unstable();
        scopes.dedup();
        let login = ask.credential.as_deref().and_then(Credential::login).is_some();
        let key = TokenKey { base: ask.endpoint.base.clone(), realm, service, scopes, id: ask.id };
        let now = (self.clock)();
        if let Some(token) = self.tokens.get(&key).await.filter(|token| token.expires > now) {
            let cached = since(token.fetched, now) > JUST_FETCHED;
            let Token { value, out_of_order, .. } = token;
            return Ok(Authorization::Bearer {
                token: value,
                key: Box::new(TokenKeyRef(key)),
                cached,
                out_of_order,
                login,
            });
        }
        let order = match order {
            Some(order) => order,
            None if self.by_get.contains_key(&key.realm) => Order::GetFirst,
            None => Order::PostFirst,
        };
        let token = self.fetch(transport, ask, &key, order).await.map_err(|mut failure| {
            failure.node = failure.node.map(|words| node::resolve_line(&ask.reference, &words));
            failure
        })?;
        let value = Arc::new(SecretString::from(format!("Bearer {}", token.value.expose_secret())));
        let lifetime = jiff::SignedDuration::try_from(token.lifetime.saturating_sub(EARLY)).unwrap_or_default();
        let expires = (self.clock)().checked_add(lifetime).unwrap_or(now);
        let out_of_order = token.out_of_order;
        let held = Token { value: Arc::clone(&value), fetched: now, expires, out_of_order };
        self.tokens.insert(key.clone(), held).await;
        Ok(Authorization::Bearer { token: value, key: Box::new(TokenKeyRef(key)), cached: false, out_of_order, login })
    }

    /// Fetches a token, and shows the login again where that may help.
    async fn fetch(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        key: &TokenKey,
        order: Order,
    ) -> Result<auth::Token, Failure> {
        let login = ask.credential.as_deref().and_then(Credential::login);
        let mut request = TokenRequest {
            endpoint: &ask.endpoint,
            intent: ask.intent,
            realm: &key.realm,
            service: &key.service,
            scopes: &key.scopes,
            login,
            order,
        };
        if login.is_none() {
            return auth::fetch(transport, &request).await.map_err(|failed| failed.failure);
        }
        // One try may be refused by both methods.
        let mut permit = self.logins.admit(showing(ask, of_realm(ask, &key.realm, &key.service)), 2).await?;
        let mut repeated = false;
        loop {
            match auth::fetch(transport, &request).await {
                Ok(token) => {
                    permit.accepted().await;
                    self.learn(ask, key, token.method).await;
                    return Ok(token);
                }
                Err(failed) if failed.failure.code.refusal() && failed.refusals > 0 => {
                    // Nodes do not repeat this: once more is to tell chance from an answer.
                    permit = if repeated { permit.without_repetition() } else { permit };
                    match permit.refused(failed.failure, failed.refusals, failed.failed).await {
                        Settled::Again(again) => permit = again,
                        Settled::Over(failure) => return Err(failure),
                    }
                    (request.order, repeated) = (failed.again, true);
                }
                Err(failed) => {
                    permit.unsettled(failed.failed);
                    return Err(failed.failure);
                }
            }
        }
    }

    /// Remembers who gave a login its token, and how.
    async fn learn(&self, ask: &Ask, key: &TokenKey, method: TokenMethod) {
        match method {
            TokenMethod::Get => self.by_get.insert(key.realm.clone(), ()).await,
            TokenMethod::Post => self.by_get.invalidate(&key.realm).await,
        }
        let granted = Granted { realm: key.realm.clone(), service: key.service.clone(), at: (self.clock)(), method };
        self.granted.insert(granted_key(ask), granted).await;
    }

    /// Whether the bare login was refused here a moment ago though it is not known to be wrong.
    pub(super) async fn is_set_aside(&self, ask: &Ask) -> bool {
        self.logins.is_set_aside(&showing(ask, of_registry(ask))).await
    }

    /// The token server that gave this login a token for this repository.
    pub(super) async fn granted(&self, ask: &Ask) -> Option<Granted> {
        self.granted.get(&granted_key(ask)).await
    }

    /// Shows the login to its token server without naming a repository. Refused, it counts as a failed login, and is not
    /// held as a wrong one: with a repository, the same server gives it a token all the same.
    pub(super) async fn try_login(&self, transport: &dyn Transport, ask: &Ask, granted: &Granted) -> Told {
        let Some(login) = ask.credential.as_deref().and_then(Credential::login) else {
            return Told::default();
        };
        let Some(permit) = self.logins.spare(showing(ask, of_realm(ask, &granted.realm, &granted.service))) else {
            return Told::default();
        };
        let request = TokenRequest {
            endpoint: &ask.endpoint,
            intent: ask.intent,
            realm: &granted.realm,
            service: &granted.service,
            scopes: &[],
            login: Some(login),
            order: Order::Only(granted.method),
        };
        match auth::fetch(transport, &request).await {
            Ok(_) => {
                permit.unsettled(0);
                Told { yes: Some(true), ..Told::default() }
            }
            Err(failed) => {
                permit.unsettled(failed.failed);
                let code = failed.failure.code;
                let words = failed.failure.registry.map(Arc::from);
                let yes = (code == Code::CredentialsRejected).then_some(false);
                Told { yes, words, throttled: code == Code::RateLimited, ..Told::default() }
            }
        }
    }

    /// Drops what this repository was known to want and, to `renew` it, the token that was just refused.
    pub(super) async fn forget(&self, ask: &Ask, presented: &Authorization<'_>, renew: bool) {
        self.challenges.invalidate(&challenge_key(ask)).await;
        if let Authorization::Bearer { key, .. } = presented
            && renew
        {
            self.tokens.invalidate(&key.0).await;
        }
    }
}

/// Whether there was no token server to speak of where the challenge said.
fn no_token_server(failure: &Failure) -> bool {
    matches!(failure.code, Code::RegistryUnreachable | Code::RegistryError) || failure.cause == Some(Cause::Guard)
}

fn weight<const N: usize>(bytes: [usize; N]) -> u32 {
    u32::try_from(bytes.iter().sum::<usize>() + ENTRY).unwrap_or(u32::MAX)
}

fn challenge_key(ask: &Ask) -> (String, String) {
    (ask.endpoint.base.clone(), ask.reference.repository().to_owned())
}

fn granted_key(ask: &Ask) -> (String, String, CredentialId) {
    let (base, repository) = challenge_key(ask);
    (base, repository, ask.id)
}

fn showing(ask: &Ask, judge: Judge) -> Showing {
    let explains = ask.intent == Intent::Explain;
    let namespace = Arc::clone(&ask.namespace);
    Showing { judge, id: ask.id, namespace, repeat: ask.repeat && !explains, explains }
}

/// A registry that takes the login itself.
fn of_registry(ask: &Ask) -> Judge {
    let base = ask.endpoint.base.as_str();
    Judge { server: server(base), place: Arc::from(base), repository: Arc::from(ask.reference.repository()) }
}

/// A token server.
fn of_realm(ask: &Ask, realm: &str, service: &str) -> Judge {
    let place = format!("{realm}\n{service}");
    Judge { server: server(realm), place: Arc::from(place), repository: Arc::from(ask.reference.repository()) }
}

/// Whose failed logins are counted: `host[:port]` of a URL.
fn server(url: &str) -> Arc<str> {
    Url::parse(url).map_or_else(|_| Arc::from(url), |url| Arc::from(transport::host(&url)))
}
