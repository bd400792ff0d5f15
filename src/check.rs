//! **The spine.** Gathers the facts of a workload from the cache, judges them, and where the judgement would be a
//! certain denial gathers them again, fresh, and judges again. Webhook, command line and scan all call this one function.

mod meant;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, trace_span};

use crate::cluster::Cluster;
use crate::credentials::{self, Candidate, Keyring, PullSecret};
use crate::facts::{Attempt, Behind, Facts, ImageFacts, Meant, NamedBy, Secrets};
use crate::finding::{Cause, Code, Finding};
use crate::node_credentials::{Account, NodeCredentials, NodeLookup};
use crate::nodes::Eligible;
use crate::nodes::content::Content;
use crate::policy::Policy;
use crate::printable::line;
use crate::reference::Reference;
use crate::resolver::Resolver;
use crate::resolver::contents::Asked;
use crate::resolver::fact::Freshness;
use crate::telemetry::SPANS;
use crate::time::Clock;
use crate::verdict::{self, Decision, Judged, Verdict};
use crate::workload::{ContainerImage, PullPolicy, PullSecretNames, Workload};

/// The share of the time that the first pass may take.
const FIRST_PASS: f64 = 0.7;

/// What every review shares.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Where Secrets and `ServiceAccounts` are read.
    pub cluster: Arc<dyn Cluster>,
    /// What nodes hold by themselves, as far as it is declared.
    pub node_credentials: NodeCredentials,
    /// Where images are resolved.
    pub resolver: Resolver,
    /// What time it is.
    pub clock: Clock,
}

/// What the answer is for: it decides how old a success may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A verdict.
    Judge,
    /// Digests to write: under `Always` they rest on a HEAD of now.
    Pin,
}

/// One gathering of facts.
#[derive(Clone, Copy)]
struct Round<'a> {
    workload: &'a Workload,
    eligible: &'a Arc<Eligible>,
    purpose: Purpose,
    deadline: Instant,
}

fn stale_path(judged: &Judged) -> Option<&str> {
    judged.stale.map(|_| &*judged.image.path)
}

// === impl Engine ===

impl Engine {
    /// Resolves every image of `workload` and judges the findings. Ends by `deadline`; what is not known then is
    /// uncertain.
    pub async fn check(&self, policy: &Policy, workload: &Workload, purpose: Purpose, deadline: Instant) -> Verdict {
        self.examine(policy, workload, purpose, deadline).await.0
    }

    /// The same, with the facts that it rests on.
    pub async fn examine(
        &self,
        policy: &Policy,
        workload: &Workload,
        purpose: Purpose,
        deadline: Instant,
    ) -> (Verdict, Facts) {
        let began = (self.clock)();
        let enough = |image: &ContainerImage| match (purpose, image.pull_policy) {
            (Purpose::Pin, PullPolicy::Always) => Freshness::Recent,
            (Purpose::Pin, _) => Freshness::Own,
            (Purpose::Judge, _) => Freshness::Refreshing,
        };
        // One image whose registry hangs must not cost the others their second look: it is waited for in both passes.
        let eligible = self.eligible(workload);
        let first_deadline = Instant::now() + deadline.saturating_duration_since(Instant::now()).mul_f64(FIRST_PASS);
        let secrets = self.secrets(workload, None).await;
        let first = Round { workload, eligible: &eligible, purpose, deadline: first_deadline };
        let facts = self.gather(policy, first, secrets, &enough).await;
        let first = verdict::judge(policy, workload, &facts, (self.clock)());
        let unfinished = |finding: &Finding| finding.cause == Some(Cause::Deadline);
        // What is found in a stale fact is a doubt: it could be a denial, and could be over.
        let stale: BTreeSet<&str> = first.images.iter().filter_map(stale_path).collect();
        let doubtful = |finding: &Finding| finding.certain || stale.contains(&*finding.path);
        if !first.findings.iter().any(|finding| doubtful(finding) || unfinished(finding)) {
            return (first, facts);
        }
        // Deny from fresh facts only: the Secrets are read again, and what was asked before this review began is asked
        // again. A pin is owed the same: what was corrected a moment ago is pinned at once.
        let again = match purpose {
            Purpose::Judge => Freshness::Fresh(began),
            Purpose::Pin => Freshness::Asked(began),
        };
        let doubtful: BTreeSet<&str> =
            first.findings.iter().filter(|finding| doubtful(finding)).map(|finding| &*finding.path).collect();
        let secrets = self.secrets(workload, Some(began)).await;
        let fresh = |image: &ContainerImage| if doubtful.contains(&*image.path) { again } else { enough(image) };
        let eligible = self.eligible(workload);
        let second = Round { workload, eligible: &eligible, purpose, deadline };
        let mut facts = self.gather(policy, second, secrets, &fresh).await;
        let now = (self.clock)();
        let verdict = verdict::judge(policy, workload, &facts, now);
        // Words that nobody is shown are not worth asking for.
        if purpose == Purpose::Judge
            && verdict.decision != Decision::Allow
            && self.find_words(policy, workload, &verdict, &mut facts, deadline).await
        {
            // The same facts at the same time: more words, and nothing else.
            return (verdict::judge(policy, workload, &facts, now), facts);
        }
        (verdict, facts)
    }

    /// Reads the effective pull secrets: the pod's own, or for what has not passed admission yet the `ServiceAccount`'s
    /// (kubernetes/kubernetes `plugin/pkg/admission/serviceaccount/admission.go`).
    pub async fn secrets(&self, workload: &Workload, not_before: Option<Timestamp>) -> Secrets {
        let namespace = workload.object.namespace.as_str();
        let mut secrets = Secrets { no_cluster: !self.cluster.is_given(), ..Secrets::default() };
        let names = match &workload.pull_secrets {
            PullSecretNames::Final(names) => {
                if names.is_empty() {
                    secrets.named_by = NamedBy::Nobody(workload.account.clone());
                }
                names.clone()
            }
            PullSecretNames::Nameless => {
                secrets.named_by = NamedBy::Nameless(workload.account.clone());
                Vec::new()
            }
            PullSecretNames::ThroughServiceAccount { listed, account } if !listed.is_empty() => {
                secrets.named_by = NamedBy::ObjectNot { account: account.clone(), theirs: Vec::new() };
                listed.clone()
            }
            PullSecretNames::ThroughServiceAccount { account, .. } => {
                let mut absent = false;
                let read = self.cluster.account_pull_secrets(namespace, account, not_before).await;
                let names = read.known().unwrap_or_else(|why| {
                    secrets.unreadable.push((format!("ServiceAccount \"{account}\""), why));
                    Some(Vec::new())
                });
                let names = names.unwrap_or_else(|| {
                    absent = true;
                    Vec::new()
                });
                secrets.account = (!names.is_empty()).then(|| account.clone());
                let of = match (absent, names.is_empty()) {
                    (true, _) => NamedBy::NoAccount,
                    (false, true) => NamedBy::Nobody,
                    (false, false) => NamedBy::Account,
                };
                secrets.named_by = of(account.clone());
                names
            }
        };
        if workload.existing {
            secrets.named_by = NamedBy::Existing(workload.account.clone());
        }
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        secrets.named.clone_from(&names);
        let read = join_all(names.iter().map(|name| self.cluster.pull_secret(namespace, name, not_before))).await;
        let mut found: Vec<Arc<PullSecret>> = Vec::with_capacity(read.len());
        for (name, reading) in names.into_iter().zip(read) {
            match reading.known() {
                Ok(Some(secret)) => match credentials::contributes(&secret) {
                    Ok(()) => {
                        if !secret.can_be_renewed() {
                            secrets.unchangeable.push(name);
                        }
                        found.push(secret);
                    }
                    Err(why) => secrets.ignored.push((name, why)),
                },
                Ok(None) => secrets.missing.push(name),
                Err(why) => secrets.unreadable.push((format!("Secret \"{name}\""), why)),
            }
        }
        if let Some(login) = self.cluster.local_login() {
            secrets.local_login = Some(login.source());
            found.insert(0, login);
        }
        secrets.keyring = Keyring::from_pull_secrets(found.iter().map(AsRef::as_ref));
        secrets
    }

    fn eligible(&self, workload: &Workload) -> Arc<Eligible> {
        self.cluster.nodes().map(|nodes| nodes.eligible(&workload.placement)).unwrap_or_default()
    }

    /// The candidates that every node has for a repository.
    async fn held_by_nodes(
        &self,
        workload: &Workload,
        reference: &Reference,
        freshness: Freshness,
        deadline: Instant,
    ) -> NodeLookup {
        if self.node_credentials.is_empty() {
            return NodeLookup::default();
        }
        let account = Account { namespace: &workload.object.namespace, name: &workload.account };
        self.node_credentials.candidates(reference.name(), account, freshness.not_before(), deadline).await
    }

    async fn gather(
        &self,
        policy: &Policy,
        round: Round<'_>,
        secrets: Secrets,
        freshness: &(impl Fn(&ContainerImage) -> Freshness + Sync),
    ) -> Facts {
        let Round { workload, eligible, purpose, deadline } = round;
        // A pin, too, is worth what nodes find behind the digest; what is read for it is there for the verdict.
        let platforms = !eligible.classes.is_empty() || (purpose == Purpose::Pin && policy.pin.architecture_affinity);
        let resolver = &self.resolver.on_behalf_of(&workload.object.namespace);
        let asking = workload.images.iter().map(|image| async {
            let reference = Reference::parse(&image.image).map(Arc::new);
            let (mut attempts, mut behind, mut unusable) = (Vec::new(), Behind::default(), Vec::new());
            if let (Ok(reference), Ok(keyring)) = (&reference, &secrets.keyring)
                && verdict::worth_asking(policy, image, reference)
            {
                let rule = policy.registry(reference.registry());
                let fresh = freshness(image);
                let mut candidates = keyring.matching(reference.name());
                attempts = resolver.resolve(rule, reference, &candidates, fresh, deadline).await;
                // The nodes' own come after all of the pod's, so they are looked up only where those do not suffice.
                if attempts.last().is_none_or(|attempt| attempt.outcome.is_err()) {
                    let NodeLookup { candidates: mut more, broken } =
                        self.held_by_nodes(workload, reference, fresh, deadline).await;
                    unusable = broken;
                    if candidates.is_empty() {
                        more = Candidate::or_anonymous(more);
                    }
                    attempts.extend(resolver.resolve(rule, reference, &more, fresh, deadline).await);
                    candidates.extend(more);
                }
                if platforms
                    && let Some((Attempt { outcome: Ok(manifest), .. }, candidate)) =
                        attempts.iter().zip(&candidates).next_back()
                {
                    let fetched = |content: &Content| verdict::fetched(policy, eligible, content);
                    let asked = Asked { rule, reference, candidate, freshness: fresh, deadline };
                    behind = resolver.behind(asked, manifest, fetched).await;
                }
            }
            if let (Ok(reference), Some(Attempt { outcome: Ok(_), id, .. })) = (&reference, attempts.last()) {
                let rule = policy.registry(reference.registry());
                resolver.remember(&workload.object.namespace, rule, reference, *id).await;
            }
            let outcome = attempts.last().map(|attempt| attempt.outcome.as_ref().err().map(|failure| failure.code));
            Span::current().record("code", outcome.map_or("", |code| code.map_or("ok", Code::as_str)));
            ImageFacts { image: Arc::clone(image), reference, attempts, behind, unusable, meant: Meant::default() }
        });
        let span = |image: &ContainerImage| {
            let reference = line(&image.image);
            trace_span!(target: SPANS, "image", path = &*image.path, %reference, code = Empty)
        };
        let traced = asking.zip(&workload.images).map(|(asking, image)| asking.instrument(span(image)));
        let images = join_all(traced).await;
        Facts { secrets, images, eligible: Arc::clone(eligible) }
    }
}
