//! The texts that Go takes for a point in time in JSON: `time.Time.UnmarshalJSON`, which is `time.Parse(time.RFC3339, …)`
//! (golang/go `src/time/format.go`, `format_rfc3339.go`).
//!
//! That is wider than RFC 3339 (an hour of one digit, a comma before the fraction, offsets up to `24:60`) and narrower
//! (a lower-case `t` or `z` is refused).

/// The layout in the words of an error.
const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";

/// What is left of the text.
struct Rest<'a>(&'a [u8]);

/// Why a text is refused.
enum Refused<'a> {
    /// This part of it is not what stands in the layout.
    NotAs(&'a [u8], &'static str),
    /// A number is out of range, or something follows.
    Because(String),
}

/// Checks a text without its quotation marks.
///
/// # Errors
/// Go's words for why it is no point in time.
pub(crate) fn check_rfc3339(text: &[u8]) -> Result<(), String> {
    point_in_time(text).map_err(|refused| match refused {
        Refused::NotAs(part, element) => format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quoted(text),
            quoted(LAYOUT.as_bytes()),
            quoted(part),
            quoted(element.as_bytes())
        ),
        Refused::Because(why) => format!("parsing time {}: {why}", quoted(text)),
    })
}

fn point_in_time(text: &[u8]) -> Result<(), Refused<'_>> {
    let mut rest = Rest(text);
    let year = rest.year()?;
    rest.literal("-")?;
    let month = rest.number("01", 2)?;
    in_range((1..=12).contains(&month), "month")?;
    rest.literal("-")?;
    let day = rest.number("02", 2)?;
    rest.literal("T")?;
    let hour = rest.number("15", 1)?;
    in_range(hour < 24, "hour")?;
    rest.literal(":")?;
    let minute = rest.number("04", 2)?;
    in_range(minute < 60, "minute")?;
    rest.literal(":")?;
    let second = rest.number("05", 2)?;
    in_range(second < 60, "second")?;
    rest.fraction();
    rest.zone()?;
    if !rest.0.is_empty() {
        return Err(Refused::Because(format!("extra text: {}", quoted(rest.0))));
    }
    in_range((1..=days(month, year)).contains(&day), "day")
}

fn in_range(is: bool, what: &str) -> Result<(), Refused<'static>> {
    if is { Ok(()) } else { Err(Refused::Because(format!("{what} out of range"))) }
}

fn days(month: u32, year: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// === impl Rest ===

impl<'a> Rest<'a> {
    fn literal(&mut self, text: &'static str) -> Result<(), Refused<'a>> {
        self.0 = self.0.strip_prefix(text.as_bytes()).ok_or(Refused::NotAs(self.0, text))?;
        Ok(())
    }

    fn year(&mut self) -> Result<u32, Refused<'a>> {
        let refused = Refused::NotAs(self.0, "2006");
        let Some((digits, rest)) = self.0.split_at_checked(4) else { return Err(refused) };
        let year = value(digits).ok_or(refused)?;
        self.0 = rest;
        Ok(year)
    }

    /// Two digits, or one where the layout lets that pass.
    fn number(&mut self, element: &'static str, least: usize) -> Result<u32, Refused<'a>> {
        let digits = self.0.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        let number = value(number).filter(|_| digits >= least).ok_or(Refused::NotAs(self.0, element))?;
        self.0 = rest;
        Ok(number)
    }

    /// A fraction of any length, though the layout has none.
    fn fraction(&mut self) {
        if let [b'.' | b',', b'0'..=b'9', ..] = self.0 {
            let digits = self.0.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
            self.0 = self.0.get(1 + digits..).unwrap_or_default();
        }
    }

    fn zone(&mut self) -> Result<(), Refused<'a>> {
        if let Some(rest) = self.0.strip_prefix(b"Z") {
            self.0 = rest;
            return Ok(());
        }
        let refused = || Refused::NotAs(self.0, "Z07:00");
        let [sign, h1, h2, b':', m1, m2, rest @ ..] = self.0 else { return Err(refused()) };
        let (hours, minutes) = (value(&[*h1, *h2]), value(&[*m1, *m2]));
        if let Some(hours) = hours {
            in_range(minutes.unwrap_or_default() <= 60, "time zone offset minute")?;
            in_range(hours <= 24, "time zone offset hour")?;
        }
        if hours.is_none() || minutes.is_none() || !matches!(sign, b'+' | b'-') {
            return Err(refused());
        }
        self.0 = rest;
        Ok(())
    }
}

/// The number that these digits are; `None` if one is no digit, or there is none.
fn value(digits: &[u8]) -> Option<u32> {
    let number = |sum: u32, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'));
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, number)).flatten()
}

/// As the `quote` of Go's package `time` prints a text.
fn quoted(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for byte in text {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
            b' '..0x80 => quoted.push(char::from(*byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_takes_for_a_point_in_time_is_taken() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.678+02:00",
            "2026-01-02T03:04:05.1234567890123456789Z",
            "2026-01-02T03:04:05,5Z",
            "2026-01-02T3:04:05Z",
            "0001-01-01T00:00:00Z",
            "0000-02-29T00:00:00Z",
            "2024-02-29T23:59:59-23:59",
            "2000-02-29T00:00:00+24:60",
        ] {
            assert_eq!(check_rfc3339(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        // Printed by time.Time.UnmarshalJSON of Go 1.26.
        let cannot = |text: &str, part: &str, element: &str| {
            format!("parsing time \"{text}\" as \"{LAYOUT}\": cannot parse \"{part}\" as \"{element}\"")
        };
        let table = [
            ("", cannot("", "", "2006")),
            ("1457510670", cannot("1457510670", "510670", "-")),
            ("2026-1-02T03:04:05Z", cannot("2026-1-02T03:04:05Z", "1-02T03:04:05Z", "01")),
            ("2026-01-02 03:04:05Z", cannot("2026-01-02 03:04:05Z", " 03:04:05Z", "T")),
            ("2026-01-02t03:04:05Z", cannot("2026-01-02t03:04:05Z", "t03:04:05Z", "T")),
            ("2026-01-02T03:04:05", cannot("2026-01-02T03:04:05", "", "Z07:00")),
            ("2026-01-02T03:04:05z", cannot("2026-01-02T03:04:05z", "z", "Z07:00")),
            ("2026-01-02T03:04:05+0200", cannot("2026-01-02T03:04:05+0200", "+0200", "Z07:00")),
            ("2026-01-02T03:04:05.Z", cannot("2026-01-02T03:04:05.Z", ".Z", "Z07:00")),
            ("2026-13-02T03:04:05Z", "parsing time \"2026-13-02T03:04:05Z\": month out of range".to_owned()),
            ("2026-02-29T03:04:05Z", "parsing time \"2026-02-29T03:04:05Z\": day out of range".to_owned()),
            ("1900-02-29T03:04:05Z", "parsing time \"1900-02-29T03:04:05Z\": day out of range".to_owned()),
            ("2026-01-02T24:00:00Z", "parsing time \"2026-01-02T24:00:00Z\": hour out of range".to_owned()),
            ("2026-01-02T03:04:60Z", "parsing time \"2026-01-02T03:04:60Z\": second out of range".to_owned()),
            (
                "2026-01-02T03:04:05+25:00",
                "parsing time \"2026-01-02T03:04:05+25:00\": time zone offset hour out of range".to_owned(),
            ),
            ("2026-01-02T03:04:05Z ", "parsing time \"2026-01-02T03:04:05Z \": extra text: \" \"".to_owned()),
            ("ü\"", cannot("\\xc3\\xbc\\\"", "\\xc3\\xbc\\\"", "2006")),
        ];
        for (text, expected) in table {
            assert_eq!(check_rfc3339(text.as_bytes()), Err(expected), "{text}");
        }
    }
}
