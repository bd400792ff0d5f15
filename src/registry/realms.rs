//! Which token server a registry names: the one that took a login is remembered, and another one gets none for as long.
//!
//! A registry that is itself in evil hands can ask for the login without any token server. What this stops is a strange
//! challenge on one path of an honest one: of an upstream that a cache passes on, of a tenant, of a proxy in between.
//! One host name may stand before several registries, each below a path of its own and with its own token server, so
//! what is remembered holds for the repositories below one path.
//! regclient refuses a changed realm for good (regclient/regclient `internal/auth/auth.go`); here a registry that has
//! moved its token server is believed an hour after it last named the old one.

use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use url::Url;

use crate::finding::{Cause, Code};
use crate::reference::Reference;
use crate::registry::Endpoint;
use crate::registry::failure::Failure;
use crate::time::{Clock, since};

/// How long a token server is held to be a registry's only one.
const HELD: Duration = Duration::from_hours(1);

/// The root of a registry's API, and the path that repositories are below: all of a name but its last part.
type Below = (String, String);

/// The token servers that took a login.
#[derive(Debug)]
pub(super) struct Realms {
    clock: Clock,
    held: Cache<Below, (String, Timestamp)>,
}

// === impl Realms ===

impl Realms {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, held: Cache::builder().max_capacity(10_000).time_to_live(HELD).build() }
    }

    /// Whether a login for a repository may go to `realm`: to the registry's own host always, else to the token server
    /// that took the last one for a repository below the same path.
    ///
    /// # Errors
    /// A failure of the guard, with both names.
    pub(super) async fn check(&self, endpoint: &Endpoint, reference: &Reference, realm: &str) -> Result<(), Failure> {
        let Some(named) = Url::parse(realm).ok().filter(|url| !endpoint.is_at(url)).map(|url| origin(&url)) else {
            return Ok(());
        };
        match self.held.get(&below(endpoint, reference)).await {
            Some((held, at)) if held != named && since(at, (self.clock)()) < HELD => {
                let repository = format!("{}/{}", endpoint.host, reference.repository());
                let detail = format!("the token server for {repository} was {held} and is now said to be {named}");
                let why = format!("{detail}; no login is sent there within an hour of such a change");
                Err(Failure::own(Code::NotChecked, Cause::Guard, why))
            }
            _ => Ok(()),
        }
    }

    /// `realm`, which the registry has just named, took a login for a repository. What was named earlier and is only
    /// remembered does not count: a registry that has moved its token server must not be held to the old one by it.
    pub(super) async fn accepted(&self, endpoint: &Endpoint, reference: &Reference, realm: &str) {
        if let Ok(url) = Url::parse(realm) {
            self.held.insert(below(endpoint, reference), (origin(&url), (self.clock)())).await;
        }
    }
}

fn below(endpoint: &Endpoint, reference: &Reference) -> Below {
    let path = reference.repository().rsplit_once('/').map_or("", |(path, _)| path);
    (endpoint.base.clone(), path.to_owned())
}

/// Scheme, host and port; paths and queries may change as they like.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::registry::transport::Profile;

    #[tokio::test]
    async fn a_token_server_that_took_a_login_is_the_only_one_for_an_hour() {
        let now = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = Arc::clone(&now);
        let realms = Realms::new(Clock::new(move || {
            Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
        }));
        let endpoint = |host: &str| Endpoint {
            host: host.to_owned(),
            base: format!("https://{host}/v2"),
            profile: Profile::default(),
            namespace: None,
        };
        let (one, other) = (endpoint("Reg.io:5000"), endpoint("other.io"));
        let named = |name: &str| Reference::parse(&format!("reg.io/{name}")).unwrap();
        let (app, web, deeper) = (named("team/app"), named("team/web"), named("team/deeper/app"));
        let (first, second) = ("https://auth.io/token", "https://evil.example/token");
        assert!(realms.check(&one, &app, second).await.is_ok());
        realms.accepted(&one, &app, first).await;
        for (endpoint, reference, realm) in [
            (&one, &app, "https://auth.io/elsewhere?a=b"),
            (&one, &app, "https://AUTH.io:443/token"),
            (&one, &app, "https://reg.io/token"),
            (&one, &app, "https://REG.io:8443/token"),
            (&one, &deeper, second),
            (&one, &named("app"), second),
            (&other, &app, second),
        ] {
            assert!(realms.check(endpoint, reference, realm).await.is_ok(), "{realm} {reference:?}");
        }
        for realm in [second, "https://auth.io:8443/token", "http://auth.io/token", "https://reg.io.evil.example/token"]
        {
            for reference in [&app, &web] {
                let failure = realms.check(&one, reference, realm).await.unwrap_err();
                assert_eq!((failure.code, failure.cause), (Code::NotChecked, Some(Cause::Guard)), "{realm}");
            }
        }
        now.fetch_add(3_599, Ordering::SeqCst);
        assert!(realms.check(&one, &app, second).await.is_err());
        now.fetch_add(1, Ordering::SeqCst);
        assert!(realms.check(&one, &app, second).await.is_ok());
    }
}
