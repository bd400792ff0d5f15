//! A document → the objects in it: itself, or the entries of a list, of a list in a list as well.
//!
//! A list is what has `items`. Entries of a `PodList` that name no kind are Pods
//! (kubernetes/apimachinery `pkg/apis/meta/v1/unstructured/unstructured.go`).

use std::sync::Arc;

use super::Source;
use super::error::{ManifestError, Problem};
use super::object::{Inherited, Object};
use crate::yaml::{Kind, Tree};

/// The objects of a document, in order.
pub(super) fn objects(source: &Source, tree: Arc<Tree>) -> Vec<Result<Object, ManifestError>> {
    let mut found = Vec::new();
    let root = tree.root().index();
    let mut rest = vec![Object::new(source.clone(), tree, root, None)];
    while let Some(object) = rest.pop() {
        if object.node().kind() != Kind::Map {
            found.push(Err(source.error(object.node().at(), Problem::NoObject(object.node().kind().name()))));
        } else if object.kind().is_empty() {
            found.push(Err(source.error(object.node().at(), Problem::NoKind)));
        } else if let Some(mut entries) = entries(&object) {
            entries.reverse();
            rest.append(&mut entries);
        } else {
            found.push(Ok(object));
        }
    }
    found
}

/// The entries of a list; `None` for any other object.
fn entries(list: &Object) -> Option<Vec<Object>> {
    let items = list.node().get("items")?;
    match items.kind() {
        Kind::List => {}
        Kind::Null if list.kind().ends_with("List") => return Some(Vec::new()),
        _ => return None,
    }
    let kind = list.kind().strip_suffix("List").unwrap_or(list.kind()).to_owned();
    let inherited = Arc::new(Inherited { api_version: list.api_version().to_owned(), kind });
    Some(items.items().map(|item| list.entry(item.index(), &inherited)).collect())
}
