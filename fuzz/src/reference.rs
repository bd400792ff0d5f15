//! An `image:` string: what parses prints, and parses again to the same; what is accepted is what the grammar of
//! distribution/reference v0.6.0 accepts, here written a second time, as one walk from left to right.

use pullgate::admission::patch;
use pullgate::policy::{Pattern, PinFormat, RegistryRule};
use pullgate::reference::{Digest, Reference, defaults_to_always, image_was_docker_hub_by_default};
use pullgate::registry::Endpoint;
use url::Url;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The longest error: 200 bytes of the input and the words around them.
const MAX_ERROR: usize = 300;

/// Reads `data` as an image reference.
pub fn property(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let parsed = Reference::parse(text);
    assert_eq!(parsed.is_ok(), is_reference(text), "{text:?}: {parsed:?}");
    let reference = match parsed {
        Ok(reference) => reference,
        Err(error) => {
            assert!(error.to_string().len() <= MAX_ERROR, "{error}");
            assert!(!defaults_to_always(text), "{text:?}");
            return false;
        }
    };
    parts_fit(text, &reference);
    survives_printing(&reference);
    survives_pinning(text, &reference);
    asks_its_own_registry(&reference);
    true
}

fn parts_fit(text: &str, reference: &Reference) {
    let (registry, repository) = (reference.registry(), reference.repository());
    assert!(!registry.is_empty() && !repository.is_empty(), "{text:?}");
    assert_eq!(reference.name(), format!("{registry}/{repository}"));
    assert!(reference.to_string().bytes().all(|b| b.is_ascii_graphic()), "{reference}");
    assert!(repository.len() <= 255 && reference.tag().is_none_or(|tag| !tag.is_empty() && tag.len() <= 128));
    assert_eq!(defaults_to_always(text), reference.tag() == Some("latest"), "{text:?}");
    if image_was_docker_hub_by_default(text) {
        assert_eq!(registry, "docker.io", "{text:?}");
    }
    // Nothing is guessed: all but the defaults stands in the text.
    assert!(text.ends_with(reference.object()) || reference.implicit_latest(), "{text:?}");
    assert!(text.contains(repository.strip_prefix("library/").unwrap_or(repository)), "{text:?}");
}

fn survives_printing(reference: &Reference) {
    let printed = reference.to_string();
    let again = Reference::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
    assert_eq!(&again, reference);
    assert_eq!(again.to_string(), printed);
    assert!(!again.implicit_latest(), "{printed}");
    let runtime = reference.runtime_form();
    let at_runtime = Reference::parse(&runtime).unwrap_or_else(|error| panic!("{runtime}: {error}"));
    assert_eq!(at_runtime.name(), reference.name());
    assert_eq!(at_runtime.object(), reference.object());
    assert_eq!(at_runtime.runtime_form(), runtime);
}

fn survives_pinning(text: &str, reference: &Reference) {
    let digest: Digest = DIGEST.parse().expect("a digest");
    assert_eq!(reference.at(&digest).to_string(), format!("{}@{DIGEST}", reference.name()));
    for format in [PinFormat::TagAndDigest, PinFormat::DigestOnly] {
        let Some(pinned) = patch::pinned(text, DIGEST, format) else {
            assert!(reference.digest().is_some(), "{text:?} can be pinned");
            continue;
        };
        assert!(reference.digest().is_none(), "{text:?} has a digest");
        let again = Reference::parse(&pinned).unwrap_or_else(|error| panic!("{pinned}: {error}"));
        assert_eq!((again.name(), again.digest()), (reference.name(), Some(&digest)), "{pinned}");
        if format == PinFormat::TagAndDigest {
            assert_eq!(again.tag(), reference.tag(), "{pinned}");
            assert_eq!(patch::restored(&pinned, text).as_ref(), Some(&pinned));
        }
        assert_eq!(patch::pinned(&pinned, DIGEST, format), None);
    }
}

/// The URL that is asked names the host and the repository of the reference, whatever a URL parser makes of its text.
fn asks_its_own_registry(reference: &Reference) {
    let endpoint = Endpoint::new(reference, &RegistryRule::new(Pattern::any()));
    let Ok(url) = Url::parse(&endpoint.manifest_url(reference)) else { return };
    assert_eq!((url.scheme(), url.username(), url.password()), ("https", "", None));
    assert_eq!(url.path(), format!("/v2/{}/manifests/{}", reference.repository(), reference.object()));
    assert_eq!((url.query(), url.fragment()), (None, None));
    let host = url.host_str().expect("https has a host");
    let written = endpoint.api_host().to_ascii_lowercase();
    let written = match written.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => &written,
    };
    assert!(host == written || host.parse::<std::net::Ipv4Addr>().is_ok() || host.starts_with('['), "{url}");
}

/// The grammar, walked once. The text is `[domain/]path[:tag][@digest]` after Docker's defaults.
fn is_reference(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() == 64 && text.bytes().all(hex) {
        return false;
    }
    let capital = |part: &str| part.bytes().any(|b| b.is_ascii_uppercase());
    // What is not ASCII is in no part of the grammar; which error it gets is not asked here.
    if !text.is_ascii() {
        return false;
    }
    let slash = text.find('/');
    let first = slash.map_or("", |at| &text[..at]);
    let named =
        slash.is_some() && (first == "localhost" || first.contains('.') || first.contains(':') || capital(first));
    let (domain, rest) = if named { (first, &text[first.len() + 1..]) } else { ("docker.io", text) };
    let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
    let path = &rest[..rest.find([':', '@']).unwrap_or(rest.len())];
    let library = domain == "docker.io" && !rest.contains('/');
    // A domain that is none can still be the first component of a path.
    let (legal, part_of_path) = (is_domain(domain), is_component(domain));
    if !(legal || part_of_path) || capital(rest.split(':').next().unwrap_or_default()) {
        return false;
    }
    let counted = path.len() + if library { 8 } else { 0 } + if legal { 0 } else { domain.len() + 1 };
    let mut after = &rest[path.len()..];
    if let Some(tag) = after.strip_prefix(':') {
        let end = tag.find('@').unwrap_or(tag.len());
        if !is_tag(&tag.as_bytes()[..end]) {
            return false;
        }
        after = &tag[end..];
    }
    let digest = after.strip_prefix('@');
    (after.is_empty() || digest.is_some_and(is_supported_digest)) && path.split('/').all(is_component) && counted <= 255
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rfind(']') {
        Some(close) => text.split_at(close + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port =
        port.is_empty() || (port.len() > 1 && port.starts_with(':') && port[1..].bytes().all(|b| b.is_ascii_digit()));
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    port && match inside {
        Some(address) => !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(|label| {
            let ends = [label.bytes().next(), label.bytes().last()];
            ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    }
}

/// A component as a state machine: letters and digits, between them `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let mut state = 'x';
    for byte in text.bytes() {
        state = match (state, byte) {
            (_, b'a'..=b'z' | b'0'..=b'9') => 'a',
            ('a', b'.') => '.',
            ('a', b'_') => '_',
            ('_', b'_') => '=',
            ('a' | '-', b'-') => '-',
            _ => return false,
        };
    }
    state == 'a'
}

fn is_tag(text: &[u8]) -> bool {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    (1..=128).contains(&text.len()) && word(&text[0]) && text.iter().all(|b| word(b) || b".-".contains(b))
}

fn is_supported_digest(text: &str) -> bool {
    [("sha256:", 64), ("sha384:", 96), ("sha512:", 128)].iter().any(|(algorithm, length)| {
        let hex = text.strip_prefix(algorithm).unwrap_or_default();
        hex.len() == *length && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}
