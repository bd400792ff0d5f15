//! Why a part of the node's credentials is not known. The sentences are shown and logged, so they are made of words of
//! ours and of declared names: nothing that a plugin printed is in them.

use std::io;

use super::exec;
use crate::credentials::Source;

/// A part of the node's credentials that could not be had. A node may hold a login there, so that a refusal is
/// uncertain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {why}")]
pub struct Broken {
    /// The plugin, or the docker configuration file.
    pub part: Source,
    /// What went wrong.
    pub why: Unusable,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It wants a `ServiceAccount` token, and pullgate makes none.
    #[error("it wants a ServiceAccount token, and pullgate is not allowed to make one")]
    TokensOff,
    /// The `ServiceAccount` could not be read, or its token could not be made; which, and why.
    #[error("{0}")]
    Account(String),
    /// The binary, or the interpreter that it names, is not there.
    #[error("its binary is not in the directory of plugins")]
    Missing,
    /// The binary is there and does not start.
    #[error("its binary cannot be started ({0})")]
    NotStarted(io::ErrorKind),
    /// Its pipes broke.
    #[error("it cannot be talked to ({0})")]
    Pipe(io::ErrorKind),
    /// The review could not wait any longer. The call goes on, and its answer is held for the next review.
    #[error("it did not answer before the deadline of the review")]
    Deadline,
    /// The kubelet's limit for one call.
    #[error("it did not end within {}s and was killed", .0.as_secs_f32())]
    Timeout(std::time::Duration),
    /// Too many calls are under way.
    #[error("too many of its calls are under way")]
    Overload,
    /// It ended with a status other than zero.
    #[error("it ended with status {0}")]
    Exit(i32),
    /// It was ended by a signal.
    #[error("it was ended by signal {0}")]
    Signal(i32),
    /// It wrote more than anybody wants to keep.
    #[error("it wrote more than {} bytes", exec::MAX_OUTPUT)]
    TooMuch,
    /// What it wrote is not the JSON of a response; where.
    #[error("its answer is not a CredentialProviderResponse (line {line}, column {column})")]
    Malformed {
        /// From 1; 0 if the answer is empty.
        line: usize,
        /// From 1; 0 if the answer is empty.
        column: usize,
    },
    /// The response has another version than the request.
    #[error("its answer does not have the apiVersion of the request, {0}")]
    OtherVersion(&'static str),
    /// The response is no `CredentialProviderResponse`.
    #[error("its answer is not of kind CredentialProviderResponse")]
    OtherKind,
    /// Neither `Image` nor `Registry` nor `Global`.
    #[error("its answer has no valid cacheKeyType: Image, Registry or Global")]
    CacheKeyType,
    /// The `ServiceAccount` token came back as a password, and its cache type is not `Token`.
    #[error("it answered with the ServiceAccount token itself, which needs cacheType: Token")]
    TokenEchoed,
    /// The docker configuration file cannot be used; why.
    #[error("{0}")]
    ConfigFile(String),
    /// pullgate's own failure.
    #[error("pullgate failed while it called")]
    Failed,
}

// === impl Unusable ===

impl Unusable {
    /// The label of the metric.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::TokensOff => "tokens_off",
            Self::Account(_) => "account",
            Self::Missing => "missing",
            Self::NotStarted(_) => "not_started",
            Self::Pipe(_) => "pipe",
            Self::Deadline => "deadline",
            Self::Timeout(_) => "timeout",
            Self::Overload => "overload",
            Self::Exit(_) => "exit",
            Self::Signal(_) => "signal",
            Self::TooMuch => "too_much",
            Self::Malformed { .. } | Self::OtherKind => "malformed",
            Self::OtherVersion(_) => "other_version",
            Self::CacheKeyType => "cache_key_type",
            Self::TokenEchoed => "token_echoed",
            Self::ConfigFile(_) => "config_file",
            Self::Failed => "failed",
        }
    }
}
