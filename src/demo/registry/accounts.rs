//! Who may pull what: users, private repositories and issued tokens; a login and a repository in, a grant or a refusal
//! out.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::auth::{Access, ChallengeForm, Login, NoAccess};

/// Beyond this many, all tokens are forgotten and clients fetch new ones: a bound for long benchmarks.
const TOKENS_KEPT: usize = 100_000;

/// Users, private repositories and issued tokens.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    passwords: HashMap<String, SecretString>,
    identity_tokens: HashMap<String, SecretString>,
    expired: HashSet<String>,
    private: Vec<(String, HashSet<String>)>,
    tokens: Tokens,
}

/// Issued tokens; opaque, so no client can come to depend on their inside.
#[derive(Default)]
struct Tokens {
    issued: HashMap<String, Grant>,
    counter: u64,
}

/// What a token allows.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) user: Option<String>,
    repositories: HashSet<String>,
    expires: Instant,
}

/// Who is asking, as far as the login tells.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Anonymous,
    User(String),
    /// A known login whose time is over.
    Expired,
    Wrong,
    Token(Grant),
    /// A token that expired, was revoked or never was.
    InvalidToken,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401 with a challenge, and its `error` parameter.
    Challenge(Option<&'static str>),
    /// 403 `DENIED`.
    Denied,
    /// 403 `DENIED` in ECR's words.
    Expired,
}

// === impl Caller ===

impl Caller {
    /// Whether a login came along and was accepted as such.
    pub(super) fn accepted(&self) -> bool {
        matches!(self, Self::User(_) | Self::Token(_))
    }

    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(user),
            Self::Token(grant) => grant.user.as_deref(),
            Self::Anonymous | Self::Expired | Self::Wrong | Self::InvalidToken => None,
        }
    }
}

// === impl Accounts ===

impl Accounts {
    pub(super) fn set_password(&mut self, user: &str, password: SecretString) {
        self.expired.remove(user);
        self.passwords.insert(user.to_owned(), password);
    }

    pub(super) fn set_identity_token(&mut self, user: &str, token: SecretString) {
        self.identity_tokens.insert(user.to_owned(), token);
    }

    pub(super) fn expire_login(&mut self, user: &str) {
        self.expired.insert(user.to_owned());
    }

    pub(super) fn remove_user(&mut self, user: &str) {
        self.passwords.remove(user);
        self.identity_tokens.remove(user);
        self.expired.remove(user);
    }

    /// Lets only `users` pull repositories under `prefix`.
    pub(super) fn set_private(&mut self, prefix: &str, users: &[&str]) {
        self.set_public(prefix);
        self.private.push((prefix.to_owned(), users.iter().map(ToString::to_string).collect()));
    }

    pub(super) fn set_public(&mut self, prefix: &str) {
        self.private.retain(|(held, _)| held != prefix);
    }

    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.issued.clear();
    }

    /// Who sent this `Authorization` header.
    pub(super) fn caller(&self, authorization: Option<&str>, now: Instant) -> Caller {
        let Some(header) = authorization else {
            return Caller::Anonymous;
        };
        let (scheme, value) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return match self.tokens.issued.get(value) {
                Some(grant) if grant.expires > now => Caller::Token(grant.clone()),
                _ => Caller::InvalidToken,
            };
        }
        let decoded = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((user, password)) if scheme.eq_ignore_ascii_case("basic") => self.password(user, password),
            _ => Caller::Wrong,
        }
    }

    /// Whose password this is.
    pub(super) fn password(&self, user: &str, password: &str) -> Caller {
        match self.passwords.get(user) {
            Some(held) if held.expose_secret() != password => Caller::Wrong,
            Some(_) if self.expired.contains(user) => Caller::Expired,
            Some(_) => Caller::User(user.to_owned()),
            None => Caller::Wrong,
        }
    }

    /// Whose identity token this is.
    pub(super) fn identity_token(&self, token: &str) -> Caller {
        let mut held = self.identity_tokens.iter();
        match held.find(|(_, held)| held.expose_secret() == token) {
            Some((user, _)) if self.expired.contains(user) => Caller::Expired,
            Some((user, _)) => Caller::User(user.clone()),
            None => Caller::Wrong,
        }
    }

    /// Whether `user` (`None`: nobody) may pull `repository`.
    pub(super) fn may_pull(&self, access: Access, user: Option<&str>, repository: &str, exists: bool) -> bool {
        let rule = self.private.iter().filter(|(prefix, _)| covers(prefix, repository)).max_by_key(|(p, _)| p.len());
        match rule {
            Some((_, users)) => user.is_some_and(|user| users.contains(user)),
            None => exists || !access.hide_existence,
        }
    }

    /// Issues a token that lets its bearer pull `repositories`.
    pub(super) fn issue(&mut self, user: Option<&str>, repositories: HashSet<String>, expires: Instant) -> String {
        if self.tokens.issued.len() == TOKENS_KEPT {
            self.tokens.issued.clear();
        }
        // Random, so that one registry's token never happens to be good at another. The counter keeps tokens apart even
        // where the system has no randomness to give.
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).ok();
        self.tokens.counter += 1;
        let token = URL_SAFE_NO_PAD.encode(seed) + &format!("{:x}", self.tokens.counter);
        self.tokens.issued.insert(token.clone(), Grant { user: user.map(str::to_owned), repositories, expires });
        token
    }

    /// Lets a request through, or says why not. Requests that name no repository only need a good login.
    pub(super) fn authorise(
        &self,
        login: &Login,
        access: Access,
        caller: &Caller,
        repository: Option<(&str, bool)>,
    ) -> Result<(), Refusal> {
        let bearer = match login {
            Login::None => return Ok(()),
            Login::Basic => false,
            Login::Bearer(_) => true,
        };
        let may_pull = |user| repository.is_none_or(|(name, exists)| self.may_pull(access, user, name, exists));
        let passwords_work = !bearer
            || matches!(
                access.challenge,
                ChallengeForm::Joined | ChallengeForm::TwoLines | ChallengeForm::BasicAfterLogin
            );
        let allowed = match caller {
            Caller::Anonymous if access.open && may_pull(None) => true,
            Caller::Token(grant) if bearer => repository.is_none_or(|(name, _)| grant.repositories.contains(name)),
            Caller::User(user) if passwords_work => may_pull(Some(user)),
            Caller::Expired if passwords_work => return Err(Refusal::Expired),
            Caller::InvalidToken if bearer => return Err(Refusal::Challenge(Some("invalid_token"))),
            Caller::Anonymous
            | Caller::Token(_)
            | Caller::User(_)
            | Caller::Expired
            | Caller::InvalidToken
            | Caller::Wrong => return Err(Refusal::Challenge(None)),
        };
        match access.no_access {
            _ if allowed => Ok(()),
            NoAccess::Unauthorized => Err(Refusal::Challenge(bearer.then_some("insufficient_scope"))),
            NoAccess::Forbidden | NoAccess::TokenRefused(_) => Err(Refusal::Denied),
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("issued", &self.issued.len()).finish_non_exhaustive()
    }
}

/// Whether `repository` is `prefix` or lies under it; an empty prefix covers all.
fn covers(prefix: &str, repository: &str) -> bool {
    let rest = repository.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty() || prefix.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_whole_path_elements() {
        for (prefix, repository, expected) in
            [("team", "team", true), ("team", "team/api", true), ("team", "teams/api", false), ("", "a", true)]
        {
            assert_eq!(covers(prefix, repository), expected, "{prefix} {repository}");
        }
    }

    #[test]
    fn debug_shows_no_password_and_no_token() {
        let mut accounts = Accounts::default();
        accounts.set_password("ann", "hunter2".into());
        let token = accounts.issue(Some("ann"), HashSet::new(), Instant::now());
        let shown = format!("{accounts:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(&token), "{shown}");
    }

    #[test]
    fn the_longest_prefix_decides() {
        let mut accounts = Accounts::default();
        accounts.set_private("team", &["ann"]);
        accounts.set_private("team/open", &["ann", "bob"]);
        let may = |user, name| accounts.may_pull(Access::default(), user, name, true);
        assert!(may(Some("ann"), "team/api") && may(Some("bob"), "team/open") && may(None, "other"));
        assert!(!may(Some("bob"), "team/api") && !may(None, "team/open"));
    }
}
