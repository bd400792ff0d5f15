//! A Bearer challenge and perhaps a login → a token, by POST or GET in the order that containerd uses them
//! (containerd/containerd `core/remotes/docker/authorizer.go`, `auth/fetch.go`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::credentials::Login;
use crate::finding::{Cause, Code};
use crate::registry::challenge::Challenge;
use crate::registry::failure::{Authority, Failure, Presented, Refusal, Weight};
use crate::registry::host_port::{HostPort, UrlError, read_url};
use crate::registry::node;
use crate::registry::transport::{Intent, Method, Profile, Request, Response, Transport};

/// Lifetime of a token whose server names none (distribution `docs/content/spec/auth/token.md`).
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);

/// A longer lifetime is not believed.
const MAX_LIFETIME: Duration = Duration::from_hours(1);

/// Token answers are a few KiB; ACR's reach ten.
const MAX_TOKEN_BODY: usize = 128 * 1024;

/// A realm beyond this is not a URL that anyone announces in earnest.
const MAX_REALM: usize = 2048;

/// A longer token fits into no header that a registry would read.
const MAX_TOKEN: usize = 32 * 1024;

/// Realm, service and scopes of a challenge beyond this are none that anyone announces in earnest; they are remembered.
const MAX_CHALLENGE: usize = 8 * 1024;

/// What is asked of a token server.
#[derive(Debug)]
pub(super) struct TokenRequest<'a> {
    pub(super) profile: &'a Profile,
    /// Who would ask for it.
    pub(super) intent: Intent,
    /// `host[:port]` of the registry that sent the challenge.
    pub(super) api_host: &'a str,
    /// The registry as written in the reference.
    pub(super) host: &'a str,
    pub(super) realm: &'a str,
    pub(super) service: &'a str,
    /// Sorted, without duplicates.
    pub(super) scopes: &'a [String],
    pub(super) login: Option<Login<'a>>,
    /// What this realm is known to want, if anything is.
    pub(super) method: Option<TokenMethod>,
}

/// How a realm takes a user and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenMethod {
    /// `OAuth2` form.
    Post,
    /// Query and Basic.
    Get,
}

/// A token and what was learnt while fetching it.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: SecretString,
    pub(super) lifetime: Duration,
    pub(super) method: TokenMethod,
}

/// Why there is none, and how many times the login was seen to be refused on the way.
#[derive(Debug)]
pub(super) struct TokenFailure {
    pub(super) failure: Failure,
    pub(super) refusals: usize,
}

#[derive(Deserialize)]
struct TokenBody {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<f64>,
}

/// Fetches one token.
pub(super) async fn fetch(transport: &dyn Transport, ask: &TokenRequest<'_>) -> Result<Token, TokenFailure> {
    let realm = check_realm(ask).map_err(|failure| TokenFailure { failure: *failure, refusals: 0 })?;
    let Some(login) = ask.login else {
        return get(transport, ask, &realm, None).await.map_err(|(failure, _)| TokenFailure { failure, refusals: 0 });
    };
    let mut refusals = 0;
    if ask.method != Some(TokenMethod::Get) {
        match post(transport, ask, &realm, login).await {
            Ok(token) => return Ok(token),
            Err((failure, status)) => {
                refusals += usize::from(status == Some(401));
                // Realms without POST are known to answer it with any of these; with a known method they are final.
                let fall_back = ask.method.is_none() && matches!(status, Some(400 | 401 | 404 | 405));
                if !fall_back {
                    return Err(TokenFailure { failure, refusals });
                }
            }
        }
    }
    get(transport, ask, &realm, Some(login)).await.map_err(|(failure, status)| TokenFailure {
        failure,
        refusals: refusals + usize::from(matches!(status, Some(401 | 403))),
    })
}

/// How much a challenge makes pullgate remember and repeat.
pub(super) fn challenge_bytes(challenge: &Challenge) -> usize {
    match challenge {
        Challenge::Bearer { realm, service, scopes, .. } => {
            realm.len() + service.len() + scopes.iter().map(|scope| scope.len() + 1).sum::<usize>()
        }
        Challenge::Basic | Challenge::Digest => 0,
    }
}

/// Refuses a challenge that is too long to be one.
pub(super) fn check_challenge(challenge: &Challenge) -> Result<(), Failure> {
    if challenge_bytes(challenge) > MAX_CHALLENGE {
        return Err(Failure::own(Code::NotChecked, Cause::Limit, "the registry's challenge is longer than 8 KiB"));
    }
    Ok(())
}

/// A realm that pullgate is willing to send a login to: HTTPS, or plain HTTP where the registry itself is; nothing in it
/// that no request would carry.
fn check_realm(ask: &TokenRequest<'_>) -> Result<Url, Box<Failure>> {
    if ask.realm.is_empty() {
        let node = "no realm specified for token auth challenge".to_owned();
        return Err(Box::new(nonsense("the registry is misconfigured: its challenge names no token server", node)));
    }
    let guard = |detail: String| Err(Box::new(Failure::own(Code::NotChecked, Cause::Guard, detail)));
    if ask.realm.len() > MAX_REALM {
        return guard("the challenge's realm is longer than 2 KiB".to_owned());
    }
    let url = match read_url(ask.realm) {
        Ok(url) if url.has_host() => url,
        Err(UrlError::OtherHost(_)) => {
            return guard("the challenge names a token server by a host that nodes read in another way".to_owned());
        }
        // containerd refuses a relative realm too: there is no host to ask.
        parsed => {
            let detail = "the registry is misconfigured: the realm of its challenge is not an absolute URL";
            let error =
                parsed.err().and_then(|error| if let UrlError::Syntax(error) = error { Some(error) } else { None });
            return Err(Box::new(nonsense(detail, not_a_url(ask, error))));
        }
    };
    if url.fragment().is_some() {
        return guard("the challenge names a token server by a URL with a fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if ask.profile.plain_http => Ok(url),
        _ => guard("the challenge names a token server that is not HTTPS; no login is sent there".to_owned()),
    }
}

/// What containerd says of a realm that is no URL; Go takes a second port for part of the host until it connects.
fn not_a_url(ask: &TokenRequest<'_>, error: Option<url::ParseError>) -> String {
    let login = ask.login.is_some();
    let words = if error == Some(url::ParseError::InvalidPort) {
        let address = ask.realm.split('/').nth(2).unwrap_or_default();
        format!("dial tcp: address {address}: too many colons in address")
    } else {
        "unsupported protocol scheme \"\"".to_owned()
    };
    let request = if login {
        format!("Post \"{}\"", ask.realm)
    } else {
        format!("Get \"{}\"", node::token_url(ask.realm, ask.service, ask.scopes))
    };
    node::token_failed(login, &format!("{request}: {words}"))
}

/// What Go says of an answer that is no JSON from its first character on.
fn not_json(body: &[u8]) -> Option<String> {
    let words = match body.trim_ascii_start().first() {
        None => "EOF".to_owned(),
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => return None,
        Some(byte) => format!("invalid character '{}' looking for beginning of value", char::from(*byte)),
    };
    Some(format!("unable to decode token response: {words}"))
}

/// No authorisation comes of it; another host may still be asked.
fn nonsense(detail: &str, node: String) -> Failure {
    Failure { weight: Weight::Unanswered, ..Failure::nonsense(detail, Some(node)) }
}

async fn post(
    transport: &dyn Transport,
    ask: &TokenRequest<'_>,
    realm: &Url,
    login: Login<'_>,
) -> Result<Token, (Failure, Option<u16>)> {
    let form = Some(form(ask, login));
    let answer = send(transport, ask, Method::Post, realm.clone(), None, form).await?;
    let shown = ask.realm.to_owned();
    accept(ask, Method::Post, &shown, &answer)
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
) -> Result<Token, (Failure, Option<u16>)> {
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
    let authorization = login.map(basic);
    let shown = node::token_url(ask.realm, ask.service, ask.scopes);
    let answer = send(transport, ask, Method::Get, url, authorization, None).await?;
    accept(ask, Method::Get, &shown, &answer)
}

/// The `Authorization` value of a login.
pub(super) fn basic(login: Login<'_>) -> SecretString {
    let pair = SecretString::from(format!("{}:{}", login.username, login.password.expose_secret()));
    SecretString::from(format!("Basic {}", STANDARD.encode(pair.expose_secret())))
}

async fn send(
    transport: &dyn Transport,
    ask: &TokenRequest<'_>,
    method: Method,
    url: Url,
    authorization: Option<SecretString>,
    form: Option<SecretString>,
) -> Result<Response, (Failure, Option<u16>)> {
    let own = HostPort::parse(ask.api_host).map(|own| own.host);
    let foreign = own.is_none() || own != HostPort::of(&url).map(|asked| asked.host);
    let profile = if foreign { &*ask.profile.for_another_host() } else { ask.profile };
    let request = Request {
        profile,
        intent: ask.intent,
        method,
        url,
        accept: None,
        authorization,
        form,
        max_body: MAX_TOKEN_BODY,
        max_redirects: 0,
    };
    transport.send(request).await.map_err(|error| {
        let mut failure = Failure::transport(error);
        failure.detail = failure.detail.map(|detail| format!("token server: {detail}"));
        failure.node = failure.node.map(|words| {
            let words = words.strip_prefix("failed to do request: ").unwrap_or(&words);
            node::token_failed(ask.login.is_some(), words)
        });
        (failure, None)
    })
}

fn accept(
    ask: &TokenRequest<'_>,
    method: Method,
    shown: &str,
    answer: &Response,
) -> Result<Token, (Failure, Option<u16>)> {
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
            host: ask.host,
        };
        let node = node::token_refused(login, method, shown, answer.status);
        return Err((Failure::refused(refusal, answer, node), Some(answer.status)));
    }
    let body: Option<TokenBody> = serde_json::from_slice(&answer.body).ok();
    let lifetime = body.as_ref().and_then(|body| body.expires_in);
    let given = |token: Option<SecretString>| token.filter(|token| !token.expose_secret().is_empty());
    let value = body.and_then(|body| match method {
        Method::Post => given(body.access_token),
        Method::Get | Method::Head => given(body.access_token).or(given(body.token)),
    });
    let Some(value) = value else {
        let words = not_json(&answer.body);
        let words = words.as_deref().unwrap_or("authorization server did not include a token in the response");
        let node = node::token_failed(login, words);
        return Err((nonsense("the token server's answer holds no token", node), None));
    };
    if value.expose_secret().len() > MAX_TOKEN {
        let detail = "the token server's token is longer than 32 KiB";
        return Err((Failure::own(Code::NotChecked, Cause::Limit, detail), None));
    }
    Ok(Token {
        value,
        lifetime: lifetime
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|lifetime| *lifetime >= DEFAULT_LIFETIME)
            .unwrap_or(DEFAULT_LIFETIME)
            .min(MAX_LIFETIME),
        method: if method == Method::Post { TokenMethod::Post } else { TokenMethod::Get },
    })
}
