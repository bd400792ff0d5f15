//! What the registry was asked, in order of arrival: one entry per request, with the answer's status once it is known.
//! Secrets never enter: no query but `ns`, no header value but `Accept`, no body.

use std::collections::VecDeque;

use hyper::Method;
use tokio::time::Instant;

/// Older entries make room for newer ones beyond this many, so that a benchmark cannot fill the memory.
const KEPT: usize = 100_000;

/// Which part of the distribution API a request addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `/v2/`
    Ping,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/<name>/blobs/<digest>`
    Blob,
    /// `/v2/<name>/tags/list`
    Tags,
    /// The token service.
    Token,
    /// Anything else.
    Other,
}

/// One request as the registry saw it.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// The request method.
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// Which part of the API the path belongs to.
    pub kind: Kind,
    /// The repository that the path names.
    pub repository: Option<String>,
    /// The registry that a mirror is asked for, from `?ns=`.
    pub namespace: Option<String>,
    /// The scopes that a token request asked for.
    pub scopes: Vec<String>,
    /// The `Accept` header lines, joined with `, `.
    pub accept: String,
    /// Whether a login of any kind came along: an `Authorization` header, or a password or token in a form.
    pub sent_login: bool,
    /// Whether that login was accepted as such, whatever it may then pull.
    pub authorised: bool,
    /// The user it belongs to; `None` for nobody and for an anonymous token.
    pub as_user: Option<String>,
    /// The answer's status; `None` while unanswered and for a connection that was dropped.
    pub status: Option<u16>,
    /// When the request arrived.
    pub at: Instant,
}

/// The log, bounded.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<LoggedRequest>,
    /// The number of the first entry held.
    first: u64,
}

// === impl Log ===

impl Log {
    /// Keeps `entry` and gives it a number for [`Log::answered`].
    pub(super) fn arrived(&mut self, entry: LoggedRequest) -> u64 {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(entry);
        self.first + self.entries.len() as u64 - 1
    }

    /// Notes the status of an entry, if it is still held.
    pub(super) fn answered(&mut self, number: u64, status: u16) {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            entry.status = Some(status);
        }
    }

    pub(super) fn entries(&self) -> Vec<LoggedRequest> {
        self.entries.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}
