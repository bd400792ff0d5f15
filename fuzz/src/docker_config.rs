//! The bytes of a pull secret: the same candidates every time, in the kubelet's order, and no password in any text.

use std::collections::BTreeMap;

use pullgate::credentials::{Candidate, Entries, IdentityKey, Keyring, MalformedSecret, PullSecret, Source};
use secrecy::ExposeSecret as _;

/// A password that stands in the corpus and in the dictionary, and in no text that pullgate writes.
const CANARY: &str = "hunter2-Kq7vXw3z";

/// Repositories as [`pullgate::reference::Reference::name`] gives them.
const REPOSITORIES: [&str; 9] = [
    "docker.io/library/busybox",
    "index.docker.io/library/busybox",
    "registry.corp.io/team/app",
    "registry.corp.io:5000/team/app",
    "a.b.corp.io/x",
    "localhost/x",
    "LOCALHOST/x",
    "[::1]:5000/x",
    "123456789012.dkr.ecr.eu-central-1.amazonaws.com/a/b",
];

/// Reads a letter for the kind of the Secret (even: `dockerconfigjson`), and its value.
pub fn property(data: &[u8]) -> bool {
    let Some((&kind, value)) = data.split_first() else { return false };
    let (kind, key) = match kind % 2 {
        0 => ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
        _ => ("kubernetes.io/dockercfg", ".dockercfg"),
    };
    let secret = || PullSecret::new("regcred", kind, BTreeMap::from([(key.to_owned(), value.to_vec())]));
    let (secret, again) = (secret(), secret());
    let decoded = Keyring::from_pull_secrets([&secret]);
    assert_eq!(shown(&decoded), shown(&Keyring::from_pull_secrets([&again])), "two readings");
    assert!(!format!("{secret:?}").contains(CANARY));
    let from_file = if key == ".dockercfg" { Entries::from_dockercfg } else { Entries::from_config_json };
    let from_file = from_file(&Source::NodeConfig, value);
    let keyring = match decoded {
        Ok(keyring) => keyring,
        Err(error) => {
            assert_eq!(from_file.err().as_ref(), Some(&error.go_error));
            gives_nothing_away(&error);
            return false;
        }
    };
    assert!(value.is_empty() || from_file.is_ok());
    let keys: Vec<String> = keyring.keys().iter().map(|(key, _)| (*key).to_owned()).collect();
    for repository in REPOSITORIES.into_iter().chain(keys.iter().map(String::as_str)) {
        let found = keyring.matching(repository);
        let candidates = keyring.candidates(repository);
        assert_eq!(names(&candidates), names(&Candidate::or_anonymous(found.clone())));
        assert!(candidates.is_sorted_by(|a, b| a.key >= b.key), "{:?}", names(&candidates));
        assert!(found.iter().all(|candidate| keys.iter().any(|key| **key == *candidate.key)));
        let ids: Vec<_> = candidates.iter().map(|c| IdentityKey::new(&[7; 32]).id(c.credential.as_deref())).collect();
        for (candidate, id) in candidates.iter().zip(&ids) {
            does_not_print(candidate, &format!("{id}"));
        }
        for (one, one_id) in candidates.iter().zip(&ids) {
            for (other, other_id) in candidates.iter().zip(&ids) {
                assert_eq!(login(one) == login(other), one_id == other_id, "{one:?} {other:?}");
            }
        }
    }
    for key in keys.iter().filter(|key| is_plain(key)) {
        let names_itself = |repository: &str| names(&keyring.matching(repository)).contains(&key.as_str());
        assert!(names_itself(key) && names_itself(&format!("{key}/app")), "{key} is for itself");
        assert!(!names_itself(&format!("x{key}/app")), "{key} is not for x{key}");
    }
    !keys.is_empty()
}

/// Everything that shows of a reading.
fn shown(decoded: &Result<Keyring, MalformedSecret>) -> String {
    match decoded {
        Ok(keyring) => {
            let found = REPOSITORIES.map(|repository| {
                let candidates = keyring.candidates(repository);
                candidates.iter().map(|candidate| format!("{candidate:?} {:?}", login(candidate))).collect::<Vec<_>>()
            });
            format!("{:?} {found:?}", keyring.keys())
        }
        Err(error) => format!("{error:?}"),
    }
}

fn gives_nothing_away(error: &MalformedSecret) {
    assert!(!error.go_error.contains(CANARY) && !error.to_string().contains(CANARY), "{error:?}");
    assert!(error.go_error.len() <= 200, "{error:?}");
    let Some(entry) = &error.entry else { return };
    assert!(entry.len() <= 200, "{} bytes", entry.len());
    // Before the first slash an `@` would end a login.
    let entry = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).unwrap_or(entry);
    assert!(!entry.split('/').next().unwrap_or_default().contains('@'), "{entry:?}");
}

/// The password of a candidate is in none of its texts, unless something that may be shown holds the same letters.
fn does_not_print(candidate: &Candidate, id: &str) {
    let Some(credential) = &candidate.credential else { return };
    let password = credential.password().expose_secret();
    let debug = format!("{candidate:?}");
    let visible = format!("{:?} {:?} {:?}", candidate.source, candidate.key, credential.username);
    let frame = "Candidate { source: PullSecret(\"regcred\"), key: , credential: Some(Credential { username: , password: [redacted] }) }";
    if password.len() > 2 && !visible.contains(password) && !frame.contains(password) && !id.contains(password) {
        let quoted = format!("{password:?}");
        assert!(!debug.contains(password) && !debug.contains(&quoted), "{debug}");
    }
}

fn login(candidate: &Candidate) -> Option<(&str, &str)> {
    let login = candidate.credential.as_ref()?.login()?;
    Some((login.username, login.password.expose_secret()))
}

fn names(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| &*candidate.key).collect()
}

/// A host with a dot, perhaps a port and a path, without anything that means something else to a glob or a URL.
fn is_plain(key: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (host, path) = key.split_once('/').unwrap_or((key, "a"));
    let (host, port) = host.split_once(':').unwrap_or((host, "1"));
    host.contains('.')
        && host.split('.').all(|label| !label.is_empty() && label.bytes().all(plain))
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
        && path.split('/').all(|part| !part.is_empty() && part.bytes().all(plain))
}
