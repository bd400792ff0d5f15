//! The Kubernetes API's own types, walked: no field of a pod names an image that pullgate does not read.
//!
//! A deserializer that has no input offers every struct all the fields it asks for, and so learns their paths.

use std::cell::RefCell;

use k8s_openapi::api::core::v1::PodSpec;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as _, forward_to_deserialize_any};

/// A place in a type. Every value below it is asked for once.
struct Walk<'w> {
    path: String,
    found: &'w RefCell<Vec<String>>,
}

/// The fields of a struct, or the one element of a list or map.
struct Inside<'w> {
    keys: std::slice::Iter<'static, &'static str>,
    path: String,
    found: &'w RefCell<Vec<String>>,
}

// === impl Walk ===

impl<'w> Walk<'w> {
    fn inside(self, keys: &'static [&'static str]) -> Inside<'w> {
        Inside { keys: keys.iter(), path: self.path, found: self.found }
    }
}

impl<'de> Deserializer<'de> for Walk<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(self.inside(fields))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self.inside(&["*"]))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self.inside(&["[]"]))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(false)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i32(0)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(0)
    }

    /// A string, as far as the caller lets see.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.found.borrow_mut().push(self.path);
        // The one string that every type takes, times included.
        visitor.visit_str("2027-01-15T08:00:00Z")
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

// === impl Inside ===

impl<'de> MapAccess<'de> for Inside<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let key: Option<StrDeserializer<'static, Error>> =
            self.keys.as_slice().first().map(|key| key.into_deserializer());
        key.map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let key = self.keys.next().copied().unwrap_or_default();
        seed.deserialize(Walk { path: format!("{}.{key}", self.path), found: self.found })
    }
}

impl<'de> SeqAccess<'de> for Inside<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(key) = self.keys.next() else { return Ok(None) };
        seed.deserialize(Walk { path: format!("{}{key}", self.path), found: self.found }).map(Some)
    }
}

#[test]
fn no_other_field_of_a_pod_names_an_image() {
    let found = RefCell::new(Vec::new());
    PodSpec::deserialize(Walk { path: "spec".to_owned(), found: &found }).unwrap();
    let mut images = found.into_inner();
    assert!(images.len() > 300, "the walk goes through the whole of a pod: {}", images.len());
    images.retain(|path| path.to_ascii_lowercase().contains("image"));
    images.sort();
    let expected = [
        "spec.containers[].image",
        "spec.containers[].imagePullPolicy",
        "spec.ephemeralContainers[].image",
        "spec.ephemeralContainers[].imagePullPolicy",
        "spec.imagePullSecrets[].name",
        "spec.initContainers[].image",
        "spec.initContainers[].imagePullPolicy",
        "spec.volumes[].image.pullPolicy",
        "spec.volumes[].image.reference",
        // A block device of Ceph: nothing that a runtime pulls.
        "spec.volumes[].rbd.image",
    ];
    assert_eq!(images, expected);
}
