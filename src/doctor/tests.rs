//! An installation that is sound, and one thing after the other that is not.

use serde_json::json;

use super::*;

/// An installation as the chart makes it, all well.
fn sound() -> Installation {
    let webhooks = |name: &str, seconds: i64, policy: &str| {
        json!({
            "metadata": { "name": "pullgate" },
            "webhooks": [{
                "name": name, "timeoutSeconds": seconds, "failurePolicy": policy,
                "clientConfig": { "caBundle": "Q0E=", "service": { "name": "pullgate", "namespace": "gate", "port": 443 } },
                "namespaceSelector": { "matchExpressions": [
                    { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "gate"] },
                ] },
            }],
        })
    };
    let metrics = "pullgate_review_seconds_bucket{path=\"validate\",le=\"0.005\"} 1000\n\
        pullgate_review_seconds_bucket{path=\"validate\",le=\"+Inf\"} 1001\npullgate_review_seconds_count{path=\"validate\"} 1001\n\
        pullgate_admitted_unchecked_total 3\npullgate_certificate_expiry_timestamp_seconds{which=\"leaf\"} 5184000\n\
        pullgate_certificate_expiry_timestamp_seconds{which=\"bundle\"} 51840000\n\
        pullgate_registry_requests_total{registry=\"ghcr.io\",status=\"200\"} 5\npullgate_registry_breaker{registry=\"ghcr.io\"} 0\n\
        pullgate_registry_quota_left{registry=\"docker.io\"} 90\n";
    let replica = |name: &str| Replica {
        name: name.to_owned(),
        ready: Reading::Found("ready\nserving: ok\n".to_owned()),
        metrics: Reading::Found(metrics.to_owned()),
    };
    Installation {
        server: "https://a:6443 (context \"x\")".to_owned(),
        version: Reading::Found(json!({ "major": "1", "minor": "35+", "gitVersion": "v1.35.4" })),
        skew: Some(-1),
        validating: Reading::Found(vec![webhooks("validate.pullgate.dev", 5, "Fail")]),
        mutating: Reading::Found(vec![webhooks("mutate.pullgate.dev", 3, "Ignore")]),
        others: Reading::Found(Vec::new()),
        groups: Reading::Found(vec!["apps".to_owned()]),
        rights: vec![("Secrets", Reading::Found(true))],
        registries: Reading::Found(vec!["ghcr.io".to_owned()]),
        release: Some(Release {
            armed: Some(Reading::Found(true)),
            namespace: "gate".to_owned(),
            service: Reading::Found(
                json!({ "metadata": { "name": "pullgate" }, "spec": { "ports": [{ "port": 443 }] } }),
            ),
            slices: Reading::Found(vec![json!({ "endpoints": [
                { "nodeName": "a", "conditions": { "ready": true } }, { "nodeName": "b", "conditions": {} },
                { "nodeName": "c", "conditions": { "ready": false } },
            ] })]),
            zones: Reading::Found(vec![("a".to_owned(), "z1".to_owned()), ("b".to_owned(), "z2".to_owned())]),
            budgets: Reading::Found(vec![json!({
                "metadata": { "labels": { "app.kubernetes.io/part-of": "pullgate" } }, "status": { "disruptionsAllowed": 1 },
            })]),
            replicas: vec![replica("pullgate-0"), replica("pullgate-1")],
            secrets: vec![("get", Reading::Found(true)), ("list", Reading::Found(false))],
            sample: "team".to_owned(),
        }),
        review: Some(Reviewed { answer: Ok(vec!["pullgate 0.1.0 judges here, in mode audit".to_owned()]) }),
    }
}

/// What one check says after `change`.
fn after(name: &str, change: impl FnOnce(&mut Installation)) -> (Outcome, String) {
    let mut seen = sound();
    change(&mut seen);
    let checks = examine(&seen, false, Timestamp::UNIX_EPOCH);
    let check = checks.into_iter().find(|check| check.name == name).unwrap();
    (check.outcome, check.text)
}

fn release(seen: &mut Installation) -> &mut Release {
    seen.release.as_mut().unwrap()
}

fn webhook(seen: &mut Installation) -> &mut Value {
    let Reading::Found(list) = &mut seen.validating else { panic!("there is one") };
    list[0].pointer_mut("/webhooks/0").unwrap()
}

#[test]
fn a_sound_installation_is_sound_in_every_line() {
    let checks = examine(&sound(), false, Timestamp::UNIX_EPOCH);
    assert!(checks.iter().all(|check| check.outcome == Outcome::Good), "{}", text(&checks));
    assert_eq!(exit_code(&checks), 0);
    let names: Vec<&str> = checks.iter().map(|check| check.name).collect();
    let wanted: Vec<&str> = NAMES.into_iter().filter(|name| *name != "rights").collect();
    let mut sorted = (names.clone(), wanted);
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1, "each check once");
    insta::assert_snapshot!(text(&checks));
}

/// One thing that goes wrong.
type Change = fn(&mut Installation);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_told_by_its_line() {
    let table: &[(&str, Change, Outcome, &str)] = &[
        ("api-server", |seen| seen.version = Reading::Unavailable("no route".to_owned()), Outcome::Bad, "no route"),
        (
            "api-server",
            |seen| seen.version = Reading::Found(json!({ "major": "1", "minor": "29" })),
            Outcome::Bad,
            "1.30",
        ),
        ("clock", |seen| seen.skew = Some(400), Outcome::Bad, "400 s"),
        ("clock", |seen| seen.skew = Some(-31), Outcome::Warning, "-31 s"),
        ("webhooks", |seen| seen.mutating = Reading::Found(vec![]), Outcome::Warning, "nothing is pinned"),
        ("webhooks", |seen| seen.validating = Reading::Forbidden, Outcome::Unknown, "you may not read"),
        ("service", |seen| release(seen).service = Reading::Absent, Outcome::Bad, "not there"),
        ("service", |seen| webhook(seen)["clientConfig"]["service"]["port"] = json!(8443), Outcome::Bad, "port 8443"),
        (
            "ca-bundle",
            |seen| webhook(seen)["clientConfig"]["caBundle"] = json!(""),
            Outcome::Warning,
            "validate.pullgate.dev",
        ),
        (
            "failure-policy",
            |seen| release(seen).armed = Some(Reading::Found(false)),
            Outcome::Warning,
            "Fail does not hold",
        ),
        ("failure-policy", |seen| release(seen).armed = Some(Reading::Forbidden), Outcome::Unknown, "may not read"),
        (
            "registries",
            |seen| {
                release(seen).replicas[0].metrics = Reading::Found(
                    "pullgate_registry_requests_total{registry=\"r.io\",status=\"none\"} 3\n".to_owned(),
                );
            },
            Outcome::Warning,
            "no answer so far from r.io",
        ),
        ("timeouts", |seen| webhook(seen)["timeoutSeconds"] = json!(10), Outcome::Warning, "10 s"),
        ("excluded-namespaces", |seen| webhook(seen)["namespaceSelector"] = json!({}), Outcome::Bad, "kube-system"),
        (
            "self-exemption",
            |seen| webhook(seen)["objectSelector"] = json!({ "matchLabels": { "skip": "yes" } }),
            Outcome::Warning,
            "the object label skip",
        ),
        ("endpoints", |seen| release(seen).slices = Reading::Found(vec![]), Outcome::Bad, "no replica is ready"),
        (
            "endpoints",
            |seen| {
                let both = json!({ "endpoints": [{ "nodeName": "a" }, { "nodeName": "a" }] });
                release(seen).slices = Reading::Found(vec![both]);
            },
            Outcome::Warning,
            "on 1 node",
        ),
        (
            "endpoints",
            |seen| {
                let zones = [("a", "z1"), ("b", "z1"), ("c", "z2")];
                release(seen).zones =
                    Reading::Found(zones.map(|(node, zone)| (node.to_owned(), zone.to_owned())).to_vec());
            },
            Outcome::Warning,
            "all in one zone of 2",
        ),
        (
            "replicas",
            |seen| release(seen).replicas[1].ready = Reading::Found("not ready\ncertificate: not yet\n".to_owned()),
            Outcome::Bad,
            "pullgate-1 (certificate: not yet)",
        ),
        (
            "certificate",
            |seen| {
                let text = "pullgate_certificate_expiry_timestamp_seconds{which=\"ca\"} 172800\n";
                release(seen).replicas[0].metrics = Reading::Found(text.to_owned());
            },
            Outcome::Bad,
            "the ca, ends in 2 days",
        ),
        ("disruption-budget", |seen| release(seen).budgets = Reading::Found(vec![]), Outcome::Warning, "none"),
        ("secrets", |seen| release(seen).secrets[0].1 = Reading::Found(false), Outcome::Warning, "admitted unchecked"),
        ("secrets", |seen| release(seen).secrets[1].1 = Reading::Found(true), Outcome::Warning, "may list"),
        (
            "latency",
            |seen| {
                let text = "pullgate_review_seconds_bucket{le=\"2.0\"} 900000\npullgate_review_seconds_bucket{le=\"+Inf\"} 900000\n";
                release(seen).replicas[0].metrics = Reading::Found(text.to_owned());
            },
            Outcome::Warning,
            "up to 2 s",
        ),
        (
            "unchecked",
            |seen| {
                let text = "pullgate_admitted_unchecked_total 500\npullgate_review_seconds_count 600\n";
                release(seen).replicas[0].metrics = Reading::Found(text.to_owned());
            },
            Outcome::Warning,
            "503 of 1601",
        ),
        (
            "registries",
            |seen| {
                release(seen).replicas[0].metrics =
                    Reading::Found("pullgate_registry_breaker{registry=\"r.io\"} 2\n".to_owned());
            },
            Outcome::Bad,
            "r.io",
        ),
        (
            "registries",
            |seen| seen.registries = Reading::Found(vec!["q.io".to_owned()]),
            Outcome::Good,
            "not asked yet: q.io",
        ),
        (
            "quota",
            |seen| {
                let text = "pullgate_registry_quota_left{registry=\"docker.io\"} 7\n";
                release(seen).replicas[0].metrics = Reading::Found(text.to_owned());
            },
            Outcome::Warning,
            "docker.io has 7 left",
        ),
        (
            "other-webhooks",
            |seen| seen.others = Reading::Found(vec!["inject.mesh".to_owned()]),
            Outcome::Warning,
            "inject.mesh",
        ),
        (
            "operators",
            |seen| seen.groups = Reading::Found(vec!["postgresql.cnpg.io".to_owned()]),
            Outcome::Warning,
            "CloudNativePG",
        ),
        ("review", |seen| seen.review = Some(Reviewed { answer: Ok(vec![]) }), Outcome::Bad, "was not asked"),
        ("review", |seen| seen.review = Some(Reviewed { answer: Err("quota".to_owned()) }), Outcome::Bad, "quota"),
    ];
    for (name, change, outcome, said) in table {
        let (found, text) = after(name, change);
        assert!(found == *outcome && text.contains(said), "{name}: {found:?} {text}");
    }
}

#[test]
fn before_an_installation_nothing_of_it_may_be_there() {
    let mut seen = sound();
    let outcome = |seen: &Installation| {
        let checks = examine(seen, true, Timestamp::UNIX_EPOCH);
        (exit_code(&checks), checks.into_iter().find(|check| check.outcome == Outcome::Bad).map(|check| check.text))
    };
    let (code, text) = outcome(&seen);
    assert!(code == 1 && text.unwrap().contains("installed already"));
    (seen.validating, seen.mutating, seen.release) = (Reading::Found(vec![]), Reading::Found(vec![]), None);
    assert_eq!(outcome(&seen), (0, None));
    seen.rights.push(("ClusterRoles", Reading::Found(false)));
    assert_eq!(outcome(&seen).1.unwrap(), "you may not create ClusterRoles");
    (seen.rights, seen.others) = (Vec::new(), Reading::Forbidden);
    assert_eq!(outcome(&seen), (0, None), "a review was asked for, and is good");
    seen.review = None;
    assert_eq!(outcome(&seen), (3, None));
}

#[test]
fn each_check_is_explained_and_nothing_else_is() {
    let page = include_str!("../../docs/DOCTOR.md");
    let anchors: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(anchors, NAMES);
}
