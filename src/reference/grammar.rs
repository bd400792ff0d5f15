//! The grammar of a full reference, `domain/path[:tag][@digest]`, as one pass of hand-written scanners
//! (distribution/reference v0.6.0 `regexp.go`).

/// The parts of a reference that matches the grammar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// Domain and path.
    pub(super) name: &'a str,
    /// What the length limit applies to: without the domain if the first segment is a legal one, else all of it.
    pub(super) path: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
}

/// Splits a reference that contains a domain, or says that it does not match.
///
/// The expression of the original is unambiguous: `@` occurs only before the digest, and after the first `/` a `:`
/// occurs only before the tag.
pub(super) fn split(full: &str) -> Option<Parts<'_>> {
    let (named, digest) = split_optional(full, '@');
    let (first, rest) = named.split_once('/')?;
    let (path, tag) = split_optional(rest, ':');
    let name = named.get(..first.len() + 1 + path.len())?;
    let matches = is_path(path) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
    if !matches {
        None
    } else if is_domain(first) {
        Some(Parts { name, path, tag, digest })
    } else if is_path_component(first) {
        // `my_host.com/foo` is no domain and a path, but a match all the same.
        Some(Parts { name, path: name, tag, digest })
    } else {
        None
    }
}

fn split_optional(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn is_domain(text: &str) -> bool {
    let (host_matches, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let Some((address, port)) = bracketed.split_once(']') else {
            return false;
        };
        (!address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'), port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (host.split('.').all(is_host_label), port)
    };
    host_matches && is_optional_port(port)
}

fn is_optional_port(text: &str) -> bool {
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    text.is_empty() || text.strip_prefix(':').is_some_and(digits)
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut groups = text.as_bytes().chunk_by(|a, b| alphanumeric(a) == alphanumeric(b)).peekable();
    if !groups.peek().is_some_and(|first| first.iter().all(alphanumeric)) {
        return false;
    }
    let mut ends_with_separator = false;
    for group in groups {
        ends_with_separator = !group.iter().all(alphanumeric);
        if ends_with_separator && !is_separator(group) {
            return false;
        }
    }
    !ends_with_separator
}

fn is_separator(group: &[u8]) -> bool {
    matches!(group, b"." | b"_" | b"__") || group.iter().all(|b| *b == b'-')
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let component = |part: &str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && part.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        algorithm.split(['-', '_', '+', '.']).all(component)
            && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_components_allow_one_separator_between_groups() {
        for accepted in ["a", "a.b", "a_b", "a__b", "a-b", "a---b", "0", "a.b_c__d-e"] {
            assert!(is_path_component(accepted), "{accepted}");
        }
        for refused in ["", ".", "a.", ".a", "a..b", "a___b", "a._b", "a.-b", "a-_b", "-a", "a-", "A", "aé", "é"] {
            assert!(!is_path_component(refused), "{refused}");
        }
    }

    #[test]
    fn domains_are_labels_or_bracketed_addresses_with_an_optional_port() {
        for accepted in ["a", "A-b", "a.B", "a:0", "x.y:99999999", "[::1]", "[::1]:5000", "[f]", "1.2.3.4"] {
            assert!(is_domain(accepted), "{accepted}");
        }
        for refused in [
            "",
            "a.",
            ".a",
            "a_b",
            "-a",
            "a-",
            "a:",
            "a:x",
            "a:1:2",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[fe80::1%eth0]",
            "é",
        ] {
            assert!(!is_domain(refused), "{refused}");
        }
    }
}
