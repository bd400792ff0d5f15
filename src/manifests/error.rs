//! What is wrong with one document or one object of a file.

use std::fmt;
use std::sync::Arc;

use crate::yaml::{Fault, Position, Syntax};

/// What is wrong with one document or one object of a file. The others of the file are read all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The file's name, as given.
    pub file: Arc<str>,
    /// Where.
    pub position: Position,
    /// Kind and name of the object, where one is known.
    pub object: Option<Box<(String, String)>>,
    /// The path of the field, such as `spec.containers[0].image`, where a field is wrong.
    pub path: Option<Box<str>>,
    /// What is wrong.
    pub problem: Problem,
    /// Where the file holds bytes that are no text, if it does.
    pub undecodable: Option<Box<Position>>,
}

/// What is wrong with a document or an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is neither YAML nor JSON.
    Syntax(Syntax),
    /// It is no mapping, but this.
    NoObject(&'static str),
    /// It has no kind.
    NoKind,
    /// A field is not what the kind wants.
    Field(Fault),
    /// A kind of Kubernetes' own under an `apiVersion` that no supported cluster serves.
    NotServed {
        /// As it is written.
        api_version: String,
        /// The `apiVersion` that is served.
        served: &'static str,
    },
}

impl From<String> for Problem {
    /// What is wrong with a field, in words of one's own.
    fn from(words: String) -> Self {
        Self::Field(Fault::Content(words))
    }
}

impl std::error::Error for ManifestError {}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        write!(f, "{}:{line}:{column}:", self.file)?;
        if let Some((kind, name)) = self.object.as_deref() {
            write!(f, " {kind} {name:?}:")?;
        }
        if let Some(path) = &self.path {
            write!(f, " {path}:")?;
        }
        write!(f, " {}", self.problem)?;
        if let Some(Position { line, column }) = self.undecodable.as_deref() {
            write!(
                f,
                "; from line {line}, column {column} on the file is neither UTF-8 nor UTF-16 with a byte order mark"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(syntax) => syntax.fmt(f),
            Self::NoObject(found) => {
                write!(f, "this is no Kubernetes object: expected a mapping with apiVersion and kind, found {found}")
            }
            Self::NoKind => f.write_str("this is no Kubernetes object: it has no kind"),
            Self::Field(fault) => fault.fmt(f),
            Self::NotServed { api_version, served } if api_version.is_empty() => {
                write!(f, "an apiVersion is missing: write apiVersion: {served}")
            }
            Self::NotServed { api_version, served } => {
                write!(
                    f,
                    "no supported version of Kubernetes serves {api_version} for this kind: write apiVersion: {served}"
                )
            }
        }
    }
}
