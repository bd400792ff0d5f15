//! Whether an entry of a docker config is meant for a repository: the kubelet's match of a key with wildcards against
//! a host and a path (kubernetes/kubernetes `pkg/credentialprovider/keyring.go`, `URLsMatch`).

use super::go_url::Url;

/// The longest host label that inner wildcards are tried on, in bytes. No name server can answer for a longer one, and
/// the bound keeps a keyring full of wildcards cheap.
const MAX_GLOB_LABEL: usize = 255;

/// A key or a repository, taken apart for matching.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    labels: Vec<Vec<u8>>,
    port: Vec<u8>,
    path: Vec<u8>,
}

/// Says whether `key` matches `repository_name`, both without a scheme.
///
/// The ports are equal as text, the hosts have as many labels and each label of the key matches with `*` for any run
/// of characters, and the path of the key is a prefix of the repository's, in the middle of a segment if need be. A
/// key that is no URL matches nothing.
#[must_use]
pub fn url_match(key: &str, repository_name: &str) -> bool {
    match (Pattern::parse(key.as_bytes()), Pattern::parse(repository_name.as_bytes())) {
        (Some(key), Some(repository)) => key.matches(&repository),
        _ => false,
    }
}

// === impl Pattern ===

impl Pattern {
    /// `None`: no URL once `https://` stands before it.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let url = Url::parse(text)?;
        let (host, port) = split_port(&url.host);
        let labels = host.split(|b| *b == b'.').map(<[u8]>::to_vec).collect();
        Some(Self { labels, port: port.to_vec(), path: url.path })
    }

    pub(crate) fn matches(&self, repository: &Self) -> bool {
        self.port == repository.port
            && self.labels.len() == repository.labels.len()
            && repository.path.starts_with(&self.path)
            && self.labels.iter().zip(&repository.labels).all(|(pattern, label)| label_matches(pattern, label))
    }
}

/// Go's `net.SplitHostPort`; what it refuses is a host without a port.
fn split_port(host: &[u8]) -> (&[u8], &[u8]) {
    let split = || {
        let (before, port) = host.split_at_checked(host.iter().rposition(|b| *b == b':')?)?;
        let name = match before.strip_prefix(b"[") {
            Some(inner) => inner.strip_suffix(b"]")?,
            None if before.contains(&b':') => return None,
            None => before,
        };
        let bracket = name.contains(&b'[') || name.contains(&b']');
        (!bracket).then_some((name, port.get(1..)?))
    };
    split().unwrap_or((host, b""))
}

/// Go's `filepath.Match` for the patterns that survive URL parsing: `*`, and an address in brackets without a port,
/// which is taken for a class of characters.
fn label_matches(pattern: &[u8], label: &[u8]) -> bool {
    let Some(class) = pattern.strip_prefix(b"[") else {
        return wildcards_match(pattern, label);
    };
    let (first, rest) = split_first_char(label);
    let after = str::from_utf8(class).ok().and_then(|class| strip_class(class, first?));
    after.is_some_and(|after| wildcards_match(after.as_bytes(), rest))
}

/// Takes the class of characters from the front, if it is well formed and `first` belongs to it. Characters of an
/// IPv6 zone can make ranges: `[::1%a-z]`.
fn strip_class(mut class: &str, first: char) -> Option<&str> {
    let mut belongs = false;
    loop {
        if let Some(after) = class.strip_prefix(']') {
            return belongs.then_some(after);
        }
        let (low, mut after) = class_char(class)?;
        let mut high = low;
        if let Some(range) = after.strip_prefix('-') {
            (high, after) = class_char(range)?;
        }
        belongs |= (low..=high).contains(&first);
        class = after;
    }
}

fn class_char(class: &str) -> Option<(char, &str)> {
    let first = class.chars().next().filter(|first| !matches!(first, '-' | ']'))?;
    Some((first, class.get(first.len_utf8()..)?))
}

/// As Go decodes: a byte that begins no character is U+FFFD.
fn split_first_char(label: &[u8]) -> (Option<char>, &[u8]) {
    let (first, length) = match label.utf8_chunks().next() {
        None => (None, 0),
        Some(chunk) => match chunk.valid().chars().next() {
            Some(first) => (Some(first), first.len_utf8()),
            None => (Some(char::REPLACEMENT_CHARACTER), 1),
        },
    };
    (first, label.get(length..).unwrap_or_default())
}

fn wildcards_match(pattern: &[u8], label: &[u8]) -> bool {
    let mut literals = pattern.split(|b| *b == b'*');
    let Some(mut rest) = label.strip_prefix(literals.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = literals.next_back() else {
        return rest.is_empty();
    };
    let inner: Vec<&[u8]> = literals.filter(|literal| !literal.is_empty()).collect();
    if !inner.is_empty() && label.len() > MAX_GLOB_LABEL {
        return false;
    }
    for literal in inner {
        let Some(found) = rest.windows(literal.len()).position(|window| window == literal) else {
            return false;
        };
        rest = rest.get(found + literal.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_repositories_as_in_the_kubelet() {
        let table = [
            ("*.docker.io", "blah.docker.io/x", true),
            ("*.io", "docker.io/library/x", true),
            ("*.io", "a.b.io/x", false),
            ("*", "localhost/x", true),
            ("reg.io/a", "reg.io/ab/c", true),
            ("reg.io/a/", "reg.io/a", false),
            ("reg.io:443", "reg.io/x", false),
            ("reg.io", "reg.io:443/x", false),
            ("reg.io:5000", "reg.io:5000/x", true),
            ("*.io:5000", "reg.io:5000/x", true),
            ("reg.io:05000", "reg.io:5000/x", false),
            ("reg.io:", "reg.io/x", true),
            ("Reg.io", "reg.io/x", false),
            ("reg.io/X", "reg.io/x", false),
            ("r*.io", "reg.io/x", true),
            ("r*g.io", "reg.io/x", true),
            ("r*g.io", "rg.io/x", true),
            ("r*e*g.io", "rg.io/x", false),
            ("*e*.io", "reg.io/x", true),
            ("**.io", "reg.io/x", true),
            ("*a*ab.io", "aab.io/x", true),
            ("ab*ba.io", "aba.io/x", false),
            ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.us-east-1.amazonaws.com/x", true),
            ("reg.io/*", "reg.io/x", false),
            ("reg.io:*", "reg.io:5000/x", false),
            ("reg.io?x", "reg.io/foo", true),
            ("user@reg.io", "reg.io/foo", true),
            ("user:pa%zz@reg.io", "reg.io/foo", false),
            ("reg.io#x", "reg.io/foo", true),
            ("reg.io#%zz", "reg.io/foo", false),
            ("re?.io", "reg.io/x", false),
            ("r[e]g.io", "reg.io/x", false),
            ("reg.io/%61", "reg.io/a", true),
            ("reg.io/%", "reg.io/a", false),
            ("%72eg.io", "reg.io/a", false),
            ("", "reg.io/a", false),
            ("[::1]:5000", "[::1]:5000/foo", true),
            ("[::1]", "[::1]/foo", false),
            ("[::1]", "1/foo", true),
            ("[::1%25A-Z]", "M/foo", true),
            ("[::1%25A-Z]", "m/foo", false),
            ("[::1%25A-Z]", "MM/foo", false),
            ("[::1%25A-]", "A/foo", false),
            ("[::1%25-a]", "M/foo", true),
            ("[::1%25*]", "*/foo", true),
            ("[::1%25*]", "M/foo", false),
            ("[::1%25M]*]", "M/foo", false),
            ("[::1%25M]*]", "Mx]/foo", true),
            ("[::1%25É-Ź]", "Ê/foo", true),
            ("[::1%25M.x]", "M.x]/foo", false),
            ("[::1%25\u{fffd}]", "%ff/foo", true),
            ("[::1", "[::1]/foo", false),
            ("*]", "[::1]/foo", true),
            ("my_host.com", "my_host.com/foo", true),
            ("a.io:99999999", "a.io:99999999/foo", true),
        ];
        for (key, repository, expected) in table {
            assert_eq!(url_match(key, repository), expected, "{key} ~ {repository}");
        }
    }

    #[test]
    fn wildcards_do_not_make_long_input_slow() {
        let key = "*a".repeat(1 << 19) + "b";
        let host = "a".repeat(1 << 20);
        assert!(!url_match(&key, &format!("{host}:1/x")));
        assert!(!url_match(&key, &host));
        assert!(url_match("*", &host));
    }
}
