//! The flags about certificate and callers → what the port serves, what readiness says of it, and both kept up to date.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use crate::admission::callers::Callers;
use crate::args::{KubeArgs, TlsArgs};
use crate::certificates::mint::as_segment;
use crate::certificates::read::{Distrust, bundle, chains, validity};
use crate::certificates::{keys, service_name};
use crate::cli::{CommandError, POLL};
use crate::cluster::own::{Hook, HookObject, Own, OwnError};
use crate::metrics::Metrics;
use crate::metrics::certificates::{CertificateMetrics, Which};
use crate::server::reload::FileWatch;
use crate::server::shutdown::Hangups;
use crate::server::{Certificate, ClientAuthority, Readiness, TlsFiles};
use crate::time::Clock;

/// The condition of readiness.
pub(super) const CONDITION: &str = "certificate";

/// How often what is missing is looked for.
const IMPATIENT: Duration = Duration::from_secs(1);

/// What the port serves with.
pub(super) struct Serving {
    pub(super) certificate: Arc<Certificate>,
    pub(super) callers: Arc<Callers>,
    pub(super) clients: Option<Arc<ClientAuthority>>,
    watches: Vec<(FileWatch, Load)>,
    upkeep: Upkeep,
}

/// Loads files again.
type Load = Box<dyn FnMut() -> Result<bool, CommandError> + Send>;

/// What is looked at every few seconds.
struct Upkeep {
    own: Option<Own>,
    secret: Option<String>,
    /// The webhook configurations and the name that API servers call.
    trusted_by: Option<(String, String)>,
    /// The last answer about the bundle.
    trusted: bool,
    /// What was said last of each, to say it once.
    said: [String; 2],
}

// === impl Serving ===

impl Serving {
    /// Loads what is in files; what is in a Secret is waited for.
    pub(super) async fn open(args: TlsArgs, kube: &KubeArgs, namespace: Option<&str>) -> Result<Self, CommandError> {
        let TlsArgs { tls_cert_file, tls_private_key_file, tls_secret, path_file, .. } = args;
        let callers = Arc::new(Callers::default());
        let mut watches: Vec<(FileWatch, Load)> = Vec::new();
        let certificate = match (tls_cert_file, tls_private_key_file) {
            (Some(cert), Some(key)) => {
                let watch = FileWatch::new("certificate", vec![cert.clone(), key.clone()]).await;
                let certificate = Arc::new(Certificate::load(TlsFiles { cert, key })?);
                let loaded = Arc::clone(&certificate);
                watches.push((watch, Box::new(move || Ok(loaded.reload()?))));
                certificate
            }
            _ => Arc::new(Certificate::awaited()),
        };
        if let Some(file) = path_file {
            let watch = FileWatch::new("path segment", vec![file.clone()]).await;
            callers.tell_apart();
            if let Err(error) = take_path(&callers, &file) {
                warn!(%error, "No caller is known by its path yet");
            }
            let callers = Arc::clone(&callers);
            watches.push((watch, Box::new(move || take_path(&callers, &file))));
        }
        let clients = match args.client_ca_file {
            Some(file) => {
                let watch = FileWatch::new("client authority", vec![file.clone()]).await;
                callers.tell_apart();
                let clients = Arc::new(ClientAuthority::load(file, args.client_names)?);
                let loaded = Arc::clone(&clients);
                watches.push((watch, Box::new(move || Ok(loaded.reload()?))));
                Some(clients)
            }
            None => None,
        };
        let needed = tls_secret.is_some() || args.webhook_configuration.is_some();
        let own = if needed {
            let namespace = namespace.ok_or(CommandError::NoNamespace { flag: "--own-namespace" })?;
            Some(Own::connect(&kube.options(), namespace).await?)
        } else {
            None
        };
        let service = args.service.zip(namespace).map(|(service, namespace)| service_name(&service, namespace));
        let upkeep = Upkeep {
            own,
            secret: tls_secret,
            trusted_by: args.webhook_configuration.zip(service),
            trusted: false,
            said: Default::default(),
        };
        Ok(Self { certificate, callers, clients, watches, upkeep })
    }

    /// Keeps everything up to date from now on.
    pub(super) fn keep(self, readiness: Arc<Readiness>, metrics: &Metrics, hangups: &Hangups) {
        let Self { certificate, callers, watches, mut upkeep, .. } = self;
        for (watch, mut load) in watches {
            let (name, metrics) = (watch.name(), metrics.clone());
            tokio::spawn(watch.run(POLL, hangups.clone(), move || metrics.reloaded(name, load())));
        }
        let metrics = metrics.certificates();
        if upkeep.secret.is_none() && !callers.are_told_apart() {
            everybody_is_known();
        }
        // Files were checked when they were loaded, and nothing else is asked.
        readiness.set(CONDITION, upkeep.own.is_none());
        tokio::spawn(async move {
            loop {
                let ready = upkeep.look(&certificate, &callers, &metrics).await;
                readiness.set(CONDITION, ready);
                sleep(if ready { POLL } else { IMPATIENT }).await;
            }
        });
    }
}

fn everybody_is_known() {
    info!("Callers are not told apart: whoever reaches the port is answered in full; give --client-ca-file or a path");
}

fn take_path(callers: &Callers, file: &PathBuf) -> Result<bool, CommandError> {
    let refuse = |reason: String| CommandError::PathFile { path: file.display().to_string(), reason };
    let text = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
    let segment = as_segment(&text)
        .ok_or_else(|| refuse("not a path segment: give 22 to 128 random characters of a-z and 0-9".to_owned()))?;
    Ok(callers.take(segment))
}

// === impl Upkeep ===

impl Upkeep {
    /// Reads Secret and webhook configurations; whether API servers will believe what is served.
    async fn look(&mut self, certificate: &Certificate, callers: &Callers, metrics: &CertificateMetrics) -> bool {
        if let (Some(own), Some(name)) = (self.own.clone(), self.secret.clone()) {
            match taken(&own, &name, certificate, callers).await {
                Ok(()) => self.said[0].clear(),
                Err(why) => self.say(0, why, "What is served stays as it is"),
            }
        }
        let chain = certificate.chain();
        metrics.expires(Which::Leaf, chain.first().and_then(validity).map(|(_, until)| until));
        if let (Some(own), Some((configuration, name))) = (self.own.clone(), self.trusted_by.clone()) {
            match own.hooks(&configuration).await {
                Ok(objects) => {
                    let ends = hooks(&objects).flat_map(|hook| bundle(&hook.bundle));
                    metrics.expires(Which::Bundle, ends.filter_map(|der| validity(&der)).map(|(_, until)| until).min());
                    let now = Clock::system()();
                    let trusts = |hook: &Hook| chains(&chain, &bundle(&hook.bundle), &name, now);
                    let believed: Result<(), Distrust> = hooks(&objects).try_for_each(trusts);
                    // Who was ready stays so while one webhook believes it: no other replica would be believed more.
                    self.trusted =
                        believed.is_ok() || (self.trusted && hooks(&objects).any(|hook| trusts(hook).is_ok()));
                    match believed {
                        Ok(()) => self.said[1].clear(),
                        Err(why) => {
                            let what = "API servers would not trust what is served for every webhook";
                            self.say(1, format!("the caBundle of {configuration}: {why}"), what);
                        }
                    }
                }
                Err(error @ OwnError::Forbidden { .. }) => {
                    self.trusted = true;
                    self.say(1, error.to_string(), "Readiness cannot depend on the webhook configurations");
                }
                Err(error) => self.say(1, error.to_string(), "Readiness stays as it is"),
            }
        } else {
            self.trusted = true;
        }
        self.trusted && !chain.is_empty()
    }

    fn say(&mut self, about: usize, why: String, what: &'static str) {
        if self.said[about] != why {
            warn!(why, "{what}");
            self.said[about] = why;
        }
    }
}

fn hooks(objects: &[HookObject]) -> impl Iterator<Item = &Hook> {
    objects.iter().flat_map(|object| &object.hooks)
}

/// Takes what is in the Secret.
async fn taken(own: &Own, name: &str, certificate: &Certificate, callers: &Callers) -> Result<(), String> {
    let secret = own.secret(name).await.map_err(|error| error.to_string())?;
    if secret.version.is_none() {
        return Err(format!("there is no Secret \"{name}\""));
    }
    let value = |key: &str| secret.data.get(key).map_or(&[][..], |value| &value.0);
    let first = certificate.chain().is_empty();
    let new = certificate.put(value(keys::TLS_CRT), value(keys::TLS_KEY));
    if new.map_err(|error| format!("Secret \"{name}\": {error}"))? {
        info!(what = "certificate", secret = name, "Loaded");
    }
    match as_segment(value(keys::PATH)) {
        Some(segment) if callers.take(segment.clone()) => info!(what = "path segment", secret = name, "Loaded"),
        None if first && !callers.are_told_apart() => everybody_is_known(),
        Some(_) | None => {}
    }
    Ok(())
}
