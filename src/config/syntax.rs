//! The shape of the configuration file, as serde reads it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::finding::Code;
use crate::nodes::Runtime;
use crate::policy::{Mode, NodeAccess, PinFormat, PinOwners, TemplatesAction, UncertainAction};
use crate::yaml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FileText {
    pub(super) mode: Mode,
    pub(super) templates: TemplatesAction,
    pub(super) on_uncertain: Option<Spanned<OnUncertainText>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) namespaces: Vec<NamespaceText>,
    #[serde(deserialize_with = "or_default")]
    pub(super) exceptions: Vec<ExceptionText>,
    #[serde(deserialize_with = "or_default")]
    pub(super) kinds: Vec<KindText>,
    #[serde(deserialize_with = "or_default")]
    pub(super) pin: PinText,
    #[serde(deserialize_with = "or_default")]
    pub(super) registries: Vec<RegistryText>,
    pub(super) runtime: RuntimeText,
    #[serde(deserialize_with = "or_default")]
    pub(super) guard: GuardText,
    #[serde(deserialize_with = "or_default")]
    pub(super) nodes: NodesText,
    #[serde(deserialize_with = "or_default")]
    pub(super) cache: CacheText,
}

/// What the nodes pull with.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum RuntimeText {
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "containerd-2")]
    Containerd2,
    #[serde(rename = "containerd-1")]
    Containerd1,
    #[serde(rename = "cri-o")]
    CriO,
}

/// One word for every code, or a map from code to word.
#[derive(Debug)]
pub(super) enum OnUncertainText {
    Word(String),
    ByCode(BTreeMap<Code, UncertainAction>),
    Neither,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceText {
    pub(super) names: Vec<Spanned<String>>,
    pub(super) mode: Mode,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExceptionText {
    pub(super) namespace: Spanned<String>,
    pub(super) image: Spanned<String>,
    pub(super) code: Option<Code>,
    pub(super) until: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindText {
    pub(super) group: Option<Spanned<String>>,
    pub(super) kind: Spanned<String>,
    pub(super) path: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PinText {
    pub(super) enabled: bool,
    pub(super) format: PinFormat,
    pub(super) owners: PinOwners,
    #[serde(deserialize_with = "or_default")]
    pub(super) skip: Vec<Spanned<String>>,
    pub(super) architecture_affinity: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RegistryText {
    pub(super) host: Spanned<String>,
    #[serde(default, rename = "plainHTTP")]
    pub(super) plain_http: bool,
    pub(super) ca_file: Option<Spanned<String>>,
    pub(super) client_cert_file: Option<Spanned<String>>,
    pub(super) proxy: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) skip_verify: bool,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) node_access: Option<NodeAccess>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct GuardText {
    #[serde(deserialize_with = "or_default")]
    pub(super) allow_addresses: Vec<Spanned<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) deny_addresses: Vec<Spanned<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) registries: GuardRegistriesText,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GuardRegistriesText {
    pub(super) allow: Option<Vec<Spanned<String>>>,
    #[serde(deserialize_with = "or_default")]
    pub(super) deny: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct NodesText {
    pub(super) certs_dir: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CacheText {
    pub(super) shared: Option<SharedCacheText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SharedCacheText {
    pub(super) url: Spanned<String>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<Spanned<String>>,
    pub(super) ca_file: Option<Spanned<String>>,
    pub(super) key_file: Spanned<String>,
}

// === impl PinText ===

impl Default for PinText {
    fn default() -> Self {
        Self {
            enabled: true,
            format: PinFormat::default(),
            owners: PinOwners::default(),
            skip: Vec::new(),
            architecture_affinity: false,
        }
    }
}

// === impl RuntimeText ===

impl RuntimeText {
    /// `None` where each node is asked.
    pub(super) fn declared(self) -> Option<Runtime> {
        match self {
            Self::Auto => None,
            Self::Containerd2 => Some(Runtime::Containerd2),
            Self::Containerd1 => Some(Runtime::Containerd1),
            Self::CriO => Some(Runtime::CriO),
        }
    }
}

// === impl OnUncertainText ===

/// By hand, because an untagged enum would lose the place of a mistake.
impl<'de> Deserialize<'de> for OnUncertainText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrMap;

        impl<'de> Visitor<'de> for WordOrMap {
            type Value = OnUncertainText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("allow, deny, or a map from finding codes to these")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<OnUncertainText, E> {
                Ok(OnUncertainText::Word(word.to_owned()))
            }

            // What is neither is kept, so that the refusal can name its place.
            fn visit_bool<E>(self, _: bool) -> Result<OnUncertainText, E> {
                Ok(OnUncertainText::Neither)
            }

            fn visit_i64<E>(self, _: i64) -> Result<OnUncertainText, E> {
                Ok(OnUncertainText::Neither)
            }

            fn visit_u64<E>(self, _: u64) -> Result<OnUncertainText, E> {
                Ok(OnUncertainText::Neither)
            }

            fn visit_f64<E>(self, _: f64) -> Result<OnUncertainText, E> {
                Ok(OnUncertainText::Neither)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OnUncertainText, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(OnUncertainText::Neither)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnUncertainText, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(OnUncertainText::ByCode)
            }
        }

        deserializer.deserialize_any(WordOrMap)
    }
}

/// A key with nothing behind it, as when every line below it is commented out, is a key left out.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
