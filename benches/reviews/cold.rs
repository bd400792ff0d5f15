//! What the registry is asked, and how long it keeps a review waiting: in numbers of requests, where every request takes
//! a known time, and where the registry says nothing at all.

use std::time::Duration;

use hyper::Method;
use pullgate::check::{Engine, Purpose};
use pullgate::demo::registry::{Accepting, Kind};
use pullgate::metrics::Metrics;
use pullgate::policy::Policy;
use pullgate::verdict::Verdict;
use pullgate::workload::Workload;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bed::{Bed, review_of, workload_of};
use crate::load::{self, Load};
use crate::servers::Server;
use crate::table::{Row, median, milliseconds, quantile};
use crate::{Failure, runtime};

/// Pods of one image, and how many are under way at once.
const PODS: u32 = 1000;
const AT_ONCE: usize = 50;

/// Where round trips are counted.
const NEAR: Duration = Duration::from_millis(20);
/// Where three images are resolved.
const FAR: Duration = Duration::from_millis(100);
const TIMES: usize = 3;

/// An API server's default.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a dead registry is asked.
const DEAD: Duration = Duration::from_secs(6);
const BETWEEN: Duration = Duration::from_millis(5);

pub(crate) fn measure(bed: &Bed) -> Result<Vec<Row>, Failure> {
    let runtime = runtime("cold", 2)?;
    let server = Server::pullgate(bed, Metrics::new())?;
    let mut rows = vec![runtime.block_on(thousand_pods(bed, &server))?];
    server.stop();
    rows.extend(runtime.block_on(round_trips(bed))?);
    rows.push(runtime.block_on(three_images(bed))?);
    rows.extend(runtime.block_on(black_hole(bed))?);
    runtime.shutdown_background();
    Ok(rows)
}

async fn thousand_pods(bed: &Bed, server: &Server) -> Result<Row, Failure> {
    let image = bed.push("thousand", "1");
    let request = load::request("/validate", &review_of(&[image])?);
    let load = Load::open(server.address, &load::tls(bed.ca_pem())?, AT_ONCE, request).await?;
    bed.registry.clear_log();
    let (_, answered) = load.saturate(PATIENCE, PODS).await?;
    let requests = bed.registry.requests();
    if answered != PODS {
        return Err(format!("{answered} of {PODS} reviews were answered in {PATIENCE:?}").into());
    }
    let authorised = requests.iter().filter(|request| request.kind == Kind::Manifest && request.authorised).count();
    let heads = requests.iter().filter(|request| request.method == Method::HEAD && request.authorised).count();
    Ok(Row::held(
        format!("registry requests, {PODS} cold pods of one image, {AT_ONCE} at once"),
        format!("{heads} HEAD authorised, {} in all", requests.len()),
        "1 HEAD",
        heads == 1 && authorised == 1,
    ))
}

async fn round_trips(bed: &Bed) -> Result<Vec<Row>, Failure> {
    let images = [bed.push("first", "1"), bed.push("second", "1"), bed.push("second", "2")];
    let (policy, engine) = (bed.policy()?, bed.engine(Metrics::new())?);
    let mut rows = Vec::new();
    let cases = [
        ("nothing known of the registry", "", usize::MAX),
        ("token unknown", "3 round trips", 3),
        ("token known", "1 round trip", 1),
    ];
    for (image, (what, goal, most)) in images.into_iter().zip(cases) {
        let workload = workload_of(&[image])?;
        bed.registry.set_latency(NEAR);
        bed.registry.clear_log();
        let took = admitted(&engine, &policy, &workload).await?;
        bed.registry.set_latency(Duration::ZERO);
        let requests = bed.registry.requests().len();
        let what = format!("cold resolve, {what}, {} ms a request", NEAR.as_millis());
        let trips = took.as_secs_f64() / NEAR.as_secs_f64();
        let figure = format!("{requests} requests, {:.1} ms = {trips:.2} round trips", milliseconds(took));
        rows.push(if goal.is_empty() {
            Row::beside(what, figure)
        } else {
            Row::held(what, figure, goal, requests <= most)
        });
    }
    Ok(rows)
}

async fn three_images(bed: &Bed) -> Result<Row, Failure> {
    let images = [bed.push("one", "1"), bed.push("two", "1"), bed.push("three", "1")];
    let policy = bed.policy()?;
    let (mut single, mut together) = (Vec::new(), Vec::new());
    bed.registry.set_latency(FAR);
    for _ in 0..TIMES {
        for image in &images {
            let workload = workload_of(std::slice::from_ref(image))?;
            single.push(admitted(&bed.engine(Metrics::new())?, &policy, &workload).await?);
        }
        together.push(admitted(&bed.engine(Metrics::new())?, &policy, &workload_of(&images)?).await?);
    }
    bed.registry.set_latency(Duration::ZERO);
    // All chains have the same length; the slowest of several would be the one that the machine disturbed most.
    let usual = |times: Vec<Duration>| median(times.into_iter().map(milliseconds));
    let (single, together) = (usual(single), usual(together));
    let ratio = together / single;
    Ok(Row::held(
        format!("three cold images against one, {} ms a request, medians", FAR.as_millis()),
        format!("{ratio:.2} ({together:.0} ms, one {single:.0} ms)"),
        "<= 1.2",
        ratio <= 1.2,
    ))
}

/// Reviews of images never seen before, at a registry that takes connections and says nothing.
async fn black_hole(bed: &Bed) -> Result<Vec<Row>, Failure> {
    let (policy, engine) = (bed.policy()?, bed.engine(Metrics::new())?);
    bed.registry.set_accepting(Accepting::Silently);
    let image = |number: usize| format!("{}/alice/dead{number}:1", bed.registry.host());
    let mut reviews = JoinSet::new();
    let review = |workload: Workload| {
        let (policy, engine) = (policy.clone(), engine.clone());
        async move {
            let (took, verdict) = timed(&engine, &policy, &workload).await;
            (took, verdict.findings.iter().any(|finding| !finding.certain))
        }
    };
    for number in 0..20 {
        reviews.spawn(review(workload_of(&[image(number)])?));
    }
    let first = reviews.join_all().await;
    let mut reviews = JoinSet::new();
    let mut ticks = interval(BETWEEN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + DEAD;
    let mut number = 20;
    while Instant::now() < end {
        ticks.tick().await;
        reviews.spawn(review(workload_of(&[image(number)])?));
        number += 1;
    }
    let then = reviews.join_all().await;
    bed.registry.set_accepting(Accepting::Normally);
    if !first.iter().chain(&then).all(|(_, uncertain)| *uncertain) {
        return Err("a review of a dead registry was not uncertain".into());
    }
    let sorted = |answers: &[(Duration, bool)]| {
        let mut took: Vec<Duration> = answers.iter().map(|(took, _)| *took).collect();
        took.sort_unstable();
        took
    };
    let (first, then) = (sorted(&first), sorted(&then));
    let slowest_first = quantile(&first, 1.0);
    let slow = then.iter().filter(|took| **took > Duration::from_millis(5)).count();
    Ok(vec![
        Row::held(
            format!("black-holed registry, slowest of the first {} answers", first.len()),
            format!("{:.2} s", slowest_first.as_secs_f64()),
            "<= 2 s",
            slowest_first <= Duration::from_secs(2),
        ),
        Row::held(
            format!("  p99 of the {} reviews of the next {} s", then.len(), DEAD.as_secs()),
            format!("{:.2} ms (p50 {:.3} ms)", milliseconds(quantile(&then, 0.99)), milliseconds(quantile(&then, 0.5))),
            "<= 5 ms",
            quantile(&then, 0.99) <= Duration::from_millis(5),
        ),
        Row::beside(
            "  slower ones: each asked whether it is back",
            format!("{slow}, slowest {:.2} s", quantile(&then, 1.0).as_secs_f64()),
        ),
    ])
}

async fn timed(engine: &Engine, policy: &Policy, workload: &Workload) -> (Duration, Verdict) {
    let began = Instant::now();
    let verdict = engine.check(policy, workload, Purpose::Judge, began + PATIENCE).await;
    (began.elapsed(), verdict)
}

async fn admitted(engine: &Engine, policy: &Policy, workload: &Workload) -> Result<Duration, Failure> {
    let (took, verdict) = timed(engine, policy, workload).await;
    match verdict.findings.first() {
        None => Ok(took),
        Some(finding) => Err(format!("a good image gets {}: {}", finding.code, finding.message()).into()),
    }
}
