//! The parser's events → documents.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::scalar::{self, Scalar};
use super::syntax::{Syntax, SyntaxError};
use super::text::Text;
use super::tree::{Builder, Tree};

/// Lists and mappings in each other, as many as `kubectl` reads (`go.yaml.in/yaml/v2` `scannerc.go`; Go's
/// `encoding/json`).
pub(super) const DEPTH: usize = 10_000;

/// What the aliases of a document may stand for, counted as values, or as many as it has without them if those are
/// more. `kubectl` allows 400,000 in a small document and a tenth of a large one (`go.yaml.in/yaml/v2` `decode.go`).
const ALIASED: u64 = 4_000_000;

/// Bytes of a string that count as one value.
const STRING: u64 = 64;

/// The prefix of the tags that are written with two exclamation marks.
const SCHEMA: &str = "tag:yaml.org,2002:";

/// A document that is being made.
struct Document<'t> {
    text: &'t Arc<Text>,
    /// Of the part that is parsed.
    start: usize,
    builder: Builder,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    /// What the values so far and the aliases among them stand for.
    size: Size,
    aliased: u64,
}

/// A list or a mapping that has not ended.
struct Open {
    index: u32,
    map: bool,
    /// A key comes next.
    key: bool,
    /// What comes next is the value of a merge key.
    merge: bool,
    anchor: usize,
    before: u64,
    /// Levels below it.
    depth: usize,
}

#[derive(Clone, Copy)]
struct Anchored {
    index: u32,
    size: u64,
    depth: usize,
}

type Size = u64;

/// The documents of a part of the text: at most one, unless the part is no document by itself.
pub(super) fn read(text: &Arc<Text>, part: Range<usize>) -> Vec<Result<Tree, SyntaxError>> {
    let options = granit_parser::options! {
        emit_comments: false,
        block_nesting_limit: DEPTH,
        flow_nesting_limit: DEPTH,
        max_directive_bytes: 1 << 20,
        max_reserved_directive_params: 1 << 20,
    };
    let source = &text.as_str()[part.clone()];
    let mut found = Vec::new();
    let mut document = None;
    for event in Parser::new_from_str_with_options(source, options) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = part.start + error.marker().byte_offset().unwrap_or(0);
                found.push(Err(SyntaxError { at, syntax: Syntax::of(error.kind()) }));
                break;
            }
        };
        let at = part.start + span.start.byte_offset().unwrap_or(0);
        match (&event, &mut document) {
            (Event::DocumentStart(..), _) => document = Some(Document::new(text, part.start)),
            (Event::DocumentEnd, made) => found.extend(made.take().and_then(|made| made.finish(at))),
            (_, Some(made)) => {
                if let Err(syntax) = made.take_event(event, at) {
                    found.push(Err(SyntaxError { at, syntax }));
                    break;
                }
            }
            (_, None) => {}
        }
    }
    found
}

// === impl Document ===

impl<'t> Document<'t> {
    fn new(text: &'t Arc<Text>, start: usize) -> Self {
        let builder = Builder::new(Arc::clone(text));
        Self { text, start, builder, open: Vec::new(), anchors: HashMap::new(), size: 0, aliased: 0 }
    }

    fn finish(self, end: usize) -> Option<Result<Tree, SyntaxError>> {
        if self.aliased > ALIASED.max(self.builder.next().into()) {
            return Some(Err(SyntaxError { at: end, syntax: Syntax::TooManyAliases }));
        }
        let tree = self.builder.finish();
        (tree.root().kind() != super::Kind::Null).then_some(Ok(tree))
    }

    fn take_event(&mut self, event: Event<'_>, at: usize) -> Result<(), Syntax> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::SequenceStart(_, anchor, _) => self.start(false, anchor, at),
            Event::MappingStart(_, anchor, _) => self.start(true, anchor, at),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: usize,
    ) -> Result<(), Syntax> {
        let suffix = tag.map(|tag| tag.suffix_in_namespace(SCHEMA).unwrap_or_default());
        let plain = match suffix.as_deref() {
            None => style == ScalarStyle::Plain,
            // A tag that says more than a word of the core schema leaves a string.
            Some(suffix) => matches!(suffix, "bool" | "int" | "float" | "null"),
        };
        if plain && style == ScalarStyle::Plain && text == "<<" && self.open.last().is_some_and(|open| open.key) {
            self.builder.merge(at);
            if let Some(open) = self.open.last_mut() {
                (open.key, open.merge) = (false, true);
            }
            return Ok(());
        }
        if plain && matches!(scalar::resolve(text), Scalar::Float(number) if !number.is_finite()) {
            return Err(Syntax::NoNumber);
        }
        let index = self.builder.next();
        let length = text.len() as u64;
        if suffix.as_deref() == Some("binary") {
            let bare: String = text.split_ascii_whitespace().collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(bare).map_err(|_| Syntax::NoBase64)?;
            self.builder.owned(at, String::from_utf8_lossy(&bytes).into_owned(), false);
        } else {
            match (self.offset(text), plain) {
                (Some(start), true) => self.builder.plain(at, start, text.len()),
                (Some(start), false) => self.builder.quoted(at, start, text.len()),
                (None, plain) => self.builder.owned(at, text.to_string(), plain),
            }
        }
        self.value(Anchored { index, size: 1 + length / STRING, depth: 0 }, anchor)
    }

    /// The offset of a scalar that the parser did not have to write anew: it lies within the text.
    fn offset(&self, scalar: &str) -> Option<usize> {
        let text = self.text.as_str();
        let start = scalar.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        (start >= self.start && text.get(start..start + scalar.len()) == Some(scalar)).then_some(start)
    }

    fn alias(&mut self, anchor: usize, at: usize) -> Result<(), Syntax> {
        let target = *self.anchors.get(&anchor).ok_or(Syntax::AliasOfItself)?;
        self.builder.alias(at, target.index);
        self.aliased = self.aliased.saturating_add(target.size);
        if self.open.len() + target.depth > DEPTH {
            return Err(Syntax::TooDeep(DEPTH));
        }
        let index = self.builder.next() - 1;
        self.value(Anchored { index, ..target }, 0)
    }

    fn start(&mut self, map: bool, anchor: usize, at: usize) -> Result<(), Syntax> {
        if self.open.last().is_some_and(|open| open.key) {
            return Err(Syntax::NoKey);
        }
        if self.open.len() >= DEPTH {
            return Err(Syntax::TooDeep(DEPTH));
        }
        let index = self.builder.open(at, map);
        self.open.push(Open { index, map, key: map, merge: false, anchor, before: self.size, depth: 0 });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Syntax> {
        let Some(Open { index, anchor, before, depth, .. }) = self.open.pop() else { return Ok(()) };
        self.builder.close(index);
        let size = self.size - before + 1;
        self.size = before;
        self.value(Anchored { index, size, depth: depth + 1 }, anchor)
    }

    /// A whole value is there: it may have an anchor, and it may be a key.
    fn value(&mut self, value: Anchored, anchor: usize) -> Result<(), Syntax> {
        self.size = self.size.saturating_add(value.size);
        if anchor != 0 {
            // An alias of an alias is one of what it stands for.
            self.anchors.insert(anchor, value);
        }
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        open.depth = open.depth.max(value.depth);
        if open.merge {
            open.merge = false;
            if !self.builder.is_map(value.index) && !self.builder.is_list_of_maps(value.index) {
                return Err(Syntax::NoMerge);
            }
        } else if open.key && !self.builder.key() {
            return Err(Syntax::NoKey);
        }
        if open.map {
            open.key = !open.key;
        }
        Ok(())
    }
}
