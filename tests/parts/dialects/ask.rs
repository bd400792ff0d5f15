//! A row → what pullgate makes of it: the whole engine, with a pod and its pull secret, over the real transport.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pullgate::check::{Engine, Purpose};
use pullgate::cluster::files::{Contents, FileCluster};
use pullgate::credentials::IdentityKey;
use pullgate::metrics::Metrics;
use pullgate::node_credentials::{Declared, NodeCredentials};
use pullgate::registry::Registry;
use pullgate::registry::guard::Guard;
use pullgate::registry::http::HttpTransport;
use pullgate::registry::proxies::Proxies;
use pullgate::resolver::Resolver;
use pullgate::time::Clock;
use pullgate::workload::{ContainerImage, ObjectRef, Owner, Placement, PullPolicy, PullSecretNames, Shape, Workload};
use serde_json::json;
use tokio::time::Instant;

use super::{Row, Stage};

/// What came of it.
#[derive(Debug)]
pub(crate) struct Played {
    /// As in [`Row::expect`].
    pub(crate) outcome: String,
    pub(crate) asked: Vec<String>,
    /// Requests that the row has no answer for.
    pub(crate) unanswered: Vec<String>,
    /// What the finding repeats of the registry's words.
    pub(crate) said: Option<String>,
    /// The line of the node.
    pub(crate) node: Option<String>,
}

/// Judges a pod of the row's image, as `enforce` does, with an empty cache. `ca_file` holds the stage's authority.
pub(crate) async fn ask(stage: &Stage, row: &Arc<Row>, ca_file: &Path) -> Played {
    stage.play(row);
    // What nodes have is part of what a family is: by default it follows from the host.
    let node_access = if row.pods_only { ", nodeAccess: none" } else { "" };
    let policy = format!(
        "mode: enforce\nregistries: [{{ host: '*', caFile: {}, proxy: '{}', timeout: 5s{node_access} }}]\n\
         guard: {{ allowAddresses: [127.0.0.0/8] }}\n",
        ca_file.display(),
        stage.proxy()
    );
    let policy = pullgate::config::parse(&policy, "dialects.yaml").unwrap_or_else(|error| panic!("{error}"));
    let ticks = AtomicI64::new(1_800_000_000_000);
    // Every look is a millisecond later, so that a second look is one.
    let clock = Clock::new(move || {
        Timestamp::from_millisecond(ticks.fetch_add(1, Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    });
    let transport = HttpTransport::new(Guard::new(&policy.guard), Proxies::default());
    let registry = Registry::new(Arc::new(transport), clock.clone(), Metrics::new());
    let engine = Engine {
        cluster: Arc::new(FileCluster::of(secrets(row))),
        node_credentials: NodeCredentials::new(Declared::default(), &clock, &Metrics::new()),
        resolver: Resolver::new(registry, IdentityKey::new(&[7; 32]), clock.clone(), Metrics::new()),
        clock,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let verdict = engine.check(&policy, &pod(row), Purpose::Judge, deadline).await;
    let (asked, unanswered) = stage.asked();
    let requests = format!("{} request{}", asked.len(), if asked.len() == 1 { "" } else { "s" });
    let finding = verdict.findings.into_iter().next();
    let outcome = match &finding {
        None => format!("resolves, {requests}"),
        Some(finding) => {
            let certain = if finding.certain { "certain" } else { "uncertain" };
            format!("{}, {certain}, {requests}", finding.code)
        }
    };
    let (said, node) = finding.map(|finding| (finding.registry, finding.node)).unwrap_or_default();
    Played { outcome, asked, unanswered, said, node }
}

fn secrets(row: &Row) -> Contents {
    let key = if row.registry() == "docker.io" { "https://index.docker.io/v1/" } else { row.registry() };
    let secrets = row.login.iter().map(|(user, password)| {
        let config = json!({ "auths": { key: { "username": user, "password": password } } });
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "regcred", "namespace": "team" },
            "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": config.to_string() },
        })
        .to_string()
    });
    Contents::parse(&secrets.collect::<String>(), "secret").unwrap_or_else(|error| panic!("{error}"))
}

fn pod(row: &Row) -> Workload {
    let image = ContainerImage {
        path: "spec.containers[0].image".to_owned(),
        pointer: "/spec/containers/0/image".to_owned(),
        container: "app".to_owned(),
        image: row.image.clone(),
        pull_policy: PullPolicy::Always,
        old_image: None,
    };
    Workload {
        object: ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: "team".to_owned(),
            name: "p".to_owned(),
        },
        shape: Shape::Pod,
        images: vec![Arc::new(image)],
        pull_secrets: PullSecretNames::Final(row.login.iter().map(|_| "regcred".to_owned()).collect()),
        owner: Owner::None,
        account: "default".to_owned(),
        placement: Placement::default(),
        existing: false,
    }
}
