//! What the node did and what pullgate said, held against each other: fails or not, the code, the node's line. Pure.

use pullgate::finding::{Code, Finding};
use pullgate::verdict::Verdict;

use crate::cases::{Right, Row, Want};
use crate::pods::Saw;

/// How two answers agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// There is none to compare.
    None,
    /// The finding carries the node's line.
    Equal,
    /// It carries another, or none, where only Go's network stack knows the words.
    OfGo,
}

/// Words in the node's message, and the codes that they may stand for. Several may apply, to several attempts.
const CODES: [(&str, &[&str]); 24] = [
    ("failed open: content at", &["DigestNotFound", "PlatformMismatch"]),
    ("no match for platform in manifest", &["PlatformMismatch"]),
    ("schema 1 image manifests", &["UnsupportedManifest"]),
    ("media type \"application/vnd.docker.distribution.manifest.v1", &["UnsupportedManifest"]),
    ("insufficient_scope", &["NotFoundOrNoAccess", "AccessDenied"]),
    // An entry without a password is a login to the kubelet, and none to the runtime.
    ("no basic auth credentials", &["CredentialsMissing", "CredentialsRejected", "NotFoundOrNoAccess"]),
    ("fetch oauth token: unexpected status from GET request", &["CredentialsRejected"]),
    ("fetch anonymous token: unexpected status from GET request", &["CredentialsMissing", "NotFoundOrNoAccess"]),
    (": 401 Unauthorized", &["CredentialsRejected", "CredentialsMissing", "NotFoundOrNoAccess"]),
    (": 403 Forbidden", &["AccessDenied", "NotFoundOrNoAccess", "BlockedByRegistry"]),
    (": 429 Too Many Requests", &["RateLimited"]),
    (": 400 Bad Request", &["RegistryError"]),
    (": 500 Internal Server Error", &["RegistryError"]),
    (": 502 Bad Gateway", &["RegistryError"]),
    (": 503 Service Unavailable", &["RegistryError"]),
    ("in header not a valid digest", &["RegistryError"]),
    ("did not include a token", &["RegistryError"]),
    ("failed to do request", &["RegistryUnreachable"]),
    ("reports content size of zero", &["UnsupportedManifest"]),
    ("short read", &["UnsupportedManifest"]),
    ("failed size validation", &["UnsupportedManifest"]),
    ("could not fetch content descriptor", &["UnsupportedManifest"]),
    ("unexpected media type", &["UnsupportedManifest"]),
    // A page that no registry signs, for one.
    (": not found", &["TagNotFound", "DigestNotFound", "RepositoryNotFound", "NotFoundOrNoAccess", "RegistryError"]),
];

/// Whether the node did what the row was written for.
pub(crate) fn as_written(row: &Row, saw: &Saw) -> Result<(), String> {
    let holds = match (&row.want, saw) {
        (Want::Runs, Saw::Ran) | (Want::Pulled, Saw::Ran | Saw::Pulled(_)) => true,
        (Want::Fails(reason, part), Saw::Waits { reason: is, message }) => {
            is.contains(reason) && message.contains(part)
        }
        (Want::Stuck(part), Saw::Pulled(why)) => why.contains(part),
        _ => false,
    };
    if holds { Ok(()) } else { Err(format!("the node does not do what the row is for, {:?}: {saw:?}", row.want)) }
}

/// Whether pullgate's verdict on the row's pod is the node's.
pub(crate) fn agree(row: &Row, saw: &Saw, verdict: &Verdict) -> Result<Line, String> {
    let of_row = |finding: &&Finding| finding.container == row.subject();
    if let Some(other) = verdict.findings.iter().find(|finding| !of_row(finding)) {
        return Err(format!("pullgate says {} of {}, which nothing is wrong with", other.code, other.path));
    }
    let finding = verdict.findings.iter().find(of_row);
    match (row.right, saw, finding) {
        (Right::Unseen, Saw::Waits { .. }, None) | (Right::Certain, Saw::Ran | Saw::Pulled(_), None) => Ok(Line::None),
        (Right::Uncertain, Saw::Ran | Saw::Pulled(_), Some(finding)) if !finding.certain => Ok(Line::None),
        (Right::Unsupported, Saw::Pulled(_), Some(finding))
            if finding.certain && finding.code == Code::UnsupportedManifest =>
        {
            Ok(Line::None)
        }
        (right, Saw::Waits { reason, message }, Some(finding)) => {
            if finding.certain != (right == Right::Certain) {
                return Err(format!("{} with certain={}", finding.code, finding.certain));
            }
            code(reason, message, finding)?;
            line(row, message, finding)
        }
        (right, _, Some(finding)) => Err(format!(
            "the node pulls; pullgate says {} (certain={}, right: {right:?}): {}",
            finding.code,
            finding.certain,
            finding.message()
        )),
        (right, _, None) => Err(format!("pullgate finds nothing (right: {right:?})")),
    }
}

fn code(reason: &str, message: &str, finding: &Finding) -> Result<(), String> {
    let code = finding.code.as_str();
    let allowed: Vec<&str> = match reason {
        "InvalidImageName" => vec!["InvalidImageName"],
        "ErrImagePull" => CODES
            .iter()
            .filter(|(words, _)| message.contains(words))
            .flat_map(|(_, codes)| codes.iter().copied())
            .collect(),
        "ErrImageNeverPull" => vec!["ErrImageNeverPull"],
        // The text of the error that no keyring came of is its own reason; any other reason is one word.
        text if text.contains(' ') => vec!["PullSecretMalformed"],
        _ => Vec::new(),
    };
    if allowed.contains(&code) {
        Ok(())
    } else {
        Err(format!("pullgate says {code}, which should be one of {allowed:?}"))
    }
}

fn line(row: &Row, message: &str, finding: &Finding) -> Result<Line, String> {
    if finding.node.as_deref() == Some(message) {
        return Ok(Line::Equal);
    }
    if row.words_of_go {
        return Ok(Line::OfGo);
    }
    Err(format!("{}\nnode line of the kubelet: {message}\nnode line of pullgate:    {:?}", finding.code, finding.node))
}
