//! Which token server a registry names: the one that took a login is remembered, and another one gets none for as long.
//!
//! A registry that is itself in evil hands can ask for the login without any token server. What this stops is a strange
//! challenge on one path of an honest one: of an upstream that a cache passes on, of a tenant, of a proxy in between.
//! regclient refuses a changed realm for good (regclient/regclient `internal/auth/auth.go`); here a registry that has
//! moved its token server is believed an hour after it last named the old one.

use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use url::Url;

use crate::finding::{Cause, Code};
use crate::registry::Endpoint;
use crate::registry::failure::Failure;
use crate::registry::host_port::HostPort;
use crate::time::{Clock, since};

/// How long a token server is held to be a registry's only one.
const HELD: Duration = Duration::from_hours(1);

/// The token servers that took a login, by the root of the registry's API.
#[derive(Debug)]
pub(super) struct Realms {
    clock: Clock,
    held: Cache<String, (String, Timestamp)>,
}

// === impl Realms ===

impl Realms {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, held: Cache::builder().max_capacity(10_000).time_to_live(HELD).build() }
    }

    /// Whether a login for `endpoint` may go to `realm`: to the registry's own host always, else to the token server that
    /// took the last one.
    ///
    /// # Errors
    /// A failure of the guard, with both names.
    pub(super) async fn check(&self, endpoint: &Endpoint, realm: &str) -> Result<(), Failure> {
        let Some(named) = origin(realm).filter(|_| !is_own(endpoint, realm)) else {
            return Ok(());
        };
        match self.held.get(&endpoint.base).await {
            Some((held, at)) if held != named && since(at, (self.clock)()) < HELD => {
                let host = &endpoint.host;
                let detail = format!("the token server of {host} was {held} and is now said to be {named}");
                let why = format!("{detail}; no login is sent there within an hour of such a change");
                Err(Failure::own(Code::NotChecked, Cause::Guard, why))
            }
            _ => Ok(()),
        }
    }

    /// `realm`, which the registry has just named, took a login for `endpoint`. What was named earlier and is only
    /// remembered does not count: a registry that has moved its token server must not be held to the old one by it.
    pub(super) async fn accepted(&self, endpoint: &Endpoint, realm: &str) {
        if let Some(named) = origin(realm) {
            self.held.insert(endpoint.base.clone(), (named, (self.clock)())).await;
        }
    }
}

/// Scheme, host and port; paths and queries may change as they like.
fn origin(realm: &str) -> Option<String> {
    Url::parse(realm).ok().map(|url| url.origin().ascii_serialization())
}

fn is_own(endpoint: &Endpoint, realm: &str) -> bool {
    let named = Url::parse(realm).ok().and_then(|url| HostPort::of(&url)).map(|named| named.host);
    named.is_some() && named == HostPort::parse(endpoint.api_host()).map(|own| own.host)
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
        let (one, other) = (endpoint("reg.io:5000"), endpoint("other.io"));
        let (first, second) = ("https://auth.io/token", "https://evil.example/token");
        assert!(realms.check(&one, second).await.is_ok());
        realms.accepted(&one, first).await;
        assert!(realms.check(&one, "https://auth.io/elsewhere?a=b").await.is_ok());
        assert!(realms.check(&one, "https://reg.io/token").await.is_ok());
        assert!(realms.check(&other, second).await.is_ok());
        for realm in [second, "https://auth.io:8443/token", "http://auth.io/token"] {
            let failure = realms.check(&one, realm).await.unwrap_err();
            assert_eq!((failure.code, failure.cause), (Code::NotChecked, Some(Cause::Guard)), "{realm}");
        }
        now.fetch_add(3_599, Ordering::SeqCst);
        assert!(realms.check(&one, second).await.is_err());
        now.fetch_add(1, Ordering::SeqCst);
        assert!(realms.check(&one, second).await.is_ok());
    }
}
