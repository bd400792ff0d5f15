//! Who calls the port decides how much is told: everything to an API server, verdict and code to anybody else.

use serde_json::{Value, json};

use crate::gate::{Gate, PASSWORD};

const SEGMENT: &str = "0123456789abcdefghijklmnop";

async fn response(gate: &Gate, path: &str, review: &Value) -> Value {
    let (status, body) = gate.post(path, review.to_string()).await;
    assert_eq!(status, 200, "{path}");
    let mut answer: Value = serde_json::from_slice(&body).expect("an AdmissionReview");
    answer["response"].as_object_mut().expect("a response").remove("uid");
    answer["response"].take()
}

#[tokio::test]
async fn without_the_segment_the_port_tells_verdict_and_code_and_changes_nothing() {
    let gate = Gate::start().await;
    let bad = gate.pod(&[&gate.image("open:none"), &gate.image("open:gone")], &["regcred"]);
    let good = gate.pod(&[&gate.image("open:v1")], &["regcred"]);
    let full = response(&gate, "validate/whatever", &bad).await;
    assert!(full["status"]["message"].as_str().expect("a message").contains("open:none"), "everybody is known: {full}");

    gate.callers.take(SEGMENT.into());
    for path in ["validate", "validate/", "validate/whatever", "validate/a/b?timeout=5s"] {
        let bare = response(&gate, path, &bad).await;
        let status = json!({ "code": 403, "reason": "Forbidden", "message": "TagNotFound" });
        assert_eq!(bare, json!({ "allowed": false, "status": status }), "{path}");
        assert!(!bare.to_string().contains(PASSWORD));
    }
    for path in ["validate", "mutate", "mutate/", "mutate/whatever"] {
        assert_eq!(response(&gate, path, &good).await, json!({ "allowed": true }), "{path}");
    }
    let full = response(&gate, &format!("validate/{SEGMENT}"), &bad).await;
    assert!(full["status"]["message"].as_str().expect("a message").contains("open:none"), "{full}");
    let patched = response(&gate, &format!("mutate/{SEGMENT}?timeout=5s"), &good).await;
    assert!(patched["patch"].is_string(), "{patched}");
}
