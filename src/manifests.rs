//! The text of a file → the Kubernetes objects in it, each with the places of its fields. Pure.
//!
//! Everything that `kubectl apply -f` reads is read: YAML or JSON, one document or many, lists of objects.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

/// A file that was read: its name and its text. A clone is the same file.
#[derive(Clone, Debug)]
pub struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    text: String,
}

/// One object of a file. A clone is the same object.
#[derive(Clone, Debug)]
pub struct Object {
    source: Source,
    value: Arc<Value>,
}

/// A place in a file, as editors count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// What is wrong with one document or one object of a file. The others of the file are read all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The file's name, as given.
    pub file: Arc<str>,
    /// Where, if it is a place.
    pub position: Option<Position>,
    /// Kind and name of the object, where one is known.
    pub object: Option<Box<(String, String)>>,
    /// The path of the field, such as `spec.containers[0].image`, where a field is wrong.
    pub path: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

// === impl Source ===

impl Source {
    /// A file by the name that it was given, and its bytes.
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        Self(Arc::new(Inner { name: name.into(), text: String::from_utf8_lossy(bytes).into_owned() }))
    }

    /// The name that it was given.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The objects of the file, in order, and what is wrong with the others.
    pub fn objects(&self) -> impl Iterator<Item = Result<Object, ManifestError>> + use<> {
        let object = |value| Object { source: self.clone(), value: Arc::new(value) };
        match parse(&self.0.text, &self.0.name) {
            Ok(values) => values.into_iter().map(|value| Ok(object(value))).collect(),
            Err(error) => vec![Err(error)],
        }
        .into_iter()
    }

    fn error(&self, position: Option<Position>, problem: impl Into<String>) -> ManifestError {
        ManifestError { file: Arc::clone(&self.0.name), position, object: None, path: None, problem: problem.into() }
    }
}

// === impl Object ===

impl Object {
    /// The file.
    pub fn file(&self) -> &Arc<str> {
        self.source.name()
    }

    /// `apiVersion`, or nothing.
    pub fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// `metadata.name`, or nothing.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `metadata.generateName`, or nothing.
    pub fn generate_name(&self) -> &str {
        self.value["metadata"]["generateName"].as_str().unwrap_or_default()
    }

    /// `metadata.namespace`, if it names one.
    pub fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str()
    }

    /// The whole object as JSON.
    pub fn value(&self) -> Value {
        Value::clone(&self.value)
    }

    /// The object as a type. Strings borrow from the file where they can.
    ///
    /// # Errors
    /// The first field that is not what the type wants, with its path and its place in the file.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ManifestError> {
        // What serde says may repeat a value, which may be a secret.
        T::deserialize(&*self.value).map_err(|_| self.error("", "a field is not what its kind says"))
    }

    /// Where the value of a field is written, by its path as images name it: `spec.containers[0].image`. The nearest
    /// field around it where it is not written at all; `""` is the object itself.
    pub fn position(&self, path: &str) -> Option<Position> {
        let pointer = format!("/{}", path.replace(['[', '.'], "/").replace(']', ""));
        let image = self.value.pointer(&pointer).and_then(Value::as_str).filter(|image| !image.is_empty())?;
        let written = |line: &str| line.contains(image);
        let line = self.source.0.text.lines().position(written)?;
        Some(Position { line: line + 1, column: 1 })
    }

    /// What is wrong with a field of it, with its place in the file.
    pub fn error(&self, path: &str, problem: impl Into<String>) -> ManifestError {
        ManifestError {
            object: Some(Box::new((self.kind().to_owned(), self.name().to_owned()))),
            path: Some(path.to_owned()).filter(|path| !path.is_empty()),
            ..self.source.error(self.position(path), problem)
        }
    }
}

// === impl ManifestError ===

impl std::error::Error for ManifestError {}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        if let Some((kind, name)) = self.object.as_deref() {
            write!(f, " {kind} {name:?}:")?;
        }
        if let Some(path) = &self.path {
            write!(f, " {path}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

/// The objects of `text`, in order; empty documents are skipped. `file` appears in errors only.
pub fn parse(text: &str, file: &str) -> Result<Vec<Value>, ManifestError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let wrong = |position, problem| ManifestError { file: file.into(), position, object: None, path: None, problem };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let at = error.location().unwrap_or(serde_saphyr::Location::UNKNOWN);
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        let position = Position { line: count(at.line()), column: count(at.column()) };
        wrong(Some(position), without_place(&error.without_snippet().to_string()))
    })?;
    let mut objects = Vec::with_capacity(documents.len());
    for (index, mut document) in documents.into_iter().enumerate() {
        if document.is_null() {
            continue;
        }
        let Some(kind) = document.get("kind").and_then(Value::as_str) else {
            let problem = format!("document {} is no Kubernetes object: it has no kind", index + 1);
            return Err(wrong(None, problem));
        };
        if kind.ends_with("List") && document.get("items").is_some_and(Value::is_array) {
            if let Some(Value::Array(items)) = document.get_mut("items").map(Value::take) {
                objects.extend(items);
            }
        } else {
            objects.push(document);
        }
    }
    Ok(objects)
}

/// The parser repeats at its end the place that stands in front already.
fn without_place(reason: &str) -> String {
    reason.rsplit_once(" at line ").map_or(reason, |(reason, _)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_empty_documents_are_read() {
        let text = "---\nkind: Pod\n---\n---\n# nothing\n---\nkind: List\nitems:\n- kind: Secret\n- kind: Pod\n";
        let kinds: Vec<_> =
            parse(text, "f").unwrap().iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds, ["Pod", "Secret", "Pod"]);
        assert_eq!(parse(r#"{"kind":"Pod"}"#, "f").unwrap().len(), 1);
        assert!(parse("", "f").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_placed() {
        let error = parse("kind: Pod\n  bad: [", "pod.yaml").unwrap_err().to_string();
        assert!(error.starts_with("pod.yaml:2:"), "{error}");
        let error = parse("a: 1", "pod.yaml").unwrap_err().to_string();
        assert_eq!(error, "pod.yaml: document 1 is no Kubernetes object: it has no kind");
    }
}
