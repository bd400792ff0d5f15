//! The fields of an `AdmissionReview` and its request, written one by one into a struct that outlives the decoder, so
//! that a body which breaks off still gives what came before.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::workload::spec::Object;
use crate::workload::{Nullable, ObjectRef, Text};

/// Everything that was read; what was not is empty.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) api_version: Text<'a>,
    pub(super) kind: Text<'a>,
    pub(super) uid: Text<'a>,
    pub(super) kind_of_object: GroupVersion<'a>,
    pub(super) resource: GroupVersion<'a>,
    pub(super) subresource: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) namespace: Text<'a>,
    pub(super) operation: Text<'a>,
    pub(super) username: Text<'a>,
    pub(super) dry_run: bool,
    pub(super) object: Option<Object<'a>>,
    pub(super) old_object: Option<Object<'a>>,
}

/// `request.kind` or `request.resource`: what the webhook's rule matched, after conversion.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GroupVersion<'a> {
    #[serde(borrow)]
    group: Text<'a>,
    version: Text<'a>,
    kind: Text<'a>,
    resource: Text<'a>,
}

/// `request.userInfo`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo<'a> {
    #[serde(borrow)]
    username: Text<'a>,
}

/// Where in the body the decoder is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Review,
    Request,
}

/// Reads one level into the envelope.
struct Fill<'e, 'a> {
    envelope: &'e mut Envelope<'a>,
    level: Level,
    objects: bool,
}

// === impl Envelope ===

impl<'a> Envelope<'a> {
    /// Reads all of it.
    pub(super) fn read(&mut self, body: &'a [u8]) -> Result<(), serde_json::Error> {
        self.fill(body, true)
    }

    /// Reads everything but the objects, for a body whose objects are not what they should be.
    pub(super) fn read_without_objects(&mut self, body: &'a [u8]) -> Result<(), serde_json::Error> {
        self.object = None;
        self.old_object = None;
        self.fill(body, false)
    }

    fn fill(&mut self, body: &'a [u8], objects: bool) -> Result<(), serde_json::Error> {
        let fill = Fill { envelope: self, level: Level::Review, objects };
        // One validation of the whole is faster than one for each string; a body that fails it goes the slow way.
        if let Ok(text) = std::str::from_utf8(body) {
            let mut json = serde_json::Deserializer::from_str(text);
            fill.deserialize(&mut json)?;
            json.end()
        } else {
            let mut json = serde_json::Deserializer::from_slice(body);
            fill.deserialize(&mut json)?;
            json.end()
        }
    }

    /// The object by name; `generateName*` while the API server has not chosen one.
    pub(super) fn object_ref(&self) -> ObjectRef {
        let GroupVersion { group, version, kind, resource: _ } = &self.kind_of_object;
        let api_version = if group.is_empty() { version.to_string() } else { format!("{}/{}", &**group, &**version) };
        let metadata = self.object.as_ref().or(self.old_object.as_ref()).map(|object| &*object.metadata);
        let name = match metadata {
            _ if !self.name.is_empty() => self.name.to_string(),
            Some(metadata) if !metadata.name.is_empty() => metadata.name.to_string(),
            Some(metadata) if !metadata.generate_name.is_empty() => format!("{}*", &*metadata.generate_name),
            _ => String::new(),
        };
        ObjectRef { api_version, kind: kind.to_string(), namespace: self.namespace.to_string(), name }
    }
}

// === impl GroupVersion ===

impl GroupVersion<'_> {
    /// Whether this resource serves that kind under its own name, as all kinds that pullgate knows do. A request that
    /// does not name its resource is taken at the word of its kind.
    pub(super) fn is_plural_of(&self, kind: &Self) -> bool {
        self.resource.is_empty()
            || (self.group == kind.group
                && self.resource.strip_suffix('s').is_some_and(|singular| singular.eq_ignore_ascii_case(&kind.kind)))
    }
}

// === impl Fill ===

impl<'de: 'a, 'a> DeserializeSeed<'de> for Fill<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Fill<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Review => "an AdmissionReview",
            Level::Request => "an admission request",
        })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { envelope, level, objects } = self;
        while let Some(key) = map.next_key::<Text<'_>>()? {
            match (level, &*key) {
                (Level::Review, "apiVersion") => envelope.api_version = map.next_value()?,
                (Level::Review, "kind") => envelope.kind = map.next_value()?,
                (Level::Review, "request") => {
                    map.next_value_seed(Fill { envelope: &mut *envelope, level: Level::Request, objects })?;
                }
                (Level::Request, "uid") => envelope.uid = map.next_value()?,
                (Level::Request, "kind") => envelope.kind_of_object = map.next_value::<Nullable<_>>()?.0,
                (Level::Request, "resource") => envelope.resource = map.next_value::<Nullable<_>>()?.0,
                (Level::Request, "subResource") => envelope.subresource = map.next_value()?,
                (Level::Request, "name") => envelope.name = map.next_value()?,
                (Level::Request, "namespace") => envelope.namespace = map.next_value()?,
                (Level::Request, "operation") => envelope.operation = map.next_value()?,
                (Level::Request, "userInfo") => {
                    envelope.username = map.next_value::<Nullable<UserInfo<'_>>>()?.0.username;
                }
                (Level::Request, "dryRun") => envelope.dry_run = map.next_value::<Nullable<_>>()?.0,
                (Level::Request, "object") if objects => envelope.object = map.next_value()?,
                (Level::Request, "oldObject") if objects => envelope.old_object = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
