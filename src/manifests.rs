//! YAML or JSON text, one document or many, `List` kinds included → the objects in it. Pure.

use serde_json::Value;

/// Text that holds no objects.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Neither YAML nor JSON.
    #[error("{file}:{line}:{column}: {reason}")]
    Syntax {
        /// As given.
        file: String,
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// What the parser said.
        reason: String,
    },
    /// A document that is no object.
    #[error("{file}: document {number} is no Kubernetes object: it has no kind")]
    NoKind {
        /// As given.
        file: String,
        /// From 1.
        number: usize,
    },
}

/// The objects of `text`, in order; empty documents are skipped. `file` appears in errors only.
pub fn parse(text: &str, file: &str) -> Result<Vec<Value>, ManifestError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let at = error.location().unwrap_or(serde_saphyr::Location::UNKNOWN);
        ManifestError::Syntax {
            file: file.to_owned(),
            line: at.line().max(1),
            column: at.column().max(1),
            reason: without_place(&error.without_snippet().to_string()),
        }
    })?;
    let mut objects = Vec::with_capacity(documents.len());
    for (index, mut document) in documents.into_iter().enumerate() {
        if document.is_null() {
            continue;
        }
        let Some(kind) = document.get("kind").and_then(Value::as_str) else {
            return Err(ManifestError::NoKind { file: file.to_owned(), number: index + 1 });
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
