//! What the registry holds: repositories, tags, manifests and blobs, all in memory. Content is a pure function of its
//! names, so that a digest is the same in every run.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde_json::{Value, json};

/// Media type of an OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Two zero blocks: the shortest valid tar archive.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

/// Every repository of one registry.
#[derive(Debug, Default)]
pub(super) struct Contents {
    repositories: HashMap<String, Repository>,
}

#[derive(Debug, Default)]
pub(super) struct Repository {
    tags: BTreeMap<String, String>,
    manifests: HashMap<String, Manifest>,
    blobs: HashMap<String, Bytes>,
}

/// The stored bytes of a manifest and what to call them.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) bytes: Bytes,
}

// === impl Contents ===

impl Contents {
    pub(super) fn get(&self, repository: &str) -> Option<&Repository> {
        self.repositories.get(repository)
    }

    /// Stores an image for `platform` (`os/architecture[/variant]`), untagged.
    pub(super) fn push_image(&mut self, repository: &str, tag: &str, platform: &str) -> Manifest {
        self.push_built(repository, tag, platform, None)
    }

    /// The same, built at this time (RFC 3339).
    pub(super) fn push_built(&mut self, repository: &str, tag: &str, platform: &str, at: Option<&str>) -> Manifest {
        let layer = sha256(&EMPTY_TAR);
        let mut config = platform_of(platform);
        if let Some(at) = at {
            config["created"] = at.into();
        }
        config["config"] = json!({"Labels": {"org.opencontainers.image.ref.name": format!("{repository}:{tag}")}});
        config["rootfs"] = json!({"type": "layers", "diff_ids": [layer]});
        let config = Bytes::from(config.to_string());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": sha256(&config), "size": config.len()},
            "layers": [{"mediaType": OCI_LAYER, "digest": layer, "size": EMPTY_TAR.len()}],
        });
        let held = self.repositories.entry(repository.to_owned()).or_default();
        held.blobs.insert(sha256(&config), config);
        held.blobs.insert(layer, Bytes::from_static(&EMPTY_TAR));
        self.push_raw(repository, OCI_MANIFEST, manifest.to_string().into())
    }

    /// Stores an index with one image per platform, untagged.
    pub(super) fn push_index(&mut self, repository: &str, tag: &str, platforms: &[&str]) -> Manifest {
        let manifests: Vec<Value> = platforms
            .iter()
            .map(|platform| {
                let child = self.push_image(repository, tag, platform);
                json!({"mediaType": child.media_type, "digest": child.digest, "size": child.bytes.len(),
                    "platform": platform_of(platform)})
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        self.push_raw(repository, OCI_INDEX, index.to_string().into())
    }

    /// Stores an index with `image` behind an attestation, untagged.
    pub(super) fn push_attested(&mut self, repository: &str, image: &Manifest) -> Manifest {
        let attestation = self.push_image(repository, "attestation", "unknown/unknown");
        let entry = |manifest: &Manifest, platform| {
            json!({"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len(),
                "platform": platform_of(platform)})
        };
        let manifests = [entry(&attestation, "unknown/unknown"), entry(image, "linux/amd64")];
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        self.push_raw(repository, OCI_INDEX, index.to_string().into())
    }

    /// Stores `bytes` under their digest, untagged.
    pub(super) fn push_raw(&mut self, repository: &str, media_type: &str, bytes: Bytes) -> Manifest {
        let manifest = Manifest { media_type: media_type.to_owned(), digest: sha256(&bytes), bytes };
        let held = self.repositories.entry(repository.to_owned()).or_default();
        held.manifests.insert(manifest.digest.clone(), manifest.clone());
        manifest
    }

    /// Stores a blob and returns its digest.
    pub(super) fn push_blob(&mut self, repository: &str, bytes: Bytes) -> String {
        let digest = sha256(&bytes);
        self.repositories.entry(repository.to_owned()).or_default().blobs.insert(digest.clone(), bytes);
        digest
    }

    /// Points `tag` at `digest`, which need not exist.
    pub(super) fn tag(&mut self, repository: &str, tag: &str, digest: &str) {
        let held = self.repositories.entry(repository.to_owned()).or_default();
        held.tags.insert(tag.to_owned(), digest.to_owned());
    }

    pub(super) fn remove_tag(&mut self, repository: &str, tag: &str) {
        if let Some(held) = self.repositories.get_mut(repository) {
            held.tags.remove(tag);
        }
    }

    pub(super) fn remove_manifest(&mut self, repository: &str, digest: &str) {
        if let Some(held) = self.repositories.get_mut(repository) {
            held.manifests.remove(digest);
        }
    }

    pub(super) fn remove_repository(&mut self, repository: &str) {
        self.repositories.remove(repository);
    }
}

// === impl Repository ===

impl Repository {
    /// The manifest that `reference`, a tag or a digest, names.
    pub(super) fn manifest(&self, reference: &str) -> Option<&Manifest> {
        self.manifests.get(reference).or_else(|| self.manifests.get(self.tags.get(reference)?))
    }

    pub(super) fn blob(&self, digest: &str) -> Option<&Bytes> {
        self.blobs.get(digest)
    }

    /// At most `limit` tags after `last`, in order, and whether more follow.
    pub(super) fn tags(&self, last: &str, limit: usize) -> (Vec<&str>, bool) {
        let mut rest = self.tags.keys().map(String::as_str).filter(|tag| *tag > last);
        let page = rest.by_ref().take(limit).collect();
        (page, rest.next().is_some())
    }
}

/// `sha256:` and 64 hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::from("sha256:"), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn platform_of(text: &str) -> Value {
    let mut parts = text.split('/');
    let mut platform =
        json!({"os": parts.next().unwrap_or_default(), "architecture": parts.next().unwrap_or_default()});
    if let Some(variant) = parts.next() {
        platform["variant"] = variant.into();
    }
    platform
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_give_the_same_digest_and_other_names_another() {
        let digest = |repository, tag, platform| Contents::default().push_image(repository, tag, platform).digest;
        assert_eq!(digest("a", "v1", "linux/amd64"), digest("a", "v1", "linux/amd64"));
        assert_ne!(digest("a", "v1", "linux/amd64"), digest("a", "v2", "linux/amd64"));
        assert_ne!(digest("a", "v1", "linux/amd64"), digest("a", "v1", "linux/arm64"));
    }

    #[test]
    fn digests_are_the_published_test_vector() {
        assert_eq!(sha256(b"abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn tags_come_in_pages() {
        let mut contents = Contents::default();
        for tag in ["v3", "v1", "v2"] {
            contents.tag("a", tag, "sha256:0");
        }
        let held = contents.get("a").unwrap();
        assert_eq!(held.tags("", 2), (vec!["v1", "v2"], true));
        assert_eq!(held.tags("v2", 2), (vec!["v3"], false));
    }
}
