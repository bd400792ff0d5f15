//! What a tag or digest names: digest, media type, and whether any runtime could run it.

use aws_lc_rs::digest as hash;
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    OciImageManifest,
};
use serde::{Deserialize, Serialize};

use crate::reference::{Algorithm, Digest};

/// containerd's `Accept` list, in its order (containerd/containerd `core/remotes/docker/resolver.go`).
pub const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                          application/vnd.docker.distribution.manifest.list.v2+json, \
                          application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// containerd rejects a larger manifest (`core/remotes/docker/resolver.go`, `MaxManifestSize`): 4 · 1048 · 1048.
pub const MAX_SIZE: usize = 4 * 1048 * 1048;

/// A resolved manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of what the tag named: the index, not a child.
    pub digest: Digest,
    /// One manifest or an index.
    pub kind: Kind,
}

/// What the media type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// One manifest, for one platform.
    Image,
    /// An index or manifest list.
    Index,
}

/// What a media type, and the body where there is one, makes of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Runs.
    Runnable(Kind),
    /// Docker schema 1: no containerd since 2.1 takes it.
    Schema1,
    /// Something else that registries store; the word for a sentence.
    Other(&'static str),
    /// No manifest at all: a captive portal, a wrong server.
    Unknown,
}

/// Judges by the `Content-Type`.
pub fn nature(content_type: &str) -> Nature {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        IMAGE_MANIFEST_MEDIA_TYPE | OCI_IMAGE_MEDIA_TYPE => Nature::Runnable(Kind::Image),
        IMAGE_MANIFEST_LIST_MEDIA_TYPE | OCI_IMAGE_INDEX_MEDIA_TYPE => Nature::Runnable(Kind::Index),
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws"
        | "text/plain" => Nature::Schema1,
        "application/vnd.oci.artifact.manifest.v1+json" => Nature::Other("an OCI artifact"),
        _ => Nature::Unknown,
    }
}

/// Judges an image manifest by its body: a chart or an attestation has an image manifest's media type too.
pub fn nature_of_body(kind: Kind, body: &[u8]) -> Nature {
    if kind == Kind::Index {
        return Nature::Runnable(kind);
    }
    let Ok(manifest) = serde_json::from_slice::<OciImageManifest>(body) else {
        return Nature::Unknown;
    };
    match manifest.config.media_type.as_str() {
        "application/vnd.cncf.helm.config.v1+json" => Nature::Other("a Helm chart"),
        "application/vnd.oci.empty.v1+json" => Nature::Other("an OCI artifact"),
        _ if manifest.layers.iter().any(|layer| layer.media_type == "application/vnd.in-toto+json") => {
            Nature::Other("an attestation")
        }
        _ => Nature::Runnable(kind),
    }
}

/// The digest of `body`, in the algorithm that was asked for.
pub fn digest_of(body: &[u8], algorithm: Algorithm) -> Option<Digest> {
    let (name, algorithm) = match algorithm {
        Algorithm::Sha256 => ("sha256", &hash::SHA256),
        Algorithm::Sha384 => ("sha384", &hash::SHA384),
        Algorithm::Sha512 => ("sha512", &hash::SHA512),
    };
    let mut text = format!("{name}:");
    for byte in hash::digest(algorithm, body).as_ref() {
        use std::fmt::Write as _;
        write!(text, "{byte:02x}").ok()?;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart() {
        let table = [
            ("application/vnd.oci.image.index.v1+json", Nature::Runnable(Kind::Index)),
            ("application/vnd.docker.distribution.manifest.list.v2+json", Nature::Runnable(Kind::Index)),
            ("application/vnd.oci.image.manifest.v1+json; charset=utf-8", Nature::Runnable(Kind::Image)),
            ("Application/Vnd.Docker.Distribution.Manifest.V2+JSON", Nature::Runnable(Kind::Image)),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", Nature::Schema1),
            ("text/html", Nature::Unknown),
            ("", Nature::Unknown),
        ];
        for (media_type, expected) in table {
            assert_eq!(nature(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn a_chart_has_the_media_type_of_an_image_and_is_none() {
        let manifest = |config: &str| {
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"sha256:00","size":2}},"layers":[]}}"#
            )
        };
        let chart = manifest("application/vnd.cncf.helm.config.v1+json");
        assert_eq!(nature_of_body(Kind::Image, chart.as_bytes()), Nature::Other("a Helm chart"));
        let image = manifest("application/vnd.oci.image.config.v1+json");
        assert_eq!(nature_of_body(Kind::Image, image.as_bytes()), Nature::Runnable(Kind::Image));
        assert_eq!(nature_of_body(Kind::Image, b"<html>"), Nature::Unknown);
    }

    #[test]
    fn digests_are_those_of_the_bytes() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest_of(b"", Algorithm::Sha256).unwrap().as_str(), empty);
    }
}
