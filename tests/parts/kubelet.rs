//! What a kubelet's reference parser and keyring can be asked, what pullgate answers to the same, and whether two
//! answers agree. A question and its answer are one line of JSON each, or one line together.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::credentials::{Keyring, PullSecret, Source, url_match};
use pullgate::reference::Reference;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

/// One question; the oracle's `op` says which.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Question {
    /// How is this image read?
    Parse { image: String },
    /// Is this key of a keyring meant for this repository?
    Match { key: String, repository: String },
    /// Who does a kubelet log in as for this image?
    Lookup { image: String, secrets: Vec<Secret> },
}

/// A pull secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) data: BTreeMap<String, Text>,
}

/// Bytes that are mostly UTF-8: a JSON string, or `{"base64": "…"}` if they are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Spelling", into = "Spelling")]
pub(crate) struct Text(pub(crate) Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Plain(String),
    Encoded { base64: String },
}

/// One answer; which of them is told from its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// To [`Question::Parse`].
    Reference {
        name: String,
        /// Empty if the first segment is no legal host; a runtime asks that segment all the same.
        registry: String,
        repository: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        tag: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        digest: String,
        runtime: String,
    },
    /// To [`Question::Match`]. What Go reports as an error matches nothing; pullgate does not tell the two apart.
    Match {
        matches: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        error: String,
    },
    /// To [`Question::Lookup`], in the order in which they are tried.
    Candidates { candidates: Vec<Login> },
    /// In the words that a node shows.
    Refused { error: String },
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) secret: String,
    pub(crate) username: Text,
    pub(crate) password: Text,
}

/// pullgate's answer, with what is needed to hold another one against it.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    pub(crate) answer: Answer,
    /// The key of each candidate.
    pub(crate) keys: Vec<String>,
    /// The lengths of the runs of candidates that share key and secret: in Go, such entries come in random order.
    runs: Vec<usize>,
}

/// A question with the oracle's answer, as the committed vectors hold them; one that is new has no answer yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Vector {
    #[serde(flatten)]
    pub(crate) question: Question,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Answer>,
}

// === impl Question ===

impl Question {
    /// pullgate's answer.
    pub(crate) fn ask_pullgate(&self) -> Ours {
        match self {
            Self::Parse { image } => parse(image).into(),
            Self::Match { key, repository } => {
                Answer::Match { matches: url_match(key, repository), error: String::new() }.into()
            }
            Self::Lookup { image, secrets } => lookup(image, secrets),
        }
    }
}

fn parse(image: &str) -> Answer {
    match Reference::parse(image) {
        Ok(reference) => Answer::Reference {
            name: reference.name().to_owned(),
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
            tag: reference.tag().unwrap_or_default().to_owned(),
            digest: reference.digest().map(ToString::to_string).unwrap_or_default(),
            runtime: reference.runtime_form(),
        },
        Err(error) => Answer::Refused { error: error.to_string() },
    }
}

fn lookup(image: &str, secrets: &[Secret]) -> Ours {
    let reference = match Reference::parse(image) {
        Ok(reference) => reference,
        Err(error) => return Answer::Refused { error: error.to_string() }.into(),
    };
    let secrets: Vec<PullSecret> = secrets.iter().map(Secret::pull_secret).collect();
    let keyring = match Keyring::from_pull_secrets(&secrets) {
        Ok(keyring) => keyring,
        Err(malformed) => return Answer::Refused { error: malformed.go_error }.into(),
    };
    let (mut keys, mut candidates) = (Vec::new(), Vec::new());
    for candidate in keyring.candidates(reference.name()) {
        if let (Source::PullSecret(secret), Some(credential)) = (&candidate.source, &candidate.credential) {
            keys.push(candidate.key.to_string());
            candidates.push(Login {
                secret: secret.to_string(),
                username: Text(credential.username.clone().into_bytes()),
                password: Text(credential.password().expose_secret().as_bytes().to_vec()),
            });
        }
    }
    let places: Vec<_> = keys.iter().zip(candidates.iter().map(|login| &login.secret)).collect();
    let runs = places.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
    Ours { answer: Answer::Candidates { candidates }, keys, runs }
}

// === impl Secret ===

impl Secret {
    fn pull_secret(&self) -> PullSecret {
        let data = self.data.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
        PullSecret::new(self.name.as_str(), self.kind.as_str(), data)
    }
}

// === impl Text ===

impl TryFrom<Spelling> for Text {
    type Error = base64::DecodeError;

    fn try_from(spelling: Spelling) -> Result<Self, Self::Error> {
        Ok(Self(match spelling {
            Spelling::Plain(plain) => plain.into_bytes(),
            Spelling::Encoded { base64 } => STANDARD.decode(base64)?,
        }))
    }
}

impl From<Text> for Spelling {
    fn from(Text(bytes): Text) -> Self {
        match String::from_utf8(bytes) {
            Ok(plain) => Self::Plain(plain),
            Err(error) => Self::Encoded { base64: STANDARD.encode(error.as_bytes()) },
        }
    }
}

// === impl Login ===

impl Login {
    /// As pullgate keeps it: what is not UTF-8 has replacement characters.
    fn replaced(&self) -> Self {
        let replaced = |text: &Text| Text(String::from_utf8_lossy(&text.0).into_owned().into_bytes());
        Self { secret: self.secret.clone(), username: replaced(&self.username), password: replaced(&self.password) }
    }
}

// === impl Ours ===

impl From<Answer> for Ours {
    fn from(answer: Answer) -> Self {
        Self { answer, keys: Vec::new(), runs: Vec::new() }
    }
}

impl Ours {
    /// Whether the kubelet's answer means the same.
    pub(crate) fn agrees_with(&self, theirs: &Answer) -> bool {
        match (&self.answer, theirs) {
            (Answer::Match { matches: ours, .. }, Answer::Match { matches: theirs, .. }) => ours == theirs,
            (Answer::Candidates { candidates: ours }, Answer::Candidates { candidates: theirs }) => {
                self.in_one_order(ours) == self.in_one_order(theirs)
            }
            (Answer::Refused { error: ours }, Answer::Refused { error: theirs }) => same_words(ours, theirs),
            (ours, Answer::Reference { name, registry, repository, tag, digest, runtime }) if registry.is_empty() => {
                let (registry, repository) = repository.split_once('/').unwrap_or_default();
                let [name, registry, repository] = [name.as_str(), registry, repository].map(str::to_owned);
                let (tag, digest, runtime) = (tag.clone(), digest.clone(), runtime.clone());
                *ours == Answer::Reference { name, registry, repository, tag, digest, runtime }
            }
            (ours, theirs) => ours == theirs,
        }
    }

    /// Whether two answers of the kubelet to this question are the same, as far as it has an order.
    pub(crate) fn makes_equal(&self, before: &Answer, now: &Answer) -> bool {
        match (before, now) {
            (Answer::Candidates { candidates: before }, Answer::Candidates { candidates: now })
                if self.unordered() > 0 =>
            {
                let [mut before, mut now] = [before.clone(), now.clone()];
                before.sort();
                now.sort();
                before == now
            }
            _ => before == now,
        }
    }

    /// The same with the candidates in the opposite order, which a comparison must notice if there are two.
    pub(crate) fn reversed(&self) -> Self {
        let mut reversed = self.clone();
        if let Answer::Candidates { candidates } = &mut reversed.answer {
            candidates.reverse();
            reversed.keys.reverse();
            reversed.runs.reverse();
        }
        reversed
    }

    /// Whether the candidates in the opposite order are another answer for certain.
    pub(crate) fn has_an_order(&self) -> bool {
        self.unordered() == 0 && self.reversed().answer != self.answer
    }

    /// How many candidates come in random order in Go.
    pub(crate) fn unordered(&self) -> usize {
        self.runs.iter().filter(|length| **length > 1).sum()
    }

    /// The candidates with each run sorted that has no order.
    fn in_one_order(&self, candidates: &[Login]) -> Vec<Login> {
        let mut sorted: Vec<Login> = candidates.iter().map(Login::replaced).collect();
        let mut rest = sorted.as_mut_slice();
        for length in &self.runs {
            let Some((run, after)) = std::mem::take(&mut rest).split_at_mut_checked(*length) else { break };
            run.sort();
            rest = after;
        }
        sorted
    }
}

/// pullgate repeats at most 200 bytes of a bad reference, with an ellipsis for the rest.
fn same_words(ours: &str, theirs: &str) -> bool {
    let shortened = |(start, end): (&str, &str)| theirs.starts_with(start) && theirs.ends_with(end);
    ours == theirs || (ours.len() > 200 && ours.split_once('…').is_some_and(shortened))
}
