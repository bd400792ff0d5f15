//! Words of an author that exempt nothing: an annotation on what is no Pod, and a placeholder that nobody has filled in.

use pullgate::demo::registry::Login;
use serde_json::json;

use super::{IMAGE, set};
use crate::gate::GateSpec;

const TEMPLATE_IMAGE: &str = "/request/object/spec/template/spec/containers/0/image";

#[tokio::test]
async fn the_annotation_of_a_mirror_pod_exempts_no_template() {
    let gate = GateSpec::new().login(Login::None).policy("mode: enforce\ntemplates: deny").start().await;
    for kind in ["deployment", "job", "replicaset", "statefulset"] {
        let mut review = gate.recorded(&format!("{kind}-create.validate"));
        set(&mut review, TEMPLATE_IMAGE, gate.image("open:gone"));
        for metadata in ["/request/object/metadata", "/request/object/spec/template/metadata"] {
            let annotations = json!({ "kubernetes.io/config.mirror": "x" });
            review.pointer_mut(metadata).unwrap()["annotations"] = annotations;
        }
        let answer = gate.validate(&review).await;
        assert!(
            !answer.allowed() && answer.first_line().starts_with("TagNotFound: R/open:gone "),
            "{kind}: {answer:?}"
        );
    }
    let mut mirror = gate.recorded("pod-create-mirror-by-kubelet.mutate");
    set(&mut mirror, IMAGE, gate.image("open:gone"));
    assert!(gate.validate(&mirror).await.is_silent(), "a mirror pod reports what runs already");
}

#[tokio::test]
async fn a_placeholder_in_a_pod_is_judged_as_what_it_says_and_never_pinned() {
    let gate = GateSpec::new().login(Login::None).start().await;
    for (image, code) in
        [("auto", "RegistryNotAllowed: auto "), (" ", "InvalidImageName: "), ("", "InvalidImageName: ")]
    {
        let review = gate.pod(&[&gate.image("open:v1"), image], &[]);
        let answer = gate.validate(&review).await;
        assert!(!answer.allowed() && answer.first_line().starts_with(code), "{image:?}: {answer:?}");
        assert!(answer.message().contains("\"c1\""), "{answer:?}");
        let patch = gate.mutate(&review).await.patch().unwrap();
        let pointers: Vec<_> = patch.as_array().unwrap().iter().map(|step| step["path"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/spec/containers/0/image"; 2], "{image:?}: the other image is pinned");
        // What runs already is not judged again.
        let answer = gate.validate(&gate.update(&[image], &[image], &[])).await;
        assert!(answer.is_silent(), "{image:?}: {answer:?}");
    }
    gate.asked();
    assert!(gate.mutate(&gate.pod(&["auto"], &[])).await.is_silent());
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn a_placeholder_in_a_template_waits_and_what_is_filled_in_is_judged() {
    let gate = GateSpec::new().login(Login::None).policy("mode: enforce\ntemplates: deny").start().await;
    for image in ["", " ", "auto"] {
        let mut review = gate.recorded("deployment-create.validate");
        set(&mut review, TEMPLATE_IMAGE, image);
        assert!(gate.validate(&review).await.is_silent(), "{image:?}");
        let old = review["request"]["object"].clone();
        review["request"]["oldObject"] = old;
        set(&mut review, "/request/operation", "UPDATE");
        set(&mut review, TEMPLATE_IMAGE, gate.image("open:gone"));
        assert!(!gate.validate(&review).await.allowed(), "{image:?}");
        set(&mut review, TEMPLATE_IMAGE, gate.image("open:v1"));
        assert!(gate.validate(&review).await.allowed(), "{image:?}");
    }
    assert!(gate.asked().iter().all(|asked| asked.contains("/open/")));
}
