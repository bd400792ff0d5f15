//! What plugins answered, by the keys that they answered for, as long as they said
//! (kubernetes/kubernetes `pkg/credentialprovider/plugin/plugin.go`). The time is handed in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::protocol::Scope;
use crate::credentials::Entries;

/// Answers held for one plugin. Image names are chosen by tenants; the answer that expires first goes first.
const MAX_HELD: usize = 4096;

/// For whom a plugin was asked, where it was asked for a `ServiceAccount`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AccountKey {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// Those that the plugin is given.
    pub(super) annotations: BTreeMap<String, String>,
    /// SHA-256 of the token, for plugins whose answers live no longer than it.
    pub(super) token: Option<[u8; 32]>,
}

/// The answers of one plugin.
#[derive(Debug, Default)]
pub(super) struct Cache {
    held: HashMap<Key, Held>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    reach: Reach,
    account: Option<Arc<AccountKey>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Reach {
    Image(String),
    Registry(String),
    Global,
}

#[derive(Debug)]
struct Held {
    entries: Entries,
    asked: Timestamp,
    until: Timestamp,
}

// === impl Cache ===

impl Cache {
    /// The answer for an image, else the one for its registry, else the one for everything; only one that was asked for
    /// at `not_before` or later, if that is given.
    pub(super) fn get(
        &self,
        image: &str,
        account: Option<&Arc<AccountKey>>,
        now: Timestamp,
        not_before: Option<Timestamp>,
    ) -> Option<Entries> {
        [Scope::Image, Scope::Registry, Scope::Global].into_iter().find_map(|scope| {
            let held = self.held.get(&Key::new(scope, image, account))?;
            let good = now <= held.until && not_before.is_none_or(|not_before| held.asked >= not_before);
            good.then(|| held.entries.clone())
        })
    }

    /// Holds an answer for `lifetime`; zero is not held at all.
    pub(super) fn put(
        &mut self,
        scope: Scope,
        image: &str,
        account: Option<&Arc<AccountKey>>,
        entries: Entries,
        asked: Timestamp,
        (now, lifetime): (Timestamp, SignedDuration),
    ) {
        if lifetime.is_zero() {
            return;
        }
        let until = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
        if self.held.len() >= MAX_HELD {
            self.held.retain(|_, held| now <= held.until);
        }
        if self.held.len() >= MAX_HELD
            && let Some(first) = self.held.iter().min_by_key(|(_, held)| held.until).map(|(key, _)| key.clone())
        {
            self.held.remove(&first);
        }
        self.held.insert(Key::new(scope, image, account), Held { entries, asked, until });
    }
}

// === impl Key ===

impl Key {
    fn new(scope: Scope, image: &str, account: Option<&Arc<AccountKey>>) -> Self {
        let reach = match scope {
            Scope::Image => Reach::Image(image.to_owned()),
            Scope::Registry => Reach::Registry(image.split('/').next().unwrap_or(image).to_owned()),
            Scope::Global => Reach::Global,
        };
        Self { reach, account: account.cloned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{Credential, Keyring, Source};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn entries(username: &str) -> Entries {
        Entries::new(&Source::Plugin("p".into()), [("a.io".to_owned(), Credential::new(username, "p"))])
    }

    fn found(entries: Option<Entries>) -> Option<String> {
        let keyring: Keyring = [entries?].into_iter().collect();
        keyring.matching("a.io/x").first().and_then(|c| c.credential.as_ref()).map(|c| c.username.clone())
    }

    fn put(cache: &mut Cache, scope: Scope, image: &str, username: &str, seconds: i64) {
        cache.put(scope, image, None, entries(username), at(0), (at(0), SignedDuration::from_secs(seconds)));
    }

    #[test]
    fn the_image_comes_before_its_registry_and_that_before_everything() {
        let mut cache = Cache::default();
        let get = |cache: &Cache, image: &str, now| found(cache.get(image, None, at(now), None));
        put(&mut cache, Scope::Global, "a.io/x", "global", 30);
        put(&mut cache, Scope::Registry, "a.io:5000/x/y", "registry", 20);
        put(&mut cache, Scope::Image, "a.io:5000/x/y", "image", 10);
        for (image, now, expected) in [
            ("a.io:5000/x/y", 0, Some("image")),
            ("a.io:5000/x/y", 10, Some("image")),
            ("a.io:5000/x/y", 11, Some("registry")),
            ("a.io:5000/x", 0, Some("registry")),
            ("a.io/x/y", 0, Some("global")),
            ("a.io:5000/x/y", 21, Some("global")),
            ("a.io:5000/x/y", 31, None),
        ] {
            assert_eq!(get(&cache, image, now).as_deref(), expected, "{image} at {now}");
        }
    }

    #[test]
    fn zero_is_not_held_and_a_negative_lifetime_is_over() {
        let mut cache = Cache::default();
        put(&mut cache, Scope::Global, "a.io/x", "zero", 0);
        assert!(cache.held.is_empty());
        put(&mut cache, Scope::Global, "a.io/x", "negative", -1);
        assert!(cache.get("a.io/x", None, at(0), None).is_none());
        put(&mut cache, Scope::Global, "a.io/x", "endless", i64::MAX);
        assert_eq!(found(cache.get("a.io/x", None, at(1 << 33), None)).as_deref(), Some("endless"));
    }

    #[test]
    fn an_answer_from_before_the_review_is_passed_over_when_fresh_ones_are_wanted() {
        let mut cache = Cache::default();
        put(&mut cache, Scope::Image, "a.io/x", "old", 100);
        assert!(cache.get("a.io/x", None, at(1), Some(at(0))).is_some());
        assert!(cache.get("a.io/x", None, at(1), Some(at(1))).is_none());
    }

    #[test]
    fn one_account_is_not_another() {
        let key = |uid: &str, token| {
            Arc::new(AccountKey {
                namespace: "n".to_owned(),
                name: "a".to_owned(),
                uid: uid.to_owned(),
                annotations: BTreeMap::new(),
                token,
            })
        };
        let mut cache = Cache::default();
        let held = key("1", None);
        let lifetime = (at(0), SignedDuration::from_secs(9));
        cache.put(Scope::Global, "a.io/x", Some(&held), entries("u"), at(0), lifetime);
        for (account, expected) in [
            (Some(key("1", None)), true),
            (Some(key("2", None)), false),
            (Some(key("1", Some([0; 32]))), false),
            (None, false),
        ] {
            assert_eq!(cache.get("a.io/x", account.as_ref(), at(0), None).is_some(), expected, "{account:?}");
        }
    }

    #[test]
    fn a_full_cache_lets_go_of_what_expires_first() {
        let mut cache = Cache::default();
        for number in 0..MAX_HELD {
            let lifetime = if number == 7 { 5 } else { 50 };
            put(&mut cache, Scope::Image, &format!("a.io/{number}"), "u", lifetime);
        }
        put(&mut cache, Scope::Image, "a.io/last", "u", 50);
        assert_eq!(cache.held.len(), MAX_HELD);
        assert!(cache.get("a.io/7", None, at(0), None).is_none());
        assert!(cache.get("a.io/last", None, at(0), None).is_some());
    }
}
