//! An address → answered HTTPS requests: accept, TLS, HTTP/1.1, a router, and an end without lost answers.
//!
//! Knows nothing of admission. Whoever calls gives the router; every limit on what a client may take (connections,
//! bytes, time) is kept here, because the API server is not the only one that can reach the port.

use std::net::SocketAddr;
use std::time::Duration;

pub mod admin;
pub mod body;
mod clients;
mod listener;
pub mod reload;
mod room;
pub mod shutdown;
mod stream;
pub mod tls;

pub use self::admin::Readiness;
pub use self::body::{BodyError, InFlight};
pub use self::clients::{Authenticated, ClientAuthority};
pub use self::listener::{Bound, bind};
pub use self::room::Proven;
pub use self::tls::{Certificate, TlsError, TlsFiles, server_config, server_config_with};

/// What one server grants its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. One more takes the place of the oldest that nobody has proven to be an API server's; where there
    /// is none, it waits.
    pub max_connections: usize,
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its head.
    pub header_timeout: Duration,
    /// For the whole body of a request; kept by [`body::read`].
    pub request_body_timeout: Duration,
    /// How long a client may leave a response unread.
    pub write_timeout: Duration,
    /// How long a connection may wait for its next request. Longer than the 90 s after which an API server drops an idle
    /// connection itself (kubernetes/kubernetes, `apimachinery/pkg/util/net/http.go`): when the server closes first, it
    /// may close on a request that is already on its way.
    pub idle_timeout: Duration,
    /// After this time, and up to a quarter more, the answer to the next request ends its connection, so that callers find
    /// replicas that came later.
    pub max_age: Duration,
    /// Bytes of a request's head.
    pub max_header_bytes: usize,
    /// How long to keep serving, telling clients to go elsewhere, between the wish to stop and the closing of the port.
    /// Pods learn of a removed endpoint late; readiness should be false by then.
    pub shutdown_delay: Duration,
    /// How long requests that have begun may take to end after the port is closed.
    pub drain: Duration,
}

/// Why a port was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, not ours, or not allowed.
    #[error("{flag} {address}: cannot listen: {reason}; choose another address or stop what holds this one")]
    Listen {
        /// The flag that named the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(10),
            request_body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
            max_age: Duration::from_mins(10),
            max_header_bytes: 64 * 1024,
            shutdown_delay: Duration::from_secs(5),
            drain: Duration::from_secs(25),
        }
    }
}

#[cfg(test)]
mod tests;
