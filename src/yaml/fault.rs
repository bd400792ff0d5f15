//! What is wrong with a field, as data and in the words of its reader.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::tree::Node;

/// What is wrong with which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The path from the decoded value, such as `spec.containers[0].image`; empty for the value itself.
    pub path: String,
    /// Offset in the text.
    pub at: Option<usize>,
    /// What is wrong. It does not repeat values, which may be secrets.
    pub fault: Fault,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another kind of value is wanted.
    Type {
        /// What is wanted.
        expected: String,
        /// What is there.
        found: &'static str,
    },
    /// A key that the type does not have.
    UnknownKey {
        /// Which.
        key: String,
        /// Those that it has.
        known: &'static [&'static str],
    },
    /// A word that is none of those that can stand there.
    UnknownWord {
        /// Which.
        word: String,
        /// Those that can.
        known: &'static [&'static str],
    },
    /// A key that the type needs.
    Missing(&'static str),
    /// Equal keys.
    Twice(String),
    /// Deeper than types are read.
    TooDeep,
    /// A string that does not hold what it has to hold.
    Content(String),
}

// === impl DecodeError ===

impl DecodeError {
    pub(super) fn at(mut self, node: Node<'_>) -> Self {
        self.at.get_or_insert(node.at());
        self
    }

    pub(super) fn below(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        Self { path: String::new(), at: None, fault }
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Type { .. } | Fault::Content(_) if !self.path.is_empty() => {
                write!(f, "{}: {}", self.path, self.fault)
            }
            _ => self.fault.fmt(f),
        }
    }
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::Content(message.to_string()).into()
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Fault::Type { expected: wanted(expected), found: found(unexpected) }.into()
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Fault::Content(format!("expected {}", wanted(expected))).into()
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownWord { word: word.to_owned(), known }.into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownKey { key: key.to_owned(), known }.into()
    }

    fn missing_field(key: &'static str) -> Self {
        Fault::Missing(key).into()
    }

    fn duplicate_field(key: &'static str) -> Self {
        Fault::Twice(key.to_owned()).into()
    }
}

// === impl Fault ===

impl Fault {
    /// The same without words of others, which may repeat the value.
    #[must_use]
    pub fn without_content(self) -> Self {
        match self {
            Self::Content(_) => Self::Content("the value is not what this field holds".to_owned()),
            other => other,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { expected, found }
                if expected == "a string" && !matches!(*found, "a list" | "a mapping" | "nothing") =>
            {
                write!(f, "expected a string, found {found}: put the value in quotes")
            }
            Self::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::UnknownKey { key, known } => write!(f, "unknown key {key:?}; known here: {}", known.join(", ")),
            Self::UnknownWord { word, known } => write!(f, "{word:?} is not known here: use {}", known.join(", ")),
            Self::Missing(key) => write!(f, "key {key:?} is missing"),
            Self::Twice(key) => write!(f, "key {key:?} is given twice"),
            Self::TooDeep => {
                write!(f, "lists and mappings stand in each other more than {} deep", super::decode::DEPTH)
            }
            Self::Content(words) => f.write_str(words),
        }
    }
}

fn found(unexpected: Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "another value",
    }
}

/// serde's names of types, in the words of a file.
fn wanted(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    match words.as_str() {
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "a borrowed string" | "string" => "a string".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number".to_owned(),
        words if words.starts_with("struct ") || words.ends_with(" map") => "a mapping".to_owned(),
        words => words.to_owned(),
    }
}
