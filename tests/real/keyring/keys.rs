//! Names of entries: what people write for a repository's registry, and what comes close to it.

use super::random::Random;

const HUB: [&str; 5] = [
    "https://index.docker.io/v1/",
    "https://index.docker.io/v1",
    "index.docker.io",
    "docker.io",
    "index.docker.io/v2/",
];
const STRANGERS: [&str; 10] =
    ["registry-1.docker.io", "*", "*.io", "quay.io", "a.io", "ghcr.io", "", "https://", "[::1]", "%zz"];
/// Addresses in brackets: a zone may hold what a pattern takes for a class of characters.
const BRACKETED: [&str; 16] = [
    "[::1]",
    "[::1]:5000",
    "[::1]:",
    "[::]",
    "[FE80::1]",
    "[fe80::1%25eth0]",
    "[::1%25A-Z]",
    "[::1%25a-]",
    "[::1%25-a]",
    "[::1%25*]",
    "[::1%25]]*",
    "[::1%25É-Ź]",
    "[::1%25%4d]",
    "[::ffff:1.2.3.4]",
    "[::ffff:102:304%25M]",
    "[1:2:3:4:5:6:7::]",
];
/// What decides how a URL is cut, and what it refuses.
const CHARACTERS: &str = "%*[]?#@:/. \\\"^+-_~|AZé\n\u{7f}";

/// A name that is meant for `repository`, or nearly.
pub(super) fn near(random: &mut Random, repository: &str) -> String {
    let (host, path) = repository.split_once('/').unwrap_or((repository, ""));
    if random.percent(if host.contains([':', '.']) && host != "docker.io" { 3 } else { 20 }) {
        return random.pick(&HUB).to_owned();
    }
    let mut key = match random.below(100) {
        0..12 => random.pick(&STRANGERS).to_owned(),
        12..17 => random.pick(&BRACKETED).to_owned(),
        _ => with_port(random, host),
    };
    key += &below(random, path);
    key = decorated(random, key);
    let scheme = match random.below(100) {
        0..55 => "",
        55..85 => "https://",
        85..94 => "http://",
        _ => random.pick(&["HTTPS://", "ftp://", "https:/", "https:", "//", "http://https://"]),
    };
    key.insert_str(0, scheme);
    if random.percent(7) {
        random.mutate(&mut key, CHARACTERS);
    }
    key
}

/// Other names for the same key.
pub(super) fn synonym(random: &mut Random, key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://");
    match random.below(5) {
        0 => format!("https://{bare}"),
        1 => format!("http://{bare}"),
        2 => format!("u@{bare}"),
        3 if !bare.contains('/') => format!("{bare}/v{}/", 1 + random.below(2)),
        _ => format!("{bare}?{}", random.word()),
    }
}

fn with_port(random: &mut Random, host: &str) -> String {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, format!(":{port}")),
        _ => (host, String::new()),
    };
    let port = match random.below(100) {
        0..85 => port,
        85..90 => String::new(),
        _ => random.pick(&[":443", ":5000", ":", ":*", ":05000", ":x", ":1:2"]).to_owned(),
    };
    glob(random, name) + &port
}

/// The host as it is, or with a wildcard where some of its characters were.
fn glob(random: &mut Random, name: &str) -> String {
    let mut labels: Vec<String> = name.split('.').map(str::to_owned).collect();
    let at = random.below(labels.len());
    match random.below(100) {
        0..50 => {}
        50..62 => labels[at] = "*".into(),
        62..80 => {
            let characters: Vec<char> = labels[at].chars().collect();
            let from = random.below(characters.len() + 1);
            let to = from + random.below(characters.len() - from + 1);
            let kept = |part: &[char]| part.iter().collect::<String>();
            let wildcard = random.pick(&["*", "*", "**", "*-*"]);
            labels[at] = format!("{}{wildcard}{}", kept(&characters[..from]), kept(&characters[to..]));
        }
        80..84 => labels.iter_mut().for_each(|label| *label = "*".into()),
        84..88 => labels.insert(at, "*".to_owned()),
        88..91 => {
            labels.remove(at);
        }
        91..94 => labels[at] = labels[at].to_uppercase(),
        94..96 => labels[at] = random.pick(&["?", "[a-z]", "\\*", "*]", "[a"]).into(),
        _ => labels[at] = random.word(),
    }
    labels.join(".")
}

/// The path of the repository, cut anywhere, behind the versions that a registry's API has.
fn below(random: &mut Random, path: &str) -> String {
    let cut: String = path.chars().take(random.below(path.chars().count() + 2)).collect();
    match random.below(100) {
        0..40 => String::new(),
        40..50 => "/".to_owned(),
        50..70 => format!("/{cut}"),
        70..75 => format!("/{path}/"),
        75..80 => random.pick(&["/v1", "/v2", "/v3/", "//", "/v2//"]).to_owned(),
        80..88 => format!("/v{}/", 1 + random.below(2)),
        88..93 => format!("/v{}/{cut}", 1 + random.below(2)),
        93..96 => format!("/{}", random.pick(&["*", "%61", "%2F", "%76%32/", "%", "x%20y", "%ff", "%25zz", "%0A"])),
        _ => format!("/{}", random.word()),
    }
}

/// User information in front, a query or a fragment behind; none of it is part of the key.
fn decorated(random: &mut Random, key: String) -> String {
    match random.below(100) {
        0..4 => format!("{}@{key}", random.pick(&["u", "u:p", "u%65r", "%zz", "a b", "u:p%zz", "u@v", "é", "u;v"])),
        4..7 => format!("{key}?{}", random.pick(&["", "q", "a=b", "%zz", "/x"])),
        7..10 => format!("{key}#{}", random.pick(&["", "f", "%zz", "%41", "a#b"])),
        _ => key,
    }
}
