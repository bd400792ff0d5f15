//! A manifest that resolves, and is served in a way that some runtimes cannot pull.
//!
//! containerd takes length and media type from HEAD: it refuses to fetch what has no length, stores nothing that has
//! another length than announced, and looks for a type that it does not know among the blobs (containerd/containerd
//! `core/remotes/handlers.go` `Fetch`, `core/content/helpers.go` `Copy`, `core/images/mediatypes.go`). CRI-O asks by GET,
//! counts itself, and reads the type with Go's parser (containers/image `docker/docker_image_src.go`).

use super::Draft;
use super::nodes::{Ground, Opinion};
use crate::finding::{Cause, Code, Finding};
use crate::nodes::Runtime;
use crate::nodes::content::ReadContent;
use crate::reference::Reference;
use crate::registry::failure::{Failure, Weight};
use crate::registry::manifest::{Manifest, Readers};
use crate::registry::node;

/// Judges how a manifest is served; `None` where every runtime of the nodes pulls it.
pub(super) fn finding(
    draft: &Draft<'_>,
    manifest: &Manifest,
    read: Option<&ReadContent>,
    ground: &Ground<'_>,
) -> Option<Finding> {
    let reference = draft.reference?;
    let (failure, fails) = flaw(manifest, read.map(|read| read.length), reference)?;
    let certain = match ground.opinion_where(draft.image, fails) {
        Opinion::Pulls => return None,
        Opinion::Differs => false,
        // What a node has already is not fetched, whatever length is announced.
        Opinion::Fails => failure.cause != Some(Cause::Length) || !ground.may_have(&manifest.digest),
    };
    let node = ground.line(|_| failure.node.clone(), reference);
    Some(Finding { node, ..draft.finding(failure.code, certain, Some(&failure)) })
}

/// Whether a runtime fails; `None` where that is not known.
type Fails = fn(Runtime) -> Option<bool>;

/// What is wrong with the way a manifest is served, and for which runtimes; the first of several.
fn flaw(manifest: &Manifest, length: Option<u64>, reference: &Reference) -> Option<(Failure, Fails)> {
    let host = reference.registry();
    let made = |cause, detail: String, node| Failure {
        code: Code::UnsupportedManifest,
        cause: Some(cause),
        weight: Weight::Final,
        ..Failure::nonsense(detail, node)
    };
    match (manifest.announced, manifest.length.or(length)) {
        (Some(0), _) => {
            let detail =
                format!("{host} answers HEAD with Content-Length: 0, and containerd fetches no manifest of 0 bytes");
            let line = node::no_length(reference, &manifest.digest);
            return Some((made(Cause::Length, detail, Some(line)), in_containerd));
        }
        (Some(announced), Some(length)) if announced != length => {
            let detail = format!(
                "{host} announces {announced} bytes in its answer to HEAD and sends {length}, and containerd stores \
                 no manifest whose length is another than announced"
            );
            return Some((made(Cause::Length, detail, None), in_containerd));
        }
        _ => {}
    }
    match manifest.readers {
        Readers::All => None,
        Readers::CriO => {
            let detail = format!(
                "{host} writes the media type of the manifest with capitals or blanks, and containerd compares it byte \
                 for byte"
            );
            Some((made(Cause::MediaType, detail, None), in_containerd))
        }
        Readers::Containerd => {
            let detail = format!("{host} sends the media type of the manifest with parameters that CRI-O cannot read");
            Some((made(Cause::MediaType, detail, None), in_cri_o))
        }
    }
}

/// Fails in containerd, and not in CRI-O.
pub(super) fn in_containerd(runtime: Runtime) -> Option<bool> {
    match runtime {
        Runtime::Containerd1 | Runtime::Containerd20 | Runtime::Containerd2 => Some(true),
        Runtime::CriO => Some(false),
        Runtime::Other => None,
    }
}

fn in_cri_o(runtime: Runtime) -> Option<bool> {
    in_containerd(runtime).map(|fails| !fails)
}
