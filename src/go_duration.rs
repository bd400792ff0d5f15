//! The text of a duration as Go's `time.ParseDuration` reads it (golang/go `src/time/format.go`), to nanoseconds.
//!
//! `1h30m`, `1.5h`, `-5s` and a bare `0`; no days, no blanks, no unit left out.

use jiff::SignedDuration;

/// Nanoseconds of each unit. The two spellings of the micro sign are different characters.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration; `None` if it is none, or longer than Go's 64 bits of nanoseconds.
pub(crate) fn parse(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = term(rest)?;
        total = total.checked_add(nanoseconds)?;
        rest = after;
    }
    Some(SignedDuration::from_nanos(if negative { -total } else { total }))
}

/// One number with its unit, in nanoseconds, and what follows.
fn term(text: &str) -> Option<(i64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = rest.split_at(rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len()));
    let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than this are below a nanosecond of an hour.
    let fraction = fraction.get(..fraction.len().min(18))?;
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let parts = parts * u128::from(*nanoseconds) / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let all = u128::from(whole) * u128::from(*nanoseconds) + parts;
    Some((i64::try_from(all).ok()?, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_go() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0s", Some(0)),
            ("12h", Some(43_200_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("1.h", Some(3_600_000_000_000)),
            (".5s", Some(500_000_000)),
            ("+5s", Some(5_000_000_000)),
            ("-5s", Some(-5_000_000_000)),
            ("10ms", Some(10_000_000)),
            ("1us2ns", Some(1_002)),
            ("1\u{b5}s", Some(1_000)),
            ("1\u{3bc}s", Some(1_000)),
            ("0.1ns", Some(0)),
            ("0.33333333333333333333h", Some(1_199_999_999_999)),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("9223372036854775808ns", None),
            ("3000000h", None),
            ("99999999999999999999s", None),
            ("2562047h2562047h", None),
            ("", None),
            ("-", None),
            ("5", None),
            ("00", None),
            (".s", None),
            (".", None),
            ("s", None),
            ("1d", None),
            ("1 h", None),
            (" 1h", None),
            ("1H", None),
            ("PT1H", None),
            ("--1s", None),
            ("1h-1m", None),
        ];
        for (text, nanoseconds) in table {
            assert_eq!(parse(text), nanoseconds.map(SignedDuration::from_nanos), "{text}");
        }
    }
}
