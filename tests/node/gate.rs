//! pullgate's answers: the pods as the API server stored them, with the Secrets read from it, against the same
//! registries. Each pod has an engine of its own, for a registry sees a bounded number of failed logins from one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use pullgate::check::Purpose;
use pullgate::cli;
use pullgate::cluster::{Cluster, KubeCluster, KubeOptions};
use pullgate::config;
use pullgate::metrics::Metrics;
use pullgate::policy::Policy;
use pullgate::time::Clock;
use pullgate::verdict::Verdict;
use pullgate::workload::spec::Object;
use pullgate::workload::{ObjectRef, extract};
use serde_json::Value;
use tokio::time::Instant;

use crate::Failure;
use crate::pods::NAMESPACE;

/// More than any row needs, in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pods judged at once.
const AT_ONCE: usize = 8;

/// The verdicts on these pods, in order.
pub(crate) fn verdicts(config: &str, kubeconfig: &Path, pods: &[Value]) -> Result<Vec<Verdict>, Failure> {
    cli::install_crypto();
    let policy = config::parse(config, "config.yaml")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let options = KubeOptions { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let cluster: Arc<dyn Cluster> = Arc::new(KubeCluster::connect(&options, Clock::system()).await?);
        let judged: Vec<_> =
            stream::iter(pods).map(|pod| verdict(&policy, Arc::clone(&cluster), pod)).buffered(AT_ONCE).collect().await;
        judged.into_iter().collect()
    })
}

async fn verdict(policy: &Policy, cluster: Arc<dyn Cluster>, pod: &Value) -> Result<Verdict, Failure> {
    let meta = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
    };
    let text = pod.to_string();
    let object: Object<'_> = serde_json::from_str(&text)?;
    let workload = extract::from_object(&object, meta, true).ok_or("pullgate finds no image in the pod")?;
    let engine = cli::engine(policy, cluster, Metrics::new())?;
    Ok(engine.check(policy, &workload, Purpose::Judge, Instant::now() + PATIENCE).await)
}
