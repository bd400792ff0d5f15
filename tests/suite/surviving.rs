//! What must not break: damaged reviews, many at once, a configuration that changes under way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use pullgate::demo::registry::{Behaviour, Login};
use serde_json::{Value, json};

use crate::gate::{Answer, Gate, GateSpec};

async fn gate() -> Gate {
    GateSpec::new().login(Login::None).start().await
}

#[tokio::test]
async fn a_damaged_object_is_answered_under_its_uid_and_admitted_as_not_checked() {
    let gate = gate().await;
    for (pointer, damage) in [
        ("/request/object", json!(null)),
        ("/request/object", json!(7)),
        ("/request/object/spec", json!("none")),
        ("/request/object/spec/containers", json!("one")),
        ("/request/object/spec/containers", json!({ "0": {} })),
        ("/request/object/spec/containers/0", json!(1)),
        ("/request/object/spec/containers/0/image", json!(1.5)),
        ("/request/object/spec/containers/0/image", json!(["a"])),
        ("/request/object/spec/imagePullSecrets", json!("regcred")),
        ("/request/object/metadata", json!(false)),
        ("/request/operation", json!("REPLACE")),
    ] {
        let mut review = gate.pod(&[&gate.image("open:v1")], &[]);
        *review.pointer_mut(pointer).unwrap() = damage.clone();
        let answer = gate.validate(&review).await;
        assert!(answer.allowed(), "{pointer} {damage}: {answer:?}");
        assert!(
            answer.first_line().starts_with("NotChecked: the object was not checked: "),
            "{pointer} {damage}: {answer:?}"
        );
        assert!(gate.mutate(&review).await.is_silent());
    }
    assert!(gate.asked().is_empty());
}

/// The review with its uid at the front, where API servers write it, and not where a sorted map has it.
fn in_order(review: &Value) -> String {
    let uid = format!(r#""request":{{"uid":{},"#, review["request"]["uid"]);
    review.to_string().replacen(r#""request":{"#, &uid, 1)
}

#[tokio::test]
async fn a_review_that_is_cut_short_is_answered_from_its_uid_on() {
    let gate = gate().await;
    let review = gate.recorded("pod-create.validate");
    let text = in_order(&review);
    let uid_read = text.find(r#","dryRun""#).unwrap_or_else(|| text.find(r#"",""#).unwrap());
    for end in (0..text.len()).step_by(text.len() / 97) {
        let (status, body) = gate.post("validate", text[..end].to_owned()).await;
        if end > uid_read {
            assert_eq!(status, 200, "cut at {end}");
            assert!(gate.read("validate", &review, &body).allowed());
        } else {
            assert_eq!(status, 400, "cut at {end}");
        }
    }
}

/// One change somewhere in a document.
#[derive(Clone, Debug)]
enum Mutation {
    Put(Index, Value),
    Remove(Index),
    Swap(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z0-9./:@A-Z_-]{0,80}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, 1, "x", {}, []])),
        Just(json!({ "image": "a", "name": null, "containers": [] })),
    ];
    prop_oneof![
        4 => (any::<Index>(), value).prop_map(|(at, value)| Mutation::Put(at, value)),
        1 => any::<Index>().prop_map(Mutation::Remove),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Mutation::Swap(a, b)),
    ]
}

/// Pointers to everything inside `value`, but for the places that say to whom to answer.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    let mut inside = |key: String, value: &Value| {
        let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        if !["/apiVersion", "/kind", "/request", "/request/uid"].contains(&pointer.as_str()) {
            into.push(pointer.clone());
        }
        pointers(value, &pointer, into);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| inside(key.clone(), value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| inside(index.to_string(), value)),
        _ => {}
    }
}

fn mutate(review: &mut Value, mutation: &Mutation) {
    let mut places = Vec::new();
    pointers(review, "", &mut places);
    let place = |index: &Index| places[index.index(places.len())].as_str();
    match mutation {
        Mutation::Put(at, value) => *review.pointer_mut(place(at)).unwrap() = value.clone(),
        Mutation::Remove(at) => {
            let (parent, key) = place(at).rsplit_once('/').unwrap();
            match review.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.remove(&key.replace("~1", "/").replace("~0", "~"))),
                Value::Array(list) => drop(list.remove(key.parse().unwrap())),
                _ => unreachable!("a pointer leads through objects and lists"),
            }
        }
        Mutation::Swap(a, b) => {
            let value = review.pointer(place(a)).unwrap().clone();
            *review.pointer_mut(place(b)).unwrap() = value;
        }
    }
}

#[test]
fn whatever_an_object_holds_the_answer_is_an_admission_review_with_its_uid() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gate = runtime.block_on(gate());
    let recorded = [
        "pod-create.mutate",
        "pod-update-set-image.validate",
        "pod-create-imagevolume-sidecar.mutate",
        "deployment-create.validate",
    ]
    .map(|name| gate.recorded(name));
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let strategy = (any::<Index>(), proptest::collection::vec(mutation(), 1..6));
    let checked = TestRunner::new(config).run(&strategy, |(which, mutations)| {
        let mut review = which.get(&recorded).clone();
        for mutation in &mutations {
            mutate(&mut review, mutation);
        }
        for path in ["validate", "mutate"] {
            let (status, body) = runtime.block_on(gate.post(path, in_order(&review)));
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            gate.read(path, &review, &body);
        }
        Ok(())
    });
    checked.unwrap();
}

#[tokio::test]
async fn two_hundred_reviews_forty_at_a_time_are_one_question() {
    let gate = gate().await;
    gate.registry.behave("open", Behaviour::Slow(Duration::from_millis(100)));
    let review = gate.pod(&[&gate.image("open:v1")], &[]);
    let reviews = (0..200).map(|number| {
        let mut review = review.clone();
        review["request"]["uid"] = json!(format!("uid-{number}"));
        let gate = &gate;
        async move { gate.validate(&review).await }
    });
    let answers: Vec<Answer> = stream::iter(reviews).buffer_unordered(40).collect().await;
    assert!(answers.len() == 200 && answers.iter().all(Answer::is_silent));
    assert_eq!(gate.asked(), ["HEAD /v2/open/manifests/v1 200"]);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nobody_with_it() {
    let gate = gate().await;
    gate.registry.behave("open", Behaviour::Slow(Duration::from_millis(100)));
    let review = gate.pod(&[&gate.image("open:v1")], &[]);
    let impatient = tokio::time::timeout(Duration::from_millis(30), gate.validate(&review)).await;
    assert!(impatient.is_err());
    assert!(gate.validate(&review).await.is_silent());
    assert_eq!(gate.asked(), ["HEAD /v2/open/manifests/v1 200"]);
}

#[tokio::test]
async fn a_review_ends_under_the_configuration_it_began_with() {
    let gate = gate().await;
    gate.registry.behave("open", Behaviour::Slow(Duration::from_millis(50)));
    let review = gate.pod(&[&gate.image("open:v2")], &[]);
    let reload = async {
        while gate.registry.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.put(gate.policy("mode: warn"));
    };
    let (answer, ()) = tokio::join!(gate.validate(&review), reload);
    assert!(!answer.allowed(), "{answer:?}");
    let answer = gate.validate(&review).await;
    assert!(answer.allowed() && answer.annotation("mode") == "warn", "{answer:?}");
}
