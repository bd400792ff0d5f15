//! What containerd said and what pullgate said, brought to one measure: a class of failure, and the line that the
//! kubelet would show. Pure.

use std::fmt;

use crate::Failure;
use crate::parts::OracleAnswer;

/// The classes that both sides are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// The registry says that it is not there.
    NotFound,
    /// A login is missing, wrong or not enough.
    Authorization,
    /// 429.
    RateLimited,
    /// 5xx, or an answer that makes no sense.
    RegistryFault,
    /// No answer at all: refused, timeout, TLS.
    Network,
    /// The reference does not parse.
    InvalidReference,
    /// pullgate did not look; never what the oracle says.
    NotChecked,
}

/// What the node would show after every candidate failed.
#[derive(Debug)]
pub(crate) struct NodeLine {
    pub(crate) text: String,
    /// The text is fixed (section 8.3 and 8.4 of containerd's resolver), not the wording of Go's network stack.
    pub(crate) fixed: bool,
}

// === impl Class ===

impl Class {
    /// The class of the resolver's text. Statuses come first: they also stand inside the texts about tokens.
    pub(crate) fn of_oracle(text: &str) -> Option<Self> {
        const TABLE: [(&str, Class); 22] = [
            ("invalid reference format", Class::InvalidReference),
            ("repository name must", Class::InvalidReference),
            ("checksum digest", Class::InvalidReference),
            ("unsupported digest algorithm", Class::InvalidReference),
            ("cannot specify 64-byte hexadecimal strings", Class::InvalidReference),
            (": 429 ", Class::RateLimited),
            (": 500 ", Class::RegistryFault),
            (": 502 ", Class::RegistryFault),
            (": 503 ", Class::RegistryFault),
            (": 400 ", Class::RegistryFault),
            ("did not include a token", Class::RegistryFault),
            ("unable to decode token response", Class::RegistryFault),
            ("pull access denied", Class::Authorization),
            (": 401 ", Class::Authorization),
            (": 403 ", Class::Authorization),
            ("failed to fetch oauth token", Class::Authorization),
            ("failed to fetch anonymous token", Class::Authorization),
            ("failed to do request", Class::Network),
            ("dial tcp", Class::Network),
            ("timeout", Class::Network),
            ("deadline exceeded", Class::Network),
            ("tls: ", Class::Network),
        ];
        if text.contains("in header not a valid digest") {
            return Some(Self::RegistryFault);
        }
        let found = TABLE.iter().find(|(part, _)| text.contains(part)).map(|(_, class)| *class);
        found.or_else(|| text.ends_with(": not found").then_some(Self::NotFound))
    }

    /// Whether trying again may help, so that pullgate must not deny.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::RateLimited | Self::RegistryFault | Self::Network | Self::NotChecked)
    }

    /// The classes that a code of pullgate's may stand for; empty for a code that this suite does not expect.
    pub(crate) fn of_code(code: &str) -> &'static [Self] {
        match code {
            "TagNotFound" | "DigestNotFound" => &[Self::NotFound],
            "RepositoryNotFound" | "NotFoundOrNoAccess" => &[Self::NotFound, Self::Authorization],
            "CredentialsMissing" | "CredentialsRejected" | "CredentialsExpired" | "AccessDenied" => {
                &[Self::Authorization]
            }
            "RateLimited" => &[Self::RateLimited],
            "RegistryError" => &[Self::RegistryFault],
            "RegistryUnreachable" => &[Self::Network],
            "InvalidImageName" => &[Self::InvalidReference],
            "NotChecked" => &[Self::NotChecked],
            _ => &[],
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Authorization => "authorization",
            Self::RateLimited => "rate limit",
            Self::RegistryFault => "registry fault",
            Self::Network => "network",
            Self::InvalidReference => "invalid reference",
            Self::NotChecked => "not checked",
        })
    }
}

/// What containerd's CRI layer puts before the resolver's text, since 2.1.
pub(crate) fn with_prefixes(OracleAnswer { reference, error, .. }: &OracleAnswer) -> String {
    format!("failed to pull and unpack image \"{reference}\": failed to resolve image: {error}")
}

/// The kubelet's line for these failures: each `text` with its gRPC code, `Unknown` left out; identical texts once;
/// several in brackets (apimachinery `util/errors`). None for a reference that does not parse: the kubelet finds that
/// itself, in its own words.
pub(crate) fn node_line(failures: &[OracleAnswer], text: impl Fn(&OracleAnswer) -> String) -> Option<NodeLine> {
    if failures.iter().any(|failure| Class::of_oracle(&failure.error) == Some(Class::InvalidReference)) {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    for failure in failures {
        let OracleAnswer { code, .. } = failure;
        let code = if code == "Unknown" { String::new() } else { format!("rpc error: code = {code} desc = ") };
        let line = code + &text(failure);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let text = match lines.as_slice() {
        [] => return None,
        [only] => only.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let fixed = |failure: &OracleAnswer| Class::of_oracle(&failure.error).is_some_and(|class| class != Class::Network);
    Some(NodeLine { text, fixed: failures.iter().all(fixed) })
}

/// Whether pullgate asked the hosts for manifests as containerd did: the same paths with the same kind of login, in the
/// same order. Repetitions count once (containerd tries again where pullgate does not); before a denial pullgate walks a
/// second time, and leaves out a host whose token server it already knows to refuse.
pub(crate) fn same_walk(theirs: &[String], mine: &[String]) -> Result<(), Failure> {
    let walk = |noted: &[String]| {
        let heads = noted.iter().filter(|line| line.contains(" HEAD ") && line.contains("/manifests/"));
        let mut walk: Vec<String> = heads.cloned().collect();
        walk.dedup();
        walk
    };
    let (theirs, mine) = (walk(theirs), walk(mine));
    let mut left = theirs.iter();
    let again = mine.get(theirs.len()..).unwrap_or_default().iter().all(|line| left.any(|known| known == line));
    if mine.starts_with(&theirs) && again {
        Ok(())
    } else {
        Err(format!("containerd asked {theirs:#?}\npullgate asked {mine:#?}").into())
    }
}
