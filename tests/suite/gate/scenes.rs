//! One scene for every code of findings and notices: a gate whose registry and Secrets are so that a pod of one image comes to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::demo::registry::{Access, Answer, Behaviour, Login, NoAccess};
use pullgate::finding::{Code, NoticeCode};
use serde_json::{Value, json};

use super::{Gate, GateSpec, PASSWORD, TEAM};

const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// A gate, and the review that comes to the code.
pub(crate) struct Scene {
    pub(crate) gate: Gate,
    pub(crate) review: Value,
}

/// Builds the scene for `code`.
pub(crate) async fn scene(code: Code) -> Scene {
    let access = match code {
        Code::NotFoundOrNoAccess => Access { hide_existence: true, ..Access::default() },
        Code::AccessDenied => Access { no_access: NoAccess::Forbidden, ..Access::default() },
        _ => Access::default(),
    };
    let login = match code {
        Code::CredentialsMissing | Code::CredentialsRejected | Code::CredentialsExpired => Login::Basic,
        _ => Login::bearer(),
    };
    let gate = GateSpec::new().login(login).registry(move |spec| spec.access(access)).start().await;
    let registry = &gate.registry;
    registry.push("team/api", "v1");
    let secret = match code {
        Code::CredentialsMissing => None,
        Code::CredentialsRejected => Some("wrong"),
        Code::CredentialsExpired => Some("ecr"),
        Code::AccessDenied | Code::NotFoundOrNoAccess => Some("bobs"),
        Code::PullSecretMalformed => Some("nonsense"),
        _ => Some("regcred"),
    };
    let behave = |answer: Answer| registry.behave("team/api", answer);
    let mut image = gate.image("team/api:v1");
    match code {
        Code::InvalidImageName => image = gate.image("Team/API:v1"),
        Code::TagNotFound => image = gate.image("team/api:v2"),
        Code::DigestNotFound => image = gate.image(&format!("team/api@sha256:{}", "0".repeat(64))),
        Code::RepositoryNotFound => image = gate.image("team/apii:v1"),
        Code::NotFoundOrNoAccess
        | Code::CredentialsMissing
        | Code::CredentialsRejected
        | Code::AccessDenied
        | Code::PullSecretMalformed => {}
        Code::CredentialsExpired => {
            // Three hours before the time of the gate.
            let password = STANDARD.encode(json!({ "type": "DATA_KEY", "expiration": 1_799_989_200 }).to_string());
            registry.set_password("AWS", password.as_str());
            registry.expire_login("AWS");
            gate.cluster(&[gate.login(TEAM, "ecr", "AWS", &password)]);
        }
        Code::UnsupportedManifest => drop(registry.push_raw("team/api", "v1", SCHEMA_1, r#"{"schemaVersion":1}"#)),
        Code::BlockedByRegistry => behave(Answer::envelope(
            412,
            "PROJECTPOLICYVIOLATION",
            "current image with 3 vulnerabilities cannot be pulled",
        )),
        Code::RegistryNotAllowed => image = String::from("refused.example/team/api:v1"),
        Code::RateLimited => {
            behave(Answer::envelope(429, "TOOMANYREQUESTS", "pull rate limit reached").header("retry-after", "30"));
        }
        Code::RegistryUnreachable => registry.stop().await,
        Code::RegistryError => behave(Answer::html(503)),
        Code::PlatformMismatch => {
            registry.push_index("team/api", "v1", &["linux/arm64", "linux/s390x"]);
            gate.cluster(&[gate.login(TEAM, "regcred", "ann", PASSWORD), node()]);
        }
        Code::ErrImageNeverPull => gate.cluster(&[node()]),
        Code::NotChecked => image = String::from("169.254.169.254/latest/meta-data:1"),
    }
    let secrets: Vec<&str> = secret.into_iter().collect();
    let mut review = gate.pod(&[&image], &secrets);
    if code == Code::ErrImageNeverPull {
        review["request"]["object"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    }
    Scene { gate, review }
}

/// Builds the scene for a notice: the image is there.
pub(crate) async fn noticed(code: NoticeCode) -> Scene {
    let login = if code == NoticeCode::CredentialsExpireSoon { Login::Basic } else { Login::None };
    let gate = GateSpec::new().login(login).policy("mode: enforce\npin: { enabled: false }").start().await;
    let registry = &gate.registry;
    let mut image = gate.image("open:v1");
    let (mut secrets, mut policy) = (vec![], "Always");
    let left = |left: u32| {
        let headers =
            [("ratelimit-limit", "100;w=21600".to_owned()), ("ratelimit-remaining", format!("{left};w=21600"))];
        Behaviour::ExtraHeaders(headers.map(|(name, value)| (name.to_owned(), value)).to_vec())
    };
    match code {
        NoticeCode::PullSecretMissing => secrets = vec!["not-there"],
        NoticeCode::MutableTag => policy = "IfNotPresent",
        NoticeCode::ImplicitLatest => {
            registry.push("open", "latest");
            image = gate.image("open");
        }
        // Not allowed here: what is said of the name is said all the same.
        NoticeCode::ImplicitDockerHub => image = "nginx:1.27".to_owned(),
        NoticeCode::PartialPlatform => {
            registry.push_index("open", "v1", &["linux/amd64", "linux/s390x"]);
            gate.cluster(&[node(), arm_node()]);
        }
        NoticeCode::WrongArchitecture => {
            registry.push_for("open", "v1", "linux/arm64");
            gate.cluster(&[node(), arm_node()]);
        }
        NoticeCode::NoPullsLeft => registry.behave("open", left(0)),
        NoticeCode::CredentialsExpireSoon => {
            // Half an hour after the time of the gate.
            let password = STANDARD.encode(json!({ "type": "DATA_KEY", "expiration": 1_800_001_800 }).to_string());
            registry.push("team/api", "v1");
            registry.set_password("AWS", password.as_str());
            registry.private("team", &["AWS"]);
            gate.cluster(&[gate.login(TEAM, "ecr", "AWS", &password)]);
            (image, secrets) = (gate.image("team/api:v1"), vec!["ecr"]);
        }
    }
    let mut review = gate.pod(&[&image], &secrets);
    review["request"]["object"]["spec"]["containers"][0]["imagePullPolicy"] = json!(policy);
    Scene { gate, review }
}

/// The same for another processor.
fn arm_node() -> String {
    node().replace("amd64", "arm64").replace("\"n1\"", "\"n2\"")
}

/// A Node that has one image and takes every pod.
fn node() -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": "n1", "labels": { "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux" } },
        "status": {
            "nodeInfo": { "architecture": "amd64", "operatingSystem": "linux", "containerRuntimeVersion": "containerd://2.2.1" },
            "images": [{ "names": ["registry.k8s.io/pause:3.10"] }],
        },
    })
    .to_string()
}
