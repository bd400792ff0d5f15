//! The entries of all pull secrets, by key, to the ordered candidates for one repository
//! (kubernetes/kubernetes `pkg/credentialprovider/keyring.go`, `pkg/credentialprovider/secrets/secrets.go`).

use std::sync::Arc;

use super::docker_config::{self, Malformed, Shape};
use super::go_url::Url;
use super::url_match::Pattern;
use super::{Candidate, Credential, PullSecret, Source, contribution};

/// The key that serves images without a registry when nothing matches.
const DEFAULT_REGISTRY_KEY: &str = "index.docker.io";
/// How much of the name of a bad entry an error repeats, in bytes.
const MAX_ENTRY: usize = 200;
/// How many names that are no URL are kept of one source.
const MAX_PASSED_OVER: usize = 8;

/// The logins of a pod's pull secrets, or of one part of what a node holds.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// In the order of the secrets.
    secrets: Vec<Entries>,
}

/// The logins of one source, their names turned into keys. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    entries: Arc<[Entry]>,
    /// Names that are no URL, as far as they may be shown: kubelets pass them over.
    passed_over: Arc<[(Source, String)]>,
}

/// One entry of a secret.
#[derive(Debug)]
pub(super) struct Entry {
    /// As written, without a login in it.
    pub(super) name: Arc<str>,
    pub(super) key: Arc<str>,
    /// `None`: a key that stops being a URL once its escapes are decoded. It matches nothing.
    pattern: Option<Pattern>,
    pub(super) source: Source,
    credential: Arc<Credential>,
}

/// A pull secret that cannot be decoded. The kubelet then pulls nothing for the pod: not with the other secrets, not
/// with the node's logins and not anonymously.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{go_error}")]
pub struct MalformedSecret {
    /// The name of the Secret.
    pub secret: String,
    /// What the container's `waiting.reason` would be: the error as Go words it.
    pub go_error: String,
    /// The entry at fault, if it is one entry's and its name holds no login.
    pub entry: Option<String>,
    /// The byte of the value at which it stops being JSON, if that is the fault; Go does not say it.
    pub byte: Option<usize>,
}

// === impl Keyring ===

impl Keyring {
    /// Collects the entries of all secrets that contribute, in their order. Entries whose name is no URL are left out.
    ///
    /// # Errors
    /// The first secret that does not decode.
    pub fn from_pull_secrets<'a>(secrets: impl IntoIterator<Item = &'a PullSecret>) -> Result<Self, MalformedSecret> {
        let secrets = secrets.into_iter().map(PullSecret::entries).collect::<Result<_, _>>()?;
        Ok(Self { secrets })
    }

    /// What a node tries for a repository, in order, from [`crate::reference::Reference::name`].
    ///
    /// All entries of all matching keys, the keys in reverse byte order. If none matches and the name counts as Docker
    /// Hub's, the entries under exactly `index.docker.io`. If there are none either, one anonymous attempt; it is never
    /// made after a login.
    pub fn candidates(&self, repository_name: &str) -> Vec<Candidate> {
        Candidate::or_anonymous(self.matching(repository_name))
    }

    /// The same without the anonymous attempt: one part of a union, where every part has its own order and its own turn
    /// to `index.docker.io`, and nothing is anonymous unless all parts are empty.
    pub fn matching(&self, repository_name: &str) -> Vec<Candidate> {
        let repository = Pattern::parse(repository_name.as_bytes());
        let matches = |entry: &&Entry| match (&entry.pattern, &repository) {
            (Some(pattern), Some(repository)) => pattern.matches(repository),
            _ => false,
        };
        let mut found: Vec<&Entry> = self.entries().filter(matches).collect();
        if found.is_empty() && counts_as_default_registry(repository_name) {
            found = self.entries().filter(|entry| &*entry.key == DEFAULT_REGISTRY_KEY).collect();
        }
        // Stable: entries of one key stay in the order of their secrets.
        found.sort_by(|a, b| b.key.cmp(&a.key));
        found.into_iter().map(Entry::candidate).collect()
    }

    /// The keys in order with the source of each entry, for saying what is there when nothing matches.
    pub fn keys(&self) -> Vec<(&str, &Source)> {
        let mut keys: Vec<_> = self.entries().map(|entry| (&*entry.key, &entry.source)).collect();
        keys.sort_by_key(|(key, _)| *key);
        keys
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.secrets.iter().flat_map(|entries| entries.entries.iter())
    }

    /// The names that are no URL, each with its source.
    pub(super) fn passed_over(&self) -> impl Iterator<Item = &(Source, String)> {
        self.secrets.iter().flat_map(|entries| entries.passed_over.iter())
    }
}

impl FromIterator<Entries> for Keyring {
    fn from_iter<T: IntoIterator<Item = Entries>>(parts: T) -> Self {
        Self { secrets: parts.into_iter().collect() }
    }
}

// === impl Entries ===

impl Entries {
    /// The logins of `source` by name. A name that is no URL is left out, as the kubelet does; two names that give the
    /// same key stay in the order they come in.
    pub fn new(source: &Source, named: impl IntoIterator<Item = (String, Credential)>) -> Self {
        let mut passed_over = Vec::new();
        let entry = |(name, credential): (String, Credential)| {
            let Some(key) = key_of(&name) else {
                if passed_over.len() < MAX_PASSED_OVER && name.len() <= MAX_ENTRY && !name.contains('@') {
                    passed_over.push((source.clone(), name));
                }
                return None;
            };
            let key: Arc<str> = key.into();
            let name = if name.contains('@') { Arc::clone(&key) } else { name.into() };
            let pattern = Pattern::parse(key.as_bytes());
            Some(Entry { name, key, pattern, source: source.clone(), credential: Arc::new(credential) })
        };
        let entries = named.into_iter().filter_map(entry).collect();
        Self { entries, passed_over: passed_over.into() }
    }

    /// The logins of a `config.json`.
    ///
    /// # Errors
    /// Go's text for what does not decode.
    pub fn from_config_json(source: &Source, text: &[u8]) -> Result<Self, String> {
        Self::decode(source, Shape::DockerConfigJson, text)
    }

    /// The logins of a `.dockercfg`.
    ///
    /// # Errors
    /// Go's text for what does not decode.
    pub fn from_dockercfg(source: &Source, text: &[u8]) -> Result<Self, String> {
        Self::decode(source, Shape::DockerCfg, text)
    }

    fn decode(source: &Source, shape: Shape, text: &[u8]) -> Result<Self, String> {
        docker_config::decode(shape, text).map(|named| Self::new(source, named)).map_err(|error| error.go_error)
    }
}

// === impl Entry ===

impl Entry {
    fn candidate(&self) -> Candidate {
        Candidate {
            source: self.source.clone(),
            key: Arc::clone(&self.key),
            credential: Some(Arc::clone(&self.credential)),
        }
    }
}

// === impl PullSecret ===

impl PullSecret {
    /// Its entries; none if it does not contribute.
    fn entries(&self) -> Result<Entries, MalformedSecret> {
        self.decoded.get_or_init(|| self.decode()).clone()
    }

    fn decode(&self) -> Result<Entries, MalformedSecret> {
        let Ok((shape, value)) = contribution(self) else {
            return Ok(Entries::default());
        };
        let named = docker_config::decode(shape, value).map_err(|error| MalformedSecret::new(&self.name, error))?;
        // Two names of one secret may give the same key. Their order is random in Go; here it is that of the names.
        Ok(Entries::new(&Source::PullSecret(Arc::clone(&self.name)), named))
    }
}

// === impl MalformedSecret ===

impl MalformedSecret {
    fn new(secret: &str, error: Malformed) -> Self {
        // Somebody may have written `https://user:password@host`; the key does not have that part.
        let entry = error.entry.and_then(|name| if name.contains('@') { key_of(&name) } else { Some(name) });
        let entry = entry.map(|mut name| {
            name.truncate(name.floor_char_boundary(MAX_ENTRY));
            name
        });
        Self { secret: secret.to_owned(), go_error: error.go_error, entry, byte: error.byte }
    }
}

/// The key that an entry's name stands for, or `None` if it is no URL, which the kubelet only logs.
///
/// Bytes that are not UTF-8 after decoding are replaced; such a key matches nothing either way.
fn key_of(name: &str) -> Option<String> {
    let text = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    let Url { host, path } = Url::parse(text.as_bytes())?;
    let versioned = path.starts_with(b"/v1/") || path.starts_with(b"/v2/");
    let path = if versioned { path.get(3..)? } else { &path };
    let path = if path == b"/" { b"" } else { path };
    Some(String::from_utf8_lossy(&[&host, path].concat()).into_owned())
}

/// Not the same as being on Docker Hub: an upper-case host without a dot counts, and so does `localhost`.
fn counts_as_default_registry(repository_name: &str) -> bool {
    match repository_name.split_once('/') {
        None => !repository_name.is_empty(),
        Some((first, _)) => {
            !first.is_empty() && (matches!(first, "docker.io" | "index.docker.io") || !first.contains(['.', ':']))
        }
    }
}

#[cfg(test)]
mod tests;
