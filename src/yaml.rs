//! The bytes of a file → the documents in it → types, each value with its place. Pure.
//!
//! One reader for everything that people write: manifests, `--cluster-from`, `--config` and plugin configuration. It
//! reads what `kubectl` reads, by the rules of the libraries behind it (`k8s.io/apimachinery` `pkg/util/yaml`,
//! `sigs.k8s.io/yaml`, `go.yaml.in/yaml/v2`): UTF-8 and UTF-16, streams of JSON objects, the words of YAML 1.1, the last
//! of several equal keys.
//!
//! A document is a flat list of entries of 16 bytes that point into the text ([`Tree`]), so a file of 100 MB costs about
//! two and a half times its size, aliases are never copied, and no depth of nesting meets the stack.

mod decode;
mod documents;
mod events;
mod fault;
mod json;
mod scalar;
mod spanned;
mod syntax;
mod text;
mod tree;

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub use self::decode::Dialect;
pub use self::fault::{DecodeError, Fault};
pub use self::spanned::Spanned;
pub use self::syntax::{Syntax, SyntaxError};
pub use self::text::{Position, Text};
pub use self::tree::{Kind, Node, Tree};

/// The documents of a text, in order; empty ones are skipped. What is wrong with one does not hide the others.
pub fn documents(text: &Arc<Text>) -> impl Iterator<Item = Result<Tree, SyntaxError>> + use<> {
    let mut parts = documents::Documents::new(text.as_str().len());
    let text = Arc::clone(text);
    let next = move || parts.next(text.as_str()).map(|part| read(&text, part));
    std::iter::from_fn(next).flatten()
}

/// A mistake in a text, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub at: Position,
    /// What is wrong and what would be right.
    pub sentence: String,
}

/// The one document of a text as a type; `None` where there is none.
///
/// # Errors
/// The first mistake.
pub fn single<T: DeserializeOwned>(bytes: &[u8], dialect: Dialect) -> Result<Option<T>, Mistake> {
    let text = Arc::new(Text::new(bytes.to_vec()));
    let mistake = |at, sentence| Mistake { at: text.position(at), sentence };
    if let Some(at) = text.undecodable() {
        return Err(mistake(at, "this is neither UTF-8 nor UTF-16 with a byte order mark".to_owned()));
    }
    let mut documents =
        documents(&text).map(|document| document.map_err(|error| mistake(error.at, error.syntax.to_string())));
    let Some(tree) = documents.next().transpose()? else { return Ok(None) };
    if let Some(second) = documents.next().transpose()? {
        return Err(mistake(second.root().at(), "the file holds a second document: keep one".to_owned()));
    }
    tree.root().decode(dialect).map(Some).map_err(|error| mistake(error.at.unwrap_or(0), error.to_string()))
}

/// What is in one part of the text: one document, or several JSON objects.
fn read(text: &Arc<Text>, part: Range<usize>) -> Vec<Result<Tree, SyntaxError>> {
    if u32::try_from(text.as_str().len()).is_err() {
        return vec![Err(SyntaxError { at: 0, syntax: Syntax::TooLarge })];
    }
    let mut found = Vec::new();
    let mut start = part.start;
    let broken = loop {
        start += blank(&text.as_str()[start..part.end]);
        if !text.as_str()[start..part.end].starts_with('{') {
            break None;
        }
        match json::read(text, start..part.end) {
            Ok((tree, end)) => {
                found.push(Ok(tree));
                start = end;
            }
            Err(error) => break Some(error),
        }
    };
    if broken.is_none() && !found.is_empty() && start == part.end {
        return found;
    }
    // Not JSON, or not to its end: YAML has braces as well.
    let mut rest = events::read(text, start..part.end);
    if let (Some(broken), Some(Err(error))) = (broken, rest.first_mut())
        && broken.at > error.at
        // A key without quotes: it is YAML, or a template.
        && broken.syntax != json::NO_KEY
    {
        *error = broken;
    }
    found.append(&mut rest);
    found
}

fn blank(text: &str) -> usize {
    text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

#[cfg(test)]
mod tests;
