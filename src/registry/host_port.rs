//! `host[:port]` → [`HostPort`]: where a node's Go runtime connects to, so that two spellings of one place are equal.
//!
//! An address is what Go's `net/netip.ParseAddr` takes (golang/go `src/net/netip/netip.go`): four decimal numbers without
//! zeros in front, or IPv6 in brackets. Everything else is a name that is looked up. A port is a decimal number
//! (golang/go `src/net/port.go`, `parsePort`). The URL Standard reads hosts differently: it makes an address of `127.1`,
//! `0177.0.0.1` and `0x7f.1`. [`read_url`] and [`join_url`] refuse such a URL instead of asking another host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

/// The port of HTTPS.
pub const HTTPS_PORT: u16 = 443;

/// The port of HTTP.
pub const HTTP_PORT: u16 = 80;

/// A host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port, where one is written.
    pub port: Option<u16>,
}

/// A host as Go connects to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address; IPv4 inside IPv6 is IPv4.
    Address(IpAddr),
    /// A name in lower case, to be looked up.
    Name(String),
}

/// Why a URL is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not parse.
    #[error(transparent)]
    Syntax(url::ParseError),
    /// A node would ask another host than the one that the URL Standard makes of this text, or none.
    #[error("nodes do not read {0:?} as the host that a URL library makes of it")]
    OtherHost(String),
}

/// Reads an absolute URL.
///
/// # Errors
/// What does not parse, and what a node reads as another host than the `url` crate does.
pub fn read_url(text: &str) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(|error| UrlError::of(error, text))?;
    match written_authority(text) {
        Some(written) if same_place(written, &url) => Ok(url),
        written => Err(UrlError::OtherHost(written.unwrap_or(text).to_owned())),
    }
}

/// Resolves `target`, of a `Location` or `Link` header, against `base`.
///
/// # Errors
/// As [`read_url`]; a target without a host stays at the host of `base`.
pub fn join_url(base: &Url, target: &str) -> Result<Url, UrlError> {
    let url = base.join(target).map_err(|error| UrlError::of(error, target))?;
    let sound = match written_authority(target) {
        Some(written) => same_place(written, &url),
        None => url.origin() == base.origin(),
    };
    if sound { Ok(url) } else { Err(UrlError::OtherHost(written_authority(target).unwrap_or(target).to_owned())) }
}

/// The `user@host:port` of a URL as it is written, if there is one (RFC 3986 section 3.2).
fn written_authority(text: &str) -> Option<&str> {
    let scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let rest = text.split_once(':').filter(|(before, _)| scheme(before)).map_or(text, |(_, rest)| rest);
    let rest = rest.strip_prefix("//")?;
    Some(rest.split(['/', '?', '#']).next().unwrap_or(rest))
}

/// Whether the host of `url` is the written one.
fn same_place(written: &str, url: &Url) -> bool {
    let written = written.rsplit_once('@').map_or(written, |(_, host)| host);
    match HostPort::parse(written) {
        Some(written) => Some(written.host) == HostPort::of(url).map(|found| found.host),
        // A name in another script is read alike by both, unless digits of that script become an address.
        None => !written.is_ascii() && matches!(url.host(), Some(url::Host::Domain(_))),
    }
}

// === impl UrlError ===

impl UrlError {
    fn of(error: url::ParseError, text: &str) -> Self {
        match error {
            // `registry.1` is a name, too.
            url::ParseError::InvalidIpv4Address => Self::OtherHost(written_authority(text).unwrap_or(text).to_owned()),
            error => Self::Syntax(error),
        }
    }
}

// === impl HostPort ===

impl HostPort {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`; `None` where no node could connect to it.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
            let (address, rest) = bracketed.split_once(']')?;
            let port = rest.strip_prefix(':').or(rest.is_empty().then_some(""))?;
            (Host::address(address.parse::<Ipv6Addr>().ok()?.into()), port)
        } else {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            (Host::parse(host)?, port)
        };
        Some(Self { host, port: if port.is_empty() { None } else { Some(port_number(port)?) } })
    }

    /// The host and the port of a URL; the port is absent where it is that of the scheme.
    pub fn of(url: &Url) -> Option<Self> {
        let host = match url.host()? {
            url::Host::Domain(name) => Host::Name(name.to_ascii_lowercase()),
            url::Host::Ipv4(address) => Host::Address(address.into()),
            url::Host::Ipv6(address) => Host::address(address.into()),
        };
        Some(Self { host, port: url.port() })
    }

    /// Every spelling of the place where `default_port` is meant unless another is written: as canonical text, with the
    /// port and, where it is the default, without.
    pub fn spellings(&self, default_port: u16) -> Vec<String> {
        let port = self.port.unwrap_or(default_port);
        let with_port = format!("{}:{port}", self.host);
        if port == default_port { vec![self.host.to_string(), with_port] } else { vec![with_port] }
    }
}

impl fmt::Display for HostPort {
    /// The canonical text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

// === impl Host ===

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if text.is_empty() || !text.bytes().all(name) {
            return None;
        }
        Some(match text.parse::<Ipv4Addr>() {
            Ok(address) => Self::Address(address.into()),
            Err(_) => Self::Name(text.to_ascii_lowercase()),
        })
    }

    fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A decimal number; zeros in front do not count.
pub fn port_number(text: &str) -> Option<u16> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place_are_equal() {
        for (one, other) in [
            ("Registry.Corp.io:5000", "registry.corp.io:05000"),
            ("r.io:443", "r.io:0000443"),
            ("[::1]:5000", "[0:0:0:0:0:0:0:1]:05000"),
            ("[::ffff:7f00:1]:5000", "127.0.0.1:5000"),
            ("r.io:", "r.io"),
            ("[::1]:", "[::1]"),
        ] {
            assert_eq!(HostPort::parse(one).unwrap(), HostPort::parse(other).unwrap(), "{one} and {other}");
        }
        for (one, other) in [
            ("r.io", "r.io:443"),
            ("r.io:5000", "r.io:5001"),
            ("r.io", "r.io."),
            ("127.1", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("127.0.0.01", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("[::1]:5000", "[::2]:5000"),
        ] {
            assert_ne!(HostPort::parse(one).unwrap(), HostPort::parse(other).unwrap(), "{one} and {other}");
        }
    }

    #[test]
    fn what_no_node_connects_to_is_none() {
        for text in [
            "",
            ":5000",
            "r.io:65536",
            "r.io:x",
            "r.io:-1",
            "::1",
            "[::1",
            "[::1]x",
            "[f]",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "a b",
            "ü",
        ] {
            assert_eq!(HostPort::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_default_port_may_be_left_out() {
        let spellings = |text: &str, port| HostPort::parse(text).unwrap().spellings(port);
        assert_eq!(spellings("R.io", HTTPS_PORT), ["r.io", "r.io:443"]);
        assert_eq!(spellings("r.io:0443", HTTPS_PORT), ["r.io", "r.io:443"]);
        assert_eq!(spellings("r.io:443", HTTP_PORT), ["r.io:443"]);
        assert_eq!(spellings("[::1]", HTTP_PORT), ["[::1]", "[::1]:80"]);
    }

    #[test]
    fn a_url_is_read_only_where_a_node_asks_the_same_host() {
        for (text, host) in [
            ("https://r.io/v2/", "r.io"),
            ("https://R.io:05000/v2/", "r.io:5000"),
            ("https://127.0.0.1:5000", "127.0.0.1:5000"),
            ("https://[::1]:5000/a?b=//c#d", "[::1]:5000"),
            ("https://u:p@r.io/", "r.io"),
            ("https://bücher.example/", "xn--bcher-kva.example"),
        ] {
            assert_eq!(HostPort::of(&read_url(text).unwrap()).unwrap().to_string(), host, "{text}");
        }
        for text in [
            "https://127.1/v2/",
            "https://0177.0.0.1/v2/",
            "https://0x7f.0.0.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://127.0.0.1./",
            "https://u@127.1:5000/",
            "https://１２７.0.0.1/",
            "https:r.io/",
            "https:/r.io/",
            "https:\\\\r.io\\v2",
            "https://r.io\\@evil.example/",
            "https://r%2eio/",
            "https://r.\tio/",
            "https://r.io:65536/",
            "https://1.2.3.4.5/",
            "r.io/v2",
        ] {
            assert!(read_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redirect_without_a_host_stays_where_it_is() {
        let base = Url::parse("https://r.io:5000/v2/a/manifests/1").unwrap();
        for (target, expected) in [
            ("/blob?x=//127.1/", "https://r.io:5000/blob?x=//127.1/"),
            ("../b", "https://r.io:5000/v2/a/b"),
            ("//cdn.io/b", "https://cdn.io/b"),
            ("http://cdn.io:080/b", "http://cdn.io/b"),
        ] {
            assert_eq!(join_url(&base, target).unwrap().as_str(), expected, "{target}");
        }
        for target in ["//127.1/b", "\\\\evil.example/b", "http:evil.example/b", "/\\evil.example"] {
            assert!(join_url(&base, target).is_err(), "{target}");
        }
    }
}
