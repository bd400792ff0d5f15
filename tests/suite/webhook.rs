//! `POST /validate` over HTTPS, with reviews as an API server sent them: what is judged, what passes untouched, and what
//! comes back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod configured;
mod exempt;
mod hostile;

use std::time::{Duration, Instant};

use hyper::Method;
use pullgate::demo::registry::{Behaviour, Login, Target};
use pullgate::finding::Code;
use serde_json::{Value, json};

use crate::gate::{Gate, GateSpec, PASSWORD, TEAM, scene};

/// The first container's image.
const IMAGE: &str = "/request/object/spec/containers/0/image";

fn set(review: &mut Value, pointer: &str, value: impl Into<Value>) {
    *review.pointer_mut(pointer).unwrap() = value.into();
}

#[tokio::test]
async fn a_recorded_pod_is_admitted_and_costs_two_requests_an_image() {
    let gate = GateSpec::new().login(Login::None).start().await;
    gate.registry.push("alice/app", "1.0");
    gate.registry.push("alice/tool", "1");
    let answer = gate.validate(&gate.recorded("pod-create.validate")).await;
    assert!(answer.allowed());
    assert!(answer.is_silent(), "a tag that pullgate pins is not worth a warning: {:?}", answer.warnings());
    let mut asked = gate.asked();
    asked.sort();
    assert_eq!(asked, ["HEAD /v2/alice/app/manifests/1.0 200", "HEAD /v2/alice/tool/manifests/1 200"]);
}

#[tokio::test]
async fn a_recorded_pod_of_a_missing_image_is_denied_and_the_other_image_is_said_to_be_fine() {
    let gate = GateSpec::new().login(Login::None).start().await;
    gate.registry.push("alice/app", "0.9");
    gate.registry.push("alice/tool", "1");
    let answer = gate.validate(&gate.recorded("pod-create.validate")).await;
    assert!(!answer.allowed());
    assert!(answer.first_line().starts_with(r#"TagNotFound: R/alice/app:1.0 (container "app") "#), "{answer:?}");
    assert!(answer.message().ends_with("; 1 other image is fine"), "{answer:?}");
}

#[tokio::test]
async fn an_answer_names_its_code_first() {
    for (code, expected) in [
        (
            Code::InvalidImageName,
            "R/Team/API:v1 (container \"c0\") is no image reference: repository name (Team/API) must be lowercase",
        ),
        (
            Code::TagNotFound,
            "R/team/api:v2 (container \"c0\") is not in the registry: \"MANIFEST_UNKNOWN: manifest unknown\"",
        ),
        (Code::DigestNotFound, "R/team/api@sha256:0 (container \"c0\") is not in the registry"),
        (Code::RepositoryNotFound, "R/team/apii:v1 (container \"c0\") names a repository that R does not have"),
        (
            Code::NotFoundOrNoAccess,
            "R/team/api:v1 (container \"c0\") does not exist, or the login in Secret \"bobs\" may not pull it",
        ),
        (
            Code::CredentialsMissing,
            "R/team/api:v1 (container \"c0\") needs a login at R, and no pull secret of the pod has one for it",
        ),
        (
            Code::CredentialsRejected,
            "R/team/api:v1 (container \"c0\") cannot be pulled: R rejects the login in Secret \"wrong\"",
        ),
        (
            Code::CredentialsExpired,
            "R/team/api:v1 (container \"c0\") cannot be pulled: the ECR token in Secret \"ecr\" expired 3 h ago",
        ),
        (
            Code::AccessDenied,
            "R/team/api:v1 (container \"c0\") cannot be pulled: R accepts the login in Secret \"bobs\" but not for team/api",
        ),
        (
            Code::PullSecretMalformed,
            "R/team/api:v1 (container \"c0\") cannot be pulled: no kubelet can decode Secret \"nonsense\"",
        ),
        (Code::UnsupportedManifest, "R/team/api:v1 (container \"c0\") cannot run: its manifest is Docker schema 1"),
        (Code::BlockedByRegistry, "R/team/api:v1 (container \"c0\") exists, but a policy of R refuses the pull"),
        (
            Code::RegistryNotAllowed,
            "refused.example/team/api:v1 (container \"c0\") comes from refused.example, which this cluster does not allow",
        ),
        (
            Code::RateLimited,
            "R/team/api:v1 (container \"c0\") was not checked: R limits the login in Secret \"regcred\"",
        ),
        (
            Code::RegistryUnreachable,
            "R/team/api:v1 (container \"c0\") was not checked: R refused the connection (seen from pullgate; nodes may differ)",
        ),
        (Code::RegistryError, "R/team/api:v1 (container \"c0\") was not checked: R answered with an error (HTTP 503)"),
        (
            Code::NotChecked,
            "169.254.169.254/latest/meta-data:1 (container \"c0\") was not checked: 169.254.169.254 is a link-local address; guard.allowAddresses does not list it",
        ),
    ] {
        let scene = scene(code).await;
        let answer = scene.gate.validate(&scene.review).await;
        assert_eq!(answer.allowed(), !code.certain(), "{code}");
        let line = answer.first_line().replace(&"0".repeat(64), "0");
        // A warning goes on with what to do.
        let behind = line.strip_prefix(&format!("{code}: {expected}"));
        let right = behind.is_some_and(|behind| behind.is_empty() || answer.allowed() && behind.starts_with("; "));
        assert!(right, "{line}");
    }
}

#[tokio::test]
async fn an_update_is_judged_by_the_image_that_changed() {
    let gate = GateSpec::new().login(Login::None).start().await;
    gate.registry.push("alice/app", "1.0");
    let review = gate.recorded("pod-update-set-image.validate");
    let answer = gate.validate(&review).await;
    assert!(answer.first_line().starts_with("TagNotFound: R/alice/app:1.1 "), "{answer:?}");
    let of_it = |asked: &String| {
        // The build before it is asked for its date.
        let paths = ["/manifests/1.1 ", "/tags/list ", "/manifests/1.0 ", "/blobs/"];
        paths.iter().any(|path| asked.contains(&format!("/alice/app{path}")))
    };
    assert!(gate.asked().iter().all(of_it));
    gate.registry.push("alice/app", "1.1");
    assert!(gate.validate(&review).await.allowed());
}

#[tokio::test]
async fn a_change_of_labels_passes_although_the_image_has_vanished() {
    let gate = Gate::start().await;
    let answer = gate.validate(&gate.recorded("pod-update-label-only.validate")).await;
    assert!(answer.is_silent(), "{answer:?}");
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn an_ephemeral_container_is_judged_alone() {
    let gate = GateSpec::new().login(Login::None).start().await;
    let review = gate.recorded("pod-ephemeralcontainers-update.validate");
    let answer = gate.validate(&review).await;
    let line = answer.first_line();
    assert!(line.starts_with(r#"RepositoryNotFound: R/alice/debug:1 (container "dbg") "#), "{line}");
    gate.registry.push("alice/debug", "1");
    assert!(gate.validate(&review).await.allowed(), "app and tool are missing, and were there before");
}

#[tokio::test]
async fn image_volumes_and_sidecars_are_judged_like_containers() {
    let gate = GateSpec::new().login(Login::None).start().await;
    gate.registry.push("alice/app", "latest");
    let answer = gate.validate(&gate.recorded("pod-create-imagevolume-sidecar.mutate")).await;
    let message = answer.message();
    assert!(message.contains(r#"R/alice/side:1 (container "sidecar")"#), "{message}");
    assert!(message.contains("\n  and 1 more: R/alice/vol:1 (v)"), "{message}");
    let findings = answer.annotation("findings");
    assert!(findings.contains(" spec.initContainers[0].image R/alice/side:1"), "{findings}");
    assert!(findings.contains(" spec.volumes[0].image.reference R/alice/vol:1"), "{findings}");
}

#[tokio::test]
async fn mirror_pods_deletions_and_other_kinds_pass_unread() {
    let gate = Gate::start().await;
    let mirror = gate.recorded("pod-create-mirror-by-kubelet.mutate");
    let mut deletion = gate.recorded("pod-create.validate");
    set(&mut deletion, "/request/operation", "DELETE");
    let old = deletion["request"]["object"].take();
    deletion["request"]["oldObject"] = old;
    let mut status = gate.update(&["127.0.0.1:1/a:1"], &["127.0.0.1:1/b:1"], &[]);
    status["request"]["subResource"] = json!("status");
    let mut binding = gate.pod(&["127.0.0.1:1/a:1"], &[]);
    set(&mut binding, "/request/kind/kind", "Binding");
    set(&mut binding, "/request/resource/resource", "bindings");
    for review in [mirror, deletion, status, binding] {
        assert!(gate.validate(&review).await.is_silent(), "{review}");
        assert!(gate.mutate(&review).await.is_silent(), "{review}");
    }
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn a_template_warns_unless_the_operator_says_deny_or_off() {
    let gate = Gate::start().await;
    for kind in ["deployment", "job", "replicaset"] {
        let mut review = gate.recorded(&format!("{kind}-create.validate"));
        set(&mut review, "/request/object/spec/template/spec/containers/0/image", gate.image("team/web:1"));
        gate.put(gate.policy("mode: enforce"));
        let answer = gate.validate(&review).await;
        assert!(answer.allowed(), "{answer:?}");
        assert!(answer.first_line().starts_with("CredentialsMissing: R/team/web:1 "), "{answer:?}");
        assert_eq!(answer.annotation("enforce-would"), "warn");

        gate.put(gate.policy("mode: enforce\ntemplates: deny"));
        assert!(gate.validate(&review).await.first_line().starts_with("CredentialsMissing: R/team/web:1 "));
        assert!(!gate.validate(&review).await.allowed());

        gate.asked();
        gate.put(gate.policy("mode: enforce\ntemplates: off"));
        assert!(gate.validate(&review).await.is_silent());
        assert!(gate.asked().is_empty(), "off means that nobody looks");
    }
}

#[tokio::test]
async fn a_template_is_judged_with_the_secrets_of_its_service_account() {
    let gate = GateSpec::new().policy("mode: enforce\ntemplates: deny").start().await;
    gate.registry.push("team/web", "1");
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": "builder", "namespace": TEAM },
        "imagePullSecrets": [{ "name": "sacred" }],
    });
    let mut review = gate.recorded("deployment-create.validate");
    set(&mut review, "/request/object/spec/template/spec/containers/0/image", gate.image("team/web:1"));
    gate.cluster(&[account.to_string(), gate.login(TEAM, "sacred", "ann", "wrong")]);
    let answer = gate.validate(&review).await;
    assert!(answer.first_line().starts_with("CredentialsRejected: R/team/web:1 "), "{answer:?}");
    assert!(answer.message().contains(r#"asked as: Secret "sacred" (ServiceAccount "builder"), "#), "{answer:?}");
    gate.cluster(&[account.to_string(), gate.login(TEAM, "sacred", "ann", PASSWORD)]);
    assert!(gate.validate(&review).await.allowed());
}

#[tokio::test]
async fn system_namespaces_and_pullgates_own_are_left_alone() {
    let gate = Gate::start().await;
    gate.put(gate.policy("mode: enforce").with_own_namespace(Some("pullgate".to_owned())));
    for (namespace, judged) in
        [("kube-system", false), ("kube-public", false), ("pullgate", false), ("kube-systems", true), ("default", true)]
    {
        let mut review = gate.pod(&[&gate.image("team/api:1")], &[]);
        set(&mut review, "/request/namespace", namespace);
        let answer = gate.validate(&review).await;
        assert_eq!(!answer.is_silent(), judged, "{namespace}");
        assert_eq!(!gate.asked().is_empty(), judged, "{namespace}");
    }
}

#[tokio::test]
async fn the_namespace_is_the_requests_and_never_the_objects() {
    let gate = Gate::start().await;
    gate.registry.push("team/api", "1");
    let mut review = gate.pod(&[&gate.image("team/api:1")], &["regcred"]);
    assert!(gate.validate(&review).await.allowed());
    // The object claims a namespace that is left alone, or one that has the Secret.
    set(&mut review, "/request/namespace", "team-b");
    for claimed in ["kube-system", TEAM] {
        set(&mut review, "/request/object/metadata/namespace", claimed);
        let answer = gate.validate(&review).await;
        assert!(answer.first_line().starts_with("CredentialsMissing: "), "{answer:?}");
        let missing = r#"Secret "regcred" is named, but it is not in namespace "team-b""#;
        assert!(answer.message().contains(missing), "{answer:?}");
    }
}

#[tokio::test]
async fn an_image_that_is_never_pulled_is_parsed_and_not_asked_for() {
    let gate = Gate::start().await;
    let mut review = gate.pod(&[&gate.image("team/api:1")], &[]);
    set(&mut review, "/request/object/spec/containers/0/imagePullPolicy", "Never");
    assert!(gate.validate(&review).await.is_silent());
    set(&mut review, IMAGE, gate.image("Team/api:1"));
    assert!(gate.validate(&review).await.first_line().starts_with("InvalidImageName: "));
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn an_image_that_hangs_does_not_hide_that_another_one_is_missing() {
    let gate = GateSpec::new().login(Login::None).start().await;
    gate.registry.push("open", "v1");
    gate.registry.push("slow", "v1");
    gate.registry.behave("slow", Behaviour::Hang);
    let review = gate.pod(&[&gate.image("open:v2"), &gate.image("slow:v1")], &[]);
    let (status, body) = gate.post("validate?timeout=1s", review.to_string()).await;
    assert_eq!(status, 200);
    let answer = gate.read("validate", &review, &body);
    assert!(!answer.allowed());
    assert!(answer.first_line().starts_with("TagNotFound: "), "{}", answer.message());
}

#[tokio::test]
async fn a_registry_that_hangs_is_given_up_before_the_api_server_gives_up() {
    let gate = Gate::start().await;
    gate.registry.behave("open", Behaviour::Hang);
    let review = gate.pod(&[&gate.image("open:v1")], &["regcred"]);
    let began = Instant::now();
    let (status, body) = gate.post("validate?timeout=1s", review.to_string()).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(status, 200);
    let answer = gate.read("validate", &review, &body);
    assert!(answer.allowed());
    let expected = r#"NotChecked: R/open:v1 (container "c0") was not checked: the registry did not answer before the review's deadline; nothing in the object is known to be wrong"#;
    assert_eq!(answer.first_line(), expected);
    assert_eq!(gate.metric("pullgate_findings_total{code=\"NotChecked\",cause=\"deadline\""), 1);
}

#[tokio::test]
async fn a_denial_whose_second_look_does_not_finish_is_none() {
    let gate = Gate::start().await;
    gate.registry.behave(Target::repository("open").only(Method::GET), Behaviour::Hang);
    let review = gate.pod(&[&gate.image("open:v2")], &["regcred"]);
    let (_, body) = gate.post("validate?timeout=400ms", review.to_string()).await;
    let answer = gate.read("validate", &review, &body);
    assert!(answer.allowed(), "{answer:?}");
    assert!(answer.first_line().starts_with("NotChecked: R/open:v2 "), "{answer:?}");
}

#[tokio::test]
async fn a_secret_that_does_not_decode_fails_every_image_without_a_request() {
    let gate = Gate::start().await;
    let review = gate.pod(&[&gate.image("open:v1"), &gate.image("open:v2")], &["regcred", "nonsense"]);
    let answer = gate.validate(&review).await;
    let lines = answer.message();
    assert!(
        lines.starts_with("PullSecretMalformed: R/open:v1 ") && lines.contains("and 1 more: R/open:v2 (c1)"),
        "{lines}"
    );
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn where_nodes_may_hold_a_login_a_refusal_only_warns() {
    let rules = "  - { host: '127.0.0.1:*', caFile: CA, nodeAccess: unknown }";
    let gate = GateSpec::new().rules(rules).start().await;
    gate.registry.push("team/api", "1");
    let answer = gate.validate(&gate.pod(&[&gate.image("team/api:1")], &[])).await;
    assert!(answer.allowed());
    assert!(answer.first_line().starts_with("CredentialsMissing: R/team/api:1 "), "{answer:?}");
    // What is not there is not there for nodes either.
    let answer = gate.validate(&gate.pod(&[&gate.image("open:v2")], &["regcred"])).await;
    assert!(!answer.allowed());
}

#[tokio::test]
async fn a_fix_is_seen_by_the_very_next_review() {
    let gate = Gate::start().await;
    gate.registry.push("team/api", "1");
    let review = gate.pod(&[&gate.image("team/api:2")], &["new"]);
    assert!(gate.validate(&review).await.first_line().starts_with("CredentialsMissing: "));
    gate.cluster(&[gate.login(TEAM, "new", "ann", PASSWORD)]);
    assert!(gate.validate(&review).await.first_line().starts_with("TagNotFound: "));
    gate.registry.push("team/api", "2");
    assert!(gate.validate(&review).await.is_silent());
}
