//! Metric families with bounded labels, recorded at the edges of admission, resolver and registry only.

pub mod certificates;
mod hosts;
mod labels;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::credentials::TokenKind;
use crate::finding::{Cause, Code, Finding};
use crate::metrics::certificates::CertificateMetrics;
use crate::metrics::hosts::{Hosts, OTHER};
use crate::metrics::labels::{
    Asked, Called, Condition, Ended, Ending, Found, Host, Path, Probing, Read, Review, Slow, TemplatePath, Turn,
    Unchecked, What,
};
use crate::policy::Mode;
use crate::printable::line;
use crate::registry::probes::plan::Probe;

/// Seconds: from a warm answer to the longest webhook timeout.
const BUCKETS: [f64; 13] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0];

/// A review that took this long leaves its uid beside its bucket. A warm one takes a hundredth of it, and is not slowed down.
const SLOW: Duration = Duration::from_millis(100);

/// Characters of a uid beside a bucket: `OpenMetrics` allows 128 for all labels of an exemplar.
const MAX_UID: usize = 64;

/// Where facts come from, and what those from there can say.
const FACTS: [(&str, &[&str]); 6] = [
    ("cache", &["tag", "digest", "refused", "failed", "platforms"]),
    ("registry", &["tag", "digest", "refused", "failed", "platforms"]),
    ("stale", &["tag", "digest"]),
    ("refreshing", &["tag", "digest"]),
    ("breaker", &["tag", "digest"]),
    ("budget", &["tag", "digest"]),
];

/// The modes under which something is found.
const MODES: [Mode; 3] = [Mode::Enforce, Mode::Warn, Mode::Audit];

/// Handles to every family. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reviews: Family<Review, Counter>,
    seconds: Family<Path, Timing, fn() -> Timing>,
    findings: Family<Found, Counter>,
    unchecked: Family<Unchecked, Counter>,
    registry_requests: Family<Asked, Counter>,
    registry_probes: Family<Probing, Counter>,
    facts: Family<Read, Counter>,
    expired: Family<Ending, Counter>,
    expire_soon: Family<Ending, Counter>,
    plugin_calls: Family<Called, Counter>,
    quota_left: Family<Host, Gauge>,
    breakers: Family<Host, Gauge>,
    resting: Family<Host, Gauge>,
    turns: Family<Turn, Counter>,
    shared_reads: Family<Ended, Counter>,
    shared_writes: Family<Ended, Counter>,
    refused: Family<What, Gauge>,
    certificates: CertificateMetrics,
    unknown_callers: Counter,
    template_paths_unmatched: Family<TemplatePath, Counter>,
    conditions: Family<Condition, Gauge>,
    hosts: Arc<Hosts>,
}

type Timing = HistogramWithExemplars<Slow>;

/// A registry in the text format of `OpenMetrics`.
pub fn exposition(registry: &Registry) -> String {
    let mut rendered = String::new();
    // Writing to a string does not fail; half a text would be worse than none.
    match text::encode(&mut rendered, registry) {
        Ok(()) => rendered,
        Err(std::fmt::Error) => String::new(),
    }
}

// === impl Metrics ===

impl Metrics {
    /// Families at zero, registered under the prefix `pullgate`.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("pullgate");
        let reviews = Family::default();
        registry.register("reviews", "AdmissionReviews answered", reviews.clone());
        let seconds = Family::new_with_constructor((|| Timing::new(BUCKETS.into_iter())) as fn() -> Timing);
        registry.register("review_seconds", "Time from the whole body to the answer", seconds.clone());
        let findings = Family::default();
        registry.register("findings", "Findings of validating reviews", findings.clone());
        let unchecked = Family::default();
        registry.register("admitted_unchecked", "Reviews admitted with an uncertain finding", unchecked.clone());
        let registry_requests = Family::default();
        registry.register(
            "registry_requests",
            "Requests to the API of registries, by status",
            registry_requests.clone(),
        );
        let registry_probes = Family::default();
        let help = "Questions that tell the causes of a refusal apart, by outcome";
        registry.register("registry_probes", help, registry_probes.clone());
        let facts = Family::default();
        registry.register("facts", "Facts read, by where they came from and what they say", facts.clone());
        let expired = Family::default();
        registry.register("credentials_expired", "Refused logins whose own time is over, by kind", expired.clone());
        let expire_soon = Family::default();
        let help = "Logins that pulled and end soon, or are over by their own word, by kind";
        registry.register("credentials_expire_soon", help, expire_soon.clone());
        let plugin_calls = Family::default();
        registry.register("credential_plugin_calls", "Calls of credential provider plugins", plugin_calls.clone());
        let quota_left = Family::default();
        registry.register("registry_quota_left", "Lowest of what a registry says is left", quota_left.clone());
        let breakers = Family::default();
        registry.register("registry_breaker", "0 closed, 1 half open, 2 open", breakers.clone());
        let resting = Family::default();
        registry.register("registry_logins_resting", "Logins that a registry limits", resting.clone());
        let turns = Family::default();
        registry.register("registry_turns", "Turns of dialogues with registries", turns.clone());
        let shared_reads = Family::default();
        registry.register("shared_cache_reads", "Facts looked up in the shared cache", shared_reads.clone());
        let shared_writes = Family::default();
        registry.register("shared_cache_writes", "Facts sent to the shared cache", shared_writes.clone());
        let refused = Family::default();
        let help = "1 while a changed file is refused, and what was loaded before stays in use";
        registry.register("reload_refused", help, refused.clone());
        let unknown_callers = Counter::default();
        let help = "Reviews of callers that were told the verdict only";
        registry.register("unknown_callers", help, unknown_callers.clone());
        let template_paths_unmatched = Family::default();
        let help = "Objects in which a path under kinds leads to no pod template";
        registry.register("template_paths_unmatched", help, template_paths_unmatched.clone());
        let conditions = Family::default();
        registry.register("ready_condition", "1 for each condition of readiness that holds", conditions.clone());
        let certificates = CertificateMetrics::of_replica(&mut registry);
        let metrics = Self {
            registry: Arc::new(registry),
            reviews,
            seconds,
            findings,
            unchecked,
            registry_requests,
            registry_probes,
            facts,
            expired,
            expire_soon,
            plugin_calls,
            quota_left,
            breakers,
            resting,
            turns,
            shared_reads,
            shared_writes,
            refused,
            certificates,
            unknown_callers,
            template_paths_unmatched,
            conditions,
            hosts: Arc::default(),
        };
        metrics.start_at_zero();
        metrics
    }

    /// A counter that does not exist is no data; one at zero is good news.
    fn start_at_zero(&self) {
        for path in ["validate", "mutate"] {
            drop(self.seconds.get_or_create(&Path { path }));
        }
        for verdict in ["allow", "warn", "deny", "unchecked", "pass"] {
            drop(self.reviews.get_or_create(&Review { path: "validate", verdict }));
        }
        for verdict in ["patch", "pass"] {
            drop(self.reviews.get_or_create(&Review { path: "mutate", verdict }));
        }
        for code in Code::ALL {
            let certain = if code.certain() { "true" } else { "false" };
            for mode in MODES.map(Mode::as_str) {
                let (code, registry) = (code.as_str(), OTHER.to_owned());
                drop(self.findings.get_or_create(&Found { code, cause: "", certain, mode, registry }));
                if certain == "false" {
                    drop(self.unchecked.get_or_create(&Unchecked { mode, code }));
                }
            }
        }
        for probe in Probe::ALL.map(Probe::as_str) {
            for outcome in ["yes", "no", "unsaid"] {
                drop(self.registry_probes.get_or_create(&Probing { probe, outcome }));
            }
        }
        for token in TokenKind::ALL.map(TokenKind::as_str) {
            drop(self.expired.get_or_create(&Ending { token }));
            drop(self.expire_soon.get_or_create(&Ending { token }));
        }
        for (from, kinds) in FACTS {
            for kind in kinds.iter().copied() {
                drop(self.facts.get_or_create(&Read { from, kind }));
            }
        }
        for turn in ["at_once", "waited", "overload"] {
            drop(self.turns.get_or_create(&Turn { turn }));
        }
    }

    /// The `OpenMetrics` text of all families.
    pub fn render(&self) -> String {
        exposition(&self.registry)
    }

    /// One answered review. The uid of a slow one is its exemplar.
    pub fn review(&self, path: &'static str, verdict: &'static str, took: Duration, uid: &str) {
        self.reviews.get_or_create(&Review { path, verdict }).inc();
        let slow = (took >= SLOW).then(|| Slow { uid: line(uid).chars().take(MAX_UID).collect() });
        self.seconds.get_or_create(&Path { path }).observe(took.as_secs_f64(), slow, None);
    }

    /// A path under `kinds` led to no pod template in an object; whether it is the first one.
    pub fn template_path_unmatched(&self, group: &str, kind: &str, path: &str) -> bool {
        let labels = TemplatePath { group: group.to_owned(), kind: kind.to_owned(), path: path.to_owned() };
        self.template_paths_unmatched.get_or_create(&labels).inc() == 0
    }

    /// One review of a caller that is not known to be an API server.
    pub fn unknown_caller(&self) {
        self.unknown_callers.inc();
    }

    /// Whether a condition of readiness holds.
    pub fn condition(&self, condition: &'static str, holds: bool) {
        self.conditions.get_or_create(&Condition { condition }).set(i64::from(holds));
    }

    /// When certificates end.
    pub fn certificates(&self) -> CertificateMetrics {
        self.certificates.clone()
    }

    /// One finding of a validating review.
    pub fn finding(&self, finding: &Finding, mode: Mode) {
        let (code, mode) = (finding.code.as_str(), mode.as_str());
        let cause = finding.cause.map_or("", Cause::as_str);
        let certain = if finding.certain { "true" } else { "false" };
        let host = finding.resolved.as_deref().and_then(|reference| reference.split_once('/'));
        let registry = self.label_or_other(host.map_or("", |(host, _)| host));
        self.findings.get_or_create(&Found { code, cause, certain, mode, registry }).inc();
    }

    /// One review that was admitted although an image could not be judged, and the first reason.
    pub fn admitted_unchecked(&self, mode: Mode, code: Code) {
        self.unchecked.get_or_create(&Unchecked { mode: mode.as_str(), code: code.as_str() }).inc();
    }

    /// Registries that the operator names: they have a label of their own from now on.
    pub fn registries_named<'h>(&self, hosts: impl Iterator<Item = &'h str>) {
        self.hosts.name(hosts);
    }

    /// A registry served a manifest: it has a label of its own from now on, if one is left.
    pub fn registry_serves(&self, host: &str) {
        self.hosts.serves(host);
    }

    /// One request to a registry's own API and its status, if an answer came.
    pub fn registry_request(&self, host: &str, status: Option<u16>) {
        let registry = self.label_or_other(host);
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.registry_requests.get_or_create(&Asked { registry, status }).inc();
    }

    /// The lowest of what one registry says is left, over all credentials. A registry without a label of its own has none.
    pub fn registry_left(&self, host: &str, left: u32) {
        self.set(&self.quota_left, host, i64::from(left));
    }

    /// The state of one registry's breaker: 0 closed, 1 half open, 2 open.
    pub fn registry_breaker(&self, host: &str, state: u8) {
        self.set(&self.breakers, host, i64::from(state));
    }

    /// How many logins (anonymous is one) rest because one registry limits them.
    pub fn registry_resting(&self, host: &str, logins: usize) {
        self.set(&self.resting, host, i64::try_from(logins).unwrap_or(i64::MAX));
    }

    fn set(&self, family: &Family<Host, Gauge>, host: &str, value: i64) {
        if let Some(registry) = self.label(host) {
            family.get_or_create(&Host { registry }).set(value);
        }
    }

    /// The label of a registry, if it has one.
    fn label(&self, host: &str) -> Option<String> {
        self.hosts.has(host).then(|| host.to_owned())
    }

    fn label_or_other(&self, host: &str) -> String {
        self.label(host).unwrap_or_else(|| OTHER.to_owned())
    }

    /// One turn of a dialogue with a registry: `at_once`, `waited`, or `overload` for none.
    pub fn registry_turn(&self, turn: &'static str) {
        self.turns.get_or_create(&Turn { turn }).inc();
    }

    /// One question about a refusal that was asked, and what it told.
    pub fn registry_probe(&self, probe: Probe, told: Option<bool>) {
        let outcome = match told {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unsaid",
        };
        self.registry_probes.get_or_create(&Probing { probe: probe.as_str(), outcome }).inc();
    }

    /// One fact read. `from`: `cache`, `registry`, `stale`, `breaker`, `refreshing` for one past its lifetime while it is
    /// asked again, `budget` where too little of that is left. `kind`: a `tag` or a `digest` that was found or, where nothing
    /// was asked, is wanted; `refused` for a certain refusal, `failed` for no answer, `platforms` behind a digest.
    pub fn fact(&self, from: &'static str, kind: &'static str) {
        self.facts.get_or_create(&Read { from, kind }).inc();
    }

    /// A changed file was loaded, or refused: then what was loaded before stays in use.
    pub fn reloaded<T, E>(&self, what: &'static str, outcome: Result<T, E>) -> Result<T, E> {
        self.refused.get_or_create(&What { what }).set(i64::from(outcome.is_err()));
        outcome
    }

    /// One refused login whose own time is over.
    pub fn credentials_expired(&self, token: TokenKind) {
        self.expired.get_or_create(&Ending { token: token.as_str() }).inc();
    }

    /// One login that pulled and ends soon, or is over by its own word.
    pub fn credentials_expire_soon(&self, token: TokenKind) {
        self.expire_soon.get_or_create(&Ending { token: token.as_str() }).inc();
    }

    /// One call of a declared credential provider plugin: `ok`, or how it failed.
    pub fn credential_plugin_call(&self, plugin: &str, outcome: &'static str) {
        self.plugin_calls.get_or_create(&Called { plugin: plugin.to_owned(), outcome }).inc();
    }

    /// One question to the shared cache: `hit`, `miss`, why it was silent (`resting`, `timeout`, `error`), or why what it
    /// holds was refused (`mac`, `version`, `future`, `old`, `size`, `text`).
    pub fn shared_read(&self, outcome: &'static str) {
        self.shared_reads.get_or_create(&Ended { outcome }).inc();
    }

    /// One fact for the shared cache: `ok`, or `busy`, `resting`, `timeout`, `error`.
    pub fn shared_write(&self, outcome: &'static str) {
        self.shared_writes.get_or_create(&Ended { outcome }).inc();
    }

    /// There is a shared cache: its counters start at zero.
    pub fn shared_cache(&self) {
        for outcome in ["hit", "miss", "mac", "resting", "timeout", "error"] {
            drop(self.shared_reads.get_or_create(&Ended { outcome }));
        }
        for outcome in ["ok", "busy", "resting", "timeout", "error"] {
            drop(self.shared_writes.get_or_create(&Ended { outcome }));
        }
    }

    /// A plugin that is declared: its good calls start at zero.
    pub fn credential_plugin(&self, plugin: &str) {
        drop(self.plugin_calls.get_or_create(&Called { plugin: plugin.to_owned(), outcome: "ok" }));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
