//! pullgate against the committed answers of the kubelet's own reference parser and keyring. `tests/oracle` gives the
//! answers, `tests/real` asks for them again and compares many more, random ones.

use std::fs;
use std::path::Path;

use self::kubelet::{Answer, Vector};

#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/kubelet.rs"]
mod kubelet;

fn vectors(of: &str) -> Vec<(Vector, Answer)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle").join(of);
    let lines = fs::read_to_string(path).expect("the vectors are committed");
    let vector = |line: &str| {
        let vector: Vector = serde_json::from_str(line).expect(line);
        let answer = vector.answer.clone().expect(line);
        (vector, answer)
    };
    lines.lines().map(vector).collect()
}

fn all_agree(of: &str) {
    let vectors = vectors(of);
    assert!(vectors.len() > 100, "{}", vectors.len());
    for (vector, theirs) in vectors {
        let ours = vector.question.ask_pullgate();
        assert!(ours.agrees_with(&theirs), "{:?}\npullgate: {:?}\nkubelet:  {theirs:?}", vector.question, ours.answer);
    }
}

#[test]
fn references_are_read_as_the_kubelet_reads_them() {
    all_agree("references.jsonl");
}

#[test]
fn keys_match_repositories_as_in_the_kubelet() {
    all_agree("matches.jsonl");
}

#[test]
fn pull_secrets_give_the_kubelets_candidates_or_its_error() {
    all_agree("lookups.jsonl");
}

#[test]
fn candidates_in_the_wrong_order_are_noticed() {
    let mut ordered = 0;
    for (vector, theirs) in vectors("lookups.jsonl") {
        let ours = vector.question.ask_pullgate();
        if ours.has_an_order() {
            ordered += 1;
            assert!(!ours.reversed().agrees_with(&theirs), "{:?}", vector.question);
        }
    }
    assert!(ordered >= 20, "{ordered}");
}
