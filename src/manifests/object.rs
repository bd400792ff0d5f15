//! One object of a file: what it says, and where it says it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Source;
use super::error::{ManifestError, Problem};
use crate::yaml::{DecodeError, Dialect, Node, Position, Tree};

/// One object of a file. A clone is the same object.
#[derive(Clone, Debug)]
pub struct Object {
    source: Source,
    tree: Arc<Tree>,
    index: u32,
    inherited: Option<Arc<Inherited>>,
}

/// What the entries of a list are that do not say it.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) api_version: String,
    pub(super) kind: String,
}

// === impl Object ===

impl Object {
    pub(super) fn new(source: Source, tree: Arc<Tree>, index: u32, inherited: Option<Arc<Inherited>>) -> Self {
        Self { source, tree, index, inherited }
    }

    /// Another object of the same document.
    pub(super) fn entry(&self, index: u32, inherited: &Arc<Inherited>) -> Self {
        Self { index, inherited: Some(Arc::clone(inherited)), ..self.clone() }
    }

    pub(super) fn node(&self) -> Node<'_> {
        self.tree.node(self.index)
    }

    /// The file.
    pub fn file(&self) -> &Arc<str> {
        self.source.name()
    }

    /// `apiVersion`, or nothing.
    pub fn api_version(&self) -> &str {
        self.own("apiVersion").or_else(|| self.inherited().map(|list| &*list.api_version)).unwrap_or_default()
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.own("kind").or_else(|| self.inherited().map(|list| &*list.kind)).unwrap_or_default()
    }

    /// `metadata.name`, or nothing.
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// `metadata.generateName`, or nothing.
    pub fn generate_name(&self) -> &str {
        self.metadata("generateName").unwrap_or_default()
    }

    /// `metadata.namespace`, if it names one.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace").filter(|namespace| !namespace.is_empty())
    }

    /// The whole object as JSON. What lies deeper than 500 levels is left out.
    pub fn value(&self) -> Value {
        let mut value = self.node().json();
        if let (Some(list), Value::Object(fields)) = (self.inherited(), &mut value) {
            fields.insert("apiVersion".to_owned(), list.api_version.clone().into());
            fields.insert("kind".to_owned(), list.kind.clone().into());
        }
        value
    }

    /// The object as a type. Strings borrow from the file where they can.
    ///
    /// # Errors
    /// The first field that is not what the type wants, with its path and its place in the file. Values are not
    /// repeated: they may be secrets.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ManifestError> {
        self.node().decode(Dialect::Manifest).map_err(|DecodeError { path, at, fault }| {
            let at = at.unwrap_or_else(|| self.node().at());
            self.described(Some(path), self.source.error(at, Problem::Field(fault.without_content())))
        })
    }

    /// Where the value of a field is written, by its path as images name it: `spec.containers[0].image`. The nearest
    /// field around it where it is not written at all; `""` is the object itself.
    pub fn position(&self, path: &str) -> Option<Position> {
        Some(self.field(path).position())
    }

    /// What is wrong with a field of it, with its place in the file.
    pub fn error(&self, path: &str, problem: impl Into<Problem>) -> ManifestError {
        self.described(Some(path.to_owned()), self.source.error(self.field(path).at(), problem.into()))
    }

    fn described(&self, path: Option<String>, error: ManifestError) -> ManifestError {
        ManifestError {
            object: Some(Box::new((self.kind().to_owned(), self.name().to_owned()))),
            path: path.filter(|path| !path.is_empty()).map(Into::into),
            ..error
        }
    }

    fn field(&self, path: &str) -> Node<'_> {
        let (mut node, mut path) = (self.node(), path);
        while let Some((next, rest)) = step(node, path.trim_start_matches('.')) {
            (node, path) = (next, rest);
        }
        node
    }

    fn own(&self, key: &str) -> Option<&str> {
        self.node().get(key)?.text().filter(|text| !text.is_empty())
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.node().get("metadata")?.get(key)?.text()
    }

    /// What the list says of it, if it says nothing itself.
    fn inherited(&self) -> Option<&Inherited> {
        self.inherited.as_deref().filter(|_| self.own("apiVersion").is_none() && self.own("kind").is_none())
    }
}

/// The field that a path begins with, and the rest of the path. A key may have dots and brackets in it, so the longest
/// one that fits is meant; `["a.b"]` is one too.
fn step<'p, 't>(node: Node<'t>, path: &'p str) -> Option<(Node<'t>, &'p str)> {
    if let Some(index) = path.strip_prefix('[') {
        let (index, rest) = index.split_once(']')?;
        return match index.parse() {
            Ok(index) => node.items().nth(index).map(|item| (item, rest)),
            Err(_) => Some((node.get(index.trim_matches('"'))?, rest)),
        };
    }
    let fits = |key: &str| path.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let pairs = node.pairs().into_iter().filter(|pair| !pair.key.is_empty());
    let pairs = pairs.filter_map(|pair| Some((pair.value, fits(pair.key)?)));
    pairs.min_by_key(|(_, rest)| rest.len())
}
