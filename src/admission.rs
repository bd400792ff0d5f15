//! The handlers: an `AdmissionReview` in, `check`, an `AdmissionReview` out. The only code that knows both ends.
//!
//! Whatever goes wrong after the uid was read (a panic, a deadline, an object that does not decode) is answered as an
//! uncertain finding under that uid; only a body without a uid gets a 4xx.

pub mod affinity;
pub mod callers;
pub mod patch;
pub mod response;
pub mod review;
mod templates;
mod told;

pub use self::told::DOCTOR_IMAGE;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::post;
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument as _, error, info, trace_span, warn};

use crate::admission::callers::Callers;
use crate::admission::patch::{Change, Pin};
use crate::admission::response::Response;
use crate::admission::review::{Operation, Review, Subject};
use crate::check::{Engine, Purpose};
use crate::finding::Cause;
use crate::metrics::Metrics;
use crate::policy::{Policy, TemplatesAction};
use crate::printable::line;
use crate::server::body;
use crate::server::{Authenticated, BodyError, InFlight, Proven};
use crate::telemetry::SPANS;
use crate::verdict::{Decision, Verdict, may_pin, unchecked};
use crate::workload::configured::TemplateKind;
use crate::workload::{Shape, Workload};

/// The API server's own default for a webhook (kubernetes/api `admissionregistration/v1`), where it sends none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that an API server waits.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that one review looks at, taken once at its start.
#[derive(Debug)]
pub struct Snapshot {
    /// The rules.
    pub policy: Policy,
    /// Cluster, resolver, clock.
    pub engine: Engine,
}

/// The shared state of the handlers.
#[derive(Clone, Debug)]
pub struct Gate {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    in_flight: InFlight,
    strangers: InFlight,
    metrics: Metrics,
    body_timeout: Duration,
    callers: Arc<Callers>,
}

/// One call: which webhook, and whether an API server did it.
#[derive(Clone, Copy, Debug)]
struct Call {
    webhook: Webhook,
    known: bool,
}

/// Which webhook was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Webhook {
    Validate,
    Mutate,
}

/// An answer, and what the metrics call it.
struct Answer {
    response: Response,
    verdict: &'static str,
}

/// `POST /validate` and `POST /mutate`. Whatever follows in the path tells who calls; the answer is never that there is
/// nothing, so that no change of it can fail a request.
pub fn router(gate: Gate) -> Router {
    let validate = post(async |State(gate), request| handle(gate, Webhook::Validate, request).await);
    let mutate = post(async |State(gate), request| handle(gate, Webhook::Mutate, request).await);
    Router::new()
        .route("/validate", validate.clone())
        .route("/validate/", validate.clone())
        .route("/validate/{*segment}", validate)
        .route("/mutate", mutate.clone())
        .route("/mutate/", mutate.clone())
        .route("/mutate/{*segment}", mutate)
        .with_state(gate)
}

async fn handle(gate: Gate, webhook: Webhook, request: Request) -> HttpResponse {
    let arrived = Instant::now();
    let (Parts { uri, headers, extensions, .. }, body) = request.into_parts();
    let deadline = arrived + budget(uri.query());
    let rest = uri.path().splitn(3, '/').nth(2);
    let known = gate.callers.know(extensions.get::<Authenticated>().is_some(), rest);
    let call = Call { webhook, known };
    let in_flight = if known { &gate.in_flight } else { &gate.strangers };
    let body = match body::read(body, &headers, in_flight, gate.body_timeout).await {
        Ok(body) => body,
        Err(refused) => return refuse(refused),
    };
    let mut review = match review::parse(&body.bytes) {
        Ok(review) => review,
        Err(refused) => return (StatusCode::BAD_REQUEST, format!("{refused}\n")).into_response(),
    };
    let snapshot = Arc::clone(&gate.snapshots.borrow());
    let unmatched = review.look_for(&snapshot.policy.kinds);
    if known && webhook == Webhook::Validate && !review.dry_run {
        gate.tell_unmatched(&unmatched);
    }
    let span = trace_span!(
        target: SPANS,
        "review",
        otel.kind = "server",
        webhook = webhook.as_str(),
        uid = %line(&review.uid),
        namespace = %line(&review.namespace),
        kind = %line(&review.object.kind),
        name = %line(&review.object.name),
        verdict = Empty,
    );
    let answering = gate.answer(&snapshot, call, &review, deadline).instrument(span.clone());
    let answer = AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|_| {
        error!(uid = %line(&review.uid), "A review made pullgate panic; it is answered as not checked");
        gate.not_checked(&snapshot.policy, call, &review, Cause::Limit, "pullgate failed while it judged")
    });
    span.record("verdict", answer.verdict);
    if !known {
        gate.metrics.unknown_caller();
    } else if !review.dry_run {
        gate.metrics.review(webhook.as_str(), answer.verdict, arrived.elapsed(), &review.uid);
    }
    let mut answer = ([(CONTENT_TYPE, "application/json")], answer.response.to_json()).into_response();
    if known {
        answer.extensions_mut().insert(Proven);
    }
    answer
}

/// What is left of the API server's patience, less the time that the answer needs to get there.
fn budget(query: Option<&str>) -> Duration {
    let timeout = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(|value| value.parse::<jiff::SignedDuration>().ok())
        .and_then(|value| Duration::try_from(value).ok())
        .unwrap_or(DEFAULT_TIMEOUT)
        .min(LONGEST_TIMEOUT);
    timeout.saturating_sub((timeout / 10).clamp(Duration::from_millis(100), Duration::from_millis(500)))
}

fn refuse(refused: BodyError) -> HttpResponse {
    (refused.status(), format!("{refused}\n")).into_response()
}

// === impl Webhook ===

impl Webhook {
    fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
        }
    }
}

// === impl Gate ===

impl Gate {
    /// Handlers over the snapshot that `snapshots` holds when a review arrives.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, metrics: Metrics, body_timeout: Duration) -> Self {
        Self {
            snapshots,
            in_flight: InFlight::default(),
            strangers: InFlight::of_strangers(),
            metrics,
            body_timeout,
            callers: Arc::default(),
        }
    }

    /// The same for callers that are told apart.
    #[must_use]
    pub fn telling_apart(self, callers: Arc<Callers>) -> Self {
        Self { callers, ..self }
    }

    async fn answer(&self, snapshot: &Snapshot, call: Call, review: &Review<'_>, deadline: Instant) -> Answer {
        let Snapshot { policy, engine } = snapshot;
        if policy.mode_for(&review.namespace).is_none() {
            return pass(review);
        }
        match (&review.subject, call.webhook) {
            (Subject::Pass(_), _) => pass(review),
            (_, Webhook::Mutate) if !call.known => pass(review),
            (Subject::Unreadable { why }, _) => self.not_checked(policy, call, review, Cause::Limit, why),
            (Subject::Judge(workloads), Webhook::Validate) => {
                let template = workloads.iter().any(|workload| workload.shape == Shape::Template);
                if template && policy.templates == TemplatesAction::Off {
                    return pass(review);
                }
                match timeout_at(deadline, templates::judge(engine, policy, workloads, deadline)).await {
                    Ok(Some(verdict)) => self.validated(call, review, &verdict),
                    Ok(None) => pass(review),
                    Err(_) => {
                        self.not_checked(policy, call, review, Cause::Deadline, "the review's deadline came first")
                    }
                }
            }
            (Subject::Judge(workloads), Webhook::Mutate) => {
                let Some(workload) = &workloads.first().and_then(pinnable).filter(|it| may_pin(policy, it)) else {
                    return pass(review);
                };
                if review.operation == Operation::Update && review.subresource.is_empty() {
                    return patched(review, &restored(workload), None);
                }
                match timeout_at(deadline, engine.check(policy, workload, Purpose::Pin, deadline)).await {
                    Ok(verdict) => {
                        let change =
                            policy.pin.architecture_affinity.then(|| kept(review, workload, &verdict)).flatten();
                        patched(review, &pins(policy, &verdict), change.as_ref())
                    }
                    Err(_) => pass(review),
                }
            }
        }
    }

    /// Says once for each entry of the configuration, and counts, that its path led to no pod template.
    fn tell_unmatched(&self, unmatched: &[&TemplateKind]) {
        for entry in unmatched {
            let (group, kind, path) = (&entry.group, &entry.kind, entry.path.to_string());
            if self.metrics.template_path_unmatched(group, kind, &path) {
                warn!(
                    %group,
                    %kind,
                    %path,
                    "A path under kinds leads to no pod template in an object of its kind, so nothing is judged there"
                );
            }
        }
    }

    /// The answer where nothing could be judged: as the operator says of [`crate::finding::Code::NotChecked`].
    fn not_checked(&self, policy: &Policy, call: Call, review: &Review<'_>, cause: Cause, why: &str) -> Answer {
        match (call.webhook, policy.mode_for(&review.namespace)) {
            (Webhook::Mutate, _) | (_, None) => pass(review),
            (Webhook::Validate, Some(mode)) => {
                let shape = Shape::of(&review.object.api_version, &review.object.kind).unwrap_or(Shape::Pod);
                self.validated(call, review, &unchecked(policy, mode, shape, cause, why))
            }
        }
    }

    fn validated(&self, call: Call, review: &Review<'_>, verdict: &Verdict) -> Answer {
        let uncertain = verdict.findings.iter().find(|finding| !finding.certain);
        if !review.dry_run && call.known {
            for finding in &verdict.findings {
                self.metrics.finding(finding, verdict.mode);
            }
            for token in verdict.findings.iter().filter_map(|finding| finding.token) {
                self.metrics.credentials_expired(token);
            }
            for token in verdict.notices.iter().filter_map(|notice| notice.token) {
                self.metrics.credentials_expire_soon(token);
            }
            if let Some(finding) = uncertain
                && verdict.decision != Decision::Deny
            {
                self.metrics.admitted_unchecked(verdict.mode, finding.code);
            }
        }
        if !verdict.findings.is_empty() {
            let codes: Vec<&str> = verdict.findings.iter().map(|finding| finding.code.as_str()).collect();
            info!(
                uid = %line(&review.uid),
                namespace = %line(&review.namespace),
                kind = %line(&review.object.kind),
                name = %line(&review.object.name),
                mode = verdict.mode.as_str(),
                decision = verdict.decision.as_str(),
                codes = %codes.join(","),
                "Findings"
            );
        }
        Answer {
            response: if call.known { told::whole(review, verdict) } else { told::hinted(review, verdict) },
            verdict: match verdict.decision {
                Decision::Allow | Decision::Warn if uncertain.is_some() => "unchecked",
                decision => decision.as_str(),
            },
        }
    }
}

/// What of a pod may be pinned before all webhooks are through: a placeholder may yet become an image.
fn pinnable(workload: &Workload) -> Option<Workload> {
    let mut workload = workload.clone();
    workload.images.retain(|image| !image.is_placeholder());
    (!workload.images.is_empty()).then_some(workload)
}

fn pass(review: &Review<'_>) -> Answer {
    Answer { response: Response::allow(review.uid.as_ref()), verdict: "pass" }
}

fn patched(review: &Review<'_>, pins: &[Pin], change: Option<&Change>) -> Answer {
    match patch::json_patch(pins, change) {
        Some(patch) => Answer { response: Response::mutate(review.uid.as_ref(), Some(&patch)), verdict: "patch" },
        None => pass(review),
    }
}

/// The pod's affinity with the architectures of its images; on CREATE only, a pod cannot be moved later.
fn kept(review: &Review<'_>, workload: &Workload, verdict: &Verdict) -> Option<Change> {
    if review.operation != Operation::Create {
        return None;
    }
    let architectures = affinity::architectures(&verdict.images)?;
    let old = review.affinity()?;
    let new = affinity::narrowed(&old, &workload.placement, &architectures)?;
    Some(Change { pointer: "/spec/affinity", old, new })
}

fn pins(policy: &Policy, verdict: &Verdict) -> Vec<Pin> {
    verdict
        .images
        .iter()
        .filter(|judged| judged.pinnable)
        .filter_map(|judged| {
            let new = patch::pinned(&judged.image.image, judged.digest.as_ref()?.as_str(), policy.pin.format)?;
            Some(Pin { pointer: judged.image.pointer.clone(), old: judged.image.image.clone(), new })
        })
        .collect()
}

/// An UPDATE that merely drops pullgate's digest gets it back; without it the kubelet would restart the container.
fn restored(workload: &Workload) -> Vec<Pin> {
    workload
        .images
        .iter()
        .filter_map(|image| {
            let new = patch::restored(image.old_image.as_deref()?, &image.image)?;
            Some(Pin { pointer: image.pointer.clone(), old: image.image.clone(), new })
        })
        .collect()
}
