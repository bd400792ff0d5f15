//! The text of a file → the Kubernetes objects in it, each with the places of its fields. Pure.
//!
//! Everything that `kubectl apply -f` reads is read ([`crate::yaml`]): YAML or JSON, one document or many, lists of
//! objects. What is wrong with one object is data and does not hide the others.

mod error;
mod lists;
mod object;
mod versions;

use std::sync::Arc;

pub use self::error::{ManifestError, Problem};
pub use self::object::Object;
pub use self::versions::served_version;
pub use crate::yaml::Position;
use crate::yaml::{self, SyntaxError, Text};

/// A file that was read: its name and its text. A clone is the same file.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    text: Arc<Text>,
}

// === impl Source ===

impl Source {
    /// A file by the name that it was given, and its bytes.
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), text: Arc::new(Text::new(bytes.into())) }
    }

    /// The name that it was given.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.text.as_str()
    }

    /// The objects of the file, in order, and what is wrong with the others. Documents are read one after the other, as
    /// they are asked for.
    pub fn objects(&self) -> impl Iterator<Item = Result<Object, ManifestError>> + use<> {
        let source = self.clone();
        yaml::documents(&self.text).flat_map(move |document| match document {
            Ok(tree) => lists::objects(&source, Arc::new(tree)),
            Err(SyntaxError { at, syntax }) => vec![Err(source.error(at, Problem::Syntax(syntax)))],
        })
    }

    fn error(&self, at: usize, problem: Problem) -> ManifestError {
        ManifestError {
            file: Arc::clone(&self.name),
            position: self.text.position(at),
            object: None,
            path: None,
            problem,
            undecodable: self.text.undecodable().map(|at| Box::new(self.text.position(at))),
        }
    }
}

#[cfg(test)]
mod tests;
