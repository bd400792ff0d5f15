//! How a registry wants its clients to log in, and how it writes that down in a challenge. The shapes are those of real
//! registries (Docker Hub, GHCR, Harbor, ECR, Quay and the reference implementation of distribution).

use std::fmt::Write as _;
use std::time::Duration;

/// A token without `expires_in` lives this long (distribution, `docs/content/spec/auth/token.md`).
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);

/// How the registry wants a client to log in.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Everything is public and an `Authorization` header is ignored.
    #[default]
    None,
    /// A password with every request.
    Basic,
    /// A token from the token service.
    Bearer(Bearer),
}

/// How the token service behaves.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Where the challenge says that the service is.
    pub realm: Realm,
    /// The `service` of the challenge.
    pub service: String,
    /// The status with which `POST` is refused (real ones: 400, 401, 404, 405); `None`: it works.
    pub refuse_post: Option<u16>,
    /// Which fields carry the token.
    pub fields: TokenFields,
    /// The `expires_in` of the answer in seconds; `None`: the field is absent.
    pub expires_in: Option<u64>,
    /// How long a token really lives; `None`: as long as it says.
    pub lifetime: Option<Duration>,
    /// What a wrong password gets.
    pub wrong_password: WrongPassword,
}

/// Where the realm of the challenge points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realm {
    /// `/token` on the registry's own address.
    SamePort,
    /// `/token` on a listener of its own; has to be chosen when the registry starts.
    OwnPort,
    /// `/token`, without scheme and host.
    Relative,
    /// `http://` and the registry's own address.
    Http,
    /// The registry's own address with the port written twice, as Nexus did (sonatype/nexus-public#651).
    DoubledPort,
    /// This text.
    Url(String),
}

/// Which fields of the token service's answer carry the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFields {
    /// `token` and `access_token`.
    #[default]
    Both,
    /// Only `token` (Quay, GitLab).
    Token,
    /// Only `access_token` (ACR).
    AccessToken,
    /// None: an answer without a token.
    Neither,
}

/// What the token service answers to a wrong password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongPassword {
    /// This status and `{"details":"incorrect username or password"}`.
    Refused(u16),
    /// A token for nobody, as Harbor does; 401 without a body where no scope is asked for.
    Anonymous,
}

/// The rules that hold for Basic and Bearer alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A missing repository answers as a private one does.
    pub hide_existence: bool,
    /// Public repositories and `/v2/` answer without any login or token.
    pub open: bool,
    /// What a caller without access gets.
    pub no_access: NoAccess,
    /// How a challenge is written.
    pub challenge: ChallengeForm,
}

/// What a caller gets who may not pull, anonymous callers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoAccess {
    /// A token without the action, then 401 (for Bearer with `error="insufficient_scope"`).
    #[default]
    Unauthorized,
    /// A token without the action, then 403 `DENIED`.
    Forbidden,
    /// No token: the token service answers with this status (GHCR 401 or 403, Google 403). Basic: 403.
    TokenRefused(u16),
}

/// How a challenge is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChallengeForm {
    /// The one scheme in use.
    #[default]
    One,
    /// The scheme in capitals, as Nexus writes it.
    Capitals,
    /// A second scheme after a comma: `Basic` after Bearer (it works), `Negotiate` before Basic (it does not).
    Joined,
    /// The same two on two header lines.
    TwoLines,
    /// No `WWW-Authenticate` at all.
    Absent,
    /// None on the manifest, one on `/v2/` (gcr.io).
    PingOnly,
    /// The one scheme in use to a stranger, `Basic` to whoever sent an `Authorization` header; it works (Harbor).
    BasicAfterLogin,
}

// === impl Login ===

impl Login {
    /// Bearer with a token service on the registry's own address, as most registries have it.
    pub fn bearer() -> Self {
        Self::Bearer(Bearer::default())
    }
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            realm: Realm::SamePort,
            service: "pullgate-demo".to_owned(),
            refuse_post: None,
            fields: TokenFields::Both,
            expires_in: Some(300),
            lifetime: None,
            wrong_password: WrongPassword::Refused(401),
        }
    }
}

impl Bearer {
    pub(super) fn real_lifetime(&self) -> Duration {
        self.lifetime.or(self.expires_in.map(Duration::from_secs)).unwrap_or(DEFAULT_LIFETIME)
    }
}

/// The `WWW-Authenticate` lines of a 401.
pub(super) fn challenges(
    login: &Login,
    form: ChallengeForm,
    realm: &str,
    scope: Option<&str>,
    error: Option<&str>,
) -> Vec<String> {
    let basic = format!("Basic realm=\"{realm}\"");
    let (first, second) = match login {
        Login::None => return Vec::new(),
        Login::Basic => ("Negotiate".to_owned(), basic),
        Login::Bearer(bearer) => {
            let mut line = format!("Bearer realm=\"{realm}\",service=\"{}\"", bearer.service);
            for (name, value) in [("scope", scope), ("error", error)] {
                if let Some(value) = value {
                    // Writing to a String cannot fail.
                    write!(line, ",{name}=\"{value}\"").ok();
                }
            }
            (line, basic)
        }
    };
    let one = if matches!(login, Login::Basic) { &second } else { &first };
    match form {
        ChallengeForm::One | ChallengeForm::BasicAfterLogin => vec![one.clone()],
        ChallengeForm::Capitals => {
            let (scheme, rest) = one.split_once(' ').unwrap_or((one, ""));
            vec![format!("{} {rest}", scheme.to_ascii_uppercase())]
        }
        ChallengeForm::Joined => vec![format!("{first}, {second}")],
        ChallengeForm::TwoLines => vec![first, second],
        ChallengeForm::PingOnly if scope.is_none() => vec![one.clone()],
        ChallengeForm::PingOnly | ChallengeForm::Absent => Vec::new(),
    }
}

/// The repository of a `repository:<name>:<actions>` scope that asks for pull.
pub(super) fn pulled(scope: &str) -> Option<&str> {
    let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    actions.split(',').any(|action| action == "pull" || action == "*").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pull_scope_names_a_repository() {
        for (scope, expected) in [
            ("repository:team/api:pull", Some("team/api")),
            ("repository:team/api:pull,push", Some("team/api")),
            ("repository:team/api:push", None),
            ("registry:catalog:*", None),
        ] {
            assert_eq!(pulled(scope), expected, "{scope}");
        }
    }
}
