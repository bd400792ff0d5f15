//! A simulated day: 10,000 pods against a registry that counts manifest requests, reviewed by the real resolver with its
//! cache, and by its registry client alone, which asks for every image of every review. Prints a table and draws
//! `docs/day.svg`.
//!
//! ```text
//! traffic (seed) ─▶ reviews ─▶ resolver or client ─▶ registry (in the process) ─▶ figures ─▶ table, picture
//! ```
//!
//! The clock is moved by hand: the day takes seconds, and the same seed gives the same picture.

#![allow(clippy::print_stdout, reason = "its report is its output")]

#[path = "day/chart.rs"]
mod chart;
#[path = "day/figures.rs"]
mod figures;
#[path = "day/registry.rs"]
mod registry;
#[path = "day/traffic.rs"]
mod traffic;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pullgate::credentials::{Candidate, CredentialId, IdentityKey};
use pullgate::metrics::Metrics;
use pullgate::policy::{Pattern, RegistryRule};
use pullgate::reference::{Digest, Reference};
use pullgate::registry::transport::Intent;
use pullgate::registry::{Ask, Endpoint, Registry};
use pullgate::resolver::Resolver;
use pullgate::resolver::fact::Freshness;
use pullgate::time::Clock;
use tokio::runtime::Builder;
use tokio::time::Instant;

use self::figures::{Figures, Review};
use self::registry::Hub;
use self::traffic::Arrival;

/// Whatever keeps the day from being simulated, in words.
type Failure = Box<dyn Error + Send + Sync>;

/// The day of the picture.
const SEED: u64 = 2027;

/// Manifest requests in six hours: the one of the picture, and others for the table.
const LIMIT: u64 = 1_000;
const LIMITS: [u64; 5] = [200, LIMIT, 2_000, 5_000, u64::MAX];

/// The cache forgets what is older (its own clock is not moved by hand).
const HELD: Duration = Duration::from_hours(1);

const HOST: &str = "registry.corp.io";

/// A registry, and who asks it.
struct Day {
    now: Arc<AtomicU64>,
    hub: Arc<Hub>,
    asker: Asker,
}

/// What stands between a review and the registry.
enum Asker {
    /// What `serve` has.
    Resolver(Resolver),
    /// The same dialogue with nothing before it.
    Client(Box<Registry>),
}

/// What one image came to.
struct Answer {
    digest: Option<Digest>,
    /// Somebody looked, now or within the hour.
    checked: bool,
    /// It may be written into the pod.
    own: bool,
    waited: u64,
}

/// The two calls of an API server, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    /// `/mutate`
    Pin,
    /// `/validate`
    Judge,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("day: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let arrivals = traffic::day(SEED);
    let simulate = |limit, cached| runtime.block_on(Day::new(limit, cached).reviews(&arrivals));
    println!("{}", figures::HEAD);
    let mut picture = None;
    for limit in LIMITS {
        let (without, with) = (simulate(limit, false)?, simulate(limit, true)?);
        println!("{}", without.row(limit, "no cache"));
        println!("{}", with.row(limit, "pullgate"));
        if limit == LIMIT {
            picture = Some(chart::draw(limit, &without, &with));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/day.svg");
    std::fs::write(&path, picture.unwrap_or_default())?;
    println!("\nseed {SEED}; docs/day.svg is written");
    Ok(())
}

// === impl Day ===

impl Day {
    fn new(limit: u64, cached: bool) -> Self {
        let now = Arc::new(AtomicU64::new(0));
        let hub = Arc::new(Hub::new(clock(&now), limit, SEED));
        let (time, metrics) = (clock(&now), Metrics::new());
        let client = Registry::new(Arc::clone(&hub) as _, time.clone(), metrics.clone());
        let asker = if cached {
            Asker::Resolver(Resolver::new(client, IdentityKey::new(&[7; 32]), time, metrics))
        } else {
            Asker::Client(Box::new(client))
        };
        Self { now, hub, asker }
    }

    /// Reviews everything in the order of time: a pod is pinned and, when that is answered, judged; a template is judged.
    async fn reviews(self, arrivals: &[Arrival]) -> Result<Figures, Failure> {
        let mut reviews: Vec<Review> = Vec::with_capacity(arrivals.len());
        let mut pins: Vec<Vec<Option<Digest>>> = Vec::with_capacity(arrivals.len());
        let mut calls = BTreeSet::new();
        for (index, Arrival { at, images, template, .. }) in arrivals.iter().enumerate() {
            reviews.push(Review { at: *at, waited: 0, checked: false, template: *template });
            pins.push(vec![None; images.len()]);
            calls.insert((*at, index, if *template { Call::Judge } else { Call::Pin }));
        }
        while let Some((at, index, call)) = calls.pop_first() {
            self.now.store(at, Ordering::SeqCst);
            let (arrival, review, pinned) = (&arrivals[index], &mut reviews[index], &mut pins[index]);
            let freshness = match (call, arrival.always) {
                (Call::Judge, _) => Freshness::Cached,
                (Call::Pin, false) => Freshness::Own,
                (Call::Pin, true) => Freshness::Recent,
            };
            let answers = self.review(arrival, at, pinned, freshness).await?;
            // Images are resolved side by side.
            let waited = answers.iter().map(|answer| answer.waited).max().unwrap_or_default();
            review.waited += waited;
            match call {
                Call::Pin => {
                    *pinned = answers.into_iter().map(|answer| answer.digest.filter(|_| answer.own)).collect();
                    calls.insert((at + waited, index, Call::Judge));
                }
                Call::Judge => review.checked = answers.iter().all(|answer| answer.checked),
            }
        }
        Ok(Figures { reviews, requests: self.hub.log() })
    }

    /// All images of one review.
    async fn review(
        &self,
        arrival: &Arrival,
        at: u64,
        pinned: &[Option<Digest>],
        freshness: Freshness,
    ) -> Result<Vec<Answer>, Failure> {
        let mut answers = Vec::with_capacity(pinned.len());
        for (image, digest) in arrival.images.iter().zip(pinned) {
            answers.push(self.resolve(image, digest.as_ref(), at, freshness).await?);
        }
        Ok(answers)
    }

    async fn resolve(
        &self,
        image: &str,
        digest: Option<&Digest>,
        at: u64,
        freshness: Freshness,
    ) -> Result<Answer, Failure> {
        let digest = digest.map_or_else(String::new, |digest| format!("@{digest}"));
        let reference = Arc::new(Reference::parse(&format!("{HOST}/{image}{digest}"))?);
        let rule = RegistryRule::new(Pattern::any());
        let (manifest, stale, age) = match &self.asker {
            Asker::Resolver(resolver) => {
                let deadline = Instant::now() + Duration::from_secs(10);
                let attempts =
                    resolver.resolve(&rule, &reference, &[Candidate::anonymous()], freshness, deadline).await;
                let attempt = attempts.into_iter().next_back().ok_or("a candidate without an attempt")?;
                (attempt.outcome.ok(), attempt.stale, attempt.age)
            }
            Asker::Client(client) => {
                let endpoint = Arc::new(Endpoint::new(&reference, &rule));
                let ask = Ask {
                    endpoint,
                    reference,
                    credential: None,
                    id: CredentialId::ANONYMOUS,
                    intent: Intent::Pull,
                    namespace: Arc::from(""),
                    repeat: true,
                };
                (client.resolve(&ask).await.ok(), false, Duration::ZERO)
            }
        };
        let (name, tag) = image.split_once(':').ok_or("an image without a tag")?;
        let path = |last: &str| format!("/v2/{name}/manifests/{last}");
        // A fact by digest may come of a question for the tag.
        let by_digest = digest.strip_prefix('@').map(|digest| self.hub.wait(&path(digest), at));
        let waited = by_digest.unwrap_or_else(|| self.hub.wait(&path(tag), at));
        let checked = manifest.is_some() && !(stale && age >= HELD);
        Ok(Answer { digest: manifest.map(|manifest| manifest.digest), checked, own: !stale, waited })
    }
}

/// The hand of the clock, in milliseconds since midnight.
fn clock(now: &Arc<AtomicU64>) -> Clock {
    let now = Arc::clone(now);
    Clock::new(move || {
        let now = i64::try_from(now.load(Ordering::SeqCst)).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(now).unwrap_or_default()
    })
}
