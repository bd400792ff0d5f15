//! A manifest that is there, and served in a way that some runtimes cannot pull.

use crate::finding::{Cause, Code};
use crate::registry::failure::Failure;

/// What happened, and the same in fewer words; `None` where the way it is served is not the matter.
pub(super) fn sentences(code: Code, certain: bool, failure: Option<&Failure>) -> Option<(String, Option<String>)> {
    let failure = failure.filter(|_| code == Code::UnsupportedManifest)?;
    let short = match failure.cause {
        Some(Cause::Length) => "the registry announces a wrong length",
        Some(Cause::MediaType) => "the registry sends a media type that not every runtime reads",
        _ => return None,
    };
    let pulled = if certain { "cannot be pulled" } else { "cannot be pulled by every runtime" };
    let what = failure.detail.as_deref().map_or_else(|| pulled.to_owned(), |detail| format!("{pulled}: {detail}"));
    Some((what, Some(format!("{pulled}: {short}"))))
}

/// What whoever runs the registry has to change; `None` as for [`sentences`].
pub(super) fn fix(failure: Option<&Failure>, host: &str) -> Option<String> {
    let what = match failure?.cause {
        Some(Cause::Length) => "announces the manifest's own length in its answer to HEAD",
        Some(Cause::MediaType) => "sends the manifest's media type as the specification writes it",
        _ => return None,
    };
    Some(format!(
        "ask the owners of {host}: the registry, or the proxy in front of it, has to see to it that it {what}"
    ))
}
