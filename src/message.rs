//! Findings → words: what happened, in a sentence complete in itself, and what to do about it, with the line to type.
//!
//! Pure. Names Secrets and `ServiceAccounts`, never a value of one.

mod denial;
mod description;
mod invalid;
mod limits;
mod logins;
mod meant;
mod secrets;
mod served;
pub(crate) mod typed;
mod warnings;

use std::time::Duration;

use crate::credentials::{MalformedSecret, Source};
use crate::facts::{Attempt, Unreadable};
use crate::finding::{Cause, Code};
use crate::printable;
use crate::registry::failure::{CA_FILE, CLIENT_CERT_FILE, Failure, NO_COMMON_TLS, NO_SUCH_NAME, PLAIN_HTTP};
use crate::verdict::Draft;

pub use self::denial::denial;
pub(crate) use self::description::{
    described, description, no_entry, no_platform, no_reference, not_served, undecodable,
};
pub(crate) use self::invalid::written_right;
pub(crate) use self::limits::{nothing_left, ways_out};
pub use self::logins::ending;
pub(crate) use self::logins::renew_in_time;
pub(crate) use self::secrets::no_name;
use self::typed::{below, word};
pub use self::warnings::{LONG_WARNING, WARNING, WARNINGS, warnings};

/// An image string is repeated up to this many characters: a registry of 253, a path of 255, a tag of 128, a digest of
/// 135 and what separates them are fewer. What is longer is no image that anybody can pull.
const IMAGE_LIMIT: usize = 800;

/// The image as it may be repeated: one line. A name that can be pulled is never cut.
pub fn shown(image: &str) -> String {
    denial::middle(&printable::line(image), IMAGE_LIMIT)
}

/// As whom the registry was asked.
fn who(draft: &Draft<'_>, code: Code) -> String {
    if draft.sends_login() {
        format!("the login in {}", secrets_tried(draft, code))
    } else {
        "an anonymous caller".to_owned()
    }
}

/// The sources of this kind whose attempt ended with the code that is said; all of them where none did.
fn ended<'d>(draft: &Draft<'d>, code: Code, kind: impl Fn(&Source) -> bool) -> Vec<&'d Source> {
    let so = |attempt: &Attempt| attempt.outcome.as_ref().is_err_and(|failure| failure.code == code);
    let tried: Vec<&Attempt> = draft.attempts.iter().filter(|attempt| kind(&attempt.source)).collect();
    let any = tried.iter().any(|attempt| so(attempt));
    tried.into_iter().filter(|attempt| !any || so(attempt)).map(|attempt| &attempt.source).collect()
}

fn secrets_tried(draft: &Draft<'_>, code: Code) -> String {
    let mut names: Vec<String> = Vec::new();
    for source in ended(draft, code, |source| *source != Source::Anonymous) {
        let name = source.to_string();
        if !names.contains(&name) {
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
    let detail = failure.and_then(|failure| failure.detail.as_deref());
    let public = probed.public == Some(true);
    let there = if probed.repository == Some(true) { "the repository is there: " } else { "" };
    let tags = |prose: String| {
        below(&format!("{prose}; see which exist"), &[format!("skopeo list-tags docker://{}", word(name))])
    };
    let fix = match code {
        Code::InvalidImageName => written_right(&draft.image.image),
        Code::TagNotFound if reference.is_some_and(crate::reference::Reference::implicit_latest) => {
            let near = meant::tag(draft, failure).map(|near| format!("; {near}")).unwrap_or_default();
            tags(format!("{there}no tag was written, so latest is meant{near}"))
        }
        Code::TagNotFound => match meant::tag(draft, failure) {
            Some(near) => tags(near),
            None => tags(format!("{there}pushed under another tag, or not pushed yet")),
        },
        Code::DigestNotFound => tags(format!("{there}deleted by a retention rule, or pushed to another repository")),
        Code::RepositoryNotFound => {
            "check the spelling of the repository; nothing was ever pushed under this one".to_owned()
        }
        _ if public && code.refusal() && !secrets_of(draft, code).is_empty() => {
            let secret = secrets_of(draft, code).remove(0);
            logins::renew(draft, &format!("no longer name {}, or renew it", secrets_tried(draft, code)), host, &secret)
        }
        Code::NotFoundOrNoAccess => match secrets_of(draft, code).first() {
            Some(_) if draft.has_login() && !draft.sends_login() => {
                "check the spelling; if it is private: its registry has to ask for a login, for nodes send none unasked"
                    .to_owned()
            }
            Some(secret) if !draft.sends_login() => {
                let prose = format!("{}; check the spelling, or renew it", secrets::nobody(draft, code));
                logins::renew(draft, &prose, host, secret)
            }
            Some(secret) => {
                let mistake = secrets::mistake(draft).filter(|_| probed.login != Some(true));
                let mistake = mistake.map(|mistake| format!("{mistake}; ")).unwrap_or_default();
                format!("{mistake}check the spelling, and that the login in Secret \"{secret}\" may pull it")
            }
            None => format!("check the spelling; if it is private: {}", secrets::add(draft, host)),
        },
        Code::CredentialsMissing | Code::CredentialsRejected => match secrets_of(draft, code).first() {
            Some(secret) => {
                let mistake = secrets::mistake(draft).map(|mistake| format!("{mistake}; ")).unwrap_or_default();
                logins::renew(draft, &format!("{mistake}renew it"), host, secret)
            }
            None => secrets::add(draft, host),
        },
        Code::CredentialsExpired => match draft.over().map(|(attempt, _)| &attempt.source) {
            Some(Source::PullSecret(secret)) => {
                logins::renew(draft, "renew it, and let something renew it in time", host, secret)
            }
            source => format!("renew it: {}", source.map_or_else(|| "the login".to_owned(), ToString::to_string)),
        },
        Code::AccessDenied => format!("let that login pull {name} at the registry, or name another pull secret"),
        Code::PullSecretMalformed => "make the Secret anew".to_owned(),
        Code::PlatformMismatch => "build it for the platform of the nodes".to_owned(),
        Code::ErrImageNeverPull => "load it onto the nodes, or let them pull it".to_owned(),
        Code::UnsupportedManifest => served::fix(failure, host)
            .unwrap_or_else(|| "push it again with a current builder, as an OCI image or Docker schema 2".to_owned()),
        Code::BlockedByRegistry => format!("ask the owners of {host}: the rule is theirs"),
        Code::RegistryNotAllowed => {
            "use a registry of guard.registries.allow, or ask the operator of the cluster".to_owned()
        }
        Code::RateLimited => {
            let wait = failure.and_then(|failure| failure.retry_after);
            let wait = wait.map(|wait| format!("{host} asks to be left alone for {} s; ", wait.as_secs()));
            let half = !secrets_of(draft, code).is_empty() && !draft.has_login();
            let half = if half { format!("{}; ", secrets::nobody(draft, code)) } else { String::new() };
            format!("{}{half}{}", wait.unwrap_or_default(), ways_out(draft))
        }
        Code::RegistryUnreachable | Code::RegistryError | Code::NotChecked => {
            unreachable(failure.and_then(|failure| failure.cause), host, detail.unwrap_or_default())
        }
    };
    let fix = match meant::name(draft, code, failure) {
        // It is there for this pod already: what would help with the name that is written is beside the point.
        Some(meant) if !draft.meant.elsewhere.is_empty() => {
            below(&format!("{meant}{} write", if meant.ends_with('?') { "" } else { ";" }), &meant::elsewhere(draft))
        }
        Some(meant) => format!("{meant}{}{fix}", if meant.ends_with('?') { " " } else { "; " }),
        None => fix,
    };
    if code.refusal() && !certain { fix_uncertain(draft, host, &fix) } else { fix }
}

/// What to do about a refusal that may not hold where nodes pull: first what would make it certain.
fn fix_uncertain(draft: &Draft<'_>, host: &str, fix: &str) -> String {
    match draft.secrets.unreadable.first() {
        Some((what, Unreadable::Forbidden)) => format!("grant pullgate the right to get {what}"),
        Some((_, Unreadable::Unauthenticated)) => {
            "renew the login to the cluster; nothing in the object is known to be wrong".to_owned()
        }
        Some((_, Unreadable::Unavailable(_))) => "nothing in the object is known to be wrong".to_owned(),
        Some((_, Unreadable::NoCluster)) => {
            "give the cluster (--kubeconfig FILE or --cluster-from PATH) or a login (--docker-config FILE)".to_owned()
        }
        None if draft.secrets.tried_locally(draft.attempts) => {
            format!("renew the login for {host} in --docker-config; whether nodes hold another one is not known")
        }
        None if draft.secrets.no_cluster => {
            format!("no cluster was given, so it is not known what nodes hold; {fix}")
        }
        None if draft.by_runtime => {
            format!("nodes with CRI-O complete a name without a registry in their own way (registries.conf); {fix}")
        }
        None => format!("nodes may hold a login for {host} that pullgate does not know (nodeAccess); {fix}"),
    }
}

/// What there is to do where no answer came. Most of it is nothing that the object could mend.
fn unreachable(cause: Option<Cause>, host: &str, detail: &str) -> String {
    let nothing = "nothing in the object is known to be wrong";
    match cause {
        Some(Cause::Dns) if detail.starts_with(&format!("{host} {NO_SUCH_NAME}")) => {
            format!("check the spelling of {host}; otherwise {nothing}")
        }
        Some(Cause::Tls) if [CA_FILE, PLAIN_HTTP].iter().any(|setting| detail.contains(setting)) => {
            format!(
                "{nothing}; what nodes trust, pullgate has to be told of ({CA_FILE} or {PLAIN_HTTP} under registries)"
            )
        }
        Some(Cause::Tls) if detail.contains(NO_COMMON_TLS) => format!(
            "{nothing}, and nodes may speak what pullgate does not; whoever runs the registry can offer TLS 1.2 with ECDHE and AES-GCM, or TLS 1.3"
        ),
        Some(Cause::Tls) if detail.contains(CLIENT_CERT_FILE) => {
            format!(
                "{nothing}; what nodes show the registry, pullgate has to be given ({CLIENT_CERT_FILE} under registries)"
            )
        }
        Some(Cause::Tls) => format!("{nothing}; whoever runs the registry has to mend its certificate"),
        Some(Cause::Proxy) => {
            format!("{nothing}; look at the proxy, and whether {host} needs it (proxy under registries)")
        }
        _ => nothing.to_owned(),
    }
}

/// Of a pod that exists only images can change (kubernetes/kubernetes `pkg/apis/core/validation/validation.go`,
/// `ValidatePodUpdate`): a line to type that changes something else is for another one.
pub(crate) fn of_an_existing_pod(fix: &mut String) {
    let other =
        |line: &str| ["nodeSelector: ", "imagePullPolicy: "].iter().any(|field| line.trim_start().starts_with(field));
    if fix.lines().any(other) {
        fix.push_str("\nof a pod that exists only the image can be changed: for anything else make it anew");
    }
}

/// The names of the Secrets that were tried.
fn secrets_of(draft: &Draft<'_>, code: Code) -> Vec<String> {
    ended(draft, code, |source| matches!(source, Source::PullSecret(_)))
        .into_iter()
        .filter_map(|source| match source {
            Source::PullSecret(name) => Some(name.to_string()),
            Source::Anonymous | Source::NodeConfig | Source::Plugin(_) => None,
        })
        .collect()
}

/// The fix for a Secret that does not decode.
pub(crate) fn fix_malformed(draft: &Draft<'_>, malformed: &MalformedSecret) -> String {
    logins::make_anew(draft, malformed)
}

/// An age in steps: controllers retry, and a text that changed with every retry would be an event of its own each time.
pub fn ago(age: Duration) -> String {
    match age.as_secs() {
        0..10 => "just now".to_owned(),
        seconds @ 10..60 => format!("{} s ago", seconds / 10 * 10),
        seconds => format!("{} min ago", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_to_do_something_where_no_answer_came() {
        let nothing = "nothing in the object is known to be wrong";
        for (cause, detail, expected) in [
            (Cause::Dns, "r.io does not resolve: DNS has no such name", "check the spelling of r.io; otherwise"),
            // Of the token server, which nobody has spelled here.
            (Cause::Dns, "token server: auth.io does not resolve: DNS has no such name", nothing),
            (Cause::Dns, "r.io does not resolve: the DNS server failed or did not answer in time", nothing),
            (
                Cause::Tls,
                "its certificate is signed by an authority that pullgate does not know (caFile)",
                "caFile or plainHTTP",
            ),
            (Cause::Tls, "the server's certificate expired on 2025-01-01", "whoever runs the registry"),
            (
                Cause::Proxy,
                "no connection to r.io through the proxy p:3128: it refused the connection",
                "look at the proxy",
            ),
            (Cause::Refused, "r.io refused the connection", nothing),
        ] {
            let words = unreachable(Some(cause), "r.io", detail);
            assert!(words.contains(expected) && words.contains(nothing), "{detail}: {words}");
        }
    }

    #[test]
    fn of_an_existing_pod_only_the_image_is_changed() {
        for (fix, anew) in [
            ("renew it:\n  kubectl x", false),
            ("or:\n  image: a@b", false),
            ("or:\n  nodeSelector: {a: b}", true),
            ("or:\n  imagePullPolicy: Always", true),
        ] {
            let mut said = fix.to_owned();
            of_an_existing_pod(&mut said);
            assert_eq!((said.starts_with(fix), said.ends_with("make it anew")), (true, anew), "{said}");
        }
    }
}
