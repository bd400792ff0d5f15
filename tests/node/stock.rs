//! What the registries hold for a node that really runs what it pulls: images around one small program, indexes, and
//! things that are no images, pushed by hand so that every media type is exactly as written here.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::Failure;
use crate::images::{self, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Pushed, sha256};

/// The architecture of the node, and one that it is not, as Go calls them.
pub(crate) const HERE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
pub(crate) const ELSEWHERE: &str = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };

/// The digests that the rows name.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    /// `alice/app:v1`, of one manifest.
    pub(crate) single: String,
    /// `alice/app:multi`, an index.
    pub(crate) index: String,
    /// Its child for another architecture.
    pub(crate) child_elsewhere: String,
    /// `solo:v1`.
    pub(crate) solo: String,
}

/// A registry that takes everything, and the program that every image holds.
struct Stock {
    to: SocketAddr,
    layer: Vec<u8>,
    /// Repositories that have the layer.
    seen: RefCell<BTreeSet<String>>,
}

/// Pushes everything to the registry at `to`; `program` is what the images run.
pub(crate) fn push_all(to: SocketAddr, program: &[u8]) -> Result<Digests, Failure> {
    let stock = Stock { to, layer: tar("pause", program), seen: RefCell::default() };
    let image = |repository: &str, tag: &str| stock.image(repository, tag, OCI_MANIFEST, HERE, tag);
    stock.manifest("pause", "v1", OCI_MANIFEST, &stock.config(HERE, "pause", &["/pause"]))?;
    let single = image("alice/app", "v1")?;
    for tag in ["latest", "once-1", "once-2", "once-3", "once-4", "once-5"] {
        image("alice/app", tag)?;
    }
    stock.image("alice/app", "V1.0-RC_2", OCI_MANIFEST, HERE, "v1")?;
    stock.image("alice/app", &images::longest_tag(), OCI_MANIFEST, HERE, "v1")?;
    for repository in ["bob/app", "carol/app", "alice/deep/nested/app", "library/nginx"] {
        image(repository, "v1")?;
    }
    let solo = stock.image("solo", "v1", OCI_MANIFEST, HERE, "solo")?;
    image("library/nginx", "latest")?;
    stock.image("alice/app", "docker", DOCKER_MANIFEST, HERE, "docker")?;

    let here = stock.image("alice/app", "child-here", OCI_MANIFEST, HERE, "child")?;
    let elsewhere = stock.image("alice/app", "child-elsewhere", OCI_MANIFEST, ELSEWHERE, "child")?;
    let docker = stock.image("alice/app", "docker-child", DOCKER_MANIFEST, HERE, "child")?;
    let docker_elsewhere = stock.image("alice/app", "docker-child-elsewhere", DOCKER_MANIFEST, ELSEWHERE, "child")?;
    let platform = |architecture: &str| json!({ "os": "linux", "architecture": architecture });
    let both = [(platform(HERE), &here), (platform(ELSEWHERE), &elsewhere)];
    let index = stock.index("multi", OCI_INDEX, &both)?;
    stock.index("list", DOCKER_LIST, &[(platform(HERE), &docker), (platform(ELSEWHERE), &docker_elsewhere)])?;
    stock.index("elsewhere-only", OCI_INDEX, &[(platform(ELSEWHERE), &elsewhere)])?;
    stock.index("elsewhere-only-list", DOCKER_LIST, &[(platform(ELSEWHERE), &docker_elsewhere)])?;
    stock.index("windows-only", OCI_INDEX, &[(json!({ "os": "windows", "architecture": HERE }), &elsewhere)])?;
    stock.index("no-platform", OCI_INDEX, &[(Value::Null, &here)])?;
    stock.index("empty", OCI_INDEX, &[])?;
    let variant = json!({ "os": "linux", "architecture": HERE, "variant": "v9" });
    stock.index("variant-only", OCI_INDEX, &[(variant, &here)])?;
    let unknown = json!({ "os": "unknown", "architecture": "unknown" });
    stock.index("attested", OCI_INDEX, &[(platform(HERE), &here), (unknown.clone(), &elsewhere)])?;
    stock.index("attestation-only", OCI_INDEX, &[(unknown, &elsewhere)])?;
    stock.image("alice/app", "single-elsewhere", OCI_MANIFEST, ELSEWHERE, "single")?;

    let chart = ("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    stock.artifact("chart", chart, b"{\"name\":\"app\"}")?;
    let empty = ("application/vnd.oci.empty.v1+json", "application/vnd.example.notes.v1+text");
    stock.artifact("artifact", empty, b"{}")?;
    let model = ("application/vnd.cncf.model.config.v1+json", "application/vnd.cncf.model.weight.v1.raw");
    stock.artifact("model", model, b"{\"modelfs\":{\"type\":\"layers\"}}")?;
    let config = stock.config(HERE, "another type", &["/pause", "once"]);
    stock.of_type("alice/app", "config-type", OCI_MANIFEST, "application/vnd.example.config.v1+json", &config)?;
    Ok(Digests { single: single.digest, index, child_elsewhere: elsewhere.digest, solo: solo.digest })
}

// === impl Stock ===

impl Stock {
    /// An image that ends at once when it is run; other `words` are another digest.
    fn image(
        &self,
        repository: &str,
        tag: &str,
        media_type: &'static str,
        architecture: &str,
        words: &str,
    ) -> Result<Pushed, Failure> {
        self.manifest(repository, tag, media_type, &self.config(architecture, words, &["/pause", "once"]))
    }

    fn config(&self, architecture: &str, words: &str, entrypoint: &[&str]) -> Value {
        json!({
            "architecture": architecture, "os": "linux", "author": words, "config": { "Entrypoint": entrypoint },
            "rootfs": { "type": "layers", "diff_ids": [sha256(&self.layer)] },
        })
    }

    fn manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &'static str,
        config: &Value,
    ) -> Result<Pushed, Failure> {
        let config_type = if media_type == DOCKER_MANIFEST {
            "application/vnd.docker.container.image.v1+json"
        } else {
            "application/vnd.oci.image.config.v1+json"
        };
        self.of_type(repository, tag, media_type, config_type, config)
    }

    /// An image whose configuration has this media type.
    fn of_type(
        &self,
        repository: &str,
        tag: &str,
        media_type: &'static str,
        config_type: &str,
        config: &Value,
    ) -> Result<Pushed, Failure> {
        let layer_type = if media_type == DOCKER_MANIFEST {
            "application/vnd.docker.image.rootfs.diff.tar"
        } else {
            "application/vnd.oci.image.layer.v1.tar"
        };
        if self.seen.borrow_mut().insert(repository.to_owned()) {
            images::blob(self.to, repository, &self.layer)?;
        }
        let config = serde_json::to_vec(config)?;
        images::blob(self.to, repository, &config)?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type,
            "config": { "mediaType": config_type, "digest": sha256(&config), "size": config.len() },
            "layers": [{ "mediaType": layer_type, "digest": sha256(&self.layer), "size": self.layer.len() }],
        });
        images::put_manifest(self.to, repository, tag, media_type, &manifest)
    }

    fn index(&self, tag: &str, media_type: &'static str, children: &[(Value, &Pushed)]) -> Result<String, Failure> {
        let children: Vec<Value> = children
            .iter()
            .map(|(platform, child)| {
                let mut entry = json!({ "mediaType": child.media_type, "digest": child.digest, "size": child.size });
                if !platform.is_null() {
                    entry["platform"] = platform.clone();
                }
                entry
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": children });
        Ok(images::put_manifest(self.to, "alice/app", tag, media_type, &index)?.digest)
    }

    /// Something with an image's manifest that is none.
    fn artifact(&self, name: &str, (config_type, layer_type): (&str, &str), config: &[u8]) -> Result<(), Failure> {
        let (repository, content) = (format!("alice/{name}"), b"no layer of an image");
        images::blob(self.to, &repository, config)?;
        images::blob(self.to, &repository, content)?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": config_type, "digest": sha256(config), "size": config.len() },
            "layers": [{ "mediaType": layer_type, "digest": sha256(content), "size": content.len() }],
        });
        images::put_manifest(self.to, &repository, "v1", OCI_MANIFEST, &manifest).map(drop)
    }
}

/// A tar archive of one executable file (POSIX ustar).
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    // The checksum is that of a header whose checksum is blanks.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().div_ceil(512) * 512 + 1024, 0);
    archive
}
