//! The body of a refusal: its words are one short line of harmless characters, and no body makes a passing failure a
//! certain one.

use std::time::Duration;

use pullgate::finding::Code;
use pullgate::registry::failure::{Authority, Failure, Presented, Refusal};
use pullgate::registry::said::{clean, said};
use pullgate::registry::transport::Response;

use super::text::assert_plain_line;

/// What a registry may say in a finding, in bytes.
const LIMIT: usize = 200;

const STATUSES: [u16; 10] = [400, 401, 403, 404, 405, 412, 429, 500, 502, 503];
const HOSTS: [&str; 4] = ["registry.corp.io", "docker.io", "quay.io", "ghcr.io"];
const TYPES: [Option<&str>; 4] = [None, Some("application/json"), Some("text/html; charset=utf-8"), Some("text/plain")];

/// Reads two letters that say who refuses what, and a body.
pub fn property(data: &[u8]) -> bool {
    let &[first, second, ref body @ ..] = data else { return false };
    let pick = |choice: u8, of: usize| usize::from(choice) % of;
    let content_type = TYPES[pick(second, 4)];
    let said = said(body, content_type);
    assert_eq!(said, pullgate::registry::said::said(body, content_type));
    for text in said.message.iter().chain(&said.words()) {
        assert_plain_line(text, LIMIT);
        assert!(!text.is_empty() && !text.contains("  "), "{text:?}");
        assert_eq!(&clean(text), text, "cleaning twice is cleaning once");
    }
    assert!(!said.html || said.message.is_none(), "{said:?}");

    let refusal = Refusal {
        authority: if first & 1 == 0 { Authority::Manifest } else { Authority::Token },
        status: STATUSES[pick(first >> 1, STATUSES.len())],
        error: (second & 16 == 16).then_some("insufficient_scope"),
        presented: [Presented::Nobody, Presented::Token, Presented::Basic][pick(second >> 2, 3)],
        by_digest: second & 32 == 32,
        challenged: second & 128 == 0,
        asked_for_body: second & 64 == 0,
        host: HOSTS[pick(first, 4)],
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    headers.extend(content_type.map(|value| ("content-type".to_owned(), value.to_owned())));
    // A line of the body may stand in for what a header would say.
    let line = body.split(|b| *b == b'\n').next().unwrap_or_default();
    if line.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        headers.push(("retry-after".to_owned(), String::from_utf8_lossy(line).into_owned()));
    }
    let answer = Response { status: refusal.status, headers, body: body.to_vec(), ..Response::default() };
    let failure = Failure::refused(refusal, &answer, String::new());
    if let Some(text) = &failure.registry {
        assert_plain_line(text, LIMIT);
    }
    if refusal.status == 429 {
        assert_eq!(failure.code, Code::RateLimited);
    }
    assert!(refusal.status < 500 || !failure.code.certain(), "{failure:?}");
    assert!(failure.retry_after.is_none_or(|pause| pause <= Duration::from_hours(24)), "{failure:?}");
    said.code.is_some() || said.message.is_some()
}
