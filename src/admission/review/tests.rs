//! Every review that a real API server sent, and what is left of it after damage.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::workload::{Owner, PullSecretNames};

fn fixture(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/admissionreviews");
    std::fs::read(dir.join(format!("{name}.json"))).expect(name)
}

fn edited(name: &str, edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(&fixture(name)).expect("a fixture is JSON");
    edit(&mut review);
    review.to_string().into_bytes()
}

fn subject_of(body: &[u8]) -> Subject {
    parse(body).expect("has a uid").subject
}

/// Either images as `path image`, or the reason to pass.
type Expected = Result<&'static [&'static str], &'static str>;

/// File, the uid's first characters, what is expected.
const FIXTURES: [(&str, &str, Expected); 22] = [
    ("cronjob-create.validate", "", Ok(&["spec.jobTemplate.spec.template.spec.containers[0].image busybox"])),
    (
        "deployment-create.validate",
        "",
        Ok(&[
            "spec.template.spec.containers[0].image 127.0.0.1:15000/alice/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ]),
    ),
    ("job-create.validate", "", Ok(&["spec.template.spec.containers[0].image 127.0.0.1:15003/alice/app:1.0"])),
    ("pod-create-by-daemonset.mutate", "", Ok(&["spec.containers[0].image 127.0.0.1:15003/alice/app:1.0"])),
    ("pod-create-by-job.mutate", "", Ok(&["spec.containers[0].image 127.0.0.1:15003/alice/app:1.0"])),
    (
        "pod-create-by-replicaset.mutate",
        "",
        Ok(&[
            "spec.containers[0].image 127.0.0.1:15000/alice/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ]),
    ),
    (
        "pod-create-by-replicaset.validate",
        "",
        Ok(&[
            "spec.containers[0].image 127.0.0.1:15000/alice/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ]),
    ),
    ("pod-create-by-statefulset.mutate", "", Ok(&["spec.containers[0].image docker.io/library/busybox:1.36"])),
    ("pod-create-dryrun.mutate", "", Ok(&["spec.containers[0].image x"])),
    (
        "pod-create-imagevolume-sidecar.mutate",
        "7349e655",
        Ok(&[
            "spec.containers[0].image 127.0.0.1:15000/alice/app:latest",
            "spec.initContainers[0].image 127.0.0.1:15000/alice/side:1",
            "spec.volumes[0].image.reference 127.0.0.1:15000/alice/vol:1",
        ]),
    ),
    ("pod-create-mirror-by-kubelet.mutate", "", Err("mirror pod")),
    ("pod-create-sa-pullsecrets.mutate", "", Ok(&["spec.containers[0].image 127.0.0.1:15000/alice/app:1.0"])),
    ("pod-create-sa-pullsecrets.validate", "", Ok(&["spec.containers[0].image 127.0.0.1:15000/alice/app:1.0"])),
    (
        "pod-create.mutate",
        "",
        Ok(&[
            "spec.containers[0].image 127.0.0.1:15000/alice/app:1.0",
            "spec.initContainers[0].image 127.0.0.1:15000/alice/tool:1",
        ]),
    ),
    (
        "pod-create.validate",
        "73851721",
        Ok(&[
            "spec.containers[0].image 127.0.0.1:15000/alice/app:1.0",
            "spec.initContainers[0].image 127.0.0.1:15000/alice/tool:1",
        ]),
    ),
    (
        "pod-ephemeralcontainers-update.mutate",
        "",
        Ok(&["spec.ephemeralContainers[0].image 127.0.0.1:15000/alice/debug:1"]),
    ),
    (
        "pod-ephemeralcontainers-update.validate",
        "",
        Ok(&["spec.ephemeralContainers[0].image 127.0.0.1:15000/alice/debug:1"]),
    ),
    ("pod-update-label-only.validate", "", Err("nothing changed")),
    ("pod-update-set-image.mutate", "54a71229", Ok(&["spec.containers[0].image 127.0.0.1:15000/alice/app:1.1"])),
    ("pod-update-set-image.validate", "", Ok(&["spec.containers[0].image 127.0.0.1:15000/alice/app:1.1"])),
    (
        "replicaset-create.validate",
        "",
        Ok(&[
            "spec.template.spec.containers[0].image 127.0.0.1:15000/alice/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ]),
    ),
    ("statefulset-create.validate", "", Ok(&["spec.template.spec.containers[0].image docker.io/library/busybox:1.36"])),
];

#[test]
fn every_fixture_gives_the_expected_subject() {
    for (name, uid, expected) in &FIXTURES {
        let body = fixture(name);
        let review = parse(&body).expect(name);
        let raw: Value = serde_json::from_slice(&body).expect(name);
        let request = &raw["request"];
        assert_eq!(request["uid"], *review.uid, "{name}");
        assert!(review.uid.starts_with(uid), "{name}");
        assert_eq!(request["namespace"], *review.namespace, "{name}");
        assert_eq!(request["operation"], review.operation.as_str(), "{name}");
        assert_eq!(request["dryRun"], review.dry_run, "{name}");
        assert_eq!(request["userInfo"]["username"].as_str(), review.username.as_deref(), "{name}");
        assert_eq!(request["subResource"].as_str().unwrap_or(""), review.subresource, "{name}");
        assert_eq!(review.mirror, *expected == Err("mirror pod"), "{name}");
        match (&review.subject, expected) {
            (Subject::Judge(workloads), Ok(images)) => {
                let [workload] = workloads.as_slice() else { panic!("{name}: {workloads:?}") };
                let got: Vec<_> = workload.images.iter().map(|i| format!("{} {}", i.path, i.image)).collect();
                assert_eq!(got, **images, "{name}");
                assert_eq!(workload.object, review.object, "{name}");
                for image in &workload.images {
                    assert_eq!(request["object"].pointer(&image.pointer), Some(&json!(image.image)), "{name}");
                }
            }
            (Subject::Pass(reason), Err(expected)) => assert_eq!(reason, expected, "{name}"),
            (subject, expected) => panic!("{name}: {subject:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn every_fixture_is_in_the_table() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/admissionreviews");
    for entry in std::fs::read_dir(dir).expect("fixtures") {
        let name = entry.expect("entry").file_name().into_string().expect("UTF-8");
        let name = name.strip_suffix(".json").expect("a JSON file");
        assert!(FIXTURES.iter().any(|(known, ..)| *known == name), "{name}");
    }
}

fn workload(name: &str) -> Workload {
    match subject_of(&fixture(name)) {
        Subject::Judge(mut workloads) => workloads.pop().expect("a workload"),
        other @ (Subject::Pass(_) | Subject::Unreadable { .. }) => panic!("{name}: {other:?}"),
    }
}

#[test]
fn names_owners_and_pull_secrets_are_read() {
    let listed = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let generated = workload("pod-create-by-replicaset.mutate");
    assert_eq!(generated.object.name, "web-86dc9bf96b-*");
    assert_eq!(generated.owner, Owner::BuiltIn);
    assert_eq!(generated.pull_secrets, PullSecretNames::Final(listed(&["sacred"])));
    assert_eq!(workload("pod-create-by-replicaset.validate").object.name, "web-86dc9bf96b-r4dgh");
    assert_eq!(workload("pod-create.validate").owner, Owner::None);
    let deployment = workload("deployment-create.validate");
    assert_eq!(deployment.object.api_version, "apps/v1");
    assert_eq!(
        deployment.pull_secrets,
        PullSecretNames::ThroughServiceAccount { listed: vec![], account: "builder".to_owned() }
    );
    assert_eq!(
        workload("pod-update-set-image.mutate").images[0].old_image.as_deref(),
        Some("127.0.0.1:15000/alice/app:1.0")
    );
}

#[test]
fn what_decides_nothing_passes() {
    type Edit = fn(&mut Value);
    let cases: [(&str, Edit, &str); 9] = [
        ("pod-create.validate", |r| r["request"]["operation"] = json!("DELETE"), "deletion"),
        ("pod-create.validate", |r| r["request"]["operation"] = json!("CONNECT"), "connection"),
        ("pod-update-set-image.validate", |r| r["request"]["subResource"] = json!("status"), "subresource"),
        ("pod-update-set-image.validate", |r| r["request"]["subResource"] = json!("resize"), "subresource"),
        ("deployment-create.validate", |r| r["request"]["subResource"] = json!("scale"), "subresource"),
        ("deployment-create.validate", |r| r["request"]["kind"]["kind"] = json!("Scale"), "other kind"),
        ("deployment-create.validate", |r| r["request"]["resource"]["group"] = json!("x.io"), "other kind"),
        // An object that cannot be decoded matters only if it would have been judged.
        (
            "pod-create.validate",
            |r| {
                r["request"]["kind"] = json!({ "group": "", "version": "v1", "kind": "Service" });
                r["request"]["object"]["spec"] = json!("text");
            },
            "other kind",
        ),
        ("pod-create.validate", |r| r["request"]["object"]["spec"] = json!({}), "no image"),
    ];
    for (name, edit, reason) in cases {
        assert_eq!(subject_of(&edited(name, edit)), Subject::Pass(reason), "{name}");
    }
}

#[test]
fn the_namespace_is_the_requests_never_the_objects() {
    let body = edited("pod-create.validate", |r| {
        r["request"]["object"]["metadata"]["namespace"] = json!("kube-system");
    });
    let review = parse(&body).expect("a review");
    assert_eq!(review.namespace, "team-a");
    assert_eq!(review.object.namespace, "team-a");
}

#[test]
fn an_object_that_does_not_decode_keeps_the_envelope() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 6] = [
        (|r| r["request"]["object"]["spec"]["containers"][0]["image"] = json!(5), "expected a string"),
        (|r| r["request"]["object"]["spec"]["containers"] = json!({}), "expected a list"),
        (|r| r["request"]["object"] = json!("pod"), "cannot be decoded"),
        (|r| r["request"]["object"] = Value::Null, "request.object is missing"),
        (|r| r["request"]["operation"] = json!("PATCH"), "request.operation"),
        (|r| r["request"]["object"]["metadata"]["name"] = json!(["x".repeat(10_000)]), "expected a string"),
    ];
    for (edit, expected) in cases {
        let body = edited("pod-create-dryrun.mutate", edit);
        let review = parse(&body).expect("a review");
        assert!(review.dry_run, "the field after the object: {expected}");
        assert_eq!(review.username.as_deref(), Some("admin"));
        assert_eq!((&*review.object.name, &*review.object.kind), ("dry", "Pod"));
        match review.subject {
            Subject::Unreadable { why } => {
                assert!(why.contains(expected), "{why}");
                assert!(why.len() <= 300 && !why.contains(char::is_control), "{why}");
            }
            other @ (Subject::Pass(_) | Subject::Judge(_)) => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn the_uid_outlives_every_cut_behind_it() {
    for name in ["pod-create.validate", "pod-update-set-image.mutate", "cronjob-create.validate"] {
        let body = fixture(name);
        let uid = parse(&body).expect(name).uid.into_owned();
        let end = String::from_utf8_lossy(&body).find(&*uid).expect("the uid") + uid.len() + 1;
        for cut in end..body.len().saturating_sub(2) {
            let review = parse(&body[..cut]).unwrap_or_else(|error| panic!("{name} cut at {cut}: {error}"));
            assert_eq!(review.uid, uid, "{name} cut at {cut}");
            assert!(matches!(review.subject, Subject::Unreadable { .. }), "{name} cut at {cut}");
        }
        for cut in 0..end - uid.len() {
            assert!(matches!(parse(&body[..cut]), Err(ReviewError::NotJson { .. })), "{name} cut at {cut}");
        }
    }
}

#[test]
fn trailing_bytes_and_foreign_bytes_do_not_lose_the_uid() {
    let mut body = fixture("pod-create.validate");
    body.extend_from_slice(b"}");
    assert!(matches!(subject_of(&body), Subject::Unreadable { .. }));
    let mut body = fixture("pod-create.validate");
    let image = body.windows(9).position(|window| window == b"alice/app").expect("an image");
    body[image] = 0xff;
    assert!(parse(&body).is_ok());
}

#[test]
fn fields_may_come_in_any_order() {
    let body = br#"{"request":{"object":{"spec":{"containers":[{"name":"a","image":"a:1"}]}},"operation":"CREATE",
        "namespace":"n","resource":{"version":"v1","resource":"pods"},"kind":{"version":"v1","kind":"Pod"},"uid":"u"},
        "kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#;
    assert!(matches!(subject_of(body), Subject::Judge(_)));
}

#[test]
fn without_a_uid_or_a_version_the_error_says_what_to_do() {
    let review = |head: &str, request: &str| format!(r#"{{{head}"request":{request}}}"#);
    let v1 = r#""apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","#;
    let beta = r#""apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","#;
    for (body, expected) in [
        (String::new(), "the body is not JSON"),
        ("{".to_owned(), "the body is not JSON"),
        ("<html>".to_owned(), "the body is not JSON"),
        ("[]".to_owned(), "expected kind AdmissionReview"),
        ("null".to_owned(), r#"got kind "" of """#),
        ("{}".to_owned(), r#"got kind "" of """#),
        (review(beta, r#"{"uid":"u"}"#), r#"of "admission.k8s.io/v1beta1": set admissionReviewVersions"#),
        (review(r#""apiVersion":"v1","kind":"Pod","#, "{}"), r#"got kind "Pod" of "v1""#),
        (review(v1, "null"), "no request.uid"),
        (review(v1, "{}"), "no request.uid"),
        (review(v1, r#"{"uid":""}"#), "no request.uid"),
        (review(v1, r#"{"uid":5}"#), "no request.uid"),
    ] {
        let error = parse(body.as_bytes()).expect_err(&body).to_string();
        assert!(error.contains(expected), "{body}: {error}");
        assert!(error.len() < 400 && !error.contains('\n'), "{error}");
    }
}

proptest! {
    #[test]
    fn mutated_fixtures_never_panic(
        which in 0..FIXTURES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
    ) {
        let mut body = fixture(FIXTURES[which].0);
        for (index, byte, how) in edits {
            let at = index.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => { body.drain(at..(at + usize::from(byte)).min(body.len() - 1)); }
            }
        }
        if let Ok(review) = parse(&body) {
            prop_assert!(!review.uid.is_empty());
        }
    }

    #[test]
    fn any_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(parse(&body).is_err());
    }

    #[test]
    fn the_uid_is_kept_when_the_object_is_replaced(object in "[\\[\\]{}\":,a-z0-9 \\\\]{0,40}") {
        let body = format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1","object":{object}}}}}"#
        );
        let review = parse(body.as_bytes());
        prop_assert_eq!(review.map(|review| review.uid.into_owned()), Ok("u-1".to_owned()));
    }
}
