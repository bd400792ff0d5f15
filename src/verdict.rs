//! Policy and facts → verdict. Every rule of the product is in this file: no clock, no I/O, no other place that decides.

mod dated;
mod draft;
mod nodes;
mod notices;
mod resolved;
mod served;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) use self::draft::Draft;
use self::nodes::{Ground, Opinion};
use self::resolved::Resolved;
use crate::facts::{Attempt, Facts, ImageFacts, Secrets};
use crate::finding::{Cause, Code, Description, Finding, Notice};
use crate::message;
use crate::node_credentials::Broken;
use crate::nodes::Eligible;
use crate::nodes::content::Content;
use crate::policy::{Mode, NodeAccess, PinOwners, Policy, TemplatesAction, UncertainAction};
use crate::reference::{Digest, Reference};
use crate::registry::failure::Failure;
use crate::workload::{ContainerImage, Owner, PullPolicy, Shape, Workload};

/// The answer for a whole object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the gate does.
    pub decision: Decision,
    /// What it would have done under `enforce`.
    pub would: Decision,
    /// The mode that applied.
    pub mode: Mode,
    /// Everything wrong, in the order of the images.
    pub findings: Vec<Finding>,
    /// What an exception of the operator let pass.
    pub excepted: Vec<Finding>,
    /// Worth a word, and no failure.
    pub notices: Vec<Notice>,
    /// Every image that was looked at.
    pub images: Vec<Judged>,
    /// The `ServiceAccount` that the pull secrets came through.
    pub account: Option<String>,
}

/// What the gate does with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Admits.
    Allow,
    /// Admits, with warnings.
    Warn,
    /// Rejects.
    Deny,
}

/// One image and what it resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The field.
    pub image: Arc<ContainerImage>,
    /// The reference, when it parses.
    pub reference: Option<Arc<Reference>>,
    /// What the reference named.
    pub digest: Option<Digest>,
    /// How old what is known is, where it is past its lifetime.
    pub stale: Option<Duration>,
    /// The digest may be written into the object.
    pub pinnable: bool,
    /// The architectures of nodes that it is for, where that is known.
    pub architectures: Option<BTreeSet<String>>,
}

/// What one image comes to.
struct Outcome {
    finding: Option<Finding>,
    notice: Option<Notice>,
    judged: Judged,
}

/// Whether the registry is to be asked about an image at all.
pub fn worth_asking(policy: &Policy, image: &ContainerImage, reference: &Reference) -> bool {
    image.pull_policy != PullPolicy::Never && policy.registry_allowed(reference.registry())
}

/// The entries of an index that the nodes fetch which a workload can land on; few.
pub fn fetched(policy: &Policy, eligible: &Eligible, content: &Content) -> Vec<Digest> {
    Ground::new(policy, eligible).fetched(content)
}

/// Judges one workload. `now` ends exceptions and logins.
pub fn judge(policy: &Policy, workload: &Workload, facts: &Facts, now: Timestamp) -> Verdict {
    let today = now.to_zoned(TimeZone::UTC).date();
    let namespace = workload.object.namespace.as_str();
    let mode = policy.mode_for(namespace).unwrap_or(Mode::Audit);
    let mut verdict = Verdict {
        decision: Decision::Allow,
        would: Decision::Allow,
        mode,
        findings: Vec::new(),
        excepted: Vec::new(),
        notices: notices::all(policy, workload, facts, now),
        images: Vec::with_capacity(facts.images.len()),
        account: facts.secrets.account.clone(),
    };
    let ground = Ground::new(policy, &facts.eligible);
    for image in &facts.images {
        let outcome = judge_image(policy, namespace, &facts.secrets, image, &ground, now);
        verdict.images.push(outcome.judged);
        verdict.notices.extend(outcome.notice);
        let Some(finding) = outcome.finding else { continue };
        let name = finding.resolved.as_deref().unwrap_or(&finding.image);
        let codes = [Some(finding.code), less_said(&finding)];
        if codes.into_iter().flatten().any(|code| policy.exception(namespace, name, code, today).is_some()) {
            verdict.excepted.push(finding);
        } else {
            verdict.findings.push(finding);
        }
    }
    if workload.existing {
        let fixes = verdict.findings.iter_mut().map(|finding| &mut finding.fix);
        let notices = verdict.notices.iter_mut().filter_map(|notice| notice.fix.as_mut());
        fixes.chain(notices).for_each(message::of_an_existing_pod);
    }
    verdict.would = enforced(policy, workload.shape, &verdict.findings);
    verdict.decision = under(mode, verdict.would);
    verdict
}

// === impl Verdict ===

impl Verdict {
    /// One verdict for two workloads of the same object: the stricter decision, and everything that is found in either.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.decision = self.decision.max(other.decision);
        self.would = self.would.max(other.would);
        self.findings.extend(other.findings);
        self.excepted.extend(other.excepted);
        self.notices.extend(other.notices);
        self.images.extend(other.images);
        self.account = self.account.filter(|account| other.account.as_ref() == Some(account));
        self
    }
}

/// The code of the same refusal where less was asked about it: an exception must not depend on how much was.
fn less_said(finding: &Finding) -> Option<Code> {
    let by_digest = finding.resolved.as_deref().is_some_and(|resolved| resolved.contains('@'));
    let bad_login = finding.probed.is_some_and(|probed| probed.login == Some(false));
    match finding.code {
        // Without a repository there is no tag in it.
        Code::RepositoryNotFound if by_digest => Some(Code::DigestNotFound),
        Code::RepositoryNotFound => Some(Code::TagNotFound),
        Code::CredentialsRejected if bad_login => Some(Code::NotFoundOrNoAccess),
        _ => None,
    }
}

/// What `enforce` does: certain findings deny, uncertain ones as the operator says, templates warn unless told otherwise.
fn enforced(policy: &Policy, shape: Shape, findings: &[Finding]) -> Decision {
    let denies = |finding: &Finding| finding.certain || policy.uncertain(finding.code) == UncertainAction::Deny;
    let decision = if findings.iter().any(denies) {
        Decision::Deny
    } else if findings.is_empty() {
        Decision::Allow
    } else {
        Decision::Warn
    };
    match (shape, policy.templates) {
        (Shape::Pod, _) | (Shape::Template, TemplatesAction::Deny) => decision,
        (Shape::Template, TemplatesAction::Warn) => decision.min(Decision::Warn),
        (Shape::Template, TemplatesAction::Off) => Decision::Allow,
    }
}

/// The verdict where nothing could be judged: one finding of pullgate's own making.
pub fn unchecked(policy: &Policy, mode: Mode, shape: Shape, cause: Cause, why: &str) -> Verdict {
    let finding = Finding {
        code: Code::NotChecked,
        certain: false,
        cause: Some(cause),
        path: "spec".to_owned(),
        container: String::new(),
        image: String::new(),
        resolved: None,
        description: Description {
            what: format!("the object was not checked: {why}"),
            short: "the object was not checked".to_owned(),
            ..Description::default()
        },
        registry: None,
        node: None,
        fix: "nothing in the object is known to be wrong".to_owned(),
        tried: Vec::new(),
        probed: None,
        nearest: None,
        token: None,
        age: None,
    };
    let would = enforced(policy, shape, std::slice::from_ref(&finding));
    Verdict {
        decision: under(mode, would),
        would,
        mode,
        findings: vec![finding],
        excepted: Vec::new(),
        notices: Vec::new(),
        images: Vec::new(),
        account: None,
    }
}

/// What a mode makes of what `enforce` would do.
fn under(mode: Mode, would: Decision) -> Decision {
    match mode {
        Mode::Enforce => would,
        Mode::Warn => would.min(Decision::Warn),
        Mode::Audit => Decision::Allow,
    }
}

fn judge_image(
    policy: &Policy,
    namespace: &str,
    secrets: &Secrets,
    facts: &ImageFacts,
    ground: &Ground<'_>,
    now: Timestamp,
) -> Outcome {
    let image = &facts.image;
    let attempts = dated::attempts(&facts.attempts, now);
    let mut outcome = Outcome {
        finding: None,
        notice: None,
        judged: Judged {
            image: Arc::clone(image),
            reference: None,
            digest: None,
            stale: None,
            pinnable: false,
            architectures: None,
        },
    };
    let draft = Draft {
        namespace,
        secrets,
        image,
        reference: facts.reference.as_deref().ok(),
        attempts: &attempts,
        meant: &facts.meant,
        now,
        by_runtime: ground.may_ask_elsewhere(image)
            && facts.reference.as_ref().is_ok_and(|it| policy.node_access(it.registry()) != NodeAccess::Unknown),
    };
    let reference = match &facts.reference {
        Ok(reference) => reference,
        Err(error) => {
            outcome.finding = Some(draft.invalid(error));
            return outcome;
        }
    };
    outcome.judged.reference = Some(Arc::clone(reference));
    outcome.finding = if image.pull_policy == PullPolicy::Never {
        ground.surely_absent(reference).then(|| draft.never_pulled(&ground.names()))
    } else if let Err(malformed) = &secrets.keyring {
        Some(Finding { certain: !secrets.no_cluster, ..draft.malformed(malformed) })
    } else if !policy.registry_allowed(reference.registry()) {
        Some(draft.finding(Code::RegistryNotAllowed, true, None))
    } else if let Some(Attempt { outcome: Ok(manifest), stale, age, .. }) = facts.attempts.last() {
        let theirs = !stale && !ground.may_ask_elsewhere(image);
        outcome.judged.stale = stale.then_some(*age);
        resolved::finding(
            policy,
            &draft,
            ground,
            Resolved { reference, manifest, behind: &facts.behind, theirs },
            &mut outcome,
        )
    } else {
        decisive(&attempts).map(|failure| without_plugins(failure, &facts.unusable)).and_then(|failure| {
            let failure = failure.as_ref();
            let opinion = ground.opinion(image, failure);
            let elsewhere = policy.node_access(reference.registry()) == NodeAccess::Unknown;
            let open = failure.code.refusal()
                && (elsewhere
                    || secrets.no_cluster
                    || !secrets.unreadable.is_empty()
                    || secrets.tried_locally(&attempts));
            let certain = failure.code.certain() && !open && matches!(opinion, Opinion::Fails);
            let finding = || draft.finding(failure.code, certain, Some(failure));
            let line = |finding: Finding| {
                let node = ground.line(|runtime| draft::node_line(draft.attempts, runtime), reference);
                Finding { node, ..finding }
            };
            (!matches!(opinion, Opinion::Pulls)).then(finding).map(line)
        })
    };
    // What a node already has it need not pull; the operator's own rule stays.
    if let Some(finding) = &mut outcome.finding
        && finding.code != Code::RegistryNotAllowed
        && finding.certain
        && let Some(why) = ground.may_hold(image, reference)
    {
        finding.certain = false;
        finding.description.details.push(why.to_owned());
    }
    outcome
}

/// A refusal says nothing where a login that nodes have could not be had.
fn without_plugins<'f>(failure: &'f Failure, unusable: &[Broken]) -> Cow<'f, Failure> {
    match unusable.first() {
        Some(broken) if failure.code.refusal() => {
            Cow::Owned(Failure::own(Code::NotChecked, Cause::Plugin, broken.to_string()))
        }
        _ => Cow::Borrowed(failure),
    }
}

/// The attempt that speaks for all: an uncertain one first, else the one that got furthest.
fn decisive(attempts: &[Attempt]) -> Option<&Failure> {
    let failures = || attempts.iter().filter_map(|attempt| attempt.outcome.as_ref().err());
    // `max_by_key` takes the last of equals; the first candidate is the one to name.
    failures()
        .find(|failure| !failure.code.certain())
        .or_else(|| failures().rev().max_by_key(|failure| reach(failure.code)))
}

/// How far an attempt got before it was refused.
fn reach(code: Code) -> u8 {
    match code {
        Code::UnsupportedManifest | Code::BlockedByRegistry => 7,
        Code::TagNotFound | Code::DigestNotFound => 6,
        Code::RepositoryNotFound => 5,
        Code::AccessDenied => 4,
        Code::NotFoundOrNoAccess => 3,
        Code::CredentialsExpired => 2,
        Code::CredentialsRejected => 1,
        Code::CredentialsMissing
        | Code::InvalidImageName
        | Code::PullSecretMalformed
        | Code::PlatformMismatch
        | Code::ErrImageNeverPull
        | Code::RegistryNotAllowed
        | Code::RateLimited
        | Code::RegistryUnreachable
        | Code::RegistryError
        | Code::NotChecked => 0,
    }
}

// === impl Decision ===

impl Decision {
    /// The word in JSON, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// Whether pullgate writes digests into the pods of a workload: made by hand or by a built-in controller (an operator's
/// controller may compare its pods to a template, and make them anew for ever), and not where it only looks on.
fn pins_pods(policy: &Policy, workload: &Workload) -> bool {
    let owner = match (&workload.owner, policy.pin.owners) {
        (Owner::None | Owner::BuiltIn, _) | (Owner::Foreign(_), PinOwners::Any) => true,
        (Owner::Foreign(_), PinOwners::Builtin) => false,
    };
    let mode = policy.mode_for(&workload.object.namespace);
    policy.pin.enabled && owner && matches!(mode, Some(Mode::Enforce | Mode::Warn))
}

/// Whether this very object may be changed: Pods only, never templates.
pub fn may_pin(policy: &Policy, workload: &Workload) -> bool {
    workload.shape == Shape::Pod && pins_pods(policy, workload)
}
