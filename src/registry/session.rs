//! What a registry is remembered to want, and the tokens it gave: one cache each, every key with the credential in it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};

use crate::credentials::{Credential, CredentialId};
use crate::finding::{Cause, Code};
use crate::registry::Ask;
use crate::registry::auth::{self, TokenMethod, TokenRequest};
use crate::registry::challenge::Challenge;
use crate::registry::failure::{Failure, Presented};
use crate::registry::logins::{Logins, Permit};
use crate::registry::node;
use crate::registry::probes::Told;
use crate::registry::realms::Realms;
use crate::registry::transport::Transport;
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
    methods: Cache<String, TokenMethod>,
    realms: Realms,
    /// By API base and login: who gave it a token last. Held for longer than any challenge, so that a registry which
    /// wants the bare login after the token is not taken for one that knows no tokens.
    granted: Cache<(String, CredentialId), Granted>,
}

/// The token server that gave a login a token.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) realm: String,
    pub(super) service: String,
    pub(super) at: Timestamp,
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
}

/// What a request carries.
#[derive(Debug)]
pub(super) enum Authorization<'a> {
    None,
    Bearer { token: Arc<SecretString>, key: Box<TokenKeyRef>, cached: bool, login: bool },
    Basic { header: SecretString, permit: Permit<'a> },
}

/// Opaque to the dialogue.
#[derive(Debug)]
pub(super) struct TokenKeyRef(TokenKey);

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
            methods: Cache::builder().max_capacity(10_000).time_to_live(CHALLENGE_HELD).build(),
            granted: Cache::builder().max_capacity(10_000).time_to_live(CHALLENGE_HELD * 2).build(),
        }
    }

    /// What this repository is known to want, or nothing: then the first request goes out bare, as a node's does.
    /// A login that is known to be wrong is not shown bare.
    pub(super) async fn known(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        wrong: bool,
    ) -> Result<Authorization<'_>, Failure> {
        match self.challenges.get(&challenge_key(ask)).await {
            Some(Challenge::Basic) if wrong || ask.credential.as_deref().and_then(Credential::login).is_none() => {
                Ok(Authorization::None)
            }
            None => Ok(Authorization::None),
            Some(known) => self.present(transport, ask, known).await,
        }
    }

    /// Answers a challenge with a token or a login, and remembers the challenge.
    pub(super) async fn answer(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        challenge: Option<Challenge>,
    ) -> Result<Authorization<'_>, Failure> {
        let Some(challenge) = challenge else {
            return Ok(Authorization::None);
        };
        auth::check_challenge(&challenge)?;
        let login = ask.credential.as_deref().and_then(Credential::login);
        let realm = match (&challenge, login) {
            (Challenge::Bearer { realm, .. }, Some(_)) => Some(realm.clone()),
            _ => None,
        };
        if let Some(realm) = &realm {
            self.realms.check(&ask.endpoint, realm).await?;
        }
        // The error belongs to one answer, not to what the registry wants.
        let remembered = match &challenge {
            Challenge::Bearer { realm, service, scopes, .. } => Challenge::Bearer {
                realm: realm.clone(),
                service: service.clone(),
                scopes: scopes.clone(),
                error: None,
            },
            Challenge::Basic | Challenge::Digest => challenge.clone(),
        };
        self.challenges.insert(challenge_key(ask), remembered).await;
        let outcome = self.present(transport, ask, challenge).await;
        if let (Ok(_), Some(realm)) = (&outcome, realm) {
            self.realms.accepted(&ask.endpoint, &realm).await;
        }
        outcome
    }

    /// What answers a challenge, new or remembered.
    async fn present(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        challenge: Challenge,
    ) -> Result<Authorization<'_>, Failure> {
        let login = ask.credential.as_deref().and_then(Credential::login);
        match (challenge, login) {
            (Challenge::Bearer { realm, service, scopes, .. }, _) => {
                let outcome = self.bearer(transport, ask, realm, service, scopes).await;
                if outcome.as_ref().is_err_and(no_token_server) {
                    // The registry may name another one by the next time.
                    self.challenges.invalidate(&challenge_key(ask)).await;
                }
                outcome
            }
            (Challenge::Basic, Some(login)) => {
                let permit = self.logins.admit(ask.endpoint.api_host(), ask.id, 1).await?;
                Ok(Authorization::Basic { header: auth::basic(login), permit })
            }
            (Challenge::Basic | Challenge::Digest, _) => Ok(Authorization::None),
        }
    }

    async fn bearer(
        &self,
        transport: &dyn Transport,
        ask: &Ask,
        realm: String,
        service: String,
        mut scopes: Vec<String>,
    ) -> Result<Authorization<'_>, Failure> {
        scopes.push(format!("repository:{}:pull", ask.reference.repository()));
        scopes.sort_unstable();
        scopes.dedup();
        let login = ask.credential.as_deref().and_then(Credential::login);
        let key = TokenKey { base: ask.endpoint.base.clone(), realm, service, scopes, id: ask.id };
        let now = (self.clock)();
        if let Some(token) = self.tokens.get(&key).await.filter(|token| token.expires > now) {
            let key = Box::new(TokenKeyRef(key));
            let cached = since(token.fetched, now) > JUST_FETCHED;
            return Ok(Authorization::Bearer { token: token.value, key, cached, login: login.is_some() });
        }
        let method = self.methods.get(&key.realm).await;
        let cost = if method.is_some() { 1 } else { 2 };
        let permit = match login {
            Some(_) => Some(self.logins.admit(ask.endpoint.api_host(), ask.id, cost).await?),
            None => None,
        };
        let request = TokenRequest {
            profile: &ask.endpoint.profile,
            intent: ask.intent,
            api_host: ask.endpoint.api_host(),
            host: &ask.endpoint.host,
            realm: &key.realm,
            service: &key.service,
            scopes: &key.scopes,
            login,
            method,
        };
        let fetched = auth::fetch(transport, &request).await.map_err(|mut failed| {
            failed.failure.node = failed.failure.node.map(|words| node::resolve_line(&ask.reference, &words));
            failed
        });
        match (fetched, permit) {
            (Ok(token), permit) => {
                if let Some(permit) = permit {
                    permit.accepted().await;
                    self.methods.insert(key.realm.clone(), token.method).await;
                    let granted = Granted { realm: key.realm.clone(), service: key.service.clone(), at: now };
                    self.granted.insert((key.base.clone(), ask.id), granted).await;
                }
                let value = Arc::new(SecretString::from(format!("Bearer {}", token.value.expose_secret())));
                let lifetime = jiff::SignedDuration::try_from(token.lifetime.saturating_sub(EARLY)).unwrap_or_default();
                let expires = (self.clock)().checked_add(lifetime).unwrap_or(now);
                self.tokens.insert(key.clone(), Token { value: Arc::clone(&value), fetched: now, expires }).await;
                let key = Box::new(TokenKeyRef(key));
                Ok(Authorization::Bearer { token: value, key, cached: false, login: login.is_some() })
            }
            (Err(failed), Some(permit)) => {
                if failed.failure.code == Code::CredentialsRejected {
                    // GET has the last word wherever both were asked: the next wrong login costs one refusal, not two.
                    self.methods.insert(key.realm.clone(), method.unwrap_or(TokenMethod::Get)).await;
                    permit.refused(&failed.failure, failed.refusals).await;
                } else {
                    permit.unsettled(failed.refusals);
                }
                Err(failed.failure)
            }
            (Err(failed), None) => Err(failed.failure),
        }
    }

    /// The token server that gave this login a token, for whatever repository of this host.
    pub(super) async fn granted(&self, ask: &Ask) -> Option<Granted> {
        self.granted.get(&(ask.endpoint.base.clone(), ask.id)).await
    }

    /// Shows the login to its token server without naming a repository. Refused, it counts as a failed login, and is not
    /// held as a wrong one: with a repository, the same server gives it a token all the same.
    pub(super) async fn try_login(&self, transport: &dyn Transport, ask: &Ask, granted: &Granted) -> Told {
        let Some(login) = ask.credential.as_deref().and_then(Credential::login) else {
            return Told::default();
        };
        let Some(permit) = self.logins.spare(ask.endpoint.api_host(), ask.id) else {
            return Told::default();
        };
        let request = TokenRequest {
            profile: &ask.endpoint.profile,
            intent: ask.intent,
            api_host: ask.endpoint.api_host(),
            host: &ask.endpoint.host,
            realm: &granted.realm,
            service: &granted.service,
            scopes: &[],
            login: Some(login),
            method: Some(self.methods.get(&granted.realm).await.unwrap_or(TokenMethod::Get)),
        };
        match auth::fetch(transport, &request).await {
            Ok(_) => {
                permit.unsettled(0);
                Told { yes: Some(true), ..Told::default() }
            }
            Err(failed) => {
                permit.unsettled(failed.refusals);
                let code = failed.failure.code;
                let words = failed.failure.registry.map(Arc::from);
                let yes = (code == Code::CredentialsRejected).then_some(false);
                Told { yes, words, throttled: code == Code::RateLimited, ..Told::default() }
            }
        }
    }

    /// Drops the token that was just refused.
    pub(super) async fn forget(&self, ask: &Ask, presented: &Authorization<'_>) {
        self.challenges.invalidate(&challenge_key(ask)).await;
        if let Authorization::Bearer { key, .. } = presented {
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

// === impl Authorization ===

impl Authorization<'_> {
    /// The `Authorization` header.
    pub(super) fn header(&self) -> Option<SecretString> {
        match self {
            Self::None => None,
            Self::Bearer { token, .. } => Some((**token).clone()),
            Self::Basic { header, .. } => Some(header.clone()),
        }
    }

    /// What the registry is shown.
    pub(super) fn presented(&self) -> Presented {
        match self {
            Self::None | Self::Bearer { login: false, .. } => Presented::Nobody,
            Self::Bearer { login: true, .. } => Presented::Token,
            Self::Basic { .. } => Presented::Basic,
        }
    }

    pub(super) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether a 401 to it may be answered once more: nothing was presented yet, an old token was, or the registry
    /// has changed what it wants.
    pub(super) fn may_be_renewed(&self, challenge: Option<&Challenge>, renewed: bool) -> bool {
        match (self, challenge) {
            (Self::None, _) => true,
            (_, None) | (Self::Basic { .. }, Some(Challenge::Basic)) => false,
            (Self::Bearer { .. }, Some(Challenge::Bearer { error, .. })) => {
                let invalid = error.as_deref() == Some("invalid_token");
                !renewed && (matches!(self, Self::Bearer { cached: true, .. }) || invalid)
            }
            (Self::Bearer { .. } | Self::Basic { .. }, Some(_)) => !renewed,
        }
    }

    /// Something else is presented in its place: a Basic login was refused, but nothing says that it is wrong.
    pub(super) fn set_aside(self, refusals: usize) {
        if let Self::Basic { permit, .. } = self {
            permit.unsettled(refusals);
        }
    }

    /// The registry took the login.
    pub(super) async fn accepted(self) {
        if let Self::Basic { permit, .. } = self {
            permit.accepted().await;
        }
    }

    /// The registry refused the login.
    pub(super) async fn refused(self, failure: &Failure) {
        if let Self::Basic { permit, .. } = self {
            permit.refused(failure, 1).await;
        }
    }
}
