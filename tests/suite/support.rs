//! What the tests of dialogue and resolver stand on: a registry on loopback, a clock that is moved by hand, and the
//! product's own parts above them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pullgate::check::{Engine, Purpose};
use pullgate::cluster::files::{Contents, FileCluster};
use pullgate::credentials::{Candidate, Credential, IdentityKey, Source};
use pullgate::demo::registry::{Authority, Login, Registry, RegistrySpec};
use pullgate::facts::Attempt;
use pullgate::finding::{Cause, Code};
use pullgate::metrics::Metrics;
use pullgate::node_credentials::{Declared, NodeCredentials};
use pullgate::policy::Policy;
use pullgate::reference::Reference;
pub(crate) use pullgate::registry::Ask;
use pullgate::registry::failure::Failure;
use pullgate::registry::guard::Guard;
use pullgate::registry::hosts::{Ways, directory};
use pullgate::registry::http::HttpTransport;
use pullgate::registry::proxies::Proxies;
use pullgate::registry::transport::Intent;
use pullgate::registry::{self, Endpoint};
use pullgate::resolver::Resolver;
use pullgate::resolver::fact::Freshness;
use pullgate::time::Clock;
use pullgate::verdict::Verdict;
use pullgate::workload::{ContainerImage, ObjectRef, Owner, Placement, PullPolicy, PullSecretNames, Shape, Workload};
use tempfile::TempDir;
use tokio::time::Instant;

/// Longer than any honest exchange on loopback, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A namespace of the product's users.
pub(crate) const TEAM: &str = "team-a";

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub(crate) struct HandClock(Arc<AtomicI64>);

/// One registry and how the product sees it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) clock: HandClock,
    pub(crate) policy: Policy,
    authority: Arc<Authority>,
    files: TempDir,
}

// === impl HandClock ===

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn clock(&self) -> Clock {
        let clock = self.clone();
        Clock::new(move || clock.now())
    }
}

// === impl World ===

impl World {
    /// A registry with this login, and nothing in it.
    pub(crate) async fn with(login: Login) -> Self {
        Self::start(|spec| spec.login(login), PATIENCE).await
    }

    /// A registry of the test's making; no request takes longer than `patience`.
    pub(crate) async fn start(change: impl FnOnce(RegistrySpec) -> RegistrySpec, patience: Duration) -> Self {
        pullgate::cli::install_crypto();
        let authority = Arc::new(Authority::new().unwrap());
        let registry = Registry::start(change(RegistrySpec::https(&authority))).await.unwrap();
        let files = TempDir::new().unwrap();
        let ca_file = files.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        let policy = format!(
            "mode: enforce\n\
             registries: [{{ host: '*', caFile: {}, nodeAccess: none, timeout: {}ms }}]\n\
             guard: {{ allowAddresses: [127.0.0.0/8] }}\n",
            ca_file.display(),
            patience.as_millis()
        );
        let policy = pullgate::config::parse(&policy, "test.yaml").unwrap();
        Self { registry, clock: HandClock::new(), policy, authority, files }
    }

    /// A second registry that the same client trusts.
    pub(crate) async fn another(&self, change: impl FnOnce(RegistrySpec) -> RegistrySpec) -> Registry {
        Registry::start(change(RegistrySpec::https(&self.authority))).await.unwrap()
    }

    /// Who signs the certificates that the client trusts.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Writes a file that a configuration may name.
    pub(crate) fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A client that knows nothing yet.
    pub(crate) fn client(&self) -> registry::Registry {
        self.client_over(HttpTransport::new(Guard::new(&self.policy.guard), Proxies::default()))
    }

    /// The same over a transport of the test's making.
    pub(crate) fn client_over(&self, transport: HttpTransport) -> registry::Registry {
        registry::Registry::new(Arc::new(transport), self.clock.clock(), Metrics::new())
            .with_ways(Ways::new(&self.policy))
    }

    /// Declares what nodes have in the directory `name` of their `certs.d`: the text of its `hosts.toml`, and other
    /// files.
    pub(crate) fn declare(&mut self, name: &str, hosts: &str, files: &[(&str, &str)]) {
        let root = self.files.path().join("certs.d");
        std::fs::create_dir_all(root.join(name)).unwrap();
        for (file, text) in files.iter().chain([&("hosts.toml", hosts)]).filter(|(_, text)| !text.is_empty()) {
            std::fs::write(root.join(name).join(file), text).unwrap();
        }
        self.policy.nodes.hosts = Some(Arc::new(directory::read(&root).unwrap()));
    }

    /// The directory of this registry in `certs.d`.
    pub(crate) fn directory(&self) -> String {
        self.registry.host().replace(':', "_") + "_"
    }

    /// A resolver that knows nothing yet.
    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(self.client(), identity(), self.clock.clock(), Metrics::new())
    }

    /// An engine over `cluster` that knows nothing yet.
    pub(crate) fn engine(&self, cluster: &Arc<FileCluster>) -> Engine {
        self.engine_with(cluster, Declared::default())
    }

    /// The same with what is declared of nodes.
    pub(crate) fn engine_with(&self, cluster: &Arc<FileCluster>, declared: Declared) -> Engine {
        let clock = self.clock.clock();
        let node_credentials = NodeCredentials::new(declared, &clock, &Metrics::new());
        Engine { cluster: Arc::clone(cluster) as _, node_credentials, resolver: self.resolver(), clock }
    }

    /// `repository:tag` as it stands in a pod.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    /// A question to this registry.
    pub(crate) fn ask(&self, name: &str, credential: Option<Credential>) -> Ask {
        self.ask_for(&self.image(name), credential)
    }

    /// A question to the registry that `image` names.
    pub(crate) fn ask_for(&self, image: &str, credential: Option<Credential>) -> Ask {
        let reference = Arc::new(Reference::parse(image).unwrap());
        let endpoint = Arc::new(Endpoint::new(&reference, self.policy.registry(reference.registry())));
        let id = identity().id(credential.as_ref());
        Ask {
            endpoint,
            reference,
            credential: credential.map(Arc::new),
            id,
            intent: Intent::Pull,
            namespace: Arc::from(TEAM),
            repeat: true,
        }
    }

    /// Resolves one name with one candidate.
    pub(crate) async fn resolve(
        &self,
        resolver: &Resolver,
        name: &str,
        credential: Option<Credential>,
        freshness: Freshness,
    ) -> Attempt {
        let Ask { reference, .. } = self.ask(name, None);
        let rule = self.policy.registry(reference.registry());
        let candidate = match credential {
            None => Candidate::anonymous(),
            Some(credential) => Candidate {
                source: Source::PullSecret("regcred".into()),
                key: self.registry.host().into(),
                credential: Some(Arc::new(credential)),
            },
        };
        let mut attempts = resolver.resolve(rule, &reference, &[candidate], freshness, soon()).await;
        assert_eq!(attempts.len(), 1);
        attempts.remove(0)
    }

    /// Judges a pod; the clock moves on by one millisecond before, so that every review has a time of its own.
    pub(crate) async fn check(&self, engine: &Engine, pod: &Workload) -> Verdict {
        self.clock.advance(Duration::from_millis(1));
        engine.check(&self.policy, pod, Purpose::Judge, soon()).await
    }

    /// A pull secret of type `kubernetes.io/dockerconfigjson` for this registry, as YAML.
    pub(crate) fn secret(&self, namespace: &str, name: &str, user: &str, password: &str) -> String {
        secret(namespace, name, &self.registry.host(), user, password)
    }

    /// What the registry was asked since the last call: method, what, status, user.
    pub(crate) fn seen(&self) -> Vec<String> {
        seen(&self.registry)
    }

    /// Text with the registry's address as `R`.
    pub(crate) fn plain(&self, text: Option<&str>) -> String {
        text.unwrap_or("nothing").replace(&self.registry.host(), "R")
    }
}

/// What `registry` was asked since the last call: `HEAD manifest 200 ann`, `-` where it gave no answer.
pub(crate) fn seen(registry: &Registry) -> Vec<String> {
    let seen = registry.requests().into_iter().map(|request| {
        let status = request.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let what = format!("{} {:?} {status}", request.method, request.kind).replace("Manifest", "manifest");
        let user = request.as_user.map(|user| format!(" {user}")).unwrap_or_default();
        format!("{}{user}", what.replace("Token", "token"))
    });
    let seen = seen.collect();
    registry.clear_log();
    seen
}

/// The same key in every test: ids are equal where logins are.
pub(crate) fn identity() -> IdentityKey {
    IdentityKey::new(&[7; 32])
}

/// A login that a node would send.
#[expect(clippy::unnecessary_wraps, reason = "callers ask with a login or with none")]
pub(crate) fn login(user: &str, password: &str) -> Option<Credential> {
    Some(Credential::new(user, password))
}

/// The deadline of a review.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// A cluster of these objects.
pub(crate) fn cluster(objects: &[String]) -> Arc<FileCluster> {
    Arc::new(FileCluster::of(contents(objects)))
}

/// These objects, parsed.
pub(crate) fn contents(objects: &[String]) -> Contents {
    Contents::parse(&objects.join("\n---\n"), "test").unwrap()
}

/// A pull secret for `host` (with a path, perhaps), as YAML.
pub(crate) fn secret(namespace: &str, name: &str, host: &str, user: &str, password: &str) -> String {
    let config = serde_json::json!({ "auths": { host: { "username": user, "password": password } } });
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": { ".dockerconfigjson": config.to_string() },
    })
    .to_string()
}

/// A pod of these images, with these pull secrets.
pub(crate) fn pod(namespace: &str, images: &[String], secrets: &[&str]) -> Workload {
    let image = |(index, image): (usize, &String)| {
        Arc::new(ContainerImage {
            path: format!("spec.containers[{index}].image"),
            pointer: format!("/spec/containers/{index}/image"),
            container: format!("c{index}"),
            image: image.clone(),
            pull_policy: PullPolicy::Always,
            old_image: None,
        })
    };
    Workload {
        object: ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            name: "p".to_owned(),
        },
        shape: Shape::Pod,
        images: images.iter().enumerate().map(image).collect(),
        pull_secrets: PullSecretNames::Final(secrets.iter().map(|name| (*name).to_owned()).collect()),
        owner: Owner::None,
        account: "default".to_owned(),
        placement: Placement::default(),
        existing: false,
    }
}

/// Code and cause of what went wrong.
pub(crate) fn code(failure: &Failure) -> (Code, Option<Cause>) {
    (failure.code, failure.cause)
}

/// Code and cause of an attempt that must have failed.
pub(crate) fn failed(attempt: &Attempt) -> (Code, Option<Cause>) {
    code(attempt.outcome.as_ref().unwrap_err())
}

/// The codes of a verdict's findings.
pub(crate) fn codes(verdict: &Verdict) -> Vec<Code> {
    verdict.findings.iter().map(|finding| finding.code).collect()
}
