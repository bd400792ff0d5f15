//! pullgate's own serving certificates: what texts of certificates say, what has to be done next, and new ones.
//!
//! `read`, `seen` and `plan` are pure: what was read from the cluster and the time go in, a plan comes out. Only `mint` makes
//! something new.

pub mod mint;
pub mod plan;
pub mod read;
pub mod seen;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Keys of the Secrets, and of the files that they are mounted as.
pub mod keys {
    /// The authority that signs, PEM.
    pub const CA_CRT: &str = "ca.crt";
    /// Its key, PEM.
    pub const CA_KEY: &str = "ca.key";
    /// An authority that API servers are still to learn.
    pub const NEXT_CRT: &str = "next.crt";
    /// Its key.
    pub const NEXT_KEY: &str = "next.key";
    /// Authorities without a key here that replicas may still be served by.
    pub const PREVIOUS_CRT: &str = "previous.crt";
    /// The serving certificate, PEM.
    pub const TLS_CRT: &str = "tls.crt";
    /// Its key.
    pub const TLS_KEY: &str = "tls.key";
    /// The path segment by which API servers are known.
    pub const PATH: &str = "path";
}

/// The one crypto provider of the program.
pub fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// The name by which API servers call a webhook behind a Service, which its certificate must be for.
pub fn service_name(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc")
}

#[cfg(test)]
mod tests;
