//! Why no pull secret helps → a sentence with both names side by side, and the lines that create and attach one that does.

use crate::credentials::Credential;
use crate::credentials::diagnosis::{Flaw, Mismatch, NearMiss};
use crate::facts::{Attempt, NamedBy};
use crate::finding::Code;
use crate::kubernetes_name::is_dns_subdomain;
use crate::registry::said::clean;
use crate::verdict::Draft;

use super::denial::middle;
use super::logins::create;
use super::secrets_tried;
use super::typed::{below, word};

/// Characters of a registry in the name of a Secret.
const HOST: usize = 40;

/// Characters of a name that no object can have.
const NAME: usize = 64;

/// How many keys are named of pull secrets that are all for other registries.
const KEYS_SHOWN: usize = 3;

/// What there is in place of a login for `host`, and what to type.
pub(super) fn add(draft: &Draft<'_>, host: &str) -> String {
    let (lines, rest) = attached(draft, host);
    let prose = match (creatable(draft).or(draft.secrets.missing.first()), why(draft, host)) {
        (Some(name), _) if !is_dns_subdomain(name) => {
            format!("Secret \"{}\" is named, and {}; add one for {host}", short(name), no_name(name, "Secret"))
        }
        (Some(name), _) => format!(
            "Secret \"{}\" is named, but it is not in namespace \"{}\", and Secrets do not cross namespaces",
            clean(name),
            draft.namespace
        ),
        (None, Some(why)) => format!("{why}; add one for {host}"),
        (None, None) => format!("add a pull secret for {host}"),
    };
    format!("{}{rest}", below(&prose, &lines))
}

/// The lines that create a Secret for `host` and attach it, and what else is to be done then.
pub(super) fn attached(draft: &Draft<'_>, host: &str) -> (Vec<String>, String) {
    if let Some(name) = creatable(draft) {
        // Under the name that is given already, nothing else has to change.
        return (vec![create(draft, host, name)], String::new());
    }
    // A new name that differs from an impossible one in its case only would be taken for it.
    let first = if draft.secrets.missing.is_empty() { "regcred" } else { "pull-secret" };
    let secret = free_name(draft, host, first);
    let mut lines = vec![create(draft, host, &secret)];
    if let Some(name) = draft.secrets.missing.first() {
        let place = match &draft.secrets.named_by {
            NamedBy::Account(account) => format!(" of ServiceAccount \"{}\"", clean(account)),
            _ => String::new(),
        };
        return (lines, format!("\nthen put {secret} in place of \"{}\" in imagePullSecrets{place}", short(name)));
    }
    match attach(draft, &secret) {
        Attach::Line(line) => {
            lines.push(line);
            (lines, String::new())
        }
        Attach::ByHand(words) => (lines, format!("\n{words}")),
    }
}

/// A name that may be of any length.
fn short(name: &str) -> String {
    middle(&clean(name), NAME)
}

/// The first pull secret that is not there and could be: an API server takes the name for a Secret.
fn creatable<'d>(draft: &Draft<'d>) -> Option<&'d String> {
    draft.secrets.missing.iter().find(|name| is_dns_subdomain(name))
}

/// Why no object of this kind can have this name.
pub(crate) fn no_name(name: &str, kind: &str) -> String {
    if name.contains(['$', '{', '}', '<', '>', '%', '@']) {
        return format!("no {kind} can have that name: a variable or placeholder in it was not replaced");
    }
    format!(
        "no {kind} can have that name: it is made of at most 253 lower-case letters, digits, \"-\" and \".\" (RFC 1123)"
    )
}

/// How a new Secret is named.
enum Attach {
    /// By this line.
    Line(String),
    /// In the object, as these words say.
    ByHand(String),
}

/// Why the pull secrets that are there have nothing for `host`.
fn why(draft: &Draft<'_>, host: &str) -> Option<String> {
    let secrets = draft.secrets;
    if let Some((name, why)) = secrets.ignored.first() {
        return Some(format!("Secret \"{}\" is of no use to a kubelet: {}", clean(name), clean(&why.to_string())));
    }
    let keyring = secrets.keyring.as_ref().ok()?;
    if let Some(miss) = draft.reference.and_then(|reference| keyring.near_misses(reference.name()).into_iter().next()) {
        return Some(missed(&miss, draft.reference.map_or(host, |reference| reference.name()), host));
    }
    let mut keys: Vec<String> = keyring.keys().into_iter().map(|(key, _)| clean(key)).collect();
    keys.dedup();
    if !keys.is_empty() {
        let more = if keys.len() > KEYS_SHOWN { ", …" } else { "" };
        keys.truncate(KEYS_SHOWN);
        return Some(format!("the pod's pull secrets are for {}{more} only", keys.join(", ")));
    }
    match &secrets.named_by {
        NamedBy::Nobody(account) => {
            Some(format!("no pull secret is named, neither in the pod nor in ServiceAccount \"{account}\""))
        }
        NamedBy::Nameless(account) => Some(format!(
            "imagePullSecrets has an entry without a name, so that not even those of ServiceAccount \"{account}\" count"
        )),
        NamedBy::NoAccount(account) => Some(format!("ServiceAccount \"{account}\" is not there")),
        // They are there, and hold no login.
        NamedBy::Object | NamedBy::ObjectNot { .. } | NamedBy::Account(_) | NamedBy::Existing(_) => {
            let held = secrets.named.iter().filter(|name| !secrets.missing.contains(name)).map(|name| clean(name));
            let held: Vec<String> = held.take(KEYS_SHOWN).collect();
            (!held.is_empty()).then(|| format!("no login is in {}", held.join(", ")))
        }
    }
}

fn missed(miss: &NearMiss<'_>, repository: &str, host: &str) -> String {
    let NearMiss { source, name, why } = miss;
    let name = clean(name);
    match why {
        Mismatch::DockerHub => {
            format!("{source} is for {name}, which never matches Docker Hub: the key is https://index.docker.io/v1/")
        }
        Mismatch::NoUrl => format!(
            "{source} has an entry \"{}\" that is no URL (a blank or line end in it?), so kubelets pass it over",
            name.trim()
        ),
        Mismatch::Scheme => format!("{source} is for {name}, which does not match {host} (https:// in lower case)"),
        Mismatch::Case => format!("{source} is for {name}, which does not match {host} (in other letters)"),
        Mismatch::Port => format!("{source} is for {name}, which does not match {host} (another port)"),
        Mismatch::Path => format!("{source} is for {name}, which does not match {repository} (another path)"),
        Mismatch::Wildcard => format!("{source} is for {name}, which does not match {host} (* stands for one label)"),
    }
}

/// A name for a new Secret, with this word first: of the registry, because one for another may be there, and one that nothing here has yet.
fn free_name(draft: &Draft<'_>, host: &str, first: &str) -> String {
    let secrets = draft.secrets;
    // What the account names is there already, though it does not count for this pod.
    let theirs = match &secrets.named_by {
        NamedBy::ObjectNot { theirs, .. } => theirs.as_slice(),
        _ => &[],
    };
    let taken = |name: &String| secrets.named.contains(name) || theirs.contains(name);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let host: String = host.chars().take(HOST).map(plain).collect();
    let words: Vec<&str> = host.split('-').filter(|word| !word.is_empty()).collect();
    let name = [first].into_iter().chain(words).collect::<Vec<_>>().join("-");
    let suffixed = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(suffixed).find(|name| !taken(name)).unwrap_or_default()
}

/// How a Secret that nothing names yet is named. What is named stays: the list of a `ServiceAccount` is atomic, so that a
/// merge would replace it (kubernetes/api `core/v1/types.go`).
fn attach(draft: &Draft<'_>, secret: &str) -> Attach {
    let patch = |account: &str| format!("kubectl -n {} patch serviceaccount {}", word(draft.namespace), word(account));
    match &draft.secrets.named_by {
        NamedBy::Nobody(account) | NamedBy::NoAccount(account) if !is_dns_subdomain(account) => {
            Attach::ByHand(format!(
                "then name {secret} in imagePullSecrets of the pod (ServiceAccount \"{}\" is named, and {})",
                short(account),
                no_name(account, "ServiceAccount")
            ))
        }
        NamedBy::Nobody(account) => {
            Attach::Line(format!("{} -p '{{\"imagePullSecrets\":[{{\"name\":\"{secret}\"}}]}}'", patch(account)))
        }
        NamedBy::Account(account) => Attach::Line(format!(
            "{} --type=json -p '[{{\"op\":\"add\",\"path\":\"/imagePullSecrets/-\",\"value\":{{\"name\":\"{secret}\"}}}}]'",
            patch(account)
        )),
        NamedBy::Nameless(_) => {
            Attach::ByHand(format!("then put {secret} in place of the entry without a name in imagePullSecrets"))
        }
        NamedBy::ObjectNot { account, theirs } => {
            let theirs = theirs.iter().take(KEYS_SHOWN).map(|name| clean(name)).collect::<Vec<_>>().join(", ");
            let or = if theirs.is_empty() { String::new() } else { format!(", or what has it of {theirs}") };
            Attach::ByHand(format!(
                "then add {secret}{or} to imagePullSecrets (those of ServiceAccount \"{account}\" do not count, for the pod has its own)"
            ))
        }
        NamedBy::NoAccount(account) => {
            Attach::ByHand(format!("then make ServiceAccount \"{account}\" with {secret} in its imagePullSecrets"))
        }
        NamedBy::Existing(account) => Attach::ByHand(format!(
            "then name {secret} in ServiceAccount \"{account}\" or in what makes the pod, and make the pod anew: it keeps the list that it was made with"
        )),
        NamedBy::Object => Attach::ByHand(format!("then add {secret} to imagePullSecrets")),
    }
}

/// The first refused login in a Secret that shows its own mistake, and the mistake.
pub(super) fn flaw(draft: &Draft<'_>) -> Option<(String, Flaw)> {
    let (reference, keyring) = (draft.reference?, draft.secrets.keyring.as_ref().ok()?);
    // The pod's own candidates were tried first, in this order.
    draft.attempts.iter().zip(keyring.matching(reference.name())).find_map(|(attempt, candidate)| {
        let Attempt { source, outcome: Err(_), .. } = attempt else { return None };
        let credential: &Credential = candidate.credential.as_deref().filter(|_| *source == candidate.source)?;
        Some((source.to_string(), credential.flaw(reference.registry())?))
    })
}

/// What stands in front of the line that renews a login with a mistake; nothing where the mistake is in the message.
pub(super) fn mistake(draft: &Draft<'_>) -> Option<String> {
    let (source, flaw) = flaw(draft)?;
    Some(match flaw {
        Flaw::OnlyIdentityToken => {
            format!("{source} has only an identitytoken, which kubelets ignore: they need user and password")
        }
        Flaw::NoUser | Flaw::NoPassword => return None,
        Flaw::PasswordLineEnd => format!("the password in {source} ends with a line end, as a file or echo leaves one"),
        Flaw::PasswordBlank => format!("the password in {source} begins or ends with a blank"),
        Flaw::UserBlank => format!("the user name in {source} begins or ends with a blank or line end"),
        Flaw::WholeEcrToken => format!(
            "the password in {source} is ECR's whole authorizationToken: only what follows AWS: in it is the password (aws ecr get-login-password)"
        ),
        Flaw::EmailAtDockerHub => format!("the user in {source} is an e-mail address; Docker Hub wants the Docker ID"),
    })
}

/// What there is in place of a login, and what nodes do then.
pub(super) fn nobody(draft: &Draft<'_>, code: Code) -> String {
    format!("the entry in {} has {}, so nodes ask anonymously", secrets_tried(draft, code), half(draft))
}

/// What an entry that is no login lacks.
pub(super) fn half(draft: &Draft<'_>) -> &'static str {
    match flaw(draft) {
        Some((_, Flaw::OnlyIdentityToken)) => "only an identitytoken, which kubelets ignore",
        Some((_, Flaw::NoUser)) => "no user",
        Some((_, Flaw::NoPassword)) => "no password",
        _ => "no user or no password",
    }
}

#[cfg(test)]
mod tests;
