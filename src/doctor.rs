//! What is read of a cluster → one line a check: sound, to be looked at, wrong, or not to be told. Pure.

mod exposition;
mod replicas;
mod surroundings;
mod webhooks;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::Reading;

/// The page that explains each check under its name.
const PAGE: &str = "docs/DOCTOR.md";

/// Everything that was read. Objects are as the API server gave them.
#[derive(Debug)]
pub struct Installation {
    /// The API server as it is named to people: address and context.
    pub server: String,
    /// `/version`.
    pub version: Reading<Value>,
    /// The API server's clock less this one's, in seconds.
    pub skew: Option<i64>,
    /// The validating webhook configurations that carry pullgate's label.
    pub validating: Reading<Vec<Value>>,
    /// The same for mutating ones.
    pub mutating: Reading<Vec<Value>>,
    /// Names of the webhooks of others that may change pods.
    pub others: Reading<Vec<String>>,
    /// API groups that are served.
    pub groups: Reading<Vec<String>>,
    /// What `--pre` asks for: whether the caller may make the chart's objects, by resource.
    pub rights: Vec<(&'static str, Reading<bool>)>,
    /// Hosts of the images of all pods.
    pub registries: Reading<Vec<String>>,
    /// Of the release, if there is one.
    pub release: Option<Release>,
    /// What was printed for the pod that `--review` has reviewed, and whether it was refused.
    pub review: Option<Reviewed>,
}

/// The objects of the one release.
#[derive(Debug)]
pub struct Release {
    /// Its namespace.
    pub namespace: String,
    /// The Service that the webhooks name.
    pub service: Reading<Value>,
    /// Its `EndpointSlices`.
    pub slices: Reading<Vec<Value>>,
    /// Nodes' zones, by node name.
    pub zones: Reading<Vec<(String, String)>>,
    /// The disruption budgets of the namespace.
    pub budgets: Reading<Vec<Value>>,
    /// `/readyz` and `/metrics` of each pod behind the Service.
    pub replicas: Vec<Replica>,
    /// Whether the condition `armed` of the webhooks holds; none where they have none.
    pub armed: Option<Reading<bool>>,
    /// What its `ServiceAccount` may do with Secrets in the namespace that was named, by verb.
    pub secrets: Vec<(&'static str, Reading<bool>)>,
    /// That namespace.
    pub sample: String,
}

/// One pod.
#[derive(Debug)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// What `/readyz` says.
    pub ready: Reading<String>,
    /// What `/metrics` says.
    pub metrics: Reading<String>,
}

/// What became of a dry run.
#[derive(Debug)]
pub struct Reviewed {
    /// What the API server said.
    pub answer: Result<Vec<String>, String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// √
    Good,
    /// ‼
    Warning,
    /// ×
    Bad,
    /// ?
    Unknown,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which is also its anchor in the page.
    pub name: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen, a sentence.
    pub text: String,
}

/// Every check there is, in the order of the page.
pub const NAMES: [&str; 22] = [
    "api-server",
    "clock",
    "rights",
    "webhooks",
    "service",
    "ca-bundle",
    "failure-policy",
    "timeouts",
    "excluded-namespaces",
    "self-exemption",
    "endpoints",
    "replicas",
    "certificate",
    "disruption-budget",
    "secrets",
    "latency",
    "unchecked",
    "registries",
    "quota",
    "other-webhooks",
    "operators",
    "review",
];

impl Installation {
    /// What is left to say where the API server gives nothing.
    pub fn unread(server: String, version: Reading<Value>, skew: Option<i64>) -> Self {
        Self {
            server,
            version,
            skew,
            validating: Reading::Absent,
            mutating: Reading::Absent,
            others: Reading::Absent,
            groups: Reading::Absent,
            rights: Vec::new(),
            registries: Reading::Absent,
            release: None,
            review: None,
        }
    }
}

/// All checks of what was read; before an installation only those that make sense then. Where the API server gives
/// nothing to anybody, that is all there is to say.
pub fn examine(seen: &Installation, pre: bool, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![surroundings::api_server(&seen.server, &seen.version)];
    if matches!(seen.version, Reading::Unavailable(_) | Reading::Unauthenticated) {
        // A login can be refused because a clock is wrong.
        checks.extend(seen.skew.map(|skew| surroundings::clock(Some(skew))));
        return checks;
    }
    checks.push(surroundings::clock(seen.skew));
    if pre {
        checks.extend([surroundings::rights(&seen.rights), webhooks::absent(seen)]);
    } else {
        checks.extend(webhooks::checks(seen));
        if let Some(release) = &seen.release {
            checks.extend(replicas::checks(release, now));
            checks.extend(surroundings::registries(release, &seen.registries));
        }
    }
    checks.extend([surroundings::others(&seen.others), surroundings::operators(&seen.groups)]);
    checks.extend(seen.review.as_ref().map(surroundings::review));
    checks
}

/// 1: something is wrong. 3: nothing is known to be, and something could not be told. 0: neither, or a review that was as it
/// should be and nothing known to be wrong.
pub fn exit_code(checks: &[Check]) -> u8 {
    let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
    // Who asked for a review, and got one, may have few other rights: `helm test` has no more.
    let reviewed = checks.iter().any(|check| check.name == "review" && check.outcome == Outcome::Good);
    match (any(Outcome::Bad), any(Outcome::Unknown) && !reviewed) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }
}

/// For people: a line a check, and where to read on below what is not good.
pub fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        text.push_str(&format!("{} {}: {}\n", check.outcome.sign(), check.name, check.text));
        if check.outcome != Outcome::Good {
            text.push_str(&format!("    see {}\n", check.anchor()));
        }
    }
    text
}

/// For programs: `{"checks":[{"name","outcome","text"}]}`.
pub fn json(checks: &[Check]) -> String {
    format!("{:#}\n", serde_json::json!({ "checks": checks }))
}

// === impl Check ===

impl Check {
    fn new(name: &'static str, outcome: Outcome, text: impl Into<String>) -> Self {
        Self { name, outcome, text: text.into() }
    }

    fn good(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Outcome::Good, text)
    }

    fn warning(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warning, text)
    }

    fn bad(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Outcome::Bad, text)
    }

    /// What could not be read, and why.
    fn unread<T>(name: &'static str, what: &str, reading: &Reading<T>) -> Self {
        let why = match reading {
            Reading::Found(_) | Reading::Absent => format!("{what} is not there"),
            Reading::NoCluster => format!("no cluster was given to read {what} from"),
            Reading::Forbidden => format!("you may not read {what}"),
            Reading::Unauthenticated => {
                format!("{what} cannot be read: the API server does not accept your login (401)")
            }
            Reading::Unavailable(why) => format!("{what} cannot be read: {why}"),
        };
        Self::new(name, Outcome::Unknown, why)
    }

    /// Where it is explained.
    pub fn anchor(&self) -> String {
        format!("{PAGE}#{}", self.name)
    }
}

// === impl Outcome ===

impl Outcome {
    fn sign(self) -> char {
        match self {
            Self::Good => '√',
            Self::Warning => '‼',
            Self::Bad => '×',
            Self::Unknown => '?',
        }
    }
}

/// The string at a JSON pointer, or nothing.
fn at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer, or nothing.
fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests;
