//! A verdict → the text of a denial: each cause said once with every image it holds, a first line that stands alone in a
//! list of events, and the whole where there is room.

use super::ago;
use super::typed::is_typed;
use crate::finding::{Description, Finding, Tried};
use crate::registry::said::clean;
use crate::verdict::Verdict;

/// A first line stays below this many characters, unless the image takes them.
const HEADLINE: usize = 160;
/// Characters behind a long image in a first line.
const BEHIND_IMAGE: usize = 80;
/// The whole stays below 1 KiB, with room for what is fine.
const WHOLE: usize = 980;
/// What is kept free for the count of findings that have no room.
const TAIL: usize = 60;
/// Other names than the image's are cut in the middle to one of these widths, the first that fits.
const WIDTHS: [usize; 6] = [64, 48, 40, 32, 24, 20];
/// Bytes for the names of further images of one cause.
const FURTHER: usize = 320;

/// In place of lines to type that are too long.
const NO_ROOM: &str = "  what to type has no room here: pullgate explain prints it";

/// A cause: the finding that speaks for it, and the further ones.
pub(super) struct Cause<'v> {
    pub(super) first: &'v Finding,
    further: Vec<&'v Finding>,
}

/// How much a line may hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The line.
    pub(super) line: usize,
    /// What stands behind an image that takes all of the line, or nearly so.
    pub(super) behind_image: usize,
}

/// A line, and how easily it is done without.
struct Line {
    rank: Rank,
    text: String,
}

/// What goes last comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// What happened.
    Headline,
    /// A line to type.
    Typed,
    /// The words around it.
    Fix,
    /// Which other images.
    Further,
    /// What the registry said, what was found out beside.
    Beside,
    /// As whom it was asked.
    Asked,
}

/// The text of a denial: the first line is complete in itself, what has no room is counted, and no line is cut.
pub fn denial(verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for cause in causes(&verdict.findings) {
        let room = WHOLE.saturating_sub(text.len() + TAIL);
        let lines = fitting(cause.lines(verdict), room);
        if text.is_empty() || length(&lines) <= room {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n"));
        } else {
            left_out += 1 + cause.further.len();
        }
    }
    if left_out > 0 {
        let images = if left_out == 1 { "image has another" } else { "images have other" };
        text.push_str(&format!("\n  {left_out} more {images} findings"));
    }
    let fine = verdict.images.len().saturating_sub(verdict.findings.len() + verdict.excepted.len());
    if fine > 0 {
        let images = if fine == 1 { "image is" } else { "images are" };
        let asked = text.lines().last().is_some_and(|line| line.starts_with("  asked as"));
        text.push_str(if asked { "; " } else { "\n  " });
        text.push_str(&format!("{fine} other {images} fine"));
    }
    text
}

/// What has room: the least goes first, and of equals the last. Half of what is to be typed is worse than none.
fn fitting(mut lines: Vec<Line>, room: usize) -> Vec<Line> {
    let typed = lines.iter().filter(|line| line.rank <= Rank::Typed).map(|line| line.text.len() + 1).sum::<usize>();
    if typed > room && lines.iter().any(|line| line.rank == Rank::Typed) {
        lines.retain(|line| line.rank != Rank::Typed);
        lines.insert(1, Line { rank: Rank::Fix, text: NO_ROOM.to_owned() });
    }
    while length(&lines) > room {
        let least = lines.iter().enumerate().skip(1).max_by_key(|(index, line)| (line.rank, *index));
        let Some((index, _)) = least else { break };
        lines.remove(index);
    }
    lines
}

fn length(lines: &[Line]) -> usize {
    lines.iter().map(|line| line.text.len() + 1).sum()
}

/// The findings by what is said of them: the same words and the same fix are the same cause.
pub(super) fn causes(findings: &[Finding]) -> Vec<Cause<'_>> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    for finding in findings {
        let same = |cause: &&mut Cause<'_>| {
            let first = cause.first;
            first.code == finding.code
                && first.fix == finding.fix
                && first.certain == finding.certain
                && first.registry == finding.registry
                && first.description.what == finding.description.what
                && first.description.details == finding.description.details
                && first.tried == finding.tried
        };
        match causes.iter_mut().find(same) {
            Some(cause) => cause.further.push(finding),
            None => causes.push(Cause { first: finding, further: Vec::new() }),
        }
    }
    causes
}

// === impl Cause ===

impl Cause<'_> {
    /// `CODE: MESSAGE` as far as it fits into `room`, and what had no room.
    pub(super) fn headline(&self, room: Room) -> (String, Vec<String>) {
        headline(self.first, room)
    }

    /// Which other images there are, as many as have room in this many bytes; the others are counted.
    pub(super) fn further(&self, room: usize) -> Option<String> {
        let count = self.further.len();
        let mut names: Vec<String> = Vec::new();
        let mut taken = format!("and {count} more: , …").len();
        for finding in &self.further {
            let container = clean(&finding.container);
            let entry =
                if container.is_empty() { finding.image.clone() } else { format!("{} ({container})", finding.image) };
            taken += entry.len() + ", ".len();
            if taken > room {
                break;
            }
            names.push(entry);
        }
        let more = if names.len() < count { ", …" } else { "" };
        match (count, names.is_empty()) {
            (0, _) => None,
            (_, true) => Some(format!("and {count} more")),
            (_, false) => Some(format!("and {count} more: {}{more}", names.join(", "))),
        }
    }

    fn lines(&self, verdict: &Verdict) -> Vec<Line> {
        let room = Room { line: HEADLINE, behind_image: BEHIND_IMAGE };
        let (headline, rest) = self.headline(room);
        let mut lines = vec![Line { rank: Rank::Headline, text: headline }];
        let mut add = |rank, text: &str| lines.push(Line { rank, text: format!("  {text}") });
        for line in self.first.fix.lines() {
            add(if is_typed(line) { Rank::Typed } else { Rank::Fix }, line);
        }
        if let Some(further) = self.further(FURTHER) {
            add(Rank::Further, &further);
        }
        for line in rest {
            add(Rank::Beside, &line);
        }
        if let Some(asked) = asked(verdict, self.first) {
            add(Rank::Asked, &format!("asked as: {asked}"));
        }
        lines
    }
}

/// As many whole words as are shorter than `room`, and at least the first one behind the code.
pub(super) fn cut(mut line: String, room: usize) -> String {
    while line.len() >= room {
        let kept = line.trim_end_matches('…').trim_end();
        let Some(end) = kept.rfind(' ').filter(|end| kept[..*end].contains(' ')) else { break };
        line = format!("{}…", kept[..end].trim_end());
    }
    line
}

/// `CODE: MESSAGE` that is shorter than the line, and what had no room: the registry's words go first, then what was
/// found out besides, then what the image or the code says already, then the container, then the middle of other names,
/// and at last the end. The image stays whole, and what happened to it behind it.
fn headline(finding: &Finding, room: Room) -> (String, Vec<String>) {
    let Description { field, what, short, left_out, details, .. } = &finding.description;
    let (code, subject) = (finding.code, finding.subject());
    let fits = |line: &str| line.len() < room.line;
    let whole = format!("{code}: {}", finding.message());
    if fits(&whole) {
        return (whole, Vec::new());
    }
    let mut rest: Vec<String> =
        finding.quotation().map(|said| format!("the registry says: \"{said}\"")).into_iter().collect();
    let unquoted = [what].into_iter().chain(details).map(String::as_str).collect::<Vec<_>>().join("; ");
    let line = format!("{code}: {subject}{unquoted}");
    if fits(&line) {
        return (line, rest);
    }
    rest.extend(details.iter().cloned());
    let line = format!("{code}: {subject}{what}");
    if fits(&line) {
        return (line, rest);
    }
    rest.extend(left_out.clone());
    let line = format!("{code}: {subject}{short}");
    if fits(&line) {
        return (line, rest);
    }
    rest.extend(Some(field.clone()).filter(|field| !field.is_empty()));
    let image = if finding.image.is_empty() { String::new() } else { format!("{} ", finding.image) };
    let most = room.line.max(code.as_str().len() + image.len() + room.behind_image);
    let narrow = |width| short.split(' ').map(|word| middle(word, width)).collect::<Vec<_>>().join(" ");
    let lines = [usize::MAX].into_iter().chain(WIDTHS).map(|width| format!("{code}: {image}{}", narrow(width)));
    let mut line = String::new();
    for narrower in lines {
        line = narrower;
        if line.len() < most {
            return (line, rest);
        }
    }
    rest.insert(0, short.clone());
    (cut(line, most), rest)
}

/// At most `width` characters, the middle left out: the registry stays in front, the tag at the end.
pub(super) fn middle(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let (head, tail) = (width / 2, (width - width / 2).saturating_sub(1));
    let chars = || text.chars();
    chars().take(head).chain(['…']).chain(chars().skip(length - tail)).collect()
}

fn asked(verdict: &Verdict, finding: &Finding) -> Option<String> {
    if finding.tried.is_empty() {
        return None;
    }
    let mut sources: Vec<String> = finding.tried.iter().map(Tried::shown).collect();
    sources.dedup();
    let through =
        verdict.account.as_deref().map(|account| format!(" (ServiceAccount \"{account}\")")).unwrap_or_default();
    let age = finding.age.map(|age| format!(", {}", ago(age))).unwrap_or_default();
    Some(format!("{}{through}{age}", sources.join(", ")))
}

#[cfg(test)]
pub(super) mod tests;
