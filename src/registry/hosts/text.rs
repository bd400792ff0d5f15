//! The text of a `hosts.toml` → [`HostsFile`], or what containerd could not decode, and where.
//!
//! Values are read from the parsed document, key names in any case as go-toml matches them; the order of the hosts is
//! that of the table headers, which a parsed document no longer knows.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, parse_document};

use super::{Capabilities, Headers, Host, HostsError, HostsFile, Tls, server};
use crate::go_duration;

/// A mistake at a byte of the text.
struct Mistake {
    at: usize,
    sentence: String,
}

type Table<'a> = DeTable<'a>;
type Value<'a> = Spanned<DeValue<'a>>;

/// Reads a `hosts.toml` in the directory `base`, which relative file names start from.
///
/// # Errors
/// What containerd's decoder refuses: it would log that and go on as if there were only certificate files.
pub fn parse(text: &[u8], base: &Path) -> Result<HostsFile, HostsError> {
    let text = std::str::from_utf8(text).map_err(|error| HostsError {
        line: text.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1,
        column: 1,
        sentence: "the text is not UTF-8".to_owned(),
    })?;
    read(text, base).map_err(|Mistake { at, sentence }| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        HostsError { line, column, sentence }
    })
}

fn read(text: &str, base: &Path) -> Result<HostsFile, Mistake> {
    let document = DeTable::parse(text).map_err(|error| Mistake {
        at: error.span().map_or(0, |span| span.start),
        sentence: error.message().lines().next().unwrap_or_default().to_owned(),
    })?;
    let root = document.get_ref();
    let tables = match get(root, "host") {
        None => None,
        Some(value) => Some(table(value, "host")?),
    };
    for (_, value) in tables.into_iter().flatten() {
        // Tables without a header of their own are asked by nobody, and must be sound all the same.
        check_types(table(value, "host")?)?;
    }
    let mut hosts = Vec::new();
    for (name, at) in in_order(text) {
        let empty = Table::new();
        let settings = match tables.and_then(|tables| tables.get(name.as_str())) {
            Some(value) => table(value, "host")?,
            None => &empty,
        };
        hosts.push(host(&name, at, settings, base)?);
    }
    check_types(root)?;
    let server = get(root, "server").map(|value| string(value, "server")).transpose()?.unwrap_or_default();
    let at = get(root, "server").map_or(0, |value| value.span().start);
    hosts.push(host(server, at, root, base)?);
    Ok(HostsFile { hosts })
}

/// The second part of every table header `[host.…]`, with its place; a header that continues the one before it counts
/// once.
fn in_order(text: &str) -> Vec<(String, usize)> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut headers: Vec<Vec<(String, usize)>> = Vec::new();
    let mut inside = false;
    let mut receiver = |event: Event| match event.kind() {
        EventKind::StdTableOpen => {
            headers.push(Vec::new());
            inside = true;
        }
        EventKind::StdTableClose => inside = false,
        EventKind::SimpleKey if inside => {
            let mut key = std::borrow::Cow::Borrowed("");
            if let Some(raw) = source.get(event) {
                raw.decode_key(&mut key, &mut ());
            }
            if let Some(header) = headers.last_mut() {
                header.push((key.into_owned(), event.span().start()));
            }
        }
        _ => {}
    };
    parse_document(&tokens, &mut receiver, &mut ());
    let mut names: Vec<(String, usize)> = Vec::new();
    for header in headers {
        let mut parts = header.into_iter();
        if let (Some((first, _)), Some(second)) = (parts.next(), parts.next())
            && first == "host"
            && names.last().is_none_or(|(name, _)| *name != second.0)
        {
            names.push(second);
        }
    }
    names
}

fn host(server: &str, at: usize, settings: &Table<'_>, base: &Path) -> Result<Host, Mistake> {
    let override_path = get(settings, "override_path").map(boolean).transpose()?.unwrap_or_default();
    let server = match server {
        "" => server::Server::default(),
        text => server::parse(text, override_path).ok_or_else(|| {
            // What stands before an @ may be a login.
            let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
            Mistake { at, sentence: format!("{shown:?} is not the URL of a server") }
        })?,
    };
    if let Some(timeout) = get(settings, "dial_timeout") {
        let text = string(timeout, "dial_timeout")?;
        if !text.is_empty() && go_duration::parse(text).is_none() {
            return Err(mistake(timeout, format!("{text:?} is not a duration: write it like 3s")));
        }
    }
    Ok(Host {
        scheme: server.scheme,
        authority: server.authority,
        path: server.path,
        capabilities: get(settings, "capabilities").map(capabilities).transpose()?.unwrap_or_default(),
        tls: Tls {
            ca: get(settings, "ca").map(|value| files(value, "ca", base)).transpose()?,
            client: get(settings, "client").map(|value| client(value, base)).transpose()?.unwrap_or_default(),
            skip_verify: get(settings, "skip_verify").map(boolean).transpose()?,
        },
        headers: get(settings, "header").map(headers).transpose()?.unwrap_or_default(),
    })
}

/// What go-toml decodes into a type of its own, and so refuses wherever it stands.
fn check_types(settings: &Table<'_>) -> Result<(), Mistake> {
    for name in ["skip_verify", "override_path"] {
        get(settings, name).map(boolean).transpose()?;
    }
    if let Some(value) = get(settings, "dial_timeout") {
        string(value, "dial_timeout")?;
    }
    if let Some(value) = get(settings, "capabilities") {
        strings(value, "capabilities")?;
    }
    if let Some(value) = get(settings, "header") {
        table(value, "header")?;
    }
    Ok(())
}

fn capabilities(value: &Value<'_>) -> Result<Capabilities, Mistake> {
    let words = strings(value, "capabilities")?;
    if words.is_empty() {
        return Ok(Capabilities::default());
    }
    let mut found = Capabilities { pull: false, resolve: false };
    for word in words {
        match word.to_lowercase().as_str() {
            "pull" => found.pull = true,
            "resolve" => found.resolve = true,
            "push" | "referrers" => {}
            _ => {
                let sentence = format!("unknown capability {word:?}: use pull, resolve, push, referrers");
                return Err(mistake(value, sentence));
            }
        }
    }
    Ok(found)
}

fn client(value: &Value<'_>, base: &Path) -> Result<Vec<(PathBuf, Option<PathBuf>)>, Mistake> {
    let list = match value.get_ref() {
        DeValue::String(file) => return Ok(vec![(base.join(file.as_ref()), None)]),
        DeValue::Array(list) => list,
        _ => return Err(mistake(value, "expected a file, files, or pairs of files for \"client\"")),
    };
    let mut pairs = Vec::new();
    for item in list {
        match item.get_ref() {
            DeValue::String(file) => pairs.push((base.join(file.as_ref()), None)),
            DeValue::Array(_) => match files(item, "client", base)?.as_slice() {
                [certificate, key] => pairs.push((certificate.clone(), Some(key.clone()))),
                _ => return Err(mistake(item, "expected a pair of files, certificate and key, for \"client\"")),
            },
            _ => return Err(mistake(item, "expected a file or a pair of files for \"client\"")),
        }
    }
    Ok(pairs)
}

fn files(value: &Value<'_>, name: &str, base: &Path) -> Result<Vec<PathBuf>, Mistake> {
    let names = match value.get_ref() {
        DeValue::String(file) => vec![file.as_ref()],
        _ => strings(value, name)?,
    };
    Ok(names.into_iter().map(|file| base.join(file)).collect())
}

fn headers(value: &Value<'_>) -> Result<Headers, Mistake> {
    let mut lines = Vec::new();
    for (name, value) in table(value, "header")? {
        let name = name.get_ref().as_ref();
        match value.get_ref() {
            DeValue::String(line) => lines.push((name.to_owned(), line.clone().into_owned())),
            _ => lines.extend(strings(value, name)?.into_iter().map(|line| (name.to_owned(), line.to_owned()))),
        }
    }
    Ok(Headers(lines))
}

/// The value of a key: as written, else in another case.
fn get<'t, 'a>(table: &'t Table<'a>, name: &str) -> Option<&'t Value<'a>> {
    let folded = || table.iter().find(|(key, _)| key.get_ref().to_lowercase() == name).map(|(_, value)| value);
    table.get(name).or_else(folded)
}

fn table<'t, 'a>(value: &'t Value<'a>, name: &str) -> Result<&'t Table<'a>, Mistake> {
    value.get_ref().as_table().ok_or_else(|| mistake(value, format!("expected a table for {name:?}")))
}

fn string<'t>(value: &'t Value<'_>, name: &str) -> Result<&'t str, Mistake> {
    value.get_ref().as_str().ok_or_else(|| mistake(value, format!("expected a string for {name:?}")))
}

fn strings<'t>(value: &'t Value<'_>, name: &str) -> Result<Vec<&'t str>, Mistake> {
    let refuse = || mistake(value, format!("expected strings in brackets for {name:?}"));
    let list = value.get_ref().as_array().ok_or_else(refuse)?;
    list.iter().map(|item| item.get_ref().as_str().ok_or_else(refuse)).collect()
}

fn boolean(value: &Value<'_>) -> Result<bool, Mistake> {
    value.get_ref().as_bool().ok_or_else(|| mistake(value, "expected true or false"))
}

fn mistake(value: &Value<'_>, sentence: impl Into<String>) -> Mistake {
    Mistake { at: value.span().start, sentence: sentence.into() }
}
