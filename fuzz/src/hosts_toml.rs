//! The text of a `hosts.toml`: hosts bounded by the text, asked over HTTP or HTTPS only, and the host that a URL is sent
//! to is the one that the text names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pullgate::policy::{Nodes, Pattern, Policy, RegistryRule};
use pullgate::reference::Reference;
use pullgate::registry::Endpoint;
use pullgate::registry::hosts::{CertsDir, HostsFile, Way, Ways, parse};
use url::Url;

/// The value of a header and the password of a URL in the corpus; in no text that pullgate writes.
const CANARY: &str = "hunter2-Kq7vXw3z";

const BASE: &str = "/certs.d/x";

const IMAGES: [&str; 5] = [
    "busybox",
    "registry.corp.io/team/app:1",
    "localhost:5000/app",
    "[::1]:5000/app",
    "a.io/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

/// Reads `data` as a `hosts.toml`.
pub fn property(data: &[u8]) -> bool {
    let parsed = parse(data, Path::new(BASE));
    assert_eq!(parsed, parse(data, Path::new(BASE)), "two readings");
    let file = match parsed {
        Ok(file) => file,
        Err(error) => {
            let lines = data.iter().filter(|b| **b == b'\n').count() + 1;
            assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error} of {lines} lines");
            assert!(!error.sentence.is_empty() && !error.sentence.contains('\n'), "{error}");
            // What is repeated of a URL is not what stands before its @.
            let of_url = error.sentence.ends_with("is not the URL of a server");
            assert!(!(of_url && names_a_login(data) && error.sentence.contains(CANARY)), "{error}");
            return false;
        }
    };
    let tables = data.iter().filter(|b| **b == b'[').count();
    assert!((1..=tables + 1).contains(&file.hosts.len()), "{} hosts of {tables} tables", file.hosts.len());
    for host in &file.hosts {
        let shown = format!("{:?}", host.headers);
        for (name, value) in &host.headers.0 {
            assert!(!value.contains(CANARY) || name.contains(CANARY) || !shown.contains(CANARY), "{shown}");
        }
        assert!(!host.authority.contains(['/', '@', '?', '#', '\\']), "{:?}", host.authority);
        assert!(host.path.is_empty() || host.path.starts_with('/') && !host.path.ends_with('/'), "{:?}", host.path);
        assert!(!host.path.split('/').any(|part| matches!(part, "." | "..")), "{:?}", host.path);
        for named in host.tls.files() {
            assert!(named.is_absolute(), "{}", named.display());
        }
    }
    let declared = file.hosts.len() > 1 || !file.leaves_upstream_open();
    for image in IMAGES {
        for way in ways(&file, image) {
            assert_eq!(way.plain.is_some(), way.endpoint.base.starts_with("https:") && way.plain.is_some());
            for endpoint in [Some(&way.endpoint), way.plain.as_ref()].into_iter().flatten() {
                names_its_host(endpoint, image);
            }
        }
    }
    declared
}

fn ways(file: &HostsFile, image: &str) -> Vec<Way> {
    let reference = Reference::parse(image).expect("a reference");
    let upstream = Arc::new(Endpoint::new(&reference, &RegistryRule::new(Pattern::any())));
    let files = BTreeMap::from([("_default".to_owned(), (PathBuf::from(BASE), file.clone()))]);
    let hosts = Some(Arc::new(CertsDir { files, fingerprint: Vec::new() }));
    let policy = Policy { nodes: Nodes { hosts, ..Nodes::default() }, ..Policy::default() };
    let ways = Ways::new(&policy).expect("a directory is declared").of(&upstream, &reference).expect("it is for all");
    assert!(ways.len() <= file.hosts.len());
    ways
}

/// What a URL parser makes of the endpoint is the host that is written in it: a login is chosen by the one and sent to
/// the other.
fn names_its_host(endpoint: &Endpoint, image: &str) {
    let reference = Reference::parse(image).expect("a reference");
    let text = endpoint.manifest_url(&reference);
    let plain = text.starts_with("http://");
    assert!(plain || text.starts_with("https://"), "{text}");
    let Ok(url) = Url::parse(&text) else { return };
    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{text}");
    let written = endpoint.api_host().to_lowercase();
    let host = url.host_str().expect("http has a host");
    let shown = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let default = if plain { ":80" } else { ":443" };
    let written = written.strip_suffix(default).or_else(|| written.strip_suffix(':')).unwrap_or(&written);
    // Numbers are addresses in other spellings, what is not ASCII is written in ASCII, escapes are decoded.
    let spelled_otherwise = host.parse::<std::net::Ipv4Addr>().is_ok()
        || host.starts_with('[')
        || !written.is_ascii()
        || written.contains('%')
        || written.rsplit(':').next().is_some_and(|port| port.starts_with('0'));
    assert!(shown == written || spelled_otherwise, "{text} is sent to {shown}");
}

/// Whether the canary stands where a login would, and nowhere else.
fn names_a_login(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let mut places = text.match_indices(CANARY).peekable();
    places.peek().is_some() && text.matches(CANARY).count() == text.matches(&format!(":{CANARY}@")).count()
}
