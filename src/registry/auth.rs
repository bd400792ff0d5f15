//! A Bearer challenge and perhaps a login → a token, by POST or GET in the order that containerd uses them
//! (containerd/containerd `core/remotes/docker/authorizer.go`, `auth/fetch.go`).

mod answer;
mod exchange;
mod realm;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use crate::credentials::Login;
use crate::finding::{Cause, Code};
use crate::registry::Endpoint;
use crate::registry::auth::exchange::Hop;
use crate::registry::challenge::Challenge;
use crate::registry::failure::{Authority, Failure, Presented, Refusal};
use crate::registry::node;
use crate::registry::transport::{Intent, Method, Response, Transport};

/// Lifetime of a token whose server names none (distribution `docs/content/spec/auth/token.md`).
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);

/// A longer lifetime is not believed.
const MAX_LIFETIME: Duration = Duration::from_hours(1);

/// A longer token fits into no header that a registry would read.
const MAX_TOKEN: usize = 32 * 1024;

/// Realm, service and scopes of a challenge beyond this are none that anyone announces in earnest; they are remembered.
const MAX_CHALLENGE: usize = 8 * 1024;

/// A node's words about an answer that quotes more of it than this are not repeated.
const MAX_WORDS: usize = 300;

/// What is asked of a token server.
#[derive(Debug)]
pub(super) struct TokenRequest<'a> {
    /// The registry that sent the challenge.
    pub(super) endpoint: &'a Endpoint,
    /// Who would ask for it.
    pub(super) intent: Intent,
    pub(super) realm: &'a str,
    pub(super) service: &'a str,
    /// Sorted, without duplicates.
    pub(super) scopes: &'a [String],
    pub(super) login: Option<Login<'a>>,
    pub(super) order: Order,
}

/// How a login is shown to a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenMethod {
    /// `OAuth2` form.
    Post,
    /// Query and Basic.
    Get,
}

/// In which order the methods are tried. containerd sends a form, and asks by GET where that is answered with 400, 401, 404
/// or 405.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As containerd does it.
    PostFirst,
    /// GET before the form: it gave other logins their token. Where it is refused, the form still decides.
    GetFirst,
    /// Nothing but this: to explain, not to predict.
    Only(TokenMethod),
}

/// A token and what was learnt while fetching it.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) lifetime: Duration,
    pub(super) method: TokenMethod,
    /// containerd would have tried the other method first.
    pub(super) out_of_order: bool,
}

/// Why there is none.
#[derive(Debug)]
pub(super) struct TokenFailure {
    pub(super) failure: Failure,
    /// Answers that refused the login.
    pub(super) refusals: usize,
    /// Those of them that count as failed logins: a form that is answered with 403 was read, and its login known.
    pub(super) failed: usize,
    /// How to ask whether that was chance: only what refused the login is repeated.
    pub(super) again: Order,
}

/// A failure with the status that it came by, if it came by one.
type Refused = (Failure, Option<u16>);

/// One login at one realm, by one method after the other.
struct Tries<'a> {
    transport: &'a dyn Transport,
    ask: &'a TokenRequest<'a>,
    realm: &'a Url,
    login: Login<'a>,
    refusals: usize,
    failed: usize,
    again: Order,
}

/// Fetches one token.
pub(super) async fn fetch(transport: &dyn Transport, ask: &TokenRequest<'_>) -> Result<Token, TokenFailure> {
    let unrefused = |failure| TokenFailure { failure, refusals: 0, failed: 0, again: ask.order };
    let realm = realm::check(ask).map_err(|failure| unrefused(*failure))?;
    let Some(login) = ask.login else {
        return anonymous(transport, ask, &realm).await.map_err(unrefused);
    };
    let mut tries = Tries { transport, ask, realm: &realm, login, refusals: 0, failed: 0, again: ask.order };
    let fetched = match ask.order {
        Order::PostFirst => tries.post_first().await,
        Order::GetFirst => tries.get_first().await,
        Order::Only(method) => tries.by(method).await,
    };
    let Tries { refusals, failed, again, .. } = tries;
    fetched.map_err(|(failure, _)| TokenFailure { failure, refusals, failed, again })
}

/// A token for anybody. A refusal is repeated: that one came is no proof that the next one does.
async fn anonymous(transport: &dyn Transport, ask: &TokenRequest<'_>, realm: &Url) -> Result<Token, Failure> {
    match get(transport, ask, realm, None).await {
        Err((_, Some(401 | 403))) if ask.intent == Intent::Pull => get(transport, ask, realm, None).await,
        fetched => fetched,
    }
    .map_err(|(failure, _)| failure)
}

/// Whether containerd takes an answer to a form for that of a realm without POST, and asks by GET.
fn unread(status: Option<u16>) -> bool {
    matches!(status, Some(400 | 401 | 404 | 405))
}

// === impl Tries ===

impl Tries<'_> {
    async fn post_first(&mut self) -> Result<Token, Refused> {
        match self.by(TokenMethod::Post).await {
            Err((_, status)) if unread(status) => self.by(TokenMethod::Get).await,
            fetched => fetched,
        }
    }

    /// GET saves the form that other logins sent in vain. Where it is refused, the form is sent too: then the outcome is
    /// that of containerd's order.
    async fn get_first(&mut self) -> Result<Token, Refused> {
        let by_get = match self.by(TokenMethod::Get).await {
            Ok(token) => return Ok(Token { out_of_order: true, ..token }),
            Err(refused) => refused,
        };
        if !matches!(by_get.1, Some(400..=428 | 430..=499)) {
            return Err(by_get);
        }
        match self.by(TokenMethod::Post).await {
            Err((_, status)) if unread(status) => Err(by_get),
            fetched => fetched,
        }
    }

    async fn by(&mut self, method: TokenMethod) -> Result<Token, Refused> {
        let Self { transport, ask, realm, login, .. } = *self;
        let fetched = match method {
            TokenMethod::Post => post(transport, ask, realm, login).await,
            TokenMethod::Get => get(transport, ask, realm, Some(login)).await,
        };
        let status = fetched.as_ref().err().and_then(|(_, status)| *status);
        if matches!(status, Some(401 | 403)) {
            self.again = if self.refusals == 0 { Order::Only(method) } else { Order::PostFirst };
            self.refusals += 1;
        }
        self.failed += usize::from(status == Some(401) || (status == Some(403) && method == TokenMethod::Get));
        fetched
    }
}

/// How much a challenge makes pullgate remember and repeat.
pub(super) fn challenge_bytes(challenge: &Challenge) -> usize {
    match challenge {
        Challenge::Bearer { realm, service, scopes, .. } => {
            realm.len() + service.len() + scopes.iter().map(|scope| scope.len() + 1).sum::<usize>()
        }
        Challenge::Basic => 0,
    }
}

/// Refuses a challenge that is too long to be one.
pub(super) fn check_challenge(challenge: &Challenge) -> Result<(), Failure> {
    if challenge_bytes(challenge) > MAX_CHALLENGE {
        return Err(Failure::own(Code::NotChecked, Cause::Limit, "the registry's challenge is longer than 8 KiB"));
    }
    Ok(())
}

async fn post(
    transport: &dyn Transport,
    ask: &TokenRequest<'_>,
    realm: &Url,
    login: Login<'_>,
) -> Result<Token, Refused> {
    let first = Hop { method: Method::Post, url: realm.clone(), authorization: None, form: Some(form(ask, login)) };
    let answer = exchange::send(transport, ask, first).await.map_err(|failure| (failure, None))?;
    accept(ask, TokenMethod::Post, ask.realm, &answer).map_err(|refused| *refused)
}

/// `grant_type=password` (distribution `docs/content/spec/auth/oauth.md`); no scope is another question than an empty one.
fn form(ask: &TokenRequest<'_>, login: Login<'_>) -> SecretString {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("client_id", "pullgate")
        .append_pair("grant_type", "password")
        .append_pair("password", login.password.expose_secret());
    if !ask.scopes.is_empty() {
        form.append_pair("scope", &ask.scopes.join(" "));
    }
    SecretString::from(form.append_pair("service", ask.service).append_pair("username", login.username).finish())
}

async fn get(
    transport: &dyn Transport,
    ask: &TokenRequest<'_>,
    realm: &Url,
    login: Option<Login<'_>>,
) -> Result<Token, Refused> {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if !ask.service.is_empty() {
            query.append_pair("service", ask.service);
        }
        for scope in ask.scopes {
            query.append_pair("scope", scope);
        }
    }
    let shown = node::token_url(ask.realm, ask.service, ask.scopes);
    let first = Hop { method: Method::Get, url, authorization: login.map(basic), form: None };
    let answer = exchange::send(transport, ask, first).await.map_err(|failure| (failure, None))?;
    accept(ask, TokenMethod::Get, &shown, &answer).map_err(|refused| *refused)
}

/// The `Authorization` value of a login.
pub(super) fn basic(login: Login<'_>) -> SecretString {
    let pair = SecretString::from(format!("{}:{}", login.username, login.password.expose_secret()));
    SecretString::from(format!("Basic {}", STANDARD.encode(pair.expose_secret())))
}

/// The token in an answer. containerd reads everything below 400 as one.
fn accept(ask: &TokenRequest<'_>, method: TokenMethod, shown: &str, answer: &Response) -> Result<Token, Box<Refused>> {
    let login = ask.login.is_some();
    if !(200..400).contains(&answer.status) {
        let refusal = Refusal {
            authority: Authority::Token,
            status: answer.status,
            error: None,
            presented: if login { Presented::Token } else { Presented::Nobody },
            by_digest: false,
            asked_for_body: true,
            challenged: true,
            host: &ask.endpoint.host,
        };
        let node = node::token_refused(login, method.on_the_wire(), shown, answer.status);
        return Err(Box::new((Failure::refused(refusal, answer, node), Some(answer.status))));
    }
    let given = answer::read(&answer.body, method).map_err(|words| {
        let node = (words.len() <= MAX_WORDS).then(|| node::token_failed(login, &words));
        Box::new((realm::nonsense("the token server's answer holds no token that a node can read", node), None))
    })?;
    if given.token.expose_secret().len() > MAX_TOKEN {
        let detail = "the token server's token is longer than 32 KiB";
        return Err(Box::new((Failure::own(Code::NotChecked, Cause::Limit, detail), None)));
    }
    let lifetime = Duration::from_secs(u64::try_from(given.expires_in).unwrap_or_default());
    Ok(Token {
        value: given.token,
        lifetime: lifetime.clamp(DEFAULT_LIFETIME, MAX_LIFETIME),
        method,
        out_of_order: false,
    })
}

// === impl TokenMethod ===

impl TokenMethod {
    fn on_the_wire(self) -> Method {
        match self {
            Self::Post => Method::Post,
            Self::Get => Method::Get,
        }
    }
}
