//! What the name or the tag of an image that cannot be had may have been meant to be → words.

use std::time::Duration;

use jiff::SignedDuration;

use crate::finding::{Code, Nearest};
use crate::reference;
use crate::registry::failure::Failure;
use crate::verdict::Draft;

use super::typed::scalar;

/// A build is recent for this long: what comes after it may be on its way.
const RECENT: Duration = Duration::from_hours(24);

/// How far a builder's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// What stands in front of what to do where the name may be another one.
pub(super) fn name(draft: &Draft<'_>, code: Code, failure: Option<&Failure>) -> Option<String> {
    let reference = draft.reference?;
    let probed = failure.and_then(|failure| failure.probed).unwrap_or_default();
    let tag = matches!(code, Code::TagNotFound | Code::DigestNotFound);
    let hidden = code == Code::NotFoundOrNoAccess && probed.public != Some(true);
    if !tag && !hidden && !matches!(code, Code::RepositoryNotFound | Code::CredentialsMissing) {
        return None;
    }
    let mut parts = Vec::new();
    let elsewhere = &draft.meant.elsewhere;
    // Where the repository is there, or only a login is missing, the name is hardly the mistake.
    let there = tag && (probed.repository == Some(true) || failure.is_some_and(|failure| failure.nearest.is_some()));
    let doubtful = (!there && code != Code::CredentialsMissing) || !elsewhere.is_empty();
    let bare = doubtful && reference::image_was_docker_hub_by_default(&draft.image.image);
    let latest = hidden && reference.implicit_latest();
    let not_written = match (bare, latest) {
        (true, true) => Some("no registry and no tag is written"),
        (true, false) => Some("no registry is written"),
        (false, true) => Some("no tag is written"),
        (false, false) => None,
    };
    if let Some(not_written) = not_written {
        let tag = if latest { ":latest" } else { "" };
        parts.push(format!("{not_written}, so {}{tag} is meant", reference.name()));
    }
    match elsewhere.as_slice() {
        [] => {}
        [only] => parts.push(format!("{only} has it")),
        several => parts.push(format!("{} have it", several.join(" and "))),
    }
    let near: Vec<&str> =
        draft.meant.near.iter().filter(|name| !elsewhere.contains(name)).map(String::as_str).collect();
    parts.extend(did_you_mean(&near));
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The lines that name the image where it is.
pub(super) fn elsewhere(draft: &Draft<'_>) -> Vec<String> {
    let object = draft.reference.map(|reference| match reference.digest() {
        Some(digest) => format!("@{digest}"),
        None => format!(":{}", reference.object()),
    });
    let object = object.unwrap_or_default();
    draft.meant.elsewhere.iter().map(|name| format!("image: {}", scalar(&format!("{name}{object}")))).collect()
}

/// What the tag may have been meant to be.
pub(super) fn tag(draft: &Draft<'_>, failure: Option<&Failure>) -> Option<String> {
    let nearest = failure?.nearest.as_deref()?;
    let tags: Vec<&str> = nearest.tags.iter().map(String::as_str).collect();
    let parts: Vec<String> = [did_you_mean(&tags), not_yet(draft, nearest)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Whether it is perhaps not pushed yet: what it comes after says how likely that is.
fn not_yet(draft: &Draft<'_>, nearest: &Nearest) -> Option<String> {
    let recent = nearest.built.map(|built| age(draft.now.duration_since(built)));
    match (nearest.before.as_deref().zip(recent), nearest.ahead) {
        (Some((before, Some(ago))), _) => {
            let wanted = draft.reference?.object();
            Some(format!("{before} was built {ago}: {wanted} perhaps not pushed yet"))
        }
        (Some((_, None)), true) => Some("newer than every version there".to_owned()),
        (None, true) => Some("newer than every version there: perhaps not pushed yet".to_owned()),
        (_, false) => None,
    }
}

fn did_you_mean(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [name] => Some(format!("did you mean {name}?")),
        [names @ .., last] => Some(format!("did you mean {} or {last}?", names.join(", "))),
    }
}

/// The age of a recent build, in steps as [`super::ago`] has them; nothing for another one.
fn age(age: SignedDuration) -> Option<String> {
    if age < -AHEAD {
        return None;
    }
    let age = Duration::try_from(age).unwrap_or_default();
    match age.as_secs() / 60 {
        0..5 => Some("less than 5 min ago".to_owned()),
        minutes @ 5..60 => Some(format!("{} min ago", minutes / 5 * 5)),
        minutes => (age < RECENT).then(|| format!("{} h ago", minutes / 60)),
    }
}

#[cfg(test)]
mod tests;
