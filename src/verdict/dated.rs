//! What the end that a login names for itself changes: a refusal past it is that of an expired login, and an end that is
//! near, or past and overlooked by the registry, is worth a word.

use std::borrow::Cow;

use jiff::Timestamp;

use super::Draft;
use crate::credentials::Source;
use crate::facts::{Attempt, Facts};
use crate::finding::{Code, Notice, NoticeCode};
use crate::message;

/// The attempts, those of expired logins called by that name.
pub(super) fn attempts(attempts: &[Attempt], now: Timestamp) -> Cow<'_, [Attempt]> {
    if !attempts.iter().any(|attempt| expired(attempt, now)) {
        return Cow::Borrowed(attempts);
    }
    let mut attempts = attempts.to_vec();
    for attempt in attempts.iter_mut().filter(|attempt| expired(attempt, now)) {
        if let Err(failure) = &mut attempt.outcome {
            failure.code = Code::CredentialsExpired;
        }
    }
    Cow::Owned(attempts)
}

/// Whether a login was refused, is over by its own word, and was not found to be good for all that: a registry knows
/// better.
fn expired(attempt: &Attempt, now: Timestamp) -> bool {
    let accepted =
        |failure: &crate::registry::failure::Failure| failure.probed.is_some_and(|probed| probed.login == Some(true));
    attempt.outcome.as_ref().is_err_and(|failure| failure.code.refusal() && !accepted(failure))
        && attempt.expiry.as_ref().is_some_and(|expiry| expiry.over(now).is_some())
}

/// The logins in pull secrets that end soon or are over, of images that resolve all the same; each once.
pub(super) fn notices(namespace: &str, facts: &Facts, now: Timestamp) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for image in &facts.images {
        let (Ok(reference), Some(Attempt { outcome: Ok(_), .. })) = (&image.reference, image.attempts.last()) else {
            continue;
        };
        for attempt in &image.attempts {
            let (Some(expiry), Source::PullSecret(_)) = (&attempt.expiry, &attempt.source) else {
                continue;
            };
            let Some(message) =
                message::ending(&attempt.source, expiry, attempt.outcome.is_ok(), reference.registry(), now)
            else {
                continue;
            };
            let path = format!("{}.imagePullSecrets", image.image.spec_path());
            let code = NoticeCode::CredentialsExpireSoon;
            if notices.iter().all(|notice| notice.message != message) {
                let draft = Draft::of(namespace, facts, image, now);
                let fix = message::renew_in_time(&draft, reference.registry(), &attempt.source, expiry.kind);
                notices.push(Notice { code, path, message, fix, token: Some(expiry.kind) });
            }
        }
    }
    notices
}
