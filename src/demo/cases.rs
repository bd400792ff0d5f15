//! The cases of the demonstration: one for every code, and the good ones beside them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::demo::registry::{Answer, Behaviour, Close, Target};
use crate::demo::stage::{NAMESPACE, OTHER_USER, Stage, USER};
use crate::finding::Code;
use crate::message;

/// A Pod as a real API server sent it, to a validating webhook.
const VALIDATE: &str = include_str!("../../tests/fixtures/admissionreviews/pod-create.validate.json");
/// The same Pod, to a mutating webhook.
const MUTATE: &str = include_str!("../../tests/fixtures/admissionreviews/pod-create.mutate.json");

/// Docker schema 1, as registries of old served it.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Names and passwords that differ in every run.
pub(super) struct Names {
    pub(super) run: String,
    pub(super) password: String,
    pub(super) other_password: String,
}

/// One Pod and what must become of it.
pub(super) struct Case {
    pub(super) title: &'static str,
    image: String,
    secrets: Vec<&'static str>,
    expected: Option<Code>,
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
        Self {
            run: random(),
            password: random(),
            other_password: random(),
        }
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
            secret(
                "regcred",
                &json!({ "auths": { bearer: good, basic: good, hiding: good } }),
            ),
            secret(
                "wrong",
                &json!({ "auths": { bearer: entry(USER, "not-it"), basic: entry(USER, "not-it") } }),
            ),
            secret(
                "other",
                &json!({ "auths": { bearer: entry(OTHER_USER, &self.other_password) } }),
            ),
            secret("elsewhere", &json!({ "auths": { "127.0.0.1": good } })),
            secret(
                "nonsense",
                &json!({ "auths": { "registry.example": { "auth": "%%%" } } }),
            ),
        ]
        .concat()
    }
}

fn random() -> String {
    let mut bytes = [0_u8; 5];
    // Without a random source the names are the same in every run, and the demonstration still holds.
    _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
        .iter()
        .map(|byte| char::from(b"abcdefghjkmnpqrs"[usize::from(byte % 16)]))
        .collect::<String>()
        + &format!("{:x}", bytes[0])
}

/// Every case, over repositories pushed just now.
pub(super) fn all(stage: &Stage) -> Vec<Case> {
    let run = &stage.names.run;
    let host = stage.bearer.host();
    let (private, public, old) = (format!("{run}/api"), format!("{run}/web"), format!("{run}/legacy"));
    let digest = stage
        .bearer
        .push_index(&private, "v1.4.2", &["linux/amd64", "linux/arm64"]);
    stage.bearer.push(&public, "1");
    stage.bearer.push_raw(&old, "1", SCHEMA_1, r#"{"schemaVersion":1}"#);
    stage.bearer.private(&private, &[USER]);
    stage.basic.push(&private, "v1.4.2");
    stage.basic.private(&private, &[USER]);
    stage.hiding.push(&private, "v1.4.2");
    stage.hiding.private(&private, &["nobody"]);
    let image = |registry: &str, repository: &str, tag: &str| format!("{registry}/{repository}:{tag}");
    let absent = format!("sha256:{}", "0".repeat(64));
    let case = Case::new;
    let trouble = |title, code, target: Target, behaviour: Behaviour| {
        let repository = format!("{run}/{}", code_word(title));
        stage.basic.push(&repository, "1");
        Case {
            trouble: Some((Registry::Basic, target, behaviour)),
            ..case(
                title,
                image(&stage.basic.host(), &repository, "1"),
                &["regcred"],
                Some(code),
            )
        }
    };
    let at = |title: &str| Target::repository(&format!("{run}/{}", code_word(title)));
    vec![
        Case {
            mutate: true,
            digest: Some(digest),
            max_requests: Some(3),
            ..case(
                "a private image, with the right login: admitted and pinned",
                image(&host, &private, "v1.4.2"),
                &["regcred"],
                None,
            )
        },
        case(
            "the wrong login first, the right one second: the kubelet tries both",
            image(&host, &private, "v1.4.2"),
            &["wrong", "regcred"],
            None,
        ),
        case(
            "a tag that was never pushed",
            image(&host, &private, "v1.4.3"),
            &["regcred"],
            Some(Code::TagNotFound),
        ),
        case(
            "a digest that is gone",
            format!("{host}/{private}@{absent}"),
            &["regcred"],
            Some(Code::DigestNotFound),
        ),
        case(
            "a repository that does not exist",
            image(&host, &format!("{run}/apii"), "v1"),
            &["regcred"],
            Some(Code::RepositoryNotFound),
        ),
        case(
            "a registry that hides what it has",
            image(&stage.hiding.host(), &private, "v1.4.2"),
            &["regcred"],
            Some(Code::NotFoundOrNoAccess),
        ),
        case(
            "no pull secret at all",
            image(&stage.basic.host(), &private, "v1.4.2"),
            &[],
            Some(Code::CredentialsMissing),
        ),
        case(
            "a pull secret for another port",
            image(&stage.basic.host(), &private, "v1.4.2"),
            &["elsewhere"],
            Some(Code::CredentialsMissing),
        ),
        case(
            "a wrong password",
            image(&stage.basic.host(), &private, "v1.4.2"),
            &["wrong"],
            Some(Code::CredentialsRejected),
        ),
        Case {
            trouble: Some((
                Registry::Bearer,
                Target::repository(&private),
                Answer::envelope(403, "DENIED", "pull is not granted").into(),
            )),
            ..case(
                "a login without the right to pull",
                image(&host, &private, "v1.4.9"),
                &["regcred"],
                Some(Code::AccessDenied),
            )
        },
        case(
            "a pull secret that no kubelet can decode",
            image(&host, &public, "1"),
            &["nonsense"],
            Some(Code::PullSecretMalformed),
        ),
        case(
            "an image in Docker schema 1",
            image(&host, &old, "1"),
            &["regcred"],
            Some(Code::UnsupportedManifest),
        ),
        trouble(
            "blocked by the registry's own policy",
            Code::BlockedByRegistry,
            at("blocked by the registry's own policy"),
            Answer::envelope(
                412,
                "PROJECTPOLICYVIOLATION",
                "current image with 3 vulnerabilities cannot be pulled",
            )
            .into(),
        ),
        case(
            "a registry that this cluster does not allow",
            "registry.example/team/api:1".to_owned(),
            &["regcred"],
            Some(Code::RegistryNotAllowed),
        ),
        case(
            "a name that is no image reference",
            format!("{host}/{}:v1", run.to_uppercase()),
            &["regcred"],
            Some(Code::InvalidImageName),
        ),
        case(
            "an address that nobody should be led to",
            "169.254.169.254/latest/meta-data:1".to_owned(),
            &[],
            Some(Code::NotChecked),
        ),
        trouble(
            "a registry that closes the connection",
            Code::RegistryUnreachable,
            at("a registry that closes the connection"),
            Behaviour::Close(Close::BeforeAnswer),
        ),
        case(
            "a registry that nobody listens at",
            image(&stage.closed, &public, "1"),
            &[],
            Some(Code::RegistryUnreachable),
        ),
        trouble(
            "a registry that is ill",
            Code::RegistryError,
            at("a registry that is ill"),
            Answer::status(503).into(),
        ),
        trouble(
            "a registry that has had enough",
            Code::RateLimited,
            at("a registry that has had enough"),
            Answer::envelope(429, "TOOMANYREQUESTS", "pull rate limit reached")
                .header("retry-after", "30")
                .into(),
        ),
    ]
}

/// One image for a thousand reviews.
pub(super) fn crowd(stage: &Stage) -> Case {
    let repository = format!("{}/crowd", stage.names.run);
    stage.bearer.push(&repository, "1");
    stage.bearer.private(&repository, &[USER]);
    Case::new(
        "",
        format!("{}/{repository}:1", stage.bearer.host()),
        &["regcred"],
        None,
    )
}

/// A repository name from a title.
fn code_word(title: &str) -> String {
    title.chars().filter(char::is_ascii_lowercase).take(24).collect()
}

/// The image that a patch writes into the first container.
pub(super) fn pinned_image(answer: &Value) -> Option<String> {
    let patch = STANDARD.decode(answer["response"]["patch"].as_str()?).ok()?;
    let operations: Value = serde_json::from_slice(&patch).ok()?;
    let replace = operations
        .as_array()?
        .iter()
        .find(|operation| operation["op"] == "replace")?;
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
            format!(
                "\"{}\": expected {:?}, got allowed {allowed} with {requests} requests",
                self.title, self.expected
            )
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
