//! A container registry for `pullgate demo` and the hermetic tests: real HTTP/1.1 over TLS on loopback, with logins,
//! repositories and faults that change at run time, and a log of what it was asked.
//!
//! ```text
//! listener ─▶ path ─▶ accounts ─▶ contents ─▶ faults ─▶ distort ─▶ listener
//!                └──▶ log
//! ```

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

mod accounts;
mod answers;
mod auth;
mod authority;
mod contents;
mod distort;
mod faults;
mod listener;
mod log;
mod path;
#[cfg(test)]
mod tests;

pub use auth::{Access, Bearer, ChallengeForm, Login, NoAccess, Realm, TokenFields, WrongPassword};
pub use authority::{Authority, Certificate, LOOPBACK_NAMES, ServingCertificate};
pub use contents::{OCI_INDEX, OCI_MANIFEST};
pub use faults::{Answer, Behaviour, Close, Target};
pub use listener::Accepting;
pub use log::{Kind, LoggedRequest};

use answers::Service;
use listener::{AcceptSwitch, Listener};

/// What a registry is like when it starts.
#[derive(Clone, Debug)]
pub struct RegistrySpec {
    /// Who signs the serving certificate; `None`: plain HTTP.
    pub authority: Option<Arc<Authority>>,
    /// What is wrong with the certificate, if anything.
    pub certificate: Certificate,
    /// The address to listen on, loopback unless a test means otherwise. The port is chosen by the system.
    pub address: IpAddr,
    /// How clients log in.
    pub login: Login,
    /// What holds for any login.
    pub access: Access,
    /// The error code for a repository that is not there.
    pub missing_repository: MissingRepository,
    /// Added to every request.
    pub latency: Duration,
}

/// The error code for a repository that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingRepository {
    /// `NAME_UNKNOWN`, as the specification says.
    #[default]
    NameUnknown,
    /// `MANIFEST_UNKNOWN`, as the reference implementation answers.
    ManifestUnknown,
}

/// A running registry. Dropping it closes its ports and connections.
pub struct Registry {
    service: Service,
    switch: Arc<AcceptSwitch>,
    tls: Option<TlsAcceptor>,
    ca_pem: String,
    /// The registry's address, then the token service's, if that has one of its own.
    addresses: Vec<SocketAddr>,
    listeners: Mutex<Vec<Listener>>,
}

// === impl RegistrySpec ===

impl RegistrySpec {
    /// HTTPS with certificates of `authority`, everything public.
    pub fn https(authority: &Arc<Authority>) -> Self {
        Self { authority: Some(authority.clone()), ..Self::plain() }
    }

    /// Plain HTTP, everything public.
    pub fn plain() -> Self {
        Self {
            authority: None,
            certificate: Certificate::Valid,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            login: Login::None,
            access: Access::default(),
            missing_repository: MissingRepository::NameUnknown,
            latency: Duration::ZERO,
        }
    }

    /// With this login.
    #[must_use]
    pub fn login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    /// With these rules for every login.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }
}

// === impl Registry ===

impl Registry {
    /// Opens the port, and a second one if the login wants a token service of its own. Serves when it returns.
    pub async fn start(spec: RegistrySpec) -> io::Result<Self> {
        let RegistrySpec { authority, certificate, address, login, access, missing_repository, latency } = spec;
        let tls = match &authority {
            Some(authority) => Some(TlsAcceptor::from(Arc::new(authority.server_config(certificate)?))),
            None => None,
        };
        let own_port = matches!(&login, Login::Bearer(Bearer { realm: Realm::OwnPort, .. }));
        let registry = Self {
            service: Service::default(),
            switch: Arc::default(),
            ca_pem: authority.map(|authority| authority.pem().to_owned()).unwrap_or_default(),
            tls,
            addresses: Vec::new(),
            listeners: Mutex::default(),
        };
        let mut listeners = Vec::new();
        for _ in 0..=usize::from(own_port) {
            listeners.push(registry.listen(SocketAddr::new(address, 0)).await?);
        }
        let addresses: Vec<_> = listeners.iter().map(Listener::address).collect();
        let scheme = if registry.tls.is_some() { "https" } else { "http" };
        let mut origins = addresses.iter().map(|address| format!("{scheme}://{address}"));
        {
            let mut state = registry.service.state();
            (state.login, state.access, state.latency) = (login, access, latency);
            state.missing_repository = missing_repository;
            state.origin = origins.next().unwrap_or_default();
            state.token_origin = origins.next();
        }
        Ok(Self { addresses, listeners: Mutex::new(listeners), ..registry })
    }

    async fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        Listener::bind(address, self.tls.clone(), self.switch.clone(), self.service.clone()).await
    }

    /// Closes the ports and every connection; contents, users and log stay.
    pub async fn stop(&self) {
        let listeners = std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        for listener in listeners {
            listener.close().await;
        }
    }

    /// Opens the same ports again after [`Registry::stop`]; fails if another program took one meanwhile.
    pub async fn resume(&self) -> io::Result<()> {
        self.stop().await;
        let mut listeners = Vec::new();
        for address in &self.addresses {
            listeners.push(self.listen(*address).await?);
        }
        *self.listeners.lock().unwrap_or_else(PoisonError::into_inner) = listeners;
        Ok(())
    }

    /// `address:port`, as it stands at the front of an image reference.
    pub fn host(&self) -> String {
        self.addresses.first().map(ToString::to_string).unwrap_or_default()
    }

    /// `address:port` of the token service, if it has a port of its own.
    pub fn token_host(&self) -> Option<String> {
        self.addresses.get(1).map(ToString::to_string)
    }

    /// The root certificate that clients must trust; empty with plain HTTP.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Puts an image for `linux/amd64` under `repository:tag` and returns its digest.
    pub fn push(&self, repository: &str, tag: &str) -> String {
        self.push_for(repository, tag, "linux/amd64")
    }

    /// Puts a single image for `platform` (`os/architecture[/variant]`) under `repository:tag`.
    pub fn push_for(&self, repository: &str, tag: &str, platform: &str) -> String {
        let contents = &mut self.service.state().contents;
        let digest = contents.push_image(repository, tag, platform).digest;
        contents.tag(repository, tag, &digest);
        digest
    }

    /// Puts an image for `linux/amd64` that was built `at` a time (RFC 3339) under `repository:tag`, inside an index beside
    /// an attestation where `index` says so.
    pub fn push_built(&self, repository: &str, tag: &str, at: &str, index: bool) {
        let contents = &mut self.service.state().contents;
        let mut manifest = contents.push_built(repository, tag, "linux/amd64", Some(at));
        if index {
            manifest = contents.push_attested(repository, &manifest);
        }
        contents.tag(repository, tag, &manifest.digest);
    }

    /// Puts an index with an image for each platform under `repository:tag` and returns the index's digest.
    pub fn push_index(&self, repository: &str, tag: &str, platforms: &[&str]) -> String {
        let contents = &mut self.service.state().contents;
        let digest = contents.push_index(repository, tag, platforms).digest;
        contents.tag(repository, tag, &digest);
        digest
    }

    /// Puts these bytes under `repository:tag`, whatever they are, and returns their digest.
    pub fn push_raw(&self, repository: &str, tag: &str, media_type: &str, bytes: impl Into<Bytes>) -> String {
        let contents = &mut self.service.state().contents;
        let digest = contents.push_raw(repository, media_type, bytes.into()).digest;
        contents.tag(repository, tag, &digest);
        digest
    }

    /// Puts a blob into a repository and returns its digest.
    pub fn push_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        self.service.state().contents.push_blob(repository, bytes.into())
    }

    /// Moves `repository:tag` to `digest`, creating what is missing. An unknown digest makes a dangling tag.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.service.state().contents.tag(repository, tag, digest);
    }

    /// Takes the tag away; its manifest stays reachable by digest.
    pub fn remove_tag(&self, repository: &str, tag: &str) {
        self.service.state().contents.remove_tag(repository, tag);
    }

    /// Takes a manifest away; tags that point to it dangle.
    pub fn remove_manifest(&self, repository: &str, digest: &str) {
        self.service.state().contents.remove_manifest(repository, digest);
    }

    /// Takes the repository and everything in it away.
    pub fn remove_repository(&self, repository: &str) {
        self.service.state().contents.remove_repository(repository);
    }

    /// Lets only `users` pull `prefix` and the repositories under it. The longest prefix decides; [`Login::None`] asks
    /// nobody.
    pub fn private(&self, prefix: &str, users: &[&str]) {
        self.service.state().accounts.set_private(prefix, users);
    }

    /// Undoes [`Registry::private`] for the same prefix.
    pub fn public(&self, prefix: &str) {
        self.service.state().accounts.set_public(prefix);
    }

    /// Creates `user` or changes its password; a login that had expired is good again.
    pub fn set_password(&self, user: &str, password: impl Into<SecretString>) {
        self.service.state().accounts.set_password(user, password.into());
    }

    /// Lets `user` log in with an identity token (`grant_type=refresh_token`).
    pub fn set_identity_token(&self, user: &str, token: impl Into<SecretString>) {
        self.service.state().accounts.set_identity_token(user, token.into());
    }

    /// Ends the login of `user`: Basic answers 403 in ECR's words, a token service as for a wrong password.
    pub fn expire_login(&self, user: &str) {
        self.service.state().accounts.expire_login(user);
    }

    /// Removes `user`; its login is wrong from now on, tokens already issued stay good.
    pub fn remove_user(&self, user: &str) {
        self.service.state().accounts.remove_user(user);
    }

    /// Issues a token of one hour for `repository`, for clients that bring one along (`registrytoken`).
    pub fn issue_token(&self, user: &str, repository: &str) -> SecretString {
        let granted = [repository.to_owned()].into();
        let expires = Instant::now() + Duration::from_hours(1);
        self.service.state().accounts.issue(Some(user), granted, expires).into()
    }

    /// Makes every token issued so far invalid.
    pub fn revoke_tokens(&self) {
        self.service.state().accounts.revoke_tokens();
    }

    /// Changes how clients log in. [`Realm::OwnPort`] needs a registry that was started with it.
    pub fn set_login(&self, login: Login) {
        self.service.state().login = login;
    }

    /// Changes the rules that hold for any login.
    pub fn set_access(&self, access: Access) {
        self.service.state().access = access;
    }

    /// Changes the delay that is added to every request.
    pub fn set_latency(&self, latency: Duration) {
        self.service.state().latency = latency;
    }

    /// Changes what happens to new connections.
    pub fn set_accepting(&self, accepting: Accepting) {
        self.switch.set(accepting);
    }

    /// Answers the requests of `target` this way; `None` takes every rule for the same requests away.
    pub fn behave(&self, target: impl Into<Target>, behaviour: impl Into<Option<Behaviour>>) {
        let (target, rules) = (target.into(), &mut self.service.state().rules);
        match behaviour.into() {
            Some(behaviour) => rules.set(target, behaviour),
            None => rules.reset(&target),
        }
    }

    /// Every request so far, in order of arrival (the last 100,000).
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.service.state().log.entries()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.service.state().log.clear();
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
