//! The two webhook configurations: there, pointing somewhere, within advice.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Check, Installation, at, list};
use crate::cluster::Reading;

/// Seconds that an API server may wait for each, at most, by advice: several webhooks share its 34 s.
const TIMEOUTS: [(&str, i64); 2] = [("validating", 5), ("mutating", 3)];

/// The only label that no tenant can set on a namespace.
const NAME: &str = "kubernetes.io/metadata.name";

/// The value that both selectors compare.
const EXCLUDED: &str = "kube-system";

/// The configurations of both kinds that were found.
fn found(seen: &Installation) -> [(&'static str, &[Value]); 2] {
    [("validating", configurations(&seen.validating)), ("mutating", configurations(&seen.mutating))]
}

fn configurations(reading: &Reading<Vec<Value>>) -> &[Value] {
    match reading {
        Reading::Found(list) => list,
        _ => &[],
    }
}

/// Each webhook with the kind of its configuration.
fn webhooks(seen: &Installation) -> Vec<(&'static str, &Value)> {
    found(seen)
        .into_iter()
        .flat_map(|(kind, list_of)| {
            list_of.iter().flat_map(move |one| list(one, "/webhooks").iter().map(move |w| (kind, w)))
        })
        .collect()
}

/// Before an installation: none may be there.
pub(super) fn absent(seen: &Installation) -> Check {
    if let Some(unread) = unread("webhooks", seen) {
        return unread;
    }
    let names: BTreeSet<&str> =
        found(seen).into_iter().flat_map(|(_, list)| list.iter().map(|one| at(one, "/metadata/name"))).collect();
    if names.is_empty() {
        return Check::good("webhooks", "no pullgate is installed");
    }
    let names: Vec<&str> = names.into_iter().collect();
    Check::bad("webhooks", format!("pullgate is installed already, as {}; it is installed once", names.join(", ")))
}

fn unread(name: &'static str, seen: &Installation) -> Option<Check> {
    [("the ValidatingWebhookConfigurations", &seen.validating), ("the MutatingWebhookConfigurations", &seen.mutating)]
        .into_iter()
        .find(|(_, reading)| !matches!(reading, Reading::Found(_)))
        .map(|(what, reading)| Check::unread(name, what, reading))
}

pub(super) fn checks(seen: &Installation) -> Vec<Check> {
    if let Some(unread) = unread("webhooks", seen) {
        return vec![unread];
    }
    let mut checks = vec![present(seen)];
    if webhooks(seen).is_empty() {
        return checks;
    }
    checks.extend([service(seen), ca_bundle(seen), failure_policy(seen), timeouts(seen), excluded(seen), exempt(seen)]);
    checks
}

fn present(seen: &Installation) -> Check {
    let [(_, validating), (_, mutating)] = found(seen);
    match (validating.len(), mutating.len()) {
        (1, 1) => Check::good("webhooks", "objects are judged and new pods are pinned"),
        (1, 0) => Check::warning("webhooks", "objects are judged; nothing is pinned (webhooks.mutate.enabled)"),
        (0, 1) => Check::warning("webhooks", "new pods are pinned; nothing is judged (webhooks.validate.enabled)"),
        (0, 0) => Check::bad("webhooks", "no webhook configuration with the label app.kubernetes.io/part-of=pullgate"),
        (validating, mutating) => Check::bad(
            "webhooks",
            format!("{validating} validating and {mutating} mutating configurations: pullgate is installed once"),
        ),
    }
}

fn service(seen: &Installation) -> Check {
    let Some(release) = &seen.release else {
        return Check::warning("service", "the webhooks name a URL and no Service");
    };
    let object = match &release.service {
        Reading::Found(object) => object,
        Reading::Absent => return Check::bad("service", "the Service that the webhooks name is not there"),
        unread => return Check::unread("service", "the Service", unread),
    };
    let ports: Vec<i64> = list(object, "/spec/ports").iter().filter_map(|port| port["port"].as_i64()).collect();
    let strays: Vec<i64> = webhooks(seen)
        .into_iter()
        .map(|(_, webhook)| webhook.pointer("/clientConfig/service/port").and_then(Value::as_i64).unwrap_or(443))
        .filter(|port| !ports.contains(port))
        .collect();
    match strays.first() {
        None => Check::good("service", format!("{}/{} has the port", release.namespace, at(object, "/metadata/name"))),
        Some(port) => Check::bad("service", format!("the webhooks name port {port}, the Service has {ports:?}")),
    }
}

fn ca_bundle(seen: &Installation) -> Check {
    let without: Vec<&str> = webhooks(seen)
        .into_iter()
        .filter(|(_, webhook)| at(webhook, "/clientConfig/caBundle").is_empty())
        .map(|(_, webhook)| at(webhook, "/name"))
        .collect();
    if without.is_empty() {
        return Check::good("ca-bundle", "API servers have a CA to trust pullgate by");
    }
    let what = "API servers trust pullgate only if their system trusts who signed its certificate";
    Check::warning("ca-bundle", format!("{} without a caBundle: {what}", without.join(", ")))
}

fn failure_policy(seen: &Installation) -> Check {
    let fails = |wanted: &str| {
        webhooks(seen).into_iter().any(|(kind, webhook)| kind == wanted && at(webhook, "/failurePolicy") != "Ignore")
    };
    match (fails("validating"), fails("mutating")) {
        (_, true) => Check::warning(
            "failure-policy",
            "Fail on the mutating webhook refuses pods that could not be pinned; the validating one judges them anyway",
        ),
        (true, false) => match seen.release.as_ref().and_then(|release| release.armed.as_ref()) {
            Some(Reading::Found(false)) => Check::warning(
                "failure-policy",
                "Fail does not hold: nobody is asked until pullgate is armed, which helm upgrade does once a replica is ready",
            ),
            None | Some(Reading::Found(true)) => Check::good("failure-policy", "Fail: what is not judged is refused"),
            Some(unread) => Check::unread("failure-policy", "whether Fail holds (SubjectAccessReview)", unread),
        },
        (false, false) => Check::good("failure-policy", "Ignore: while pullgate is away, objects pass unchecked"),
    }
}

fn timeouts(seen: &Installation) -> Check {
    let long: Vec<String> = webhooks(seen)
        .into_iter()
        .filter_map(|(kind, webhook)| {
            let seconds = webhook["timeoutSeconds"].as_i64().unwrap_or(10);
            let most = TIMEOUTS.iter().find(|(of, _)| *of == kind).map_or(0, |(_, most)| *most);
            (seconds > most).then(|| format!("{} waits {seconds} s, advice is {most}", at(webhook, "/name")))
        })
        .collect();
    if long.is_empty() {
        return Check::good("timeouts", "short enough for several webhooks in one request");
    }
    Check::warning("timeouts", long.join("; "))
}

/// The namespaces that a webhook's selector leaves out by name.
fn left_out(webhook: &Value) -> Vec<&str> {
    list(webhook, "/namespaceSelector/matchExpressions")
        .iter()
        .filter(|term| at(term, "/key") == NAME && at(term, "/operator") == "NotIn")
        .flat_map(|term| list(term, "/values").iter().filter_map(Value::as_str))
        .collect()
}

fn excluded(seen: &Installation) -> Check {
    let mut wanted = vec![EXCLUDED];
    wanted.extend(seen.release.as_ref().map(|release| release.namespace.as_str()));
    let missing: BTreeSet<String> = webhooks(seen)
        .into_iter()
        .flat_map(|(_, webhook)| {
            let out = left_out(webhook);
            wanted
                .iter()
                .filter(move |name| !out.contains(name))
                .map(|name| format!("{} asks about {name}", at(webhook, "/name")))
        })
        .collect();
    if missing.is_empty() {
        return Check::good("excluded-namespaces", format!("{} are never asked about", wanted.join(" and ")));
    }
    let missing: Vec<String> = missing.into_iter().collect();
    Check::bad(
        "excluded-namespaces",
        format!("{}: while pullgate is away, what would bring it back may be refused", missing.join(", ")),
    )
}

/// Selectors by labels that tenants can set are a way round.
fn exempt(seen: &Installation) -> Check {
    let ways: BTreeSet<String> = webhooks(seen)
        .into_iter()
        .flat_map(|(_, webhook)| {
            let keys = |pointer: &str| {
                let labels = webhook.pointer(&format!("{pointer}/matchLabels")).and_then(Value::as_object);
                let labels = labels.into_iter().flat_map(|labels| labels.keys().map(String::as_str));
                let terms = list(webhook, &format!("{pointer}/matchExpressions")).iter().map(|term| at(term, "/key"));
                labels.chain(terms).map(str::to_owned).collect::<Vec<_>>()
            };
            let namespaces = keys("/namespaceSelector").into_iter().filter(|key| key != NAME);
            let namespaces: Vec<_> = namespaces.map(|key| format!("the namespace label {key}")).collect();
            namespaces
                .into_iter()
                .chain(keys("/objectSelector").into_iter().map(|key| format!("the object label {key}")))
        })
        .collect();
    if ways.is_empty() {
        return Check::good("self-exemption", "no label exempts an object or a namespace");
    }
    let ways: Vec<String> = ways.into_iter().collect();
    Check::warning(
        "self-exemption",
        format!("{} decides who is asked about: whoever may set it can step aside", ways.join(", ")),
    )
}
