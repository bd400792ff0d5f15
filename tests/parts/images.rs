//! What the registries hold: a few images and indexes, pushed over plain HTTP by hand so that every media type and
//! odd tag is exactly as written here.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::Failure;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The digests that the cases expect.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// One OCI manifest: `alice/app:v1`, and under the odd tags.
    pub(crate) single: String,
    /// One Docker schema 2 manifest: `alice/app:docker`.
    pub(crate) docker: String,
    /// An OCI index for amd64 and arm64: `alice/app:multi`.
    pub(crate) index: String,
    /// The arm64 child of the index.
    pub(crate) arm64: String,
    /// A Docker manifest list: `alice/app:list`.
    pub(crate) list: String,
    /// `alice/app:latest`.
    pub(crate) latest: String,
    /// `alice/deep/nested/app:v1`, `bob/app:v1`, `carol/app:v1`, `solo:v1`.
    pub(crate) nested: String,
    pub(crate) bob: String,
    pub(crate) carol: String,
    pub(crate) solo: String,
}

/// A pushed manifest.
pub(crate) struct Pushed {
    pub(crate) digest: String,
    pub(crate) size: usize,
    pub(crate) media_type: &'static str,
}

/// The longest tag that the grammar allows: 128 characters.
pub(crate) fn longest_tag() -> String {
    format!("T{}", "0.-_aZ9x".repeat(16).get(..127).unwrap_or_default())
}

/// `sha256:` and the hash of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, bytes).as_ref().iter().fold("sha256:".to_owned(), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

/// Pushes one single-platform image and says its digest; other `words` are another digest.
pub(crate) fn push(to: SocketAddr, repository: &str, tag: &str, words: &str) -> Result<String, Failure> {
    Ok(image(to, repository, tag, OCI_MANIFEST, "amd64", words)?.digest)
}

/// Pushes everything to the registry at `to`.
pub(crate) fn push_all(to: SocketAddr) -> Result<Images, Failure> {
    let push = |repository: &str, tag: &str, words: &str| image(to, repository, tag, OCI_MANIFEST, "amd64", words);
    let single = push("alice/app", "v1", "one")?;
    for tag in ["V1.0-RC_2", &longest_tag()] {
        push("alice/app", tag, "one")?;
    }
    let docker = image(to, "alice/app", "docker", DOCKER_MANIFEST, "amd64", "docker")?;
    let docker_arm64 = image(to, "alice/app", "docker-arm64", DOCKER_MANIFEST, "arm64", "docker")?;
    let amd64 = image(to, "alice/app", "multi-amd64", OCI_MANIFEST, "amd64", "multi")?;
    let arm64 = image(to, "alice/app", "multi-arm64", OCI_MANIFEST, "arm64", "multi")?;
    let index = manifest_list(to, "alice/app", "multi", OCI_INDEX, &[("amd64", &amd64), ("arm64", &arm64)])?;
    let list = manifest_list(to, "alice/app", "list", DOCKER_LIST, &[("amd64", &docker), ("arm64", &docker_arm64)])?;
    Ok(Images {
        single: single.digest,
        docker: docker.digest,
        index,
        arm64: arm64.digest,
        list,
        latest: push("alice/app", "latest", "latest")?.digest,
        nested: push("alice/deep/nested/app", "v1", "nested")?.digest,
        bob: push("bob/app", "v1", "of bob")?.digest,
        carol: push("carol/app", "v1", "of carol")?.digest,
        solo: push("solo", "v1", "solo")?.digest,
    })
}

/// Pushes one single-platform image for an architecture.
pub(crate) fn image(
    to: SocketAddr,
    repository: &str,
    tag: &str,
    media_type: &'static str,
    architecture: &str,
    words: &str,
) -> Result<Pushed, Failure> {
    let (config_type, layer_type) = if media_type == DOCKER_MANIFEST {
        ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    } else {
        ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    };
    let layer = format!("layer of {repository}: {words}").into_bytes();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": { "Entrypoint": ["/app"] },
        "rootfs": { "type": "layers", "diff_ids": [sha256(&layer)] },
    });
    let config = serde_json::to_vec(&config)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": { "mediaType": config_type, "digest": sha256(&config), "size": config.len() },
        "layers": [{ "mediaType": layer_type, "digest": sha256(&layer), "size": layer.len() }],
    });
    blob(to, repository, &config)?;
    blob(to, repository, &layer)?;
    put_manifest(to, repository, tag, media_type, &manifest)
}

/// Pushes an OCI index with one image for each architecture.
pub(crate) fn index(to: SocketAddr, repository: &str, tag: &str, architectures: &[&str]) -> Result<String, Failure> {
    let child = |arch: &&str| image(to, repository, &format!("{tag}-{arch}"), OCI_MANIFEST, arch, tag);
    let children = architectures.iter().map(child).collect::<Result<Vec<Pushed>, Failure>>()?;
    let children: Vec<(&str, &Pushed)> = architectures.iter().copied().zip(&children).collect();
    manifest_list(to, repository, tag, OCI_INDEX, &children)
}

fn manifest_list(
    to: SocketAddr,
    repository: &str,
    tag: &str,
    media_type: &'static str,
    children: &[(&str, &Pushed)],
) -> Result<String, Failure> {
    let children: Vec<Value> = children
        .iter()
        .map(|(architecture, child)| {
            json!({
                "mediaType": child.media_type, "digest": child.digest, "size": child.size,
                "platform": { "architecture": architecture, "os": "linux" },
            })
        })
        .collect();
    let list = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": children });
    Ok(put_manifest(to, repository, tag, media_type, &list)?.digest)
}

/// Pushes a manifest of any media type.
pub(crate) fn put_manifest(
    to: SocketAddr,
    repository: &str,
    tag: &str,
    media_type: &'static str,
    manifest: &Value,
) -> Result<Pushed, Failure> {
    let bytes = serde_json::to_vec(manifest)?;
    request(to, "PUT", &format!("/v2/{repository}/manifests/{tag}"), media_type, &bytes)?;
    Ok(Pushed { digest: sha256(&bytes), size: bytes.len(), media_type })
}

/// Pushes a blob.
pub(crate) fn blob(to: SocketAddr, repository: &str, bytes: &[u8]) -> Result<(), Failure> {
    let head = request(to, "POST", &format!("/v2/{repository}/blobs/uploads/"), "application/octet-stream", b"")?;
    let location = head
        .lines()
        .find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("location")))
        .map(|(_, value)| value.trim())
        .ok_or("the registry answered an upload without a Location")?;
    let path = location.find("/v2/").and_then(|at| location.get(at..)).unwrap_or(location);
    let joint = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{joint}digest={}", sha256(bytes));
    request(to, "PUT", &path, "application/octet-stream", bytes).map(drop)
}

/// One request on one connection; the head of a 2xx answer, or what the registry said.
fn request(to: SocketAddr, method: &str, path: &str, content_type: &str, body: &[u8]) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
        Ok(answer)
    } else {
        Err(format!("{method} {path} on the seeding registry was answered: {answer}").into())
    }
}
