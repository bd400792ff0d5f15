//! A value with the place that it is written at.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::text::Position;

/// What the reader is asked for by this name is a line, a column and a value.
pub(super) const NAME: &str = "$pullgate::yaml::Spanned";

/// A value with the place that it is written at. Only this module's reader can fill it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What is written.
    pub value: T,
    /// Where.
    pub at: Position,
}

// === impl Spanned ===

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpannedVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let mut number = || parts.next_element::<usize>()?.ok_or_else(|| A::Error::custom("no place"));
                let at = Position { line: number()?, column: number()? };
                let value = parts.next_element()?.ok_or_else(|| A::Error::custom("no value"))?;
                Ok(Spanned { value, at })
            }
        }

        deserializer.deserialize_newtype_struct(NAME, SpannedVisitor(PhantomData))
    }
}
