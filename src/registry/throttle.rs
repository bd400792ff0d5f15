//! What a registry says about its limits → a [`Quota`], and how long it wants to be left alone.
//!
//! Headers as Docker Hub sends them (docker/docs `content/manuals/docker-hub/usage/pulls.md`: an integer, then
//! `;w=seconds`), `Retry-After` in both forms (RFC 9110 section 10.2.3), and GHCR's Go duration in the message.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::go_duration;
use crate::registry::transport::Response;

/// A registry may ask for more; one question in this time burdens nobody, and one answer must not silence a registry
/// for a year.
pub const LONGEST_REST: Duration = Duration::from_hours(1);

/// A window beyond this is not believed.
const LONGEST_WINDOW: Duration = Duration::from_hours(31 * 24);

/// Bytes of the name under which a registry counts.
const MAX_SOURCE: usize = 64;

/// What one answer says about the limit that its request was counted under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How much a window holds, where that is said.
    pub limit: Option<u32>,
    /// How much is left of it.
    pub remaining: u32,
    /// How long a window is.
    pub window: Option<Duration>,
    /// When the next one begins.
    pub reset: Option<Duration>,
    /// The address or the account that is counted.
    pub source: Option<String>,
}

/// The limit that an answer names; `None` where it names none, or something that is no number.
pub fn quota(answer: &Response) -> Option<Quota> {
    let read = |name: &str| answer.header(name).map(number_and_window);
    let (remaining, its_window) = read("ratelimit-remaining")?;
    let (limit, window) = read("ratelimit-limit").unwrap_or_default();
    let seconds = |name: &str| answer.header(name)?.trim().parse().ok().map(Duration::from_secs);
    let source = answer.header("docker-ratelimit-source").map(str::trim);
    let plain =
        |source: &&str| (1..=MAX_SOURCE).contains(&source.len()) && source.bytes().all(|byte| byte.is_ascii_graphic());
    Some(Quota {
        limit: limit.filter(|limit| *limit > 0),
        remaining: remaining?,
        window: window.or(its_window),
        reset: seconds("ratelimit-reset").filter(|reset| *reset <= LONGEST_WINDOW),
        source: source.filter(plain).map(str::to_owned),
    })
}

/// `100;w=21600`: the number, and the length of the window. Further policies, after a comma, are passed over.
fn number_and_window(value: &str) -> (Option<u32>, Option<Duration>) {
    let first = value.split(',').next().unwrap_or_default();
    let mut parts = first.split(';').map(str::trim);
    let number = parts.next().and_then(|number| number.parse().ok());
    let window = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok()).map(Duration::from_secs);
    (number, window.filter(|window| !window.is_zero() && *window <= LONGEST_WINDOW))
}

/// How long a throttled answer asks to be left alone, by its header or else by its words.
///
/// A date is measured against the registry's own `Date`: two clocks that differ are none of its business. Without one,
/// the pause is left to the back-off.
pub fn rest(answer: &Response, words: Option<&str>) -> Option<Duration> {
    let now = answer.header("date").and_then(http_date);
    let header = answer.header("retry-after").and_then(|value| retry_after(value, now));
    header.or_else(|| words.and_then(in_words)).map(|rest| rest.min(LONGEST_REST))
}

/// `Retry-After` as seconds or as a date. A date that is over is no time at all.
fn retry_after(value: &str, now: Option<Timestamp>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are still a very long time.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let pause = http_date(value)?.duration_since(now?);
    Some(Duration::try_from(pause).unwrap_or_default())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`; the day of the week is nobody's proof.
fn http_date(value: &str) -> Option<Timestamp> {
    const PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);
    PARSER.parse_timestamp(value.trim()).ok()
}

/// `retry-after: 880.092µs, allowed: 44000/minute`.
fn in_words(words: &str) -> Option<Duration> {
    let lower = words.to_ascii_lowercase();
    let (_, after) = lower.split_once("retry-after:")?;
    let text = after.trim_start().split([',', ' ', ';']).next()?;
    Duration::try_from(go_duration::parse(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn answer(headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { headers, ..Response::default() }
    }

    #[test]
    fn a_quota_is_read_and_garbage_is_none() {
        let six_hours = Some(Duration::from_hours(6));
        let table = [
            ("100;w=21600", "20;w=21600", Some((Some(100), 20, six_hours))),
            ("100", "0", Some((Some(100), 0, None))),
            (" 100 ; w=21600 ", " 7 ", Some((Some(100), 7, six_hours))),
            ("100;burst=5;w=21600, 10;w=1", "20, 3", Some((Some(100), 20, six_hours))),
            ("100;w=never", "20;w=21600", Some((Some(100), 20, six_hours))),
            ("100;w=0", "20", Some((Some(100), 20, None))),
            ("100;w=99999999999", "20", Some((Some(100), 20, None))),
            ("many", "20", Some((None, 20, None))),
            ("0", "20", Some((None, 20, None))),
            ("", "20", Some((None, 20, None))),
            ("100", "", None),
            ("100", "-1", None),
            ("100", "few", None),
            ("100", "99999999999999999999", None),
            ("100", ";;;,,w=", None),
        ];
        for (limit, remaining, expected) in table {
            let read = quota(&answer(&[("ratelimit-limit", limit), ("ratelimit-remaining", remaining)]));
            let read = read.map(|quota| (quota.limit, quota.remaining, quota.window));
            assert_eq!(read, expected, "{limit} {remaining}");
        }
        assert_eq!(quota(&answer(&[("ratelimit-limit", "100")])), None);
    }

    #[test]
    fn who_is_counted_and_until_when_is_read_where_it_is_plain() {
        let long = "a".repeat(65);
        for (source, reset, expected) in [
            ("203.0.113.7", "90", (Some("203.0.113.7"), Some(90))),
            ("two words", "soon", (None, None)),
            ("", "99999999999", (None, None)),
            (&long, "-1", (None, None)),
        ] {
            let headers =
                [("ratelimit-remaining", "1"), ("docker-ratelimit-source", source), ("ratelimit-reset", reset)];
            let read = quota(&answer(&headers)).unwrap();
            let read = (read.source.as_deref(), read.reset.map(|reset| reset.as_secs()));
            assert_eq!(read, expected, "{source} {reset}");
        }
    }

    #[test]
    fn a_rest_is_read_in_each_of_its_forms_and_capped() {
        let date = |seconds: &str| format!("Sun, 06 Nov 1994 08:{seconds} GMT");
        let table = [
            ("7", "", Some(7)),
            (" 7 ", "", Some(7)),
            ("0", "", Some(0)),
            ("99999", "", Some(3600)),
            ("99999999999999999999999", "", Some(3600)),
            ("-1", "", None),
            ("soon", "", None),
            ("1.5", "", None),
            ("", "", None),
            (&date("50:07"), "", Some(30)),
            (&date("49:37"), "", Some(0)),
            (&date("40:00"), "", Some(0)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", "", Some(3600)),
            ("Sat, 06 Nov 1994 08:49:37", "", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", "", None),
            ("", "TOOMANYREQUESTS: Retry-After: 12s, allowed: 44000/minute", Some(12)),
            ("", "retry-after: 880.092\u{b5}s, allowed: 44000/minute", Some(0)),
            ("", "retry-after: 90h", Some(3600)),
            ("", "retry-after: -5s", None),
            ("", "retry-after: soon", None),
            ("", "retry-after:", None),
            ("", "slow down", None),
            ("7", "retry-after: 12s", Some(7)),
        ];
        for (header, words, expected) in table {
            let rest = rest(&answer(&[("date", DATE), ("retry-after", header)]), Some(words));
            assert_eq!(rest.map(|rest| rest.as_secs()), expected, "{header:?} {words:?}");
        }
        // Nobody knows what time it is there.
        assert_eq!(rest(&answer(&[("retry-after", DATE)]), None), None);
    }
}
