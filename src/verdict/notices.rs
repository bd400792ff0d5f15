//! What is worth a word about a workload and stops no pull: names that say less than they seem to, pull secrets that are
//! not there, logins that end.

use jiff::Timestamp;

use super::{dated, pins_pods};
use crate::facts::Facts;
use crate::finding::{Notice, NoticeCode};
use crate::message;
use crate::policy::Policy;
use crate::reference;
use crate::workload::{PullPolicy, Workload};

/// Everything worth a word about one workload, the fit of its images apart.
pub(super) fn all(policy: &Policy, workload: &Workload, facts: &Facts, now: Timestamp) -> Vec<Notice> {
    let pins = pins_pods(policy, workload);
    let mut notices = Vec::new();
    let namespace = &workload.object.namespace;
    for name in &facts.secrets.missing {
        notices.push(Notice {
            code: NoticeCode::PullSecretMissing,
            path: "spec.imagePullSecrets".to_owned(),
            message: format!(
                "pull secret \"{name}\" is not in namespace \"{namespace}\"; Secrets do not cross namespaces"
            ),
            token: None,
        });
    }
    for facts in &facts.images {
        let (image, Ok(reference)) = (&facts.image, &facts.reference) else {
            continue;
        };
        let mut notice = |code, what: &str| {
            let message = format!("{} {what}", message::shown(&image.image));
            notices.push(Notice { code, path: image.path.clone(), message, token: None });
        };
        if reference.implicit_latest() && reference.digest().is_none() {
            notice(NoticeCode::ImplicitLatest, "names no tag: latest is pulled");
        } else if image.pull_policy == PullPolicy::IfNotPresent
            && reference.digest().is_none()
            && (!pins || policy.pin_skipped(reference.name()))
        {
            notice(
                NoticeCode::MutableTag,
                "is pulled only where absent: if the tag moves, nodes run different content",
            );
        }
        if reference::image_was_docker_hub_by_default(&image.image) {
            notice(NoticeCode::ImplicitDockerHub, "names no registry: Docker Hub is asked");
        }
    }
    notices.extend(dated::notices(facts, now));
    notices
}
