//! Every few seconds: Secrets, webhook configurations and replicas → a plan → what is different is written, by the one
//! process that holds the Lease.
//!
//! Written in an order in which a stop at any point leaves nothing untrusted: first the authorities with their keys, then the
//! leaf, then what the API servers know.

pub mod replicas;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls_pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::{info, warn};

use crate::certificates::mint::{self, MintError, Pair};
use crate::certificates::plan::{Memory, Plan, Source, plan};
use crate::certificates::read::{self, certificates, id, validity};
use crate::certificates::seen::{Known, Reading, bundle};
use crate::certificates::{keys, service_name};
use crate::cluster::lease::Held;
use crate::cluster::own::{Hook, HookObject, Own, OwnError, OwnSecret};
use crate::metrics::certificates::{CertificateMetrics, Which};
use crate::time::Clock;

/// What is kept, under which names, for how long.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The Service in front of the replicas.
    pub service: String,
    /// The name of both webhook configurations.
    pub webhook_configuration: String,
    /// The Secret of the leaf.
    pub tls_secret: String,
    /// The Secret of the authority.
    pub ca_secret: String,
    /// Certificates belong to somebody else; only the path segment is kept.
    pub external: bool,
    /// Of an authority.
    pub ca_lifetime: Duration,
    /// Of a leaf.
    pub leaf_lifetime: Duration,
    /// After a change of the webhook objects, until every API server is taken to know it.
    pub settle: Duration,
}

/// The keeper of one installation.
#[derive(Debug)]
pub struct Keeper {
    own: Own,
    terms: Terms,
    held: Held,
    clock: Clock,
    metrics: CertificateMetrics,
    memory: Memory,
}

/// Why a look came to no good end. The next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// An object could not be read or written.
    #[error("{0}")]
    Own(#[from] OwnError),
    /// Something new could not be made.
    #[error("{0}")]
    Mint(#[from] MintError),
    /// The Lease was lost before a write.
    #[error("the Lease was lost to another keeper")]
    Lost,
}

/// The type of a Secret with a serving certificate.
const TLS_TYPE: &str = "kubernetes.io/tls";

/// Of the Secret that holds the path segment alone.
const PATH_TYPE: &str = "Opaque";

/// A path segment, and whether nobody knows it yet.
struct Segment {
    text: SecretString,
    fresh: bool,
}

/// The authorities as the plan wants them, with keys.
struct Authorities {
    signer: Option<Pair>,
    next: Option<Pair>,
    previous: Vec<CertificateDer<'static>>,
}

// === impl Keeper ===

impl Keeper {
    /// A keeper that has seen nothing yet.
    pub fn new(own: Own, terms: Terms, held: Held, clock: Clock, metrics: CertificateMetrics) -> Self {
        Self { own, terms, held, clock, metrics, memory: Memory::default() }
    }

    /// Forgets what it saw: another keeper may have written meanwhile.
    pub fn forget(&mut self) {
        self.memory = Memory::default();
    }

    /// Looks at everything once and writes what is different.
    ///
    /// # Errors
    /// The first thing that failed; whatever could be done without it is done.
    pub async fn look(&mut self) -> Result<(), KeepError> {
        let tls = self.own.secret(&self.terms.tls_secret).await?;
        let hooks = self.own.hooks(&self.terms.webhook_configuration).await;
        if self.terms.external {
            return self.keep_path(&tls, &hooks?).await;
        }
        let ca = self.own.secret(&self.terms.ca_secret).await?;
        let replicas = self.replicas().await;

        let bundles: Option<Vec<Vec<u8>>> = hooks.as_ref().ok().map(|hooks| bundles(hooks));
        let mut names = self.names();
        let hosts = hooks.iter().flatten().flat_map(|object| &object.hooks).filter_map(Hook::host);
        hosts.for_each(|host| {
            if !names.contains(&host) {
                names.push(host);
            }
        });
        let known = Known::new(Reading {
            ca: &ca.data,
            tls: &tls.data,
            bundles: bundles.as_deref(),
            replicas: replicas.as_deref(),
            names: &names,
        });
        let now = (self.clock)();
        self.memory.note(&known.seen, now);
        let plan = plan(&known.seen, &self.memory, self.terms.settle, now);

        let authorities = self.authorities(&known, &plan, now)?;
        self.write_authorities(&ca, &authorities).await?;
        let bundle = bundle(authorities.all());
        let leaf = self.write_leaf(&tls, &known, &plan, &authorities, names, &bundle, now).await;
        self.metrics.expires(Which::Ca, earliest(authorities.signer.iter().map(|pair| pair.certificate.clone())));
        self.metrics.expires(Which::Bundle, earliest(bundles.iter().flatten().flat_map(|pem| certificates(pem))));
        let hooks = hooks?;
        let handed_out = value(&tls, keys::CA_CRT) == bundle.as_bytes();
        if handed_out && bundles.iter().flatten().any(|is| *is != bundle.as_bytes()) {
            warn!("A caBundle is not what was written there; it is written again");
            self.metrics.repaired("bundle");
        }
        let segment = leaf.as_ref().ok().and_then(Option::as_ref);
        let written = self.write_hooks(&hooks, Some(&bundle), segment).await;
        leaf.map(drop).and(written)
    }

    /// With certificates of somebody else: the segment, in the webhook objects and in a Secret, which may be its own.
    async fn keep_path(&self, tls: &OwnSecret, hooks: &[HookObject]) -> Result<(), KeepError> {
        self.metrics.expires(Which::Leaf, earliest(certificates(value(tls, keys::TLS_CRT)).into_iter().take(1)));
        self.metrics.expires(Which::Bundle, earliest(bundles(hooks).iter().flat_map(|pem| certificates(pem))));
        let segment = self.segment(mint::as_segment(value(tls, keys::PATH)))?;
        if segment.fresh {
            let data = BTreeMap::from([entry(keys::PATH, segment.text.expose_secret())]);
            self.write_secret(&self.terms.tls_secret, PATH_TYPE, tls, &data).await?;
        }
        self.write_hooks(hooks, None, Some(&segment)).await
    }

    /// What each replica shows, if it is known which there are.
    async fn replicas(&self) -> Option<Vec<Option<Vec<CertificateDer<'static>>>>> {
        let name = service_name(&self.terms.service, self.own.namespace());
        match self.own.replicas(&self.terms.service).await {
            Ok(addresses) => Some(replicas::shown(addresses, &name).await),
            Err(error) => {
                warn!(%error, "It is not known which replicas there are: old authorities stay trusted");
                None
            }
        }
    }

    /// Every name of the Service.
    fn names(&self) -> Vec<String> {
        let name = service_name(&self.terms.service, self.own.namespace());
        vec![name.clone(), format!("{name}.cluster.local")]
    }

    /// The authorities of a plan, new ones made.
    fn authorities(&self, known: &Known, plan: &Plan, now: Timestamp) -> Result<Authorities, KeepError> {
        let there = |authority: &Source| match authority {
            Source::New => None,
            Source::Seen(authority) => [&known.signer, &known.next]
                .into_iter()
                .flatten()
                .find(|pair| id(&pair.certificate) == authority.id)
                .cloned(),
        };
        let make = || mint::authority(&self.terms.service, self.terms.ca_lifetime, now);
        let pair = |source: Option<&Source>| {
            source.map(|source| there(source).map_or_else(make, Ok)).transpose().map_err(KeepError::Mint)
        };
        let renewed = [plan.signer, plan.next].contains(&Some(Source::New));
        if known.signer.is_none() && renewed {
            info!("There is no certificate authority that can sign: a new one is made");
            self.metrics.repaired("ca");
        } else if renewed {
            info!("Two thirds of the life of the certificate authority are over: its successor is made");
        }
        if known.next.is_some() && plan.next.is_none() {
            info!("Every API server knows the new certificate authority: it signs from now on");
        }
        if !known.seen.previous.is_empty() && plan.previous.is_empty() {
            info!("Every replica serves a certificate of the new authority: the old one is no longer trusted");
        }
        let previous = plan.previous.iter().filter_map(|previous| known.authorities.get(&previous.id).cloned());
        Ok(Authorities {
            signer: pair(plan.signer.as_ref())?,
            next: pair(plan.next.as_ref())?,
            previous: previous.collect(),
        })
    }

    async fn write_authorities(&self, ca: &OwnSecret, authorities: &Authorities) -> Result<(), KeepError> {
        let Authorities { signer, next, previous } = authorities;
        let certificate =
            |pair: &Option<Pair>| pair.as_ref().map_or_else(String::new, |pair| read::pem(&pair.certificate));
        let key =
            |pair: &Option<Pair>| pair.as_ref().map_or_else(String::new, |pair| pair.key.expose_secret().to_owned());
        let data = BTreeMap::from([
            entry(keys::CA_CRT, &certificate(signer)),
            entry(keys::CA_KEY, &key(signer)),
            entry(keys::NEXT_CRT, &certificate(next)),
            entry(keys::NEXT_KEY, &key(next)),
            entry(keys::PREVIOUS_CRT, &bundle(previous)),
        ]);
        self.write_secret(&self.terms.ca_secret, "Opaque", ca, &data).await
    }

    /// The leaf's Secret, where there is a leaf; gives the segment that is in it.
    #[expect(clippy::too_many_arguments, reason = "one look's findings, used once")]
    async fn write_leaf(
        &self,
        tls: &OwnSecret,
        known: &Known,
        plan: &Plan,
        authorities: &Authorities,
        names: Vec<String>,
        bundle: &str,
        now: Timestamp,
    ) -> Result<Option<Segment>, KeepError> {
        let leaf = match &authorities.signer {
            Some(signer) if plan.issue => {
                info!(replaced = known.leaf.is_some(), "A new serving certificate is issued");
                Some(mint::leaf(signer, names, self.terms.leaf_lifetime, now)?)
            }
            _ => known.leaf.clone(),
        };
        self.metrics.expires(Which::Leaf, earliest(leaf.iter().map(|pair| pair.certificate.clone())));
        let Some(leaf) = leaf else {
            info!("No serving certificate is issued before API servers know its authority");
            return Ok(None);
        };
        if known.leaf.is_none() {
            self.metrics.repaired("leaf");
        }
        let segment = self.segment(known.segment.clone())?;
        let data = BTreeMap::from([
            entry(keys::TLS_CRT, &read::pem(&leaf.certificate)),
            entry(keys::TLS_KEY, leaf.key.expose_secret()),
            entry(keys::CA_CRT, bundle),
            entry(keys::PATH, segment.text.expose_secret()),
        ]);
        self.write_secret(&self.terms.tls_secret, TLS_TYPE, tls, &data).await?;
        Ok(Some(segment))
    }

    fn segment(&self, read: Option<SecretString>) -> Result<Segment, KeepError> {
        if let Some(text) = read {
            return Ok(Segment { text, fresh: false });
        }
        info!("A new path segment is made");
        self.metrics.repaired("path");
        Ok(Segment { text: mint::segment()?, fresh: true })
    }

    async fn write_secret(
        &self,
        name: &str,
        kind: &str,
        read: &OwnSecret,
        data: &BTreeMap<String, ByteString>,
    ) -> Result<(), KeepError> {
        if data.iter().all(|(key, should)| value(read, key) == should.0) {
            return Ok(());
        }
        let labels = [
            ("app.kubernetes.io/name", self.terms.service.as_str()),
            ("app.kubernetes.io/component", "certificates"),
            ("app.kubernetes.io/part-of", "pullgate"),
            ("app.kubernetes.io/managed-by", "pullgate"),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        self.held()?;
        self.own.write_secret(name, kind, labels, read, data).await?;
        info!(secret = name, "Written");
        Ok(())
    }

    /// How API servers call each webhook. A segment that replaces another waits for the next look: replicas read it first.
    async fn write_hooks(
        &self,
        hooks: &[HookObject],
        bundle: Option<&str>,
        segment: Option<&Segment>,
    ) -> Result<(), KeepError> {
        let mut first = Ok(());
        for object in hooks {
            let plain = object.kind.path();
            let should: Vec<Hook> = object
                .hooks
                .iter()
                .map(|is| {
                    let mut hook = is.clone();
                    if let Some(bundle) = bundle {
                        hook.bundle = bundle.as_bytes().to_vec();
                    }
                    let named = is.path.strip_prefix(plain).is_some_and(|rest| rest.len() > 1);
                    if let Some(segment) = segment.filter(|segment| !(segment.fresh && named)) {
                        hook.path = format!("{plain}/{}", segment.text.expose_secret());
                    }
                    hook
                })
                .collect();
            self.held()?;
            match self.own.write_hooks(&self.terms.webhook_configuration, object, &should).await {
                Ok(true) => info!(kind = ?object.kind, name = self.terms.webhook_configuration, "Written"),
                Ok(false) => {}
                Err(error) => first = first.and(Err(error.into())),
            }
        }
        first
    }

    fn held(&self) -> Result<(), KeepError> {
        if self.held.is_held() { Ok(()) } else { Err(KeepError::Lost) }
    }
}

// === impl Authorities ===

impl Authorities {
    fn all(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let pairs = [&self.signer, &self.next].into_iter().flatten();
        pairs.map(|pair| &pair.certificate).chain(&self.previous)
    }
}

fn bundles(hooks: &[HookObject]) -> Vec<Vec<u8>> {
    hooks.iter().flat_map(|object| &object.hooks).map(|hook| hook.bundle.clone()).collect()
}

fn value<'s>(secret: &'s OwnSecret, key: &str) -> &'s [u8] {
    secret.data.get(key).map_or(&[], |value| &value.0)
}

fn entry(key: &str, value: &str) -> (String, ByteString) {
    (key.to_owned(), ByteString(value.as_bytes().to_vec()))
}

/// When the first of these ends.
fn earliest(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Option<Timestamp> {
    certificates.into_iter().filter_map(|der| validity(&der)).map(|(_, until)| until).min()
}
