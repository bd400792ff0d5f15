//! One image and what is known of it → a [`Finding`] with all its parts.

use jiff::Timestamp;

use crate::credentials::Expiry;
use crate::facts::{Attempt, Facts, ImageFacts, Meant, Secrets};
use crate::finding::{Code, Finding, Probed, Tried};
use crate::message;
use crate::nodes::Runtime;
use crate::printable;
use crate::reference::{self, Digest, Reference};
use crate::registry::failure::Failure;
use crate::registry::node;
use crate::workload::ContainerImage;

/// What a finding about one image is made from.
pub(crate) struct Draft<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) secrets: &'a Secrets,
    pub(crate) image: &'a ContainerImage,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) attempts: &'a [Attempt],
    pub(crate) meant: &'a Meant,
    pub(crate) now: Timestamp,
    /// A refusal is uncertain only because nodes' runtimes may read the name in their own way.
    pub(crate) by_runtime: bool,
}

// === impl Draft ===

impl<'a> Draft<'a> {
    /// What is known of one image.
    pub(super) fn of(namespace: &'a str, facts: &'a Facts, image: &'a ImageFacts, now: Timestamp) -> Self {
        let (secrets, reference) = (&facts.secrets, image.reference.as_deref().ok());
        let meant = &image.meant;
        Self {
            namespace,
            secrets,
            image: &image.image,
            reference,
            attempts: &image.attempts,
            meant,
            now,
            by_runtime: false,
        }
    }
}

impl Draft<'_> {
    pub(super) fn finding(&self, code: Code, certain: bool, failure: Option<&Failure>) -> Finding {
        Finding {
            code,
            certain,
            cause: failure.and_then(|failure| failure.cause),
            path: self.image.path.clone(),
            container: self.image.container.clone(),
            image: message::shown(&self.image.image),
            resolved: self.reference.map(ToString::to_string),
            description: message::description(self, code, certain, failure),
            registry: failure.and_then(|failure| failure.registry.clone()),
            node: failure.and_then(|_| node_line(self.attempts, Runtime::default())),
            fix: message::fix(self, code, certain, failure),
            tried: self.attempts.iter().map(tried).collect(),
            probed: failure.and_then(|failure| failure.probed).and_then(Probed::said),
            nearest: failure.and_then(|failure| failure.nearest.clone()),
            token: self.over().filter(|_| code == Code::CredentialsExpired).map(|(_, expiry)| expiry.kind),
            age: self.attempts.iter().map(|attempt| attempt.age).max(),
        }
    }

    /// Whether a login was sent in any attempt. An entry that is none is not sent, and no registry gets one that does not
    /// ask for it.
    pub(crate) fn sends_login(&self) -> bool {
        self.attempts.iter().any(Attempt::login_sent)
    }

    /// Whether there is a login that could be sent.
    pub(crate) fn has_login(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.login)
    }

    /// The first login that was refused and is over by its own word.
    pub(crate) fn over(&self) -> Option<(&Attempt, &Expiry)> {
        let expired = |attempt: &&Attempt| {
            attempt.outcome.as_ref().is_err_and(|failure| failure.code == Code::CredentialsExpired)
        };
        let attempt = self.attempts.iter().find(expired)?;
        Some((attempt, attempt.expiry.as_deref()?))
    }

    pub(super) fn invalid(&self, error: &reference::ReferenceError) -> Finding {
        // It repeats the image, unquoted.
        let error: String = printable::line(&error.to_string()).chars().take(node::IMAGE_LIMIT).collect();
        Finding {
            description: message::no_reference(self.image, &error),
            fix: message::written_right(&self.image.image),
            node: Some(node::invalid_image_name(&self.image.image, &error)),
            ..self.finding(Code::InvalidImageName, true, None)
        }
    }

    /// Policy `Never` and, as far as these nodes list their images, no image.
    pub(super) fn never_pulled(&self, nodes: &str) -> Finding {
        let line = node::never_pulled(&self.image.image);
        let prose = format!("load it onto {nodes}, or let them pull it");
        let fix = message::typed::below(&prose, &["imagePullPolicy: IfNotPresent".to_owned()]);
        Finding { node: Some(line), fix, ..self.finding(Code::ErrImageNeverPull, false, None) }
    }

    /// Something that is pulled and cannot run, or may not.
    pub(super) fn no_image(&self, what: &str, certain: bool) -> Finding {
        let can = if certain { "cannot run" } else { "may not run" };
        Finding {
            description: message::described(self.image, format!("{can}: it is {what}")),
            ..self.finding(Code::UnsupportedManifest, certain, None)
        }
    }

    /// A digest that the registry names and does not serve.
    pub(super) fn not_served(&self, digest: &Digest, certain: bool, failure: &Failure) -> Finding {
        Finding {
            description: message::not_served(self.image, digest),
            fix: "push it again: a broken copy or a clean-up took the manifest and left the name".to_owned(),
            ..self.finding(failure.code, certain, Some(failure))
        }
    }

    pub(super) fn malformed(&self, malformed: &crate::credentials::MalformedSecret) -> Finding {
        Finding {
            description: message::undecodable(self.image, &malformed.secret),
            node: Some(malformed.go_error.clone()),
            fix: message::fix_malformed(self, malformed),
            ..self.finding(Code::PullSecretMalformed, true, None)
        }
    }
}

/// What the kubelet shows of several failed attempts: equal texts once, several in brackets
/// (kubernetes/apimachinery `pkg/util/errors`, `aggregate`). Unknown as soon as one of them is.
pub(super) fn node_line(attempts: &[Attempt], runtime: Runtime) -> Option<String> {
    let mut lines: Vec<&str> = Vec::new();
    for attempt in attempts {
        let failure = attempt.outcome.as_ref().err()?;
        let other = failure.node_1x.as_deref().filter(|_| runtime == Runtime::Containerd1);
        let line = other.or(failure.node.as_ref())?.as_str();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    match lines.as_slice() {
        [] => None,
        [line] => Some((*line).to_owned()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

fn tried(attempt: &Attempt) -> Tried {
    let outcome = match &attempt.outcome {
        Ok(_) => "ok".to_owned(),
        Err(failure) => failure.code.to_string(),
    };
    Tried { source: attempt.source.to_string(), outcome, unasked: attempt.login && !attempt.login_sent() }
}
