//! A document as a flat list of entries that point into the text.
//!
//! An entry of a list or a mapping is followed by what is in it, a key by its value; each knows where it ends. So there
//! is no recursion to build it or to drop it, whatever the depth, and an alias is an entry that names another.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::scalar::{self, Scalar};
use super::text::{Position, Text};

/// One document.
#[derive(Debug)]
pub struct Tree {
    text: Arc<Text>,
    entries: Vec<Entry>,
    strings: Vec<Box<str>>,
}

/// One value, or one key.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Offset in the text.
    at: u32,
    data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    /// A plain scalar of the text: it may stand for a number or a word.
    Plain {
        start: u32,
        length: u32,
    },
    /// A string of the text.
    Quoted {
        start: u32,
        length: u32,
    },
    /// The same two, where the text writes them in another way.
    OwnedPlain(u32),
    Owned(u32),
    /// The entries behind it, up to the index `end`.
    List {
        end: u32,
    },
    Map {
        end: u32,
    },
    /// In place of a key: what follows is merged into the mapping.
    Merge,
    /// Another entry stands here.
    Alias(u32),
}

/// A value in a document.
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    tree: &'t Tree,
    index: u32,
    at: u32,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'t> {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above those.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(&'t str),
    /// A list.
    List,
    /// A mapping.
    Map,
}

/// A key of a mapping, and its value.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'t> {
    /// The key.
    pub key: &'t str,
    /// Where the key is written.
    pub at: usize,
    /// The value.
    pub value: Node<'t>,
}

/// Makes a document, entry by entry.
#[derive(Debug)]
pub(super) struct Builder {
    tree: Tree,
}

// === impl Tree ===

impl Tree {
    /// The value that the document is.
    pub fn root(&self) -> Node<'_> {
        Node::new(self, 0)
    }

    /// The value at an index that [`Node::index`] gave.
    pub fn node(&self, index: u32) -> Node<'_> {
        Node::new(self, index)
    }

    /// The text that it was read from.
    pub fn text(&self) -> &Arc<Text> {
        &self.text
    }

    fn slice(&self, start: u32, length: u32) -> &str {
        &self.text.as_str()[start as usize..][..length as usize]
    }

    fn data(&self, index: u32) -> Data {
        self.entries[index as usize].data
    }

    /// The index behind an entry and all that is in it.
    fn behind(&self, index: u32) -> u32 {
        match self.data(index) {
            Data::List { end } | Data::Map { end } => end,
            _ => index + 1,
        }
    }
}

// === impl Kind ===

impl Kind<'_> {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Uint(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List => "a list",
            Self::Map => "a mapping",
        }
    }
}

// === impl Node ===

impl<'t> Node<'t> {
    fn new(tree: &'t Tree, index: u32) -> Self {
        let Entry { at, data } = tree.entries[index as usize];
        let index = if let Data::Alias(target) = data { target } else { index };
        Self { tree, index, at }
    }

    /// Names it within its document.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The offset in the text; of an alias its own.
    pub fn at(self) -> usize {
        self.at as usize
    }

    /// The line and column.
    pub fn position(self) -> Position {
        self.tree.text.position(self.at())
    }

    /// A scalar as it is written.
    pub fn raw(self) -> Option<&'t str> {
        match self.tree.data(self.index) {
            Data::Plain { start, length } | Data::Quoted { start, length } => Some(self.tree.slice(start, length)),
            Data::OwnedPlain(index) | Data::Owned(index) => Some(&self.tree.strings[index as usize]),
            _ => None,
        }
    }

    /// What it is.
    pub fn kind(self) -> Kind<'t> {
        let plain = match self.tree.data(self.index) {
            Data::List { .. } => return Kind::List,
            Data::Map { .. } => return Kind::Map,
            Data::Plain { .. } | Data::OwnedPlain(_) => true,
            _ => false,
        };
        let text = self.raw().unwrap_or_default();
        match if plain { scalar::resolve(text) } else { Scalar::Text } {
            Scalar::Null => Kind::Null,
            Scalar::Bool(word) => Kind::Bool(word),
            Scalar::Int(number) => Kind::Int(number),
            Scalar::Uint(number) => Kind::Uint(number),
            Scalar::Float(number) => Kind::Float(number),
            Scalar::Text => Kind::Text(text),
        }
    }

    /// The string that it is.
    pub fn text(self) -> Option<&'t str> {
        if let Kind::Text(text) = self.kind() { Some(text) } else { None }
    }

    /// The entries of a list; none for anything else.
    pub fn items(self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let tree = self.tree;
        let end = if let Data::List { end } = tree.data(self.index) { end } else { 0 };
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let node = Node::new(tree, next);
                next = tree.behind(next);
                node
            })
        })
    }

    /// The pairs of a mapping as they are written, equal keys included, and what is merged into it in its place; none
    /// for anything else.
    pub fn written_pairs(self) -> Vec<Pair<'t>> {
        let mut pairs = Vec::new();
        let mut rests: Vec<(u32, u32)> = self.tree.inside(self.index).into_iter().collect();
        while let Some((mut next, end)) = rests.pop() {
            while next < end {
                let value = next + 1;
                let behind = self.tree.behind(value);
                if self.tree.data(next) == Data::Merge {
                    rests.push((behind, end));
                    // The first of a list of mappings wins, so it is written last.
                    rests.extend(self.tree.merged(value));
                    break;
                }
                let key = Node::new(self.tree, next);
                let value = Node::new(self.tree, value);
                pairs.push(Pair { key: key.raw().unwrap_or_default(), at: key.at(), value });
                next = behind;
            }
        }
        pairs
    }

    /// The pairs of a mapping that count: of equal keys the last.
    pub fn pairs(self) -> Vec<Pair<'t>> {
        let mut pairs = self.written_pairs();
        let last: HashMap<&str, usize> = pairs.iter().enumerate().map(|(index, pair)| (pair.key, index)).collect();
        if last.len() < pairs.len() {
            let mut index = 0..;
            pairs.retain(|pair| index.next() == last.get(pair.key).copied());
        }
        pairs
    }

    /// The value as JSON. What lies deeper than 500 levels is null.
    pub fn json(self) -> Value {
        self.json_within(500)
    }

    fn json_within(self, depth: usize) -> Value {
        match self.kind() {
            Kind::Bool(word) => word.into(),
            Kind::Int(number) => number.into(),
            Kind::Uint(number) => number.into(),
            Kind::Float(number) => number.into(),
            Kind::Text(text) => text.into(),
            Kind::List if depth > 0 => self.items().map(|item| item.json_within(depth - 1)).collect(),
            Kind::Map if depth > 0 => {
                self.pairs().into_iter().map(|Pair { key, value, .. }| (key, value.json_within(depth - 1))).collect()
            }
            Kind::Null | Kind::List | Kind::Map => Value::Null,
        }
    }

    /// The value of a key of a mapping.
    pub fn get(self, key: &str) -> Option<Node<'t>> {
        self.written_pairs().into_iter().rev().find(|pair| pair.key == key).map(|pair| pair.value)
    }
}

impl Tree {
    /// Where the pairs of a mapping begin and end.
    fn inside(&self, index: u32) -> Option<(u32, u32)> {
        let index = if let Data::Alias(target) = self.data(index) { target } else { index };
        if let Data::Map { end } = self.data(index) { Some((index + 1, end)) } else { None }
    }

    /// The mappings that a merge key names, in the order of their weight.
    fn merged(&self, value: u32) -> Vec<(u32, u32)> {
        match self.inside(value) {
            Some(map) => vec![map],
            None => Node::new(self, value).items().filter_map(|item| self.inside(item.index)).collect(),
        }
    }
}

// === impl Builder ===

impl Builder {
    pub(super) fn new(text: Arc<Text>) -> Self {
        Self { tree: Tree { text, entries: Vec::new(), strings: Vec::new() } }
    }

    /// The index of the next entry, which is the number of those that are there.
    pub(super) fn next(&self) -> u32 {
        self.tree.entries.len().try_into().unwrap_or(u32::MAX)
    }

    pub(super) fn plain(&mut self, at: usize, start: usize, length: usize) {
        self.push(at, Data::Plain { start: narrow(start), length: narrow(length) });
    }

    pub(super) fn quoted(&mut self, at: usize, start: usize, length: usize) {
        self.push(at, Data::Quoted { start: narrow(start), length: narrow(length) });
    }

    pub(super) fn owned(&mut self, at: usize, text: String, plain: bool) {
        let index = narrow(self.tree.strings.len());
        self.tree.strings.push(text.into());
        self.push(at, if plain { Data::OwnedPlain(index) } else { Data::Owned(index) });
    }

    pub(super) fn merge(&mut self, at: usize) {
        self.push(at, Data::Merge);
    }

    pub(super) fn alias(&mut self, at: usize, target: u32) {
        self.push(at, Data::Alias(target));
    }

    pub(super) fn open(&mut self, at: usize, map: bool) -> u32 {
        let index = self.next();
        self.push(at, if map { Data::Map { end: 0 } } else { Data::List { end: 0 } });
        index
    }

    pub(super) fn close(&mut self, index: u32) {
        let next = self.next();
        if let Some(Entry { data: Data::List { end } | Data::Map { end }, .. }) =
            self.tree.entries.get_mut(index as usize)
        {
            *end = next;
        }
    }

    /// The last entry becomes a string key, if a key can be made of it.
    pub(super) fn key(&mut self) -> bool {
        let Some(last) = self.next().checked_sub(1) else { return false };
        let node = Node::new(&self.tree, last);
        let at = node.at();
        match self.tree.data(node.index) {
            Data::Plain { .. } | Data::OwnedPlain(_) => {
                let raw = node.raw().unwrap_or_default();
                let Some(key) = scalar::key(raw) else { return false };
                if key != raw {
                    self.tree.entries.pop();
                    self.owned(at, key, false);
                }
                true
            }
            Data::Quoted { .. } | Data::Owned(_) => true,
            _ => false,
        }
    }

    /// Whether the entry at an index is a mapping.
    pub(super) fn is_map(&self, index: u32) -> bool {
        matches!(Node::new(&self.tree, index).kind(), Kind::Map)
    }

    /// Whether the entry at an index is a list of nothing but mappings.
    pub(super) fn is_list_of_maps(&self, index: u32) -> bool {
        let node = Node::new(&self.tree, index);
        node.kind() == Kind::List && node.items().all(|item| item.kind() == Kind::Map)
    }

    pub(super) fn finish(self) -> Tree {
        let mut tree = self.tree;
        tree.entries.shrink_to_fit();
        tree
    }

    fn push(&mut self, at: usize, data: Data) {
        self.tree.entries.push(Entry { at: narrow(at), data });
    }
}

/// Texts above 4 GiB are refused before.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
