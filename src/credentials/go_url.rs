//! The part of Go's `net/url` that decides what a key of a docker config or of a `hosts.toml` means: authority and path of an `https` URL.

use std::net::Ipv6Addr;

/// Host with port, and path, of a URL; escapes are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// As `URL.Host`: brackets and port included, userinfo not.
    pub(crate) host: Vec<u8>,
    /// As `URL.Path`.
    pub(crate) path: Vec<u8>,
}

/// What may be escaped, and what must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Zone,
    Other,
}

// === impl Url ===

impl Url {
    /// Parses what follows `https://` or `http://`; `None` where Go reports an error.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (text, fragment) = cut(text, b'#');
        unescape(fragment.unwrap_or_default(), Part::Other)?;
        if text.iter().any(u8::is_ascii_control) {
            return None;
        }
        let (text, _query) = cut(text, b'?');
        let slash = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
        let (authority, path) = text.split_at_checked(slash)?;
        Some(Self { host: parse_authority(authority)?, path: unescape(path, Part::Other)? })
    }
}

fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |b| *b == separator);
    (parts.next().unwrap_or_default(), parts.next())
}

fn parse_authority(authority: &[u8]) -> Option<Vec<u8>> {
    let mut parts = authority.rsplitn(2, |b| *b == b'@');
    let host = parse_host(parts.next().unwrap_or_default())?;
    if let Some(userinfo) = parts.next() {
        let valid = userinfo.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(b));
        if !valid {
            return None;
        }
        let (username, password) = cut(userinfo, b':');
        unescape(username, Part::Other)?;
        unescape(password.unwrap_or_default(), Part::Other)?;
    }
    Some(host)
}

fn parse_host(host: &[u8]) -> Option<Vec<u8>> {
    match host.iter().rposition(|b| *b == b'[') {
        Some(0) => parse_bracketed(host),
        Some(_) => None,
        None => {
            // Since Go 1.26 the first colon starts the port, so a second one is an error.
            let port = host.iter().position(|b| *b == b':').and_then(|colon| host.get(colon..));
            if port.is_none_or(is_optional_port) { unescape(host, Part::Host) } else { None }
        }
    }
}

fn parse_bracketed(host: &[u8]) -> Option<Vec<u8>> {
    let close = host.iter().rposition(|b| *b == b']')?;
    let (address, port) = (host.get(1..close)?, host.get(close + 1..)?);
    if !is_optional_port(port) {
        return None;
    }
    let zone = address.windows(3).position(|escape| escape == b"%25").unwrap_or(address.len());
    let (plain, zone) = address.split_at_checked(zone)?;
    let address = [unescape(plain, Part::Host)?, unescape(zone, Part::Zone)?].concat();
    is_ipv6(&address).then(|| [b"[", address.as_slice(), b"]", port].concat())
}

/// `netip.ParseAddr` of an address that has to be IPv6; a zone may be anything but empty.
fn is_ipv6(address: &[u8]) -> bool {
    let (address, zone) = cut(address, b'%');
    let parsed = std::str::from_utf8(address).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
    parsed.is_some() && zone.is_none_or(|zone| !zone.is_empty())
}

fn is_optional_port(port: &[u8]) -> bool {
    match port.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    }
}

fn unescape(text: &[u8], part: Part) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'%' {
            let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
            let value = u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()?;
            let allowed = match part {
                Part::Other => true,
                // Only a percent sign and bytes that are not ASCII may be escaped in a host.
                Part::Host => value == b'%' || !value.is_ascii(),
                Part::Zone => value == b'%' || value == b' ' || is_host_byte(value),
            };
            if !allowed {
                return None;
            }
            decoded.push(value);
            at += 3;
        } else {
            if part != Part::Other && byte.is_ascii() && !is_host_byte(byte) {
                return None;
            }
            decoded.push(byte);
            at += 1;
        }
    }
    Some(decoded)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!\"$&'()*+,-.:;<=>[]_~".contains(&byte)
}
