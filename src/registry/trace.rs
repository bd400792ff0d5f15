//! Every request and its answer, for `explain`: what was asked of whom, as whom, and what came back. Passwords, tokens
//! and the values of unknown query parameters are left out where they are written down, not where they are shown.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::{Url, form_urlencoded};

use crate::credentials::shown_username;
use crate::registry::said::{clean, said};
use crate::registry::transport::{Intent, Request, Response, Sending, Transport};

/// Headers that decide something, in the order in which they are shown.
const HEADERS: [&str; 8] = [
    "www-authenticate",
    "content-type",
    "docker-content-digest",
    "ratelimit-limit",
    "ratelimit-remaining",
    "docker-ratelimit-source",
    "retry-after",
    "proxy-agent",
];

/// Query parameters whose values are no secrets.
const OPEN_PARAMETERS: [&str; 6] = ["service", "scope", "ns", "n", "last", "client_id"];

/// Exchanges kept at most: one image takes a handful.
const MAX_EXCHANGES: usize = 200;

/// A transport that writes down what goes through it.
#[derive(Debug)]
pub struct Traced {
    inner: Arc<dyn Transport>,
    trace: Trace,
}

/// What was written down; cheap to share.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Vec<Exchange>>>);

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// `HEAD`, `GET`, `POST`.
    pub method: &'static str,
    /// Without the values of parameters that could be secret.
    pub url: String,
    /// Who the registry is told that it is.
    #[serde(rename = "as")]
    pub caller: Caller,
    /// No runtime would ask this: pullgate did, to say more about a refusal.
    pub only_to_explain: bool,
    /// The status, where an answer came.
    pub status: Option<u16>,
    /// Why none came; where there is neither, nobody waited for it any longer.
    pub error: Option<String>,
    /// The headers that matter, cleaned.
    pub headers: Vec<(&'static str, String)>,
    /// What the body of a refusal says.
    pub said: Option<String>,
    /// Where a redirect led to, without the query.
    pub redirected_to: Option<String>,
    /// From the first byte out to the last byte in, in milliseconds.
    pub millis: u64,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "scheme")]
pub enum Caller {
    /// Nothing.
    Nobody,
    /// A user name and a password.
    Basic {
        /// The user name.
        user: String,
    },
    /// The same in a form.
    Form {
        /// The user name.
        user: String,
    },
    /// A token.
    Bearer,
    /// Something else.
    Other,
}

// === impl Traced ===

impl Traced {
    /// Writes down in `trace` what goes through `inner`.
    pub fn new(inner: Arc<dyn Transport>, trace: Trace) -> Self {
        Self { inner, trace }
    }
}

impl Transport for Traced {
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a> {
        let exchange = Exchange::asked(&request);
        Box::pin(async move {
            let began = Instant::now();
            let number = self.trace.asked(exchange);
            let answer = self.inner.send(request).await;
            self.trace.answered(number, |exchange| {
                exchange.millis = millis(began.elapsed());
                match &answer {
                    Ok(answer) => exchange.answered(answer),
                    Err(error) => exchange.error = Some(clean(&error.detail)),
                }
            });
            answer
        })
    }
}

// === impl Trace ===

impl Trace {
    /// Everything so far, in the order in which they were asked.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its place, which may be beyond what is kept.
    fn asked(&self, exchange: Exchange) -> usize {
        let mut exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = exchanges.len();
        if number < MAX_EXCHANGES {
            exchanges.push(exchange);
        }
        number
    }

    fn answered(&self, number: usize, write: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
            write(exchange);
        }
    }
}

// === impl Exchange ===

impl Exchange {
    fn asked(request: &Request<'_>) -> Self {
        Self {
            method: request.method.as_str(),
            url: shown(&request.url),
            caller: Caller::of(request.authorization.as_ref(), request.form.as_ref()),
            only_to_explain: request.intent == Intent::Explain,
            status: None,
            error: None,
            headers: Vec::new(),
            said: None,
            redirected_to: None,
            millis: 0,
        }
    }

    fn answered(&mut self, answer: &Response) {
        self.status = Some(answer.status);
        self.redirected_to = answer.redirected_to.as_ref().map(without_query);
        self.headers =
            HEADERS.iter().flat_map(|name| answer.header_all(name).map(|value| (*name, clean(value)))).collect();
        if answer.status >= 400 {
            self.said = said(&answer.body, answer.header("content-type")).words();
        }
    }
}

// === impl Caller ===

impl Caller {
    fn of(authorization: Option<&SecretString>, form: Option<&SecretString>) -> Self {
        if let Some(form) = form {
            let field = |wanted: &str| {
                let mut pairs = form_urlencoded::parse(form.expose_secret().as_bytes());
                pairs.find(|(name, _)| name == wanted).map(|(_, value)| value)
            };
            let password = field("password").unwrap_or_default();
            let user = field("username").map(|user| clean(shown_username(&user, &password)));
            return user.map_or(Self::Other, |user| Self::Form { user });
        }
        let Some(value) = authorization.map(ExposeSecret::expose_secret) else { return Self::Nobody };
        match value.split_once(' ') {
            Some(("Basic", pair)) => {
                let pair = STANDARD.decode(pair).unwrap_or_default();
                let pair = String::from_utf8_lossy(&pair);
                // Up to the first colon: what follows is the password.
                let (user, password) = pair.split_once(':').unwrap_or((&pair, ""));
                Self::Basic { user: clean(shown_username(user, password)) }
            }
            Some(("Bearer", _)) => Self::Bearer,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("anonymous"),
            Self::Basic { user } => write!(f, "{user}, password not shown"),
            Self::Form { user } => write!(f, "{user}, password not shown (form)"),
            Self::Bearer => f.write_str("bearer of a token, not shown"),
            Self::Other => f.write_str("bearer of something that is not shown"),
        }
    }
}

/// A URL without its query, in which stores carry what opens them.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    shown(&url)
}

/// A URL without what could be a secret in it.
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // Neither fails for a URL with a host, and no other is ever asked.
    _ = shown.set_username("");
    _ = shown.set_password(None);
    if url.query().is_some() {
        let pairs: Vec<String> = url
            .query_pairs()
            .map(|(name, value)| {
                let open = OPEN_PARAMETERS.contains(&&*name);
                format!("{name}={}", if open { value } else { Cow::Borrowed("…") })
            })
            .collect();
        shown.set_query(None);
        return clean(&format!("{shown}?{}", pairs.join("&")));
    }
    clean(shown.as_str())
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_shown_without_what_proves_it() {
        let secret = |text: &str| Some(SecretString::from(text));
        let basic = format!("Basic {}", STANDARD.encode("ann:hunter2:more"));
        let token = format!("Basic {}", STANDARD.encode("hunter2:hunter2\n"));
        for (authorization, form, expected) in [
            (None, None, "anonymous"),
            (secret(&basic), None, "ann, password not shown"),
            // Registries that take a token as both.
            (secret(&token), None, "(the password), password not shown"),
            (None, secret("username=hunter2&password=hunter2%0A"), "(the password), password not shown (form)"),
            (secret("Bearer hunter2"), None, "bearer of a token, not shown"),
            (secret("Basic %hunter2"), None, ", password not shown"),
            (secret("hunter2"), None, "bearer of something that is not shown"),
            (None, secret("grant_type=password&username=a%0Ann&password=hunter2"), "a nn, password not shown (form)"),
            (None, secret("refresh_token=hunter2"), "bearer of something that is not shown"),
        ] {
            let caller = Caller::of(authorization.as_ref(), form.as_ref());
            assert_eq!(caller.to_string(), expected);
            assert!(!format!("{caller:?} {}", serde_json::to_string(&caller).unwrap()).contains("hunter2"));
        }
    }

    #[test]
    fn a_url_is_shown_without_the_values_of_unknown_parameters() {
        for (url, expected) in [
            ("https://r.example/v2/a/manifests/1", "https://r.example/v2/a/manifests/1"),
            ("https://ann:hunter2@r.example/v2/", "https://r.example/v2/"),
            (
                "https://t.example/token?service=r&scope=repository:a:pull&sig=hunter2",
                "https://t.example/token?service=r&scope=repository:a:pull&sig=…",
            ),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        }
        let store = Url::parse("https://ann:hunter2@s.example/blob/1?n=2&X-Amz-Signature=hunter2").unwrap();
        assert_eq!(without_query(&store), "https://s.example/blob/1");
    }
}
