//! The value of a pull secret to its entries, or the error that fails every pull of the pod
//! (kubernetes/kubernetes `pkg/credentialprovider/config.go`).

use std::collections::BTreeMap;

use super::Credential;
use super::go_base64;
use crate::go_json::{Kind, Value, name_matches, type_error};

/// Which of the two JSON shapes a Secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"auths": {name: entry}}`.
    DockerConfigJson,
    /// `{name: entry}`.
    DockerCfg,
}

/// A value that Go cannot decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Go's text.
    pub(super) go_error: String,
    /// The name of the entry at fault, if it is one entry's.
    pub(super) entry: Option<String>,
    /// The byte of the value at which it stops being JSON, if that is the fault.
    pub(super) byte: Option<usize>,
}

type Entries = BTreeMap<String, Credential>;

/// Decodes the value of a Secret to its entries by name.
///
/// # Errors
/// The first error that Go would return: an entry's aborts the walk, a wrong type elsewhere is reported at its end.
pub(super) fn decode(shape: Shape, value: &[u8]) -> Result<Entries, Malformed> {
    let whole = |go_error| Malformed { go_error, entry: None, byte: None };
    let document = Value::parse(value).map_err(|(text, byte)| Malformed { byte: Some(byte), ..whole(text) })?;
    let mut entries = Entries::new();
    let mut wrong_type = None;
    match (shape, document.kind()) {
        (_, Kind::Null) => {}
        (Shape::DockerCfg, Kind::Object) => decode_entries(document, None, &mut entries)?,
        (Shape::DockerConfigJson, Kind::Object) => {
            for (name, value) in document.members() {
                if name_matches(&name, "auths") {
                    match value.kind() {
                        Kind::Null => entries.clear(),
                        // A repeated member adds to the same map.
                        Kind::Object => decode_entries(value, Some("DockerConfigJSON.auths"), &mut entries)?,
                        kind => {
                            let context = Some("DockerConfigJSON.auths");
                            wrong_type.get_or_insert(type_error(
                                kind.as_str(),
                                context,
                                "credentialprovider.DockerConfig",
                            ));
                        }
                    }
                } else if name_matches(&name, "HttpHeaders")
                    && let Some(error) = http_headers_error(value)
                {
                    wrong_type.get_or_insert(error);
                }
            }
        }
        (Shape::DockerCfg, kind) => {
            wrong_type = Some(type_error(kind.as_str(), None, "credentialprovider.DockerConfig"));
        }
        (Shape::DockerConfigJson, kind) => {
            wrong_type = Some(type_error(kind.as_str(), None, "credentialprovider.DockerConfigJSON"));
        }
    }
    match wrong_type {
        Some(go_error) => Err(whole(go_error)),
        None => Ok(entries),
    }
}

fn decode_entries(object: Value<'_>, context: Option<&str>, entries: &mut Entries) -> Result<(), Malformed> {
    for (name, value) in object.members() {
        match decode_entry(value, context) {
            Ok(credential) => entries.insert(name, credential),
            Err(go_error) => {
                return Err(Malformed { go_error, entry: Some(name), byte: None });
            }
        };
    }
    Ok(())
}

fn decode_entry(entry: Value<'_>, context: Option<&str>) -> Result<Credential, String> {
    if !matches!(entry.kind(), Kind::Object | Kind::Null) {
        return Err(type_error(entry.kind().as_str(), context, "credentialprovider.dockerConfigEntryWithAuth"));
    }
    let mut fields =
        [("username", String::new()), ("password", String::new()), ("email", String::new()), ("auth", String::new())];
    let mut wrong_type = None;
    // No field of the kubelet's: only known to be able to say why an entry is no login.
    let mut identity_token = false;
    for (name, value) in entry.members() {
        identity_token |= name_matches(&name, "identitytoken") && value.kind() == Kind::String;
        let Some((field, text)) = fields.iter_mut().find(|(field, _)| name_matches(&name, field)) else {
            continue;
        };
        match value.kind() {
            Kind::String => *text = value.unquoted(),
            // Go leaves a string alone.
            Kind::Null => {}
            kind => {
                let path = format!("{}.{field}", context.unwrap_or("dockerConfigEntryWithAuth"));
                wrong_type.get_or_insert(type_error(kind.as_str(), Some(&path), "string"));
            }
        }
    }
    if let Some(error) = wrong_type {
        return Err(error);
    }
    let [(_, username), (_, password), _, (_, auth)] = fields;
    let credential = if auth.is_empty() { Ok(Credential::new(username, password)) } else { decode_auth(&auth) };
    credential.map(|credential| credential.with_identity_token(identity_token))
}

/// Decodes the `auth` field. A part that is not UTF-8 gets replacement characters; a kubelet could not even hand it to
/// its runtime.
fn decode_auth(field: &str) -> Result<Credential, String> {
    let padded = field.trim().ends_with('=');
    let decoded = go_base64::decode(field.as_bytes(), padded)
        .map_err(|offset| format!("illegal base64 data at input byte {offset}"))?;
    let text = String::from_utf8_lossy(&decoded);
    let (username, password) =
        text.split_once(':').ok_or("unable to parse auth field, must be formatted as base64(username:password)")?;
    Ok(Credential::new(username, password))
}

fn http_headers_error(value: Value<'_>) -> Option<String> {
    let context = Some("DockerConfigJSON.HttpHeaders");
    match value.kind() {
        Kind::Null => None,
        Kind::Object => value
            .members()
            .map(|(_, value)| value.kind())
            .find(|kind| !matches!(kind, Kind::String | Kind::Null))
            .map(|kind| type_error(kind.as_str(), context, "string")),
        kind => Some(type_error(kind.as_str(), context, "map[string]string")),
    }
}

#[cfg(test)]
mod tests;
