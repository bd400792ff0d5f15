//! YAML text → [`Policy`], or one sentence with file, line and column. Reads no file, reads no clock.
//!
//! What serde can refuse (unknown keys, wrong types, unknown words) it refuses where it stands; what it cannot (globs,
//! address ranges, dates, durations) is kept with its place in the text and compiled afterwards.

mod syntax;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::SignedDuration;
use jiff::civil::Date;

use self::syntax::{
    CacheText, ExceptionText, FileText, GuardText, KindText, NamespaceText, NodesText, OnUncertainText, PinText,
    RegistryText, SharedCacheText,
};
use crate::kubernetes_name::is_dns_subdomain;
use crate::policy::{
    Exception, Guard, Mode, Nodes, OnUncertain, Pattern, PinPolicy, Policy, Proxy, RegistryRule, SharedCache,
    UncertainAction,
};
use crate::registry::proxies;
use crate::workload::Shape;
use crate::workload::configured::TemplateKind;
use crate::workload::template_path::TemplatePath;
use crate::yaml::{self, Dialect, Mistake, Position, Spanned};

/// A configuration that cannot be used, and where the mistake is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {sentence}")]
pub struct ConfigError {
    /// The file's name, as given.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// What is wrong and what would be right.
    pub sentence: String,
}

/// What is wrong with an empty file.
const EMPTY: &str = "the file holds no configuration: write mode: audit or more, or {} for all defaults";

/// Reads a configuration; `file_name` appears in the error only. `{}` is the default policy. A text that holds nothing is
/// refused: it is what an emptied file leaves, and would turn an `enforce` into the default `audit`.
pub fn parse(text: &str, file_name: &str) -> Result<Policy, ConfigError> {
    from_bytes(text.as_bytes(), file_name)
}

/// The same for a file as it is, in UTF-8 or UTF-16.
pub fn from_bytes(bytes: &[u8], file_name: &str) -> Result<Policy, ConfigError> {
    let empty = || Mistake { at: Position { line: 1, column: 1 }, sentence: EMPTY.to_owned() };
    let policy = yaml::single(bytes, Dialect::Own).and_then(|file| compile(file.ok_or_else(empty)?));
    policy.map_err(|mistake| ConfigError::new(file_name, mistake))
}

impl ConfigError {
    /// A mistake in a file.
    pub(crate) fn new(file: &str, Mistake { at, sentence }: Mistake) -> Self {
        Self { file: file.to_owned(), line: at.line as u64, column: at.column as u64, sentence }
    }
}

fn compile(file: FileText) -> Result<Policy, Mistake> {
    let FileText {
        mode,
        templates,
        on_uncertain,
        namespaces,
        exceptions,
        kinds,
        pin,
        registries,
        runtime,
        guard,
        nodes,
        cache,
    } = file;
    Ok(Policy {
        mode,
        templates,
        on_uncertain: on_uncertain.as_ref().map(compile_on_uncertain).transpose()?.unwrap_or_default(),
        namespaces: compile_namespaces(namespaces)?,
        exceptions: each(exceptions, compile_exception)?,
        kinds: each(kinds, compile_kind)?,
        pin: compile_pin(pin)?,
        registries: each(registries, compile_registry)?,
        runtime: runtime.declared(),
        guard: compile_guard(guard)?,
        nodes: compile_nodes(nodes)?,
        shared_cache: compile_cache(cache)?,
        ..Policy::default()
    })
}

fn compile_on_uncertain(text: &Spanned<OnUncertainText>) -> Result<OnUncertain, Mistake> {
    let every = |default| OnUncertain { default, by_code: BTreeMap::new() };
    match &text.value {
        OnUncertainText::ByCode(by_code) => {
            Ok(OnUncertain { default: UncertainAction::default(), by_code: by_code.clone() })
        }
        OnUncertainText::Word(word) if word == "allow" => Ok(every(UncertainAction::Allow)),
        OnUncertainText::Word(word) if word == "deny" => Ok(every(UncertainAction::Deny)),
        OnUncertainText::Word(word) => {
            Err(mistake(text, format!("{word:?} is not known here: use allow, deny, or a map from codes to these")))
        }
        OnUncertainText::Neither => Err(mistake(text, "expected allow, deny, or a map from codes to these")),
    }
}

fn compile_namespaces(entries: Vec<NamespaceText>) -> Result<BTreeMap<String, Mode>, Mistake> {
    let mut modes = BTreeMap::new();
    for NamespaceText { names, mode } in entries {
        for name in names {
            let namespace = at(&name, namespace_name)?;
            if modes.insert(namespace, mode).is_some() {
                return Err(mistake(&name, format!("namespace {:?} is named twice", name.value)));
            }
        }
    }
    Ok(modes)
}

fn compile_exception(entry: ExceptionText) -> Result<Exception, Mistake> {
    let ExceptionText { namespace, image, code, until } = entry;
    Ok(Exception {
        namespace: if namespace.value == "*" { namespace.value } else { at(&namespace, namespace_name)? },
        image: at(&image, Pattern::image)?,
        code,
        until: until.map(|until| at(&until, date)).transpose()?,
    })
}

fn compile_kind(entry: KindText) -> Result<TemplateKind, Mistake> {
    let KindText { group, kind, path } = entry;
    let group = group.map(|group| at(&group, api_group)).transpose()?.unwrap_or_default();
    let name = at(&kind, kind_name)?;
    if Shape::of_group(&group, &name).is_some() {
        let what = if group.is_empty() { name } else { format!("{name} of {group}") };
        return Err(mistake(&kind, format!("{what} is built in and always judged: remove this entry")));
    }
    Ok(TemplateKind { group, kind: name, path: at(&path, TemplatePath::parse)? })
}

fn compile_pin(pin: PinText) -> Result<PinPolicy, Mistake> {
    let PinText { enabled, format, owners, skip, architecture_affinity } = pin;
    let skip = each(skip, |glob| at(&glob, Pattern::image))?;
    Ok(PinPolicy { enabled, format, owners, skip, architecture_affinity })
}

fn compile_registry(entry: RegistryText) -> Result<RegistryRule, Mistake> {
    let RegistryText { host, plain_http, ca_file, client_cert_file, proxy, skip_verify, timeout, node_access } = entry;
    if plain_http && let Some(file) = ca_file.as_ref().or(client_cert_file.as_ref()) {
        return Err(mistake(file, "a certificate has no use with plainHTTP: true: remove one of the two"));
    }
    if skip_verify && let Some(file) = &ca_file {
        return Err(mistake(file, "an authority has no use with skipVerify: true: remove one of the two"));
    }
    if skip_verify && plain_http {
        return Err(mistake(&host, "skipVerify has no use with plainHTTP: true: remove one of the two"));
    }
    Ok(RegistryRule {
        host: at(&host, registry_host)?,
        plain_http,
        ca_file: ca_file.map(|file| at(&file, file_path)).transpose()?,
        client_cert_file: client_cert_file.map(|file| at(&file, file_path)).transpose()?,
        proxy: proxy.map(|text| at(&text, proxy_url)).transpose()?.unwrap_or_default(),
        skip_verify,
        timeout: timeout.map(|timeout| at(&timeout, duration)).transpose()?,
        node_access,
    })
}

fn compile_guard(guard: GuardText) -> Result<Guard, Mistake> {
    let GuardText { allow_addresses, deny_addresses, registries } = guard;
    Ok(Guard {
        allow_addresses: each(allow_addresses, |range| at(&range, address_range))?,
        deny_addresses: each(deny_addresses, |range| at(&range, address_range))?,
        allow_registries: match registries.allow {
            None => vec![Pattern::any()],
            Some(hosts) => each(hosts, |host| at(&host, registry_host))?,
        },
        deny_registries: each(registries.deny, |host| at(&host, registry_host))?,
    })
}

fn compile_nodes(nodes: NodesText) -> Result<Nodes, Mistake> {
    let NodesText { certs_dir } = nodes;
    Ok(Nodes { certs_dir: certs_dir.map(|dir| at(&dir, directory)).transpose()?, hosts: None })
}

fn compile_cache(cache: CacheText) -> Result<Option<SharedCache>, Mistake> {
    let CacheText { shared: Some(SharedCacheText { url, username, password_file, ca_file, key_file }) } = cache else {
        return Ok(None);
    };
    if !cfg!(feature = "redis") {
        return Err(mistake(&url, "this build has no shared cache: use the image, or build with --features redis"));
    }
    let key_file = at(&key_file, file_path)?;
    let server = at(&url, |url| SharedCache::at(url, key_file.clone()))?;
    if let (false, Some(file)) = (server.tls, &ca_file) {
        return Err(mistake(file, "an authority has no use without TLS: write the URL with rediss:// or remove it"));
    }
    if let (Some(_), None) = (&username, &password_file) {
        return Err(mistake(&url, "a username needs a passwordFile"));
    }
    let password_file = password_file.map(|file| at(&file, file_path)).transpose()?;
    let ca_file = ca_file.map(|file| at(&file, file_path)).transpose()?;
    Ok(Some(SharedCache { username, password_file, ca_file, ..server }))
}

fn each<T, U>(items: Vec<T>, compile: impl Fn(T) -> Result<U, Mistake>) -> Result<Vec<U>, Mistake> {
    items.into_iter().map(compile).collect()
}

fn at<T, E: fmt::Display>(text: &Spanned<String>, compile: impl Fn(&str) -> Result<T, E>) -> Result<T, Mistake> {
    compile(&text.value).map_err(|error| mistake(text, error.to_string()))
}

fn mistake<T>(place: &Spanned<T>, sentence: impl Into<String>) -> Mistake {
    Mistake { at: place.at, sentence: sentence.into() }
}

/// A namespace is named exactly; a glob here would look like an exemption and exempt nothing.
fn namespace_name(text: &str) -> Result<String, String> {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not the name of a namespace: names are exact, globs are not read here"))
    }
}

/// A group is a DNS name, without the version that follows it in `apiVersion`.
fn api_group(text: &str) -> Result<String, String> {
    if text.is_empty() || is_dns_subdomain(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not an API group: write it without a version, such as argoproj.io"))
    }
}

/// A kind is a DNS label in which letters have any case (kubernetes/kubernetes
/// `staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`).
fn kind_name(text: &str) -> Result<String, String> {
    if !text.contains('.') && is_dns_subdomain(&text.to_ascii_lowercase()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a kind: write it as the object does, such as Rollout"))
    }
}

fn registry_host(text: &str) -> Result<Pattern, String> {
    if text.contains('/') {
        return Err(format!("{text:?} is not a registry host: write host or host:port, without scheme and path"));
    }
    Pattern::host(text).map_err(|error| error.to_string())
}

fn address_range(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is not an address range: write it like 10.0.0.0/8, fd00::/8 or 127.0.0.1"))
}

fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("{text:?} is not a date: write it like 2027-01-31"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is not a duration: write it like 1500ms or 5s, above zero");
    let duration: SignedDuration = text.parse().map_err(|_| refuse())?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero()).ok_or_else(refuse)
}

fn file_path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("the name of a file is empty") } else { Ok(PathBuf::from(text)) }
}

/// containerd splits a list of directories at colons; one of them holds what nodes read.
fn directory(text: &str) -> Result<PathBuf, &'static str> {
    match text {
        "" => Err("the name of a directory is empty"),
        text if text.contains(':') => Err("name one directory: a list with colons is not read here"),
        text => Ok(PathBuf::from(text)),
    }
}

/// The value may hold a login, so the sentence does not repeat it.
fn proxy_url(text: &str) -> Result<Proxy, &'static str> {
    match text {
        "none" => Ok(Proxy::None),
        url => proxies::url(url)
            .filter(|_| url.contains("://"))
            .map(Proxy::Url)
            .ok_or("the proxy is no URL: write it like http://proxy.corp.io:3128, or none for no proxy at all"),
    }
}

#[cfg(test)]
mod tests;
