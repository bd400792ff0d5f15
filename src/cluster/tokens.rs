//! `ServiceAccount` tokens for credential provider plugins, by `TokenRequest` (kubernetes/api `authentication/v1`).

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

/// How long an account is believed to be as it was read.
const ACCOUNT_HELD: Duration = Duration::from_secs(30);

/// Accounts and tokens held at most.
const MAX_HELD: u64 = 10_000;

/// Makes tokens with the rights of the client.
pub struct KubeTokens {
    client: Client,
    clock: Clock,
    accounts: Cache<[String; 2], (Reading<AccountFacts>, Timestamp)>,
    tokens: Cache<[String; 4], (Reading<SecretString>, Timestamp)>,
}

// === impl KubeTokens ===

impl KubeTokens {
    /// Tokens through `client`.
    pub fn new(client: Client, clock: Clock) -> Self {
        let accounts = Cache::builder().max_capacity(MAX_HELD).time_to_live(ACCOUNT_HELD).build();
        let tokens = Cache::builder().max_capacity(MAX_HELD).time_to_live(HELD).build();
        Self { client, clock, accounts, tokens }
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
        not_before: Option<Timestamp>,
    ) -> ReadFuture<'a, AccountFacts> {
        Box::pin(async move {
            let now = (self.clock)();
            let read = async {
                let accounts = self.accounts(namespace);
                let account = reading(timeout(CALL, accounts.get(name)).await, |account| AccountFacts {
                    uid: account.metadata.uid.unwrap_or_default(),
                    annotations: account.metadata.annotations.unwrap_or_default(),
                });
                (account, now)
            };
            let old = |(account, at): &(Reading<AccountFacts>, Timestamp)| {
                !matches!(account, Reading::Found(_))
                    || since(*at, now) >= ACCOUNT_HELD
                    || not_before.is_some_and(|not_before| *at < not_before)
            };
            let key = [namespace, name].map(str::to_owned);
            self.accounts.entry(key).or_insert_with_if(Box::pin(read), old).await.into_value().0
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
            let now = (self.clock)();
            let make = async {
                let request = TokenRequest {
                    spec: TokenRequestSpec {
                        audiences: vec![audience.to_owned()],
                        expiration_seconds: i64::try_from(LIFETIME.as_secs()).ok(),
                        // There is no pod yet to bind it to.
                        bound_object_ref: None::<BoundObjectReference>,
                    },
                    ..TokenRequest::default()
                };
                let (accounts, parameters) = (self.accounts(namespace), PostParams::default());
                let call = accounts.create_token_request(name, &parameters, &request);
                let token = reading(timeout(CALL, call).await, |answer| {
                    SecretString::from(answer.status.map(|status| status.token).unwrap_or_default())
                });
                (token, now)
            };
            let old = |(token, at): &(Reading<SecretString>, Timestamp)| {
                !matches!(token, Reading::Found(_)) || since(*at, now) >= HELD
            };
            let key = [namespace, name, uid, audience].map(str::to_owned);
            self.tokens.entry(key).or_insert_with_if(Box::pin(make), old).await.into_value().0
        })
    }
}
