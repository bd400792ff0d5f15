//! The causes, as people search for them, each with a pod that comes to it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::Failure;
use crate::images::{self, OCI_MANIFEST};
use crate::net;
use crate::objects::{self, ALICE, WRONG, account, list, pod_with, pull_secret};
use crate::shell::FRESH;
use crate::world::{OTHER_TEAM, SHOP, UNKNOWN_AUTHORITY, World};

use Answer::{Denied, Warned};
use Reality::{Real, Recorded};

/// One cause.
pub(super) struct Trouble {
    pub(super) cause: &'static str,
    pub(super) code: &'static str,
    pub(super) answer: Answer,
    pub(super) reality: Reality,
    pub(super) pod: Value,
    /// What the node says, where the finding does not know it.
    pub(super) node: Option<&'static str>,
    /// What `USER` and `PASSWORD` stand for.
    pub(super) login: (&'static str, &'static str),
    /// What is done once the commands of the message are typed.
    pub(super) then: Then,
}

/// What becomes of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Denied,
    Warned,
}

/// Who answers for the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reality {
    /// A real one, or what is really in its place.
    Real,
    /// A row of `tests/dialects`, by file and name.
    Recorded(&'static str, &'static str),
}

/// How it goes on.
pub(super) enum Then {
    /// The message prints no command.
    Nothing,
    /// The same pod is admitted.
    Again,
    /// The pod is admitted with the tag that the message suggests and that the commands print, too.
    Suggested,
    /// The pod is admitted once its author did what the message says in words.
    Edited(fn(&mut Value)),
}

/// The only cause with a past.
pub(super) const OLD_PODS: &str = "expired ECR token while old pods still run";

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const ACR_USER: &str = "00000000-0000-0000-0000-000000000000";
const PUBLIC_ECR: &str = "public.ecr.aws";
const ROBOT: (&str, &str) = ("robot$ci", "canary-robot");

/// Every cause, in the order of the page.
pub(super) fn table() -> Vec<Trouble> {
    let absent = format!("registry.corp.io/shop/api@sha256:{}", "0".repeat(64));
    let mut never = pod("never", "registry.corp.io/shop/api:v1.4.2", &["regcred-shop"]);
    never["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    let skew = pod("skew", "public.corp.io/unpinned/page:v1", &[]);
    let mut own_list = pod("own-list", "registry.corp.io/shop/api:v1.4.2", &["hub"]);
    own_list["spec"]["serviceAccountName"] = json!("puller");
    let mut alone = pod("alone", "registry.corp.io/shop/api:v1.4.2", &[]);
    alone["spec"]["serviceAccountName"] = json!("web");
    let mut format = pod("format", "registry.corp.io/shop/arm:v1", &["regcred-shop"]);
    let mut platform = pod("platform", "registry.corp.io/shop/multi:v1", &["regcred-shop"]);
    // So that a tag which was pushed again is looked up again.
    for pod in [&mut platform, &mut format] {
        pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    }
    let api = "registry.corp.io/shop/api:v1.4.2";
    let dead = |address: &str| format!("{address}/shop/api:v1.4.2");
    let hub = |row| Recorded("docker-hub", row);
    vec![
        row("no prefix → Docker Hub", "NotFoundOrNoAccess", pod("encoder", "video-encoder:v1.4.2", &["regcred-shop"]))
            .recorded(hub("missing repository"))
            .then(Then::Edited(|pod| set_image(pod, "registry.corp.io/video-encoder:v1.4.2"))),
        row("missing tag → latest", "TagNotFound", pod("untagged", "registry.corp.io/shop/api", &["regcred-shop"]))
            .then(Then::Edited(|pod| set_image(pod, "registry.corp.io/shop/api:v1.4.2"))),
        row("tag absent", "TagNotFound", pod("api", "registry.corp.io/shop/api:v1.4.3", &["regcred-shop"]))
            .then(Then::Suggested),
        row("digest absent", "DigestNotFound", pod("digest", &absent, &["regcred-shop"]))
            .then(Then::Edited(|pod| set_image(pod, "registry.corp.io/shop/api:v1.4.2"))),
        row("repository absent", "RepositoryNotFound", pod("cart", "registry.corp.io/shop/cart:v1", &["regcred-shop"])),
        row("name typo", "RepositoryNotFound", pod("apii", "registry.corp.io/shop/apii:v1.4.2", &["regcred-shop"])),
        row("401 without secret", "CredentialsMissing", alone).then(Then::Again),
        row("403", "AccessDenied", pod("forbidden", &format!("{ECR}/app:v1"), &["ecr-sound"]))
            .recorded(Recorded("ecr", "valid credential without access, nodes without an identity")),
        row("incorrect username or password", "CredentialsRejected", pod("wrong", api, &["wrong"])).then(Then::Again),
        row("the same in a Secret of the old type", "CredentialsRejected", pod("old-type", api, &["dockercfg"]))
            .then(Then::Again),
        row("the same in an immutable Secret", "CredentialsRejected", pod("immutable", api, &["immutable"]))
            .then(Then::Again),
        row("secret in wrong namespace", "CredentialsMissing", pod("elsewhere", api, &["theirs"])).then(Then::Again),
        row("secret absent", "CredentialsMissing", pod("absent", api, &["regcred-lost"])).then(Then::Again),
        row(
            "host:port mismatch",
            "CredentialsMissing",
            pod("port", "registry.corp.io:5000/shop/api:v1.4.2", &["regcred-shop"]),
        )
        .then(Then::Edited(|pod| add_secret(pod, "regcred-registry-corp-io-5000"))),
        row("secret only on the ServiceAccount", "CredentialsMissing", own_list)
            .then(Then::Edited(|pod| add_secret(pod, "regcred-registry-corp-io"))),
        row(OLD_PODS, "CredentialsExpired", pod("new", &format!("{ECR}/app:v1"), &["ecr"]))
            .recorded(Recorded("ecr", "expired token, nodes without an identity"))
            .then(Then::Again),
        row(
            "expired token of the public ECR",
            "CredentialsExpired",
            pod("gallery", "public.ecr.aws/acme/app:v1", &["ecr-public"]),
        )
        .recorded(Recorded("ecr-public", "expired login, at the token server"))
        .then(Then::Again),
        row("expired ACR token", "CredentialsExpired", pod("azure", "acme.azurecr.io/app:v1", &["acr"]))
            .recorded(Recorded("acr", "wrong or expired credential"))
            .then(Then::Again),
        row("Harbor robot expired", "CredentialsRejected", pod("harbor", "harbor.corp.io/team/app:v1", &["robot"]))
            .recorded(Recorded("harbor", "wrong or expired robot"))
            .login(ROBOT)
            .then(Then::Again),
        row(
            "Artifact Registry without permission",
            "NotFoundOrNoAccess",
            pod("google", "europe-docker.pkg.dev/acme/team/app:v1", &["gar"]),
        )
        .recorded(Recorded("google", "valid credential without access, nodes without an identity")),
        row("pull secret that does not decode", "PullSecretMalformed", pod("malformed", api, &["malformed"]))
            .then(Then::Again),
        row("no such host", "RegistryUnreachable", pod("nowhere", &dead(net::UNKNOWN), &[])).warned(),
        row("i/o timeout", "RegistryUnreachable", pod("timeout", &dead(net::TIMEOUT), &[])).warned(),
        row("connection refused", "RegistryUnreachable", pod("refused", &dead(net::REFUSED), &[])).warned(),
        row(
            "x509: certificate signed by unknown authority",
            "RegistryUnreachable",
            pod("x509", &dead(UNKNOWN_AUTHORITY), &[]),
        )
        .warned(),
        row("corporate proxy", "RegistryUnreachable", pod("proxy", &dead(net::BLOCKED), &[])).warned(),
        row("toomanyrequests, anonymous", "RateLimited", pod("limited", "docker.io/acme/public:v1", &[]))
            .recorded(hub("pull limit, anonymous"))
            .warned()
            // Not the login of the next cause, which would be known by then.
            .login(("eve", "canary-eve"))
            .then(Then::Again),
        row("toomanyrequests, logged in", "RateLimited", pod("limited-login", "docker.io/acme/public:v1", &["hub"]))
            .recorded(hub("pull limit, logged in"))
            .warned(),
        row("no match for platform", "PlatformMismatch", on_pool(platform, "s390x")).then(Then::Again),
        row("exec format error, single architecture", "WrongArchitecture", on_pool(format, "amd64"))
            .node("exec /app: exec format error")
            .warned()
            .then(Then::Again),
        row("ErrImageNeverPull", "ErrImageNeverPull", on_pool(never, "amd64")).warned(),
        row("IfNotPresent skew", "MutableTag", skew)
            .node("(nothing: a node that has the tag keeps what it has, and others run something else)")
            .warned(),
        row("InvalidImageName", "InvalidImageName", pod("name", "registry.corp.io/Shop/API:v1.4.2", &["regcred-shop"])),
    ]
}

/// What must be there before: images, Secrets, accounts, Nodes.
pub(super) fn prepare(world: &World) -> Result<(), Failure> {
    let seed = world.places.seed;
    for tag in ["v1.4.1", "v1.4.2", "v1.4.3-rc1"] {
        images::push(seed, "shop/api", tag, tag)?;
    }
    images::push(seed, "video-encoder", "v1.4.2", "encoder")?;
    images::push(seed, "unpinned/page", "v1", "page")?;
    images::image(seed, "shop/arm", "v1", OCI_MANIFEST, "arm64", "arm")?;
    images::index(seed, "shop/multi", "v1", &["amd64", "arm64"])?;
    let hub = "https://index.docker.io/v1/";
    let gar = ("_json_key", "canary-key");
    let jwt = format!("{}.{}.canary", encoded(&json!({})), encoded(&json!({ "exp": hours_ago(3) })));
    let malformed = json!({ "auths": { "registry.corp.io": { "auth": "bm8gY29sb24=" } } });
    let wrong = json!({ "registry.corp.io": { "username": WRONG.0, "password": WRONG.1 } });
    let mut old_type = objects::secret(SHOP, "dockercfg", "kubernetes.io/dockercfg", &json!({}));
    old_type["stringData"] = json!({ ".dockercfg": wrong.to_string() });
    let mut immutable = pull_secret(SHOP, "immutable", &[("registry.corp.io", WRONG)]);
    immutable["immutable"] = json!(true);
    let secrets = [
        old_type,
        immutable,
        pull_secret(SHOP, "regcred-shop", &[("registry.corp.io", ALICE)]),
        pull_secret(SHOP, "hub", &[(hub, ("ann", "canary-right"))]),
        pull_secret(SHOP, "wrong", &[("registry.corp.io", WRONG)]),
        pull_secret(OTHER_TEAM, "theirs", &[("registry.corp.io", ALICE)]),
        pull_secret(SHOP, "ecr", &[(ECR, ("AWS", &ecr_token(-9)))]),
        pull_secret(SHOP, "ecr-sound", &[(ECR, ("AWS", &ecr_token(-8)))]),
        pull_secret(SHOP, "acr", &[("acme.azurecr.io", (ACR_USER, &jwt))]),
        pull_secret(SHOP, "ecr-public", &[(PUBLIC_ECR, ("AWS", &ecr_token(3)))]),
        pull_secret(SHOP, "robot", &[("harbor.corp.io", (ROBOT.0, "canary-robot-of-last-year"))]),
        pull_secret(SHOP, "gar", &[("europe-docker.pkg.dev", gar)]),
        objects::secret(SHOP, "malformed", "kubernetes.io/dockerconfigjson", &malformed),
        account(SHOP, "puller", &["regcred-shop"]),
        account(SHOP, "hubber", &["hub"]),
        account(SHOP, "web", &[]),
        node("mainframe", "s390x"),
        node("server", "amd64"),
    ];
    world.kubectl.apply(&list(secrets))?.succeeded().map(drop)
}

/// A pod that was admitted while its ECR token was good; then twelve hours pass.
pub(super) fn old_pod(world: &World) -> Result<(), Failure> {
    world.kubectl.apply(&pod("old", &format!("{ECR}/app:v1"), &["ecr"]))?.soundly()?;
    let expired = pull_secret(SHOP, "ecr", &[(ECR, ("AWS", &ecr_token(3)))]);
    world.kubectl.apply(&expired)?.succeeded().map(drop)
}

/// A manifest whose `ServiceAccount` has a pull secret for something else. The API server copies such a list into pods, so
/// that only whoever reads manifests sees where it comes from.
pub(super) fn through_its_account() -> Value {
    let mut pod = pod("through", "registry.corp.io/shop/api:v1.4.2", &[]);
    pod["spec"]["serviceAccountName"] = json!("hubber");
    pod
}

fn row(cause: &'static str, code: &'static str, pod: Value) -> Trouble {
    Trouble { cause, code, answer: Denied, reality: Real, pod, node: None, login: ALICE, then: Then::Nothing }
}

// === impl Trouble ===

impl Trouble {
    fn warned(self) -> Self {
        Self { answer: Warned, ..self }
    }

    fn recorded(self, reality: Reality) -> Self {
        Self { reality, ..self }
    }

    fn node(self, says: &'static str) -> Self {
        Self { node: Some(says), ..self }
    }

    fn login(self, login: (&'static str, &'static str)) -> Self {
        Self { login, ..self }
    }

    fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    pub(super) fn name(&self) -> &str {
        self.pod["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn image(&self) -> &str {
        self.pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
    }

    /// The login that its Secret holds in the end, if clouds have given one.
    pub(super) fn fresh(&self) -> Option<(&'static str, &'static str, &'static str)> {
        match self.cause {
            OLD_PODS => Some(("ecr", "AWS", FRESH)),
            "expired token of the public ECR" => Some(("ecr-public", "AWS", FRESH)),
            "expired ACR token" => Some(("acr", ACR_USER, FRESH)),
            "Harbor robot expired" => Some(("robot", ROBOT.0, ROBOT.1)),
            _ => None,
        }
    }
}

fn pod(name: &str, image: &str, secrets: &[&str]) -> Value {
    if secrets.is_empty() { objects::pod(SHOP, name, image) } else { pod_with(SHOP, name, image, secrets) }
}

fn on_pool(mut pod: Value, arch: &str) -> Value {
    pod["spec"]["tolerations"] = json!([{ "key": POOL, "operator": "Exists" }]);
    pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/arch": arch });
    pod
}

/// Only pods that tolerate this land on the Nodes of these causes.
const POOL: &str = "pullgate.dev/shop";

fn node(name: &str, arch: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/arch": arch, "kubernetes.io/os": "linux" } },
        "spec": { "taints": [{ "key": POOL, "value": "test", "effect": "NoSchedule" }] },
        "status": {
            "nodeInfo": {
                "architecture": arch, "operatingSystem": "linux", "containerRuntimeVersion": "containerd://2.2.1",
                "bootID": "", "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "",
                "osImage": "", "systemUUID": "",
            },
            "images": [{ "names": ["registry.k8s.io/pause:3.10"], "sizeBytes": 1 }],
        },
    })
}

fn set_image(pod: &mut Value, image: &str) {
    pod["spec"]["containers"][0]["image"] = json!(image);
}

fn add_secret(pod: &mut Value, name: &str) {
    if let Some(secrets) = pod["spec"]["imagePullSecrets"].as_array_mut() {
        secrets.push(json!({ "name": name }));
    }
}

/// A token as ECR makes them, over since this many hours.
fn ecr_token(hours: i64) -> String {
    let blob = json!({ "payload": "canary-payload", "type": "DATA_KEY", "expiration": hours_ago(hours) });
    STANDARD.encode(blob.to_string())
}

/// In seconds, and half an hour more, so that the number of hours does not change while it is printed.
#[expect(clippy::disallowed_methods, reason = "a token that is over now")]
fn hours_ago(hours: i64) -> i64 {
    (Timestamp::now() - SignedDuration::from_mins(hours * 60 + 30)).as_second()
}

fn encoded(claims: &Value) -> String {
    URL_SAFE_NO_PAD.encode(claims.to_string())
}
