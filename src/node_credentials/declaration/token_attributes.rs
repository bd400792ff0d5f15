//! The `tokenAttributes` of a provider: which `ServiceAccount` token it wants, and what else of the account.

use std::collections::BTreeSet;

use super::syntax::TokenAttributesText;
use super::{Mistake, Version, mistake};
use crate::yaml::Spanned;

/// Which `ServiceAccount` token a plugin wants, and what else of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAttributes {
    /// The audience of the token.
    pub audience: String,
    /// What its answers are held by.
    pub cache: TokenCache,
    /// Without a `ServiceAccount` it is not called; otherwise it is called without a token.
    pub require_account: bool,
    /// Annotations of the account that it is given; without one of them it is not called.
    pub required_annotations: Vec<String>,
    /// Annotations of the account that it is given if they are there.
    pub optional_annotations: Vec<String>,
}

/// How long the answers of a plugin with a token are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCache {
    /// As long as the account is the same.
    ServiceAccount,
    /// As long as the token is the same.
    Token,
}

pub(super) fn compile(attributes: Spanned<TokenAttributesText>, version: Version) -> Result<TokenAttributes, Mistake> {
    let at = attributes.at;
    let wrong = |sentence: &str| Mistake { at, sentence: sentence.to_owned() };
    let TokenAttributesText {
        service_account_token_audience,
        cache_type,
        require_service_account,
        required_service_account_annotation_keys,
        optional_service_account_annotation_keys,
    } = attributes.value;
    let audience = service_account_token_audience
        .filter(|audience| !audience.is_empty())
        .ok_or_else(|| wrong("serviceAccountTokenAudience is missing"))?;
    let require_account =
        require_service_account.map(|word| word.0).ok_or_else(|| wrong("requireServiceAccount is missing"))?;
    if version != Version::V1 {
        return Err(wrong("tokenAttributes needs apiVersion credentialprovider.kubelet.k8s.io/v1"));
    }
    let required = required_service_account_annotation_keys.unwrap_or_default();
    let optional = optional_service_account_annotation_keys.unwrap_or_default();
    if !require_account && !required.is_empty() {
        return Err(wrong("requiredServiceAccountAnnotationKeys needs requireServiceAccount: true"));
    }
    let mut seen = BTreeSet::new();
    for key in required.iter().chain(&optional) {
        if !is_annotation_key(&key.value) {
            return Err(mistake(key, format!("{:?} is not the key of an annotation", key.value)));
        }
        if !seen.insert(key.value.as_str()) {
            return Err(mistake(key, format!("annotation key {:?} is listed twice", key.value)));
        }
    }
    let cache = match cache_type.as_ref().map(|word| (word, word.value.as_str())) {
        Some((_, "ServiceAccount")) => TokenCache::ServiceAccount,
        Some((_, "Token")) => TokenCache::Token,
        None | Some((_, "")) => return Err(wrong("cacheType is missing: use ServiceAccount or Token")),
        Some((word, other)) => {
            return Err(mistake(word, format!("{other:?} is not known here: use ServiceAccount or Token")));
        }
    };
    let words = |keys: Vec<Spanned<String>>| keys.into_iter().map(|key| key.value).collect();
    Ok(TokenAttributes {
        audience,
        cache,
        require_account,
        required_annotations: words(required),
        optional_annotations: words(optional),
    })
}

/// Kubernetes' qualified name, in upper or lower case (kubernetes/kubernetes
/// `staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go`).
fn is_annotation_key(key: &str) -> bool {
    let key = key.to_lowercase();
    let (prefix, name) = key.split_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
    let part = |text: &str, longest: usize, inside: &[u8]| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        text.len() <= longest
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || inside.contains(byte))
    };
    part(name, 63, b"-_.")
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(|label| part(label, 253, b"-")))
}
