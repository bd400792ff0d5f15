//! `server = "…"` or the key of a host table → scheme, host and the root of the API, as Go's `net/url` reads them.

use crate::credentials::go_url;

/// What a URL of `hosts.toml` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) path: String,
}

/// Reads a server; `None` where Go reports an error. What has no `http` in front gets `https://`.
pub(super) fn parse(server: &str, override_path: bool) -> Option<Server> {
    let url = if server.starts_with("http") { server.to_owned() } else { format!("https://{server}") };
    if url.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    // Only letters, digits, `+`, `-` and `.` before the first colon are a scheme; there is one in most texts here.
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
            (scheme.to_ascii_lowercase(), rest)
        }
        _ => (String::new(), url.as_str()),
    };
    let Some(rest) = rest.strip_prefix("//").filter(|_| !scheme.is_empty()) else {
        // A path or an opaque text: there is no host in it.
        return Some(Server { scheme, ..Server::default() });
    };
    let go_url::Url { host, path } = go_url::Url::parse(rest.as_bytes())?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut path = clean(&text(path));
    if !path.ends_with("/v2") && !override_path {
        path.push_str("/v2");
    }
    Some(Server { scheme, authority: text(host), path })
}

/// Go's `path.Clean` of a path below the root, which itself is empty here.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.iter().flat_map(|part| ["/", part]).collect()
}
