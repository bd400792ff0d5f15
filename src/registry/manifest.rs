//! What a tag or digest names: digest, media type, and whether any runtime could run it.

mod media_type;

use aws_lc_rs::digest as hash;
use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE,
    OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciImageManifest,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::reference::{Algorithm, Digest};

/// containerd's `Accept` list, in its order (containerd/containerd `core/remotes/docker/resolver.go`).
pub const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                          application/vnd.docker.distribution.manifest.list.v2+json, \
                          application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// Docker schema 1 with a signature: the one type of schema 1 that containerd knows.
const SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Docker schema 1 without a signature.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";

/// The media type of an attestation's layers.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// containerd rejects a larger manifest (`core/remotes/docker/resolver.go`, `MaxManifestSize`): 4 · 1048 · 1048.
pub const MAX_SIZE: usize = 4 * 1048 * 1048;

/// A resolved manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of what the tag named: the index, not a child.
    pub digest: Digest,
    /// One manifest or an index.
    pub kind: Kind,
    /// The length in bytes that HEAD announced, where containerd takes it from there; `None` where containerd counts the
    /// bytes of a GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<u64>,
    /// The length of the manifest itself, where its bytes were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Which runtimes read its media type, as the registry writes it.
    #[serde(default, skip_serializing_if = "Readers::all")]
    pub readers: Readers,
}

/// What the media type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// One manifest, for one platform.
    Image,
    /// An index or manifest list.
    Index,
}

/// Which runtimes read a media type as the one of a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Readers {
    /// All of them.
    #[default]
    All,
    /// containerd, which cuts the parameters off unread; CRI-O cannot parse them.
    Containerd,
    /// CRI-O, which ignores case and blanks; containerd compares byte for byte.
    CriO,
}

/// What a media type, and the body where there is one, makes of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Runs.
    Runnable(Kind),
    /// Docker schema 1: no containerd since 2.1 takes it.
    Schema1,
    /// `text/plain`: containerd reads it as Docker schema 1, and so do the bytes have to be looked at.
    Text,
    /// Docker schema 1 under a type or in a form that CRI-O reads and no containerd does.
    Schema1ForCriO,
    /// Something else that registries store; the word for a sentence.
    Other(&'static str),
    /// No manifest at all: a captive portal, a wrong server.
    Unknown,
}

// === impl Manifest ===

impl Manifest {
    /// A manifest of which nothing else is known.
    pub fn new(digest: Digest, kind: Kind) -> Self {
        Self { digest, kind, announced: None, length: None, readers: Readers::All }
    }
}

// === impl Readers ===

impl Readers {
    /// Whether no runtime is left out.
    pub fn all(&self) -> bool {
        *self == Self::All
    }
}

/// Judges by the `Content-Type`; [`readers`] says who reads it so.
pub fn nature(content_type: &str) -> Nature {
    let exact = for_containerd(content_type);
    let parsed = media_type::for_cri_o(content_type).unwrap_or_default();
    if let Some(kind) = kind(exact).or_else(|| kind(&parsed)) {
        return Nature::Runnable(kind);
    }
    match (exact, parsed.as_str()) {
        (SCHEMA_1_SIGNED, _) => Nature::Schema1,
        ("text/plain", _) => Nature::Text,
        (_, SCHEMA_1 | SCHEMA_1_SIGNED) => Nature::Schema1ForCriO,
        (_, "application/vnd.oci.artifact.manifest.v1+json") => Nature::Other("an OCI artifact"),
        _ => Nature::Unknown,
    }
}

/// Which runtimes read the `Content-Type` of a manifest as one.
pub fn readers(content_type: &str) -> Readers {
    let parsed = media_type::for_cri_o(content_type);
    match (kind(for_containerd(content_type)), parsed.as_deref().and_then(kind)) {
        (Some(_), None) => Readers::Containerd,
        (None, Some(_)) => Readers::CriO,
        _ => Readers::All,
    }
}

/// The media type as containerd compares it: what stands before the first semicolon, byte for byte (containerd/containerd
/// `core/remotes/docker/resolver.go`, `getManifestMediaType`; Go's header reader takes blanks off both ends).
fn for_containerd(content_type: &str) -> &str {
    let content_type = content_type.trim_matches([' ', '\t']);
    content_type.split(';').next().unwrap_or_default()
}

fn kind(media_type: &str) -> Option<Kind> {
    match media_type {
        IMAGE_MANIFEST_MEDIA_TYPE | OCI_IMAGE_MEDIA_TYPE => Some(Kind::Image),
        IMAGE_MANIFEST_LIST_MEDIA_TYPE | OCI_IMAGE_INDEX_MEDIA_TYPE => Some(Kind::Index),
        _ => None,
    }
}

/// Whether a body is a JSON object, whatever is in it.
pub fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Reads a body as Docker schema 1, as far as decides who can run it: containerd 1.x wants a signature (containerd 1.7
/// `remotes/docker/schema1/converter.go`), CRI-O layers (containers/image `manifest/docker_schema1.go`).
pub fn schema_1(body: &[u8]) -> Option<Nature> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        schema_version: u64,
        #[serde(default)]
        fs_layers: Vec<IgnoredAny>,
        #[serde(default)]
        signatures: Vec<IgnoredAny>,
    }
    let document: Document = is_object(body).then(|| serde_json::from_slice(body).ok()).flatten()?;
    let nature = match (document.fs_layers.is_empty(), document.signatures.is_empty()) {
        (false, false) => Nature::Schema1,
        (false, true) => Nature::Schema1ForCriO,
        (true, _) => Nature::Other("Docker schema 1 without a layer"),
    };
    Some(nature).filter(|_| document.schema_version == 1)
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
        _ if !manifest.layers.is_empty() && manifest.layers.iter().all(|layer| layer.media_type == IN_TOTO) => {
            Nature::Other("an attestation")
        }
        _ => Nature::Runnable(kind),
    }
}

/// Whether a `Content-Type` is that of a Docker manifest, the older format.
pub fn is_docker(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim() == IMAGE_MANIFEST_MEDIA_TYPE
}

/// Whether every runtime takes a configuration of this media type for an image's, in a manifest of Docker's or the OCI's.
pub fn is_image_config(media_type: &str, docker: bool) -> bool {
    media_type == IMAGE_CONFIG_MEDIA_TYPE || (docker && is_containerd_config(media_type))
}

/// Whether containerd takes it for one (containerd/containerd `core/images/mediatypes.go`, `IsConfigType`;
/// `core/remotes/docker/converter.go` for what old registries made of it).
pub fn is_containerd_config(media_type: &str) -> bool {
    matches!(media_type, IMAGE_CONFIG_MEDIA_TYPE | IMAGE_DOCKER_CONFIG_MEDIA_TYPE | "application/octet-stream")
}

/// Whether containerd takes something of this media type for a layer (`core/images/mediatypes.go`, `IsLayerType`).
pub fn is_layer(media_type: &str) -> bool {
    let base = media_type.split('+').next().unwrap_or_default();
    media_type.starts_with("application/vnd.oci.image.layer.")
        || matches!(
            base,
            "application/vnd.docker.image.rootfs.diff.tar"
                | "application/vnd.docker.image.rootfs.diff.tar.gzip"
                | "application/vnd.docker.image.rootfs.diff.tar.zstd"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
                | "application/vnd.erofs.layer.v1"
        )
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
        let (image, index) = (Nature::Runnable(Kind::Image), Nature::Runnable(Kind::Index));
        let table = [
            ("application/vnd.oci.image.index.v1+json", index.clone(), Readers::All),
            ("application/vnd.docker.distribution.manifest.list.v2+json", index.clone(), Readers::All),
            (" application/vnd.docker.distribution.manifest.v2+json\t", image.clone(), Readers::All),
            ("application/vnd.oci.image.manifest.v1+json; charset=utf-8", image.clone(), Readers::All),
            ("application/vnd.oci.image.manifest.v1+json;", image.clone(), Readers::All),
            ("application/vnd.oci.image.manifest.v1+json; charset", image.clone(), Readers::Containerd),
            ("application/vnd.oci.image.index.v1+json;a=1;a=2", index.clone(), Readers::Containerd),
            ("Application/Vnd.Docker.Distribution.Manifest.V2+JSON", image.clone(), Readers::CriO),
            ("application/vnd.oci.image.manifest.v1+json ; charset=utf-8", image, Readers::CriO),
            ("application/vnd.oci.image.INDEX.v1+json", index, Readers::CriO),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", Nature::Schema1, Readers::All),
            ("application/vnd.docker.distribution.manifest.v1+json", Nature::Schema1ForCriO, Readers::All),
            ("application/vnd.docker.distribution.manifest.V1+prettyjws", Nature::Schema1ForCriO, Readers::All),
            ("text/plain; charset=utf-8", Nature::Text, Readers::All),
            ("TEXT/plain", Nature::Unknown, Readers::All),
            ("application/vnd.oci.image.manifest.v1+json, application/json", Nature::Unknown, Readers::All),
            ("application/vnd.oci.image.manifest.v1", Nature::Unknown, Readers::All),
            ("application/json", Nature::Unknown, Readers::All),
            ("text/html", Nature::Unknown, Readers::All),
            ("", Nature::Unknown, Readers::All),
        ];
        for (media_type, expected, who) in table {
            assert_eq!((nature(media_type), readers(media_type)), (expected, who), "{media_type}");
        }
    }

    #[test]
    fn schema_1_is_a_document_that_says_so_and_runs_with_layers_only() {
        let empty = Nature::Other("Docker schema 1 without a layer");
        for (body, expected) in [
            (r#" {"schemaVersion":1,"fsLayers":[{}],"signatures":[{}]}"#, Some(Nature::Schema1)),
            (r#"{"schemaVersion":1,"fsLayers":[{}],"signatures":[]}"#, Some(Nature::Schema1ForCriO)),
            (r#"{"schemaVersion":1,"fsLayers":[{}]}"#, Some(Nature::Schema1ForCriO)),
            (r#"{"schemaVersion":1,"fsLayers":[],"signatures":[{}]}"#, Some(empty.clone())),
            (r#"{"schemaVersion":1}"#, Some(empty)),
            (r#"{"schemaVersion":2,"fsLayers":[{}]}"#, None),
            (r#"{"schemaVersion":"1"}"#, None),
            (r#"{"schemaVersion":1,"fsLayers":3}"#, None),
            (r#"{"status":"UP"}"#, None),
            ("[1]", None),
            ("1", None),
            ("OK", None),
            ("", None),
        ] {
            assert_eq!(schema_1(body.as_bytes()), expected, "{body}");
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
