//! A Secret as people write it → the pull secret that an API server would store.
//!
//! `data` is base64 as Go's `encoding/json` reads it into bytes: line ends in it are passed over, so that the output of
//! `base64` without `-w0` is sound (golang/go `src/encoding/base64/base64.go`). `stringData` goes over `data`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cluster::stored;
use crate::credentials::{PullSecret, go_base64};
use crate::manifests::{ManifestError, Object};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretObject {
    r#type: Option<String>,
    immutable: Option<bool>,
    data: Option<BTreeMap<String, Option<String>>>,
    string_data: Option<BTreeMap<String, Option<String>>>,
}

/// Decodes a Secret.
///
/// # Errors
/// Which field is wrong, and for base64 at which byte; never a value.
pub(super) fn decode(object: &Object) -> Result<PullSecret, ManifestError> {
    let SecretObject { r#type, immutable, data, string_data } = object.decode()?;
    let mut bytes = BTreeMap::new();
    for (key, value) in data.into_iter().flatten() {
        let value = value.unwrap_or_default();
        let decoded = go_base64::decode(value.as_bytes(), true).map_err(|byte| {
            let problem = format!(
                "the value of {key:?} is not base64: illegal base64 data at input byte {byte}; \
                 encode it with base64 -w0, or write it as text under stringData"
            );
            object.error(&format!("data[{key:?}]"), problem)
        })?;
        bytes.insert(key, decoded);
    }
    let text = string_data.into_iter().flatten().map(|(key, value)| (key, value.unwrap_or_default().into_bytes()));
    bytes.extend(text);
    Ok(stored(object.name().to_owned(), r#type, immutable, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::Source;

    fn decoded(fields: &str) -> Result<Option<Vec<u8>>, String> {
        let text = format!("kind: Secret\napiVersion: v1\nmetadata: {{ name: s }}\n{fields}\n");
        let source = Source::new("f.yaml", text.as_bytes());
        let object = source.objects().next().unwrap().unwrap();
        let secret = decode(&object).map_err(|error| error.to_string())?;
        Ok(secret.value(".dockercfg").map(<[u8]>::to_vec))
    }

    #[test]
    fn base64_is_read_as_go_reads_it() {
        for (fields, expected) in [
            ("data: { .dockercfg: aHVudGVyMg== }", &b"hunter2"[..]),
            ("data: { .dockercfg: \"aHVu\\ndGVy\\r\\nMg==\\n\" }", b"hunter2"),
            ("data:\n  .dockercfg: |\n    aHVu\n    dGVyMg==\n", b"hunter2"),
            ("data:\n  .dockercfg: |-\n    aHVudGVyMg=\n    =\n", b"hunter2"),
            // Bits left over are nobody's business.
            ("data: { .dockercfg: aHVudGVyMh== }", b"hunter2"),
            ("data: { .dockercfg: }", b""),
            ("data: { .dockercfg: e30= }\nstringData: { .dockercfg: hunter2 }", b"hunter2"),
            ("data:\nstringData: { .dockercfg: hunter2 }", b"hunter2"),
        ] {
            assert_eq!(decoded(fields).unwrap().unwrap(), expected, "{fields}");
        }
    }

    #[test]
    fn what_is_no_base64_is_named_with_its_byte_and_not_shown() {
        for (value, byte) in
            [("hunter2!", 7), ("'aHVu dGVy'", 4), ("'{\"a\": 1}'", 0), ("aHVudGVyMg", 8), ("aHVudGVy-_", 8)]
        {
            let error = decoded(&format!("data: {{ .dockercfg: {value} }}")).unwrap_err();
            let expected =
                format!("the value of \".dockercfg\" is not base64: illegal base64 data at input byte {byte}; ");
            assert!(error.contains(&expected) && error.contains("Secret \"s\""), "{value}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("aHVu"), "{error}");
        }
        assert!(decoded("data: { .dockercfg: 5 }").is_err());
        assert!(decoded("data: [a]").is_err());
    }
}
