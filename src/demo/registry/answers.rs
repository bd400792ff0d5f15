//! One request in, one answer out: login, rule, contents, in that order.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::json;
use tokio::time::Instant;

use super::MissingRepository;
use super::accounts::{Accounts, Caller, Refusal};
use super::auth::{
    Access, Bearer, ChallengeForm, Login, NoAccess, Realm, TokenFields, WrongPassword, challenges, pulled,
};
use super::contents::{Contents, Manifest};
use super::distort::{Body, distort, plain};
use super::faults::{Answer, Behaviour, Rules};
use super::listener::Wire;
use super::log::{Kind, Log, LoggedRequest};
use super::path::Asked;

/// A login form is a few hundred bytes.
const FORM_LIMIT: usize = 64 * 1024;
/// Everything that a request can depend on.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) login: Login,
    pub(super) access: Access,
    pub(super) missing_repository: MissingRepository,
    pub(super) latency: Duration,
    pub(super) contents: Contents,
    pub(super) accounts: Accounts,
    pub(super) rules: Rules,
    pub(super) log: Log,
    /// The origins of the registry and of its token service, such as `https://127.0.0.1:5000`.
    pub(super) origin: String,
    pub(super) token_origin: Option<String>,
}

/// The registry's state as its listeners share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Service(Arc<Mutex<State>>);

// === impl Service ===

impl Service {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a test must not hide behind a second one here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request; an error drops the connection.
    pub(super) async fn answer(&self, request: Request<Incoming>, wire: &Wire) -> io::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let form = if head.method == Method::POST {
            Limited::new(body, FORM_LIMIT).collect().await.map_err(io::Error::other)?.to_bytes()
        } else {
            Bytes::new()
        };
        let asked = Asked::new(&head, &form);
        let (number, caller, latency, early) = {
            let mut state = self.state();
            let caller = state.caller(&asked);
            let number = state.log.arrived(entry(&asked, &caller));
            let early = state.rule(true, &asked);
            (number, caller, state.latency, early)
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let (answer, behaviour) = {
            let mut state = self.state();
            if let Some(refused) = state.refuse(&asked, &caller) {
                (refused, early)
            } else {
                let late = early.or_else(|| state.rule(false, &asked));
                (state.truth(&asked, &caller), late)
            }
        };
        let response = match behaviour {
            None => plain(&answer),
            Some(behaviour) => distort(behaviour, answer, &asked, wire).await?,
        };
        self.state().log.answered(number, response.status().as_u16());
        Ok(response)
    }
}

// === impl State ===

impl State {
    fn rule(&mut self, before_login: bool, asked: &Asked) -> Option<Behaviour> {
        self.rules.behaviour(before_login, asked.kind, asked.repository.as_deref(), &asked.method)
    }

    fn caller(&self, asked: &Asked) -> Caller {
        match asked.form("grant_type") {
            Some("password") if asked.kind == Kind::Token => {
                let (user, password) = (asked.form("username"), asked.form("password"));
                self.accounts.password(user.unwrap_or_default(), password.unwrap_or_default())
            }
            Some("refresh_token") if asked.kind == Kind::Token => {
                self.accounts.identity_token(asked.form("refresh_token").unwrap_or_default())
            }
            _ => self.accounts.caller(asked.authorization.as_deref(), Instant::now()),
        }
    }

    /// The refusal of a caller who may not have this; the token service judges for itself.
    fn refuse(&self, asked: &Asked, caller: &Caller) -> Option<Answer> {
        if asked.kind == Kind::Token {
            return None;
        }
        let repository = asked.repository.as_deref().map(|name| (name, self.contents.get(name).is_some()));
        let refusal = self.accounts.authorise(&self.login, self.access, caller, repository).err()?;
        Some(match refusal {
            Refusal::Denied => Answer::envelope(403, "DENIED", "requested access to the resource is denied"),
            Refusal::Expired => {
                let message = "Your authorization token has expired. Reauthenticate and try again.";
                Answer::envelope(403, "DENIED", message)
            }
            Refusal::Challenge(error) => {
                let scope = asked.repository.as_deref().map(|name| format!("repository:{name}:pull"));
                let after = self.access.challenge == ChallengeForm::BasicAfterLogin && asked.authorization.is_some();
                let login = if after { &Login::Basic } else { &self.login };
                let lines = challenges(login, self.access.challenge, &self.realm(), scope.as_deref(), error);
                let refused = Answer::envelope(401, "UNAUTHORIZED", "authentication required");
                lines.iter().fold(refused, |refused, line| refused.header("WWW-Authenticate", line))
            }
        })
    }

    fn realm(&self) -> String {
        let origin = &self.origin;
        let Login::Bearer(bearer) = &self.login else {
            return "pullgate demo registry".to_owned();
        };
        match &bearer.realm {
            Realm::SamePort => format!("{origin}/token"),
            Realm::OwnPort => format!("{}/token", self.token_origin.as_ref().unwrap_or(origin)),
            Realm::Relative => "/token".to_owned(),
            Realm::Http => format!("{}/token", origin.replacen("https:", "http:", 1)),
            Realm::DoubledPort => {
                let port = origin.rsplit_once(':').map_or("", |(_, port)| port);
                format!("{origin}:{port}/token")
            }
            Realm::Url(url) => url.clone(),
        }
    }

    fn truth(&mut self, asked: &Asked, caller: &Caller) -> Answer {
        if asked.kind == Kind::Token {
            return match self.login.clone() {
                Login::Bearer(bearer) => self.token(&bearer, asked, caller),
                Login::None | Login::Basic => Answer::status(404),
            };
        }
        if asked.method != Method::GET && asked.method != Method::HEAD {
            return Answer::envelope(405, "UNSUPPORTED", "the operation is unsupported");
        }
        let (Some(name), Some(reference)) = (&asked.repository, &asked.reference) else {
            return if asked.kind == Kind::Ping {
                Answer::status(200).body("application/json", "{}")
            } else {
                Answer::status(404)
            };
        };
        let Some(repository) = self.contents.get(name) else {
            let (code, message) = match self.missing_repository {
                MissingRepository::NameUnknown => ("NAME_UNKNOWN", "repository name not known to registry"),
                MissingRepository::ManifestUnknown => ("MANIFEST_UNKNOWN", "manifest unknown"),
            };
            return Answer::envelope(404, code, message);
        };
        match asked.kind {
            Kind::Manifest => match repository.manifest(reference) {
                Some(manifest) => found(manifest),
                None => Answer::envelope(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            },
            Kind::Blob => match repository.blob(reference) {
                Some(blob) => Answer::status(200)
                    .header("Docker-Content-Digest", reference)
                    .body("application/octet-stream", blob.clone()),
                None => Answer::envelope(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            },
            Kind::Tags => {
                let limit = asked.query("n").and_then(|n| n.parse().ok()).unwrap_or(1000);
                let (tags, more) = repository.tags(asked.query("last").unwrap_or_default(), limit);
                let body = json!({"name": name, "tags": tags}).to_string();
                let page = Answer::status(200).body("application/json", body);
                match tags.last() {
                    Some(last) if more => {
                        page.header("Link", &format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\""))
                    }
                    _ => page,
                }
            }
            Kind::Ping | Kind::Token | Kind::Other => Answer::status(404),
        }
    }

    fn token(&mut self, bearer: &Bearer, asked: &Asked, caller: &Caller) -> Answer {
        if let Some(status) = bearer.refuse_post
            && asked.method == Method::POST
        {
            return Answer::envelope(status, "UNSUPPORTED", "no such grant");
        }
        let user = match (caller, bearer.wrong_password) {
            (Caller::User(user), _) => Some(user.as_str()),
            (Caller::Expired | Caller::Wrong | Caller::InvalidToken, WrongPassword::Anonymous)
                if asked.scopes.is_empty() =>
            {
                return Answer::status(401);
            }
            (Caller::Anonymous, _) | (_, WrongPassword::Anonymous) => None,
            (_, WrongPassword::Refused(status)) => {
                let body = json!({"details": "incorrect username or password"}).to_string();
                return Answer::status(status).body("application/json", body);
            }
        };
        let wanted: Vec<&str> = asked.scopes.iter().filter_map(|scope| pulled(scope)).collect();
        let granted: HashSet<String> = wanted
            .iter()
            .filter(|name| self.accounts.may_pull(self.access, user, name, self.contents.get(name).is_some()))
            .map(ToString::to_string)
            .collect();
        if let NoAccess::TokenRefused(status) = self.access.no_access
            && granted.len() < wanted.len()
        {
            let code = if status == 401 { "UNAUTHORIZED" } else { "DENIED" };
            return Answer::envelope(status, code, "requested access to the resource is denied");
        }
        let token = self.accounts.issue(user, granted, Instant::now() + bearer.real_lifetime());
        let mut body = json!({});
        let fields: &[&str] = match bearer.fields {
            TokenFields::Both => &["token", "access_token"],
            TokenFields::Token => &["token"],
            TokenFields::AccessToken => &["access_token"],
            TokenFields::Neither => &[],
        };
        for field in fields {
            body[field] = token.as_str().into();
        }
        if let Some(seconds) = bearer.expires_in {
            body["expires_in"] = seconds.into();
        }
        Answer::status(200).body("application/json", body.to_string())
    }
}

fn entry(asked: &Asked, caller: &Caller) -> LoggedRequest {
    LoggedRequest {
        method: asked.method.clone(),
        path: asked.path.clone(),
        kind: asked.kind,
        repository: asked.repository.clone(),
        namespace: asked.query("ns").map(str::to_owned),
        scopes: asked.scopes.clone(),
        accept: asked.accept.clone(),
        sent_login: asked.authorization.is_some() || asked.form("password").or(asked.form("refresh_token")).is_some(),
        authorised: caller.accepted(),
        as_user: caller.user().map(str::to_owned),
        status: None,
        at: Instant::now(),
    }
}

fn found(manifest: &Manifest) -> Answer {
    Answer::status(200)
        .header("Docker-Content-Digest", &manifest.digest)
        .body(&manifest.media_type, manifest.bytes.clone())
}
