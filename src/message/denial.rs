//! A verdict → the text of a denial: each cause said once with every image it holds, a first line that stands alone in a
//! list of events, and the whole where there is room.

use super::ago;
use super::typed::is_typed;
use crate::finding::Finding;
use crate::registry::said::clean;
use crate::verdict::Verdict;

/// A first line stays below this many characters.
const HEADLINE: usize = 160;
/// The whole stays below 1 KiB, with room for what is fine.
const WHOLE: usize = 980;
/// What is kept free for the count of findings that have no room.
const TAIL: usize = 60;
/// Names are cut in the middle to one of these widths, the first that fits.
const WIDTHS: [usize; 6] = [64, 48, 40, 32, 24, 20];
/// How many further images of one cause are named, each cut to this width.
const FURTHER: (usize, usize) = (5, 56);

/// What a whole registry leaves of an image's width at least, for the end with the tag.
const HOST_LEAVES: usize = 10;

/// In front of an image that has no room in the first line.
const IMAGE: &str = "image: ";
/// In place of lines to type that are too long.
const NO_ROOM: &str = "  what to type has no room here: pullgate explain prints it";

/// A cause: the finding that speaks for it, and the further ones.
pub(super) struct Cause<'v> {
    pub(super) first: &'v Finding,
    further: Vec<&'v Finding>,
}

/// A message, taken apart.
struct Parts<'f> {
    image: &'f str,
    /// ` (container "NAME") `, by kind and name.
    kind: &'static str,
    container: String,
    what: &'f str,
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
    /// The words around it; the image in full.
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
                && Parts::of(first).what == Parts::of(finding).what
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
    /// `CODE: MESSAGE` as far as it fits, and what had no room.
    pub(super) fn headline(&self, fits: &dyn Fn(&str) -> bool) -> (String, Vec<String>) {
        headline(self.first, fits)
    }

    /// Which other images there are.
    pub(super) fn further(&self) -> Option<String> {
        let (most, width) = FURTHER;
        let shown = |f: &&Finding| format!("{} ({})", image(&f.image, width), middle(&clean(&f.container), width));
        let mut names: Vec<String> = self.further.iter().take(most).map(shown).collect();
        if self.further.len() > most {
            names.push("…".to_owned());
        }
        (!names.is_empty()).then(|| format!("and {} more: {}", self.further.len(), names.join(", ")))
    }

    fn lines(&self, verdict: &Verdict) -> Vec<Line> {
        let (headline, rest) = self.headline(&|line| line.chars().count() < HEADLINE);
        let mut lines = vec![Line { rank: Rank::Headline, text: headline }];
        let mut add = |rank, text: &str| lines.push(Line { rank, text: format!("  {text}") });
        for line in self.first.fix.lines() {
            add(if is_typed(line) { Rank::Typed } else { Rank::Fix }, line);
        }
        if let Some(further) = self.further() {
            add(Rank::Further, &further);
        }
        for line in rest {
            add(if line.starts_with(IMAGE) { Rank::Fix } else { Rank::Beside }, &line);
        }
        if let Some(asked) = asked(verdict, self.first) {
            add(Rank::Asked, &format!("asked as: {asked}"));
        }
        lines
    }
}

/// As many whole words as fit.
pub(super) fn cut(mut line: String, fits: &dyn Fn(&str) -> bool) -> String {
    while !fits(&line) {
        let kept = line.trim_end_matches('…').trim_end();
        let end = kept.rfind(' ').unwrap_or_else(|| kept.floor_char_boundary(kept.len() / 2));
        line = format!("{}…", kept[..end].trim_end());
    }
    line
}

/// `CODE: MESSAGE` that fits, and what had no room: the registry's words first, then what was found
/// out beside, then names in the middle; at last, the end.
fn headline(finding: &Finding, fits: &dyn Fn(&str) -> bool) -> (String, Vec<String>) {
    let line = format!("{}: {}", finding.code, finding.message);
    if fits(&line) {
        return (line, Vec::new());
    }
    let parts = Parts::of(finding);
    let (mut what, mut rest) = (parts.what.to_owned(), Vec::new());
    if let Some(said) = &finding.registry
        && let (quoted, Some((before, after))) = (said, what.split_once(&format!(": \"{said}\"")))
    {
        rest.push(format!("the registry says: \"{quoted}\""));
        what = format!("{before}{after}");
    }
    let whole = parts.line(finding, usize::MAX, &what);
    if fits(&whole) {
        return (whole, rest);
    }
    if let Some((essence, beside)) = essence(&what) {
        rest.push(beside.to_owned());
        what = essence.to_owned();
    }
    let whole = parts.line(finding, usize::MAX, &what);
    if fits(&whole) {
        return (whole, rest);
    }
    let mut line = whole;
    for width in WIDTHS {
        line = parts.line(finding, width, &what);
        if fits(&line) {
            break;
        }
    }
    let whole = line;
    let line = cut(whole.clone(), fits);
    if let Some(kept) = line.strip_suffix('…')
        && let Some(lost) = whole.strip_prefix(kept.trim_end())
    {
        rest.insert(0, format!("…{}", lost.trim_start()));
    }
    if !line.contains(&finding.image) {
        rest.insert(0, format!("{IMAGE}{}", finding.image));
    }
    (line, rest)
}

/// What comes before the first `; `, and what behind it. In brackets and quotes it belongs to what is bracketed or quoted.
fn essence(what: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quoted) = (0_usize, false);
    let ends = |(at, c): (usize, char)| {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth == 0 && !quoted).then(|| Some((&what[..at], what[at..].strip_prefix("; ")?))).flatten()
    };
    what.char_indices().find_map(ends)
}

// === impl Parts ===

impl<'f> Parts<'f> {
    fn of(finding: &'f Finding) -> Self {
        let container = clean(&finding.container);
        let after = finding.message.strip_prefix(&finding.image);
        for kind in ["container", "volume"] {
            let named = format!(" ({kind} \"{container}\") ");
            if let Some(what) = after.and_then(|after| after.strip_prefix(&named)) {
                return Self { image: &finding.image, kind, container, what };
            }
        }
        Self { image: "", kind: "", container, what: &finding.message }
    }

    fn line(&self, finding: &Finding, width: usize, what: &str) -> String {
        let what: Vec<String> = what.split(' ').map(|word| middle(word, width)).collect();
        let what = what.join(" ");
        if self.kind.is_empty() {
            return format!("{}: {what}", finding.code);
        }
        // The image is what the line is about: it keeps more than other names.
        let image = image(self.image, width.saturating_add(12));
        format!("{}: {image} ({} \"{}\") {what}", finding.code, self.kind, middle(&self.container, width))
    }
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

/// An image of at most `width` characters: the registry stays whole, for its port may be what the message is about, unless
/// it leaves no room for the tag.
fn image(text: &str, width: usize) -> String {
    let length = text.chars().count();
    let Some((host, path)) = text.split_once('/').filter(|_| length > width) else { return middle(text, width) };
    let taken = host.chars().count();
    // The first half has it whole, or all of it has no room for more.
    if taken < width / 2 || taken + HOST_LEAVES > width {
        return middle(text, width);
    }
    let left_out = path.chars().count().saturating_sub(width - taken - 2);
    format!("{host}/…{}", path.chars().skip(left_out).collect::<String>())
}

fn asked(verdict: &Verdict, finding: &Finding) -> Option<String> {
    if finding.tried.is_empty() {
        return None;
    }
    let mut sources: Vec<&str> = finding.tried.iter().map(|tried| tried.source.as_str()).collect();
    sources.dedup();
    let through =
        verdict.account.as_deref().map(|account| format!(" (ServiceAccount \"{account}\")")).unwrap_or_default();
    let age = finding.age.map(|age| format!(", {}", ago(age))).unwrap_or_default();
    Some(format!("{}{through}{age}", sources.join(", ")))
}

#[cfg(test)]
pub(super) mod tests;
