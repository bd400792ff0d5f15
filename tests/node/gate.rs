//! pullgate's answers: pods, Secrets and Node as the API server stored them, against the same registries. Each pod has caches and a count of failed logins of its own, as in a process of its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use pullgate::check::{Engine, Purpose};
use pullgate::cluster::Cluster;
use pullgate::cluster::files::{Contents, FileCluster};
use pullgate::credentials::IdentityKey;
use pullgate::metrics::Metrics;
use pullgate::node_credentials::{Declared, NodeCredentials};
use pullgate::policy::Policy;
use pullgate::registry::Registry;
use pullgate::registry::guard::Guard;
use pullgate::registry::http::HttpTransport;
use pullgate::registry::proxies::Proxies;
use pullgate::registry::transport::Profile;
use pullgate::resolver::Resolver;
use pullgate::time::Clock;
use pullgate::verdict::Verdict;
use pullgate::workload::spec::Object;
use pullgate::workload::{ObjectRef, extract};
use pullgate::{cli, config};
use serde_json::Value;
use tokio::time::Instant;

use crate::Failure;
use crate::canary;
use crate::pods::NAMESPACE;

/// More than any row needs, in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Pods judged at once.
const AT_ONCE: usize = 8;

/// The verdicts on these pods, in order; `cluster` is the text of a list of what pullgate may read.
pub(crate) fn verdicts(config: &str, cluster: &str, pods: &[Value]) -> Result<Vec<Verdict>, Failure> {
    cli::install_crypto();
    let policy = config::parse(config, "config.yaml")?;
    let transport: Arc<HttpTransport> = Arc::new(HttpTransport::new(Guard::new(&policy.guard), Proxies::default()));
    for rule in &policy.registries {
        transport.prepare(&Profile::of(rule))?;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let contents = Contents::parse(cluster, "the objects of the API server")?;
        let cluster: Arc<dyn Cluster> = Arc::new(FileCluster::of(contents));
        let engine = || {
            let registry = Registry::new(transport.clone(), Clock::system(), Metrics::new());
            let resolver = Resolver::new(registry, IdentityKey::new(&[0; 32]), Clock::system(), Metrics::new());
            let node_credentials = NodeCredentials::new(Declared::default(), &Clock::system(), &Metrics::new());
            Engine { cluster: Arc::clone(&cluster), node_credentials, resolver, clock: Clock::system() }
        };
        let judged: Vec<_> =
            stream::iter(pods).map(|pod| verdict(&policy, engine(), pod)).buffered(AT_ONCE).collect().await;
        judged.into_iter().collect()
    })
}

async fn verdict(policy: &Policy, engine: Engine, pod: &Value) -> Result<Verdict, Failure> {
    let meta = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
    };
    let text = pod.to_string();
    let object: Object<'_> = serde_json::from_str(&text)?;
    let workload = extract::from_object(&object, meta, true).ok_or("pullgate finds no image in the pod")?;
    let verdict = engine.check(policy, &workload, Purpose::Judge, Instant::now() + PATIENCE).await;
    match canary::trace(&format!("{verdict:?}")) {
        Some(trace) => Err(format!("the verdict holds a password: {trace}").into()),
        None => Ok(verdict),
    }
}
