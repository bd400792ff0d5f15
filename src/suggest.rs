//! A tag that is not there and the tags that are → the few that were probably meant. Pure.
//!
//! Three senses, because one distance serves none of them: a slip of the finger (`lates`), a version near by (`v1.4.2`
//! for `v1.4.3`, not `v1.9.3`, though both are one letter away), and the same thing under another name (`1.4.3` for
//! `v1.4.3`, `1.4.3-rc1`, a commit hash cut elsewhere).

pub mod names;

/// Tags named at most.
pub const SHOWN: usize = 3;

/// A tag longer than this is compared with nothing: the grammar ends at 128.
const MAX_TAG: usize = 128;

/// Longer texts are not compared letter by letter: that takes the product of their lengths.
const MAX_COMPARED: usize = 48;

/// Shortest part of a commit hash that names one.
const SHORT_HASH: usize = 6;

/// Of a single number so many are the next ones: a pipeline counts builds that push nothing, too.
const NEAR: u64 = 3;

/// A version that begins with a larger number is a date.
const FIRST_YEAR: u64 = 1970;

/// How near one tag is; less is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// Equal but for upper case or a leading `v`.
    Spelling,
    /// A slip: so many letters changed, left out, added or swapped.
    Slip(usize),
    /// The next number in the last place that differs: how far, and on which side (older first).
    Neighbour { apart: u64, newer: bool },
    /// The same numbers with another ending, as a release candidate has.
    Ending(usize),
    /// The same commit, written shorter or longer.
    Commit,
    /// A version that begins alike: so many places from the end, and how far there.
    Version { places: usize, apart: u64, newer: bool },
}

/// A version or a date: its numbers, what is in front of them and what is behind.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    front: &'a str,
    numbers: Vec<u64>,
    ending: &'a str,
}

/// The tags that were probably meant by `wanted`, nearest first, at most [`SHOWN`]; none where nothing is near.
pub fn nearest<'t>(wanted: &str, tags: impl IntoIterator<Item = &'t str>) -> Vec<&'t str> {
    let mut near: Vec<(Nearness, usize, &str)> =
        tags.into_iter().filter_map(|tag| Some((nearness(wanted, tag)?, tag.len(), tag))).collect();
    // Of equals the shorter, then by name: the answer must not depend on the order of the registry.
    near.sort_unstable();
    near.dedup_by_key(|(_, _, tag)| *tag);
    // A version further off is named only where nothing is nearer.
    let further = |nearness: &Nearness| matches!(nearness, Nearness::Version { .. });
    if near.first().is_some_and(|(nearness, ..)| !further(nearness)) {
        near.retain(|(nearness, ..)| !further(nearness));
    }
    near.into_iter().map(|(_, _, tag)| tag).take(SHOWN).collect()
}

/// The newest tag like `wanted` where that is a version newer than all of them: what is not there is then not there yet.
pub fn previous<'t>(wanted: &str, tags: impl IntoIterator<Item = &'t str>) -> Option<&'t str> {
    let wanted = Version::of(wanted)?;
    let mut alike: Vec<(Version<'t>, &str)> = tags
        .into_iter()
        .filter_map(|tag| Some((Version::of(tag)?, tag)))
        .filter(|(tag, _)| tag.front.eq_ignore_ascii_case(wanted.front) && tag.numbers.len() == wanted.numbers.len())
        .collect();
    // What has the same numbers and an ending, where none was asked for, comes before the release.
    let before = |tag: &Version<'_>| {
        tag.numbers < wanted.numbers
            || (tag.numbers == wanted.numbers && wanted.ending.is_empty() && !tag.ending.is_empty())
    };
    if !alike.iter().all(|(tag, _)| before(tag)) {
        return None;
    }
    // Of one version the variant that was asked for, then by name.
    alike.sort_by(|(one, name), (other, another)| {
        let asked_for = |tag: &Version<'_>| tag.ending == wanted.ending;
        one.numbers.cmp(&other.numbers).then(asked_for(one).cmp(&asked_for(other))).then(name.cmp(another))
    });
    alike.pop().map(|(_, tag)| tag)
}

/// Whether a version comes right after another, as the next release, the next build or a later date does.
pub fn follows(wanted: &str, previous: &str) -> bool {
    let (Some(wanted), Some(previous)) = (Version::of(wanted), Version::of(previous)) else { return false };
    let dated = wanted.numbers.first().is_some_and(|number| *number >= FIRST_YEAR);
    let single = wanted.numbers.len() == 1;
    match wanted.numbers.iter().zip(&previous.numbers).find(|(one, other)| one != other) {
        Some((one, other)) => dated || one.abs_diff(*other) <= if single { NEAR } else { 1 },
        None => true,
    }
}

/// Another commit's build where `wanted` names a commit: the last in the registry's order, which is that of time with
/// some and says nothing with the others.
pub fn other_commit<'t>(wanted: &str, tags: impl IntoIterator<Item = &'t str>) -> Option<&'t str> {
    let (front, hash) = wanted.split_at_checked(wanted.len() - hash(wanted)?.len())?;
    let like = |tag: &&str| {
        let rest = tag.strip_prefix(front).filter(|rest| rest.len() == hash.len() && *tag != wanted);
        rest.is_some_and(is_hex)
    };
    tags.into_iter().filter(like).last()
}

fn nearness(wanted: &str, tag: &str) -> Option<Nearness> {
    if wanted == tag || wanted.len() > MAX_TAG || tag.len() > MAX_TAG || !wanted.is_ascii() || !tag.is_ascii() {
        return None;
    }
    if bare(wanted).eq_ignore_ascii_case(bare(tag)) {
        return Some(Nearness::Spelling);
    }
    if same_commit(wanted, tag) {
        return Some(Nearness::Commit);
    }
    match (Version::of(wanted), Version::of(tag)) {
        (Some(wanted), Some(tag)) => wanted.nearness(&tag),
        // A slip that makes a word of a version, or the other way round, is none.
        (None, None) => slip(wanted, tag).map(Nearness::Slip),
        _ => None,
    }
}

/// Without the `v` in front of a number.
fn bare(tag: &str) -> &str {
    match tag.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        Some(_) | None => tag,
    }
}

/// Whether both end in a commit hash, one of them cut.
fn same_commit(one: &str, other: &str) -> bool {
    match (hash(one), hash(other)) {
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
        _ => false,
    }
}

/// The commit hash that a tag ends in.
fn hash(tag: &str) -> Option<&str> {
    let at = tag.rfind(['-', '_', '.']).map_or(0, |at| at + 1);
    let hash = tag.get(at..)?;
    (hash.len() >= SHORT_HASH && is_hex(hash) && hash.bytes().any(|byte| byte.is_ascii_alphabetic())).then_some(hash)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Letters changed, left out, added or swapped with the next, where those are few for the length.
fn slip(wanted: &str, tag: &str) -> Option<usize> {
    if wanted.len().max(tag.len()) > MAX_COMPARED {
        return None;
    }
    let (one, other) = (wanted.to_ascii_lowercase().into_bytes(), tag.to_ascii_lowercase().into_bytes());
    let limit = match one.len().max(other.len()) {
        0..3 => 0,
        3..8 => 1,
        8..16 => 2,
        _ => 3,
    };
    if one.len().abs_diff(other.len()) > limit {
        return None;
    }
    Some(distance(&one, &other)).filter(|distance| *distance <= limit)
}

/// Optimal string alignment distance.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut left: Option<u8> = None;
    for (row, byte) in one.iter().enumerate() {
        let mut next = Vec::with_capacity(last.len());
        next.push(row + 1);
        let mut above: Option<u8> = None;
        for (column, wanted) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&last, column) + usize::from(byte != wanted);
            let mut fewest = changed.min(at(&last, column + 1) + 1).min(at(&next, column) + 1);
            if column > 0 && left == Some(*wanted) && above == Some(*byte) {
                fewest = fewest.min(at(&before, column - 1) + 1);
            }
            next.push(fewest);
            above = Some(*wanted);
        }
        before = std::mem::replace(&mut last, next);
        left = Some(*byte);
    }
    last.last().copied().unwrap_or_default()
}

// === impl Version ===

impl<'a> Version<'a> {
    /// `v1.4.3-rc1`, `release-2026.11.20`, `20261120`: numbers with dots, or a date with dashes, at the first digit.
    fn of(tag: &'a str) -> Option<Self> {
        let start = tag.find(|c: char| c.is_ascii_digit())?;
        // `alpine3`, `stable-2`: the word is what counts, unless it ends where the number begins.
        let (front, rest) = tag.split_at_checked(start)?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (mut digits, mut ending) = rest.split_at_checked(end)?;
        let mut dashes = rest.splitn(4, '-');
        let date = [dashes.next(), dashes.next(), dashes.next()];
        if let [Some(year), Some(month), Some(day)] = date
            && year.len() == 4
            && [year, month].iter().all(|part| number(part).is_some())
            && day.get(..2).is_some_and(|day| number(day).is_some())
        {
            (digits, ending) = rest.split_at_checked(10)?;
        }
        let numbers: Option<Vec<u64>> = digits.trim_end_matches('.').split(['.', '-']).map(number).collect();
        let numbers = numbers?;
        let word = front.strip_suffix(['v', 'V']).unwrap_or(front);
        let joined = word.ends_with(|c: char| c.is_ascii_alphabetic());
        // One number behind letters is part of a word: `alpine3`.
        (!joined || numbers.len() > 1).then_some(Self { front: word, numbers, ending })
    }

    fn nearness(&self, tag: &Self) -> Option<Nearness> {
        if !self.front.eq_ignore_ascii_case(tag.front) {
            return None;
        }
        if self.numbers == tag.numbers {
            // The plain release first, then the ending that is most like the one asked for.
            if tag.ending.is_empty() {
                return Some(Nearness::Ending(0));
            }
            let short = self.ending.len().max(tag.ending.len()) <= MAX_COMPARED;
            return short.then(|| Nearness::Ending(distance(self.ending.as_bytes(), tag.ending.as_bytes())));
        }
        if self.ending != tag.ending || self.numbers.len() != tag.numbers.len() {
            return None;
        }
        let pairs = || self.numbers.iter().zip(&tag.numbers);
        let alike = pairs().take_while(|(one, other)| one == other).count();
        let (one, other) = pairs().nth(alike)?;
        let (apart, newer) = (one.abs_diff(*other), other > one);
        let places = self.numbers.len() - alike;
        match places {
            1 if apart == 1 || (alike == 0 && apart <= NEAR) => Some(Nearness::Neighbour { apart, newer }),
            // Another major version is another program; of a single number only the next ones are near.
            _ if alike == 0 => None,
            _ => Some(Nearness::Version { places, apart, newer }),
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    (!digits.is_empty() && digits.len() <= 18).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_comes_first_and_what_is_far_does_not_come() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("v1.4.3", &["v1.4.2", "v1.4.3-rc1", "v1.9.3", "latest", "v2.4.3"], &["v1.4.2", "v1.4.3-rc1"]),
            ("lates", &["latest", "late-stage", "stable"], &["latest"]),
            ("Latest", &["latest", "lates"], &["latest", "lates"]),
            ("latset", &["latest"], &["latest"]),
            ("1.4.3", &["v1.4.3", "1.4.2"], &["v1.4.3", "1.4.2"]),
            ("v1.4.3", &["1.4.3"], &["1.4.3"]),
            ("V1.4.3", &["v1.4.3"], &["v1.4.3"]),
            (
                "1.25-alpine",
                &["1.25", "1.25-alpine3.20", "1.24-alpine", "1.25-bookworm"],
                &["1.24-alpine", "1.25", "1.25-alpine3.20"],
            ),
            ("2026-11-21", &["2026-11-20", "2026-11-18", "2025-11-21", "latest"], &["2026-11-20"]),
            ("20261121", &["20261120", "20250101"], &["20261120"]),
            ("release-3.2.1", &["release-3.2.0", "3.2.0"], &["release-3.2.0"]),
            ("sha-3f2a91c4", &["sha-3f2a91c", "sha-aaaaaaa"], &["sha-3f2a91c"]),
            ("3f2a91c", &["3f2a91c4d5e6f7a8b9c0"], &["3f2a91c4d5e6f7a8b9c0"]),
            ("v1.4.9", &["v1.4.2", "v1.3.0", "v1.4.1"], &["v1.4.2", "v1.4.1", "v1.3.0"]),
            ("42", &["41", "43", "4200"], &["41", "43"]),
            ("v2", &["v1", "v3"], &["v1", "v3"]),
            ("stabel", &["stable", "table"], &["stable"]),
            ("prod", &["production", "dev"], &[]),
            ("v9.0.0", &["v1.0.0"], &[]),
            ("alpine3", &["alpine2"], &["alpine2"]),
            ("x", &["y", "z"], &[]),
            ("same", &["same"], &[]),
            ("18446744073709551616", &["18446744073709551615"], &["18446744073709551615"]),
            ("v1.4.3", &[], &[]),
        ];
        for (wanted, tags, expected) in table {
            assert_eq!(nearest(wanted, tags.iter().copied()), *expected, "{wanted} among {tags:?}");
        }
    }

    #[test]
    fn what_is_long_is_not_compared_letter_by_letter() {
        let (fits, long) = ("y".repeat(MAX_COMPARED), "y".repeat(MAX_COMPARED + 1));
        let changed = |text: &str| format!("{}z", &text[1..]);
        assert_eq!(nearest(&fits, [&*changed(&fits)]), [changed(&fits)]);
        assert_eq!(nearest(&long, [&*changed(&long)]), [""; 0]);
        let ending = format!("v1.4.3-{long}");
        assert_eq!(nearest(&ending, [&*changed(&ending).replace("1.4.3", "v1.4.3"), "v1.4.3"]), ["v1.4.3"]);
    }

    #[test]
    fn the_answer_does_not_depend_on_the_registrys_order() {
        let mut tags = ["v1.4.2", "v1.4.4", "v1.4.3-rc2", "v1.4.3-rc1", "v1.4.2"];
        let first = nearest("v1.4.3", tags.iter().copied());
        for _ in 0..tags.len() {
            tags.rotate_left(1);
            assert_eq!(nearest("v1.4.3", tags.iter().copied()), first);
        }
        assert_eq!(first, ["v1.4.2", "v1.4.4", "v1.4.3-rc1"]);
    }

    #[test]
    fn a_version_beyond_every_other_comes_after_the_newest() {
        for (wanted, tags, expected) in [
            ("v1.4.3", &["v1.4.2", "v1.3.9", "latest"][..], Some("v1.4.2")),
            ("v1.4.3", &["v1.4.2", "v1.5.0"], None),
            ("v1.4.3", &["v1.4.3-rc1", "v1.4.2"], Some("v1.4.3-rc1")),
            ("v1.4.3", &["v1.4.2", "v1.4.2-alpine"], Some("v1.4.2")),
            ("v1.4.3-alpine", &["v1.4.2-alpine", "v1.4.2"], Some("v1.4.2-alpine")),
            ("v1.4.3-rc2", &["v1.4.3-rc1"], None),
            ("v1.4.3", &["latest"], None),
            ("1.4.3", &["v1.4.2"], Some("v1.4.2")),
            ("latest", &["v1"], None),
            ("2026-11-21", &["2026-11-20", "2026-11-19"], Some("2026-11-20")),
            ("v2.0.0", &["v1.10.0", "v1.9.0"], Some("v1.10.0")),
            ("v1.4.3", &["1.9"], None),
        ] {
            assert_eq!(previous(wanted, tags.iter().copied()), expected, "{wanted} among {tags:?}");
        }
    }

    #[test]
    fn the_next_version_follows_and_a_far_one_does_not() {
        for (wanted, previous, expected) in [
            ("v1.4.3", "v1.4.2", true),
            ("v1.4.3", "v1.4.3-rc1", true),
            ("v1.5.0", "v1.4.9", true),
            ("v2.0.0", "v1.9.3", true),
            ("v1.4.9", "v1.4.2", false),
            ("v3.0.0", "v1.4.2", false),
            ("44", "42", true),
            ("v9", "v1", false),
            ("2026-11-21", "2026-11-02", true),
            ("20261201", "20261121", true),
            ("latest", "v1", false),
        ] {
            assert_eq!(follows(wanted, previous), expected, "{wanted} after {previous}");
        }
    }

    #[test]
    fn beside_a_commit_stands_another_of_the_same_form() {
        for (wanted, tags, expected) in [
            ("3f2a91c", &["0a1b2c3", "9999999", "latest", "v1.4.2"][..], Some("9999999")),
            ("sha-3f2a91c", &["0a1b2c3", "sha-0a1b2c3", "sha-0a1b2c3d"], Some("sha-0a1b2c3")),
            ("3f2a91c", &["3f2a91c", "3f2a91c4"], None),
            ("1234567", &["7654321"], None),
            ("latest", &["stable"], None),
        ] {
            assert_eq!(other_commit(wanted, tags.iter().copied()), expected, "{wanted} among {tags:?}");
        }
    }

    #[test]
    fn distances_count_changes_gaps_and_swaps() {
        for (one, other, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("abc", "abc", 0), ("abcd", "abdc", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
        }
    }
}
