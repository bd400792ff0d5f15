//! A 2xx answer → a [`Manifest`], as containerd reads it (containerd/containerd `core/remotes/docker/resolver.go`,
//! `Resolve`): digest, length and media type come from HEAD; from the bytes of a GET where HEAD lacks the length, or the
//! digest of a tag.
//!
//! Where HEAD looks odd, one more GET tells what the bytes are. It never changes what containerd would take from HEAD.

use crate::finding::{Cause, Code};
use crate::reference::{Algorithm, Digest};
use crate::registry::failure::{Failure, Weight};
use crate::registry::manifest::{self, Kind, Manifest, Nature};
use crate::registry::transport::{self, Method, Response};
use crate::registry::{Ask, Registry, node, said};

/// Less than any manifest has that names a configuration or a child by its digest.
const MIN_LENGTH: u64 = 90;

/// What is taken from which answer.
struct Answers {
    /// What containerd takes the media type from.
    described: Response,
    /// The length that containerd takes from a header.
    announced: Option<u64>,
    /// The bytes, where a GET brought them.
    body: Option<Vec<u8>>,
    /// The digest header of the last answer, where it is one.
    digest: Option<Digest>,
}

// === impl Registry ===

impl Registry {
    /// Reads digest, kind and lengths off a 2xx answer, with one GET where HEAD does not say enough.
    pub(super) async fn manifest(&self, ask: &Ask, answer: Response, method: Method) -> Result<Manifest, Failure> {
        if has_no_length_that_go_reads(&answer) {
            let detail = format!("{} answers with a Content-Length that is no number", ask.endpoint.host);
            return Err(Failure::nonsense(detail, None));
        }
        if let Some(bytes) = length(&answer).filter(|bytes| *bytes > manifest::MAX_SIZE as u64) {
            let detail = format!("its manifest has {bytes} bytes; containerd takes at most {}", manifest::MAX_SIZE);
            let large = unsupported(detail, node::too_large(&ask.reference, bytes));
            return Err(Failure { weight: Weight::TooLarge, ..large });
        }
        let Answers { described, announced, body, digest } = self.answers(ask, answer, method).await?;
        let digest = checked_digest(ask, digest, body.as_deref())?;
        let content_type = described.header("content-type").unwrap_or_default();
        let nature = match (manifest::nature(content_type), body.as_deref()) {
            (Nature::Runnable(Kind::Index), Some(body)) if !manifest::is_object(body) => Nature::Unknown,
            (Nature::Runnable(kind), Some(body)) => manifest::nature_of_body(kind, body),
            (Nature::Text, Some(body)) => manifest::schema_1(body).unwrap_or(Nature::Unknown),
            (Nature::Schema1ForCriO, Some(body)) => match manifest::schema_1(body) {
                Some(Nature::Schema1) => Nature::Schema1ForCriO,
                other => other.unwrap_or(Nature::Unknown),
            },
            (nature, _) => nature,
        };
        match nature {
            Nature::Runnable(kind) => Ok(Manifest {
                announced,
                length: body.map(|body| body.len() as u64),
                readers: manifest::readers(content_type),
                ..Manifest::new(digest, kind)
            }),
            Nature::Schema1 => {
                let failure = unsupported("its manifest is Docker schema 1", node::schema_1(&ask.reference));
                Err(Failure { cause: Some(Cause::Schema1), ..failure })
            }
            Nature::Schema1ForCriO => {
                let detail = "its manifest is Docker schema 1 in a form that containerd does not read";
                Err(Failure { cause: Some(Cause::MediaType), node: None, ..unsupported(detail, String::new()) })
            }
            Nature::Other(what) => Err(Failure { node: None, ..unsupported(format!("it is {what}"), String::new()) }),
            Nature::Text | Nature::Unknown => {
                let who = whose(ask, &described);
                let detail = format!("{who} answers with \"{}\", not with a manifest", said::clean(content_type));
                Err(Failure::nonsense(detail, None))
            }
        }
    }

    /// Asks by GET where containerd does, or where HEAD looks odd.
    async fn answers(&self, ask: &Ask, answer: Response, method: Method) -> Result<Answers, Failure> {
        let wanted = ask.reference.digest();
        if method == Method::Get {
            let announced = announced_digest(ask, &answer);
            let digest = if wanted.is_none() { announced? } else { announced.unwrap_or_default() };
            return Ok(counted(answer, digest));
        }
        let announced = length(&answer);
        // containerd looks at the header of a tag only, and only where it needs no GET.
        let digest = match (wanted, announced) {
            (None, Some(_)) => announced_digest(ask, &answer)?,
            (Some(_), Some(_)) => announced_digest(ask, &answer).unwrap_or_default(),
            (_, None) => None,
        };
        if announced.is_none() || (wanted.is_none() && digest.is_none()) {
            let (answer, _) = self.converse(ask, Method::Get).await?;
            let digest = announced_digest(ask, &answer).unwrap_or_default();
            return Ok(counted(answer, digest));
        }
        // A digest in another algorithm than the one asked for says nothing: only the bytes can.
        let same = |digest: &Digest| wanted.is_none_or(|wanted| wanted.algorithm() == digest.algorithm());
        let compared = digest.as_ref().is_some_and(same);
        if compared && !looks_odd(&answer, announced) {
            return Ok(Answers { described: answer, announced, body: None, digest });
        }
        let (got, _) = self.converse(ask, Method::Get).await.map_err(|failure| contradicted(ask, failure, compared))?;
        let digest = announced_digest(ask, &got).unwrap_or_default().or(digest);
        Ok(Answers { described: answer, announced, body: Some(got.body), digest })
    }
}

/// What containerd makes of a GET: it counts the bytes, and hashes them for a tag.
fn counted(mut answer: Response, digest: Option<Digest>) -> Answers {
    let body = Some(std::mem::take(&mut answer.body));
    Answers { described: answer, announced: None, body, digest }
}

/// Whether a HEAD that says everything is still worth a look at the bytes: a length that no manifest has (no length at
/// all is certain already), that of a compressed text, or a type that may be Docker schema 1.
fn looks_odd(answer: &Response, announced: Option<u64>) -> bool {
    let plain = |value: &str| value.trim().is_empty() || value.trim().eq_ignore_ascii_case("identity");
    let compressed = !answer.header_all("content-encoding").all(plain);
    let content_type = answer.header("content-type").unwrap_or_default();
    let unclear = matches!(manifest::nature(content_type), Nature::Text | Nature::Schema1ForCriO);
    announced.is_some_and(|bytes| (1..MIN_LENGTH).contains(&bytes)) || unclear || (compressed && announced != Some(0))
}

/// A GET that is refused although HEAD is not: nothing certain follows, unless the node depends on that GET, too.
fn contradicted(ask: &Ask, failure: Failure, odd: bool) -> Failure {
    if !odd || !failure.code.certain() {
        return failure;
    }
    let detail =
        format!("{} answers HEAD with a manifest and refuses GET for it ({})", ask.endpoint.host, failure.code);
    Failure { registry: failure.registry, ..Failure::nonsense(detail, None) }
}

/// The digest that the answers agree on, held against the one that was asked for.
fn checked_digest(ask: &Ask, announced: Option<Digest>, body: Option<&[u8]>) -> Result<Digest, Failure> {
    let host = &ask.endpoint.host;
    let nonsense = |detail: String| Err(Failure::nonsense(detail, None));
    let wanted = ask.reference.digest();
    let algorithm = announced.as_ref().or(wanted).map_or(Algorithm::Sha256, Digest::algorithm);
    let hashed = body.and_then(|body| manifest::digest_of(body, algorithm));
    if let (Some(announced), Some(hashed)) = (&announced, &hashed)
        && announced != hashed
    {
        return nonsense(format!("{host} announces {announced} and sends other bytes"));
    }
    if let (Some(body), Some(wanted)) = (body, wanted)
        && manifest::digest_of(body, wanted.algorithm()).as_ref() != Some(wanted)
    {
        return nonsense(format!("{host} was asked for {wanted} and sends other bytes"));
    }
    let Some(digest) = announced.or(hashed) else {
        return nonsense(format!("{host} names no digest"));
    };
    match wanted.filter(|wanted| wanted.algorithm() == digest.algorithm() && **wanted != digest) {
        Some(wanted) => nonsense(format!("{host} was asked for {wanted} and announces {digest}")),
        None => Ok(digest),
    }
}

fn announced_digest(ask: &Ask, answer: &Response) -> Result<Option<Digest>, Failure> {
    let Some(header) = answer.header("docker-content-digest").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    header.parse().map(Some).map_err(|error| {
        let words = format!("\"{}\" in header not a valid digest: {error}", said::clean(header));
        let detail = format!("{} announces something that is no digest", ask.endpoint.host);
        Failure::nonsense(detail, Some(node::resolve_line(&ask.reference, &words)))
    })
}

/// Who answered: the registry, or where it redirects to.
fn whose(ask: &Ask, answer: &Response) -> String {
    match answer.redirected_to.as_ref().filter(|_| answer.left_origin) {
        Some(url) => format!("{}, where {} redirects to,", transport::host(url), ask.endpoint.host),
        None => ask.endpoint.host.clone(),
    }
}

/// Whether Go's client gives up on the answer for its length, whatever the method: a header that is no number of 63 bits,
/// or several that differ (golang/go `src/net/http/transfer.go`, `fixLength`, `parseContentLength`).
fn has_no_length_that_go_reads(answer: &Response) -> bool {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits && text.parse::<u64>().is_ok_and(|bytes| i64::try_from(bytes).is_ok())
    };
    let mut lengths = answer.header_all("content-length").map(|value| value.trim_matches([' ', '\t']));
    !is_chunked(answer) && lengths.next().is_some_and(|first| !number(first) || lengths.any(|other| other != first))
}

fn is_chunked(answer: &Response) -> bool {
    answer.header("transfer-encoding").is_some_and(|value| value.trim().eq_ignore_ascii_case("chunked"))
}

/// What Go's client calls the length: none where the body is sent in chunks, whatever else is announced.
fn length(answer: &Response) -> Option<u64> {
    if is_chunked(answer) {
        return None;
    }
    answer.header("content-length").and_then(|value| value.trim().parse().ok())
}

fn unsupported(detail: impl Into<String>, node: String) -> Failure {
    Failure { code: Code::UnsupportedManifest, ..Failure::nonsense(detail, Some(node)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_go_does_not_read_is_seen() {
        for (lengths, expected) in [
            (&[][..], false),
            (&["7"], false),
            (&[" 7 "], false),
            (&["7", "7"], false),
            (&["9223372036854775807"], false),
            (&["9223372036854775808"], true),
            (&["7", "8"], true),
            (&["-1"], true),
            (&["+7"], true),
            (&["7.0"], true),
            (&["0x10"], true),
            (&["7, 7"], true),
            (&[""], true),
        ] {
            let headers = lengths.iter().map(|value| ("content-length".to_owned(), (*value).to_owned())).collect();
            let answer = Response { status: 200, headers, ..Response::default() };
            assert_eq!(has_no_length_that_go_reads(&answer), expected, "{lengths:?}");
        }
    }
}
