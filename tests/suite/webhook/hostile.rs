//! Bodies, names and registries that mean no good: what comes back is short, clean and a sentence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use pullgate::demo::registry::{Answer, Behaviour, Login};

use super::set;
use crate::gate::{Gate, GateSpec};

#[tokio::test]
async fn a_body_without_a_review_gets_a_sentence() {
    let gate = Gate::start().await;
    let mut later = gate.recorded("pod-create.validate");
    set(&mut later, "/apiVersion", "admission.k8s.io/v2");
    let mut anonymous = gate.recorded("pod-create.validate");
    set(&mut anonymous, "/request/uid", "");
    for (body, expected) in [
        (
            String::new(),
            "the body is not JSON with a request.uid: EOF while parsing a value at line 1 column 0; send an AdmissionReview of admission.k8s.io/v1\n",
        ),
        (
            "<html>".to_owned(),
            "the body is not JSON with a request.uid: expected value at line 1 column 1; send an AdmissionReview of admission.k8s.io/v1\n",
        ),
        (
            "{}".to_owned(),
            "expected kind AdmissionReview of admission.k8s.io/v1, got kind \"\" of \"\": set admissionReviewVersions: [v1] in the webhook configuration\n",
        ),
        (
            later.to_string(),
            "expected kind AdmissionReview of admission.k8s.io/v1, got kind \"AdmissionReview\" of \"admission.k8s.io/v2\": set admissionReviewVersions: [v1] in the webhook configuration\n",
        ),
        (
            anonymous.to_string(),
            "the AdmissionReview has no request.uid: send the request of an API server, not a response\n",
        ),
    ] {
        for path in ["validate", "mutate"] {
            let (status, text) = gate.post(path, body.clone()).await;
            assert_eq!((status, String::from_utf8(text).unwrap().as_str()), (400, expected));
        }
    }
    assert_eq!(gate.metric("pullgate_reviews_total"), 0);
}

#[tokio::test]
async fn other_paths_and_methods_are_not_served() {
    let gate = Gate::start().await;
    assert_eq!(gate.post("metrics", "{}").await.0, 404);
    assert_eq!(gate.post("validates", "{}").await.0, 404);
    assert_eq!(gate.get("validate").await, 405);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let gate = Gate::start().await;
    let (status, text) = gate.post("validate", vec![b' '; 9 * 1024 * 1024]).await;
    assert_eq!(status, 413);
    assert_eq!(String::from_utf8(text).unwrap(), "the request's body is larger than 8388608 bytes\n");
}

#[tokio::test]
async fn an_image_of_a_megabyte_is_a_short_message() {
    let gate = Gate::start().await;
    let answer = gate.validate(&gate.pod(&[&"a".repeat(1024 * 1024)], &[])).await;
    let line = answer.first_line();
    assert!(line.starts_with("InvalidImageName: aaaa") && line.len() < 900, "{line}");
    assert!(answer.annotation("findings").len() < 900, "{answer:?}");
    assert!(gate.asked().is_empty());
}

#[tokio::test]
async fn forty_bad_images_are_one_short_denial() {
    let gate = Gate::start().await;
    let images: Vec<String> = (0..40).map(|number| gate.image(&format!("team/api:{number}"))).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let answer = gate.validate(&gate.pod(&images, &[])).await;
    assert!(!answer.allowed());
    let line = answer.first_line();
    assert_eq!(
        line,
        r#"CredentialsMissing: R/team/api:0 (container "c0") needs a login at R, and no pull secret of the pod has one for it"#
    );
}

#[tokio::test]
async fn a_registry_cannot_write_to_the_terminal_of_the_author() {
    let gate = GateSpec::new().login(Login::None).start().await;
    let said = format!("\u{1b}[2J\r\nWarning: all is well\u{202e}\0\u{7f} {}", "no ".repeat(3000));
    for (mode, status, code) in [
        ("enforce", 404, "MANIFEST_UNKNOWN"),
        ("warn", 404, "MANIFEST_UNKNOWN"),
        ("warn", 412, "\u{1b}[1mX"),
        ("warn", 429, "\r\n"),
    ] {
        gate.put(gate.policy(&format!("mode: {mode}")));
        gate.registry.behave("open", Answer::envelope(status, code, &said));
        // Lengths, control characters and line ends of every text are checked with every answer.
        let answer = gate.validate(&gate.pod(&[&gate.image("open:v1")], &[])).await;
        let text = answer.text();
        assert!(!text.contains("\\u001b") && !text.contains('\u{202e}') && !text.contains("\\u007f"), "{text}");
        assert!(answer.message().lines().all(|line| !line.starts_with("Warning")), "{text}");
        gate.advance(Duration::from_mins(1));
    }
}

#[tokio::test]
async fn a_name_cannot_write_to_the_terminal_of_the_author() {
    let gate = Gate::start().await;
    let mut review = gate.pod(&["\u{1b}[2J\n\u{202e}evil:\u{0}1"], &["\u{1b}]0;x\u{7}"]);
    set(&mut review, "/request/object/spec/containers/0/name", "\u{1b}[2J\u{202e}c\n");
    for mode in ["enforce", "warn"] {
        gate.put(gate.policy(&format!("mode: {mode}")));
        let text = gate.validate(&review).await.text();
        assert!(text.contains("InvalidImageName"), "{text}");
        assert!(!text.contains("\\u001b") && !text.contains('\u{202e}') && !text.contains("\\u0007"), "{text}");
    }
}

#[tokio::test]
async fn a_registry_that_lies_about_a_digest_is_an_error_and_no_digest() {
    let gate = GateSpec::new().login(Login::None).start().await;
    let digest = gate.registry.push("open", "v1");
    let by_digest = gate.image(&format!("open@{digest}"));
    for (image, lie) in
        [(&by_digest, Behaviour::WrongDigestHeader), (&gate.image("open:v1"), Behaviour::InvalidDigestHeader)]
    {
        gate.registry.behave("open", lie);
        let review = gate.pod(&[image], &[]);
        let answer = gate.validate(&review).await;
        assert!(answer.allowed(), "{answer:?}");
        assert!(answer.first_line().starts_with("RegistryError: "), "{answer:?}");
        assert_eq!(gate.mutate(&review).await.patch(), None);
        gate.advance(Duration::from_mins(1));
    }
}

#[tokio::test]
async fn of_an_image_by_its_digest_the_header_is_not_read_for_only_bytes_count() {
    let gate = GateSpec::new().login(Login::None).start().await;
    let digest = gate.registry.push("open", "v1");
    gate.registry.behave("open", Behaviour::InvalidDigestHeader);
    let answer = gate.validate(&gate.pod(&[&gate.image(&format!("open@{digest}"))], &[])).await;
    assert!(answer.allowed() && answer.warnings().is_empty(), "{answer:?}");
}
