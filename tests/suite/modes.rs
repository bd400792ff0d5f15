//! What the operator decides: modes, uncertain findings, exceptions, and what the counters say of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use pullgate::demo::registry::{Answer, Login};
use serde_json::{Value, json};

use crate::gate::{Gate, GateSpec};

/// A gate with this policy, and a pod whose image is not there.
async fn missing(policy: &str) -> (Gate, Value) {
    let gate = GateSpec::new().login(Login::None).policy(policy).start().await;
    let review = gate.pod(&[&gate.image("open:v2")], &[]);
    (gate, review)
}

/// A gate with this policy, and a pod whose registry answers 503.
async fn ill(policy: &str) -> (Gate, Value) {
    let gate = GateSpec::new().login(Login::None).policy(policy).start().await;
    gate.registry.behave("open", Answer::status(503));
    let review = gate.pod(&[&gate.image("open:v1")], &[]);
    (gate, review)
}

#[tokio::test]
async fn enforce_denies_warn_warns_and_audit_only_writes_it_down() {
    let (gate, review) = missing("mode: enforce").await;
    for mode in ["enforce", "warn", "audit"] {
        gate.put(gate.policy(&format!("mode: {mode}")));
        let answer = gate.validate(&review).await;
        assert_eq!(answer.allowed(), mode != "enforce");
        assert_eq!(answer.message().is_empty(), mode != "enforce");
        assert_eq!(answer.warnings().len(), usize::from(mode == "warn"), "{answer:?}");
        assert_eq!(answer.annotation("mode"), mode);
        assert_eq!(answer.annotation("enforce-would"), "deny");
        assert_eq!(answer.annotation("findings"), "TagNotFound spec.containers[0].image R/open:v2");
    }
}

#[tokio::test]
async fn without_a_word_the_mode_is_audit() {
    let (gate, review) = missing("").await;
    let answer = gate.validate(&review).await;
    assert!(answer.allowed() && answer.warnings().is_empty());
    assert_eq!(answer.annotation("mode"), "audit");
}

#[tokio::test]
async fn audit_is_silent_about_notices_too() {
    let (gate, _) = missing("mode: audit").await;
    let mut review = gate.pod(&[&gate.image("open:v1")], &["not-there"]);
    review["request"]["object"]["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    assert!(gate.validate(&review).await.is_silent());
    gate.put(gate.policy("mode: warn\npin: { enabled: false }"));
    let warnings = gate.validate(&review).await.warnings();
    assert!(warnings[0].starts_with("PullSecretMissing: "), "{warnings:?}");
    assert!(warnings[1].starts_with("MutableTag: "), "{warnings:?}");
}

#[tokio::test]
async fn a_namespace_has_its_own_mode_and_a_system_namespace_only_then_any() {
    let policy =
        "mode: enforce\nnamespaces:\n- { names: [legacy, kube-system], mode: warn }\n- { names: [lab], mode: audit }";
    let (gate, mut review) = missing(policy).await;
    for (namespace, allowed, warnings, mode) in [
        ("team-a", false, 0, "enforce"),
        ("legacy", true, 1, "warn"),
        ("kube-system", true, 1, "warn"),
        ("lab", true, 0, "audit"),
        ("kube-public", true, 0, ""),
    ] {
        review["request"]["namespace"] = json!(namespace);
        let answer = gate.validate(&review).await;
        assert_eq!((answer.allowed(), answer.warnings().len()), (allowed, warnings), "{namespace}");
        assert_eq!(answer.annotation("mode"), mode, "{namespace}");
    }
}

#[tokio::test]
async fn an_uncertain_finding_denies_where_the_operator_says_so() {
    let (gate, review) = ill("mode: enforce").await;
    for (policy, allowed) in [
        ("mode: enforce", true),
        ("mode: enforce\nonUncertain: allow", true),
        ("mode: enforce\nonUncertain: deny", false),
        ("mode: enforce\nonUncertain: { RegistryError: deny }", false),
        ("mode: enforce\nonUncertain: { RateLimited: deny, RegistryError: allow }", true),
        ("mode: warn\nonUncertain: deny", true),
    ] {
        gate.put(gate.policy(policy));
        let answer = gate.validate(&review).await;
        assert_eq!(answer.allowed(), allowed, "{policy}");
        assert!(answer.first_line().starts_with("RegistryError: R/open:v1 "), "{answer:?}");
        assert_eq!(answer.annotation("findings"), "RegistryError (uncertain) spec.containers[0].image R/open:v1");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_is_uncertain_too() {
    let (gate, mut review) = missing("mode: enforce\nonUncertain: { NotChecked: deny }").await;
    review["request"]["object"]["spec"]["containers"][0]["image"] = json!({ "name": "x" });
    let answer = gate.validate(&review).await;
    assert!(answer.first_line().starts_with("NotChecked: the object was not checked: "), "{answer:?}");
    assert!(!answer.allowed());
    gate.put(gate.policy("mode: enforce"));
    assert!(gate.validate(&review).await.allowed());
}

#[tokio::test]
async fn an_exception_covers_its_namespace_its_image_and_its_code() {
    let (gate, review) = missing("mode: enforce").await;
    let host = gate.registry.host();
    for (exception, allowed) in [
        ("{ namespace: team-a, image: 'HOST/open' }", true),
        ("{ namespace: team-a, image: 'HOST/open:v2', code: TagNotFound }", true),
        ("{ namespace: '*', image: 'HOST/*' }", true),
        ("{ namespace: team-b, image: 'HOST/open' }", false),
        ("{ namespace: team-a, image: 'HOST/close' }", false),
        ("{ namespace: team-a, image: 'HOST/open:v1' }", false),
        ("{ namespace: team-a, image: 'HOST/open', code: CredentialsMissing }", false),
    ] {
        let exceptions = format!("mode: enforce\nexceptions: [{}]", exception.replace("HOST", &host));
        gate.put(gate.policy(&exceptions));
        let answer = gate.validate(&review).await;
        assert_eq!(answer.allowed(), allowed, "{exception}");
        let excepted = if allowed { "TagNotFound spec.containers[0].image R/open:v2" } else { "" };
        assert_eq!(answer.annotation("excepted"), excepted);
        assert!(!allowed || answer.warnings().is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_exception_lasts_until_the_end_of_its_last_day() {
    // The clock of these tests stands on 15 January 2027.
    let (gate, review) = missing("").await;
    let host = gate.registry.host();
    for (until, allowed) in [("2027-01-14", false), ("2027-01-15", true), ("2027-01-16", true)] {
        let exception = format!("{{ namespace: team-a, image: '{host}/open', until: {until} }}");
        gate.put(gate.policy(&format!("mode: enforce\nexceptions: [{exception}]")));
        assert_eq!(gate.validate(&review).await.allowed(), allowed, "{until}");
    }
}

#[tokio::test]
async fn an_excepted_image_does_not_excuse_the_others() {
    let (gate, _) = missing("").await;
    let exception = format!("{{ namespace: team-a, image: '{}/open' }}", gate.registry.host());
    gate.put(gate.policy(&format!("mode: enforce\nexceptions: [{exception}]")));
    let review = gate.pod(&[&gate.image("open:v2"), &gate.image("gone:v1"), &gate.image("open:v1")], &[]);
    let answer = gate.validate(&review).await;
    assert!(answer.first_line().starts_with("RepositoryNotFound: R/gone:v1 "), "{answer:?}");
    assert!(!answer.message().contains("open:v2"), "{answer:?}");
    assert!(answer.message().ends_with("; 1 other image is fine"), "{answer:?}");
}

#[tokio::test]
async fn reviews_and_findings_are_counted() {
    let (gate, review) = missing("mode: enforce").await;
    let fine = gate.pod(&[&gate.image("open:v1")], &[]);
    gate.validate(&review).await;
    gate.validate(&review).await;
    gate.validate(&fine).await;
    gate.mutate(&fine).await;
    gate.put(gate.policy("mode: audit"));
    gate.validate(&review).await;
    for (metric, expected) in [
        (r#"pullgate_reviews_total{path="validate",verdict="deny"}"#, 2),
        (r#"pullgate_reviews_total{path="validate",verdict="allow"}"#, 2),
        (r#"pullgate_reviews_total{path="mutate",verdict="patch"}"#, 1),
        (r#"pullgate_findings_total{code="TagNotFound",cause="",certain="true",mode="#, 3),
        (r#"pullgate_review_seconds_count{path="validate"}"#, 4),
        ("pullgate_admitted_unchecked_total", 0),
    ] {
        assert_eq!(gate.metric(metric), expected, "{metric}\n{}", gate.metrics.render());
    }
}

#[tokio::test]
async fn what_was_admitted_unchecked_is_counted_once_a_review() {
    let (gate, review) = ill("mode: enforce").await;
    let both = gate.pod(&[&gate.image("open:v1"), &gate.image("open:v3")], &[]);
    gate.validate(&review).await;
    gate.validate(&both).await;
    assert_eq!(gate.metric("pullgate_admitted_unchecked_total"), 2);
    assert_eq!(gate.metric(r#"pullgate_reviews_total{path="validate",verdict="unchecked"}"#), 2);
    assert_eq!(
        gate.metric(
            r#"pullgate_findings_total{code="RegistryError",cause="",certain="false",mode="enforce",registry="other"}"#
        ),
        3
    );
    gate.put(gate.policy("mode: enforce\nonUncertain: deny"));
    gate.validate(&review).await;
    assert_eq!(gate.metric("pullgate_admitted_unchecked_total"), 2, "what was denied was not admitted");
}

#[tokio::test]
async fn a_dry_run_gets_the_same_answer_and_is_not_counted() {
    for (gate, review) in [missing("mode: enforce").await, ill("mode: enforce").await] {
        let mut dry = review.clone();
        dry["request"]["dryRun"] = json!(true);
        let answer = gate.validate(&dry).await;
        for counter in ["pullgate_reviews_total", "pullgate_findings_total", "pullgate_admitted_unchecked_total"] {
            assert_eq!(gate.metric(counter), 0, "{counter}");
        }
        assert_eq!(answer.text(), gate.validate(&review).await.text());
    }
}

#[tokio::test]
async fn names_chosen_by_tenants_are_no_labels() {
    let (gate, _) = missing("mode: enforce").await;
    for number in 0..70 {
        // Refused by the address guard: no request leaves.
        let review = gate.pod(&[&format!("127.0.0.1:{}/made-up-{number}:v{number}", 1 + number)], &[]);
        gate.validate(&review).await;
    }
    let fine = gate.pod(&[&gate.image("open:v1")], &[]);
    gate.validate(&fine).await;
    let text = gate.metrics.render();
    assert!(!text.contains("made-up"), "{text}");
    assert!(!text.contains("registry=\"127.0.0.1:1\""), "no label for a name alone: {text}");
    let served = format!("pullgate_registry_requests_total{{registry=\"{}\",status=\"200\"}}", gate.registry.host());
    assert_eq!(
        gate.metric(&served),
        1,
        "a registry that serves an image has its label, whatever was asked before: {text}"
    );
    assert!(text.matches("pullgate_registry_requests_total{").count() <= 51, "{text}");
}
