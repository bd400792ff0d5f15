//! An `image:` string as the kubelet and containerd read it: text in, normal form or the error a node would show out.
//!
//! The rules are those of distribution/reference v0.6.0 (`normalize.go`, `reference.go`, `regexp.go`) as used by
//! kubernetes/kubernetes `pkg/util/parsers/parsers.go`. Nothing is trimmed, decoded or guessed.

mod digest;
mod grammar;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

pub use digest::{Algorithm, Digest, DigestError};

const DOCKER_HUB: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
/// Longest path in bytes: the domain and its slash do not count, `library/` does.
const MAX_PATH: usize = 255;
/// How much of a bad reference an error repeats, in bytes.
const MAX_ECHO: usize = 200;

/// A parsed image reference in normal form.
///
/// Two references are equal when they name the same object: whether `latest` was written makes no difference.
#[derive(Clone, Debug)]
pub struct Reference {
    name: String,
    /// Length of the registry in `name`.
    registry: usize,
    tag: Option<String>,
    implicit_latest: bool,
    digest: Option<Digest>,
}

/// Why a reference does not parse. The text is what a node shows after `couldn't parse image name "…": `, except that
/// at most 200 bytes of the input are repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The whole input is 64 lower-case hexadecimal digits, which an engine would take for an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// The repository has upper-case letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UppercaseRepository(String),
    /// The reference would parse if the part taken for the registry were lower case.
    #[error("repository name must be lowercase")]
    Uppercase,
    /// The grammar does not match.
    #[error("invalid reference format")]
    Format,
    /// The path is too long.
    #[error("repository name must not be more than {MAX_PATH} characters")]
    TooLong,
    /// The part after `@` has the form of a digest and is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// Whether the reference names no registry, so that Docker Hub is meant.
#[must_use]
pub fn image_was_docker_hub_by_default(image: &str) -> bool {
    split_domain(image).0.is_none()
}

/// Whether the API server sets `imagePullPolicy: Always` when the field is empty: the tag is `latest`, written or not
/// (kubernetes/kubernetes `pkg/apis/core/v1/defaults.go`). A reference that does not parse gets `IfNotPresent`.
#[must_use]
pub fn defaults_to_always(image: &str) -> bool {
    Reference::parse(image).is_ok_and(|reference| reference.tag() == Some(DEFAULT_TAG))
}

// === impl Reference ===

impl Reference {
    /// Parses an image reference as the kubelet does.
    ///
    /// # Errors
    /// The first rule that the reference breaks; the pod would wait with `InvalidImageName`.
    pub fn parse(image: &str) -> Result<Self, ReferenceError> {
        if image.len() == 64 && image.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9')) {
            return Err(ReferenceError::Identifier(image.to_owned()));
        }
        let (domain, remainder) = split_domain(image);
        let domain = domain.unwrap_or(DOCKER_HUB);
        let library = if domain == DOCKER_HUB && !remainder.contains('/') { "library/" } else { "" };
        let repository = remainder.split(':').next().unwrap_or(remainder);
        if has_uppercase(repository) {
            return Err(ReferenceError::UppercaseRepository(echo(&[library, repository].concat())));
        }

        let full = format!("{domain}/{library}{remainder}");
        let Some(parts) = grammar::split(&full) else {
            return Err(if has_uppercase(&full) && grammar::split(&lowercase(&full)).is_some() {
                ReferenceError::Uppercase
            } else {
                ReferenceError::Format
            });
        };
        if parts.path.len() > MAX_PATH {
            return Err(ReferenceError::TooLong);
        }
        let digest = parts.digest.map(str::parse::<Digest>).transpose()?;
        let implicit_latest = parts.tag.is_none() && digest.is_none();
        Ok(Self {
            name: parts.name.to_owned(),
            registry: parts.name.find('/').unwrap_or(0),
            tag: parts.tag.or(implicit_latest.then_some(DEFAULT_TAG)).map(str::to_owned),
            implicit_latest,
            digest,
        })
    }

    /// `docker.io/library/busybox`: what the kubelet looks up in its keyring, without tag and digest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host a runtime asks, `docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        self.name.get(..self.registry).unwrap_or_default()
    }

    /// The repository on that host: `library/busybox`.
    pub fn repository(&self) -> &str {
        self.name.get(self.registry + 1..).unwrap_or_default()
    }

    /// The tag as written, or `latest` when there is neither a tag nor a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether [`Reference::tag`] was not written.
    pub fn implicit_latest(&self) -> bool {
        self.implicit_latest
    }

    /// The digest as written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The form that runtimes resolve and show in errors: a tag beside a digest is dropped
    /// (distribution/reference `ParseDockerRef`).
    pub fn runtime_form(&self) -> String {
        let separator = if self.digest.is_some() { '@' } else { ':' };
        format!("{}{separator}{}", self.name, self.object())
    }

    /// The same repository at a digest.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self { tag: None, implicit_latest: false, digest: Some(digest.clone()), ..self.clone() }
    }

    /// What follows `/manifests/`: the digest if there is one, else the tag.
    pub fn object(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }

    fn identity(&self) -> (&str, Option<&str>, Option<&Digest>) {
        (&self.name, self.tag(), self.digest())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(image: &str) -> Result<Self, Self::Err> {
        Self::parse(image)
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Reference {}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

/// Splits off the domain, `None` when Docker Hub is meant without being written.
fn split_domain(image: &str) -> (Option<&str>, &str) {
    match image.split_once('/') {
        Some(("index.docker.io", rest)) => (Some(DOCKER_HUB), rest),
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) || has_uppercase(first) => {
            (Some(first), rest)
        }
        _ => (None, image),
    }
}

fn has_uppercase(text: &str) -> bool {
    text.chars().any(|c| simple_lowercase(c) != c)
}

fn lowercase(text: &str) -> String {
    text.chars().map(simple_lowercase).collect()
}

/// One character for one, as Go's `unicode.ToLower`: `İ` becomes `i`, not `i` with a dot above. Go 1.26 knows the
/// letters of Unicode 15; those that came later have no case for it.
fn simple_lowercase(c: char) -> char {
    match c {
        '\u{1c89}'
        | '\u{a7cb}'
        | '\u{a7cc}'
        | '\u{a7ce}'
        | '\u{a7d2}'
        | '\u{a7d4}'
        | '\u{a7da}'
        | '\u{a7dc}'
        | '\u{10d50}'..='\u{10d65}'
        | '\u{16ea0}'..='\u{16eb8}' => c,
        _ => c.to_lowercase().next().unwrap_or(c),
    }
}

fn echo(text: &str) -> String {
    if text.len() <= MAX_ECHO {
        return text.to_owned();
    }
    let ellipsis = '…';
    let end = text.floor_char_boundary(MAX_ECHO - ellipsis.len_utf8());
    let mut shown = text.get(..end).unwrap_or_default().to_owned();
    shown.push(ellipsis);
    shown
}

#[cfg(test)]
mod tests;
