//! A glob, compiled once: `*` is any run of characters (slashes and dots too), `?` is one, `{a,b}` is either, `[ab]` is a
//! class. Words without any of these, and the lone `*`, never reach the glob machine.

use std::fmt;
use std::net::Ipv6Addr;

use globset::{GlobBuilder, GlobMatcher};

use crate::registry::host_port::{HostPort, port_number};

/// A compiled glob that remembers how it was written.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    ignore_case: bool,
    matcher: Matcher,
}

#[derive(Clone)]
enum Matcher {
    Any,
    Word(Box<str>),
    Glob(GlobMatcher),
}

/// A glob that does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a glob: {reason}")]
pub struct PatternError {
    text: String,
    reason: String,
}

// === impl Pattern ===

impl Pattern {
    /// A glob over image names, compared as they are.
    pub fn image(text: &str) -> Result<Self, PatternError> {
        Self::compile(text, text, false)
    }

    /// A glob over registry hosts, `host[:port]`, compared without case with the canonical text of a
    /// [`HostPort`](crate::registry::host_port::HostPort). The brackets of an IPv6 address stand for themselves.
    pub fn host(text: &str) -> Result<Self, PatternError> {
        let glob = match HostPort::parse(text) {
            Some(one) => one.to_string(),
            None => match text.rsplit_once(':').and_then(|(host, port)| Some((host, port_number(port)?))) {
                Some((host, port)) => format!("{host}:{port}"),
                None => text.to_owned(),
            },
        };
        match glob.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) if address.contains(':') => {
                let canonical = address.parse::<Ipv6Addr>().map_or_else(|_| address.to_owned(), |it| it.to_string());
                Self::compile(text, &format!("[[]{canonical}[]]{port}"), true)
            }
            _ => Self::compile(text, &glob, true),
        }
    }

    /// The pattern that matches everything.
    pub fn any() -> Self {
        Self { text: "*".to_owned(), ignore_case: false, matcher: Matcher::Any }
    }

    /// Whether the whole of `candidate` matches.
    pub fn matches(&self, candidate: &str) -> bool {
        match &self.matcher {
            Matcher::Any => true,
            Matcher::Word(word) if self.ignore_case => word.eq_ignore_ascii_case(candidate),
            Matcher::Word(word) => **word == *candidate,
            Matcher::Glob(glob) => glob.is_match(candidate),
        }
    }

    /// Whether it is the pattern that matches everything.
    pub fn is_any(&self) -> bool {
        matches!(self.matcher, Matcher::Any)
    }

    /// Whether it is one name, and no glob.
    pub fn is_word(&self) -> bool {
        matches!(self.matcher, Matcher::Word(_))
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn compile(text: &str, glob: &str, ignore_case: bool) -> Result<Self, PatternError> {
        let refuse = |reason: String| PatternError { text: text.to_owned(), reason };
        if text.is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        let matcher = if glob == "*" {
            Matcher::Any
        } else if glob.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            let glob = GlobBuilder::new(glob)
                .literal_separator(false)
                .case_insensitive(ignore_case)
                .build()
                .map_err(|error| refuse(error.kind().to_string()))?;
            Matcher::Glob(glob.compile_matcher())
        } else {
            Matcher::Word(glob.into())
        };
        Ok(Self { text: text.to_owned(), ignore_case, matcher })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.ignore_case == other.ignore_case
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_pattern_ignores_case_and_reads_addresses_as_they_are() {
        for (pattern, host, expected) in [
            ("*", "anything:5000", true),
            ("Registry.corp.io", "registry.CORP.io", true),
            ("registry.corp.io", "registry.corp.io:5000", false),
            ("*.corp.io", "Eu.Corp.IO", true),
            ("*.corp.io", "corp.io", false),
            ("*.corp.io*", "eu.corp.io:5000", true),
            ("[::1]:5000", "[::1]:5000", true),
            ("[::1]:5000", "1:5000", false),
            ("[::1]:*", "[::1]:5000", true),
            ("127.0.0.1:500?", "127.0.0.1:5001", true),
            ("{ghcr,quay}.io", "quay.io", true),
            ("r.io:05000", "r.io:5000", true),
            ("*.io:05000", "r.io:5000", true),
            ("[0:0:0:0:0:0:0:1]:05000", "[::1]:5000", true),
            ("[0:0:0:0:0:0:0:1]:*", "[::1]:5000", true),
            ("[::ffff:127.0.0.1]:5000", "127.0.0.1:5000", true),
        ] {
            let compiled = Pattern::host(pattern).unwrap();
            assert_eq!(compiled.matches(host), expected, "{pattern} ~ {host}");
        }
    }

    #[test]
    fn an_image_pattern_keeps_case_and_crosses_slashes() {
        for (pattern, image, expected) in [
            ("registry.corp.io/old/*", "registry.corp.io/old/a/b:1", true),
            ("registry.corp.io/old/*", "registry.corp.io/new/a", false),
            ("docker.io/library/busybox", "docker.io/library/busybox", true),
            ("docker.io/library/busybox:V1", "docker.io/library/busybox:v1", false),
        ] {
            assert_eq!(Pattern::image(pattern).unwrap().matches(image), expected, "{pattern} ~ {image}");
        }
    }

    #[test]
    fn a_pattern_that_does_not_compile_says_why() {
        assert_eq!(Pattern::image("").unwrap_err().to_string(), r#""" is not a glob: it is empty"#);
        let error = Pattern::host("reg{a,b").unwrap_err().to_string();
        assert!(error.starts_with(r#""reg{a,b" is not a glob: "#), "{error}");
    }
}
