//! Both registries in memory, behind the product's own seam to HTTP: they answer as the state of the moment says, keep a
//! log, and move the clock where they are slow.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pullgate::finding::Cause;
use pullgate::registry::transport::{Method, Request, Response, Sending, Transport, TransportError};
use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::state::{HOSTS, Image, Login, Mode, Object, State, digest_text};
use crate::support::HandClock;

/// The user of everybody, where a test plants that no key knows whose login it is.
pub(crate) const EVERYBODY: &str = "everybody";

/// The list of a repository's tags.
const TAGS: Object = Object::Tag(usize::MAX);

/// One request and what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged {
    pub(crate) at: Timestamp,
    pub(crate) host: usize,
    /// `None`: the token server.
    pub(crate) image: Option<Image>,
    pub(crate) login: Option<Login>,
    /// `None`: no answer.
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Registries {
    pub(crate) clock: HandClock,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: State,
    log: Vec<Logged>,
    /// Whose login [`EVERYBODY`]'s is just now, by registry.
    asker: [Option<Login>; 2],
}

// === impl Registries ===

impl Registries {
    pub(crate) fn new(state: State, clock: HandClock) -> Arc<Self> {
        Arc::new(Self { clock, shared: Mutex::new(Shared { state, log: Vec::new(), asker: [None; 2] }) })
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> State {
        let mut shared = self.shared();
        change(&mut shared.state);
        shared.state.clone()
    }

    pub(crate) fn asks(&self, asker: [Option<Login>; 2]) {
        self.shared().asker = asker;
    }

    /// What was asked since the log had `from` entries.
    pub(crate) fn log(&self, from: usize) -> Vec<Logged> {
        self.shared().log[from..].to_vec()
    }

    pub(crate) fn logged(&self) -> usize {
        self.shared().log.len()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn answer(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let mut shared = self.shared();
        let host = HOSTS.iter().position(|host| request.url.host_str() == Some(host)).unwrap();
        let at = self.clock.now();
        let path = request.url.path();
        let wanted = (path != "/token").then(|| wanted(host, path));
        let image = wanted.filter(|image| image.object != TAGS);
        let mut logged = Logged { at, host, image, login: None, status: None, retry_after: None };
        let answer = match shared.state.modes[host] {
            Mode::Down => None,
            Mode::Error => Some(status(503)),
            Mode::Limited(retry_after) => {
                logged.retry_after = retry_after;
                let value = retry_after.map(|seconds| seconds.to_string());
                Some(value.into_iter().fold(status(429), |answer, value| with(answer, "retry-after", value)))
            }
            Mode::Up | Mode::Slow(_) => {
                let answer = match wanted {
                    None => token(&shared, host, request, &mut logged),
                    Some(image) => manifest(&shared, image, request, &mut logged),
                };
                if let Mode::Slow(milliseconds) = shared.state.modes[host] {
                    self.clock.advance(Duration::from_millis(milliseconds));
                }
                Some(answer)
            }
        };
        logged.status = answer.as_ref().map(|answer| answer.status);
        shared.log.push(logged);
        let refused = || TransportError { cause: Some(Cause::Refused), detail: "refused".to_owned(), go: None };
        answer.ok_or_else(refused)
    }
}

impl Transport for Registries {
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a> {
        Box::pin(async move {
            // Others go on meanwhile.
            tokio::task::yield_now().await;
            let answer = self.answer(&request);
            tokio::task::yield_now().await;
            answer
        })
    }
}

fn manifest(shared: &Shared, image: Image, request: &Request<'_>, logged: &mut Logged) -> Response {
    let host = image.host;
    let authorization = request.authorization.as_ref().map(ExposeSecret::expose_secret);
    let state = &shared.state;
    let challenge = |error: &str| {
        let scope = format!("repository:team/r{}:pull", image.repository);
        let value = match host {
            0 => "Basic realm=\"one\"".to_owned(),
            _ => format!("Bearer realm=\"https://two.test/token\",service=\"two\",scope=\"{scope}\"{error}"),
        };
        with(status(401), "www-authenticate", value)
    };
    let login = match (host, authorization) {
        (0, Some(basic)) => {
            logged.login = presented(shared, host, basic.strip_prefix("Basic ").unwrap());
            match logged.login {
                Some(login) if state.takes(0, login) => Some(login),
                _ => return challenge(""),
            }
        }
        (_, Some(bearer)) => match bearer.strip_prefix("Bearer ").unwrap() {
            "nobody" => None,
            token => {
                let login = token
                    .split_once('-')
                    .map(|(user, password)| Login { user: user.parse().unwrap(), password: password.parse().unwrap() });
                logged.login = login;
                match login {
                    Some(login) if state.takes(host, login) => Some(login),
                    _ => return challenge(",error=\"invalid_token\""),
                }
            }
        },
        (0, None) => None,
        (_, None) => return challenge(""),
    };
    if !state.pulls(image, login) {
        return match (host, login) {
            (0, Some(_)) => error(403, "DENIED"),
            (0, None) => challenge(""),
            _ => challenge(",error=\"insufficient_scope\""),
        };
    }
    if image.object == TAGS {
        return Response { body: br#"{"tags":["t0"]}"#.to_vec(), ..status(200) };
    }
    match state.manifest(image) {
        None => error(404, "MANIFEST_UNKNOWN"),
        Some(digest) => {
            let answer = with(status(200), "docker-content-digest", digest_text(digest));
            let answer = with(answer, "content-type", "application/vnd.oci.image.manifest.v1+json".to_owned());
            with(answer, "content-length", "500".to_owned())
        }
    }
}

fn token(shared: &Shared, host: usize, request: &Request<'_>, logged: &mut Logged) -> Response {
    let form = request.form.as_ref().map(|form| {
        let field = |name: &str| {
            let mut pairs = form_urlencoded::parse(form.expose_secret().as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        STANDARD.encode(format!("{}:{}", field("username"), field("password")))
    });
    let basic = request.authorization.as_ref().map(|value| value.expose_secret().replace("Basic ", ""));
    let value = match form.or(basic) {
        None => "nobody".to_owned(),
        Some(pair) => {
            logged.login = presented(shared, host, &pair);
            match logged.login {
                Some(login) if shared.state.takes(host, login) => format!("{}-{}", login.user, login.password),
                _ => return status(401),
            }
        }
    };
    let key = if request.method == Method::Post { "access_token" } else { "token" };
    let body = serde_json::json!({ key: value, "expires_in": 300 }).to_string();
    Response { body: body.into_bytes(), ..status(200) }
}

/// The login in `base64(user:password)`: `u0:p3`.
fn presented(shared: &Shared, host: usize, pair: &str) -> Option<Login> {
    let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
    let (user, password) = pair.split_once(':').unwrap();
    if user == EVERYBODY {
        return shared.asker[host];
    }
    Some(Login { user: user[1..].parse().unwrap(), password: password[1..].parse().unwrap() })
}

/// `/v2/team/r0/manifests/t1`, or `/v2/team/r0/tags/list`.
fn wanted(host: usize, path: &str) -> Image {
    let parts: Vec<&str> = path.split('/').collect();
    if let [.., repository, "tags", "list"] = parts.as_slice() {
        return Image { host, repository: repository[1..].parse().unwrap(), object: TAGS };
    }
    let [.., repository, "manifests", object] = parts.as_slice() else { panic!("{path}") };
    let object = match object.strip_prefix("sha256:") {
        Some(hex) => Object::Digest(u32::from_str_radix(hex, 16).unwrap()),
        None => Object::Tag(object[1..].parse().unwrap()),
    };
    Image { host, repository: repository[1..].parse().unwrap(), object }
}

fn status(status: u16) -> Response {
    Response { status, ..Response::default() }
}

fn with(mut answer: Response, name: &str, value: String) -> Response {
    answer.headers.push((name.to_owned(), value));
    answer
}

fn error(code: u16, word: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "code": word, "message": "no" }] }).to_string();
    Response { body: body.into_bytes(), ..status(code) }
}
