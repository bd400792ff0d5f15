//! A resolved manifest → the platforms that it is for: one GET of the index, or of the manifest and its configuration.
//!
//! Bytes are checked against the digest that names them, so what is read here is true for everybody who knows the digest.

use serde::Deserialize;
use url::Url;

use crate::nodes::platform::{Content, Platform};
use crate::reference::Digest;
use crate::registry::failure::Failure;
use crate::registry::manifest::{self, Kind, Manifest, Nature};
use crate::registry::transport::{Method, Request};
use crate::registry::{Ask, MAX_REDIRECTS, Registry};

/// Entries of an index that are looked at.
const MAX_ENTRIES: usize = 1_000;

/// What a manifest or an index says of platforms (opencontainers/image-spec `image-index.md`, `manifest.md`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    manifests: Option<Vec<Entry>>,
    config: Option<Descriptor>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    platform: Option<PlatformText>,
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
    /// The platforms of `manifest`, which `ask` names by its digest, and which was just resolved with the same credential.
    ///
    /// # Errors
    /// Whatever the registry answered instead; the image itself is there.
    pub async fn content(&self, ask: &Ask, manifest: &Manifest) -> Result<Content, Failure> {
        let (answer, _) = self.converse(ask, Method::Get).await?;
        let body: Body = checked(&answer.body, &manifest.digest, ask)?;
        match (manifest.kind, body) {
            (Kind::Index, Body { manifests, .. }) => {
                let entries = manifests.unwrap_or_default().into_iter().take(MAX_ENTRIES);
                Ok(Content::Index(entries.map(|entry| entry.platform.map(Platform::from)).collect()))
            }
            (Kind::Image, _) if let Nature::Other(what) = manifest::nature_of_body(Kind::Image, &answer.body) => {
                Ok(Content::Other(what))
            }
            (Kind::Image, Body { config, .. }) => {
                let digest = config.and_then(|config| config.digest).and_then(|digest| digest.parse().ok());
                let Some(digest) = digest else {
                    return Err(Failure::nonsense(
                        format!("{} sends a manifest without a config", ask.endpoint.host),
                        None,
                    ));
                };
                let body = self.blob(ask, &digest).await?;
                Ok(Content::Single(checked::<PlatformText>(&body, &digest, ask)?.into()))
            }
        }
    }

    /// A small blob, with the authorization that the manifest's GET has just used.
    async fn blob(&self, ask: &Ask, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let presented = self.session.known(self.transport.as_ref(), ask).await?;
        let refuse = |why: String| Failure::nonsense(format!("{} {why}", ask.endpoint.host), None);
        let url = Url::parse(&ask.endpoint.blob_url(&ask.reference, digest))
            .map_err(|_| refuse("is no host that a URL can name".to_owned()))?;
        let request = Request {
            profile: &ask.endpoint.profile,
            method: Method::Get,
            url,
            accept: None,
            authorization: presented.header(),
            form: None,
            max_body: manifest::MAX_SIZE,
            max_redirects: MAX_REDIRECTS,
        };
        match self.transport.send(request).await {
            Ok(answer) if answer.status == 200 => {
                presented.accepted().await;
                Ok(answer.body)
            }
            Ok(answer) => Err(refuse(format!("answers a request for an image configuration with {}", answer.status))),
            Err(error) => Err(Failure::transport(error)),
        }
    }
}

fn checked<'b, T: Deserialize<'b>>(body: &'b [u8], digest: &Digest, ask: &Ask) -> Result<T, Failure> {
    let refuse = |why: &str| Failure::nonsense(format!("{} {why} {digest}", ask.endpoint.host), None);
    if manifest::digest_of(body, digest.algorithm()).as_ref() != Some(digest) {
        return Err(refuse("sends other bytes than"));
    }
    serde_json::from_slice(body).map_err(|_| refuse("sends something unreadable as"))
}

impl From<PlatformText> for Platform {
    fn from(text: PlatformText) -> Self {
        Self {
            os: text.os.unwrap_or_default(),
            architecture: text.architecture.unwrap_or_default(),
            variant: text.variant.unwrap_or_default(),
        }
    }
}
