//! One reqwest client per [`Profile`]: roots, client certificate, proxy, and the DNS resolver that applies the guard.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::finding::Cause;
use crate::policy::Proxy;
use crate::registry::guard::Guard;
use crate::registry::http::CONNECT_TIMEOUT;
use crate::registry::http::names::{GuardedResolver, Names};
use crate::registry::http::phase;
use crate::registry::http::unverified::AnyServer;
use crate::registry::http::verifier::Verifier;
use crate::registry::transport::{Profile, TransportError};

/// The clients made so far. Profiles come from the configuration, so there are few.
#[derive(Debug)]
pub(super) struct Clients {
    guard: Guard,
    names: Arc<dyn Names>,
    made: Mutex<HashMap<Profile, reqwest::Client>>,
}

// === impl Clients ===

impl Clients {
    pub(super) fn new(guard: Guard, names: Arc<dyn Names>) -> Self {
        Self { guard, names, made: Mutex::default() }
    }

    /// The client of a profile, in which [`Proxy::Environment`] means none. A profile whose files cannot be read fails each time, so that a repaired file is
    /// seen; it never falls back to other trust.
    pub(super) fn get(&self, profile: &Profile) -> Result<reqwest::Client, TransportError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(profile) {
            return Ok(client.clone());
        }
        let client =
            self.build(profile).map_err(|detail| TransportError { cause: Some(Cause::Tls), detail, go: None })?;
        made.insert(profile.clone(), client.clone());
        Ok(client)
    }

    fn build(&self, profile: &Profile) -> Result<reqwest::Client, String> {
        let proxy = match &profile.proxy {
            Proxy::Url(url) => Some(url),
            Proxy::Environment | Proxy::None => None,
        };
        // Behind a proxy the only name that is looked up here is the proxy's.
        let guard = proxy.is_none().then(|| self.guard.clone());
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(profile)?)
            .dns_resolver(Arc::new(GuardedResolver { names: Arc::clone(&self.names), guard }))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("pullgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_mins(1))
            .pool_max_idle_per_host(8)
            .tcp_nodelay(true)
            .http1_max_headers(super::body::MAX_HEADERS)
            .http2_max_header_list_size(super::body::MAX_HEADER_LIST);
        if !profile.headers.0.is_empty() {
            builder = builder.default_headers(headers(profile)?);
        }
        if let Some(proxy) = proxy {
            // The message of a bad proxy URL may repeat a password in it.
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(|_| "the proxy URL is not usable".to_owned())?);
        }
        builder.build().map_err(|error| format!("no HTTP client could be made: {error}"))
    }
}

fn tls(profile: &Profile) -> Result<ClientConfig, String> {
    let mut trusted = match &profile.ca_file {
        Some(file) => authorities("caFile", file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    for file in &profile.more_ca_files {
        trusted.extend(authorities("ca", file)?);
    }
    let builder = ClientConfig::builder;
    let builder = if profile.skip_verify {
        builder().dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new()))
    } else {
        builder().dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(trusted)))
    };
    let pair = match (&profile.client_cert_file, &profile.client_pair) {
        (Some(file), _) => Some(("clientCertFile", file, file)),
        (None, Some((certificate, key))) => Some(("client", certificate, key.as_ref().unwrap_or(certificate))),
        (None, None) => None,
    };
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some((setting, certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("{setting} {}: no private key: {error}", key.display()))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, key)
                .map_err(|error| format!("{setting} {}: {error}", certificate.display()))?
        }
    };
    config.resumption = phase::noted();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Header lines for every request. No sentence repeats a value.
fn headers(profile: &Profile) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &profile.headers.0 {
        if name.eq_ignore_ascii_case("host") {
            continue;
        }
        let unusable = || format!("header {name:?} cannot be sent over HTTP");
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        value.set_sensitive(true);
        headers.append(header, value);
    }
    Ok(headers)
}

/// The certificates of a file, each of which can be trusted.
fn authorities(setting: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = certificates(file)?;
    let mut roots = RootCertStore::empty();
    for certificate in &read {
        roots.add(certificate.clone()).map_err(|error| format!("{setting} {}: {error}", file.display()))?;
    }
    Ok(read)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    if read.is_empty() {
        return Err(format!("{} holds no PEM certificate", file.display()));
    }
    Ok(read)
}
