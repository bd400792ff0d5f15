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

use self::syntax::{ConfigText, EnvText, ProviderText};
pub use self::token_attributes::{TokenAttributes, TokenCache};
use crate::config::ConfigError;
use crate::credentials::url_match::Pattern;
use crate::go_duration;
use crate::yaml::{self, Dialect, Mistake, Position, Spanned};

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

/// Reads the files of a declaration, each with its name, in their order.
///
/// # Errors
/// The first mistake.
pub fn parse<B: AsRef<[u8]>>(files: &[(String, B)]) -> Result<Vec<Provider>, ConfigError> {
    let mut providers = Vec::new();
    let mut names = BTreeSet::new();
    for (file_name, text) in files {
        let empty = || at_the_start("the file is empty: it needs apiVersion and kind");
        let config = yaml::single(text.as_ref(), Dialect::Strict).and_then(|config| config.ok_or_else(empty));
        let found = config.and_then(|config| compile(config, &mut names));
        providers.extend(found.map_err(|mistake| ConfigError::new(file_name, mistake))?);
    }
    if providers.is_empty() {
        let file_name = files.first().map_or("", |(name, _)| name);
        return Err(ConfigError::new(file_name, at_the_start("no provider is declared: providers needs one")));
    }
    Ok(providers)
}

fn at_the_start(sentence: &str) -> Mistake {
    Mistake { at: Position { line: 1, column: 1 }, sentence: sentence.to_owned() }
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
    let here = provider.at;
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
            return Err(Mistake { at: attributes.at, sentence });
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
    Mistake { at: place.at, sentence: sentence.into() }
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
