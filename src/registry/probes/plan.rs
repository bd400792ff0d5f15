//! A refusal → what is worth asking beside it, and what the answers make of it. Pure.
//!
//! A refusal often has several causes, and one more question tells them apart: is the login itself good, is the image
//! public, is the repository there. None of them is asked where the registry is known to have said it already.

use std::time::Duration;

use crate::finding::{Code, Probed};
use crate::registry::failure::Failure;

/// All questions about one refusal together take no longer.
pub const LIMIT: Duration = Duration::from_secs(1);

/// A login that was good for itself is so for this long, as one that pulled is.
pub const LOGIN_GOOD: Duration = Duration::from_mins(5);

/// A login that was refused by itself, or about which nothing could be learnt, is not asked about again for this long:
/// registries ban those who keep trying.
pub const LOGIN_REFUSED: Duration = Duration::from_mins(2);

/// Whether an image is public or at another registry, that a repository is there, and when a build was made.
pub const SEEN: Duration = Duration::from_mins(1);

/// That a repository is not there: "I just made it" must not be contradicted.
pub const ABSENT: Duration = Duration::from_secs(5);

/// Nothing is asked of a registry for this long after it said 429 to a question.
pub const REST: Duration = Duration::from_mins(1);

/// Registries whose token server judges a login whatever it is asked for: a token says that the login is good.
/// Others give a wrong login the token of a stranger (Harbor) or do not say.
const JUDGES_LOGINS: [&str; 2] = ["docker.io", "quay.io"];

/// Where Quay's token server is, whatever the host (quay/quay `endpoints/v2/__init__.py`).
const QUAY_REALM: &str = "/v2/auth";

/// Registries that say `NAME_UNKNOWN`, or refuse, where a repository is missing: their `MANIFEST_UNKNOWN` is about the
/// tag. distribution says that of both.
const SAYS_WHICH: [&str; 4] = ["ghcr.io", "quay.io", "gcr.io", "public.ecr.aws"];

/// The same by the end of the name.
const SAYS_WHICH_BELOW: [&str; 4] = [".azurecr.io", ".pkg.dev", ".gcr.io", ".amazonaws.com"];

/// Registries without anonymous access.
const NOTHING_PUBLIC: &str = ".dkr.ecr.";

/// The questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Is the login itself accepted? The token server, without the repository.
    Login,
    /// Is the image public? A HEAD without a login. It explains and admits nothing: nodes do not ask so.
    Public,
    /// Is the repository there? One tag of its list.
    Repository,
    /// When was the build before the wanted one made? Its configuration.
    Built,
    /// Is the same image at another registry that the pod has a login for? A HEAD with that login.
    Elsewhere,
}

/// What is known when a refusal is about to be reported.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The refusal's code.
    pub code: Code,
    /// What the registry said.
    pub words: Option<&'a str>,
    /// The registry as written in the reference.
    pub host: &'a str,
    /// A login was presented.
    pub login: bool,
    /// The realm that gave this login a token, if one did, and how long ago.
    pub granted: Option<(&'a str, Duration)>,
}

/// What to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// About the login.
    pub login: Question,
    /// About the image.
    pub public: bool,
    /// About the repository.
    pub repository: bool,
    /// About its tags: one that is not there was meant to be another.
    pub tags: bool,
}

/// One question that may need no asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Question {
    /// Says nothing, or nothing new.
    #[default]
    Idle,
    /// The answer is known to be yes.
    Yes,
    /// Worth asking.
    Open,
}

/// Whether a refusal of this code may have causes that a question tells apart.
pub fn conceivable(code: Code) -> bool {
    code.refusal() || matches!(code, Code::TagNotFound | Code::DigestNotFound)
}

/// What is worth asking.
pub fn plan(scene: &Scene<'_>) -> Plan {
    let refused = scene.login && scene.code.refusal();
    let login = match (scene.code, scene.granted) {
        (Code::NotFoundOrNoAccess | Code::AccessDenied, Some((realm, age))) if refused => {
            let judges = among(scene.host, &JUDGES_LOGINS) || realm.ends_with(QUAY_REALM);
            match (judges, age < LOGIN_GOOD) {
                (true, true) => Question::Yes,
                (true, false) => Question::Idle,
                (false, _) => Question::Open,
            }
        }
        _ => Question::Idle,
    };
    let missing = matches!(scene.code, Code::TagNotFound | Code::DigestNotFound);
    Plan {
        login,
        public: refused && !scene.host.contains(NOTHING_PUBLIC),
        repository: missing && !says_which(scene),
        tags: scene.code == Code::TagNotFound,
    }
}

/// Whether the 404 is known to be about the manifest, by its words or by who says it.
fn says_which(scene: &Scene<'_>) -> bool {
    let words = scene.words.unwrap_or_default();
    let general = ["MANIFEST_UNKNOWN", "UNKNOWN"]
        .iter()
        .any(|code| words.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')));
    let lower = words.to_ascii_lowercase();
    let of_the_tag = ["tagged by", "fetch \"", "requested image"].iter().any(|part| lower.contains(part));
    let host = scene.host.to_ascii_lowercase();
    !general || of_the_tag || among(&host, &SAYS_WHICH) || SAYS_WHICH_BELOW.iter().any(|end| host.ends_with(end))
}

fn among(host: &str, known: &[&str]) -> bool {
    known.iter().any(|known| host.eq_ignore_ascii_case(known))
}

/// For how long an answer is held.
pub fn lifetime(probe: Probe, said: Option<bool>) -> Duration {
    match (probe, said) {
        (Probe::Login, Some(true)) => LOGIN_GOOD,
        (Probe::Login, Some(false) | None) => LOGIN_REFUSED,
        (Probe::Repository, Some(false)) => ABSENT,
        (Probe::Public | Probe::Repository | Probe::Built | Probe::Elsewhere, _) => SEEN,
    }
}

/// The refusal with what was learnt. Only two answers change its name: a login that is refused by itself is wrong
/// (Harbor gives it a stranger's token first), and a repository that is not there has no tags.
pub fn conclude(failure: Failure, probed: Probed) -> Failure {
    let code = match (failure.code, probed) {
        (Code::NotFoundOrNoAccess | Code::AccessDenied, Probed { login: Some(false), .. }) => Code::CredentialsRejected,
        (Code::TagNotFound | Code::DigestNotFound, Probed { repository: Some(false), .. }) => Code::RepositoryNotFound,
        (code, _) => code,
    };
    Failure { code, probed: Some(probed), ..failure }
}

// === impl Probe ===

impl Probe {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Login, Self::Public, Self::Repository, Self::Built, Self::Elsewhere];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Public => "public",
            Self::Repository => "repository",
            Self::Built => "built",
            Self::Elsewhere => "elsewhere",
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Whether there is nothing more to ask about it: the reason is known, and so is what one more question would tell.
    pub fn settled(&self) -> bool {
        self.explained && (self.probed.is_some() || !conceivable(self.code))
    }

    /// The same, settled as far as the questions go where there is nothing to ask: no login was refused.
    #[must_use]
    pub fn of(self, login: bool) -> Self {
        let nothing = !login && self.code.refusal();
        Self { probed: if nothing { Some(Probed::default()) } else { self.probed }, ..self }
    }

    /// Whether it is the login that was refused, and that is held: one that only a question told of may still pull
    /// what is public.
    pub fn login_refused(&self) -> bool {
        self.code == Code::CredentialsRejected && self.probed.is_none_or(|probed| probed.login != Some(false))
    }
}

#[cfg(test)]
mod tests;
