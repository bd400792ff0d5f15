//! Findings → words: what happened, in a sentence complete in itself, and what to do about it, with the line to type.
//!
//! Pure. Names Secrets and `ServiceAccounts`, never a value of one.

mod denial;
mod logins;
mod meant;
mod secrets;

use std::time::Duration;

use crate::credentials::{MalformedSecret, Source};
use crate::facts::Unreadable;
use crate::finding::{Code, Finding};
use crate::printable;
use crate::registry::failure::Failure;
use crate::registry::said::clean;
use crate::verdict::Draft;
use crate::workload::ContainerImage;

pub use self::denial::denial;
pub use self::logins::ending;

/// An image string is repeated up to this many characters.
const IMAGE_LIMIT: usize = 160;

/// The image as it may be repeated: one line, bounded, the tag kept.
pub fn shown(image: &str) -> String {
    denial::middle(&printable::line(image), IMAGE_LIMIT)
}

/// `IMAGE (container "NAME") WHAT`; for an image volume, `(volume "NAME")`.
pub fn of(image: &ContainerImage, what: &str) -> String {
    let kind = if image.is_volume() { "volume" } else { "container" };
    format!("{} ({kind} \"{}\") {what}", shown(&image.image), clean(&image.container))
}

/// What happened, without the code in front and without the fix.
pub(crate) fn sentence(draft: &Draft<'_>, code: Code, certain: bool, failure: Option<&Failure>) -> String {
    if let (Some((what, why)), true) = (draft.secrets.unreadable.first(), code.refusal() && !certain) {
        let why = match why {
            Unreadable::Forbidden => format!("pullgate may not get {what} in namespace \"{}\"", draft.namespace),
            Unreadable::Unavailable(why) => format!("{what} could not be read: {}", clean(why)),
        };
        return of(draft.image, &format!("was not checked: {why}"));
    }

    let host = draft.reference.map_or("the registry", |reference| reference.registry());
    let repository = draft.reference.map_or("the repository", |reference| reference.repository());
    let said = failure.and_then(|failure| failure.registry.as_deref());
    let detail = failure.and_then(|failure| failure.detail.as_deref());
    let quoted = said.map(|said| format!(": \"{said}\"")).unwrap_or_default();
    let who = who(draft);
    let public = failure.and_then(|failure| failure.probed).is_some_and(|probed| probed.public == Some(true));
    let mut what = match code {
        Code::InvalidImageName => "is no image reference".to_owned(),
        Code::TagNotFound | Code::DigestNotFound => format!("is not in the registry{quoted}"),
        Code::RepositoryNotFound => format!("names a repository that {host} does not have{quoted}"),
        Code::NotFoundOrNoAccess if public => format!("cannot be pulled: {host} refuses {who}{quoted}"),
        Code::NotFoundOrNoAccess => {
            format!("does not exist, or {who} may not pull it; {host} does not say which{quoted}")
        }
        Code::CredentialsMissing if draft.attempts.iter().any(|attempt| attempt.source != Source::Anonymous) => {
            format!(
                "needs a login at {host}, and the entry in {} has {}{quoted}",
                secrets_tried(draft),
                secrets::half(draft)
            )
        }
        Code::CredentialsMissing => {
            format!("needs a login at {host}, and no pull secret of the pod has one for it{quoted}")
        }
        Code::CredentialsRejected => {
            format!("cannot be pulled: {host} rejects the login in {}{quoted}", secrets_tried(draft))
        }
        Code::CredentialsExpired => {
            let expired = logins::expired(draft).unwrap_or_else(|| "the login is expired".to_owned());
            format!("cannot be pulled: {expired}{quoted}")
        }
        Code::AccessDenied => {
            format!(
                "cannot be pulled: {host} accepts the login in {} but not for {repository}{quoted}",
                secrets_tried(draft)
            )
        }
        Code::PullSecretMalformed => "cannot be pulled: a pull secret does not decode".to_owned(),
        Code::PlatformMismatch => "has nothing for the nodes that the pod can land on".to_owned(),
        Code::ErrImageNeverPull => {
            "is never pulled (imagePullPolicy: Never), and no node that the pod can land on reports it".to_owned()
        }
        Code::UnsupportedManifest => format!("cannot run: {}", detail.unwrap_or("it is no image")),
        Code::BlockedByRegistry => format!("exists, but a policy of {host} refuses the pull{quoted}"),
        Code::RegistryNotAllowed => format!("comes from {host}, which this cluster does not allow"),
        Code::RateLimited => format!("was not checked: {host} limits {who}{quoted}"),
        Code::RegistryUnreachable => {
            let detail = detail.unwrap_or("the registry is unreachable");
            format!("was not checked: {detail} (seen from pullgate; nodes may differ)")
        }
        Code::RegistryError => {
            format!("was not checked: {host} answered with an error ({}){quoted}", detail.unwrap_or("no detail"))
        }
        Code::NotChecked => format!("was not checked: {}", detail.unwrap_or("no detail")),
    };
    let spoken =
        matches!(code, Code::UnsupportedManifest | Code::RegistryUnreachable | Code::RegistryError | Code::NotChecked);
    if let Some(detail) = detail.filter(|_| !spoken) {
        // What each of the nodes' hosts said, where they have several.
        what.push_str(&format!(" ({detail})"));
    }
    what.push_str(&logins::remarks(draft, code, failure));
    of(draft.image, &what)
}

/// As whom the registry was asked.
fn who(draft: &Draft<'_>) -> String {
    if draft.attempts.iter().any(|attempt| attempt.source != Source::Anonymous) {
        format!("the login in {}", secrets_tried(draft))
    } else {
        "an anonymous caller".to_owned()
    }
}

fn secrets_tried(draft: &Draft<'_>) -> String {
    let mut names: Vec<String> = Vec::new();
    for attempt in draft.attempts {
        let name = attempt.source.to_string();
        if attempt.source != Source::Anonymous && !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" and ")
}

/// What to do: a sentence, and a command where one exists.
pub(crate) fn fix(draft: &Draft<'_>, code: Code, certain: bool, failure: Option<&Failure>) -> String {
    let reference = draft.reference;
    let host = reference.map_or("", |reference| reference.registry());
    let name = reference.map_or("", |reference| reference.name());
    let probed = failure.and_then(|failure| failure.probed).unwrap_or_default();
    let public = probed.public == Some(true);
    let there = if probed.repository == Some(true) { "the repository is there: " } else { "" };
    let tags = || format!("see which exist: skopeo list-tags docker://{name}");
    let fix = match code {
        Code::InvalidImageName => "write it as registry/repository:tag, the repository in lower case".to_owned(),
        Code::TagNotFound if reference.is_some_and(crate::reference::Reference::implicit_latest) => {
            let near = meant::tag(draft, failure).map(|near| format!("; {near}")).unwrap_or_default();
            format!("{there}no tag was written, so latest is meant{near}; {}", tags())
        }
        Code::TagNotFound => match meant::tag(draft, failure) {
            Some(near) => format!("{near}{}{}", if near.ends_with('?') { " " } else { "; " }, tags()),
            None => format!("{there}pushed under another tag, or not pushed yet; {}", tags()),
        },
        Code::DigestNotFound => {
            format!("{there}deleted by a retention rule, or pushed to another repository; {}", tags())
        }
        Code::RepositoryNotFound => {
            "check the spelling of the repository; nothing was ever pushed under this one".to_owned()
        }
        _ if public && code.refusal() && !secrets_of(draft).is_empty() => {
            let secret = secrets_of(draft).remove(0);
            format!("no longer name {}, or renew it: {}", secrets_tried(draft), logins::renew(draft, host, &secret))
        }
        Code::NotFoundOrNoAccess => match secrets_of(draft).first() {
            Some(secret) => {
                let mistake = secrets::mistake(draft).filter(|_| probed.login != Some(true));
                let mistake = mistake.map(|mistake| format!("{mistake}; ")).unwrap_or_default();
                format!("{mistake}check the spelling, and that the login in Secret \"{secret}\" may pull it")
            }
            None => format!("check the spelling; if it is private: {}", secrets::add(draft, host)),
        },
        Code::CredentialsMissing | Code::CredentialsRejected => match secrets_of(draft).first() {
            Some(secret) => {
                let mistake = secrets::mistake(draft).map(|mistake| format!("{mistake}; ")).unwrap_or_default();
                format!("{mistake}renew it: {}", logins::renew(draft, host, secret))
            }
            None => secrets::add(draft, host),
        },
        Code::CredentialsExpired => match draft.over().map(|(attempt, _)| &attempt.source) {
            Some(Source::PullSecret(secret)) => {
                format!("renew it, and let something renew it in time: {}", logins::renew(draft, host, secret))
            }
            source => format!("renew it: {}", source.map_or_else(|| "the login".to_owned(), ToString::to_string)),
        },
        Code::AccessDenied => format!("let that login pull {name} at the registry, or name another pull secret"),
        Code::PullSecretMalformed => "make the Secret anew".to_owned(),
        Code::PlatformMismatch => "build it for the platform of the nodes".to_owned(),
        Code::ErrImageNeverPull => "load it onto the nodes, or use imagePullPolicy: IfNotPresent".to_owned(),
        Code::UnsupportedManifest => {
            "push it again with a current builder, as an OCI image or Docker schema 2".to_owned()
        }
        Code::BlockedByRegistry => format!("ask the owners of {host}: the rule is theirs"),
        Code::RegistryNotAllowed => {
            "use a registry of guard.registries.allow, or ask the operator of the cluster".to_owned()
        }
        Code::RateLimited => "log in with a pull secret, or pull through a mirror".to_owned(),
        Code::RegistryUnreachable | Code::RegistryError | Code::NotChecked => {
            "nothing in the object is known to be wrong; seen from pullgate, nodes may differ".to_owned()
        }
    };
    let fix = match meant::name(draft, code, failure) {
        Some(meant) => format!("{meant}{}{fix}", if meant.ends_with('?') { " " } else { "; " }),
        None => fix,
    };
    match (draft.secrets.unreadable.first(), code.refusal() && !certain) {
        (Some((what, Unreadable::Forbidden)), true) => format!("grant pullgate the right to get {what}"),
        (Some((_, Unreadable::Unavailable(_))), true) => "nothing in the object is known to be wrong".to_owned(),
        (None, true) => format!("nodes may hold a login for {host} that pullgate does not know (nodeAccess); {fix}"),
        (_, false) => match failure.filter(|_| code == Code::RateLimited).and_then(|failure| failure.retry_after) {
            Some(wait) => format!("{fix}; it asks to be left alone for {} s", wait.as_secs()),
            None => fix,
        },
    }
}

/// The names of the Secrets that were tried.
fn secrets_of(draft: &Draft<'_>) -> Vec<String> {
    draft
        .attempts
        .iter()
        .filter_map(|attempt| match &attempt.source {
            Source::PullSecret(name) => Some(name.to_string()),
            Source::Anonymous | Source::NodeConfig | Source::Plugin(_) => None,
        })
        .collect()
}

/// The fix for a Secret that does not decode.
pub fn fix_malformed(namespace: &str, malformed: &MalformedSecret) -> String {
    let entry = malformed.entry.as_deref().map(|entry| format!(", entry \"{}\"", clean(entry))).unwrap_or_default();
    format!(
        "make Secret \"{0}\" anew ({1}{entry}): kubectl -n {namespace} delete secret {0}, then kubectl -n {namespace} create secret docker-registry {0} …",
        malformed.secret,
        clean(&malformed.go_error)
    )
}

/// What follows the name of an image that is there and cannot be pulled any more. `left` is what the registry says;
/// without a login it counts by address.
pub(crate) fn nothing_left(left: &str, login: bool) -> String {
    let whose = if login { "" } else { " (nodes with another address have their own)" };
    format!("exists, but {left}{whose}: where it has to be pulled, the pull is refused")
}

/// An age in steps: controllers retry, and a text that changed with every retry would be an event of its own each time.
pub fn ago(age: Duration) -> String {
    match age.as_secs() {
        0..10 => "just now".to_owned(),
        seconds @ 10..60 => format!("{} s ago", seconds / 10 * 10),
        seconds => format!("{} min ago", seconds / 60),
    }
}

/// One line for a warning.
pub fn warning(finding: &Finding) -> String {
    format!("{}: {}", finding.code, finding.message)
}
