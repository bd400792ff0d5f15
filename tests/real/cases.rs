//! The cases: an image, the pull secrets in the pod's order, the candidates that a kubelet makes of them (written out
//! by hand, from its keyring's rules) and what containerd is expected to say.

mod basic;
mod bearer;
mod faulty;
mod hosts;
mod logins;
mod mirrors;
mod open;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::images::Images;
use crate::judge::Class;
use crate::scene::Places;

/// User name and password.
pub(crate) type Login = (&'static str, &'static str);

pub(crate) const ALICE: Login = ("alice", "canary-wonderland");
pub(crate) const BOB: Login = ("bob", "canary-builder");
pub(crate) const CAROL: Login = ("carol", "canary-pa:ss:word");
pub(crate) const WRONG: Login = ("alice", "canary-looking-glass");
/// What the kubelet asks with when it has nothing, and what the runtime makes of a login without a user.
pub(crate) const NOBODY: Login = ("", "");

/// What a Secret is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    DockerConfigJson,
    DockerCfg,
    /// The right content under a type that no kubelet reads.
    Opaque,
    /// As `stringData`, the way people write manifests.
    StringData,
    /// Named by the pod, not in the cluster.
    Missing,
}

/// One pull secret.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) form: Form,
    pub(crate) content: Value,
}

/// What the oracle must say for the case to mean anything.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    Digest(String),
    /// One class per candidate.
    Failures(Vec<Class>),
}

/// One image with its secrets.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) secrets: Vec<Secret>,
    /// In the kubelet's order; empty for one anonymous attempt.
    pub(crate) candidates: Vec<Login>,
    pub(crate) want: Want,
    /// The registry never answers: both sides get a short timeout.
    pub(crate) slow: bool,
    /// A code that is right as well, though its class is another.
    pub(crate) or_code: Option<&'static str>,
    /// The `hosts.toml` of the image's registry; the case is asked through `certs.d` then.
    pub(crate) hosts: Option<String>,
    /// pullgate must not be certain, though the node's failure alone would let it.
    pub(crate) uncertain: bool,
}

/// Every case, numbered.
pub(crate) fn all(places: &Places, images: &Images) -> Vec<Case> {
    let mut cases = basic::cases(places, images);
    cases.extend(bearer::cases(places, images));
    cases.extend(open::cases(places, images));
    cases.extend(faulty::cases(places, images));
    cases.extend(hosts::cases(places, images));
    cases.extend(logins::cases(places));
    cases.extend(mirrors::cases(places, images));
    for (index, case) in cases.iter_mut().enumerate() {
        case.number = index + 1;
    }
    cases
}

// === impl Case ===

impl Case {
    pub(crate) fn new(name: &str, image: String) -> Self {
        Self {
            number: 0,
            name: name.to_owned(),
            image,
            secrets: Vec::new(),
            candidates: Vec::new(),
            want: Want::Failures(Vec::new()),
            slow: false,
            or_code: None,
            hosts: None,
            uncertain: false,
        }
    }

    fn secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The candidates that the kubelet makes of the secrets.
    fn asks_as(mut self, candidates: &[Login]) -> Self {
        self.candidates = candidates.to_vec();
        self
    }

    fn resolves_to(mut self, digest: &str) -> Self {
        self.want = Want::Digest(digest.to_owned());
        self
    }

    fn fails(mut self, classes: &[Class]) -> Self {
        self.want = Want::Failures(classes.to_vec());
        self
    }

    fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    fn or_code(mut self, code: &'static str) -> Self {
        self.or_code = Some(code);
        self
    }

    /// Nodes have these hosts for the image's registry.
    fn with_hosts(mut self, hosts: String) -> Self {
        self.hosts = Some(hosts);
        self
    }

    fn uncertain(mut self, code: &'static str) -> Self {
        self.uncertain = true;
        self.or_code(code)
    }

    /// The directory of the image's registry in `certs.d`.
    pub(crate) fn directory(&self) -> String {
        let host = self.image.split('/').next().unwrap_or_default();
        host.rsplit_once(':').map_or_else(|| host.to_owned(), |(name, port)| format!("{name}_{port}_"))
    }

    /// Whether the case can stand beside others in one process: its registry is sound and none of its logins is one
    /// that the registry refuses, for those are counted per registry and process.
    pub(crate) fn may_share(&self) -> bool {
        let refused = |login: &Login| ![ALICE, BOB, CAROL, NOBODY].contains(login);
        self.hosts.is_none() && !self.slow && !self.image.contains("/fault/") && !self.candidates.iter().any(refused)
    }
}

// === impl Secret ===

impl Secret {
    fn new(content: Value) -> Self {
        Self { form: Form::DockerConfigJson, content }
    }

    /// One entry, as `kubectl create secret docker-registry` writes it.
    fn login(key: &str, login: Login) -> Self {
        Self::entries(&[(key, login)])
    }

    fn entries(entries: &[(&str, Login)]) -> Self {
        let auths = entries.iter().map(|(key, login)| ((*key).to_owned(), auth(*login)));
        Self::new(json!({ "auths": auths.collect::<serde_json::Map<_, _>>() }))
    }

    /// One entry with members of its own.
    fn entry(key: &str, entry: Value) -> Self {
        let mut auths = serde_json::Map::new();
        auths.insert(key.to_owned(), entry);
        Self::new(json!({ "auths": auths }))
    }

    fn in_form(mut self, form: Form) -> Self {
        if form == Form::DockerCfg {
            self.content = self.content["auths"].take();
        }
        self.form = form;
        self
    }
}

fn auth((user, password): Login) -> Value {
    json!({ "auth": STANDARD.encode(format!("{user}:{password}")) })
}
