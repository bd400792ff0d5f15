//! What a request waits for, told by those who do it: the resolver, the TLS session store, the verifier of certificates
//! and the reader of answers. A request that got nothing can say what it got nothing of.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls_pki_types::ServerName;

/// Sessions kept for one client, as many as rustls keeps by itself.
const SESSIONS: usize = 256;

tokio::task_local! {
    static WAIT: RefCell<Wait>;
}

/// What a request waits for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// `host[:port]` of the request, or of where it was redirected to.
    pub(super) host: String,
    /// Which part.
    pub(super) phase: Phase,
}

/// The parts of an exchange, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Not known: an address is not looked up, and a connection that is kept shows no steps.
    Start,
    /// The addresses of the name.
    Lookup,
    /// The answer to the first packet.
    Connect,
    /// The handshake on a connection that is there.
    Tls,
    /// The first byte of the answer.
    Answer,
    /// The rest of it.
    Body,
}

/// rustls's own store. The hint is read when a handshake begins, on a connection that stands.
#[derive(Debug)]
struct Sessions(ClientSessionMemoryCache);

/// Runs one exchange, which waits for `host` at first.
pub(super) async fn watched<F: Future>(host: String, exchange: F) -> F::Output {
    WAIT.scope(RefCell::new(Wait { host, phase: Phase::Start }), exchange).await
}

/// The same exchange goes on with another request.
pub(super) fn asks(host: String) {
    _ = WAIT.try_with(|wait| *wait.borrow_mut() = Wait { host, phase: Phase::Start });
}

/// Notes how far the request of this task has come. A connection that is made for nobody in particular notes nothing.
pub(super) fn reached(phase: Phase) {
    _ = WAIT.try_with(|wait| wait.borrow_mut().phase = phase);
}

/// What the request of this task waits for.
pub(super) fn now() -> Option<Wait> {
    WAIT.try_with(|wait| wait.borrow().clone()).ok()
}

/// A store of sessions that notes when handshakes begin.
pub(super) fn noted() -> Resumption {
    Resumption::store(Arc::new(Sessions(ClientSessionMemoryCache::new(SESSIONS))))
}

// === impl Sessions ===

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        reached(Phase::Tls);
        self.0.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.0.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server_name)
    }
}
