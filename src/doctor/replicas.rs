//! The pods behind the Service: how many, where, and what they say of themselves.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::exposition::{by_label, quantile, sum};
use super::{Check, Release, at, list};
use crate::cluster::Reading;

/// Days of a certificate's life below which it is said, and below which it is wrong: the keeper renews far earlier.
const DAYS: (i64, i64) = (14, 3);

/// Seconds that a review may take before somebody should look.
const SLOW: f64 = 1.0;

pub(super) fn checks(release: &Release, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![endpoints(release), replicas(release)];
    checks.extend([certificate(release, now), budget(release), secrets(release), latency(release), unchecked(release)]);
    checks
}

/// The texts of all replicas that could be read.
pub(super) fn metrics(release: &Release) -> Vec<&str> {
    release
        .replicas
        .iter()
        .filter_map(|replica| match &replica.metrics {
            Reading::Found(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn endpoints(release: &Release) -> Check {
    let slices = match &release.slices {
        Reading::Found(slices) => slices,
        unread => return Check::unread("endpoints", "the EndpointSlices", unread),
    };
    let ready: Vec<&Value> = slices
        .iter()
        .flat_map(|slice| list(slice, "/endpoints"))
        .filter(|endpoint| endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true))
        .collect();
    let nodes: BTreeSet<&str> = ready.iter().map(|endpoint| at(endpoint, "/nodeName")).collect();
    let zones: BTreeSet<&str> = match &release.zones {
        Reading::Found(zones) => {
            zones.iter().filter(|(node, _)| nodes.contains(node.as_str())).map(|(_, zone)| zone.as_str()).collect()
        }
        _ => BTreeSet::new(),
    };
    let known: BTreeSet<&str> = match &release.zones {
        Reading::Found(zones) => zones.iter().map(|(_, zone)| zone.as_str()).collect(),
        _ => BTreeSet::new(),
    };
    let seen = format!("{} ready, on {} node{}", ready.len(), nodes.len(), if nodes.len() == 1 { "" } else { "s" });
    match (ready.len(), nodes.len(), zones.len()) {
        (0, ..) => Check::bad("endpoints", "no replica is ready: nobody answers the API servers"),
        (1, ..) => Check::warning("endpoints", format!("{seen}: while it restarts, nobody answers")),
        (_, 1, _) => Check::warning("endpoints", format!("{seen}: when it fails, nobody answers")),
        (_, _, 1) if known.len() > 1 => {
            Check::warning("endpoints", format!("{seen}, all in one zone of {}", known.len()))
        }
        _ => Check::good("endpoints", seen),
    }
}

fn replicas(release: &Release) -> Check {
    if release.replicas.is_empty() {
        return Check::unread("replicas", "a pod behind the Service", &release.slices);
    }
    let mut silent = Vec::new();
    let mut unready = Vec::new();
    for replica in &release.replicas {
        match &replica.ready {
            Reading::Found(text) if text.starts_with("ready") => {}
            Reading::Found(text) => {
                let missing: Vec<&str> = text.lines().filter(|line| line.ends_with("not yet")).collect();
                unready.push(format!("{} ({})", replica.name, missing.join(", ")));
            }
            unread => silent.push(Check::unread("replicas", &format!("/readyz of {}", replica.name), unread)),
        }
    }
    if !unready.is_empty() {
        return Check::bad("replicas", format!("not ready: {}", unready.join("; ")));
    }
    match silent.into_iter().next() {
        Some(unread) => unread,
        None => Check::good("replicas", "each says that it is ready"),
    }
}

fn certificate(release: &Release, now: Timestamp) -> Check {
    let texts = metrics(release);
    if texts.is_empty() {
        return unread_metrics("certificate", release);
    }
    let ends = texts.iter().flat_map(|text| by_label(text, "pullgate_certificate_expiry_timestamp_seconds", "which"));
    let Some((which, end)) = ends.min_by(|one, other| one.1.total_cmp(&other.1)) else {
        return Check::warning("certificate", "no replica says how long its certificate is good");
    };
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 of a certificate")]
    let days = (end as i64 - now.as_second()).div_euclid(24 * 60 * 60);
    let text = format!("the first to end, the {which}, ends in {days} days");
    match days {
        ..0 => Check::bad("certificate", format!("the {which} is over since {} days", -days)),
        days if days < DAYS.1 => Check::bad("certificate", text),
        days if days < DAYS.0 => Check::warning("certificate", text),
        _ => Check::good("certificate", text),
    }
}

fn unread_metrics(name: &'static str, release: &Release) -> Check {
    match release.replicas.first() {
        Some(replica) => Check::unread(name, &format!("/metrics of {}", replica.name), &replica.metrics),
        None => Check::unread(name, "the metrics of a replica", &Reading::<()>::Absent),
    }
}

fn budget(release: &Release) -> Check {
    let budgets = match &release.budgets {
        Reading::Found(budgets) => budgets,
        unread => return Check::unread("disruption-budget", "the PodDisruptionBudgets", unread),
    };
    let ours = budgets.iter().find(|budget| at(budget, "/metadata/labels/app.kubernetes.io~1part-of") == "pullgate");
    match ours.map(|budget| budget.pointer("/status/disruptionsAllowed").and_then(Value::as_i64).unwrap_or_default()) {
        None => Check::warning("disruption-budget", "none: a drain may take all replicas at once"),
        Some(0) => Check::warning("disruption-budget", "allows no eviction: a drain of a node waits for ever"),
        Some(allowed) => Check::good("disruption-budget", format!("allows {allowed} at a time")),
    }
}

fn secrets(release: &Release) -> Check {
    let answer = |verb: &str| release.secrets.iter().find(|(asked, _)| *asked == verb).map(|(_, reading)| reading);
    let sample = &release.sample;
    if let Some(Reading::Found(true)) = answer("list") {
        return Check::warning(
            "secrets",
            format!("pullgate may list Secrets in {sample}: it needs get and nothing else"),
        );
    }
    match answer("get") {
        Some(Reading::Found(true)) => {
            Check::good("secrets", format!("pullgate may get pull secrets in {sample}, and not list them"))
        }
        Some(Reading::Found(false)) => Check::warning(
            "secrets",
            format!(
                "pullgate may not get every pull secret in {sample} (permissions.secrets): where it may not, private images are admitted unchecked"
            ),
        ),
        Some(unread) => Check::unread("secrets", "what pullgate may do (SubjectAccessReview)", unread),
        None => Check::unread("secrets", "what pullgate may do (SubjectAccessReview)", &Reading::<()>::Absent),
    }
}

fn latency(release: &Release) -> Check {
    let texts = metrics(release);
    if texts.is_empty() {
        return unread_metrics("latency", release);
    }
    match quantile(&texts, "pullgate_review_seconds", 0.99) {
        None => Check::good("latency", "no review yet"),
        Some(p99) if p99.is_infinite() => {
            Check::warning("latency", "more than 1 % of reviews took longer than any bucket of the histogram")
        }
        Some(p99) if p99 > SLOW => {
            Check::warning("latency", format!("99 % of reviews took up to {p99} s since the replicas started"))
        }
        Some(p99) => {
            Check::good("latency", format!("99 % of reviews took less than {p99} s since the replicas started"))
        }
    }
}

fn unchecked(release: &Release) -> Check {
    let texts = metrics(release);
    if texts.is_empty() {
        return unread_metrics("unchecked", release);
    }
    let total = |metric: &str| texts.iter().map(|text| sum(text, metric)).sum::<f64>();
    let (unchecked, reviews) = (total("pullgate_admitted_unchecked_total"), total("pullgate_review_seconds_count"));
    let text = format!("{unchecked} of {reviews} reviews were admitted although an image could not be judged");
    if unchecked > reviews / 20.0 && unchecked > 10.0 {
        Check::warning("unchecked", text)
    } else {
        Check::good("unchecked", text)
    }
}
