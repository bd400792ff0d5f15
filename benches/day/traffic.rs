//! A day's pods from a seed: deploys in rolling updates, `CronJobs` on the minute, autoscaling with the hours, nodes drained
//! at night. Popularity follows Zipf; nothing here knows of caches or registries.

/// Milliseconds.
pub(crate) const SECOND: u64 = 1000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// Pods of the day.
pub(crate) const PODS: usize = 10_000;

/// Images, beside the one sidecar.
const IMAGES: usize = 300;

/// What most meshes add to a pod.
const SIDECAR: &str = "mesh/proxy:v1.9.2";

/// How busy people and their users are, by the hour; the busiest is 1.
const HOURS: [f64; 24] = [
    0.08, 0.06, 0.05, 0.05, 0.06, 0.10, 0.20, 0.40, 0.70, 0.95, 1.00, 0.95, 0.75, 0.85, 0.98, 1.00, 0.95, 0.80, 0.55,
    0.40, 0.30, 0.22, 0.15, 0.10,
];

/// `CronJobs`: how many, and how many minutes lie between two runs.
const CRON_JOBS: [(usize, u64); 4] = [(5, 5), (8, 15), (20, 60), (24, 24 * 60)];

/// Pods that come of rolling updates, and of drained nodes; the rest is autoscaling.
const DEPLOYED: usize = 5_200;
const DRAINED: usize = 500;

/// Pods on one node.
const NODE: usize = 50;

/// One object that is reviewed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    /// Milliseconds since midnight.
    pub(crate) at: u64,
    /// `repository:tag`, one per container.
    pub(crate) images: Vec<String>,
    /// `imagePullPolicy: Always`.
    pub(crate) always: bool,
    /// A template that is judged and not pinned; it is no pod.
    pub(crate) template: bool,
}

/// Numbers that follow from a seed (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
#[derive(Debug)]
pub(crate) struct Random(u64);

/// What is running: every image with the version it is at.
struct Fleet {
    versions: Vec<u32>,
    /// Sums of the weights.
    popularity: Vec<f64>,
}

/// Everything that arrives, in order: [`PODS`] pods, and the templates that some of them come from.
pub(crate) fn day(seed: u64) -> Vec<Arrival> {
    let mut random = Random::new(seed);
    let mut fleet = Fleet::new();
    let mut arrivals = Vec::new();
    // A version is deployed once; what comes later in the day runs it.
    let mut deploys: Vec<u64> = (0..DEPLOYED / 12).map(|_| random.busy_time()).collect();
    deploys.sort_unstable();
    let mut deployed = 0;
    let mut rollouts = Vec::new();
    for at in deploys {
        let replicas = random.replicas().min(DEPLOYED - deployed);
        if replicas > 0 {
            rollouts.push((at, replicas));
            deployed += replicas;
        }
    }
    if let Some((_, replicas)) = rollouts.last_mut() {
        *replicas += DEPLOYED - deployed;
    }
    // CronJobs keep their image all day.
    let mut runs: Vec<(u64, Event)> = Vec::new();
    for (jobs, minutes) in CRON_JOBS {
        for _ in 0..jobs {
            let image = fleet.pick(&mut random);
            runs.extend(cron(&mut random, minutes).into_iter().map(|at| (at, Event::Job(image))));
        }
    }
    let drains = (0..DRAINED / NODE).map(|node| (2 * HOUR + node as u64 * 9 * MINUTE, Event::Drain));
    let scaled = PODS - DEPLOYED - DRAINED - runs.len();
    let mut events: Vec<(u64, Event)> =
        rollouts.into_iter().map(|(at, replicas)| (at, Event::Rollout(replicas))).collect();
    events.extend((0..scaled).map(|_| (random.busy_time(), Event::Pod)));
    events.extend(drains);
    events.extend(runs);
    events.sort_by_key(|(at, _)| *at);
    for (at, event) in events {
        match event {
            Event::Rollout(replicas) => {
                let image = fleet.pick(&mut random);
                fleet.versions[image] += 1;
                let (always, sidecar) = (random.chance(0.15), random.chance(0.4));
                arrivals.push(fleet.arrival(at, image, always, false, true));
                // A quarter at a time, each when the one before is ready.
                let surge = replicas.div_ceil(4);
                for replica in 0..replicas {
                    let wave = (replica / surge) as u64 * (20 * SECOND + random.below(25 * SECOND));
                    let at = (at + 300 + wave + random.below(400)).min(DAY - 1);
                    arrivals.push(fleet.arrival(at, image, always, sidecar, false));
                }
            }
            Event::Pod => {
                let image = fleet.pick(&mut random);
                let (always, sidecar) = (random.chance(0.15), random.chance(0.4));
                arrivals.push(fleet.arrival(at, image, always, sidecar, false));
            }
            Event::Drain => {
                for _ in 0..NODE {
                    let image = fleet.pick(&mut random);
                    let (at, sidecar) = (at + random.below(90 * SECOND), random.chance(0.4));
                    arrivals.push(fleet.arrival(at, image, random.chance(0.15), sidecar, false));
                }
            }
            Event::Job(image) => arrivals.push(fleet.arrival(at, image, false, false, false)),
        }
    }
    arrivals.sort();
    arrivals
}

/// What makes pods.
enum Event {
    /// A new version of some image, and so many pods of it.
    Rollout(usize),
    /// One more of something.
    Pod,
    /// A node's pods go elsewhere.
    Drain,
    /// A run of a `CronJob`.
    Job(usize),
}

/// The runs of one job: on the minute, made within a few seconds as the controller gets round to them.
fn cron(random: &mut Random, minutes: u64) -> Vec<u64> {
    // Daily jobs run at night, at an hour of their own.
    let first = if minutes >= 24 * 60 { random.below(6) * HOUR } else { 0 };
    let mut runs = Vec::new();
    let mut at = first;
    while at < DAY {
        runs.push(at + random.below(4 * SECOND));
        at += minutes * MINUTE;
    }
    runs
}

// === impl Fleet ===

impl Fleet {
    fn new() -> Self {
        let mut sum = 0.0;
        let popularity = (1..=IMAGES)
            .map(|rank| {
                sum += 1.0 / f64::from(u32::try_from(rank).unwrap_or(u32::MAX));
                sum
            })
            .collect();
        Self { versions: vec![1; IMAGES], popularity }
    }

    /// An image: the second is half as popular as the first, the third a third.
    fn pick(&self, random: &mut Random) -> usize {
        let point = random.unit() * self.popularity.last().copied().unwrap_or_default();
        self.popularity.partition_point(|sum| *sum < point).min(IMAGES - 1)
    }

    fn arrival(&self, at: u64, image: usize, always: bool, sidecar: bool, template: bool) -> Arrival {
        let mut images = vec![format!("team-{}/app-{image}:v{}", image % 20, self.versions[image])];
        images.extend(sidecar.then(|| SIDECAR.to_owned()));
        Arrival { at, images, always, template }
    }
}

// === impl Random ===

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A time of day, the likelier the busier.
    fn busy_time(&mut self) -> u64 {
        loop {
            let at = self.below(DAY);
            let hour = usize::try_from(at / HOUR).unwrap_or_default();
            if self.unit() < HOURS[hour] {
                return at;
            }
        }
    }

    /// Pods of one rollout: mostly few, sometimes many; 12 on average.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100")]
    fn replicas(&mut self) -> usize {
        (-12.0 * (1.0 - self.unit()).ln()).ceil().clamp(1.0, 100.0) as usize
    }
}
