//! What stands around pullgate: the API server, registries, other webhooks, operators that own pods.

use std::collections::BTreeSet;

use serde_json::Value;

use super::exposition::{by_label, by_labels};
use super::replicas::metrics;
use super::{Check, Outcome, Release, Reviewed, at};
use crate::cluster::Reading;

/// matchConditions of admission webhooks are stable since then.
const OLDEST: u32 = 30;

/// Seconds between clocks that a certificate or a token forgives.
const SKEW: (i64, i64) = (30, 300);

/// Requests that a registry has left below which it is said.
const FEW: f64 = 20.0;

/// API groups of operators that compare the images of pods that they own with the ones that they wrote; pods of theirs are
/// judged and not pinned (pin.owners).
const OPERATORS: [(&str, &str); 3] = [
    ("postgresql.cnpg.io", "CloudNativePG"),
    ("acid.zalan.do", "Zalando postgres-operator"),
    ("kafka.banzaicloud.io", "Koperator"),
];

pub(super) fn api_server(server: &str, version: &Reading<Value>) -> Check {
    let version = match version {
        Reading::Found(version) => version,
        Reading::Unavailable(why) => return Check::bad("api-server", format!("{server}: {why}")),
        Reading::Unauthenticated => {
            let fix = "log in again, or renew the credentials in the kubeconfig";
            return Check::bad("api-server", format!("{server} does not accept your login (401 Unauthorized): {fix}"));
        }
        unread => return Check { outcome: Outcome::Bad, ..Check::unread("api-server", "the API server", unread) },
    };
    let digits: String = at(version, "/minor").chars().take_while(char::is_ascii_digit).collect();
    let git = at(version, "/gitVersion");
    match digits.parse::<u32>() {
        Ok(minor) if at(version, "/major") == "1" && minor < OLDEST => {
            Check::bad("api-server", format!("Kubernetes {git}: pullgate needs 1.{OLDEST} (matchConditions)"))
        }
        Ok(_) => Check::good("api-server", format!("answers, Kubernetes {git}")),
        Err(_) => Check::warning("api-server", format!("answers, with a version that is no Kubernetes version: {git}")),
    }
}

pub(super) fn clock(skew: Option<i64>) -> Check {
    match skew {
        None => Check::unread("clock", "the API server's time", &Reading::<()>::Absent),
        Some(skew) if skew.abs() >= SKEW.1 => {
            Check::bad("clock", format!("{skew} s apart: certificates and tokens fail"))
        }
        Some(skew) if skew.abs() >= SKEW.0 => Check::warning("clock", format!("{skew} s apart from the API server")),
        Some(_) => Check::good("clock", "agrees with the API server's"),
    }
}

/// Whether whoever asks may install the chart.
pub(super) fn rights(rights: &[(&'static str, Reading<bool>)]) -> Check {
    if let Some((what, unread)) = rights.iter().find(|(_, reading)| !matches!(reading, Reading::Found(_))) {
        return Check::unread("rights", &format!("whether you may create {what}"), unread);
    }
    let missing: Vec<&str> =
        rights.iter().filter(|(_, reading)| matches!(reading, Reading::Found(false))).map(|(what, _)| *what).collect();
    if missing.is_empty() {
        return Check::good("rights", "you may create every kind of object that the chart cannot do without");
    }
    Check::bad("rights", format!("you may not create {}", missing.join(", ")))
}

/// Registries of the cluster's images, as the replicas found them; and what those have left.
pub(super) fn registries(release: &Release, seen: &Reading<Vec<String>>) -> Vec<Check> {
    let texts = metrics(release);
    let open: Vec<&str> = texts
        .iter()
        .flat_map(|text| by_label(text, "pullgate_registry_breaker", "registry"))
        .filter(|(_, state)| *state > 1.5)
        .map(|(host, _)| host)
        .collect();
    let requests =
        || texts.iter().flat_map(|text| by_labels(text, "pullgate_registry_requests_total", ["registry", "status"]));
    let asked: BTreeSet<&str> = requests().map(|([host, _], _)| host).collect();
    let answered: BTreeSet<&str> =
        requests().filter(|([_, status], _)| *status != "none").map(|([host, _], _)| host).collect();
    let silent: Vec<&str> = asked.difference(&answered).copied().collect();
    let reachable = match seen {
        _ if !open.is_empty() => Check::bad("registries", format!("not reachable from pullgate: {}", open.join(", "))),
        _ if !silent.is_empty() => Check::warning(
            "registries",
            format!(
                "no answer so far from {} (other: registries that the configuration does not name)",
                silent.join(", ")
            ),
        ),
        Reading::Found(hosts) => {
            let unasked: Vec<&str> = hosts.iter().map(String::as_str).filter(|host| !asked.contains(host)).collect();
            match unasked.as_slice() {
                [] => Check::good("registries", "every registry of the cluster's images answers pullgate"),
                unasked => Check::good("registries", format!("none fails; not asked yet: {}", unasked.join(", "))),
            }
        }
        unread => Check::unread("registries", "the pods of the cluster", unread),
    };
    let low: Vec<String> = texts
        .iter()
        .flat_map(|text| by_label(text, "pullgate_registry_quota_left", "registry"))
        .filter(|(_, left)| *left < FEW)
        .map(|(host, left)| format!("{host} has {left} left"))
        .collect();
    let quota = if low.is_empty() {
        Check::good("quota", "no registry says that little is left")
    } else {
        Check::warning("quota", low.join(", "))
    };
    vec![reachable, quota]
}

pub(super) fn others(others: &Reading<Vec<String>>) -> Check {
    match others {
        Reading::Found(names) if names.is_empty() => Check::good("other-webhooks", "no other webhook changes pods"),
        Reading::Found(names) => Check::warning(
            "other-webhooks",
            format!(
                "{} may change pods, too: images that one adds after pullgate are judged and not pinned",
                names.join(", ")
            ),
        ),
        unread => Check::unread("other-webhooks", "the MutatingWebhookConfigurations", unread),
    }
}

pub(super) fn operators(groups: &Reading<Vec<String>>) -> Check {
    let groups = match groups {
        Reading::Found(groups) => groups,
        unread => return Check::unread("operators", "the API groups", unread),
    };
    let present: Vec<&str> = OPERATORS
        .iter()
        .filter(|(group, _)| groups.iter().any(|served| served == group))
        .map(|(_, name)| *name)
        .collect();
    if present.is_empty() {
        return Check::good("operators", "none that is known to undo pinning");
    }
    Check::warning(
        "operators",
        format!("{}: keep pin.owners at builtin, or its pods are made anew for ever", present.join(", ")),
    )
}

pub(super) fn review(reviewed: &Reviewed) -> Check {
    match &reviewed.answer {
        Ok(warnings) => match warnings.iter().find(|warning| warning.starts_with("pullgate ")) {
            Some(said) => Check::good("review", said.clone()),
            None => {
                Check::bad("review", "a pod with a bad image was admitted in a dry run, and pullgate was not asked")
            }
        },
        Err(refusal) if refusal.contains("pullgate.dev") && refusal.contains("InvalidImageName") => {
            Check::good("review", "a pod with a bad image was refused by pullgate in a dry run")
        }
        Err(refusal) => Check::bad("review", format!("a dry run was refused otherwise: {refusal}")),
    }
}
