//! A request's head and form in, what it asks for out.

use hyper::Method;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName};
use hyper::http::request::Parts;

use super::log::Kind;

/// What one request asks for. No `Debug`: it carries logins.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    /// Path and query, for redirects.
    pub(super) target: String,
    pub(super) kind: Kind,
    pub(super) repository: Option<String>,
    /// The tag or digest; `list` for the tags list.
    pub(super) reference: Option<String>,
    pub(super) accept: String,
    pub(super) authorization: Option<String>,
    pub(super) scopes: Vec<String>,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

// === impl Asked ===

impl Asked {
    pub(super) fn new(head: &Parts, form: &[u8]) -> Self {
        let path = head.uri.path().to_owned();
        let (kind, repository, reference) = parse(&path);
        let query = pairs(head.uri.query().unwrap_or_default());
        let form = pairs(&String::from_utf8_lossy(form));
        let scopes = query
            .iter()
            .chain(&form)
            .filter(|(name, _)| name == "scope")
            .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        Self {
            method: head.method.clone(),
            target: head.uri.path_and_query().map_or_else(|| path.clone(), ToString::to_string),
            kind,
            repository,
            reference,
            accept: lines(&head.headers, &ACCEPT).unwrap_or_default(),
            authorization: lines(&head.headers, &AUTHORIZATION),
            scopes,
            query,
            form,
            path,
        }
    }

    /// The first value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }

    /// The first value of a form field.
    pub(super) fn form(&self, name: &str) -> Option<&str> {
        value(&self.form, name)
    }
}

fn parse(path: &str) -> (Kind, Option<String>, Option<String>) {
    let Some(rest) = path.strip_prefix("/v2") else {
        return (if path == "/token" { Kind::Token } else { Kind::Other }, None, None);
    };
    if rest.is_empty() || rest == "/" {
        return (Kind::Ping, None, None);
    }
    for (infix, kind) in [("/manifests/", Kind::Manifest), ("/blobs/", Kind::Blob), ("/tags/", Kind::Tags)] {
        if let Some((name, reference)) = rest.rsplit_once(infix)
            && !reference.contains('/')
        {
            let reference = reference.replace("%3A", ":").replace("%3a", ":");
            return (kind, Some(name.trim_start_matches('/').to_owned()), Some(reference));
        }
    }
    (Kind::Other, None, None)
}

fn lines(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// The pairs of a query or form (`application/x-www-form-urlencoded`).
fn pairs(text: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse("http://form.invalid/").map(|mut url| {
        url.set_query(Some(text));
        url
    });
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_distribution_api_are_told_apart() {
        for (path, kind, repository, reference) in [
            ("/v2/", Kind::Ping, None, None),
            ("/v2", Kind::Ping, None, None),
            ("/v2/a/b/manifests/v1", Kind::Manifest, Some("a/b"), Some("v1")),
            ("/v2/a/manifests/sha256%3Aab", Kind::Manifest, Some("a"), Some("sha256:ab")),
            ("/v2/manifests/manifests/v1", Kind::Manifest, Some("manifests"), Some("v1")),
            ("/v2/a/blobs/sha256:ab", Kind::Blob, Some("a"), Some("sha256:ab")),
            ("/v2/a/tags/list", Kind::Tags, Some("a"), Some("list")),
            ("/token", Kind::Token, None, None),
            ("/login", Kind::Other, None, None),
        ] {
            let expected = (kind, repository.map(str::to_owned), reference.map(str::to_owned));
            assert_eq!(parse(path), expected, "{path}");
        }
    }

    #[test]
    fn forms_are_decoded() {
        assert_eq!(value(&pairs("a=1&p=x%26+y%23"), "p"), Some("x& y#"));
    }
}
