//! The tags of a repository, page by page, for a denial that names one that is not there. Bounded in pages, bytes and
//! memory; half a list is a list too.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use crate::finding::Nearest;
use crate::registry::host_port;
use crate::registry::probes::{Told, settle};
use crate::registry::said::said;
use crate::registry::transport::{Method, Response};
use crate::registry::{Ask, Registry};
use crate::suggest;

/// Tags asked for at once: the most that Amazon's registry gives.
const PAGE: u16 = 1000;

/// Pages asked for.
const MAX_PAGES: usize = 3;

/// One page.
const MAX_BODY: usize = 256 * 1024;

/// Longer names are no tags (distribution `docs/content/spec/api.md`).
const MAX_TAG: usize = 128;

/// What a list of tags is good for, once it was looked through for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// The tag that is not there; none where only the repository is asked about.
    pub(super) tag: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

// === impl Registry ===

impl Registry {
    /// One tag of the repository, or as many as there are where one is looked for, with what the manifest was asked with.
    pub(super) async fn ask_for_tags(&self, ask: &Ask, wanted: &Wanted) -> Told {
        let count = if wanted.tag.is_some() { PAGE } else { 1 };
        let Ok(first) = host_port::read_url(&ask.endpoint.tags_url(&ask.reference, count)) else {
            return Told::default();
        };
        let mut told = Told::default();
        let mut tags: Vec<String> = Vec::new();
        // Whether every tag was seen.
        let mut whole = true;
        let mut next = Some(first);
        for page in 0..MAX_PAGES {
            let Some(url) = next.take() else { break };
            let Some(answer) = self.page_of_tags(ask, url.clone()).await else {
                whole = false;
                break;
            };
            if page == 0 {
                told = tell(&answer);
            }
            if told.yes != Some(true) || wanted.tag.is_none() {
                return told;
            }
            match listed(&answer) {
                Some(more) => {
                    whole &= more.len() < usize::from(PAGE) || answer.header("link").is_some();
                    tags.extend(more);
                }
                None => whole = false,
            }
            next = following(&url, &answer);
        }
        whole &= next.is_none();
        if let Some(tag) = &wanted.tag {
            let known = || tags.iter().map(String::as_str);
            let near = suggest::nearest(tag, known());
            // What comes last in a part of a list may come before much else.
            let previous = suggest::previous(tag, known()).filter(|_| whole);
            // What stands there under a name much like it was pushed.
            let beside = || suggest::other_commit(tag, known()).filter(|_| near.is_empty());
            let nearest = Nearest {
                ahead: previous.is_some(),
                before: previous.filter(|previous| suggest::follows(tag, previous)).or_else(beside).map(str::to_owned),
                tags: near.into_iter().map(str::to_owned).collect(),
                built: None,
            };
            told.nearest = (nearest != Nearest::default()).then(|| Arc::new(nearest));
        }
        told
    }

    async fn page_of_tags(&self, ask: &Ask, url: Url) -> Option<Response> {
        let presented = self.session.known(self.transport.as_ref(), ask).await.ok()?;
        let request = ask.request(Method::Get, url, &presented, MAX_BODY);
        let answer = self.transport.send(request).await;
        self.metrics.registry_request(&ask.endpoint.host, answer.as_ref().ok().map(|answer| answer.status));
        let answer = answer.ok()?;
        settle(presented, answer.status).await;
        Some(answer)
    }
}

/// What the first page says. A list without a tag is no proof: some registries have an empty one for every name.
fn tell(answer: &Response) -> Told {
    let said = said(&answer.body, answer.header("content-type"));
    let yes = match answer.status {
        200 => listed(answer).filter(|tags| !tags.is_empty()).map(|_| true),
        404 => said.is(&["NAME_UNKNOWN"]).then_some(false),
        _ => None,
    };
    let words = yes.filter(|yes| !yes).and_then(|_| said.words()).map(Arc::from);
    Told { yes, words, throttled: answer.status == 429, ..Told::default() }
}

fn listed(answer: &Response) -> Option<Vec<String>> {
    let page: Page = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)?;
    // What is no tag by the grammar is no name to suggest.
    let tag = |tag: &String| {
        tag.len() <= MAX_TAG && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    // Some give more than was asked for.
    Some(page.tags?.into_iter().filter(tag).take(usize::from(PAGE)).collect())
}

/// The next page by `Link: <…>; rel="next"` (RFC 8288), if it is a page of the same list at the same host.
fn following(url: &Url, answer: &Response) -> Option<Url> {
    let link = answer.header_all("link").find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    let target = link.trim_start().strip_prefix('<')?.split_once('>')?.0;
    let next = host_port::join_url(url, target).ok()?;
    (next.origin() == url.origin() && next.path() == url.path() && next != *url).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_says_that_a_repository_is_there_and_only_name_unknown_that_it_is_not() {
        let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
        for (status, body, expected) in [
            (200, r#"{"name":"a","tags":["v1"]}"#, Some(true)),
            (200, r#"{"name":"a","tags":["<script>"]}"#, None),
            (200, r#"{"name":"a","tags":[]}"#, None),
            (200, r#"{"name":"a","tags":null}"#, None),
            (200, "{}", None),
            (200, "<html>", None),
            (404, unknown, Some(false)),
            (404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#, None),
            (404, r#"{"errors":[{"code":"UNSUPPORTED"}]}"#, None),
            (404, "", None),
            (401, unknown, None),
            (403, "", None),
            (405, "", None),
            (429, "", None),
            (500, unknown, None),
        ] {
            let answer = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
            let told = tell(&answer);
            assert_eq!((told.yes, told.throttled), (expected, status == 429), "{status} {body}");
            assert_eq!(told.words.is_some(), expected == Some(false), "{status} {body}");
        }
    }

    #[test]
    fn of_a_page_no_more_is_taken_than_was_asked_for() {
        let tags: Vec<String> = (0..=PAGE).map(|number| format!("v{number}")).collect();
        let body = serde_json::json!({ "tags": tags }).to_string().into_bytes();
        let answer = Response { status: 200, body, ..Response::default() };
        assert_eq!(listed(&answer).unwrap(), tags[..usize::from(PAGE)]);
    }

    #[test]
    fn only_the_same_list_at_the_same_host_has_a_next_page() {
        let url = Url::parse("https://r.example/v2/a/tags/list?n=1000").unwrap();
        for (link, expected) in [
            ("</v2/a/tags/list?n=1000&last=v1>; rel=\"next\"", Some("https://r.example/v2/a/tags/list?n=1000&last=v1")),
            ("<https://r.example/v2/a/tags/list?last=v1>; rel=next", Some("https://r.example/v2/a/tags/list?last=v1")),
            ("<?last=v1>; rel=\"next\"", Some("https://r.example/v2/a/tags/list?last=v1")),
            ("<https://evil.example/v2/a/tags/list?last=v1>; rel=\"next\"", None),
            ("<http://r.example/v2/a/tags/list?last=v1>; rel=\"next\"", None),
            ("</v2/b/tags/list?last=v1>; rel=\"next\"", None),
            ("</v2/a/tags/list?n=1000>; rel=\"next\"", None),
            ("</v2/a/tags/list?last=v1>; rel=\"prev\"", None),
            ("/v2/a/tags/list?last=v1; rel=\"next\"", None),
            ("<", None),
        ] {
            let headers = vec![("link".to_owned(), link.to_owned())];
            let answer = Response { status: 200, headers, ..Response::default() };
            assert_eq!(following(&url, &answer).as_ref().map(Url::as_str), expected, "{link}");
        }
    }
}
