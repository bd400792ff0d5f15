//! A host's name → the addresses that may be connected to. The guard judges what the lookup gave, and the same addresses
//! are connected to: there is no second lookup that could answer otherwise.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::registry::guard::Guard;
use crate::registry::http::phase::{self, Phase};

/// More addresses than this are not tried: an answer with thousands would make pullgate knock at thousands of doors.
const MAX_ADDRESSES: usize = 16;

/// Looks up the addresses of a name.
pub trait Names: fmt::Debug + Send + Sync + 'static {
    /// Every address of `host`, in the order to try.
    fn look_up(&self, host: String) -> LookingUp;
}

/// What [`Names::look_up`] gives.
pub type LookingUp = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The system's resolver.
#[derive(Debug)]
pub(super) struct SystemNames;

/// A name whose every address the guard refuses.
#[derive(Debug, thiserror::Error)]
#[error("{host} resolves to an address that is refused: {why}")]
pub(super) struct NameRefused {
    host: String,
    why: String,
}

/// A name that does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("{host} does not resolve: {source}")]
pub(super) struct NameUnresolved {
    pub(super) host: String,
    pub(super) source: io::Error,
}

/// What a client asks for addresses.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub(super) names: Arc<dyn Names>,
    /// Absent where the client connects to nothing but a proxy, whose place is the operator's choice.
    pub(super) guard: Option<Guard>,
}

// === impl SystemNames ===

impl Names for SystemNames {
    fn look_up(&self, host: String) -> LookingUp {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

// === impl GuardedResolver ===

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let (looking, guard) = (self.names.look_up(host.clone()), self.guard.clone());
        Box::pin(async move {
            phase::reached(Phase::Lookup);
            let found = match looking.await {
                Ok(found) => found,
                Err(source) => return Err(NameUnresolved { host, source }.into()),
            };
            phase::reached(Phase::Connect);
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found.into_iter().take(MAX_ADDRESSES) {
                match guard.as_ref().map_or(Ok(()), |guard| guard.check(address)) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(why) => refused = Some(why.sentence(&address.to_string())),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(NameRefused { host, why }.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
