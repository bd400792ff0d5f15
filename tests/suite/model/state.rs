//! What is so at one moment: tags, access and logins of two registries, and what each of them would answer to whom.

use std::collections::{BTreeMap, BTreeSet};

use pullgate::finding::Code;

use super::dice::Dice;

/// The first wants the login itself (`Basic`), the second a token.
pub(crate) const HOSTS: [&str; 2] = ["one.test", "two.test"];

pub(crate) const REPOSITORIES: usize = 2;

pub(crate) const TAGS: usize = 2;

/// Users of each registry.
pub(crate) const USERS: usize = 2;

/// A user of a registry, and which of the passwords that it ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Login {
    pub(crate) user: usize,
    pub(crate) password: u32,
}

/// What a pod names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) host: usize,
    pub(crate) repository: usize,
    pub(crate) object: Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Tag(usize),
    Digest(u32),
}

/// How a registry is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Up,
    /// It answers after so many milliseconds.
    Slow(u64),
    Down,
    Error,
    /// 429, perhaps with `Retry-After`.
    Limited(Option<u64>),
}

/// What may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Manifest(u32),
    Refused(Code),
}

/// Everything that a registry's answer depends on.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) modes: [Mode; 2],
    pub(crate) repositories: [[Repository; REPOSITORIES]; 2],
    pub(crate) passwords: [[u32; USERS]; 2],
    pushed: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Repository {
    pub(crate) public: bool,
    pub(crate) granted: BTreeSet<usize>,
    pub(crate) tags: BTreeMap<usize, u32>,
    pub(crate) manifests: BTreeSet<u32>,
}

// === impl Image ===

impl Image {
    /// As it stands in a pod.
    pub(crate) fn written(self) -> String {
        let name = format!("{}/team/r{}", HOSTS[self.host], self.repository);
        match self.object {
            Object::Tag(tag) => format!("{name}:t{tag}"),
            Object::Digest(digest) => format!("{name}@{}", digest_text(digest)),
        }
    }
}

pub(crate) fn digest_text(digest: u32) -> String {
    format!("sha256:{digest:064x}")
}

// === impl State ===

impl State {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let mut state =
            Self { modes: [Mode::Up; 2], repositories: Default::default(), passwords: [[0; USERS]; 2], pushed: 0 };
        for host in 0..2 {
            for repository in 0..REPOSITORIES {
                for tag in 0..TAGS {
                    state.push(host, repository, tag);
                }
                state.repositories[host][repository].granted = BTreeSet::from([0]);
                state.repositories[host][repository].public = dice.one_in(3);
            }
        }
        state
    }

    /// A new image under a tag.
    pub(crate) fn push(&mut self, host: usize, repository: usize, tag: usize) {
        self.pushed += 1;
        let digest = self.pushed;
        let repository = &mut self.repositories[host][repository];
        repository.manifests.insert(digest);
        repository.tags.insert(tag, digest);
    }

    /// Whether a registry takes a login.
    pub(crate) fn takes(&self, host: usize, login: Login) -> bool {
        self.passwords[host][login.user] == login.password
    }

    pub(crate) fn pulls(&self, image: Image, login: Option<Login>) -> bool {
        let repository = &self.repositories[image.host][image.repository];
        repository.public || login.is_some_and(|login| repository.granted.contains(&login.user))
    }

    /// The manifest behind an image, whoever asks.
    pub(crate) fn manifest(&self, image: Image) -> Option<u32> {
        let repository = &self.repositories[image.host][image.repository];
        match image.object {
            Object::Tag(tag) => repository.tags.get(&tag).copied(),
            Object::Digest(digest) => repository.manifests.get(&digest).copied(),
        }
    }

    /// Everything that a node could be answered now; nothing where the registry does not answer.
    pub(crate) fn answers(&self, image: Image, login: Option<Login>) -> Vec<Answer> {
        if !matches!(self.modes[image.host], Mode::Up | Mode::Slow(_)) {
            return Vec::new();
        }
        let missing = match image.object {
            Object::Tag(_) => Code::TagNotFound,
            Object::Digest(_) => Code::DigestNotFound,
        };
        let served = self.manifest(image).map_or(Answer::Refused(missing), Answer::Manifest);
        let public = self.repositories[image.host][image.repository].public;
        match login {
            Some(login) if !self.takes(image.host, login) => {
                let rejected = Answer::Refused(Code::CredentialsRejected);
                // Where nobody is asked, a node does not show its login.
                if image.host == 0 && public { vec![rejected, served] } else { vec![rejected] }
            }
            _ if self.pulls(image, login) => vec![served],
            None => vec![Answer::Refused(Code::CredentialsMissing)],
            Some(_) if image.host == 0 => vec![Answer::Refused(Code::AccessDenied)],
            Some(_) => vec![Answer::Refused(Code::NotFoundOrNoAccess)],
        }
    }
}
