//! A value of a document → a type, or what is wrong with which field.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, U64Deserializer};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::fault::{DecodeError, Fault};
use super::spanned;
use super::tree::{Kind, Node, Pair};

/// Lists and mappings in each other that a type may ask for. Fields that no type asks for may be deeper.
pub(super) const DEPTH: usize = 128;

/// Who else reads the same text, and how strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `kubectl`: of equal keys the last counts.
    Manifest,
    /// The kubelet's own configuration: equal keys are a mistake.
    Strict,
    /// pullgate alone: equal keys are a mistake, and where a word is asked for, `off` and `5` are words.
    Own,
}

// === impl Node ===

impl<'t> Node<'t> {
    /// The value as a type. Strings borrow from the document.
    ///
    /// # Errors
    /// The first field that is not what the type wants.
    pub fn decode<T: Deserialize<'t>>(self, dialect: Dialect) -> Result<T, DecodeError> {
        T::deserialize(Reader { node: self, dialect, depth: DEPTH })
    }
}

/// One value, on its way into a type.
#[derive(Clone, Copy)]
struct Reader<'t> {
    node: Node<'t>,
    dialect: Dialect,
    /// Levels that may still follow.
    depth: usize,
}

struct Items<'t, I> {
    nodes: I,
    parent: Reader<'t>,
    index: usize,
}

struct Pairs<'t> {
    rest: std::vec::IntoIter<Pair<'t>>,
    parent: Reader<'t>,
    current: Option<Pair<'t>>,
}

/// Line, column, value.
struct Placed<'t> {
    reader: Reader<'t>,
    part: u8,
}

/// A word that stands for a variant.
struct Word<'t>(Reader<'t>, &'t str);

// === impl Reader ===

impl<'t> Reader<'t> {
    fn inner(self, node: Node<'t>) -> Result<Self, DecodeError> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| DecodeError::from(Fault::TooDeep).at(node))?;
        Ok(Self { node, depth, ..self })
    }

    /// A string, or in one's own dialect any scalar as it is written.
    fn word(self) -> Option<&'t str> {
        match self.node.kind() {
            Kind::Text(text) => Some(text),
            Kind::Bool(_) | Kind::Int(_) | Kind::Uint(_) | Kind::Float(_) if self.dialect == Dialect::Own => {
                self.node.raw()
            }
            _ => None,
        }
    }

    fn pairs(self) -> Result<Pairs<'t>, DecodeError> {
        let pairs = self.node.pairs();
        if self.dialect != Dialect::Manifest {
            let mut seen = std::collections::HashSet::new();
            for Pair { key, at, .. } in self.node.written_pairs() {
                if !seen.insert(key) {
                    return Err(DecodeError { at: Some(at), ..Fault::Twice(key.to_owned()).into() });
                }
            }
        }
        Ok(Pairs { rest: pairs.into_iter(), parent: self, current: None })
    }

    fn any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.kind() {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(word) => visitor.visit_bool(word),
            Kind::Int(number) => match u64::try_from(number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(number),
            },
            Kind::Uint(number) => visitor.visit_u64(number),
            Kind::Float(number) => visitor.visit_f64(number),
            Kind::Text(text) => visitor.visit_borrowed_str(text),
            Kind::List => visitor.visit_seq(Items { nodes: self.node.items(), parent: self, index: 0 }),
            Kind::Map => visitor.visit_map(self.pairs()?),
        }
    }

    fn string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.word() {
            Some(word) => visitor.visit_borrowed_str(word),
            None => self.any(visitor),
        }
    }
}

impl<'t> Deserializer<'t> for Reader<'t> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.any(visitor).map_err(|error| error.at(self.node))
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.string(visitor).map_err(|error| error.at(self.node))
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.kind() == Kind::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == spanned::NAME {
            visitor.visit_seq(Placed { reader: self, part: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.kind() {
            Kind::List => self.any(visitor),
            other => Err(unlike("a list", other)),
        }
        .map_err(|error| error.at(self.node))
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.kind() {
            Kind::Map => self.any(visitor),
            other => Err(unlike("a mapping", other)),
        }
        .map_err(|error| error.at(self.node))
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.word() {
            Some(word) => visitor.visit_enum(Word(self, word)),
            None => Err(unlike("one word", self.node.kind())),
        }
        .map_err(|error| error.at(self.node))
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier
    }
}

impl<'t, I: Iterator<Item = Node<'t>>> SeqAccess<'t> for Items<'t, I> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        let value = self.parent.inner(node).and_then(|reader| seed.deserialize(reader));
        value.map(Some).map_err(|error| error.at(node).below(&format!("[{index}]")))
    }
}

impl<'t> MapAccess<'t> for Pairs<'t> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.rest.next();
        let Some(Pair { key, at, .. }) = self.current else { return Ok(None) };
        let key = seed.deserialize(BorrowedStrDeserializer::<DecodeError>::new(key));
        key.map(Some).map_err(|error| DecodeError { at: error.at.or(Some(at)), ..error })
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some(Pair { key, value, .. }) = self.current.take() else {
            return Err(DecodeError::custom("a value without a key"));
        };
        let decoded = self.parent.inner(value).and_then(|reader| seed.deserialize(reader));
        decoded.map_err(|error| error.at(value).below(&step(key)))
    }
}

impl<'t> SeqAccess<'t> for Placed<'t> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let position = self.reader.node.position();
        let number = |number: usize| U64Deserializer::<DecodeError>::new(number as u64);
        self.part += 1;
        match self.part {
            1 => seed.deserialize(number(position.line)).map(Some),
            2 => seed.deserialize(number(position.column)).map(Some),
            3 => seed.deserialize(self.reader).map(Some),
            _ => Ok(None),
        }
    }
}

impl<'t> EnumAccess<'t> for Word<'t> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'t>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<DecodeError>::new(self.1))?, self))
    }
}

impl<'t> VariantAccess<'t> for Word<'t> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'t>>(self, _: T) -> Result<T::Value, DecodeError> {
        Err(unlike("a mapping", self.0.node.kind()))
    }

    fn tuple_variant<V: Visitor<'t>>(self, _: usize, _: V) -> Result<V::Value, DecodeError> {
        Err(unlike("a mapping", self.0.node.kind()))
    }

    fn struct_variant<V: Visitor<'t>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, DecodeError> {
        Err(unlike("a mapping", self.0.node.kind()))
    }
}

/// A key as a step of a path.
fn step(key: &str) -> Cow<'_, str> {
    if key.is_empty() || key.contains(['.', '[', ']', '/', ' ']) { format!("[{key:?}]").into() } else { key.into() }
}

fn unlike(expected: &str, kind: Kind<'_>) -> DecodeError {
    Fault::Type { expected: expected.to_owned(), found: kind.name() }.into()
}
