//! The second word of a code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The second word of a code that has several origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The host name did not resolve.
    Dns,
    /// The connection was refused or reset.
    Refused,
    /// Connect, handshake or first byte took too long.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// The configured proxy did not carry the request.
    Proxy,
    /// The review's deadline came first.
    Deadline,
    /// pullgate is at its own concurrency limit.
    Overload,
    /// The address or redirect is refused by the outbound guard.
    Guard,
    /// A size, count or failed-login limit of pullgate's own.
    Limit,
    /// The cluster does not let pullgate read what it needs.
    Forbidden,
    /// A credential provider plugin that nodes have did not answer.
    Plugin,
    /// Docker schema 1, which some runtimes still take.
    Schema1,
    /// HEAD announces another length than the manifest has.
    Length,
    /// The media type of the manifest is not written as every runtime reads it.
    MediaType,
}

// === impl Cause ===

impl Cause {
    /// The stable word, also the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Deadline => "deadline",
            Self::Overload => "overload",
            Self::Guard => "guard",
            Self::Limit => "limit",
            Self::Forbidden => "forbidden",
            Self::Plugin => "plugin",
            Self::Schema1 => "schema1",
            Self::Length => "length",
            Self::MediaType => "mediatype",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
