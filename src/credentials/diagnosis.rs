//! What is nearly right about a pull secret → why it does not help: entries that look as if they were for a repository and
//! match nothing, and logins that carry a known mistake. No rule of matching is here, and no value of a Secret leaves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use super::keyring::Entry;
use super::{Credential, Keyring, Source};

/// Names under which people know Docker Hub and its parts.
const DOCKER_HUB: [&str; 9] = [
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "registry.docker.io",
    "auth.docker.io",
    "hub.docker.com",
    "registry.hub.docker.com",
    "www.docker.com",
    "docker.com",
];

/// An entry that is meant for a repository, as far as one can tell, and does not match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss<'k> {
    /// The Secret.
    pub source: &'k Source,
    /// The entry's name as written, without a login in it.
    pub name: &'k str,
    /// What keeps it from matching.
    pub why: Mismatch,
}

/// What keeps an entry from matching, the nearest miss first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// Docker Hub in a spelling that is never looked up.
    DockerHub,
    /// `HTTPS://`: only lower-case schemes are taken off.
    Scheme,
    /// The name is no URL: a space, a line end, a port that is no number.
    NoUrl,
    /// The same host in other letters.
    Case,
    /// The same host with another port, or one of the two without.
    Port,
    /// The path is no beginning of the repository's.
    Path,
    /// `*` stands for one label, or a part of one.
    Wildcard,
}

/// A mistake that a login itself shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No user name and no password, but an `identitytoken`, or a user beside one.
    OnlyIdentityToken,
    /// No user name.
    NoUser,
    /// No password.
    NoPassword,
    /// The password ends with a line end.
    PasswordLineEnd,
    /// The password begins or ends with a blank.
    PasswordBlank,
    /// The user name begins or ends with a blank or a line end.
    UserBlank,
    /// ECR's `authorizationToken` as it is: its base64 holds user and password.
    WholeEcrToken,
    /// An e-mail address in place of a Docker ID.
    EmailAtDockerHub,
}

/// A name or host, taken apart.
struct Parts<'n> {
    host: &'n str,
    port: Option<&'n str>,
    path: &'n str,
}

// === impl Keyring ===

impl Keyring {
    /// The entries that nearly match `repository_name`, the nearest first; meant for a name that nothing matches.
    pub fn near_misses(&self, repository_name: &str) -> Vec<NearMiss<'_>> {
        let entries = self.entries().filter_map(|entry| {
            let why = mismatch(entry, repository_name)?;
            Some(NearMiss { source: &entry.source, name: &entry.name, why })
        });
        let passed_over = self.passed_over().filter_map(|(source, name)| {
            let (meant, wanted) = (Parts::of(name.trim()), Parts::of(repository_name));
            same_host(&meant, &wanted).then_some(NearMiss { source, name, why: Mismatch::NoUrl })
        });
        let mut misses: Vec<NearMiss<'_>> = entries.chain(passed_over).collect();
        misses.sort_by_key(|miss| miss.why);
        misses
    }
}

fn mismatch(entry: &Entry, repository_name: &str) -> Option<Mismatch> {
    let (key, wanted) = (Parts::of(&entry.key), Parts::of(repository_name));
    if wanted.host == "docker.io" && DOCKER_HUB.contains(&key.host.to_ascii_lowercase().as_str()) {
        let api = matches!(key.path.trim_end_matches('/'), "" | "v1" | "v2");
        let narrower = key.host == "docker.io" && key.port.is_none() && !api;
        return Some(if narrower { Mismatch::Path } else { Mismatch::DockerHub });
    }
    if key.host.contains('*') {
        let literal = key.host.rsplit('*').next().unwrap_or_default().trim_start_matches('.');
        let meant = !literal.is_empty() && wanted.host.ends_with(literal);
        let why = if key.port == wanted.port { Mismatch::Wildcard } else { Mismatch::Port };
        return meant.then_some(why);
    }
    if !same_host(&key, &wanted) {
        return None;
    }
    Some(if entry.key.contains("://") {
        Mismatch::Scheme
    } else if key.port != wanted.port {
        Mismatch::Port
    } else if key.host != wanted.host {
        Mismatch::Case
    } else {
        Mismatch::Path
    })
}

fn same_host(a: &Parts<'_>, b: &Parts<'_>) -> bool {
    let hub = |parts: &Parts<'_>| DOCKER_HUB.contains(&parts.host.to_ascii_lowercase().as_str());
    a.host.eq_ignore_ascii_case(b.host) || (hub(a) && hub(b))
}

// === impl Parts ===

impl<'n> Parts<'n> {
    fn of(name: &'n str) -> Self {
        let name = name.split_once("://").map_or(name, |(_, rest)| rest);
        let (authority, path) = name.split_once('/').unwrap_or((name, ""));
        match authority.rsplit_once(':') {
            // The colon of an IPv6 address is inside its brackets.
            Some((host, port)) if !port.contains(']') => Self { host, port: Some(port), path },
            _ => Self { host: authority, port: None, path },
        }
    }
}

// === impl Credential ===

impl Credential {
    /// The mistake that the login itself shows, if one is known.
    pub fn flaw(&self, host: &str) -> Option<Flaw> {
        let (user, password) = (self.username.as_str(), self.password().expose_secret());
        let blank_around = |text: &str| text.trim() != text;
        Some(if password.is_empty() && self.identity_token {
            Flaw::OnlyIdentityToken
        } else if user.is_empty() {
            Flaw::NoUser
        } else if password.is_empty() {
            Flaw::NoPassword
        } else if user == "AWS" && whole_ecr_token(password) {
            Flaw::WholeEcrToken
        } else if password.ends_with(['\n', '\r']) {
            Flaw::PasswordLineEnd
        } else if blank_around(password) {
            Flaw::PasswordBlank
        } else if blank_around(user) {
            Flaw::UserBlank
        } else if host == "docker.io" && user.contains('@') {
            Flaw::EmailAtDockerHub
        } else {
            return None;
        })
    }
}

/// `base64("AWS:…")`, or the same decoded: `get-authorization-token` gives the first, `get-login-password` what follows
/// the colon.
fn whole_ecr_token(password: &str) -> bool {
    let start = password.get(..8).and_then(|start| STANDARD.decode(start).ok());
    password.starts_with("AWS:") || start.is_some_and(|start| start.starts_with(b"AWS:"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::credentials::PullSecret;

    fn keyring(auths: &serde_json::Value) -> Keyring {
        let value = json!({ "auths": auths }).to_string().into_bytes();
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), value)]);
        Keyring::from_pull_secrets([&PullSecret::new("s", "kubernetes.io/dockerconfigjson", data)]).unwrap()
    }

    #[test]
    fn an_entry_that_is_nearly_right_says_what_keeps_it_from_matching() {
        let (hub, corp) = ("docker.io/acme/api", "registry.corp.io:5000/team/api");
        for (name, repository, expected) in [
            ("registry.corp.io", corp, Some(Mismatch::Port)),
            ("registry.corp.io:443", corp, Some(Mismatch::Port)),
            ("https://registry.corp.io:5001/v2/", corp, Some(Mismatch::Port)),
            ("Registry.corp.io:5000", corp, Some(Mismatch::Case)),
            ("HTTPS://registry.corp.io:5000", corp, Some(Mismatch::Scheme)),
            ("registry.corp.io:5000\n", corp, Some(Mismatch::NoUrl)),
            (" registry.corp.io:5000", corp, Some(Mismatch::NoUrl)),
            ("registry.corp.io:5000/other", corp, Some(Mismatch::Path)),
            ("registry.corp.io:5000/v2", corp, Some(Mismatch::Path)),
            ("*.io:5000", corp, Some(Mismatch::Wildcard)),
            ("*.corp.io", corp, Some(Mismatch::Port)),
            ("*.other.io", corp, None),
            ("*", corp, None),
            ("other.io", corp, None),
            ("[::1]:5000", "[::1]:5001/x", Some(Mismatch::Port)),
            ("https://index.docker.io/v1", hub, Some(Mismatch::DockerHub)),
            ("registry-1.docker.io", hub, Some(Mismatch::DockerHub)),
            ("https://hub.docker.com/", hub, Some(Mismatch::DockerHub)),
            ("HTTPS://index.docker.io/v1/", hub, Some(Mismatch::DockerHub)),
            ("https://index.docker.io:443/v1/", hub, Some(Mismatch::DockerHub)),
            ("Docker.io", hub, Some(Mismatch::DockerHub)),
            ("https://docker.io/v1", hub, Some(Mismatch::DockerHub)),
            ("docker.io/other", hub, Some(Mismatch::Path)),
            ("index.docker.io ", hub, Some(Mismatch::NoUrl)),
            ("ghcr.io", hub, None),
        ] {
            let keyring = keyring(&json!({ name: { "username": "u", "password": "p" } }));
            assert!(keyring.matching(repository).is_empty(), "{name} matches");
            let found: Vec<Mismatch> = keyring.near_misses(repository).iter().map(|miss| miss.why).collect();
            assert_eq!(found, Vec::from_iter(expected), "{name:?} for {repository}");
        }
    }

    #[test]
    fn the_nearest_miss_comes_first_and_no_login_is_in_its_name() {
        let entry = json!({ "username": "u", "password": "p" });
        let keyring = keyring(&json!({ "a.io/x": entry, "u:hunter2@A.io": entry, "hunter2@a.io\n": entry }));
        let misses = keyring.near_misses("a.io/y");
        let names: Vec<&str> = misses.iter().map(|miss| miss.name).collect();
        assert_eq!(names, ["A.io", "a.io/x"]);
    }

    #[test]
    fn a_login_shows_its_mistake() {
        let ecr = STANDARD.encode("AWS:eyJwYXlsb2FkIjoi");
        for (entry, host, expected) in [
            (json!({ "username": "u", "password": "p" }), "a.io", None),
            (json!({ "username": "u", "password": "p\n" }), "a.io", Some(Flaw::PasswordLineEnd)),
            (json!({ "auth": STANDARD.encode("u:p\r\n") }), "a.io", Some(Flaw::PasswordLineEnd)),
            (json!({ "username": "u", "password": "p " }), "a.io", Some(Flaw::PasswordBlank)),
            (json!({ "username": "u\n", "password": "p" }), "a.io", Some(Flaw::UserBlank)),
            (json!({ "username": "u" }), "a.io", Some(Flaw::NoPassword)),
            (json!({ "password": "p" }), "a.io", Some(Flaw::NoUser)),
            (json!({ "auth": STANDARD.encode("u:"), "identitytoken": "t" }), "a.io", Some(Flaw::OnlyIdentityToken)),
            (json!({ "identitytoken": "t" }), "a.io", Some(Flaw::OnlyIdentityToken)),
            (json!({ "username": "u", "password": "p", "identitytoken": "t" }), "a.io", None),
            (json!({ "username": "AWS", "password": ecr }), "a.io", Some(Flaw::WholeEcrToken)),
            (json!({ "auth": ecr }), "a.io", None),
            (json!({ "username": "AWS", "password": "AWS:x" }), "a.io", Some(Flaw::WholeEcrToken)),
            (json!({ "username": "AWS", "password": "éééééé" }), "a.io", None),
            (json!({ "username": "a@b.io", "password": "p" }), "docker.io", Some(Flaw::EmailAtDockerHub)),
            (json!({ "username": "a@b.io", "password": "p" }), "quay.io", None),
        ] {
            let candidates = keyring(&json!({ host: entry })).matching(&format!("{host}/x/y"));
            assert_eq!(candidates[0].credential.as_ref().unwrap().flaw(host), expected, "{entry} at {host}");
        }
    }
}
