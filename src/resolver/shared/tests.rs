//! Replicas over one store in memory: what is shared, with whom, for how long, and what a borrowed fact may not do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use futures_util::future::join_all;

use super::*;
use crate::check::{Engine, Purpose};
use crate::cluster::files::{Contents, FileCluster};
use crate::credentials::{Candidate, Credential, Source};
use crate::facts::Attempt;
use crate::finding::Code;
use crate::node_credentials::{Declared, NodeCredentials};
use crate::policy::{Mode, Pattern, Policy, RegistryRule};
use crate::reference::{Algorithm, Reference};
use crate::registry::Registry;
use crate::registry::manifest::digest_of;
use crate::registry::transport::{Method, Request, Response, Sending, Transport};
use crate::resolver::Resolver;
use crate::resolver::fact::Freshness;
use crate::time::Clock;
use crate::verdict::{Decision, Verdict};
use crate::workload::{ContainerImage, ObjectRef, Owner, Placement, PullPolicy, PullSecretNames, Shape, Workload};

const SECRET: &[u8] = b"a secret of the replicas, 32 bytes";
const TAG: &str = "r.io/team/app:v1";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What every tag names: an index for arm64.
const CONTENT: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","platform":{"architecture":"arm64","os":"linux"}}]}"#;

/// A store that counts what it is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    entries: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    reads: Arc<AtomicUsize>,
}

/// A registry that has every tag, until it is told to answer for tags with another status; counts what it is asked.
#[derive(Debug)]
struct Hub {
    status: AtomicUsize,
    requests: AtomicUsize,
}

/// A store, a registry and the time; replicas come and go.
#[derive(Debug)]
struct World {
    memory: Memory,
    hub: Arc<Hub>,
    now: Arc<AtomicI64>,
}

// === impl Memory ===

impl Memory {
    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.entries().get(name).cloned().unwrap_or_default()
    }

    pub(super) fn write(&self, name: String, entry: Option<Vec<u8>>) {
        match entry {
            Some(entry) => drop(self.entries().insert(name, entry)),
            None => drop(self.entries().remove(&name)),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.entries.lock().unwrap()
    }
}

// === impl Hub ===

impl Transport for Hub {
    fn send<'a>(&'a self, request: Request<'a>) -> Sending<'a> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let asked_for = request.url.path().rsplit('/').next().filter(|last| last.starts_with("sha256:"));
        let status = asked_for.map_or_else(|| self.status.load(Ordering::SeqCst), |_| 200);
        let digest = asked_for.map_or_else(digest, str::to_owned);
        let headers = [
            ("content-type", INDEX.to_owned()),
            ("docker-content-digest", digest),
            ("content-length", CONTENT.len().to_string()),
            ("docker-distribution-api-version", "registry/2.0".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let body = if request.method == Method::Get { CONTENT.into() } else { Vec::new() };
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(Response {
                status: u16::try_from(status).unwrap(),
                headers,
                body,
                redirected_to: None,
                left_origin: false,
            })
        })
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let hub = Hub { status: AtomicUsize::new(200), requests: AtomicUsize::new(0) };
        Self { memory: Memory::default(), hub: Arc::new(hub), now: Arc::new(AtomicI64::new(1_800_000_000_000)) }
    }

    fn replica(&self) -> Resolver {
        self.replica_with(SECRET)
    }

    fn replica_with(&self, secret: &[u8]) -> Resolver {
        let (identity, seal) = seal::keys(secret, "").unwrap();
        let shared = Shared::over(seal, Store::Memory(self.memory.clone()), Metrics::new());
        let registry = Registry::new(Arc::clone(&self.hub) as _, self.clock(), Metrics::new());
        Resolver::sharing(registry, identity, self.clock(), Metrics::new(), Some(shared))
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::new(move || Timestamp::from_millisecond(now.load(Ordering::SeqCst)).unwrap())
    }

    fn now(&self) -> Timestamp {
        (self.clock())()
    }

    fn advance(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Requests to the registry since the last call.
    fn asked(&self) -> usize {
        self.hub.requests.swap(0, Ordering::SeqCst)
    }

    async fn ask(&self, replica: &Resolver, image: &str, freshness: Freshness) -> Attempt {
        self.ask_as(replica, image, None, freshness).await
    }

    async fn ask_as(&self, replica: &Resolver, image: &str, user: Option<&str>, freshness: Freshness) -> Attempt {
        let rule = RegistryRule::new(Pattern::any());
        let reference = Arc::new(Reference::parse(image).unwrap());
        let candidate = user.map_or_else(Candidate::anonymous, |user| Candidate {
            source: Source::PullSecret("regcred".into()),
            key: "r.io".into(),
            credential: Some(Arc::new(Credential::new(user, "hunter2"))),
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        replica.resolve(&rule, &reference, &[candidate], freshness, deadline).await.remove(0)
    }

    async fn check(&self, engine: &Engine, purpose: Purpose) -> Verdict {
        self.advance(1);
        let policy = Policy { mode: Mode::Enforce, ..Policy::default() };
        engine.check(&policy, &pod(), purpose, Instant::now() + Duration::from_secs(10)).await
    }

    /// A new replica in a cluster with one node of this architecture.
    fn engine(&self, node: &str) -> Engine {
        let node = serde_json::json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": "n", "labels": { "kubernetes.io/arch": node, "kubernetes.io/os": "linux" } },
            "status": { "nodeInfo": {
                "architecture": node, "operatingSystem": "linux", "containerRuntimeVersion": "containerd://2.2.1"
            } },
        });
        let cluster = FileCluster::of(Contents::parse(&node.to_string(), "test").unwrap());
        let node_credentials = NodeCredentials::new(Declared::default(), &self.clock(), &Metrics::new());
        Engine { cluster: Arc::new(cluster), node_credentials, resolver: self.replica(), clock: self.clock() }
    }
}

fn digest() -> String {
    digest_of(CONTENT.as_bytes(), Algorithm::Sha256).unwrap().to_string()
}

fn pod() -> Workload {
    let image = ContainerImage {
        path: "spec.containers[0].image".to_owned(),
        pointer: "/spec/containers/0/image".to_owned(),
        container: "app".to_owned(),
        image: TAG.to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        old_image: None,
    };
    let (api_version, kind) = ("v1".to_owned(), "Pod".to_owned());
    Workload {
        object: ObjectRef { api_version, kind, namespace: "team".to_owned(), name: "p".to_owned() },
        shape: Shape::Pod,
        images: vec![Arc::new(image)],
        pull_secrets: PullSecretNames::Final(Vec::new()),
        owner: Owner::None,
        account: "default".to_owned(),
        placement: Placement::default(),
        existing: false,
    }
}

#[tokio::test]
async fn a_second_replica_answers_from_what_the_first_was_told() {
    let world = World::new();
    let (first, second) = (world.replica(), world.replica());
    assert!(!world.ask(&first, TAG, Freshness::Cached).await.stale);
    assert_eq!(world.asked(), 1);
    world.advance(1500);
    let digest = format!("r.io/team/app@{}", digest());
    for image in [TAG, &digest, TAG] {
        let attempt = world.ask(&second, image, Freshness::Cached).await;
        assert!(attempt.outcome.is_ok() && attempt.stale, "{attempt:?}");
        assert_eq!(attempt.age, Duration::from_millis(1500), "as old as the question of the first");
    }
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn a_borrowed_fact_lives_as_long_as_any_other() {
    let digest = format!("r.io/team/app@sha256:{}", "b".repeat(64));
    for (image, seconds) in [(TAG, 60), (&*digest, 300)] {
        for (milliseconds, requests) in [(seconds * 1000 - 1, 0), (seconds * 1000, 1)] {
            let world = World::new();
            world.ask(&world.replica(), image, Freshness::Cached).await;
            world.advance(milliseconds);
            world.asked();
            let attempt = world.ask(&world.replica(), image, Freshness::Cached).await;
            assert_eq!((world.asked(), attempt.stale), (requests, requests == 0), "{image} after {milliseconds} ms");
        }
    }
}

#[tokio::test]
async fn nothing_but_a_cached_judgement_is_answered_by_a_borrowed_fact() {
    for held in [false, true] {
        let world = World::new();
        world.ask(&world.replica(), TAG, Freshness::Cached).await;
        world.advance(1);
        let began = world.now();
        for freshness in [Freshness::Own, Freshness::Recent, Freshness::Asked(began), Freshness::Fresh(began)] {
            let replica = world.replica();
            if held {
                assert!(world.ask(&replica, TAG, Freshness::Cached).await.stale);
            }
            world.asked();
            assert!(!world.ask(&replica, TAG, freshness).await.stale);
            assert_eq!(world.asked(), 1, "{freshness:?}, held: {held}");
            assert!(!world.ask(&replica, TAG, Freshness::Cached).await.stale, "its own word now");
        }
    }
}

#[tokio::test]
async fn nothing_is_shared_across_logins_or_secrets() {
    let world = World::new();
    world.ask_as(&world.replica(), TAG, Some("ann"), Freshness::Cached).await;
    let other = world.replica_with(b"another secret of other replicas");
    for (replica, user, requests) in [
        (world.replica(), Some("ann"), 0),
        (world.replica(), Some("bob"), 1),
        (world.replica(), None, 1),
        (other, Some("ann"), 1),
    ] {
        world.asked();
        world.ask_as(&replica, TAG, user, Freshness::Cached).await;
        assert_eq!(world.asked(), requests, "{user:?}");
    }
}

#[tokio::test]
async fn an_entry_that_was_tampered_with_is_a_miss() {
    let world = World::new();
    world.ask(&world.replica(), TAG, Freshness::Cached).await;
    world.ask(&world.replica(), "r.io/team/evil:v1", Freshness::Own).await;
    for entry in world.memory.entries().values_mut() {
        entry.rotate_left(1);
    }
    world.asked();
    assert!(!world.ask(&world.replica(), TAG, Freshness::Cached).await.stale);
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_refusal_is_never_shared_and_takes_away_what_was() {
    let world = World::new();
    let first = world.replica();
    world.ask(&first, TAG, Freshness::Cached).await;
    let replayed = world.memory.entries().clone();
    world.hub.status.store(404, Ordering::SeqCst);
    world.advance(1000);
    let attempt = world.ask(&first, TAG, Freshness::Fresh(world.now())).await;
    assert!(attempt.outcome.is_err_and(|failure| failure.code.certain()));
    assert_eq!(world.memory.entries().len(), 1, "only the digest is left");
    // Whoever can write brings the old entry back: the replica that knows better does not listen.
    world.memory.entries().clone_from(&replayed);
    world.advance(5001);
    world.asked();
    assert!(world.ask(&first, TAG, Freshness::Cached).await.outcome.is_err());
    assert!(world.asked() > 0);
}

#[tokio::test]
async fn what_is_past_its_lifetime_allows_only_while_the_registry_fails() {
    let world = World::new();
    world.ask(&world.replica(), TAG, Freshness::Cached).await;
    world.advance(120_000);
    world.hub.status.store(503, Ordering::SeqCst);
    let attempt = world.ask(&world.replica(), TAG, Freshness::Cached).await;
    assert!(attempt.outcome.is_ok() && attempt.stale && attempt.age == Duration::from_mins(2), "{attempt:?}");
    world.advance(3_600_000);
    let attempt = world.ask(&world.replica(), TAG, Freshness::Cached).await;
    assert_eq!(attempt.outcome.unwrap_err().code, Code::RegistryError, "an hour later it is forgotten");
    assert_eq!(world.memory.entries().len(), 2, "a failure that may pass changes nothing");
}

#[tokio::test]
async fn a_storm_of_one_image_is_one_question_to_the_store() {
    let world = World::new();
    let replica = world.replica();
    let attempts = join_all((0..1000).map(|_| world.ask(&replica, TAG, Freshness::Cached))).await;
    assert!(attempts.iter().all(|attempt| attempt.outcome.is_ok()));
    assert_eq!((world.memory.reads.load(Ordering::SeqCst), world.asked()), (1, 1));
}

#[tokio::test]
async fn a_borrowed_fact_allows_and_is_never_pinned() {
    let world = World::new();
    world.ask(&world.replica(), TAG, Freshness::Cached).await;
    let engine = world.engine("arm64");
    world.asked();
    let judged = world.check(&engine, Purpose::Judge).await;
    assert!(judged.findings.is_empty() && judged.images[0].digest.is_some() && !judged.images[0].pinnable);
    assert_eq!(world.asked(), 2, "the platforms of its digest, and the entry for the node");
    let pinned = world.check(&engine, Purpose::Pin).await;
    assert!(pinned.images[0].pinnable);
    assert_eq!(world.asked(), 1, "a HEAD of its own");
}

#[tokio::test]
async fn what_a_borrowed_fact_would_deny_is_asked_first_and_else_admitted() {
    for (status, decision) in [(200, Decision::Deny), (503, Decision::Warn)] {
        let world = World::new();
        world.ask(&world.replica(), TAG, Freshness::Cached).await;
        let engine = world.engine("amd64");
        world.hub.status.store(status, Ordering::SeqCst);
        world.asked();
        let verdict = world.check(&engine, Purpose::Judge).await;
        let found: Vec<_> = verdict.findings.iter().map(|finding| (finding.code, finding.certain)).collect();
        assert_eq!(found, [(Code::PlatformMismatch, status == 200)], "{status}");
        assert_eq!(verdict.decision, decision, "{status}");
        assert_eq!(world.asked(), 2, "{status}: the platforms, and a HEAD of its own");
    }
}
