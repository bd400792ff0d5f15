//! The shape of a `CredentialProviderConfig`, as serde reads it. A key with nothing behind it is a key left out, as in
//! Go.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::yaml::Spanned;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ConfigText {
    pub(super) api_version: Spanned<String>,
    pub(super) kind: Spanned<String>,
    pub(super) providers: Option<Vec<Spanned<ProviderText>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ProviderText {
    pub(super) name: Option<Spanned<String>>,
    pub(super) match_images: Option<Vec<Spanned<String>>>,
    pub(super) default_cache_duration: Option<Spanned<String>>,
    pub(super) api_version: Option<Spanned<String>>,
    pub(super) args: Option<Vec<Option<String>>>,
    pub(super) env: Option<Vec<EnvText>>,
    pub(super) token_attributes: Option<Spanned<TokenAttributesText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvText {
    name: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenAttributesText {
    pub(super) service_account_token_audience: Option<String>,
    pub(super) cache_type: Option<Spanned<String>>,
    pub(super) require_service_account: Option<Bool>,
    pub(super) required_service_account_annotation_keys: Option<Vec<Spanned<String>>>,
    pub(super) optional_service_account_annotation_keys: Option<Vec<Spanned<String>>>,
}

/// `true` or `false`, and not in quotes, which Go does not take for one.
pub(super) struct Bool(pub(super) bool);

// === impl Bool ===

impl<'de> Deserialize<'de> for Bool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TrueOrFalse;

        impl Visitor<'_> for TrueOrFalse {
            type Value = Bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, word: bool) -> Result<Bool, E> {
                Ok(Bool(word))
            }
        }

        deserializer.deserialize_any(TrueOrFalse)
    }
}

// === impl EnvText ===

impl EnvText {
    pub(super) fn pair(self) -> (String, String) {
        (self.name.unwrap_or_default(), self.value.unwrap_or_default())
    }
}
