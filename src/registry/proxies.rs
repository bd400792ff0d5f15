//! The proxy variables of an environment → the HTTP proxy for a URL, as Go programs read them, the container runtime on
//! the nodes among them (golang/net `http/httpproxy/proxy.go`).
//!
//! It differs where Go would go on without a word: a proxy that cannot be used is an error.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// The text of the variables; of each the upper-case one counts before the lower-case one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables {
    /// `HTTP_PROXY` or `http_proxy`.
    pub http: String,
    /// `HTTPS_PROXY` or `https_proxy`.
    pub https: String,
    /// `NO_PROXY` or `no_proxy`.
    pub no: String,
}

/// The proxies of an environment; none by default. Their URLs may carry logins, so `Debug` does not show them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    no: Vec<Bypass>,
}

/// A proxy variable that cannot be used; its value may hold a login and is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is no URL of an HTTP proxy: write it like http://proxy.corp.io:3128, or unset it")]
pub struct ProxyError {
    variable: &'static str,
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bypass {
    /// `*`
    Everything,
    /// `10.0.0.0/8`
    Range(IpNet),
    /// `10.0.0.1` or `[::1]:443`
    Address(IpAddr, Option<String>),
    /// `corp.io`, `.corp.io`, `*.corp.io` or `corp.io:443`: names below `suffix`, which starts with a dot, and perhaps the
    /// name itself.
    Domain { suffix: String, itself: bool, port: Option<String> },
}

// === impl Proxies ===

impl Proxies {
    /// Reads the variables.
    ///
    /// # Errors
    /// A proxy that is no `http` or `https` URL.
    pub fn new(variables: &Variables) -> Result<Self, ProxyError> {
        let Variables { http, https, no } = variables;
        let proxy = |variable, text: &str| match text {
            "" => Ok(None),
            text => url(text).map(Some).ok_or(ProxyError { variable }),
        };
        let mut no: Vec<Bypass> = no.split(',').filter_map(bypass).collect();
        if no.contains(&Bypass::Everything) {
            no = vec![Bypass::Everything];
        }
        Ok(Self { http: proxy("HTTP_PROXY", http)?, https: proxy("HTTPS_PROXY", https)?, no })
    }

    /// The proxy for a request to `url`, if there is one. Loopback is never asked through a proxy.
    pub fn of(&self, url: &Url) -> Option<&str> {
        let proxy = match url.scheme() {
            "https" => self.https.as_deref()?,
            "http" => self.http.as_deref()?,
            _ => return None,
        };
        let port = url.port_or_known_default()?.to_string();
        let bypassed = match url.host()? {
            Host::Domain(name) => name == "localhost" || self.no.iter().any(|no| no.covers_name(name, &port)),
            Host::Ipv4(address) => self.bypasses(address.into(), &port),
            Host::Ipv6(address) => self.bypasses(address.into(), &port),
        };
        (!bypassed).then_some(proxy)
    }

    fn bypasses(&self, address: IpAddr, port: &str) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.no.iter().any(|no| no.covers_address(address, port))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |proxy: &Option<String>| proxy.as_ref().map(|_| "set");
        f.debug_struct("Proxies")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .finish_non_exhaustive()
    }
}

// === impl Variables ===

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables").field("no", &self.no).finish_non_exhaustive()
    }
}

// === impl Bypass ===

impl Bypass {
    fn covers_name(&self, name: &str, port: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Range(_) | Self::Address(..) => false,
            Self::Domain { suffix, itself, port: only } => {
                let fits = name.ends_with(suffix.as_str()) || (*itself && suffix.get(1..) == Some(name));
                fits && only.as_deref().is_none_or(|only| only == port)
            }
        }
    }

    fn covers_address(&self, address: IpAddr, port: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Range(range) => range.contains(&address),
            Self::Address(known, only) => *known == address && only.as_deref().is_none_or(|only| only == port),
            Self::Domain { .. } => false,
        }
    }
}

/// The URL of an HTTP proxy, with `http://` before it where it has no scheme.
pub fn url(text: &str) -> Option<String> {
    let usable =
        |text: &str| Url::parse(text).ok().filter(Url::has_host).map(|url| matches!(url.scheme(), "http" | "https"));
    if text.contains(char::is_whitespace) {
        return None;
    }
    match usable(text) {
        Some(http) => http.then(|| text.to_owned()),
        None if text.contains("://") => None,
        None => Some(format!("http://{text}")).filter(|url| usable(url) == Some(true)),
    }
}

fn bypass(entry: &str) -> Option<Bypass> {
    let entry = entry.trim().to_lowercase();
    if entry.is_empty() {
        return None;
    }
    if entry == "*" {
        return Some(Bypass::Everything);
    }
    if entry.contains('/')
        && let Ok(range) = entry.parse()
    {
        return Some(Bypass::Range(range));
    }
    let (host, port) = match split(&entry) {
        Some(("", _)) => return None,
        Some((host, port)) => (host, Some(port.to_owned()).filter(|port| !port.is_empty())),
        None => (entry.as_str(), None),
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Bypass::Address(address.to_canonical(), port));
    }
    let (itself, name) = match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
        Some(name) => (false, name),
        None => (true, host),
    };
    let ascii = match Host::parse(name) {
        Ok(Host::Domain(ascii)) => ascii,
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => name.to_owned(),
    };
    Some(Bypass::Domain { suffix: format!(".{ascii}"), itself, port })
}

/// Host and port as Go's `net.SplitHostPort` finds them.
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => Some((host.strip_suffix(']')?, port)),
        None => (!host.contains(':')).then_some((host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(no: &str) -> Proxies {
        let variables = Variables { http: "plain:3128".into(), https: "http://secure:3129".into(), no: no.into() };
        Proxies::new(&variables).unwrap()
    }

    fn direct(no: &str, url: &str) -> bool {
        proxies(no).of(&Url::parse(url).unwrap()).is_none()
    }

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (no, url, expected) in [
            ("", "https://a.io/", false),
            ("", "https://localhost/", true),
            ("", "https://localhost:5000/", true),
            ("", "https://127.8.8.8/", true),
            ("", "https://[::1]/", true),
            ("", "https://[::ffff:127.0.0.1]/", true),
            ("", "https://sub.localhost/", false),
            ("*", "https://a.io/", true),
            ("*", "https://10.1.1.1/", true),
            ("b.io, *", "https://a.io/", true),
            ("a.io", "https://a.io/", true),
            ("A.io", "https://a.IO/", true),
            (" a.io ,b.io", "https://a.io/", true),
            ("a.io", "https://x.y.a.io/", true),
            ("a.io", "https://xa.io/", false),
            (".a.io", "https://a.io/", false),
            (".a.io", "https://x.a.io/", true),
            ("*.a.io", "https://a.io/", false),
            ("*.a.io", "https://x.a.io/", true),
            ("a.io:443", "https://a.io/", true),
            ("a.io:443", "https://a.io:5000/", false),
            ("a.io:5000", "https://x.a.io:5000/", true),
            ("a.io:80", "http://a.io/", true),
            (":443", "https://a.io/", false),
            ("10.1.1.1", "https://10.1.1.1/", true),
            ("10.1.1.1:443", "https://10.1.1.1:444/", false),
            ("10.1.1.1", "https://10.1.1.2/", false),
            ("::ffff:10.1.1.1", "https://10.1.1.1/", true),
            ("10.0.0.0/8", "https://10.1.1.1/", true),
            ("10.9.9.9/8", "https://10.1.1.1/", true),
            ("10.0.0.0/8", "https://11.1.1.1/", false),
            ("10.0.0.0/8", "https://ten.io/", false),
            ("fd00::/8", "https://[fd00::1]/", true),
            ("fd00::1", "https://[fd00::1]:5000/", true),
            ("[fd00::1]:5000", "https://[fd00::1]:5000/", true),
            ("[fd00::1]:5000", "https://[fd00::1]/", false),
            ("[fd00::1]", "https://[fd00::1]/", false),
            ("bücher.example", "https://xn--bcher-kva.example/", true),
            ("1.1", "https://10.0.1.1/", false),
            (",,", "https://a.io/", false),
        ] {
            assert_eq!(direct(no, url), expected, "NO_PROXY={no} {url}");
        }
    }

    #[test]
    fn each_scheme_has_its_own_proxy() {
        let proxies = proxies("");
        assert_eq!(proxies.of(&Url::parse("http://a.io/").unwrap()), Some("http://plain:3128"));
        assert_eq!(proxies.of(&Url::parse("https://a.io/").unwrap()), Some("http://secure:3129"));
        assert_eq!(proxies.of(&Url::parse("ftp://a.io/").unwrap()), None);
        assert_eq!(Proxies::default().of(&Url::parse("https://a.io/").unwrap()), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_its_value() {
        for (text, expected) in [
            ("http://me:hunter2@proxy:3128", Some("http://me:hunter2@proxy:3128")),
            ("me:hunter2@proxy:3128", Some("http://me:hunter2@proxy:3128")),
            ("https://proxy/", Some("https://proxy/")),
            ("proxy", Some("http://proxy")),
            ("10.0.0.1:3128", Some("http://10.0.0.1:3128")),
            ("socks5://hunter2:1080", None),
            ("http://", None),
            ("http://hunter2:port", None),
            ("two words", None),
        ] {
            assert_eq!(url(text).as_deref(), expected, "{text}");
            let proxies = Proxies::new(&Variables { https: text.into(), ..Variables::default() });
            assert_eq!(proxies.is_ok(), expected.is_some(), "{text}");
            assert!(!format!("{proxies:?}").contains("hunter2"), "{proxies:?}");
        }
    }
}
