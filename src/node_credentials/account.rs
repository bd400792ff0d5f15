//! What a plugin with `tokenAttributes` is given of a `ServiceAccount`. Implemented outside; without an implementation
//! no such plugin is called.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::cache::AccountKey;
use super::declaration::{TokenAttributes, TokenCache};
use super::unusable::Unusable;
use crate::cluster::{ReadFuture, Reading};

/// Whose pod the image is for. An empty name: a pod without a `ServiceAccount`, which only a static pod is.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The namespace of the request.
    pub namespace: &'a str,
    /// `serviceAccountName`; for a template without one it is `default`.
    pub name: &'a str,
}

/// What of a `ServiceAccount` matters to plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFacts {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
}

/// Makes tokens of `ServiceAccounts`. Whoever may do this may act as any workload of the cluster.
pub trait AccountTokens: fmt::Debug + Send + Sync + 'static {
    /// One `ServiceAccount`. With `not_before` the answer was read at that time or later.
    fn account<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, AccountFacts>;

    /// A token for one audience and for the account with this uid, from `serviceaccounts/token`. A kubelet binds it to
    /// the pod; here there is no pod yet. An implementation may hold tokens: with `cacheType: Token` a new one is a new
    /// call.
    fn token<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        uid: &'a str,
        audience: &'a str,
    ) -> ReadFuture<'a, SecretString>;
}

/// The account that a plugin is called for.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<AccountKey>,
    audience: String,
    tokens: Arc<dyn AccountTokens>,
    /// Made already where the key depends on it.
    token: Option<SecretString>,
    /// Whether the plugin may answer with the token.
    pub(super) may_echo: bool,
}

/// Reads the account that a plugin wants; `None`: the plugin is not for this account, which is no failure.
///
/// # Errors
/// What the kubelet would log: the account is not there or not to be read, or there is no token.
pub(super) async fn identity(
    tokens: Option<&Arc<dyn AccountTokens>>,
    attributes: &TokenAttributes,
    account: Account<'_>,
    not_before: Option<Timestamp>,
) -> Result<Option<Identity>, Unusable> {
    let Account { namespace, name } = account;
    let tokens = tokens.ok_or(Unusable::TokensOff)?;
    let facts = found(tokens.account(namespace, name, not_before).await, || format!("ServiceAccount \"{name}\""))?;
    let mut annotations = BTreeMap::new();
    for key in &attributes.required_annotations {
        let Some(value) = facts.annotations.get(key) else {
            return Ok(None);
        };
        annotations.insert(key.clone(), value.clone());
    }
    for key in &attributes.optional_annotations {
        if let Some(value) = facts.annotations.get(key) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    let by_token = attributes.cache == TokenCache::Token;
    let mut key =
        AccountKey { namespace: namespace.to_owned(), name: name.to_owned(), uid: facts.uid, annotations, token: None };
    let token = if by_token { Some(make(tokens.as_ref(), &key, &attributes.audience).await?) } else { None };
    key.token = token.as_ref().map(hash);
    Ok(Some(Identity {
        key: Arc::new(key),
        audience: attributes.audience.clone(),
        tokens: Arc::clone(tokens),
        token,
        may_echo: by_token,
    }))
}

async fn make(tokens: &dyn AccountTokens, key: &AccountKey, audience: &str) -> Result<SecretString, Unusable> {
    let AccountKey { namespace, name, uid, .. } = key;
    found(tokens.token(namespace, name, uid, audience).await, || format!("the token of ServiceAccount \"{name}\""))
}

fn found<T>(reading: Reading<T>, what: impl Fn() -> String) -> Result<T, Unusable> {
    match reading {
        Reading::Found(found) => Ok(found),
        Reading::Absent => Err(Unusable::Account(format!("{} is not there", what()))),
        Reading::Forbidden => Err(Unusable::Account(format!("pullgate may not have {}", what()))),
        Reading::Unauthenticated => Err(Unusable::Account(format!(
            "{} could not be had: the API server does not accept the login (401)",
            what()
        ))),
        Reading::NoCluster => Err(Unusable::Account(format!("{} could not be had: no cluster was given", what()))),
        Reading::Unavailable(why) => Err(Unusable::Account(format!("{} could not be had: {why}", what()))),
    }
}

fn hash(token: &SecretString) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, token.expose_secret().as_bytes()).as_ref()) {
        *to = *from;
    }
    hash
}

// === impl Identity ===

impl Identity {
    /// The token to call with.
    pub(super) async fn token(&self) -> Result<SecretString, Unusable> {
        match &self.token {
            Some(token) => Ok(token.clone()),
            None => make(self.tokens.as_ref(), &self.key, &self.audience).await,
        }
    }
}
