//! Pull secrets: documents as docker, kubectl and people write them, with every liberty that JSON and base64 allow,
//! and some that they do not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::keys;
use super::random::Random;
use crate::kubelet::{Secret, Text};

const JSON_TYPE: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
const CFG_TYPE: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");
/// Values of the wrong type, wherever they stand.
const VALUES: [&str; 12] = [
    "1",
    "-0.5e+3",
    "true",
    "false",
    "[]",
    "[{\"a\":\"]\"},null]",
    "{}",
    "{\"auth\":1}",
    "\"\"",
    "\"x\"",
    "null",
    "01",
];
/// Bytes that a mutation puts in.
const BYTES: &[u8] = b"\"\\{}[]:,=- \n\0\x1f\xff\xc3\xa9ntf019.eE+u";

/// Logins are numbered, so that no two of a case are the same.
#[derive(Debug, Default)]
pub(super) struct Numbers(usize);

/// Up to four secrets, mostly of the two types that count.
pub(super) fn secrets(random: &mut Random, repository: &str) -> Vec<Secret> {
    let count = [0, 1, 1, 1, 1, 2, 2, 2, 3, 4][random.below(10)];
    let mut numbers = Numbers::default();
    (0..count).map(|index| secret(random, repository, format!("s{index}"), &mut numbers)).collect()
}

fn secret(random: &mut Random, repository: &str, name: String, numbers: &mut Numbers) -> Secret {
    let wrapped = random.percent(80);
    let (kind, key) = if wrapped { JSON_TYPE } else { CFG_TYPE };
    let mut document = document(random, repository, wrapped, numbers);
    if random.permille(35) {
        random.mutate_bytes(&mut document, BYTES);
    }
    let mut data = BTreeMap::from([(key.to_owned(), Text(document))]);
    let mut kind = kind.to_owned();
    match random.below(100) {
        0 => data = BTreeMap::from([(key.to_owned(), Text(Vec::new()))]),
        1 => kind = random.pick(&["Opaque", "", "kubernetes.io/tls", "Kubernetes.io/dockercfg"]).into(),
        2 => kind = if wrapped { CFG_TYPE.0 } else { JSON_TYPE.0 }.into(),
        3 => data = data.into_values().map(|value| (key.to_uppercase(), value)).collect(),
        4 => {
            data.insert(CFG_TYPE.1.to_owned(), Text(b"{\"a.io\":1}".to_vec()));
        }
        _ => {}
    }
    Secret { name, kind, data }
}

/// A document in one of the two shapes, sometimes in that of the other.
fn document(random: &mut Random, repository: &str, wrapped: bool, numbers: &mut Numbers) -> Vec<u8> {
    let entries = entries(random, repository, numbers);
    let object = object(random, entries);
    let wrapped = if random.permille(15) { !wrapped } else { wrapped };
    if random.permille(4) {
        return random.pick(&["", "null", "[]", "1", "\"{}\"", "\u{feff}{}", "{} {}", "{}x", " "]).as_bytes().to_vec();
    }
    if !wrapped {
        return object.into_bytes();
    }
    let mut members = vec![(member(random, "auths"), object)];
    while random.percent(12) {
        let name = random.pick(&["credsStore", "credHelpers", "HttpHeaders", "httpheaders", "x", "currentContext"]);
        let value = if name.eq_ignore_ascii_case("HttpHeaders") {
            random.pick(&["{\"User-Agent\":\"d\"}", "{}", "null", "{\"a\":null}", "{\"a\":1}", "\"x\""])
        } else {
            random.pick(&VALUES)
        };
        members.insert(random.below(members.len() + 1), (quoted(random, name), value.to_owned()));
    }
    if random.permille(15) {
        let again = random.pick(&["null", "{}", "{\"index.docker.io\":{}}", "[]", "true"]);
        members.insert(random.below(2), (member(random, "auths"), again.to_owned()));
    }
    if random.permille(2) {
        let depth = [100, 9_998, 9_999, 10_000][random.below(4)];
        members.push(("\"x\"".to_owned(), "[".repeat(depth) + &"]".repeat(depth)));
    }
    object_of_quoted(random, members).into_bytes()
}

fn entries(random: &mut Random, repository: &str, numbers: &mut Numbers) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for _ in 0..[0, 1, 1, 1, 2, 2, 3, 3, 4, 6][random.below(10)] {
        let name = match entries.last() {
            Some((last, _)) if random.percent(20) => keys::synonym(random, last),
            Some((last, _)) if random.percent(3) => last.clone(),
            _ => keys::near(random, repository),
        };
        let entry = entry(random, numbers);
        entries.push((name, entry));
    }
    entries
}

fn entry(random: &mut Random, numbers: &mut Numbers) -> String {
    numbers.0 += 1;
    let number = numbers.0;
    let user = format!("u{number}");
    let password = format!("p{number}{}", random.pick(&["", "", "", ":x", "\n", " ", "é", "=", "\\\""]));
    let both = |random: &mut Random| {
        vec![
            (member(random, "username"), quoted(random, &user)),
            (member(random, "password"), quoted(random, &password)),
        ]
    };
    let mut members = match random.below(1000) {
        0..300 => both(random),
        300..330 => vec![(member(random, "username"), quoted(random, &user))],
        330..350 => vec![(member(random, "password"), quoted(random, &password))],
        350..380 => vec![(quoted(random, "identitytoken"), "\"t\"".to_owned())],
        380..390 => return random.pick(&["null", "{}"]).to_owned(),
        390..400 => return random.pick(&VALUES).to_owned(),
        400..410 => vec![(member(random, random_field(number)), random.pick(&VALUES).to_owned())],
        410..450 => {
            let mut members = both(random);
            members.push((member(random, "auth"), random.pick(&["\"\"", "null", "\"dTpw\""]).to_owned()));
            members
        }
        _ => {
            let auth = auth(random, &user, &password);
            vec![(member(random, "auth"), quoted(random, &auth))]
        }
    };
    while random.percent(8) {
        let (name, value) = (random.pick(&["email", "serveraddress", "registrytoken", "x"]), "\"e@example.com\"");
        let value = if name == "x" { random.pick(&VALUES) } else { value };
        members.insert(random.below(members.len() + 1), (quoted(random, name), value.to_owned()));
    }
    object_of_quoted(random, members)
}

fn random_field(number: usize) -> &'static str {
    ["username", "password", "email", "auth"][number % 4]
}

/// `user:password` in base64, as it should be and as it is found.
fn auth(random: &mut Random, user: &str, password: &str) -> String {
    let mut login = format!("{user}:{password}").into_bytes();
    match random.below(1000) {
        0..15 => login.retain(|byte| *byte != b':'),
        15..40 => login.push(0xff),
        40..60 => login.insert(0, 0xe2),
        60..75 => login = password.as_bytes().to_vec(),
        75..85 => login = b":".to_vec(),
        85..95 => login.insert(0, b':'),
        _ => {}
    }
    let mut auth = if random.percent(80) { STANDARD.encode(&login) } else { STANDARD_NO_PAD.encode(&login) };
    match random.below(1000) {
        0..30 => auth.insert_str(random.below(auth.len() + 1), random.pick(&["\n", "\r\n", "\r"])),
        30..45 => auth.push_str(random.pick(&["=", "==", " ", "\t", "\u{a0}", "=\n", "= "])),
        45..55 => auth = auth.replace(['+', '/'], "-").replace('=', "_"),
        55..75 => random.mutate(&mut auth, "=+/-_ \n\r:.é\u{85}"),
        75..80 => auth.truncate(random.below(auth.len())),
        _ => {}
    }
    auth
}

fn object(random: &mut Random, members: Vec<(String, String)>) -> String {
    let members = members.into_iter().map(|(name, value)| (quoted(random, &name), value)).collect();
    object_of_quoted(random, members)
}

fn object_of_quoted(random: &mut Random, members: Vec<(String, String)>) -> String {
    let airy = random.percent(20);
    let mut space = || if airy { random.pick(&["", " ", "\n\t", "\r\n"]) } else { "" };
    let members =
        members.into_iter().map(|(name, value)| format!("{}{name}{}:{}{value}{}", space(), space(), space(), space()));
    let members: Vec<String> = members.collect();
    format!("{{{}}}", members.join(","))
}

/// A member name that Go takes for `name`, or nearly.
fn member(random: &mut Random, name: &str) -> String {
    let name = match random.below(100) {
        0..3 => name.to_uppercase(),
        3 => name.replace('s', "\u{17f}"),
        4 => name.replace('a', "\u{e4}"),
        _ => name.to_owned(),
    };
    quoted(random, &name)
}

/// A JSON string; now and then with an escape that it does not need.
fn quoted(random: &mut Random, text: &str) -> String {
    let mut quoted = serde_json::Value::from(text).to_string();
    if random.permille(25) {
        let (at, first) = text.char_indices().nth(random.below(text.chars().count())).unwrap_or((0, '\0'));
        let rest = text.get(at + first.len_utf8()..).unwrap_or_default();
        let escape = match random.below(8) {
            0 => "\\ud800".to_owned(),
            1 => "\\ud83d\\ude00".to_owned(),
            2 => "\\/".to_owned(),
            _ => format!("\\u{:04x}", u32::from(first) & 0xffff),
        };
        let inner = |part: &str| serde_json::Value::from(part).to_string().trim_matches('"').to_owned();
        if !text.is_empty() && !text.contains(['"', '\\']) {
            quoted = format!("\"{}{escape}{}\"", inner(&text[..at]), inner(rest));
        }
    }
    quoted
}
