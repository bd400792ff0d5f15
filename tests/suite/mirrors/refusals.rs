//! Walks that end nowhere: which host speaks, what is certain, and the line of the node.

use pullgate::demo::registry::{Answer, Behaviour, Login};
use pullgate::finding::{Cause, Code};
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Decision;

use super::{HEAD, MISSING, Pair};
use crate::support::{TEAM, cluster, code, codes, login, pod};

const PULL: &str = "failed to pull and unpack image \"R/open:v1\": failed to resolve image: ";

/// Code, cause, detail and the node's line after its prefix.
async fn refused(pair: &Pair) -> (Code, Option<Cause>, String, String) {
    let attempt = pair.world.resolve(&pair.world.resolver(), "open:v1", None, Freshness::Cached).await;
    let failure = attempt.outcome.unwrap_err();
    let (code, cause) = code(&failure);
    let line = pair.plain(failure.node.as_deref());
    let line = line.split_once(PULL).map_or(line.clone(), |(_, line)| line.to_owned());
    (code, cause, pair.plain(failure.detail.as_deref()), line)
}

fn words(code: Code, cause: Option<Cause>, detail: &str, line: &str) -> (Code, Option<Cause>, String, String) {
    (code, cause, detail.to_owned(), line.to_owned())
}

#[tokio::test]
async fn what_no_host_has_is_certainly_not_there() {
    let pair = Pair::new("").await;
    pair.mirror.remove_tag("open", "v1");
    pair.world.registry.remove_tag("open", "v1");
    let both = "M says TagNotFound; R says TagNotFound";
    assert_eq!(refused(&pair).await, words(Code::TagNotFound, None, both, "R/open:v1: not found"));
}

#[tokio::test]
async fn a_host_that_could_not_answer_makes_the_whole_uncertain() {
    let status = |status: &str| {
        format!("unexpected status from HEAD request to https://M/v2/open/manifests/v1?ns=127.0.0.1%3APORT: {status}")
    };
    let table: [(Behaviour, Code, &str, String); 3] = [
        (Answer::status(500).into(), Code::RegistryError, "M: HTTP 500", status("500 Internal Server Error")),
        (Answer::status(429).into(), Code::RateLimited, "M says RateLimited", status("429 Too Many Requests")),
        (
            Answer::html(403).into(),
            Code::RegistryError,
            "M: HTTP 403, a web page: a proxy, or no registry",
            status("403 Forbidden"),
        ),
    ];
    for (behaviour, code, mirror, line) in table {
        let pair = Pair::new("").await;
        pair.mirror.behave("open", behaviour);
        pair.world.registry.remove_tag("open", "v1");
        let port = pair.world.registry.host().replace("127.0.0.1:", "");
        let detail = format!("{mirror}; R says TagNotFound");
        assert_eq!(refused(&pair).await, words(code, None, &detail, &line.replace("PORT", &port)), "{code}");
    }
}

#[tokio::test]
async fn a_dead_mirror_makes_a_missing_tag_uncertain_though_the_node_would_say_not_found() {
    let pair = Pair::new("").await;
    pair.mirror.stop().await;
    pair.world.registry.remove_tag("open", "v1");
    let detail = "M refused the connection; R says TagNotFound";
    let expected = words(Code::RegistryUnreachable, Some(Cause::Refused), detail, "R/open:v1: not found");
    assert_eq!(refused(&pair).await, expected);
}

#[tokio::test]
async fn an_upstream_that_fails_after_a_missing_tag_is_what_the_node_shows() {
    let pair = Pair::new("").await;
    pair.mirror.remove_tag("open", "v1");
    pair.world.registry.behave("open", Answer::status(503));
    let (code, _, detail, line) = refused(&pair).await;
    assert_eq!((code, detail.as_str()), (Code::RegistryError, "M says TagNotFound; R: HTTP 503"));
    assert!(line.ends_with("R/v2/open/manifests/v1: 503 Service Unavailable"), "{line}");
}

#[tokio::test]
async fn a_digest_that_is_none_ends_the_walk() {
    let pair = Pair::new("").await;
    pair.mirror.behave("open", Behaviour::InvalidDigestHeader);
    let (code, _, _, line) = refused(&pair).await;
    assert_eq!(code, Code::RegistryError);
    assert!(line.contains("in header not a valid digest"), "{line}");
    assert_eq!(pair.seen(), [vec![HEAD], vec![]]);
}

#[tokio::test]
async fn a_host_list_without_a_host_for_tags_is_no_certain_denial() {
    let mut pair = Pair::new("").await;
    let text = format!("server = 'https://{}'\ncapabilities = ['pull']", pair.world.registry.host());
    pair.world.declare(&pair.world.directory(), &text, &[]);
    let (code, _, detail, line) = refused(&pair).await;
    assert_eq!(code, Code::NotChecked);
    assert_eq!(detail, "no host that nodes have for R may be asked for tags");
    assert_eq!(line, "no resolve hosts: not found");
    assert_eq!(pair.seen(), [Vec::<String>::new(), vec![]]);
}

#[tokio::test]
async fn a_denial_says_which_host_said_what_and_its_reason_comes_from_the_host_that_decides() {
    let pair = Pair::with(Login::Basic, |spec| spec, "").await;
    pair.mirror.remove_tag("open", "v1");
    pair.world.registry.private("open", &["ann"]);
    let engine = pair.world.engine(&cluster(&[]));
    let pod = pod(TEAM, &[pair.world.image("open:v1")], &[]);
    let verdict = pair.world.check(&engine, &pod).await;
    assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]));
    assert_eq!(
        pair.plain(Some(&verdict.findings[0].message())),
        "R/open:v1 (container \"c0\") is not in the registry: \"MANIFEST_UNKNOWN: manifest unknown\"; \
         M says TagNotFound; R says CredentialsMissing"
    );
    // Once to find out, once for the denial, the reason by GET, and whether the repository is there.
    let twice = vec!["HEAD manifest 401"; 2];
    assert_eq!(pair.seen(), [vec![MISSING, MISSING, "GET manifest 404", "GET Tags 200"], twice]);
}

#[tokio::test]
async fn a_login_that_a_mirror_refuses_is_held_for_that_mirror_alone() {
    let pair = Pair::with(Login::Basic, |spec| spec.login(Login::Basic), "").await;
    for registry in [&pair.mirror, &pair.world.registry] {
        registry.private("open", &["ann"]);
        registry.set_password("ann", "right");
    }
    pair.mirror.set_password("ann", "another");
    let resolver = pair.world.resolver();
    for _ in 0..2 {
        let attempt = pair.world.resolve(&resolver, "open:v1", login("ann", "right"), Freshness::Cached).await;
        assert!(attempt.outcome.is_ok(), "{attempt:?}");
        pair.world.clock.advance(std::time::Duration::from_secs(61));
    }
    let [mirror, upstream] = pair.seen();
    let refused = mirror.iter().filter(|line| line.contains("401")).count();
    assert_eq!(refused, 5, "bare, then with the login as often as a node shows it: {mirror:?}");
    assert_eq!(upstream.last().unwrap(), "HEAD manifest 200 ann");
}
