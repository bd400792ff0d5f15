//! A report → a page for people: a row an image, then each cause once with the places where it is met, then the counts.

use std::collections::HashMap;
use std::hash::Hash;

use comfy_table::{ContentArrangement, Table, presets};

use super::{Answer, FindingEntry, ImageEntry, NoticeEntry, Report, ResultEntry};
use crate::finding::Tried;
use crate::printable;

/// Places that are named of one cause. The rows name all.
const PLACES: usize = 10;

/// Characters of a digest in a row.
const DIGEST: usize = "sha256:".len() + 12;

/// What is equal where the cause is the same, as the webhook groups causes.
#[derive(PartialEq, Eq, Hash)]
struct FindingKey<'r> {
    code: &'r str,
    certain: bool,
    summary: &'r str,
    registry: Option<&'r str>,
    fix: &'r str,
    tried: &'r [Tried],
}

/// Entries that are said once, each with its object, in the order in which they were first met.
struct Groups<'r, T> {
    groups: Vec<Vec<(&'r ResultEntry, &'r T)>>,
}

// === impl Report ===

impl Report {
    /// The page. The last line counts the images.
    pub fn table(&self) -> String {
        let mut text = self.rows();
        let findings =
            || self.results.iter().flat_map(|result| result.findings.iter().map(move |entry| (result, entry)));
        for group in Groups::of(findings(), FindingEntry::key).groups {
            text.push_str(&found(&group));
        }
        let notices = || self.results.iter().flat_map(|result| result.notices.iter().map(move |entry| (result, entry)));
        for group in Groups::of(notices(), NoticeEntry::key).groups {
            text.push_str(&noted(&group));
        }
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}{}\n", self.counts));
        printable::lines(&text).into_owned()
    }

    /// A row an image; nothing where there are none.
    fn rows(&self) -> String {
        if self.results.iter().all(|result| result.images.is_empty()) {
            return String::new();
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["FILE:LINE", "NAMESPACE", "OBJECT", "CONTAINER", "IMAGE", "ANSWER", "DIGEST"]);
        for result in &self.results {
            for image in &result.images {
                table.add_row(result.row(image));
            }
        }
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

// === impl ResultEntry ===

impl ResultEntry {
    fn row(&self, image: &ImageEntry) -> [String; 7] {
        let answer = match image.answer {
            Answer::Ok => "ok".to_owned(),
            Answer::Excepted => "excepted".to_owned(),
            Answer::NeverPulled => "never pulled".to_owned(),
            Answer::Finding(index) => self.findings[index].title(),
        };
        let digest = image.digest.as_deref().unwrap_or_default().chars().take(DIGEST).collect();
        let object = format!("{}/{}", self.object.kind, self.object.name);
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let cells = [
            image.place.short(),
            or_dash(&self.object.namespace),
            object,
            or_dash(&image.container),
            image.image.clone(),
            answer,
            digest,
        ];
        cells.map(|cell| printable::line(&cell).into_owned())
    }
}

// === impl FindingEntry ===

impl FindingEntry {
    fn title(&self) -> String {
        format!("{}{}", self.code, if self.certain { "" } else { " (uncertain)" })
    }

    fn key(&self) -> FindingKey<'_> {
        FindingKey {
            code: self.code,
            certain: self.certain,
            summary: &self.summary,
            registry: self.registry.as_deref(),
            fix: &self.fix,
            tried: &self.tried,
        }
    }
}

// === impl NoticeEntry ===

impl NoticeEntry {
    fn key(&self) -> (&str, &str, Option<&str>) {
        (self.code, &self.message, self.fix.as_deref())
    }
}

// === impl Groups ===

impl<'r, T> Groups<'r, T> {
    fn of<K: Hash + Eq>(entries: impl Iterator<Item = (&'r ResultEntry, &'r T)>, key: impl Fn(&'r T) -> K) -> Self {
        let mut groups: Vec<Vec<(&ResultEntry, &T)>> = Vec::new();
        let mut known: HashMap<K, usize> = HashMap::new();
        for (result, entry) in entries {
            let index = *known.entry(key(entry)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[index].push((result, entry));
        }
        Self { groups }
    }
}

fn found(group: &[(&ResultEntry, &FindingEntry)]) -> String {
    let Some((_, first)) = group.first() else { return String::new() };
    let place = |(result, entry): &(&ResultEntry, &FindingEntry)| {
        // The message names the first image.
        let image = if entry.image == first.image { String::new() } else { format!(" {}", entry.image) };
        format!("{}{image}", at(result, &entry.place.short(), &entry.path))
    };
    let mut text = block(&format!("{}: {}", first.title(), first.message), group, place);
    if let Some(node) = &first.node {
        text.push_str(&format!("  the node  {}\n", printable::line(node)));
    }
    for tried in &first.tried {
        let line = format!("{}: {}", tried.shown(), tried.outcome);
        text.push_str(&format!("  asked as  {}\n", printable::line(&line)));
    }
    text.push_str(&to_do(&first.fix));
    text
}

fn noted(group: &[(&ResultEntry, &NoticeEntry)]) -> String {
    let Some((_, first)) = group.first() else { return String::new() };
    let place = |(result, entry): &(&ResultEntry, &NoticeEntry)| at(result, &entry.place.short(), &entry.path);
    let mut text = block(&format!("note: {}: {}", first.code, first.message), group, place);
    text.push_str(&first.fix.as_deref().map(to_do).unwrap_or_default());
    text
}

/// What is said, and where: some of the places, and how many more there are.
fn block<T>(headline: &str, group: &[T], place: impl Fn(&T) -> String) -> String {
    let mut text = format!("\n{}\n", printable::line(headline));
    for (index, entry) in group.iter().take(PLACES).enumerate() {
        let label = if index == 0 { "at" } else { "" };
        text.push_str(&format!("  {label:<10}{}\n", printable::line(&place(entry))));
    }
    if group.len() > PLACES {
        text.push_str(&format!("  {:<10}and {} more\n", "", group.len() - PLACES));
    }
    text
}

/// `FILE:LINE Kind/namespace/name PATH`.
fn at(result: &ResultEntry, place: &str, path: &str) -> String {
    format!("{place} {} {path}", result.object.title())
}

/// The words, and the lines to type below them, each at the edge of a column of its own.
fn to_do(fix: &str) -> String {
    format!("  to do     {}\n", fix.replace('\n', "\n            "))
}
