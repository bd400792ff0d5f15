//! What a request carries, and what follows from the registry's answer to it.

use std::sync::Arc;

use secrecy::SecretString;

use super::TokenKeyRef;
use crate::finding::Code;
use crate::registry::failure::{Failure, Presented};
use crate::registry::logins::{Permit, Settled};

/// What a request carries.
#[derive(Debug)]
pub(in crate::registry) enum Authorization<'a> {
    None,
    Bearer {
        token: Arc<SecretString>,
        key: Box<TokenKeyRef>,
        /// It was fetched for an earlier request, and longer than a moment ago.
        cached: bool,
        out_of_order: bool,
        login: bool,
    },
    Basic {
        header: SecretString,
        permit: Permit<'a>,
    },
}

// === impl Authorization ===

impl Authorization<'_> {
    /// The `Authorization` header.
    pub(in crate::registry) fn header(&self) -> Option<SecretString> {
        match self {
            Self::None => None,
            Self::Bearer { token, .. } => Some((**token).clone()),
            Self::Basic { header, .. } => Some(header.clone()),
        }
    }

    /// What the registry is shown.
    pub(in crate::registry) fn presented(&self) -> Presented {
        match self {
            Self::None | Self::Bearer { login: false, .. } => Presented::Nobody,
            Self::Bearer { login: true, .. } => Presented::Token,
            Self::Basic { .. } => Presented::Basic,
        }
    }

    pub(in crate::registry) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Something else is presented in its place: a Basic login was refused, but nothing says that it is wrong.
    pub(in crate::registry) fn unsettled(self, failed: usize) {
        if let Self::Basic { permit, .. } = self {
            permit.unsettled(failed);
        }
    }

    /// The registry took the login.
    pub(in crate::registry) async fn accepted(self) {
        if let Self::Basic { permit, .. } = self {
            permit.accepted().await;
        }
    }

    /// The registry refused what was presented: the same once more, if there may be `more`, or what that comes to. A
    /// refusal of another code than a rejected login is one of a login that a token server took.
    pub(in crate::registry) async fn refused(self, failure: Failure, more: bool) -> Result<Self, Failure> {
        let Self::Basic { header, permit } = self else { return Err(failure) };
        let permit = if more { permit } else { permit.without_repetition() };
        let settled = if failure.code == Code::CredentialsRejected {
            permit.refused(failure, 1, 1).await
        } else {
            permit.set_aside(failure).await
        };
        match settled {
            Settled::Again(permit) => Ok(Self::Basic { header, permit }),
            Settled::Over(failure) => Err(failure),
        }
    }
}
