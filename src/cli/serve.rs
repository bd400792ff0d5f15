//! `pullgate serve`: loads and checks everything, opens both ports, and only then says that it is ready.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

mod certificate;

use tokio::sync::watch;
use tracing::info;

use self::certificate::Serving;
use crate::admission::{self, Gate, Snapshot};
use crate::args::ServeArgs;
use crate::check::Engine;
use crate::cli::{
    CommandError, Opened, POLL, block_on, engine, node_credentials, open_cluster, read_policy, with_hosts,
};
use crate::metrics::Metrics;
use crate::policy::{Mode, Policy};
use crate::server::reload::FileWatch;
use crate::server::{self, Limits, Readiness, admin, shutdown};
use crate::telemetry;

/// Runs the command until it is told to stop.
pub fn run(args: ServeArgs) -> Result<ExitCode, CommandError> {
    block_on(async {
        #[cfg(feature = "otlp")]
        let _traces = telemetry::traces::init(args.log_format, &args.log, args.otlp_endpoint.as_deref())?;
        #[cfg(not(feature = "otlp"))]
        telemetry::init(args.log_format, &args.log)?;
        serve(args).await
    })
}

async fn serve(args: ServeArgs) -> Result<ExitCode, CommandError> {
    let ServeArgs {
        config,
        listen,
        admin_listen,
        tls,
        mode,
        cluster_from,
        kube,
        nodes,
        own_namespace,
        shutdown_delay,
        log: _,
        log_format: _,
        ..
    } = args;
    let own_namespace = crate::cli::own_namespace(own_namespace);
    let overrides = Overrides { config, mode, own_namespace: own_namespace.clone(), certs_dir: Arc::default() };
    let watch_config = FileWatch::of("configuration", overrides.files()).await;

    let policy = overrides.load()?;
    let metrics = Metrics::new();
    let Opened { cluster, tokens, .. } = open_cluster(cluster_from.as_deref(), &kube, None).await?;
    let node_credentials = node_credentials(nodes, tokens, &metrics)?;
    let engine = engine(&policy, cluster, node_credentials, metrics.clone())?;
    let serving = Serving::open(tls, &kube, own_namespace.as_deref()).await?;
    let tls = Arc::new(server::server_config_with(Arc::clone(&serving.certificate), serving.clients.clone())?);
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot { policy, engine }));

    let limits = Limits { shutdown_delay, ..Limits::default() };
    let webhook = server::bind(listen, Some(tls), limits, "--listen").await?.recognizing(serving.clients.clone());
    let admin = server::bind(admin_listen, None, limits, "--admin-listen").await?;
    let readiness = Arc::new(Readiness::new(&["serving", certificate::CONDITION]));
    let hangups = shutdown::hangups()?;
    let callers = Arc::clone(&serving.callers);
    serving.keep(Arc::clone(&readiness), &metrics, &hangups);
    tokio::spawn(watch_config.run(POLL, hangups, {
        let metrics = metrics.clone();
        move || metrics.reloaded("configuration", reload(&overrides, &sender, &metrics))
    }));

    let requested = shutdown::requested()?;
    let (stop, stopping) = watch::channel(false);
    let stopped = |mut stopping: watch::Receiver<bool>| async move {
        // A sender that is gone means stop, too.
        drop(stopping.wait_for(|stop| *stop).await);
    };
    info!(address = %webhook.local_addr(), admin_address = %admin.local_addr(), version = env!("CARGO_PKG_VERSION"), "Serving");
    readiness.set("serving", true);
    let router =
        admission::router(Gate::new(snapshots, metrics.clone(), limits.request_body_timeout).telling_apart(callers));
    let conditions = Arc::clone(&readiness);
    let render = move || {
        conditions.all().into_iter().for_each(|(condition, holds)| metrics.condition(condition, holds));
        metrics.render()
    };
    let probes = admin::router(Arc::clone(&readiness), render);
    let answering = tokio::spawn(webhook.serve(router, stopped(stopping)));
    let probing = tokio::spawn(admin.serve(probes, std::future::pending()));
    requested.await;
    readiness.set("serving", false);
    _ = stop.send(true);
    let served = answering.await;
    probing.abort();
    served.map_err(|error| CommandError::Io(std::io::Error::other(error)))?;
    info!("Stopped");
    Ok(ExitCode::SUCCESS)
}

/// What flags put over the configuration file.
struct Overrides {
    config: Option<PathBuf>,
    mode: Option<Mode>,
    own_namespace: Option<String>,
    /// As the configuration named it when it was last read.
    certs_dir: Arc<Mutex<Option<PathBuf>>>,
}

// === impl Overrides ===

impl Overrides {
    fn load(&self) -> Result<Policy, CommandError> {
        let policy = read_policy(self.config.as_deref().map(Path::new))?;
        self.certs_dir.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&policy.nodes.certs_dir);
        let policy = with_hosts(policy)?.with_own_namespace(self.own_namespace.clone());
        Ok(match self.mode {
            Some(mode) => policy.with_mode(mode),
            None => policy,
        })
    }

    /// The files that a configuration is made of, as far as is known: the directory is named in one of them.
    fn files(&self) -> impl Fn() -> Vec<PathBuf> + Send + 'static {
        let (config, certs_dir) = (self.config.clone(), Arc::clone(&self.certs_dir));
        move || {
            let certs_dir = certs_dir.lock().unwrap_or_else(PoisonError::into_inner).clone();
            config.iter().cloned().chain(certs_dir).collect()
        }
    }
}

/// Puts a new snapshot in place. The cache goes with the engine, and is kept where the guard and the ways to the
/// registries are the same.
fn reload(
    overrides: &Overrides,
    sender: &watch::Sender<Arc<Snapshot>>,
    metrics: &Metrics,
) -> Result<bool, CommandError> {
    let policy = overrides.load()?;
    let before = Arc::clone(&sender.borrow());
    if policy == before.policy {
        return Ok(false);
    }
    let same_ways = policy.registries == before.policy.registries
        && policy.guard == before.policy.guard
        && policy.nodes == before.policy.nodes
        && policy.shared_cache == before.policy.shared_cache;
    let engine = if same_ways {
        before.engine.clone()
    } else {
        let Engine { cluster, node_credentials, .. } = before.engine.clone();
        engine(&policy, cluster, node_credentials, metrics.clone())?
    };
    sender.send_replace(Arc::new(Snapshot { policy, engine }));
    Ok(true)
}
