//! What is worth a word about a workload and stops no pull: names that say less than they seem to, pull secrets that are
//! not there, logins that end.

use jiff::Timestamp;

use super::{Draft, dated, pins_pods};
use crate::facts::{Attempt, Facts, ImageFacts};
use crate::finding::{Notice, NoticeCode};
use crate::kubernetes_name::is_dns_subdomain;
use crate::message;
use crate::policy::Policy;
use crate::reference::{self, Reference};
use crate::workload::{PullPolicy, Workload};

/// Everything worth a word about one workload, the fit of its images apart.
pub(super) fn all(policy: &Policy, workload: &Workload, facts: &Facts, now: Timestamp) -> Vec<Notice> {
    let pins = pins_pods(policy, workload);
    let mut notices = Vec::new();
    let namespace = &workload.object.namespace;
    let spec = facts.images.first().map_or("spec", |known| known.image.spec_path());
    for name in &facts.secrets.missing {
        let (why, fix) = if is_dns_subdomain(name) {
            (
                "Secrets do not cross namespaces".to_owned(),
                format!("create it in \"{namespace}\", or no longer name it"),
            )
        } else {
            (message::no_name(name, "Secret"), "name one that can be, or none".to_owned())
        };
        notices.push(Notice {
            code: NoticeCode::PullSecretMissing,
            path: format!("{spec}.imagePullSecrets"),
            message: format!("pull secret \"{name}\" is not in namespace \"{namespace}\"; {why}"),
            fix: Some(fix),
            token: None,
        });
    }
    for known in &facts.images {
        let (image, Ok(reference)) = (&known.image, &known.reference) else {
            continue;
        };
        let mut notice = |code, what: &str, fix: Option<String>| {
            let message = format!("{} {what}", message::shown(&image.image));
            notices.push(Notice { code, path: image.path.clone(), message, fix, token: None });
        };
        if let Some(attempt) = known.attempts.last()
            && let Some(left) = &attempt.nothing_left
        {
            let fix = message::ways_out(&Draft::of(namespace, facts, known, now));
            notice(NoticeCode::NoPullsLeft, &message::nothing_left(left, attempt.login), Some(fix));
        }
        if reference.implicit_latest() && reference.digest().is_none() {
            notice(NoticeCode::ImplicitLatest, "names no tag: latest is pulled", None);
        } else if image.pull_policy == PullPolicy::IfNotPresent
            && reference.digest().is_none()
            && (!pins || policy.pin_skipped(reference.name()))
        {
            notice(
                NoticeCode::MutableTag,
                "is pulled only where absent (IfNotPresent): a node that has an older image under this tag keeps it",
                Some(one_content(known, reference)),
            );
        }
        if reference::image_was_docker_hub_by_default(&image.image) {
            notice(NoticeCode::ImplicitDockerHub, "names no registry: Docker Hub is asked", None);
        }
    }
    notices.extend(dated::notices(namespace, facts, now));
    notices
}

/// Two ways to run the same content on every node under one tag.
fn one_content(known: &ImageFacts, reference: &Reference) -> String {
    let mut lines = vec!["imagePullPolicy: Always".to_owned()];
    if let Some(Attempt { outcome: Ok(manifest), .. }) = known.attempts.last() {
        let pinned = format!("{reference}@{}", manifest.digest);
        lines.push(format!("image: {}", message::typed::scalar(&pinned)));
    }
    message::typed::below("have it looked up each time, or name the content that the tag names now", &lines)
}
