//! How the registry may depart from the truth: which requests a rule is for, and what happens to them. Rules change at
//! run time; where several match, the newest wins.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::json;

use super::log::Kind;

/// Which requests a behaviour is for. A plain string stands for the manifests of that repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    repository: Option<String>,
    kind: Option<Kind>,
    method: Option<Method>,
    before_login: bool,
    times: Option<u32>,
}

/// A complete answer, sent as it is.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// The header line of the API goes with it.
    pub(super) signed: bool,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// The truth: for one exception to a wider rule.
    Honest,
    /// This answer instead of the truth.
    Answer(Answer),
    /// 405 for HEAD, the truth for GET.
    Head405,
    /// The truth with these headers added, for example a quota.
    ExtraHeaders(Vec<(String, String)>),
    /// The truth without `Docker-Content-Digest`.
    NoDigestHeader,
    /// A well-formed `Docker-Content-Digest` of something else.
    WrongDigestHeader,
    /// A `Docker-Content-Digest` that is none.
    InvalidDigestHeader,
    /// The true headers over altered bytes: every `1` is a `2`.
    WrongBody,
    /// The truth without `Content-Length`: a GET comes in chunks.
    MissingLength,
    /// 404 `MANIFEST_UNKNOWN` unless `Accept` names the stored media type.
    AcceptSensitive,
    /// The truth after this long.
    Slow(Duration),
    /// No answer; the connection stays open.
    Hang,
    /// The truth at one byte per interval, headers included.
    Drip(Duration),
    /// The connection is dropped.
    Close(Close),
    /// A redirect. `{path}` in the location stands for the path and query that were asked for.
    Redirect {
        /// The status, usually 301, 302, 303, 307 or 308.
        status: u16,
        /// The `Location` header.
        location: String,
    },
    /// 200 with this many bytes of JSON white space.
    HugeBody {
        /// Whether `Content-Length` says so beforehand.
        declared: bool,
        /// How many bytes.
        bytes: u64,
    },
    /// The truth under this many headers of about 100 bytes each.
    HeaderFlood(u16),
}

/// When a connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// After the request, before the first byte of an answer.
    BeforeAnswer,
    /// Within the status line.
    InHead,
    /// Half-way through the body; for HEAD as [`Close::InHead`].
    InBody,
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<(Target, Behaviour)>);

// === impl Target ===

impl Target {
    const fn new(kind: Option<Kind>, before_login: bool) -> Self {
        Self { repository: None, kind, method: None, before_login, times: None }
    }

    /// Every request, before any login is looked at.
    pub const fn all() -> Self {
        Self::new(None, true)
    }

    /// The manifests of every repository, once the login is good.
    pub const fn manifests() -> Self {
        Self::new(Some(Kind::Manifest), false)
    }

    /// The manifests of one repository, once the login is good.
    pub fn repository(name: &str) -> Self {
        Self { repository: Some(name.to_owned()), ..Self::manifests() }
    }

    /// The tags list of one repository, once the login is good.
    pub fn tags(name: &str) -> Self {
        Self { repository: Some(name.to_owned()), ..Self::new(Some(Kind::Tags), false) }
    }

    /// The token service.
    pub const fn token() -> Self {
        Self::new(Some(Kind::Token), true)
    }

    /// `/v2/`.
    pub const fn ping() -> Self {
        Self::new(Some(Kind::Ping), true)
    }

    /// Only requests with this method.
    #[must_use]
    pub fn only(self, method: Method) -> Self {
        Self { method: Some(method), ..self }
    }

    /// Only the next `times` requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Whatever the login is.
    #[must_use]
    pub fn before_login(self) -> Self {
        Self { before_login: true, ..self }
    }

    fn matches(&self, kind: Kind, repository: Option<&str>, method: &Method) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.repository.as_deref().is_none_or(|wanted| Some(wanted) == repository)
    }

    fn same_requests(&self, other: &Self) -> bool {
        self.repository == other.repository && self.kind == other.kind
    }
}

impl From<&str> for Target {
    fn from(repository: &str) -> Self {
        Self::repository(repository)
    }
}

// === impl Answer ===

impl Answer {
    /// This status, nothing else.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), signed: true }
    }

    /// An error in the distribution specification's envelope.
    pub fn envelope(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"errors": [{"code": code, "message": message}]}).to_string();
        Self::status(status).body("application/json", body)
    }

    /// A page such as a proxy in front of a registry sends.
    pub fn html(status: u16) -> Self {
        let body = format!("<html>\r\n<head><title>{status}</title></head>\r\n<body>nginx</body>\r\n</html>\r\n");
        Self::status(status).body("text/html", body).unsigned()
    }

    /// The same without the header line of the API: something else answers in the registry's place.
    #[must_use]
    pub fn unsigned(self) -> Self {
        Self { signed: false, ..self }
    }

    /// Adds a header line. A name or value that HTTP does not allow is left out of the answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }
}

impl From<Answer> for Behaviour {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<Answer> for Option<Behaviour> {
    fn from(answer: Answer) -> Self {
        Some(answer.into())
    }
}

// === impl Rules ===

impl Rules {
    /// Puts a rule on top.
    pub(super) fn set(&mut self, target: Target, behaviour: Behaviour) {
        self.0.retain(|(held, _)| !(held.same_requests(&target) && held.method == target.method));
        if target.times != Some(0) {
            self.0.push((target, behaviour));
        }
    }

    /// Takes away every rule for the same requests; for one method if `target` names it.
    pub(super) fn reset(&mut self, target: &Target) {
        self.0.retain(|(held, _)| {
            !(held.same_requests(target) && (target.method.is_none() || held.method == target.method))
        });
    }

    /// What to do with a request, counting it against a limited rule.
    pub(super) fn behaviour(
        &mut self,
        before_login: bool,
        kind: Kind,
        repository: Option<&str>,
        method: &Method,
    ) -> Option<Behaviour> {
        let index = self
            .0
            .iter()
            .rposition(|(target, _)| target.before_login == before_login && target.matches(kind, repository, method))?;
        let (target, behaviour) = self.0.get_mut(index)?;
        let behaviour = behaviour.clone();
        if let Some(times) = &mut target.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.0.remove(index);
            }
        }
        Some(behaviour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rules: &mut Rules, repository: &str, method: &Method) -> Option<u16> {
        let Behaviour::Answer(answer) = rules.behaviour(false, Kind::Manifest, Some(repository), method)? else {
            panic!("no rule of these tests is anything but an answer");
        };
        Some(answer.status)
    }

    #[test]
    fn the_newest_matching_rule_wins_and_a_limited_one_ends() {
        let mut rules = Rules::default();
        rules.set(Target::manifests(), Answer::status(500).into());
        rules.set(Target::repository("a").only(Method::HEAD).times(1), Answer::status(429).into());
        assert_eq!(status(&mut rules, "a", &Method::GET), Some(500));
        assert_eq!(status(&mut rules, "a", &Method::HEAD), Some(429));
        assert_eq!(status(&mut rules, "a", &Method::HEAD), Some(500));
        assert_eq!(status(&mut rules, "b", &Method::HEAD), Some(500));
    }

    #[test]
    fn a_reset_leaves_the_rules_of_others() {
        let mut rules = Rules::default();
        rules.set("a".into(), Answer::status(500).into());
        rules.set("b".into(), Answer::status(503).into());
        rules.reset(&"a".into());
        assert_eq!(status(&mut rules, "a", &Method::GET), None);
        assert_eq!(status(&mut rules, "b", &Method::GET), Some(503));
    }

    #[test]
    fn a_rule_for_good_logins_leaves_the_first_challenge_alone() {
        let mut rules = Rules::default();
        rules.set("a".into(), Behaviour::Hang);
        assert!(rules.behaviour(true, Kind::Manifest, Some("a"), &Method::GET).is_none());
    }
}
