//! Findings and notices → what kubectl prints beside an answer: each cause said once, and right after it what to do about
//! it, in as many warnings as that takes. None is longer than what an API server always passes on, unless the name of the
//! image makes it so; no name of an image and no line to type is cut.

use super::denial::{Cause, Room, causes, cut};
use super::typed;
use crate::finding::{Finding, Notice};

/// Bytes of a warning. An API server passes on longer ones, too, until all of them together have more characters than
/// [`WARNINGS`]: then it cuts each to this many (kubernetes/apiserver `pkg/endpoints/filters/warning.go`).
pub const WARNING: usize = 256;

/// Bytes of a warning that names a long image.
pub const LONG_WARNING: usize = 1024;

/// Bytes behind a long image.
const BEHIND_IMAGE: usize = 120;

/// Characters of all warnings of an answer; beyond it an API server starts to drop them (the same file).
pub const WARNINGS: usize = 4096;

/// In place of lines to type that have no room in a warning.
const NO_ROOM: &str = "pullgate explain prints what to type";

/// Words, or a line to type.
struct Piece {
    text: String,
    /// Nothing comes behind it in the same warning.
    last: bool,
}

/// What is said of one thing: what it is, and what has no room beside that.
struct Said {
    first: String,
    more: Vec<String>,
}

/// A warning or several for each cause among the findings, and for each notice. What happened goes before what to do
/// where not all of it has room.
pub fn warnings(findings: &[Finding], notices: &[Notice]) -> Vec<String> {
    let said: Vec<Said> = causes(findings).iter().map(found).chain(notices.iter().map(noted)).collect();
    let length = |text: &String| text.chars().count();
    let mut room = WARNINGS.saturating_sub(said.iter().map(|said| length(&said.first)).sum());
    let mut warnings = Vec::new();
    for Said { first, more } in said {
        warnings.push(first);
        let needed: usize = more.iter().map(length).sum();
        if needed <= room {
            room -= needed;
            warnings.extend(more);
        }
    }
    warnings
}

fn fits(line: &str) -> bool {
    line.len() <= WARNING
}

fn found(cause: &Cause<'_>) -> Said {
    let code = cause.first.code.as_str();
    let (first, beside) = cause.headline(Room { line: WARNING + 1, behind_image: BEHIND_IMAGE });
    let words = |text: String| Piece { text, last: false };
    let room = WARNING.saturating_sub(code.len() + ": ".len());
    let around = cause.further(room).into_iter().chain(beside).map(words);
    packed(code, first, around.chain(pieces(&cause.first.fix, code)))
}

fn noted(notice: &Notice) -> Said {
    let code = notice.code.as_str();
    // It begins with the image that it is about.
    let image = notice.message.split(' ').next().unwrap_or_default();
    let most = (WARNING + 1).max(code.len() + image.len() + BEHIND_IMAGE);
    let first = cut(format!("{code}: {}", notice.message), most);
    packed(code, first, pieces(notice.fix.as_deref().unwrap_or_default(), code))
}

/// A fix in pieces, of which each stays whole; typed ones end their warning, so that nothing else is copied with them.
/// Words that end with a colon go with the first line to type behind them where one warning has room for both. Commands
/// are steps: all of them, or the word where they are to be found; lines of a manifest are ways to choose from.
fn pieces(fix: &str, code: &str) -> Vec<Piece> {
    let whole = |text: &str| code.len() + ": ".len() + text.len() <= WARNING;
    let steps: Vec<&str> =
        fix.lines().filter(|line| typed::is_typed(line)).map(str::trim_start).filter(|line| is_step(line)).collect();
    let at_once = steps.join(" && ");
    let mut steps = match steps.iter().all(|step| whole(step)) {
        _ if whole(&at_once) => vec![at_once],
        true => steps.into_iter().map(str::to_owned).collect(),
        false => vec![NO_ROOM.to_owned()],
    };
    let mut pieces: Vec<Piece> = Vec::new();
    for line in fix.lines() {
        let lines = match (typed::is_typed(line), line.trim_start()) {
            (true, line) if is_step(line) => std::mem::take(&mut steps),
            (true, line) if !whole(line) => vec![NO_ROOM.to_owned()],
            (_, line) => vec![line.to_owned()],
        };
        for text in lines {
            let piece = Piece { last: typed::is_typed(line) && text != NO_ROOM, text };
            match pieces.last_mut() {
                Some(words) if words.text.ends_with(':') && whole(&joined(&words.text, &piece.text)) => {
                    *words = Piece { text: joined(&words.text, &piece.text), ..piece };
                }
                _ => pieces.push(piece),
            }
        }
    }
    pieces
}

fn is_step(line: &str) -> bool {
    line.starts_with("kubectl ")
}

/// Fills the first warning as far as it goes, then further ones under the same code.
fn packed(code: &str, first: String, pieces: impl IntoIterator<Item = Piece>) -> Said {
    let mut said = vec![first];
    let mut ended = false;
    for Piece { text, last } in pieces {
        let end = said.last_mut().map(|end| (joined(end, &text), end));
        match end {
            Some((whole, end)) if !ended && !end.ends_with('…') && fits(&whole) => *end = whole,
            _ => said.push(cut(format!("{code}: {text}"), WARNING + 1)),
        }
        ended = last;
    }
    let more = said.split_off(1);
    Said { first: said.remove(0), more }
}

fn joined(text: &str, piece: &str) -> String {
    let joint = match text.chars().next_back() {
        None => "",
        Some(':' | '?') => " ",
        Some(_) => "; ",
    };
    format!("{text}{joint}{piece}")
}

#[cfg(test)]
mod tests;
