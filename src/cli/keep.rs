//! `pullgate keep`: competes for the Lease, and while it is held looks at everything every few seconds.

use std::process::ExitCode;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::args::{Certificates, KeepArgs};
use crate::certificates::mint;
use crate::cli::{CommandError, block_on, own_namespace};
use crate::cluster::lease::Competitor;
use crate::cluster::own::Own;
use crate::keeper::{KeepError, Keeper, Terms};
use crate::metrics::certificates::CertificateMetrics;
use crate::metrics::exposition;
use crate::server::{self, Limits, Readiness, admin, shutdown};
use crate::telemetry;
use crate::time::Clock;

/// Runs the command until it is told to stop.
pub fn run(args: KeepArgs) -> Result<ExitCode, CommandError> {
    telemetry::init(args.log_format, &args.log)?;
    block_on(keep(args))
}

async fn keep(args: KeepArgs) -> Result<ExitCode, CommandError> {
    let KeepArgs { service, namespace, webhook_configuration, tls_secret, ca_secret, lease, certificates, .. } = args;
    let namespace = own_namespace(namespace).ok_or(CommandError::NoNamespace { flag: "--namespace" })?;
    let named = |name: Option<String>, suffix: &str| name.unwrap_or_else(|| format!("{service}-{suffix}"));
    let lease = named(lease, "keeper");
    let terms = Terms {
        tls_secret: named(tls_secret, "tls"),
        ca_secret: named(ca_secret, "ca"),
        service,
        webhook_configuration,
        external: certificates == Certificates::External,
        ca_lifetime: args.ca_lifetime,
        leaf_lifetime: args.leaf_lifetime,
        settle: args.settle,
    };
    let clock = Clock::system();
    let own = Own::connect(&args.kube.options(), &namespace).await?;
    let mut registry = Registry::with_prefix("pullgate");
    let metrics = CertificateMetrics::of_keeper(&mut registry);
    let registry = Arc::new(registry);

    let admin = server::bind(args.admin_listen, None, Limits::default(), "--admin-listen").await?;
    let readiness = Arc::new(Readiness::new(&["lease"]));
    let requested = shutdown::requested()?;
    info!(admin_address = %admin.local_addr(), namespace, lease, version = env!("CARGO_PKG_VERSION"), "Keeping");
    let probes = admin::router(Arc::clone(&readiness), move || exposition(&registry));
    let probing = tokio::spawn(admin.serve(probes, std::future::pending()));

    let (stop, mut stopping) = watch::channel(false);
    let (competitor, held) = Competitor::new(&own, &lease, identity(), clock.clone());
    let competing = tokio::spawn(competitor.run(async move {
        // A sender that is gone means stop, too.
        drop(stopping.wait_for(|stop| *stop).await);
    }));
    let looking = tokio::spawn({
        let (metrics, mut held) = (metrics.clone(), held.clone());
        let mut keeper = Keeper::new(own, terms, held.clone(), clock.clone(), metrics.clone());
        let mut ticks = interval(args.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        async move {
            let mut complained = String::new();
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = held.changed() => {
                        readiness.set("lease", held.is_reached());
                        metrics.held(held.is_held());
                        continue;
                    }
                }
                if !held.is_held() {
                    keeper.forget();
                    continue;
                }
                match keeper.look().await {
                    Ok(()) => {
                        metrics.looked(clock());
                        complained.clear();
                    }
                    Err(KeepError::Lost) => {}
                    Err(error) => {
                        let said = error.to_string();
                        if said != complained {
                            warn!(%error, "Not everything could be kept; it is tried again");
                            complained = said;
                        }
                    }
                }
            }
        }
    });
    requested.await;
    looking.abort();
    _ = stop.send(true);
    competing.await.map_err(|error| CommandError::Io(std::io::Error::other(error)))?;
    probing.abort();
    info!("Stopped");
    Ok(ExitCode::SUCCESS)
}

/// Nobody else's: the pod's name, and a few random characters for a pod that lives again.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let random = mint::segment().map(|segment| segment.expose_secret()[..8].to_owned()).unwrap_or_default();
    format!("{}_{random}", host.trim())
}
