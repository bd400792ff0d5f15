//! The bodies of a manifest, an index, an image configuration: nothing is believed that does not hash to the digest it
//! was asked by, and what is read of platforms is what stands there, of at most a thousand entries.

use std::sync::Arc;

use pullgate::credentials::CredentialId;
use pullgate::nodes::content::{Content, ReadContent};
use pullgate::nodes::platform::Platform;
use pullgate::policy::{Pattern, RegistryRule};
use pullgate::reference::{Algorithm, Digest, Reference};
use pullgate::registry::manifest::{
    Kind, Manifest, Nature, digest_of, is_image_config, is_object, nature, nature_of_body,
};
use pullgate::registry::transport::{Intent, Method, Request, Response};
use pullgate::registry::{Ask, Endpoint};
use serde_json::Value;

use super::registry::{Script, client, run};

const TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

const MAX_ENTRIES: usize = 1_000;
const MAX_WORD: usize = 64;

/// What the first letter chooses beside the media type.
const LIES_ABOUT_MANIFEST: u8 = 4;
const LIES_ABOUT_CONFIG: u8 = 8;
const NO_DIGEST: u8 = 16;

/// Reads a letter, then a manifest or an index; behind a line `---` an image configuration. `CONFIG` in the
/// manifest stands for the digest of that.
pub fn property(data: &[u8]) -> bool {
    let Some((&choice, data)) = data.split_first() else { return false };
    let (manifest, config) = split(data);
    let (manifest, config) = (&named(manifest, config)[..], config);
    let kind = if choice & 1 == 0 { Kind::Image } else { Kind::Index };
    assert_eq!(nature(TYPES[usize::from(choice & 3)]), Nature::Runnable(kind));
    let _ = nature(&String::from_utf8_lossy(manifest));
    assert_eq!(nature_of_body(Kind::Index, manifest), Nature::Runnable(Kind::Index));
    let digest = hashes(manifest);

    let script = Script { answers, bodies: vec![manifest.to_vec(), config.to_vec()], choice };
    let registry = client(script);
    let resolved = run(registry.resolve(&ask("registry.corp.io/team/app:1")));
    let lies = choice & LIES_ABOUT_MANIFEST != 0;
    let resolved = match resolved {
        // A HEAD is believed; it is what a node believes.
        Ok(found) if lies => {
            assert_eq!(choice & NO_DIGEST, 0, "a lie beside its body is seen");
            found
        }
        Ok(found) => {
            assert_eq!((&found.digest, found.kind), (&digest, kind));
            found
        }
        Err(failure) => {
            // The bytes are looked at where there is no digest, or fewer than any manifest has.
            let looked_at = choice & NO_DIGEST != 0 || manifest.len() < 90;
            assert!(lies || looked_at && (kind == Kind::Image || !is_object(manifest)), "{failure:?}");
            Manifest::new(digest, kind)
        }
    };
    let lied = resolved.digest != hashes(manifest);
    let asked = format!("registry.corp.io/team/app@{}", resolved.digest);
    match run(registry.content(&ask(&asked), &resolved)) {
        Ok(ReadContent { content, length }) => {
            assert_eq!(length, manifest.len() as u64);
            assert!(!lied, "other bytes than their digest's were read");
            is_what_stands_there(&content, manifest, config, choice);
            !matches!(content, Content::Index(entries) if entries.is_empty())
        }
        Err(failure) => {
            let detail = failure.detail.as_deref().unwrap_or_default();
            assert!(detail.len() <= 400 && !detail.contains(char::is_control), "{detail:?}");
            false
        }
    }
}

fn split(data: &[u8]) -> (&[u8], &[u8]) {
    const LINE: &[u8] = b"\n---\n";
    match data.windows(LINE.len()).position(|window| window == LINE) {
        Some(at) => (&data[..at], &data[at + LINE.len()..]),
        None => (data, b"{}"),
    }
}

/// The manifest with the digest of its configuration in the place that an input cannot know.
fn named(manifest: &[u8], config: &[u8]) -> Vec<u8> {
    let digest = hashes(config);
    let parts: Vec<&[u8]> = split_all(manifest, b"CONFIG");
    parts.join(digest.as_str().as_bytes())
}

fn split_all<'a>(mut text: &'a [u8], word: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    // Bounded, so that no input grows beyond what a transport would take.
    while let Some(at) = text.windows(word.len()).position(|window| window == word).filter(|_| parts.len() < 4) {
        parts.push(&text[..at]);
        text = &text[at + word.len()..];
    }
    parts.push(text);
    parts
}

/// The digest of `body`, checked to be one in every algorithm.
fn hashes(body: &[u8]) -> Digest {
    let other = [body, b"x"].concat();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
        let digest = digest_of(body, algorithm).expect("bytes have a digest");
        assert_eq!(digest.as_str().parse::<Digest>().as_ref(), Ok(&digest));
        assert_eq!((digest.algorithm(), digest.hex().len()), (algorithm, algorithm.hex_len()));
        assert_ne!(digest_of(&other, algorithm).as_ref(), Some(&digest));
    }
    digest_of(body, Algorithm::Sha256).expect("bytes have a digest")
}

fn ask(image: &str) -> Ask {
    let reference = Arc::new(Reference::parse(image).expect("a reference"));
    let endpoint = Arc::new(Endpoint::new(&reference, &RegistryRule::new(Pattern::any())));
    Ask {
        endpoint,
        reference,
        credential: None,
        id: CredentialId::ANONYMOUS,
        intent: Intent::Pull,
        namespace: Arc::from(""),
        repeat: true,
    }
}

fn answers(script: &Script, request: &Request<'_>) -> Response {
    assert_eq!(request.url.host_str(), Some("registry.corp.io"));
    assert!(request.authorization.is_none() && request.form.is_none() && request.method != Method::Post);
    let (manifest, config) = (&script.bodies[0], &script.bodies[1]);
    if request.url.path().contains("/blobs/") {
        let lie = script.choice & LIES_ABOUT_CONFIG != 0;
        let body = if lie { [config.as_slice(), b" "].concat() } else { config.clone() };
        return Response { status: 200, body, ..Response::default() };
    }
    let announced = if script.choice & LIES_ABOUT_MANIFEST == 0 { hashes(manifest) } else { hashes(b"something else") };
    let mut headers = vec![
        ("content-type".to_owned(), TYPES[usize::from(script.choice & 3)].to_owned()),
        ("content-length".to_owned(), manifest.len().to_string()),
    ];
    let silent = script.choice & NO_DIGEST != 0 && request.method == Method::Head;
    if !silent {
        headers.push(("docker-content-digest".to_owned(), announced.to_string()));
    }
    let body = if request.method == Method::Get { manifest.clone() } else { Vec::new() };
    Response { status: 200, headers, body, redirected_to: None, left_origin: false }
}

/// The platforms as another reader of the same bytes finds them.
fn is_what_stands_there(content: &Content, manifest: &[u8], config: &[u8], choice: u8) {
    // What is skipped is not decoded: it may be text that another reader refuses.
    let read = |body: &[u8]| serde_json::from_str::<Value>(&String::from_utf8_lossy(body));
    let (Ok(body), Ok(config_body)) = (read(manifest), read(config)) else { return };
    match content {
        Content::Index(entries) => {
            assert!(entries.len() <= MAX_ENTRIES, "{}", entries.len());
            let there = body["manifests"].as_array().expect("an index has a list");
            assert_eq!(entries.len(), there.len());
            for (entry, there) in entries.iter().zip(there) {
                assert_eq!(entry.platform.as_ref(), platform(&there["platform"]).as_ref());
                assert_eq!(entry.digest, there["digest"].as_str().and_then(|digest| digest.parse().ok()));
            }
        }
        Content::Single(single) => {
            assert_eq!(choice & LIES_ABOUT_CONFIG, 0, "other bytes than the configuration's were read");
            let named = body["config"]["digest"].as_str().expect("a manifest names its configuration");
            let algorithm = named.parse::<Digest>().expect("by a digest").algorithm();
            assert_eq!(digest_of(config, algorithm).expect("bytes have a digest").as_str(), named);
            assert_eq!(Some(single), platform(&config_body).as_ref());
        }
        Content::Artifact(artifact) => {
            let config_type = body["config"]["mediaType"].as_str().unwrap_or_default();
            assert!(artifact.config_type.is_empty() || artifact.config_type == config_type, "{artifact:?}");
            assert!(artifact.config_type.bytes().all(|byte| byte.is_ascii_graphic()), "{artifact:?}");
            assert!(!(is_image_config(config_type, artifact.docker)), "{config_type}");
        }
        Content::Other(what) => assert_eq!(nature_of_body(Kind::Image, manifest), Nature::Other(what)),
    }
    assert!(content.weight() as usize <= MAX_ENTRIES + 1);
}

fn platform(value: &Value) -> Option<Platform> {
    let word = |key: &str| {
        let word = value[key].as_str().unwrap_or_default().to_owned();
        assert!(word.len() <= MAX_WORD, "{word}");
        word
    };
    value.as_object()?;
    let (os, architecture, variant) = (word("os"), word("architecture"), word("variant"));
    let version = value["os.version"].as_str().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let is_word = version.len() <= MAX_WORD && version.bytes().all(plain);
    let os_version = if is_word { version } else { "?" }.to_owned();
    Some(Platform { os, architecture, variant, os_version })
}
