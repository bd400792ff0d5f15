//! `ServiceAccount` tokens for credential provider plugins, by `TokenRequest` (kubernetes/api `authentication/v1`).

use std::sync::Arc;
use std::time::Duration;

use ::kube::api::PostParams;
use ::kube::{Api, Client};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use moka::future::Cache;
use secrecy::SecretString;
use tokio::time::timeout;

use crate::cluster::kube::{CALL, reading};
use crate::cluster::{ReadFuture, Reading};
use crate::node_credentials::{AccountFacts, AccountTokens};
use crate::time::{Clock, since};

/// The shortest that an API server grants.
const LIFETIME: Duration = Duration::from_mins(10);

/// How long a token is given out again: a plugin that gets it last still has some minutes.
const HELD: Duration = Duration::from_mins(5);

/// Tokens held at most.
const MAX_TOKENS: u64 = 10_000;

/// Makes tokens with the rights of the client.
pub struct KubeTokens {
    client: Client,
    clock: Clock,
    tokens: Cache<[String; 4], (Arc<SecretString>, Timestamp)>,
}

// === impl KubeTokens ===

impl KubeTokens {
    /// Tokens through `client`.
    pub fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock, tokens: Cache::builder().max_capacity(MAX_TOKENS).time_to_live(HELD).build() }
    }

    fn accounts(&self, namespace: &str) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

impl std::fmt::Debug for KubeTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeTokens")
    }
}

impl AccountTokens for KubeTokens {
    fn account<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        _not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, AccountFacts> {
        Box::pin(async move {
            let accounts = self.accounts(namespace);
            reading(timeout(CALL, accounts.get(name)).await, |account| AccountFacts {
                uid: account.metadata.uid.unwrap_or_default(),
                annotations: account.metadata.annotations.unwrap_or_default(),
            })
        })
    }

    fn token<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        uid: &'a str,
        audience: &'a str,
    ) -> ReadFuture<'a, SecretString> {
        Box::pin(async move {
            let key = [namespace, name, uid, audience].map(str::to_owned);
            if let Some((token, made)) = self.tokens.get(&key).await
                && since(made, (self.clock)()) < HELD
            {
                return Reading::Found(SecretString::clone(&token));
            }
            let made = (self.clock)();
            let request = TokenRequest {
                spec: TokenRequestSpec {
                    audiences: vec![audience.to_owned()],
                    expiration_seconds: i64::try_from(LIFETIME.as_secs()).ok(),
                    // There is no pod yet to bind it to.
                    bound_object_ref: None::<BoundObjectReference>,
                },
                ..TokenRequest::default()
            };
            let accounts = self.accounts(namespace);
            let parameters = PostParams::default();
            let call = accounts.create_token_request(name, &parameters, &request);
            let token = reading(timeout(CALL, call).await, |answer| {
                SecretString::from(answer.status.map(|status| status.token).unwrap_or_default())
            });
            if let Reading::Found(token) = &token {
                self.tokens.insert(key, (Arc::new(token.clone()), made)).await;
            }
            token
        })
    }
}
