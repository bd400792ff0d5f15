//! The cases of the demonstration: one for every code, and the good ones beside them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::demo::registry::{Answer, Behaviour, Target};
use crate::demo::stage::{CLOUD_USER, NAMESPACE, OTHER_USER, Stage, USER};
use crate::finding::Code;
use crate::message;
use crate::time::Clock;

/// A Pod as a real API server sent it, to a validating webhook.
const VALIDATE: &str = include_str!("../../tests/fixtures/admissionreviews/pod-create.validate.json");
/// The same Pod, to a mutating webhook.
const MUTATE: &str = include_str!("../../tests/fixtures/admissionreviews/pod-create.mutate.json");

/// The taint of the demonstration's node.
const POOL: &str = "demo";

/// Docker schema 1, as registries of old served it.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Names and passwords that differ in every run.
pub(super) struct Names {
    pub(super) run: String,
    pub(super) password: String,
    pub(super) other_password: String,
    /// A password as ECR gives them, whose twelve hours ended three hours ago.
    pub(super) ended: String,
}

/// One Pod and what must become of it.
pub(super) struct Case {
    pub(super) title: &'static str,
    image: String,
    secrets: Vec<&'static str>,
    expected: Option<Code>,
    /// Lands on the demonstration's node, with this pull policy.
    lands: Option<&'static str>,
    /// Also sent to `/mutate`; the digest that must be pinned.
    pub(super) mutate: bool,
    digest: Option<String>,
    trouble: Option<(Registry, Target, Behaviour)>,
    max_requests: Option<usize>,
}

/// Which registry a trouble is in.
#[derive(Clone, Copy)]
enum Registry {
    Bearer,
    Basic,
}

// === impl Names ===

impl Names {
    pub(super) fn draw() -> Self {
        let ended = (Clock::system())().as_second() - 3 * 60 * 60;
        let ended = json!({ "payload": random(), "version": "2", "type": "DATA_KEY", "expiration": ended });
        Self { run: random(), password: random(), other_password: random(), ended: STANDARD.encode(ended.to_string()) }
    }

    /// The Secrets of the namespace.
    pub(super) fn secrets(&self, bearer: &str, basic: &str, hiding: &str) -> String {
        let entry = |user: &str, password: &str| json!({ "auth": STANDARD.encode(format!("{user}:{password}")) });
        let good = entry(USER, &self.password);
        let secret = |name: &str, config: &Value| {
            let document = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": name, "namespace": NAMESPACE },
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": { ".dockerconfigjson": config.to_string() },
            });
            format!("---\n{document}\n")
        };
        [
            secret("regcred", &json!({ "auths": { bearer: good, basic: good, hiding: good } })),
            secret("wrong", &json!({ "auths": { bearer: entry(USER, "not-it"), basic: entry(USER, "not-it") } })),
            secret("other", &json!({ "auths": { bearer: entry(OTHER_USER, &self.other_password) } })),
            secret("ecr", &json!({ "auths": { basic: entry(CLOUD_USER, &self.ended) } })),
            secret("elsewhere", &json!({ "auths": { "127.0.0.1": good } })),
            secret("nonsense", &json!({ "auths": { "registry.example": { "auth": "%%%" } } })),
            format!("---\n{}\n", node()),
        ]
        .concat()
    }
}

/// A Node for the pods that tolerate its taint; the others can land nowhere, as far as is known, and no platform is
/// looked at for them.
fn node() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": "node-1", "labels": { "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux" } },
        "spec": { "taints": [{ "key": POOL, "effect": "NoSchedule" }] },
        "status": {
            "nodeInfo": { "architecture": "amd64", "operatingSystem": "linux", "containerRuntimeVersion": "containerd://2.2.1" },
            "images": [{ "names": ["registry.k8s.io/pause:3.10"] }],
        },
    })
}

fn random() -> String {
    let mut bytes = [0_u8; 5];
    // Without a random source the names are the same in every run, and the demonstration still holds.
    _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().map(|byte| char::from(b"abcdefghjkmnpqrs"[usize::from(byte % 16)])).collect::<String>()
        + &format!("{:x}", bytes[0])
}

/// Every case, over repositories pushed just now.
pub(super) fn all(stage: &Stage) -> Vec<Case> {
    let shelf = Shelf::stock(stage);
    [shelf.admitted(), shelf.not_there(), shelf.logins(), shelf.refused(), shelf.nodes(), shelf.not_checked()]
        .into_iter()
        .flatten()
        .collect()
}

/// What was pushed, and where.
struct Shelf<'a> {
    stage: &'a Stage,
    /// In every registry, for [`USER`] only.
    private: String,
    public: String,
    /// Docker schema 1.
    legacy: String,
    /// Of the private index with tokens.
    digest: String,
}

// === impl Shelf ===

impl<'a> Shelf<'a> {
    fn stock(stage: &'a Stage) -> Self {
        let run = &stage.names.run;
        let (private, public, legacy) = (format!("{run}/api"), format!("{run}/web"), format!("{run}/legacy"));
        let digest = stage.bearer.push_index(&private, "v1.4.2", &["linux/amd64", "linux/arm64"]);
        stage.bearer.push(&public, "1");
        stage.bearer.push_index(&public, "arm", &["linux/arm64", "linux/arm/v7"]);
        stage.bearer.push_raw(&legacy, "1", SCHEMA_1, r#"{"schemaVersion":1}"#);
        stage.bearer.private(&private, &[USER]);
        stage.basic.push(&private, "v1.4.2");
        stage.basic.private(&private, &[USER]);
        stage.hiding.push(&private, "v1.4.2");
        stage.hiding.private(&private, &["nobody"]);
        Self { stage, private, public, legacy, digest }
    }

    /// The private repository behind tokens.
    fn token(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.stage.bearer.host(), self.private)
    }

    /// The private repository behind a Basic login.
    fn basic(&self) -> String {
        format!("{}/{}:v1.4.2", self.stage.basic.host(), self.private)
    }

    /// A repository of its own in which the registry misbehaves.
    fn trouble(&self, title: &'static str, code: Code, behaviour: impl Into<Behaviour>) -> Case {
        let word: String = title.chars().filter(char::is_ascii_lowercase).take(24).collect();
        let repository = format!("{}/{word}", self.stage.names.run);
        self.stage.basic.push(&repository, "1");
        let image = format!("{}/{repository}:1", self.stage.basic.host());
        let trouble = Some((Registry::Basic, Target::repository(&repository), behaviour.into()));
        Case { trouble, ..Case::new(title, image, &["regcred"], Some(code)) }
    }

    fn admitted(&self) -> Vec<Case> {
        let pinned = "a private image, with the right login: admitted and pinned";
        let second = "the wrong login first, the right one second: the kubelet tries both";
        vec![
            Case {
                mutate: true,
                digest: Some(self.digest.clone()),
                max_requests: Some(3),
                ..Case::new(pinned, self.token("v1.4.2"), &["regcred"], None)
            },
            Case::new(second, self.token("v1.4.2"), &["wrong", "regcred"], None),
        ]
    }

    fn not_there(&self) -> Vec<Case> {
        let host = self.stage.bearer.host();
        let absent = format!("{host}/{}@sha256:{}", self.private, "0".repeat(64));
        let missing = format!("{host}/{}i:v1", self.private);
        let hidden = format!("{}/{}:v1.4.2", self.stage.hiding.host(), self.private);
        let login = &["regcred"];
        vec![
            Case::new("a tag that was never pushed", self.token("v1.4.3"), login, Some(Code::TagNotFound)),
            Case::new("a digest that is gone", absent, login, Some(Code::DigestNotFound)),
            Case::new("a repository that does not exist", missing, login, Some(Code::RepositoryNotFound)),
            Case::new("a registry that hides what it has", hidden, login, Some(Code::NotFoundOrNoAccess)),
        ]
    }

    fn logins(&self) -> Vec<Case> {
        let undecodable = format!("{}/{}:1", self.stage.bearer.host(), self.public);
        let denied = Answer::envelope(403, "DENIED", "pull is not granted");
        vec![
            Case::new("no pull secret at all", self.basic(), &[], Some(Code::CredentialsMissing)),
            Case::new("a pull secret for another port", self.basic(), &["elsewhere"], Some(Code::CredentialsMissing)),
            Case::new("a wrong password", self.basic(), &["wrong"], Some(Code::CredentialsRejected)),
            Case::new("a cloud's token after its twelve hours", self.basic(), &["ecr"], Some(Code::CredentialsExpired)),
            Case {
                trouble: Some((Registry::Bearer, Target::repository(&self.private), denied.into())),
                ..Case::new(
                    "a login without the right to pull",
                    self.token("v1.4.9"),
                    &["regcred"],
                    Some(Code::AccessDenied),
                )
            },
            Case::new(
                "a pull secret that no kubelet can decode",
                undecodable,
                &["nonsense"],
                Some(Code::PullSecretMalformed),
            ),
        ]
    }

    fn refused(&self) -> Vec<Case> {
        let host = self.stage.bearer.host();
        let legacy = format!("{host}/{}:1", self.legacy);
        let foreign = "registry.example/team/api:1".to_owned();
        let capitals = format!("{host}/{}:v1", self.stage.names.run.to_uppercase());
        let policy =
            Answer::envelope(412, "PROJECTPOLICYVIOLATION", "current image with 3 vulnerabilities cannot be pulled");
        vec![
            Case::new("an image in Docker schema 1", legacy, &["regcred"], Some(Code::UnsupportedManifest)),
            self.trouble("blocked by the registry's own policy", Code::BlockedByRegistry, policy),
            Case::new(
                "a registry that this cluster does not allow",
                foreign,
                &["regcred"],
                Some(Code::RegistryNotAllowed),
            ),
            Case::new("a name that is no image reference", capitals, &["regcred"], Some(Code::InvalidImageName)),
        ]
    }

    fn nodes(&self) -> Vec<Case> {
        let foreign = format!("{}/{}:arm", self.stage.bearer.host(), self.public);
        let loaded = "registry.k8s.io/loaded-by-hand:1".to_owned();
        let on_node = |policy, case| Case { lands: Some(policy), ..case };
        vec![
            on_node(
                "Always",
                Case::new("an image for other processors than the nodes'", foreign, &[], Some(Code::PlatformMismatch)),
            ),
            on_node(
                "Never",
                Case::new("an image that no node has and none may pull", loaded, &[], Some(Code::ErrImageNeverPull)),
            ),
        ]
    }

    fn not_checked(&self) -> Vec<Case> {
        let metadata = "169.254.169.254/latest/meta-data:1".to_owned();
        let closed = format!("{}/{}:1", self.stage.closed, self.public);
        let enough = Answer::envelope(429, "TOOMANYREQUESTS", "pull rate limit reached").header("retry-after", "30");
        vec![
            Case::new("an address that nobody should be led to", metadata, &[], Some(Code::NotChecked)),
            Case::new("a registry that nobody listens at", closed, &[], Some(Code::RegistryUnreachable)),
            self.trouble("a registry that is ill", Code::RegistryError, Answer::status(503)),
            self.trouble("a registry that has had enough", Code::RateLimited, enough),
        ]
    }
}

/// One image for a thousand reviews.
pub(super) fn crowd(stage: &Stage) -> Case {
    let repository = format!("{}/crowd", stage.names.run);
    stage.bearer.push(&repository, "1");
    stage.bearer.private(&repository, &[USER]);
    Case::new("", format!("{}/{repository}:1", stage.bearer.host()), &["regcred"], None)
}

/// The image that a patch writes into the first container.
pub(super) fn pinned_image(answer: &Value) -> Option<String> {
    let patch = STANDARD.decode(answer["response"]["patch"].as_str()?).ok()?;
    let operations: Value = serde_json::from_slice(&patch).ok()?;
    let replace = operations.as_array()?.iter().find(|operation| operation["op"] == "replace")?;
    Some(replace["value"].as_str()?.to_owned())
}

// === impl Case ===

impl Case {
    fn new(title: &'static str, image: String, secrets: &[&'static str], expected: Option<Code>) -> Self {
        Self {
            title,
            image,
            secrets: secrets.to_vec(),
            expected,
            lands: None,
            mutate: false,
            digest: None,
            trouble: None,
            max_requests: None,
        }
    }

    pub(super) fn shown_image(&self) -> String {
        message::shown(&self.image)
    }

    /// The recorded review with this case's image and pull secrets.
    pub(super) fn review(&self, path: &str) -> Value {
        let recorded = if path == "mutate" { MUTATE } else { VALIDATE };
        let mut review: Value = serde_json::from_str(recorded).unwrap_or_default();
        review["request"]["namespace"] = json!(NAMESPACE);
        let spec = &mut review["request"]["object"]["spec"];
        spec["containers"][0]["image"] = json!(self.image);
        spec["containers"][0]["imagePullPolicy"] = json!("Always");
        spec["initContainers"] = json!([]);
        if let Some(policy) = self.lands {
            spec["containers"][0]["imagePullPolicy"] = json!(policy);
            spec["tolerations"] = json!([{ "key": POOL, "operator": "Exists" }]);
        }
        spec["imagePullSecrets"] = self.secrets.iter().map(|name| json!({ "name": name })).collect();
        review
    }

    pub(super) fn prepare(&self, stage: &Stage) {
        if let Some((registry, target, behaviour)) = &self.trouble {
            registry.of(stage).behave(target.clone(), behaviour.clone());
        }
    }

    pub(super) fn clean_up(&self, stage: &Stage) {
        if let Some((registry, target, _)) = &self.trouble {
            registry.of(stage).behave(target.clone(), None);
        }
    }

    /// What is wrong with the answer, if anything is.
    pub(super) fn mistake(&self, pinned: &Value, answer: &Value, requests: usize) -> Option<String> {
        let response = &answer["response"];
        let allowed = response["allowed"] == Value::Bool(true);
        let warned = response["warnings"].to_string();
        let message = response["status"]["message"].as_str().unwrap_or_default();
        let right = match self.expected {
            None => allowed && !warned.contains("was not checked"),
            Some(code) if code.certain() => !allowed && message.starts_with(&format!("{code}: ")),
            Some(code) => allowed && warned.contains(code.as_str()),
        };
        let pinned_right = match &self.digest {
            Some(digest) => pinned_image(pinned).is_some_and(|image| image == format!("{}@{digest}", self.image)),
            None => true,
        };
        let few = self.max_requests.is_none_or(|most| requests <= most);
        (!right || !pinned_right || !few).then(|| {
            format!("\"{}\": expected {:?}, got allowed {allowed} with {requests} requests", self.title, self.expected)
        })
    }
}

// === impl Registry ===

impl Registry {
    fn of(self, stage: &Stage) -> &crate::demo::registry::Registry {
        match self {
            Self::Bearer => &stage.bearer,
            Self::Basic => &stage.basic,
        }
    }
}
