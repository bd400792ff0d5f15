//! The rows: an image, where it stands in the pod, the pull secrets in the pod's order, and what the node is expected to
//! do, without which an agreement would prove nothing.

mod logins;
mod platforms;
mod references;
mod registries;
mod secrets;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::scene::Scene;

/// User name and password.
pub(crate) type Login = (&'static str, &'static str);

const ALICE: Login = ("alice", "canary-wonderland");
const BOB: Login = ("bob", "canary-builder");
const CAROL: Login = ("carol", "canary-pa:ss:word");
const WRONG: Login = ("alice", "canary-looking-glass");
const STALE: Login = ("alice", "the password before");

/// A pull secret as it is stored.
#[derive(Clone, Debug)]
pub(crate) enum Secret {
    /// Named by the pod, not in the cluster.
    Missing,
    /// Its type, and its one key with the content.
    Stored { kind: &'static str, key: &'static str, content: String },
}

/// Which field names the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Container,
    Init,
    Volume,
}

/// What the node must do for the row to mean anything.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// The container ran and ended well.
    Runs,
    /// The image was pulled; whatever comes then.
    Pulled,
    /// The image was pulled and cannot be started; the node says why, with this part.
    Stuck(&'static str),
    /// The container waits with this reason (of a malformed Secret, this part of it) and a message with this part.
    Fails(&'static str, &'static str),
}

/// What agreement means where it is not "the same, and certain".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// The node's verdict, and a finding must be certain.
    Certain,
    /// A finding that is not certain, whatever the node does.
    Uncertain,
    /// No finding: what decides lies on the node, out of pullgate's sight.
    Unseen,
    /// `UnsupportedManifest`, certain: what the node pulls and cannot start.
    Unsupported,
}

/// One image with its secrets.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) number: usize,
    /// `SUBJECT: what is special`.
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) field: Field,
    pub(crate) policy: &'static str,
    pub(crate) secrets: Vec<Secret>,
    /// Secrets that come through the `ServiceAccount`.
    pub(crate) account_secrets: Vec<Secret>,
    pub(crate) want: Want,
    pub(crate) right: Right,
    /// Only Go's network stack knows the words.
    pub(crate) words_of_go: bool,
    /// Created when the node has pulled what the others name.
    pub(crate) later: bool,
}

/// Every row, numbered.
pub(crate) fn all(scene: &Scene) -> Vec<Row> {
    let (places, digests) = (&scene.places, &scene.digests);
    let mut rows = [
        secrets::rows(places),
        logins::rows(places),
        references::rows(places, digests),
        registries::rows(places),
        platforms::rows(places, digests),
    ]
    .concat();
    for (index, row) in rows.iter_mut().enumerate() {
        row.number = index + 1;
    }
    rows
}

// === impl Row ===

impl Row {
    fn new(name: &str, image: impl Into<String>) -> Self {
        Self {
            number: 0,
            name: name.to_owned(),
            image: image.into(),
            field: Field::Container,
            policy: "Always",
            secrets: Vec::new(),
            account_secrets: Vec::new(),
            want: Want::Runs,
            right: Right::Certain,
            words_of_go: false,
            later: false,
        }
    }

    fn secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    fn account_secret(mut self, secret: Secret) -> Self {
        self.account_secrets.push(secret);
        self
    }

    fn field(mut self, field: Field) -> Self {
        self.field = field;
        self
    }

    fn policy(mut self, policy: &'static str) -> Self {
        self.policy = policy;
        self
    }

    fn runs(mut self) -> Self {
        self.want = Want::Runs;
        self
    }

    fn pulled(mut self) -> Self {
        self.want = Want::Pulled;
        self
    }

    fn stuck(mut self, part: &'static str) -> Self {
        self.want = Want::Stuck(part);
        self
    }

    /// `ErrImagePull`, with this part in the message.
    fn fails(self, part: &'static str) -> Self {
        self.waits("ErrImagePull", part)
    }

    fn waits(mut self, reason: &'static str, part: &'static str) -> Self {
        self.want = Want::Fails(reason, part);
        self
    }

    fn right(mut self, right: Right) -> Self {
        self.right = right;
        self
    }

    fn words_of_go(mut self) -> Self {
        self.words_of_go = true;
        self
    }

    fn later(mut self) -> Self {
        self.later = true;
        self
    }

    /// The pod's name.
    pub(crate) fn pod(&self) -> String {
        format!("row-{}", self.number)
    }

    /// The name of the container or the volume.
    pub(crate) fn subject(&self) -> &'static str {
        match self.field {
            Field::Container => "app",
            Field::Init => "first",
            Field::Volume => "files",
        }
    }
}

// === impl Secret ===

impl Secret {
    /// The usual kind, around any document.
    fn text(content: impl Into<String>) -> Self {
        Self::Stored { kind: "kubernetes.io/dockerconfigjson", key: ".dockerconfigjson", content: content.into() }
    }

    fn document(content: &Value) -> Self {
        Self::text(content.to_string())
    }

    /// One entry, as `kubectl create secret docker-registry` writes it.
    fn login(key: &str, login: Login) -> Self {
        Self::entries(&[(key, login)])
    }

    fn entries(entries: &[(&str, Login)]) -> Self {
        Self::document(&json!({ "auths": auths(entries) }))
    }

    /// One entry with members of its own.
    fn entry(key: &str, entry: &Value) -> Self {
        Self::document(&json!({ "auths": { key: entry } }))
    }

    /// The older kind.
    fn dockercfg(key: &str, login: Login) -> Self {
        let content = Value::Object(auths(&[(key, login)])).to_string();
        Self::Stored { kind: "kubernetes.io/dockercfg", key: ".dockercfg", content }
    }

    /// The same content under another type.
    fn typed(self, kind: &'static str) -> Self {
        match self {
            Self::Stored { key, content, .. } => Self::Stored { kind, key, content },
            Self::Missing => Self::Missing,
        }
    }
}

fn auths(entries: &[(&str, Login)]) -> Map<String, Value> {
    let entry = |(user, password): Login| json!({ "auth": STANDARD.encode(format!("{user}:{password}")) });
    entries.iter().map(|(key, login)| ((*key).to_owned(), entry(*login))).collect()
}
