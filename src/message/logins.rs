//! The words about logins: which are over and since when, what was found out beside the image, and how one is renewed.

use std::time::Duration;

use jiff::Timestamp;

use super::typed::{below, word};
use crate::credentials::{Expiry, Keyring, MalformedSecret, Source, TokenKind};
use crate::finding::Code;
use crate::registry::failure::Failure;
use crate::registry::said::clean;
use crate::verdict::Draft;

/// How many keys are named of a Secret that is made anew.
const KEYS_SHOWN: usize = 4;

/// What `docker login` and `kubectl create secret docker-registry` are given in place of a login.
const PLACEHOLDERS: (&str, &str) = ("'USER'", "'PASSWORD'");

/// What happened to an expired login.
pub(super) fn expired(draft: &Draft<'_>) -> Option<String> {
    let (attempt, expiry) = draft.over()?;
    let past = expiry.over(draft.now)?;
    Some(format!("the {} in {} expired {} ago", expiry.kind.in_words(), attempt.source, span(past)))
}

/// The line about a login that is over, or that pulled and ends soon; the image resolves with it or with another.
pub fn ending(source: &Source, expiry: &Expiry, pulled: bool, host: &str, now: Timestamp) -> Option<String> {
    let token = format!("the {} in {source}", expiry.kind.in_words());
    match (expiry.over(now), expiry.ends_soon(now)) {
        (Some(past), _) => {
            let but = if pulled { "lets the image be pulled all the same" } else { "takes another login" };
            Some(format!("{token} expired {} ago; {host} {but}", span(past)))
        }
        (None, Some(left)) if pulled => Some(format!("{token} for {host} ends in {}", span(left))),
        (None, _) => None,
    }
}

/// What was found out beside the image, a clause each.
pub(super) fn remarks(draft: &Draft<'_>, code: Code, failure: Option<&Failure>) -> Vec<String> {
    let probed = failure.and_then(|failure| failure.probed).unwrap_or_default();
    let mut remarks = Vec::new();
    if code == Code::NotFoundOrNoAccess && draft.has_login() && !draft.sends_login() {
        remarks.push("it asks for no login, so that none was sent".to_owned());
    }
    if code == Code::NotFoundOrNoAccess && probed.login == Some(true) {
        remarks.push("the login itself is accepted".to_owned());
    }
    if code.refusal()
        && let Some((source, registry)) = for_another(draft)
    {
        remarks.push(format!("the token in {source} is for {registry}"));
    }
    if code.refusal() && probed.public == Some(true) {
        remarks.push("the image itself is public".to_owned());
    }
    remarks
}

/// The first refused token that names another registry than the one asked.
fn for_another<'d>(draft: &'d Draft<'_>) -> Option<(&'d Source, String)> {
    let host = draft.reference?.registry();
    draft.attempts.iter().filter(|attempt| attempt.outcome.is_err()).find_map(|attempt| {
        let registry = attempt.expiry.as_ref()?.for_another(host)?;
        Some((&attempt.source, clean(registry)))
    })
}

/// `prose` and the command that makes `secret` anew with a login of its kind.
pub(super) fn renew(draft: &Draft<'_>, prose: &str, host: &str, secret: &str) -> String {
    let of_it = |source: &Source| matches!(source, Source::PullSecret(name) if **name == *secret);
    let kind = draft.over().filter(|(attempt, _)| of_it(&attempt.source)).map(|(_, expiry)| expiry.kind);
    renewed(draft, prose, host, secret, kind)
}

/// The same for a login that ends soon; `None` where it is in no Secret.
pub(crate) fn renew_in_time(draft: &Draft<'_>, host: &str, source: &Source, kind: TokenKind) -> Option<String> {
    let Source::PullSecret(secret) = source else { return None };
    Some(renewed(draft, "renew it, and let something renew it in time", host, secret, Some(kind)))
}

fn renewed(draft: &Draft<'_>, prose: &str, host: &str, secret: &str, kind: Option<TokenKind>) -> String {
    let (user, password) = kind.and_then(|kind| obtain(kind, host)).unwrap_or_else(placeholders);
    let keyring = draft.secrets.keyring.as_ref().ok();
    let server = keyring.and_then(|keyring| wider(keyring, draft, secret)).unwrap_or_else(|| host.to_owned());
    let create = create_with(draft, &server, secret, (&user, &password));
    let others = keyring.and_then(|keyring| also_for(keyring, draft, secret));
    let others = others.map(|keys| format!(" (it is for {keys}, too, which has to be put in again)"));
    let line = if draft.secrets.unchangeable.iter().any(|name| name == secret) {
        again(draft, secret, &create)
    } else {
        format!("{create} --dry-run=client -o yaml | kubectl apply -f -")
    };
    below(&format!("{prose}{}", others.unwrap_or_default()), &[line])
}

/// The command that puts what `create` makes in the place of `secret`.
fn again(draft: &Draft<'_>, secret: &str, create: &str) -> String {
    format!("kubectl -n {} delete secret {} && {create}", word(draft.namespace), word(secret))
}

/// The keys of the same Secret that have nothing to do with this image: making the Secret anew loses them.
fn also_for(keyring: &Keyring, draft: &Draft<'_>, secret: &str) -> Option<String> {
    let used = keyring.matching(draft.reference?.name());
    let of_it = |source: &Source| matches!(source, Source::PullSecret(name) if **name == *secret);
    let keys = keyring.keys().into_iter();
    let mut others: Vec<String> = keys
        .filter(|(key, source)| of_it(source) && used.iter().all(|candidate| *candidate.key != **key))
        .map(|(key, _)| clean(key))
        .collect();
    others.dedup();
    let more = others.len().saturating_sub(KEYS_SHOWN);
    others.truncate(KEYS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!others.is_empty()).then(|| format!("{}{more}", others.join(", ")))
}

/// The key of the Secret that matched, where it stands for more than this registry: with the registry in its place the
/// others would be lost.
fn wider(keyring: &Keyring, draft: &Draft<'_>, secret: &str) -> Option<String> {
    let used = keyring.matching(draft.reference?.name()).into_iter();
    let mut keys = used.filter(|used| matches!(&used.source, Source::PullSecret(name) if **name == *secret));
    let key = keys.find(|used| used.key.contains('*'))?.key;
    (clean(&key) == *key).then(|| key.to_string())
}

/// The command that makes `secret`.
pub(super) fn create(draft: &Draft<'_>, host: &str, secret: &str) -> String {
    create_with(draft, host, secret, PLACEHOLDERS)
}

fn create_with(draft: &Draft<'_>, host: &str, secret: &str, (user, password): (&str, &str)) -> String {
    let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
    format!(
        "kubectl -n {} create secret docker-registry {} --docker-server={} --docker-username={user} --docker-password={password}",
        word(draft.namespace),
        word(secret),
        word(server)
    )
}

/// What to do about a Secret that does not decode.
pub(super) fn make_anew(draft: &Draft<'_>, malformed: &MalformedSecret) -> String {
    let MalformedSecret { secret, go_error, entry, byte } = malformed;
    let host = draft.reference.map_or("HOST", |reference| reference.registry());
    let at = entry.as_deref().map(|entry| format!(", entry \"{}\"", clean(entry))).unwrap_or_default();
    let at = byte.map_or(at, |byte| format!(", no JSON from byte {byte} of its value on"));
    // The entry at fault; without one it is this image's registry.
    let server = entry.as_deref().filter(|entry| clean(entry) == **entry && !entry.is_empty()).unwrap_or(host);
    let line = again(draft, secret, &create(draft, server, secret));
    let lost = "with every other login that it has";
    below(&format!("make Secret \"{}\" anew, {lost} ({}{at})", clean(secret), clean(go_error)), &[line])
}

/// User and password as the cloud's own tool gives them.
fn obtain(kind: TokenKind, host: &str) -> Option<(String, String)> {
    match kind {
        TokenKind::Ecr => {
            let service = if host == "public.ecr.aws" { "ecr-public" } else { "ecr" };
            let region = match host.split_once(".dkr.ecr.") {
                Some((_, rest)) => rest.split('.').next()?,
                None if service == "ecr-public" => "us-east-1",
                None => "REGION",
            };
            Some(("AWS".to_owned(), format!("\"$(aws {service} get-login-password --region {region})\"")))
        }
        TokenKind::Acr => {
            let name = host.strip_suffix(".azurecr.io").unwrap_or("REGISTRY");
            let token = format!("\"$(az acr login -n {name} --expose-token --query accessToken -o tsv)\"");
            Some(("00000000-0000-0000-0000-000000000000".to_owned(), token))
        }
        TokenKind::QuayRobot | TokenKind::Artifactory | TokenKind::ServiceAccount | TokenKind::Jwt => None,
    }
}

fn placeholders() -> (String, String) {
    (PLACEHOLDERS.0.to_owned(), PLACEHOLDERS.1.to_owned())
}

/// A time span in steps, so that it does not change with every retry.
fn span(span: Duration) -> String {
    match span.as_secs() / 60 {
        0 => "less than a minute".to_owned(),
        minutes @ 1..10 => format!("{minutes} min"),
        minutes @ 10..60 => format!("{} min", minutes / 10 * 10),
        minutes @ 60..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_steps() {
        for (seconds, expected) in [
            (0, "less than a minute"),
            (121, "2 min"),
            (599, "9 min"),
            (600, "10 min"),
            (3599, "50 min"),
            (3600, "1 h"),
            (3 * 3600 + 3599, "3 h"),
            (48 * 3600 - 1, "47 h"),
            (48 * 3600, "2 days"),
            (u64::MAX, "213503982334601 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_cloud_token_is_renewed_with_the_tool_of_its_cloud() {
        for (kind, host, expected) in [
            (TokenKind::Ecr, "1234.dkr.ecr.eu-west-1.amazonaws.com", "aws ecr get-login-password --region eu-west-1"),
            (TokenKind::Ecr, "public.ecr.aws", "aws ecr-public get-login-password --region us-east-1"),
            (TokenKind::Ecr, "mirror.corp.io", "--region REGION"),
            (TokenKind::Acr, "corp.azurecr.io", "az acr login -n corp --expose-token"),
        ] {
            let (_, password) = obtain(kind, host).unwrap();
            assert!(password.contains(expected), "{password}");
        }
        assert_eq!(obtain(TokenKind::Jwt, "corp.azurecr.io"), None);
    }
}
