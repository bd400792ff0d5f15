//! `pullgate explain`: one image → every step of its judgement: how it is understood, the credentials in the kubelet's
//! order, each request with its answer, the platforms, and the verdict.

mod object;
mod page;
mod text;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::args::{ExplainArgs, ExplainFormat, SourceArgs};
use crate::check::{Engine, Purpose};
use crate::cli::check::pod_of;
use crate::cli::docker_config::{self, DockerConfig};
use crate::cli::{
    CommandError, Opened, block_on, engine_over, exit, no_cluster, node_credentials, print, source_cluster,
};
use crate::cluster::{Cluster, KubeTokens, Reading};
use crate::credentials::Candidate;
use crate::facts::{Facts, Secrets};
use crate::metrics::Metrics;
use crate::node_credentials::{Account, NodeLookup};
use crate::output::Report;
use crate::policy::Policy;
use crate::reference::Reference;
use crate::registry::trace::{Exchange, Trace, Traced};
use crate::verdict::Verdict;
use crate::workload::{PullSecretNames, Workload};

/// Everything that there is to say about one image.
struct Explanation {
    image: String,
    reference: Reference,
    pod: Workload,
    /// What of the local docker configuration no kubelet would use.
    passed_over: Vec<String>,
    secrets: Secrets,
    /// The pull secrets of the `ServiceAccount` that do not count, for the pod has a list of its own.
    suppressed: Vec<String>,
    candidates: Vec<Candidate>,
    exchanges: Vec<Exchange>,
    /// None where nobody was asked.
    judged: Option<(Verdict, Facts, Report)>,
    now: Timestamp,
}

/// Runs the command.
pub fn run(args: ExplainArgs) -> Result<ExitCode, CommandError> {
    let ExplainArgs { image, offline, output, color, docker_config, mut source } = args;
    let reference = Reference::parse(&image)
        .map_err(|error| CommandError::Image { image: crate::message::shown(&image), reason: error.to_string() })?;
    let docker_config = docker_config.path()?.as_deref().map(DockerConfig::read).transpose()?;
    if docker_config.is_some() {
        source.pull_secrets.insert(0, docker_config::NAME.to_owned());
    }
    let explanation = block_on(explain(image, reference, offline, &source, docker_config))?;
    print(&match output {
        ExplainFormat::Json => object::json(&explanation),
        ExplainFormat::Table => text::text(&explanation, color.wanted(std::io::stdout().is_terminal())),
    })?;
    Ok(exit(match (&explanation.judged, &explanation.secrets.keyring) {
        (Some((.., report)), _) => report.exit_code(),
        (None, Err(_)) if explanation.secrets.no_cluster => 3,
        (None, Err(_)) => 1,
        (None, Ok(_)) => 0,
    }))
}

async fn explain(
    image: String,
    reference: Reference,
    offline: bool,
    source: &SourceArgs,
    docker_config: Option<DockerConfig>,
) -> Result<Explanation, CommandError> {
    let opened = open(source, docker_config.as_ref()).await?;
    let pod = pod_of(std::slice::from_ref(&image), &opened.namespace, source)?;
    opened.say_doubt();
    let Opened { cluster, tokens, namespace, .. } = opened;
    let policy = crate::cli::strict_policy(source, [namespace])?;
    let trace = Trace::default();
    let engine = engine(source, &policy, cluster, tokens, &trace)?;
    let mut secrets = engine.secrets(&pod, None).await;
    let mut candidates = secrets.keyring.as_ref().map(|keyring| keyring.matching(reference.name())).unwrap_or_default();
    if secrets.keyring.is_ok() {
        // A plugin asks whom it likes: not offline.
        let held_by_nodes = if offline {
            NodeLookup::default()
        } else {
            let account = Account { namespace: &pod.object.namespace, name: &source.service_account };
            let deadline = Instant::now() + source.timeout;
            engine.node_credentials.candidates(reference.name(), account, None, deadline).await
        };
        candidates.extend(held_by_nodes.candidates);
        candidates = Candidate::or_anonymous(candidates);
    }
    let mut judged = None;
    if !offline {
        let (verdict, mut facts) = engine.examine(&policy, &pod, Purpose::Judge, Instant::now() + source.timeout).await;
        let mut report = Report::new(PathBuf::new());
        report.push(&pod.object, None, &verdict);
        // As they were when it was judged.
        std::mem::swap(&mut secrets, &mut facts.secrets);
        judged = Some((verdict, facts, report));
    }
    Ok(Explanation {
        image,
        reference,
        suppressed: suppressed(&engine, &pod).await,
        pod,
        passed_over: docker_config.map(|config| config.passed_over).unwrap_or_default(),
        secrets,
        candidates,
        exchanges: trace.exchanges(),
        judged,
        now: (engine.clock)(),
    })
}

/// What the `ServiceAccount` names in vain.
async fn suppressed(engine: &Engine, pod: &Workload) -> Vec<String> {
    let PullSecretNames::ThroughServiceAccount { listed, account } = &pod.pull_secrets else { return Vec::new() };
    if listed.is_empty() {
        return Vec::new();
    }
    match engine.cluster.account_pull_secrets(&pod.object.namespace, account, None).await {
        Reading::Found(names) => names.into_iter().filter(|name| !name.is_empty()).collect(),
        _ => Vec::new(),
    }
}

/// The cluster of the command line, with the local docker login in it. With that login none is needed, so that none is
/// looked for unless a flag names it.
async fn open(source: &SourceArgs, docker_config: Option<&DockerConfig>) -> Result<Opened, CommandError> {
    let named = source.cluster_from.is_some() || source.kube.kubeconfig.is_some() || source.kube.context.is_some();
    match docker_config {
        None => source_cluster(source).await,
        Some(docker_config) => {
            let opened = if named { source_cluster(source).await? } else { no_cluster(source) };
            Ok(Opened { cluster: docker_config.with(opened.cluster), ..opened })
        }
    }
}

/// The engine of the command line, with every request written down.
fn engine(
    source: &SourceArgs,
    policy: &Policy,
    cluster: Arc<dyn Cluster>,
    tokens: Option<KubeTokens>,
    trace: &Trace,
) -> Result<Engine, CommandError> {
    let metrics = Metrics::new();
    let node_credentials = node_credentials(source.nodes.clone(), tokens, &metrics)?;
    engine_over(policy, cluster, node_credentials, metrics, |transport| Arc::new(Traced::new(transport, trace.clone())))
}
