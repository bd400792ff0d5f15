//! A sound manifest, served in ways that runtimes take differently: lengths, media types, redirects, compression.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Answer, Length, MANIFEST_TYPE, Request, SCHEMA_1, Site};
use crate::images::sha256;

const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;

/// The answer to one request for a repository of this kind.
pub(super) fn answer(kind: &str, request: &Request, site: &Site) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if let Some((_, digest)) = path.split_once("/blobs/") {
        return blob(kind, digest);
    }
    let (head, true_length) = (request.method == "HEAD", manifest(kind).len());
    let sound = || typed(MANIFEST_TYPE, manifest(kind));
    match kind {
        "zero" if head => Answer { length: Length::Of(0), ..sound() },
        "zero-no-digest" if head => {
            let plain = Answer::new("200 OK", manifest(kind)).with("Content-Type", MANIFEST_TYPE);
            Answer { length: Length::Of(0), ..plain }
        }
        "absent" if head => Answer { length: Length::Absent, ..sound() },
        "tiny" if head => Answer { length: Length::Of(2), ..sound() },
        "short" if head => Answer { length: Length::Of(true_length - 1), ..sound() },
        "long" if head => Answer { length: Length::Of(true_length + 1), ..sound() },
        "packed-length" if head => {
            let length = Length::Of(packed(kind).len());
            Answer { length, ..sound().with("Content-Encoding", "gzip") }
        }
        "packed" | "packed-length" if !head => {
            Answer { body: packed(kind), ..sound().with("Content-Encoding", "gzip") }
        }
        "packed-no-digest" if head => Answer::new("200 OK", manifest(kind)).with("Content-Type", MANIFEST_TYPE),
        "packed-no-digest" => Answer { body: packed(kind), ..sound().with("Content-Encoding", "gzip") },
        "text" => typed("text/plain", manifest(kind)),
        "text-schema-1" => typed("text/plain", SCHEMA_1.to_vec()),
        "page" => Answer::new("200 OK", b"OK".to_vec()).with("Content-Type", "text/plain"),
        "unsigned-schema-1" => typed("application/vnd.docker.distribution.manifest.v1+json", SCHEMA_1.to_vec()),
        "page-typed" => Answer::new("200 OK", b"OK".to_vec()).with("Content-Type", MANIFEST_TYPE),
        "capitals" | "capitals-as-blob" => typed(&MANIFEST_TYPE.to_uppercase(), manifest(kind)),
        "some-capitals" => typed(&MANIFEST_TYPE.replace("oci", "OCI"), manifest(kind)),
        "blank" => typed(&format!("{MANIFEST_TYPE} ; charset=utf-8"), manifest(kind)),
        "outer-blanks" => typed(&format!("  {MANIFEST_TYPE}  "), manifest(kind)),
        "charset" => typed(&format!("{MANIFEST_TYPE}; charset=utf-8"), manifest(kind)),
        "semicolon" => typed(&format!("{MANIFEST_TYPE};"), manifest(kind)),
        "parameter" => typed(&format!("{MANIFEST_TYPE}; charset"), manifest(kind)),
        "parameter-twice" => typed(&format!("{MANIFEST_TYPE}; a=1; a=2"), manifest(kind)),
        "two-types" => typed(&format!("{MANIFEST_TYPE}, application/json"), manifest(kind)),
        "json" => typed("application/json", manifest(kind)),
        "octets" => typed("application/octet-stream", manifest(kind)),
        "untyped" => Answer::new("200 OK", manifest(kind)).with("Docker-Content-Digest", &sha256(&manifest(kind))),
        kind => match (kind.split_once("hops-").and_then(|(away, hops)| Some((away, hops.parse().ok()?))), query) {
            (Some((away, hops)), query) => {
                redirected(kind, (path, query), hops, (!away.is_empty()).then_some((request, site)))
            }
            (None, _) => sound(),
        },
    }
}

/// One redirect of several, on one host or from host to host; then the manifest.
fn redirected(kind: &str, (path, query): (&str, &str), hops: u32, away: Option<(&Request, &Site)>) -> Answer {
    let hop: u32 = query.strip_prefix("hop=").and_then(|hop| hop.parse().ok()).unwrap_or_default();
    // By its digest it is served at once.
    if hop == hops || path.contains("sha256:") {
        return typed(MANIFEST_TYPE, manifest(kind));
    }
    let host = away.map_or_else(String::new, |(request, site)| {
        let by_name = site.own.replace("127.0.0.1", "localhost");
        format!("https://{}", if request.host == site.own { by_name } else { site.own.clone() })
    });
    Answer::new("307 Temporary Redirect", Vec::new()).with("Location", &format!("{host}{path}?hop={}", hop + 1))
}

fn blob(kind: &str, digest: &str) -> Answer {
    if digest == sha256(CONFIG) {
        Answer::new("200 OK", CONFIG.to_vec())
    } else if kind.ends_with("-as-blob") && digest == sha256(&manifest(kind)) {
        Answer::new("200 OK", manifest(kind))
    } else {
        super::error("404 Not Found", "BLOB_UNKNOWN")
    }
}

fn typed(media_type: &str, body: Vec<u8>) -> Answer {
    let digest = sha256(&body);
    Answer::new("200 OK", body).with("Content-Type", media_type).with("Docker-Content-Digest", &digest)
}

/// One for each kind: what a node has of one must not answer for another.
fn manifest(kind: &str) -> Vec<u8> {
    let (digest, size) = (sha256(CONFIG), CONFIG.len());
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{size}}},"layers":[],"annotations":{{"kind":"{kind}"}}}}"#
    )
    .into_bytes()
}

fn packed(kind: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    encoder.write_all(&manifest(kind)).ok();
    encoder.finish().unwrap_or_default()
}
