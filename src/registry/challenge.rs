//! `WWW-Authenticate` header lines → the challenges that a containerd node would see.
//!
//! Reads as containerd reads (containerd/containerd `core/remotes/docker/auth/parse.go`): one challenge per header
//! line, what follows the first challenge on a line is lost, Bearer goes before Basic. Schemes that containerd cannot
//! answer (Digest, Negotiate) are passed over, as its authorizer passes over them. A stricter or a more generous parser
//! would predict another pull than the node's.

use std::collections::BTreeMap;

/// How a registry wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Challenge {
    /// Fetch a token from `realm`.
    Bearer {
        /// The token server's URL, as announced; may be empty or broken.
        realm: String,
        /// `service`, possibly empty.
        service: String,
        /// The scopes in the challenge, split at each space as containerd does it: some are empty where
        /// there is one space too many, or nothing.
        scopes: Vec<String>,
        /// `error`, such as `insufficient_scope`.
        error: Option<String>,
    },
    /// Send user and password.
    Basic,
}

// === impl Challenge ===

impl Challenge {
    /// Why what was presented is refused, in the word of the challenge.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Bearer { error, .. } => error.as_deref(),
            Self::Basic => None,
        }
    }
}

/// The challenges of all header lines that a node can answer, in the order in which it tries them: it answers the first.
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = lines.into_iter().filter_map(parse_line).collect();
    challenges.sort_by_key(|challenge| match challenge {
        Challenge::Bearer { .. } => 0,
        Challenge::Basic => 1,
    });
    challenges
}

fn parse_line(line: &str) -> Option<Challenge> {
    let (scheme, rest) = token(line);
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => {
            let mut parameters = parameters(rest);
            Some(Challenge::Bearer {
                realm: parameters.remove("realm").unwrap_or_default(),
                service: parameters.remove("service").unwrap_or_default(),
                scopes: parameters
                    .remove("scope")
                    .map(|scope| scope.split(' ').map(str::to_owned).collect())
                    .unwrap_or_default(),
                error: parameters.remove("error").filter(|error| !error.is_empty()),
            })
        }
        _ => None,
    }
}

/// `key=value` pairs up to the first thing that is none; the last of equal keys wins.
fn parameters(mut rest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    loop {
        let (key, after_key) = token(skip_space(rest));
        let Some(value_at) = after_key.strip_prefix('=').filter(|_| !key.is_empty()) else {
            return found;
        };
        let (value, after_value) = token_or_quoted(value_at);
        found.insert(key.to_ascii_lowercase(), value);
        let Some(next) = skip_space(after_value).strip_prefix(',') else {
            return found;
        };
        rest = next;
    }
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

/// The longest prefix of token characters (RFC 7230 section 3.2.6).
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A token or a quoted string, either perhaps empty; a string that does not end is empty, and nothing follows it.
fn token_or_quoted(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(c),
        }
    }
    (String::new(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scopes: &[&str], error: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.to_owned(),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn lines_are_read_as_containerd_reads_them() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull",error="insufficient_scope""#;
        let comma_joined =
            r#"Bearer realm="https://c.org/v2/token",service="s",scope="*",Basic realm="https://c.org/v2""#;
        let table: &[(&[&str], Vec<Challenge>)] = &[
            (
                &[hub],
                vec![bearer(
                    "https://auth.docker.io/token",
                    "registry.docker.io",
                    &["repository:a/b:pull"],
                    Some("insufficient_scope"),
                )],
            ),
            (&[comma_joined], vec![bearer("https://c.org/v2/token", "s", &["*"], None)]),
            (&[r#"Basic realm="x", Bearer realm="y""#], vec![Challenge::Basic]),
            (&[r#"Basic realm="x""#, r#"Bearer realm="y""#], vec![bearer("y", "", &[], None), Challenge::Basic]),
            (&[r#"BASIC realm="Sonatype""#], vec![Challenge::Basic]),
            (&["bearer REALM=y , Service = z"], vec![bearer("y", "", &[], None)]),
            (&[r#"Bearer realm="a\"b""#], vec![bearer("a\"b", "", &[], None)]),
            (&[r#"Bearer realm="open"#], vec![bearer("", "", &[], None)]),
            (&["Negotiate", "NTLM", ""], vec![]),
            (&[r#"Digest realm="x", nonce="n""#], vec![]),
            (&[r#"Digest realm="x""#, r#"Basic realm="x""#], vec![Challenge::Basic]),
            (&["Negotiate", r#"BASIC realm="x""#, "NTLM"], vec![Challenge::Basic]),
            // Behind the first challenge of a line nothing is read, whatever its scheme is.
            (&[r#"Digest realm="x", Basic realm="x""#], vec![]),
            (&[r#"Negotiate, Basic realm="x""#], vec![]),
            (
                &["DIGEST x=y", "Basic", "Digest", "bearer realm=y", "Basic"],
                vec![bearer("y", "", &[], None), Challenge::Basic, Challenge::Basic],
            ),
            (&["Bearer"], vec![bearer("", "", &[], None)]),
            (&[r#"Bearer realm="r",scope="a b  c""#], vec![bearer("r", "", &["a", "b", "", "c"], None)]),
            (&[r#"Bearer realm="r",scope="",error="e""#], vec![bearer("r", "", &[""], Some("e"))]),
            (&[r#"Bearer realm="r",error="",service=,scope=a"#], vec![bearer("r", "", &["a"], None)]),
        ];
        for (lines, expected) in table {
            assert_eq!(&parse(lines.iter().copied()), expected, "{lines:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "\\PC{0,200}") {
            let _ = parse([line.as_str()]);
        }
    }
}
