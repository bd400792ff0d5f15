//! A success and its place ⇄ the name and the bytes under which replicas find it again in a store that others can write
//! to. Everything rests on one secret that the replicas share; pure, `now` is passed in.
//!
//! Names are keyed hashes, so that the store says neither images nor logins. Bytes carry a MAC over their version, their
//! name and their text: they can be neither made, altered nor moved under another name without the secret.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credentials::{CredentialId, IdentityKey};
use crate::registry::manifest::Manifest;
use crate::resolver::fact::Lifetimes;
use crate::time::since;

/// Of names and bytes; another version is another name, and refused under this one.
pub const VERSION: u8 = 1;

/// Bytes of an entry at most; a digest of SHA-512 needs about 330.
pub const MAX_ENTRY: usize = 1024;

/// How long an entry may be of use: as a last good answer, while a registry fails.
pub const HELD: Duration = Duration::from_hours(1);

/// Bytes of a secret at least.
pub const MIN_SECRET: usize = 32;

/// Bytes of HMAC-SHA256.
const MAC: usize = 32;

/// Makes names and bytes, and opens them.
pub struct Seal {
    names: hmac::Key,
    macs: hmac::Key,
}

/// What one replica learnt and another may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    /// What was resolved.
    pub manifest: Manifest,
    /// When the registry was asked, by the clock of the replica that did.
    pub at: Timestamp,
    /// The reference names a digest.
    pub by_digest: bool,
}

/// Why bytes are not what a replica wrote under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too short or too long.
    Size,
    /// Of another version.
    Version,
    /// Made without the secret, altered, or written under another name.
    Mac,
    /// The MAC holds and the text does not parse.
    Text,
    /// From the future: a clock is wrong.
    Future,
    /// Older than [`HELD`]: the store did not forget it.
    Old,
}

/// A secret that is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "holds {found} bytes, at least {MIN_SECRET} are needed: make one with head -c 32 /dev/urandom | base64, the same for all replicas"
)]
pub struct SecretTooShort {
    found: usize,
}

/// The key of credential ids and the seal that go with a secret. `ways` says how registries are reached: replicas that
/// reach them otherwise share nothing.
///
/// # Errors
/// A secret under [`MIN_SECRET`] bytes; white space at its ends does not count.
pub fn keys(secret: &[u8], ways: &str) -> Result<(IdentityKey, Seal), SecretTooShort> {
    let secret = secret.trim_ascii();
    if secret.len() < MIN_SECRET {
        return Err(SecretTooShort { found: secret.len() });
    }
    let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let seal = Seal { names: derived(&root, "names", ways), macs: derived(&root, "macs", ways) };
    Ok((IdentityKey::from_key(derived(&root, "identity", "")), seal))
}

/// A key of its own for each use.
fn derived(root: &hmac::Key, label: &str, context: &str) -> hmac::Key {
    hmac::Key::new(
        hmac::HMAC_SHA256,
        mac(root, &[b"pullgate shared cache", label.as_bytes(), context.as_bytes()]).as_ref(),
    )
}

/// The length before each part keeps `ab`+`c` and `a`+`bc` apart.
fn mac(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

// === impl Seal ===

impl Seal {
    /// Where the fact of an endpoint, a reference and a credential lies.
    pub fn name(&self, plain_http: bool, reference: &str, id: CredentialId) -> String {
        let tag = mac(&self.names, &[&[u8::from(plain_http)], reference.as_bytes(), id.as_bytes()]);
        let tag = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
        tag.fold(format!("pullgate:{VERSION}:"), |name, byte| name + &byte)
    }

    /// The bytes for a name; `None` for what does not fit.
    pub fn close(&self, name: &str, success: &Success) -> Option<Vec<u8>> {
        let text = serde_json::to_vec(success).ok()?;
        let tag = mac(&self.macs, &[&[VERSION], name.as_bytes(), &text]);
        let entry = [&[VERSION], tag.as_ref(), &text].concat();
        (entry.len() <= MAX_ENTRY).then_some(entry)
    }

    /// What lies under a name.
    ///
    /// # Errors
    /// Why it counts as nothing.
    pub fn open(&self, name: &str, entry: &[u8], now: Timestamp) -> Result<Success, Refused> {
        if entry.len() > MAX_ENTRY {
            return Err(Refused::Size);
        }
        let Some(([version], rest)) = entry.split_first_chunk() else { return Err(Refused::Size) };
        if *version != VERSION {
            return Err(Refused::Version);
        }
        let Some((tag, text)) = rest.split_first_chunk::<MAC>() else { return Err(Refused::Size) };
        // Compared in constant time.
        let expected = mac(&self.macs, &[&[VERSION], name.as_bytes(), text]);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref(), tag).map_err(|_| Refused::Mac)?;
        let success: Success = serde_json::from_slice(text).map_err(|_| Refused::Text)?;
        if since(now, success.at) > Lifetimes::PROMISED.fresh {
            return Err(Refused::Future);
        }
        if since(success.at, now) >= HELD {
            return Err(Refused::Old);
        }
        Ok(success)
    }
}

// === impl Refused ===

impl Refused {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Version => "version",
            Self::Mac => "mac",
            Self::Text => "text",
            Self::Future => "future",
            Self::Old => "old",
        }
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credential;
    use crate::registry::manifest::Kind;

    const SECRET: &[u8] = b"thirty-two bytes of a test secret\n";
    const ID: CredentialId = CredentialId::ANONYMOUS;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn success() -> Success {
        let digest = format!("sha512:{}", "a1".repeat(64)).parse().unwrap();
        Success { manifest: Manifest::new(digest, Kind::Index), at: at(0), by_digest: true }
    }

    #[test]
    fn what_is_closed_opens_under_its_own_name_and_time_only() {
        let (_, seal) = keys(SECRET, "ways").unwrap();
        let (_, other_secret) = keys(b"another secret of thirty-two bytes", "ways").unwrap();
        let (_, other_ways) = keys(SECRET, "other ways").unwrap();
        let name = seal.name(false, "r.io/a:1", ID);
        let other_name = seal.name(false, "r.io/a:2", ID);
        let entry = seal.close(&name, &success()).unwrap();
        let version = |version| [&[version], &entry[1..]].concat();
        let longer = [&entry[..], &[0; MAX_ENTRY]].concat();
        let foreign = other_secret.close(&name, &success()).unwrap();
        for (what, seal, name, entry, now, expected) in [
            ("as it was written", &seal, &name, entry.clone(), at(0), Ok(success())),
            ("by a clock that is a little behind", &seal, &name, entry.clone(), at(-5), Ok(success())),
            ("until the last second", &seal, &name, entry.clone(), at(3599), Ok(success())),
            ("from the future", &seal, &name, entry.clone(), at(-6), Err(Refused::Future)),
            ("too old", &seal, &name, entry.clone(), at(3600), Err(Refused::Old)),
            ("under another name", &seal, &other_name, entry.clone(), at(0), Err(Refused::Mac)),
            ("of another secret", &seal, &name, foreign, at(0), Err(Refused::Mac)),
            ("read with another secret", &other_secret, &name, entry.clone(), at(0), Err(Refused::Mac)),
            ("read by who asks other hosts", &other_ways, &name, entry.clone(), at(0), Err(Refused::Mac)),
            ("of the version before", &seal, &name, version(0), at(0), Err(Refused::Version)),
            ("of the version after", &seal, &name, version(2), at(0), Err(Refused::Version)),
            ("nothing", &seal, &name, Vec::new(), at(0), Err(Refused::Size)),
            ("half a MAC", &seal, &name, entry[..20].to_vec(), at(0), Err(Refused::Size)),
            ("a MAC alone", &seal, &name, entry[..33].to_vec(), at(0), Err(Refused::Mac)),
            ("with more behind it", &seal, &name, [&entry[..], b" "].concat(), at(0), Err(Refused::Mac)),
            ("beyond the limit", &seal, &name, longer, at(0), Err(Refused::Size)),
        ] {
            assert_eq!(seal.open(name, &entry, now), expected, "{what}");
        }
    }

    #[test]
    fn no_byte_can_be_altered() {
        let (_, seal) = keys(SECRET, "").unwrap();
        let name = seal.name(true, "r.io/a:1", ID);
        let entry = seal.close(&name, &success()).unwrap();
        for index in 0..entry.len() {
            for bit in [1, 0x80] {
                let mut altered = entry.clone();
                altered[index] ^= bit;
                assert!(seal.open(&name, &altered, at(0)).is_err(), "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_text_of_another_shape_is_refused_although_its_mac_holds() {
        let (_, seal) = keys(SECRET, "").unwrap();
        for text in [
            "",
            "{}",
            "null",
            r#"{"manifest":{"digest":"latest","kind":"Index"},"at":"2027-01-15T08:00:00Z","by_digest":true}"#,
        ] {
            let tag = mac(&seal.macs, &[&[VERSION], b"name", text.as_bytes()]);
            let entry = [&[VERSION], tag.as_ref(), text.as_bytes()].concat();
            assert_eq!(seal.open("name", &entry, at(0)), Err(Refused::Text), "{text}");
        }
    }

    #[test]
    fn every_part_of_the_place_is_in_the_name_and_none_can_be_read_there() {
        let (identity, seal) = keys(SECRET, "").unwrap();
        let ann = identity.id(Some(&Credential::new("ann", "hunter2")));
        let bob = identity.id(Some(&Credential::new("bob", "hunter2")));
        let names = [
            seal.name(false, "r.io/a:1", ID),
            seal.name(true, "r.io/a:1", ID),
            seal.name(false, "r.io/a:2", ID),
            seal.name(false, "r.io/a:1", ann),
            seal.name(false, "r.io/a:1", bob),
            keys(SECRET, "other").unwrap().1.name(false, "r.io/a:1", ID),
        ];
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert!(names.iter().all(|name| name.starts_with("pullgate:1:") && name.len() == 75 && !name.contains("r.io")));
    }

    #[test]
    fn replicas_with_one_secret_agree_on_credential_ids() {
        let id = |secret: &[u8]| keys(secret, "").unwrap().0.id(Some(&Credential::new("ann", "hunter2")));
        assert_eq!(id(SECRET), id(b"\n thirty-two bytes of a test secret"));
        assert_ne!(id(SECRET), id(b"thirty-two bytes of a test Secret"));
    }

    #[test]
    fn a_short_secret_is_refused_and_nothing_of_a_good_one_prints() {
        let refusal = keys(&[b'x'; 31], "").unwrap_err().to_string();
        assert!(refusal.starts_with("holds 31 bytes, at least 32 are needed"), "{refusal}");
        assert_eq!(format!("{:?}", keys(SECRET, "").unwrap()), "(IdentityKey([redacted]), Seal([redacted]))");
    }
}
