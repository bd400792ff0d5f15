//! What is known of an image → what happened to it, in full and in few words.

use super::{logins, secrets, secrets_tried, served, who};
use crate::credentials::Source;
use crate::facts::Unreadable;
use crate::finding::{Code, Description};
use crate::reference::{Digest, Reference};
use crate::registry::failure::Failure;
use crate::registry::said::clean;
use crate::verdict::Draft;
use crate::workload::ContainerImage;

/// `container "NAME"`; for an image volume, `volume "NAME"`; nothing where the field has no name.
fn field(image: &ContainerImage) -> String {
    let kind = if image.is_volume() { "volume" } else { "container" };
    match clean(&image.container).as_str() {
        "" => String::new(),
        name => format!("{kind} \"{name}\""),
    }
}

/// A description that has no shorter form.
pub(crate) fn described(image: &ContainerImage, what: String) -> Description {
    Description { field: field(image), short: what.clone(), what, ..Description::default() }
}

/// The description of an image that does not parse.
pub(crate) fn no_reference(image: &ContainerImage, error: &str) -> Description {
    // The general words of the parser say nothing where there are others.
    let error = error.strip_prefix("invalid reference format: ").unwrap_or(error);
    let short = "is no image reference";
    let left_out = Some(error.to_owned());
    Description { short: short.to_owned(), left_out, ..described(image, format!("{short}: {error}")) }
}

/// The description of an image that nothing is offered of for the nodes.
pub(crate) fn no_platform(image: &ContainerImage, offered: &str, nodes: &str) -> Description {
    let what = format!("is for {offered}; the pod can land only on {nodes}");
    let short = "has nothing for the nodes that the pod can land on".to_owned();
    Description { short, left_out: Some(what.clone()), ..described(image, what) }
}

/// The description of an image that resolves to a digest which the registry does not serve.
pub(crate) fn not_served(image: &ContainerImage, digest: &Digest) -> Description {
    let what = format!("names {digest}, and the registry does not serve that manifest");
    let short = "names a manifest that the registry does not serve".to_owned();
    Description { short, quoted: true, ..described(image, what) }
}

/// The description of an index of which the registry does not have the entries that nodes fetch.
pub(crate) fn no_entry(image: &ContainerImage, what: String) -> Description {
    let short = "is an index without the entry for the nodes that the pod can land on".to_owned();
    Description { short, quoted: true, ..described(image, what) }
}

/// The description of a pull secret that fails every image.
pub(crate) fn undecodable(image: &ContainerImage, secret: &str) -> Description {
    let short = format!("no kubelet can decode Secret \"{secret}\"");
    let details = vec!["one such Secret fails every image of the pod".to_owned()];
    Description { details, ..described(image, format!("cannot be pulled: {short}")) }
}

/// What happened, without the code in front and without the fix.
pub(crate) fn description(draft: &Draft<'_>, code: Code, certain: bool, failure: Option<&Failure>) -> Description {
    if let (Some((what, why)), true) = (draft.secrets.unreadable.first(), code.refusal() && !certain) {
        let why = match why {
            Unreadable::Forbidden => format!("pullgate may not get {what} in namespace \"{}\"", draft.namespace),
            Unreadable::Unauthenticated => {
                format!("{what} could not be read: the API server does not accept the login (401 Unauthorized)")
            }
            Unreadable::Unavailable(why) => format!("{what} could not be read: {}", clean(why)),
            Unreadable::NoCluster => {
                format!("no cluster was given to look up {what} of namespace \"{}\" in", draft.namespace)
            }
        };
        return described(draft.image, format!("was not checked: {why}"));
    }
    let detail = failure.and_then(|failure| failure.detail.as_deref());
    let public = failure.and_then(|failure| failure.probed).is_some_and(|probed| probed.public == Some(true));
    let (what, short) =
        served::sentences(code, certain, failure).unwrap_or_else(|| what_happened(draft, code, detail, public));
    let mut details = Vec::new();
    if code == Code::NotFoundOrNoAccess && !public {
        details.push(format!("{} does not say which", host(draft)));
    }
    if !speaks_by_detail(code) {
        // What each of the nodes' hosts said, where they have several.
        details.extend(detail.map(str::to_owned));
    }
    details.extend(logins::remarks(draft, code, failure));
    let short = short.unwrap_or_else(|| what.clone());
    Description { field: field(draft.image), what, short, left_out: None, quoted: quotes(code), details }
}

fn host<'d>(draft: &'d Draft<'_>) -> &'d str {
    draft.reference.map_or("the registry", Reference::registry)
}

/// Whether the detail of the failure is what happened, not something beside it.
fn speaks_by_detail(code: Code) -> bool {
    matches!(code, Code::UnsupportedManifest | Code::RegistryUnreachable | Code::RegistryError | Code::NotChecked)
}

/// Whether the registry's own words belong into the message.
fn quotes(code: Code) -> bool {
    code.refusal()
        || matches!(
            code,
            Code::TagNotFound
                | Code::DigestNotFound
                | Code::RepositoryNotFound
                | Code::BlockedByRegistry
                | Code::RateLimited
                | Code::RegistryError
        )
}

/// What happened, and the same in fewer words where that can be said.
fn what_happened(draft: &Draft<'_>, code: Code, detail: Option<&str>, public: bool) -> (String, Option<String>) {
    const ELSEWHERE: &str = " (seen from pullgate; nodes may differ)";
    let host = host(draft);
    let repository = draft.reference.map_or("the repository", Reference::repository);
    let who = who(draft, code);
    let unchecked = |why: &str| format!("was not checked: {why}");
    match code {
        Code::InvalidImageName => ("is no image reference".to_owned(), None),
        Code::TagNotFound | Code::DigestNotFound => ("is not in the registry".to_owned(), None),
        Code::RepositoryNotFound => (
            format!("names a repository that {host} does not have"),
            Some("names a repository that the registry does not have".to_owned()),
        ),
        Code::NotFoundOrNoAccess if public => {
            (format!("cannot be pulled: {host} refuses {who}"), Some(format!("is refused to {who}")))
        }
        Code::NotFoundOrNoAccess => (format!("does not exist, or {who} may not pull it"), None),
        Code::CredentialsMissing if draft.attempts.iter().any(|attempt| attempt.source != Source::Anonymous) => {
            let entry = format!("the entry in {} has {}", secrets_tried(draft, code), secrets::half(draft));
            (format!("needs a login at {host}, and {entry}"), Some(format!("needs a login, and {entry}")))
        }
        Code::CredentialsMissing => (
            format!("needs a login at {host}, and no pull secret of the pod has one for it"),
            Some("needs a login, and no pull secret of the pod has one".to_owned()),
        ),
        Code::CredentialsRejected => {
            let login = format!("the login in {}", secrets_tried(draft, code));
            (
                format!("cannot be pulled: {host} rejects {login}"),
                Some(format!("cannot be pulled: {login} is rejected")),
            )
        }
        Code::CredentialsExpired => {
            let expired = logins::expired(draft).unwrap_or_else(|| "the login is expired".to_owned());
            (format!("cannot be pulled: {expired}"), None)
        }
        Code::AccessDenied => {
            let login = format!("the login in {}", secrets_tried(draft, code));
            (
                format!("cannot be pulled: {host} accepts {login} but not for {repository}"),
                Some(format!("cannot be pulled: {login} may not pull it")),
            )
        }
        Code::PullSecretMalformed => ("cannot be pulled: a pull secret does not decode".to_owned(), None),
        Code::PlatformMismatch => ("has nothing for the nodes that the pod can land on".to_owned(), None),
        Code::ErrImageNeverPull => (
            "is never pulled (imagePullPolicy: Never), and no node that the pod can land on reports it".to_owned(),
            Some("is never pulled, and no node reports it".to_owned()),
        ),
        Code::UnsupportedManifest => (format!("cannot run: {}", detail.unwrap_or("it is no image")), None),
        Code::BlockedByRegistry => (
            format!("exists, but a policy of {host} refuses the pull"),
            Some("exists, but a policy of the registry refuses the pull".to_owned()),
        ),
        Code::RegistryNotAllowed => (
            format!("comes from {host}, which this cluster does not allow"),
            Some("comes from a registry that this cluster does not allow".to_owned()),
        ),
        Code::RateLimited => (unchecked(&format!("{host} limits {who}")), Some(unchecked("the registry limits pulls"))),
        Code::RegistryUnreachable => {
            let detail = detail.unwrap_or("the registry is unreachable");
            (format!("{}{ELSEWHERE}", unchecked(detail)), Some(unchecked(detail)))
        }
        Code::RegistryError => {
            let detail = detail.unwrap_or("no detail");
            let differ = if detail.contains("a proxy") { ELSEWHERE } else { "" };
            (
                format!("{}{differ}", unchecked(&format!("{host} answered with an error ({detail})"))),
                Some(unchecked(&format!("the registry answered with an error ({detail})"))),
            )
        }
        Code::NotChecked => (unchecked(detail.unwrap_or("no detail")), None),
    }
}
