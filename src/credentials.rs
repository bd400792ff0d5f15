//! Pull secrets to the ordered logins that a node would try for one repository.
//!
//! Everything is decided as the kubelet decides it (kubernetes/kubernetes `pkg/credentialprovider`): which Secrets
//! count, what an entry says, which keys match, in which order they are tried, and when nothing can be tried at all.

pub mod diagnosis;
mod docker_config;
pub mod expiry;
pub(crate) mod go_base64;
pub(crate) mod go_url;
mod keyring;
pub mod url_match;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

pub use expiry::{Expiry, TokenKind};
pub use keyring::{Entries, Keyring, MalformedSecret};
pub use url_match::url_match;

/// The Secret types that hold registry logins, each with the data key that goes with it.
const SHAPES: [(&str, &str, docker_config::Shape); 2] = [
    ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", docker_config::Shape::DockerConfigJson),
    ("kubernetes.io/dockercfg", ".dockercfg", docker_config::Shape::DockerCfg),
];

/// One login as an entry of a pull secret gives it; either part may be empty.
#[derive(Clone)]
pub struct Credential {
    /// The user name.
    pub username: String,
    password: SecretString,
    /// Beside an empty password stands an `identitytoken`, which kubelets do not read.
    identity_token: bool,
    expiry: OnceLock<Option<Arc<Expiry>>>,
}

/// A credential with both parts, which a containerd node sends.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// Never empty.
    pub username: &'a str,
    /// Never empty.
    pub password: &'a SecretString,
}

/// Whose answer a registry's answer is: equal for equal logins, and says nothing about them without the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId([u8; 16]);

/// The secret that turns logins into [`CredentialId`]s. Replicas that share it agree on the ids.
pub struct IdentityKey(hmac::Key);

/// A Secret named in `imagePullSecrets`. It is decoded once, by the first review that needs it.
#[derive(Clone)]
pub struct PullSecret {
    name: Arc<str>,
    kind: String,
    immutable: bool,
    data: BTreeMap<String, Vec<u8>>,
    decoded: OnceLock<Result<Entries, MalformedSecret>>,
}

/// Where a candidate comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// No login at all.
    Anonymous,
    /// The pull secret of this name.
    PullSecret(Arc<str>),
    /// The docker configuration file of the nodes.
    NodeConfig,
    /// The credential provider plugin of this name, which nodes run.
    Plugin(Arc<str>),
}

/// One attempt that a node would make.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where the credential was found.
    pub source: Source,
    /// The key of the keyring that matched, empty for the anonymous attempt.
    pub key: Arc<str>,
    /// What the entry says, `None` for the anonymous attempt.
    pub credential: Option<Arc<Credential>>,
}

/// Why the kubelet silently passes over a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotContributing {
    /// The type is not one of the two for registry logins.
    #[error("its type is {}, not kubernetes.io/dockerconfigjson", shown_type(found))]
    WrongType {
        /// The type it has.
        found: String,
        /// The key with a login that it holds nevertheless, as in an `Opaque` Secret made by hand.
        key: Option<&'static str>,
    },
    /// The data key that goes with the type is absent.
    #[error("its type is {kind}, but it has no data key {expected}")]
    MissingKey {
        /// The type it has.
        kind: &'static str,
        /// The key that the type asks for.
        expected: &'static str,
        /// The key of the other type, if that is there.
        found: Option<&'static str>,
    },
    /// The value under the right key has no bytes.
    #[error("the value of its data key is empty")]
    Empty,
}

/// Says whether the kubelet reads this Secret at all: type and data key belong together, and the value is not empty
/// (kubernetes/kubernetes `pkg/credentialprovider/secrets/secrets.go`).
///
/// # Errors
/// Why it is ignored. The kubelet logs nothing about that.
pub fn contributes(secret: &PullSecret) -> Result<(), NotContributing> {
    contribution(secret).map(|_| ())
}

fn contribution(secret: &PullSecret) -> Result<(docker_config::Shape, &[u8]), NotContributing> {
    let present = || SHAPES.iter().map(|(_, key, _)| *key).find(|key| secret.data.contains_key(*key));
    let Some((kind, key, shape)) = SHAPES.into_iter().find(|(kind, ..)| *kind == secret.kind) else {
        return Err(NotContributing::WrongType { found: secret.kind.clone(), key: present() });
    };
    match secret.data.get(key) {
        None => Err(NotContributing::MissingKey { kind, expected: key, found: present() }),
        Some(value) if value.is_empty() => Err(NotContributing::Empty),
        Some(value) => Ok((shape, value)),
    }
}

/// A user name as it may be shown beside this password, which is not.
pub(crate) fn shown_username<'u>(user: &'u str, password: &str) -> &'u str {
    let (name, secret) = (user.trim(), password.trim());
    if !secret.is_empty() && name.contains(secret) { "(the password)" } else { user }
}

/// A Secret without a type is stored as `Opaque`.
fn shown_type(kind: &str) -> &str {
    if kind.is_empty() { "Opaque" } else { kind }
}

// === impl Credential ===

impl Credential {
    /// A login from its two parts.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: SecretString::from(password.into()),
            identity_token: false,
            expiry: OnceLock::new(),
        }
    }

    /// The same from an entry that has an `identitytoken`, too.
    fn with_identity_token(self, identity_token: bool) -> Self {
        Self { identity_token, ..self }
    }

    /// The user name as it may be shown: that of some registries is the token that is the password, too.
    pub fn shown_username(&self) -> &str {
        shown_username(&self.username, self.password.expose_secret())
    }

    /// The password as the entry gives it; may be empty.
    pub fn password(&self) -> &SecretString {
        &self.password
    }

    /// What a containerd node sends: nothing unless both parts are there. With an empty password no `Authorization`
    /// header is sent, with an empty user name the kubelet's password is dropped; either way the pull is anonymous.
    pub fn login(&self) -> Option<Login<'_>> {
        let complete = !self.username.is_empty() && !self.password.expose_secret().is_empty();
        complete.then_some(Login { username: &self.username, password: &self.password })
    }

    /// When it ends, where a node would send it and its own text says so. Read once.
    pub fn expiry(&self) -> Option<&Arc<Expiry>> {
        let read = || self.login().and_then(|login| expiry::read(login.username, login.password.expose_secret()));
        self.expiry.get_or_init(|| read().map(Arc::new)).as_ref()
    }

    /// Whether this is its password.
    pub(crate) fn has_password(&self, password: &SecretString) -> bool {
        self.password.expose_secret() == password.expose_secret()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .field("password", &format_args!("[redacted]"))
            .finish_non_exhaustive()
    }
}

// === impl CredentialId ===

impl CredentialId {
    /// No login: what everybody sees.
    pub const ANONYMOUS: Self = Self([0; 16]);

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialId({self})")
    }
}

// === impl IdentityKey ===

impl IdentityKey {
    /// A key from 32 random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// A key that was derived from another secret.
    pub(crate) fn from_key(key: hmac::Key) -> Self {
        Self(key)
    }

    /// The id of a login. A credential that a node would not send is anonymous.
    pub fn id(&self, credential: Option<&Credential>) -> CredentialId {
        let Some(login) = credential.and_then(Credential::login) else {
            return CredentialId::ANONYMOUS;
        };
        let mut context = hmac::Context::with_key(&self.0);
        for field in [login.username, login.password.expose_secret()] {
            // The length keeps `ab`+`c` and `a`+`bc` apart.
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field.as_bytes());
        }
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        CredentialId(id)
    }
}

impl From<[u8; 32]> for IdentityKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self::new(&bytes)
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey([redacted])")
    }
}

// === impl PullSecret ===

impl PullSecret {
    /// A Secret by its name, its type and its data, which is no longer base64.
    pub fn new(name: impl Into<Arc<str>>, kind: impl Into<String>, data: BTreeMap<String, Vec<u8>>) -> Self {
        Self { name: name.into(), kind: kind.into(), immutable: false, data, decoded: OnceLock::new() }
    }

    /// The same of a Secret whose data no update changes, if `immutable` says so.
    #[must_use]
    pub fn kept_as_it_is(self, immutable: bool) -> Self {
        Self { immutable, ..self }
    }

    /// How it is named among candidates.
    pub fn source(&self) -> Source {
        Source::PullSecret(Arc::clone(&self.name))
    }

    /// Whether `kubectl apply` of a Secret that `kubectl create secret docker-registry` makes can renew it: the type of a
    /// Secret never changes, nor does anything in an immutable one (kubernetes/kubernetes `pkg/apis/core/validation/validation.go`,
    /// `ValidateSecretUpdate`).
    pub fn can_be_renewed(&self) -> bool {
        !self.immutable && SHAPES.first().is_some_and(|(kind, ..)| *kind == self.kind)
    }

    /// The value under a key of the data.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(Vec::as_slice)
    }
}

impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecret")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("data", &self.data.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::PullSecret(name) => write!(f, "Secret \"{name}\""),
            Self::NodeConfig => f.write_str("node config.json"),
            Self::Plugin(name) => write!(f, "credential provider \"{name}\""),
        }
    }
}

// === impl Candidate ===

impl Candidate {
    /// The candidates, or the one attempt without a login where there are none: it is never made after a login.
    pub fn or_anonymous(candidates: Vec<Self>) -> Vec<Self> {
        if candidates.is_empty() { vec![Self::anonymous()] } else { candidates }
    }

    /// The attempt without a login.
    pub fn anonymous() -> Self {
        Self { source: Source::Anonymous, key: Arc::default(), credential: None }
    }
}

#[cfg(test)]
mod tests;
