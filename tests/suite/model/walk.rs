//! A random walk: the registries, the Secrets and the time change; pods are judged and pinned by the real engine in
//! between, and every verdict is put before the reference model.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use pullgate::check::{Engine, Purpose};
use pullgate::cluster::files::FileCluster;
use pullgate::metrics::Metrics;
use pullgate::node_credentials::{Declared, NodeCredentials};
use pullgate::policy::Policy;
use pullgate::registry;
use pullgate::resolver::Resolver;
use pullgate::resolver::fact::Lifetimes;
use pullgate::verdict::Verdict;
use pullgate::workload::{ContainerImage, PullPolicy};

use super::dice::Dice;
use super::reference::{History, Review, Violation};
use super::registries::{EVERYBODY, Registries};
use super::state::{HOSTS, Image, Login, Mode, Object, REPOSITORIES, State, TAGS, USERS};
use crate::support::{HandClock, cluster, contents, identity, pod, secret, soon};

pub(crate) const NAMESPACES: usize = 3;

/// Entries of a pod: one Secret for each registry, and a second one for the first.
const SECRETS: [(&str, usize); 3] = [("first", 0), ("second", 1), ("third", 0)];

/// What a test plants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plant {
    pub(crate) lifetimes: &'static Lifetimes,
    /// Every login looks the same to pullgate: keys without the credential.
    pub(crate) everybody: bool,
}

pub(crate) struct Walk {
    dice: Dice,
    clock: HandClock,
    registries: Arc<Registries>,
    cluster: Arc<FileCluster>,
    engine: Engine,
    policy: Policy,
    plant: Plant,
    secrets: [[Option<Login>; SECRETS.len()]; NAMESPACES],
    history: History,
    /// Nothing is under way.
    quiet: bool,
    /// The last things that happened.
    trail: VecDeque<String>,
}

// === impl Walk ===

impl Walk {
    pub(crate) fn new(seed: u64, plant: Plant) -> Self {
        let mut dice = Dice::new(seed);
        let clock = HandClock::new();
        let state = State::new(&mut dice);
        let registries = Registries::new(state.clone(), clock.clone());
        let cluster = cluster(&[]);
        let client = registry::Registry::new(Arc::clone(&registries) as _, clock.clock(), Metrics::new());
        let resolver = Resolver::with_lifetimes(client, identity(), clock.clock(), Metrics::new(), plant.lifetimes);
        let node_credentials = NodeCredentials::new(Declared::default(), &clock.clock(), &Metrics::new());
        let engine = Engine { cluster: Arc::clone(&cluster) as _, node_credentials, resolver, clock: clock.clock() };
        let policy = "mode: enforce\nregistries: [{ host: '*', nodeAccess: none }]\n";
        let policy = pullgate::config::parse(policy, "model.yaml").unwrap();
        let history = History::new(clock.now(), state);
        let (secrets, trail) = ([[None; SECRETS.len()]; NAMESPACES], VecDeque::new());
        let mut walk =
            Self { dice, clock, registries, cluster, engine, policy, plant, secrets, history, quiet: true, trail };
        for namespace in 0..NAMESPACES {
            walk.change_secret(namespace, 0);
            walk.change_secret(namespace, 1);
        }
        walk
    }

    /// Goes on until something is wrong; how many pods were looked at.
    ///
    /// # Errors
    /// What was wrong, and what led there.
    pub(crate) async fn run(mut self, steps: usize) -> Result<usize, (Violation, String)> {
        let mut reviews = 0;
        for step in 0..steps {
            match self.step().await {
                Ok(looked) => reviews += looked,
                Err(violation) => {
                    let trail: Vec<String> = self.trail.into();
                    return Err((violation, format!("step {step}\n{}", trail.join("\n"))));
                }
            }
        }
        Ok(reviews)
    }

    async fn step(&mut self) -> Result<usize, Violation> {
        let step = Duration::from_millis(1);
        self.clock.advance(step);
        match self.dice.below(20) {
            0..5 => self.pass_time(),
            5..8 => self.change_registry(),
            8 => {
                let (namespace, which) = (self.dice.below(NAMESPACES), self.dice.below(SECRETS.len()));
                self.change_secret(namespace, which);
            }
            _ => return self.review().await,
        }
        Ok(0)
    }

    fn pass_time(&mut self) {
        let choices = [10, 500, 1_500, 4_000, 5_000, 7_000, 20_000, 45_000, 61_000, 100_000, 121_000, 170_000, 301_000];
        let rarely = [900_000, 7_200_000, 90_000_000];
        let passed = if self.dice.one_in(30) { self.dice.of(&rarely) } else { self.dice.of(&choices) };
        self.clock.advance(Duration::from_millis(passed));
        self.note(&format!("{passed} ms pass"));
    }

    fn change_registry(&mut self) {
        let dice = &mut self.dice;
        let (host, repository, tag) = (dice.below(2), dice.below(REPOSITORIES), dice.below(TAGS));
        let (user, what) = (dice.below(USERS), dice.below(14));
        let retry_after = dice.of(&[None, Some(1), Some(10), Some(100)]);
        let pause = dice.of(&[20, 900, 3_000]);
        let state = self.registries.change(|state| {
            let place = &mut state.repositories[host][repository];
            match what {
                0..3 => state.push(host, repository, tag),
                3 => drop(place.tags.remove(&tag)),
                4 => {
                    // The manifest goes, and every tag with it.
                    if let Some(digest) = place.tags.remove(&tag) {
                        place.manifests.remove(&digest);
                        place.tags.retain(|_, other| *other != digest);
                    }
                }
                5 => place.public = !place.public,
                6 => {
                    if !place.granted.remove(&user) {
                        place.granted.insert(user);
                    }
                }
                7 => state.passwords[host][user] += 1,
                8 => state.modes[host] = Mode::Down,
                9 => state.modes[host] = Mode::Error,
                10 => state.modes[host] = Mode::Limited(retry_after),
                11 => state.modes[host] = Mode::Slow(pause),
                _ => state.modes[host] = Mode::Up,
            }
            // Mostly they are well.
            if what > 11 || (!matches!(state.modes[host], Mode::Up) && what < 3) {
                state.modes[host] = Mode::Up;
            }
        });
        let place = &state.repositories[host][repository];
        let text = format!(
            "{} changes ({what}): {:?}, r{repository} {place:?}, passwords {:?}",
            HOSTS[host], state.modes[host], state.passwords[host]
        );
        self.note(&text);
        self.history.changed(self.clock.now(), state);
    }

    fn change_secret(&mut self, namespace: usize, which: usize) {
        let host = SECRETS[which].1;
        let user = self.dice.below(USERS);
        let now = self.registries.change(|_| ()).passwords[host][user];
        let login = match self.dice.below(6) {
            0 => None,
            // The one that was, or one that never is.
            1 => Some(Login { user, password: now.checked_sub(1).unwrap_or(1_000_000) }),
            _ => Some(Login { user, password: now }),
        };
        self.secrets[namespace][which] = login;
        self.note(&format!("Secret {} of n{namespace} is {login:?}", SECRETS[which].0));
        let mut objects = Vec::new();
        for (namespace, secrets) in self.secrets.iter().enumerate() {
            for ((name, host), login) in SECRETS.iter().zip(secrets) {
                let Some(login) = login else { continue };
                let (user, password) = if self.plant.everybody {
                    (EVERYBODY.to_owned(), "same".to_owned())
                } else {
                    (format!("u{}", login.user), format!("p{}", login.password))
                };
                objects.push(secret(&format!("n{namespace}"), name, HOSTS[*host], &user, &password));
            }
        }
        self.cluster.replace(contents(&objects));
    }

    async fn review(&mut self) -> Result<usize, Violation> {
        // Several at once only where the registries need not guess who asks.
        let several = !self.plant.everybody && self.dice.one_in(4);
        let count = if several { 2 + self.dice.below(3) } else { 1 };
        let reviews: Vec<Review> = (0..count).map(|_| self.draw()).collect();
        for review in &reviews {
            self.note(&format!("{review:?}"));
        }
        let (began, from) = (self.clock.now(), self.registries.logged());
        let asked = reviews.iter().map(|review| self.check(review));
        let verdicts = join_all(asked).await;
        let ended = self.clock.now();
        let log = self.registries.log(from);
        self.history.asked(&log);
        for (review, verdict) in reviews.iter().zip(&verdicts) {
            self.note(&format!("  {}", shown(verdict)));
            self.history.judge(review, verdict, (began, ended), &log, self.quiet && reviews.len() == 1)?;
        }
        for (review, verdict) in reviews.iter().zip(&verdicts) {
            self.history.settle(review, verdict, &log);
        }
        // Sometimes what is under way ends now, sometimes in a changed world.
        self.quiet = self.dice.one_in(2);
        if self.quiet {
            let from = self.registries.logged();
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            self.history.asked(&self.registries.log(from));
        }
        Ok(reviews.len())
    }

    fn draw(&mut self) -> Review {
        let namespace = self.dice.below(NAMESPACES);
        let images = (0..=self.dice.below(2)).map(|_| self.image()).collect();
        let purpose = if self.dice.one_in(3) { Purpose::Pin } else { Purpose::Judge };
        let policy = if self.dice.one_in(2) { PullPolicy::Always } else { PullPolicy::IfNotPresent };
        let candidates = [0, 1].map(|host| {
            let of = |(which, login): (usize, &Option<Login>)| (SECRETS[which].1 == host).then_some(*login).flatten();
            let logins: Vec<Login> = self.secrets[namespace].iter().enumerate().filter_map(of).collect();
            if logins.is_empty() { vec![None] } else { logins.into_iter().map(Some).collect() }
        });
        Review { namespace, images, purpose, policy, candidates }
    }

    fn image(&mut self) -> Image {
        let (host, repository) = (self.dice.below(2), self.dice.below(REPOSITORIES));
        let object = if self.dice.one_in(3) {
            let state = self.registries.change(|_| ());
            let known: Vec<u32> = state.repositories[host][repository].manifests.iter().copied().collect();
            let newest = &known[known.len().saturating_sub(3)..];
            Object::Digest(if newest.is_empty() { 1 } else { self.dice.of(newest) })
        } else {
            Object::Tag(self.dice.below(TAGS))
        };
        Image { host, repository, object }
    }

    async fn check(&self, review: &Review) -> Verdict {
        let images: Vec<String> = review.images.iter().map(|image| image.written()).collect();
        let mut workload = pod(&format!("n{}", review.namespace), &images, &SECRETS.map(|(name, _)| name));
        for image in &mut workload.images {
            *image = Arc::new(ContainerImage { pull_policy: review.policy, ..ContainerImage::clone(image) });
        }
        if self.plant.everybody {
            self.registries.asks([0, 1].map(|host| review.candidates[host][0]));
        }
        self.engine.check(&self.policy, &workload, review.purpose, soon()).await
    }

    fn note(&mut self, text: &str) {
        self.trail.push_back(format!("{} {text}", self.clock.now()));
        if self.trail.len() > 40 {
            self.trail.pop_front();
        }
    }
}

fn shown(verdict: &Verdict) -> String {
    let found: Vec<String> = verdict
        .findings
        .iter()
        .map(|finding| format!("{} {}: {}", finding.code, finding.certain, finding.message()))
        .collect();
    let images: Vec<String> = verdict
        .images
        .iter()
        .map(|judged| {
            let digest = judged
                .digest
                .as_ref()
                .map(|digest| digest.as_str().trim_start_matches(['s', 'h', 'a', '2', '5', '6', ':', '0']).to_owned());
            format!("{digest:?} stale {:?} pinnable {}", judged.stale, judged.pinnable)
        })
        .collect();
    format!("{images:?} {found:?}")
}
