//! The texts of a kubelet's `CredentialProviderConfig` → [`Provider`]s, or one sentence with file, line and column.
//! Reads no file.
//!
//! Decoding is strict and every rule is the kubelet's (kubernetes/kubernetes `pkg/credentialprovider/plugin/config.go`,
//! types in `staging/src/k8s.io/kubelet/config`): what stops a node from starting is refused here.

mod syntax;
mod token_attributes;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_saphyr::{Location, Spanned};

use self::syntax::{ConfigText, EnvText, ProviderText};
pub use self::token_attributes::{TokenAttributes, TokenCache};
use crate::config::{ConfigError, describe};
use crate::credentials::url_match::Pattern;
use crate::go_duration;

/// The group of the configuration, in its three versions. Only the first knows `tokenAttributes`.
const CONFIG_VERSIONS: [&str; 3] =
    ["kubelet.config.k8s.io/v1", "kubelet.config.k8s.io/v1beta1", "kubelet.config.k8s.io/v1alpha1"];

/// One credential provider plugin, as declared.
#[derive(Clone)]
pub struct Provider {
    /// The name of its binary.
    pub name: Arc<str>,
    pub(super) match_images: Vec<Pattern>,
    pub(super) default_cache_duration: SignedDuration,
    pub(super) version: Version,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) token_attributes: Option<TokenAttributes>,
}

/// A version of the exec protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V1beta1,
    V1alpha1,
}

/// A mistake that serde cannot see.
struct Mistake {
    at: Location,
    sentence: String,
}

/// Reads the files of a declaration, each with its name, in their order.
///
/// # Errors
/// The first mistake.
pub fn parse(files: &[(String, String)]) -> Result<Vec<Provider>, ConfigError> {
    let mut providers = Vec::new();
    let mut names = BTreeSet::new();
    for (file_name, text) in files {
        let options = serde_saphyr::options! { with_snippet: false, no_schema: true };
        let config: Option<ConfigText> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let at = error.location().unwrap_or(Location::UNKNOWN);
            mistaken(file_name, at, said(&error))
        })?;
        let config = config.ok_or_else(|| {
            mistaken(file_name, Location::UNKNOWN, "the file is empty: it needs apiVersion and kind".to_owned())
        })?;
        let found = compile(config, &mut names).map_err(|mistake| mistaken(file_name, mistake.at, mistake.sentence))?;
        providers.extend(found);
    }
    if providers.is_empty() {
        let file_name = files.first().map_or("", |(name, _)| name);
        return Err(mistaken(file_name, Location::UNKNOWN, "no provider is declared: providers needs one".to_owned()));
    }
    Ok(providers)
}

/// serde's complaint, but not the value of a variable, which may be a login.
fn said(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::QuotingRequired { .. } => "expected a string: put the value in quotes".to_owned(),
        _ => describe(error),
    }
}

fn mistaken(file_name: &str, at: Location, sentence: String) -> ConfigError {
    ConfigError { file: file_name.to_owned(), line: at.line().max(1), column: at.column().max(1), sentence }
}

fn compile(config: ConfigText, names: &mut BTreeSet<String>) -> Result<Vec<Provider>, Mistake> {
    let ConfigText { api_version, kind, providers } = config;
    if kind.value != "CredentialProviderConfig" {
        return Err(mistake(&kind, format!("kind {:?} is not CredentialProviderConfig", kind.value)));
    }
    if !CONFIG_VERSIONS.contains(&api_version.value.as_str()) {
        let known = CONFIG_VERSIONS.join(", ");
        return Err(mistake(
            &api_version,
            format!("apiVersion {:?} is not known here: use {known}", api_version.value),
        ));
    }
    let with_tokens = api_version.value == CONFIG_VERSIONS[0];
    providers.unwrap_or_default().into_iter().map(|provider| compile_provider(provider, with_tokens, names)).collect()
}

fn compile_provider(
    provider: Spanned<ProviderText>,
    with_tokens: bool,
    names: &mut BTreeSet<String>,
) -> Result<Provider, Mistake> {
    let here = provider.referenced;
    let ProviderText { name, match_images, default_cache_duration, api_version, args, env, token_attributes } =
        provider.value;
    let missing = |key: &str| Mistake { at: here, sentence: format!("key {key:?} is missing") };
    let name = name.ok_or_else(|| missing("name"))?;
    binary_name(&name.value).map_err(|sentence| mistake(&name, sentence))?;
    if !names.insert(name.value.clone()) {
        return Err(mistake(&name, format!("provider {:?} is declared twice", name.value)));
    }
    let api_version = api_version.ok_or_else(|| missing("apiVersion"))?;
    let version = Version::ALL.into_iter().find(|version| version.as_str() == api_version.value).ok_or_else(|| {
        let known = Version::ALL.map(Version::as_str).join(", ");
        mistake(&api_version, format!("apiVersion {:?} is not known here: use {known}", api_version.value))
    })?;
    let patterns = match_images.unwrap_or_default();
    if patterns.is_empty() {
        return Err(Mistake { at: here, sentence: "matchImages is empty: name at least one image".to_owned() });
    }
    let duration = default_cache_duration.ok_or_else(|| missing("defaultCacheDuration"))?;
    let token_attributes = token_attributes.map(|attributes| {
        if !with_tokens {
            let sentence = format!("tokenAttributes exists in {} only", CONFIG_VERSIONS[0]);
            return Err(Mistake { at: attributes.referenced, sentence });
        }
        token_attributes::compile(attributes, version)
    });
    Ok(Provider {
        name: name.value.into(),
        match_images: patterns.iter().map(pattern).collect::<Result<_, _>>()?,
        default_cache_duration: lifetime(&duration)?,
        version,
        args: args.unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect(),
        env: env.unwrap_or_default().into_iter().map(EnvText::pair).collect(),
        token_attributes: token_attributes.transpose()?,
    })
}

fn mistake<T>(place: &Spanned<T>, sentence: impl Into<String>) -> Mistake {
    Mistake { at: place.referenced, sentence: sentence.into() }
}

/// An empty name is the directory itself, which no node can execute.
fn binary_name(name: &str) -> Result<(), String> {
    if matches!(name, "" | "." | "..") || name.contains(['/', ' ']) {
        return Err(format!("{name:?} is not the name of a binary: no blanks, no slashes, no directory"));
    }
    Ok(())
}

fn pattern(text: &Spanned<String>) -> Result<Pattern, Mistake> {
    Pattern::parse(text.value.as_bytes())
        .ok_or_else(|| mistake(text, format!("{:?} matches no image: write it like *.azurecr.io", text.value)))
}

fn lifetime(text: &Spanned<String>) -> Result<SignedDuration, Mistake> {
    match go_duration::parse(&text.value) {
        Some(duration) if !duration.is_negative() => Ok(duration),
        _ => Err(mistake(text, format!("{:?} is not a duration: write it like 12h or 1h30m, not below 0", text.value))),
    }
}

// === impl Provider ===

impl Provider {
    /// Whether the kubelet would call it for this repository.
    pub(super) fn matches(&self, repository: &Pattern) -> bool {
        self.match_images.iter().any(|pattern| pattern.matches(repository))
    }

    /// Whether it is to be given a `ServiceAccount` token.
    pub fn wants_token(&self) -> bool {
        self.token_attributes.is_some()
    }
}

/// Arguments and environment may hold a login.
impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("token_attributes", &self.token_attributes)
            .finish_non_exhaustive()
    }
}

// === impl Version ===

impl Version {
    const ALL: [Self; 3] = [Self::V1, Self::V1beta1, Self::V1alpha1];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "credentialprovider.kubelet.k8s.io/v1",
            Self::V1beta1 => "credentialprovider.kubelet.k8s.io/v1beta1",
            Self::V1alpha1 => "credentialprovider.kubelet.k8s.io/v1alpha1",
        }
    }
}

#[cfg(test)]
mod tests;
