//! Thirty years of a cluster in a second: keepers that pause, die between two writes and forget, Secrets that are deleted,
//! spoiled or restored from a backup, replicas and API servers that learn late. Whatever happens, what a replica serves is
//! valid and trusted by every API server at every moment.

use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;
const LEAF: i64 = 90 * DAY;
const SKEW: i64 = 3600;
const SETTLE: i64 = 30;
/// The longest that a replica takes to serve what the Secret holds.
const PICK_UP: i64 = 300;

struct World {
    now: i64,
    dice: u64,
    made: u64,
    ca_life: i64,
    // the Secret of the authority, and an old copy of it
    signer: Option<Authority>,
    next: Option<Authority>,
    previous: Vec<Authority>,
    backup: Option<Authority>,
    // the Secret of the leaf
    leaf: Option<Leaf>,
    handed_out: Vec<Authority>,
    // the webhook objects
    bundles: [Vec<Authority>; 2],
    // what each API server knows of them, and each replica serves
    servers: [[Vec<Authority>; 2]; 2],
    replicas: Vec<Option<Leaf>>,
    // (when, which, of what)
    learning: Vec<(i64, usize, usize, Vec<Authority>)>,
    reading: Vec<(i64, usize)>,
    memory: Memory,
    started: bool,
    rotations: usize,
}

impl World {
    fn new(seed: u64, ca_life: i64) -> Self {
        Self {
            now: 50 * YEAR,
            dice: seed,
            made: 0,
            ca_life,
            signer: None,
            next: None,
            previous: Vec::new(),
            backup: None,
            leaf: None,
            handed_out: Vec::new(),
            bundles: Default::default(),
            servers: Default::default(),
            replicas: vec![None; 3],
            learning: Vec::new(),
            reading: Vec::new(),
            memory: Memory::default(),
            started: false,
            rotations: 0,
        }
    }

    /// A number below `below`.
    fn roll(&mut self, below: i64) -> i64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.dice >> 33).unwrap() % below.max(1)
    }

    fn make(&mut self) -> Authority {
        self.made += 1;
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.made.to_be_bytes());
        Authority { id: Id(id), from: at(self.now - SKEW), until: at(self.now + self.ca_life) }
    }

    fn seen(&mut self, reachable: bool) -> Seen {
        let replicas = self.replicas.clone();
        let known = |world: &mut Self, leaf: Option<Leaf>| leaf.filter(|_| reachable || world.roll(10) > 0);
        Seen {
            signer: self.signer,
            next: self.next,
            previous: self.previous.clone(),
            handed_out: self.handed_out.clone(),
            leaf: self.leaf,
            bundles: Some(self.bundles.to_vec()),
            replicas: Some(replicas.into_iter().map(|leaf| known(self, leaf)).collect()),
        }
    }

    /// One look, cut off after so many writes.
    fn look(&mut self, writes: usize, reachable: bool) {
        let seen = self.seen(reachable);
        self.memory.note(&seen, at(self.now));
        let plan = plan(&seen, &self.memory, Duration::from_secs(SETTLE.unsigned_abs()), at(self.now));
        let mut source = |source: Option<Source>| match source {
            Some(Source::New) => Some(self.make()),
            Some(Source::Seen(authority)) => Some(authority),
            None => None,
        };
        let (signer, next) = (source(plan.signer), source(plan.next));
        if writes == 0 {
            return;
        }
        self.rotations += usize::from(self.signer.is_some() && seen.signer != signer);
        (self.signer, self.next, self.previous) = (signer, next, plan.previous.clone());
        let mut bundle: Vec<Authority> = signer.into_iter().chain(next).chain(plan.previous).collect();
        bundle.sort_unstable();
        if writes == 1 {
            return;
        }
        if let (true, Some(signer)) = (plan.issue, signer) {
            let until = at(self.now + LEAF).min(signer.until);
            self.leaf = Some(Leaf { issuer: signer.id, from: at(self.now - SKEW), until, named: true });
            for replica in 0..self.replicas.len() {
                let when = self.now + self.roll(PICK_UP);
                self.reading.push((when, replica));
            }
        }
        self.handed_out.clone_from(&bundle);
        for hook in 0..2 {
            if writes <= 2 + hook || self.bundles[hook] == bundle {
                continue;
            }
            self.bundles[hook].clone_from(&bundle);
            for server in 0..2 {
                let when = self.now + self.roll(SETTLE);
                // An API server never goes back to what it knew before.
                self.learning.retain(|(at, of, what, _)| (*of, *what) != (server, hook) || *at < when);
                self.learning.push((when, server, hook, bundle.clone()));
            }
        }
    }

    /// Lets time pass; what happens by itself happens, and after each of it everything must hold.
    fn pass(&mut self, seconds: i64) {
        let end = self.now + seconds;
        loop {
            let first = self.learning.iter().map(|(at, ..)| *at).chain(self.reading.iter().map(|(at, _)| *at)).min();
            self.now = first.unwrap_or(end).clamp(self.now, end);
            let now = self.now;
            for (_, server, hook, bundle) in self.learning.extract_if(.., |(at, ..)| *at <= now) {
                self.servers[server][hook] = bundle;
            }
            for (_, replica) in self.reading.extract_if(.., |(at, _)| *at <= now) {
                // A Secret that is gone leaves what is served in place.
                self.replicas[replica] = self.leaf.or(self.replicas[replica]);
            }
            self.check();
            if now == end {
                break;
            }
        }
    }

    fn check(&mut self) {
        let wrong = self.wrong();
        self.started |= wrong.is_none();
        assert!(!self.started || wrong.is_none(), "day {}: {}", self.now / DAY, wrong.unwrap_or_default());
    }

    fn wrong(&self) -> Option<String> {
        let now = at(self.now);
        for (replica, leaf) in self.replicas.iter().enumerate() {
            let Some(leaf) = leaf else { return Some(format!("replica {replica} serves nothing")) };
            if leaf.until <= now {
                return Some(format!("the leaf of replica {replica} is over"));
            }
            for (server, bundles) in self.servers.iter().enumerate() {
                let trusts = |bundle: &Vec<Authority>| bundle.iter().any(|a| a.id == leaf.issuer && now < a.until);
                if !bundles.iter().all(trusts) {
                    return Some(format!("API server {server} does not trust replica {replica}"));
                }
            }
        }
        None
    }

    fn disaster(&mut self) {
        match self.roll(6) {
            0 => (self.signer, self.next, self.previous) = (None, None, Vec::new()),
            1 => (self.leaf, self.handed_out) = (None, Vec::new()),
            2 => {
                (self.signer, self.next, self.previous) = (None, None, Vec::new());
                (self.leaf, self.handed_out) = (None, Vec::new());
            }
            3 => self.signer = None,
            4 => (self.signer, self.next, self.previous) = (self.backup, None, Vec::new()),
            // A replica is replaced by one that reads at once.
            _ => self.replicas[0] = self.leaf.or(self.replicas[0]),
        }
    }

    /// Pauses, then looks every 15 s for two minutes, in which a keeper may die once.
    fn phase(&mut self, longest: i64, disasters: bool) {
        let pause = if self.roll(3) == 0 { self.roll(3600) } else { self.roll(longest) };
        self.pass(pause);
        if disasters && self.started && self.roll(25) == 0 {
            self.disaster();
        }
        if self.roll(20) == 0 {
            self.backup = self.signer;
        }
        if self.roll(3) == 0 {
            self.memory = Memory::default();
        }
        let dies_at = self.roll(12);
        for look in 0..8 {
            let writes = if look == dies_at { self.roll(4) } else { 4 };
            self.look(usize::try_from(writes).unwrap(), false);
            if look == dies_at {
                self.memory = Memory::default();
            }
            self.pass(15);
        }
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn in_thirty_years_no_replica_serves_what_an_api_server_does_not_trust(seed in any::<u64>(), years in 1_i64..=10) {
        for disasters in [false, true] {
            let mut world = World::new(seed, years * YEAR);
            // Without disasters any pause is survived that ends before the last third of a leaf's life does.
            let longest = if disasters { LEAF / 8 } else { LEAF / 4 };
            let end = world.now + 30 * YEAR;
            while world.now < end {
                world.phase(longest, disasters);
            }
            let rotations = usize::try_from(30 / years).unwrap();
            prop_assert!(disasters || world.rotations >= rotations, "{} rotations", world.rotations);
            // Left in peace, it comes to rest.
            for _ in 0..80 {
                world.look(4, true);
                world.pass(15);
            }
            let signer = world.signer.unwrap();
            prop_assert_eq!(world.previous, []);
            prop_assert_eq!(world.next, None);
            prop_assert_eq!(&world.bundles, &[vec![signer], vec![signer]]);
            prop_assert!(world.replicas.iter().all(|leaf| leaf.unwrap().issuer == signer.id));
        }
    }

    /// However long the keeper was gone: minutes after it is back everything is as it must be.
    #[test]
    fn after_any_absence_all_is_well_within_minutes(seed in any::<u64>(), absences in prop::collection::vec(0..12 * YEAR, 1..8)) {
        let mut world = World::new(seed, 10 * YEAR);
        for absence in absences {
            // Expiry cannot be helped by who is not there.
            world.started = false;
            world.pass(absence);
            for look in 0..48 {
                let writes = if look < 3 { world.roll(5) } else { 4 };
                world.look(usize::try_from(writes).unwrap(), true);
                world.started = false;
                world.pass(15);
            }
            prop_assert_eq!(world.wrong(), None);
        }
    }
}
