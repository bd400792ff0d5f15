//! Findings → words: what happened, in a sentence complete in itself, and what to do about it, with the line to type.
//!
//! Pure. Names Secrets and `ServiceAccounts`, never a value of one.

use std::time::Duration;

use crate::credentials::{MalformedSecret, Source};
use crate::facts::Unreadable;
use crate::finding::{Code, Finding};
use crate::registry::failure::Failure;
use crate::registry::said::{clean, unseen};
use crate::verdict::{Draft, Verdict};
use crate::workload::ContainerImage;

/// An image string is repeated up to this many bytes.
const IMAGE_LIMIT: usize = 160;

/// The image as it may be repeated: one line, bounded.
pub fn shown(image: &str) -> String {
    let harmful = |c: char| c.is_control() || unseen(c) || matches!(c, '\u{2028}' | '\u{2029}');
    let mut shown: String = image.chars().take(IMAGE_LIMIT).map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect();
    if shown.len() < image.len() && shown.chars().count() == IMAGE_LIMIT {
        shown.push('…');
    }
    shown
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
    let mut what = match code {
        Code::InvalidImageName => "is no image reference".to_owned(),
        Code::TagNotFound | Code::DigestNotFound => format!("is not in the registry{quoted}"),
        Code::RepositoryNotFound => format!("names a repository that {host} does not have{quoted}"),
        Code::NotFoundOrNoAccess => {
            format!("does not exist, or {who} may not pull it; {host} does not say which{quoted}")
        }
        Code::CredentialsMissing if draft.attempts.iter().any(|attempt| attempt.source != Source::Anonymous) => {
            format!(
                "needs a login at {host}, and the entry in {} has no user or no password{quoted}",
                secrets_tried(draft)
            )
        }
        Code::CredentialsMissing => {
            format!("needs a login at {host}, and no pull secret of the pod has one for it{quoted}")
        }
        Code::CredentialsRejected => {
            format!("cannot be pulled: {host} rejects the login in {}{quoted}", secrets_tried(draft))
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
        Code::RegistryUnreachable => format!("was not checked: {}", detail.unwrap_or("the registry is unreachable")),
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
    let tags = || format!("see which exist: skopeo list-tags docker://{name}");
    let fix = match code {
        Code::InvalidImageName => "write it as registry/repository:tag, the repository in lower case".to_owned(),
        Code::TagNotFound if reference.is_some_and(crate::reference::Reference::implicit_latest) => {
            format!("no tag was written, so latest is meant; {}", tags())
        }
        Code::TagNotFound => format!("pushed under another tag, or not pushed yet; {}", tags()),
        Code::DigestNotFound => format!("deleted by a retention rule, or pushed to another repository; {}", tags()),
        Code::RepositoryNotFound => {
            "check the spelling of the repository; nothing was ever pushed under this one".to_owned()
        }
        Code::NotFoundOrNoAccess => match secrets_of(draft).first() {
            Some(secret) => format!("check the spelling, and that the login in Secret \"{secret}\" may pull {name}"),
            None => format!("check the spelling; if it is private: {}", create(draft, host, "regcred")),
        },
        Code::CredentialsMissing | Code::CredentialsRejected if !secrets_of(draft).is_empty() => {
            let secret = secrets_of(draft).remove(0);
            format!("renew it: {} --dry-run=client -o yaml | kubectl apply -f -", create(draft, host, &secret))
        }
        Code::CredentialsMissing | Code::CredentialsRejected => {
            // Under the name that the pod already gives, if that is free.
            let secret = draft.secrets.missing.first().map_or("regcred", String::as_str);
            let create = create(draft, host, secret);
            match elsewhere(draft, host) {
                Some(other) => format!("{other}; add one for {host}: {create}"),
                None => create,
            }
        }
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
    match (draft.secrets.unreadable.first(), code.refusal() && !certain) {
        (Some((what, Unreadable::Forbidden)), true) => format!("grant pullgate the right to get {what}"),
        (Some((_, Unreadable::Unavailable(_))), true) => "nothing in the object is known to be wrong".to_owned(),
        (None, true) => format!("nodes may hold a login for {host} that pullgate does not know (nodeAccess); {fix}"),
        (_, false) => match failure.and_then(|failure| failure.retry_after) {
            Some(wait) => format!("{fix}; it asks to be left alone for {} s", wait.as_secs()),
            None => fix,
        },
    }
}

/// A pull secret for the same host under another port or path, or one that names it in a way that never matches.
fn elsewhere(draft: &Draft<'_>, host: &str) -> Option<String> {
    let bare = |text: &str| text.split([':', '/']).next().unwrap_or_default().to_owned();
    if let Some((name, why)) = draft.secrets.ignored.first() {
        return Some(format!("Secret \"{name}\" is of no use to a kubelet: {why}"));
    }
    if let Some(name) = draft.secrets.missing.first() {
        return Some(format!("Secret \"{name}\" is named, but it is not in namespace \"{}\"", draft.namespace));
    }
    let keyring = draft.secrets.keyring.as_ref().ok()?;
    let (key, source) = keyring.keys().into_iter().find(|(key, _)| bare(key) == bare(host))?;
    Some(format!("{source} is for {}, which does not match {host}", clean(key)))
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

fn create(draft: &Draft<'_>, host: &str, secret: &str) -> String {
    let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
    format!(
        "kubectl -n {} create secret docker-registry {secret} --docker-server={server} --docker-username=USER --docker-password=PASSWORD",
        draft.namespace
    )
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

/// The text of a denial: the first line is complete in itself.
pub fn denial(verdict: &Verdict) -> String {
    let mut lines = Vec::new();
    for finding in &verdict.findings {
        lines.push(format!("{}: {}", finding.code, finding.message));
        lines.push(format!("  {}", finding.fix));
        if let Some(asked) = asked(verdict, finding) {
            lines.push(format!("  asked as: {asked}"));
        }
    }
    let fine = verdict.images.len().saturating_sub(verdict.findings.len() + verdict.excepted.len());
    if fine > 0 {
        let images = if fine == 1 { "image is" } else { "images are" };
        match lines.last_mut().filter(|line| line.starts_with("  asked as")) {
            Some(last) => last.push_str(&format!("; {fine} other {images} fine")),
            None => lines.push(format!("  {fine} other {images} fine")),
        }
    }
    lines.join("\n")
}

fn asked(verdict: &Verdict, finding: &Finding) -> Option<String> {
    if finding.tried.is_empty() {
        return None;
    }
    let mut sources: Vec<&str> = finding.tried.iter().map(|tried| tried.source.as_str()).collect();
    sources.dedup();
    let through =
        verdict.account.as_deref().map(|account| format!(" (ServiceAccount \"{account}\")")).unwrap_or_default();
    let age = finding.age.map(|age| format!(", {}", ago(age))).unwrap_or_default();
    Some(format!("{}{through}{age}", sources.join(", ")))
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
