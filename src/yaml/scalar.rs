//! A plain scalar → what it stands for, by the rules of `go.yaml.in/yaml/v2` `resolve.go`, which `kubectl` uses: YAML 1.1
//! without numbers to the base of 60, and dates are strings.

/// What a plain scalar stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text,
}

/// What a plain scalar stands for.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => float(text),
        b'0'..=b'9' | b'+' | b'-' if text.contains('_') => number(&text.replace('_', "")),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => None,
    }
    .unwrap_or(Scalar::Text)
}

fn number(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && let Ok(magnitude) = u64::from_str_radix(digits, radix)
    {
        let signed = i128::from(magnitude) * if negative { -1 } else { 1 };
        match (i64::try_from(signed), negative) {
            (Ok(number), _) => return Some(Scalar::Int(number)),
            (Err(_), false) => return Some(Scalar::Uint(magnitude)),
            (Err(_), true) => {}
        }
    }
    float(text)
}

/// `[-+]? ( . digits | digits [. digits] ) [ e [-+] digits ]`, of a size that a double holds.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    let is_float = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    let number: f64 = is_float.then(|| text.parse().ok()).flatten()?;
    number.is_finite().then_some(Scalar::Float(number))
}

/// The key that a plain scalar is, or `None` for a null, which is no key (`sigs.k8s.io/yaml` `yaml.go`).
pub(super) fn key(text: &str) -> Option<String> {
    match resolve(text) {
        Scalar::Null => None,
        Scalar::Bool(word) => Some(word.to_string()),
        Scalar::Int(number) => Some(number.to_string()),
        Scalar::Uint(number) => Some(number.to_string()),
        Scalar::Float(number) => Some(shortest(number)),
        Scalar::Text => Some(text.to_owned()),
    }
}

/// Go's `strconv.FormatFloat(number, 'g', -1, 32)`.
fn shortest(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "Go does the same")]
    let number = number as f32;
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_kubectl_makes_of_them() {
        use Scalar::{Bool, Float, Int, Null, Text, Uint};
        for (text, expected) in [
            ("", Null),
            ("~", Null),
            ("NULL", Null),
            ("nULL", Text),
            ("y", Bool(true)),
            ("off", Bool(false)),
            ("oN", Text),
            ("5", Int(5)),
            ("-5", Int(-5)),
            ("+5", Int(5)),
            ("0", Int(0)),
            ("0644", Int(420)),
            ("08", Float(8.0)),
            ("0o14", Int(12)),
            ("0x1F", Int(31)),
            ("-0b11", Int(-3)),
            ("0x", Text),
            ("0x-5", Text),
            ("1_000", Int(1000)),
            ("_1", Text),
            ("9223372036854775807", Int(i64::MAX)),
            ("9223372036854775808", Uint(1 << 63)),
            ("-9223372036854775808", Int(i64::MIN)),
            ("99999999999999999999", Float(1e20)),
            ("1.20", Float(1.2)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            (".5_0", Text),
            (".", Text),
            ("1e3", Float(1000.0)),
            ("1e", Text),
            ("1e400", Text),
            ("+.inf", Float(f64::INFINITY)),
            ("1.2.3", Text),
            ("12:30:45", Text),
            ("2024-01-01", Text),
            ("-", Text),
            ("=", Text),
            ("0.0.0.0", Text),
            ("1s", Text),
        ] {
            assert_eq!(resolve(text), expected, "{text:?}");
        }
        assert!(matches!(resolve(".nan"), Float(number) if number.is_nan()));
    }

    #[test]
    fn keys_are_text() {
        for (text, expected) in [
            ("a", Some("a")),
            ("", None),
            ("~", None),
            ("y", Some("true")),
            ("8080", Some("8080")),
            ("0644", Some("420")),
            ("1.20", Some("1.2")),
            ("1e30", Some("1e+30")),
            ("1e-7", Some("1e-07")),
            (".inf", Some(".inf")),
        ] {
            assert_eq!(key(text).as_deref(), expected, "{text:?}");
        }
    }
}
