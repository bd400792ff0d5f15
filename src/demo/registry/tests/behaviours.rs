//! Each misbehaviour, on the wire.

use super::*;

const MANIFEST: &str = "/v2/a/manifests/v1";
const SHORT: Duration = Duration::from_millis(100);
/// For what ends by itself, however busy the machine is.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_answer_is_sent_as_it_is_and_to_head_without_its_body() {
    let registry =
        behaving(Answer::envelope(429, "TOOMANYREQUESTS", "slow\ndown\u{1}").header("Retry-After", "7")).await;
    let answer = get(&registry, MANIFEST).await;
    assert_eq!((answer.status().as_u16(), line(&answer, "retry-after")), (429, Some("7")));
    assert_eq!(json(answer).await["errors"][0]["message"], "slow\ndown\u{1}");
    let headed = head(&registry, MANIFEST).await;
    assert_eq!(headed.status(), 429);
    assert!(headed.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_page_of_html_says_so() {
    let registry = behaving(Answer::html(404)).await;
    let answer = get(&registry, MANIFEST).await;
    assert_eq!((answer.status().as_u16(), line(&answer, "content-type")), (404, Some("text/html")));
}

#[tokio::test]
async fn rules_narrow_to_a_method_and_a_number_and_end_with_none() {
    let registry = behaving(None).await;
    registry.behave(Target::repository("a").only(Method::HEAD).times(1), Answer::status(503));
    assert_eq!(get(&registry, MANIFEST).await.status(), 200);
    assert_eq!(head(&registry, MANIFEST).await.status(), 503);
    assert_eq!(head(&registry, MANIFEST).await.status(), 200);
    registry.behave(Target::manifests(), Answer::status(412));
    registry.behave("a", Behaviour::Honest);
    assert_eq!(get(&registry, MANIFEST).await.status(), 200);
    registry.behave("a", None);
    assert_eq!(get(&registry, MANIFEST).await.status(), 412);
    registry.behave(Target::all(), Answer::status(500));
    assert_eq!(get(&registry, "/v2/").await.status(), 500);
}

#[tokio::test]
async fn rules_for_ping_tags_and_token_leave_the_manifests_alone() {
    let registry = behaving(None).await;
    registry.set_login(Login::bearer());
    registry.set_access(Access { open: true, ..Access::default() });
    registry.behave(Target::ping(), Answer::status(500));
    registry.behave(Target::tags("a"), Answer::status(502));
    registry.behave(Target::token(), Answer::status(503));
    for (path, status) in [("/v2/", 500), ("/v2/a/tags/list", 502), ("/token", 503), (MANIFEST, 200)] {
        assert_eq!(get(&registry, path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn head_alone_may_be_refused() {
    let registry = behaving(Behaviour::Head405).await;
    assert_eq!(
        (head(&registry, MANIFEST).await.status().as_u16(), get(&registry, MANIFEST).await.status().as_u16()),
        (405, 200)
    );
}

#[tokio::test]
async fn digest_headers_go_missing_or_lie() {
    let registry = behaving(Behaviour::NoDigestHeader).await;
    let truth = registry.push("a", "v1");
    assert_eq!(line(&head(&registry, MANIFEST).await, "docker-content-digest"), None);
    registry.behave("a", Behaviour::WrongDigestHeader);
    let wrong = head(&registry, MANIFEST).await;
    let wrong = line(&wrong, "docker-content-digest").unwrap();
    assert!(wrong != truth && wrong.len() == truth.len());
    registry.behave("a", Behaviour::InvalidDigestHeader);
    assert_eq!(line(&head(&registry, MANIFEST).await, "docker-content-digest"), Some("sha256:../../etc/passwd"));
    registry.behave("a", Behaviour::WrongBody);
    let lie = get(&registry, MANIFEST).await;
    assert_eq!(line(&lie, "docker-content-digest"), Some(truth.as_str()));
    assert_ne!(super::super::contents::sha256(&lie.bytes().await.unwrap()), truth);
}

#[tokio::test]
async fn the_length_may_be_missing() {
    let registry = behaving(Behaviour::MissingLength).await;
    assert_eq!(line(&head(&registry, MANIFEST).await, "content-length"), None);
    let answer = get(&registry, MANIFEST).await;
    assert_eq!(line(&answer, "transfer-encoding"), Some("chunked"));
    assert_eq!(json(answer).await["schemaVersion"], 2);
}

#[tokio::test]
async fn quotas_ride_on_the_truth() {
    let registry = behaving(Behaviour::ExtraHeaders(vec![("ratelimit-remaining".into(), "0;w=21600".into())])).await;
    let headed = head(&registry, MANIFEST).await;
    assert_eq!((headed.status().as_u16(), line(&headed, "ratelimit-remaining")), (200, Some("0;w=21600")));
}

#[tokio::test]
async fn a_narrow_accept_may_find_nothing() {
    let registry = behaving(Behaviour::AcceptSensitive).await;
    assert_eq!(head(&registry, MANIFEST).await.status(), 404);
    let request = client(&registry).head(url(&registry, MANIFEST)).header("Accept", OCI_MANIFEST);
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(registry.requests()[1].accept, OCI_MANIFEST);
}

#[tokio::test]
async fn slowness_and_latency_delay_the_truth() {
    let registry = behaving(Behaviour::Slow(SHORT)).await;
    let before = Instant::now();
    assert_eq!(head(&registry, MANIFEST).await.status(), 200);
    assert!(before.elapsed() >= SHORT);
    registry.behave("a", None);
    registry.set_latency(SHORT);
    let before = Instant::now();
    assert_eq!(get(&registry, "/v2/").await.status(), 200);
    assert!(before.elapsed() >= SHORT);
}

#[tokio::test]
async fn hanging_says_nothing_and_the_log_shows_it() {
    let registry = behaving(Behaviour::Hang).await;
    assert!(raw(&registry, "GET", SHORT * 2).await.is_empty());
    assert_eq!(registry.requests()[0].status, None);
}

#[tokio::test]
async fn dripping_sends_single_bytes_headers_included() {
    let registry = behaving(Behaviour::Drip(Duration::from_millis(5))).await;
    let seen = raw(&registry, "HEAD", SHORT * 3).await;
    assert!((2..=70).contains(&seen.len()), "{} bytes", seen.len());
    assert!(b"HTTP/1.1 200 OK\r\ndocker-distribution-api-version: registry/2.0\r\n".starts_with(&seen));
}

#[tokio::test]
async fn a_connection_can_close_at_three_places() {
    let registry = behaving(Behaviour::Close(Close::BeforeAnswer)).await;
    assert!(raw(&registry, "GET", LONG).await.is_empty());
    registry.behave("a", Behaviour::Close(Close::InHead));
    assert_eq!(raw(&registry, "GET", LONG).await, b"HTTP/1.1 2");
    registry.behave("a", Behaviour::Close(Close::InBody));
    let answer = get(&registry, MANIFEST).await;
    let length = usize::try_from(answer.content_length().unwrap()).unwrap();
    let error = answer.bytes().await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
    let seen = String::from_utf8(raw(&registry, "GET", LONG).await).unwrap();
    assert_eq!(seen.split_once("\r\n\r\n").unwrap().1.len(), length / 2);
    assert_eq!(raw(&registry, "HEAD", LONG).await, b"HTTP/1.1 2");
}

#[tokio::test]
async fn redirects_carry_the_path() {
    let location = "https://elsewhere.invalid{path}".to_owned();
    let registry = behaving(Behaviour::Redirect { status: 307, location }).await;
    let answer = get(&registry, "/v2/a/manifests/v1?ns=b").await;
    assert_eq!(answer.status(), 307);
    assert_eq!(line(&answer, "location"), Some("https://elsewhere.invalid/v2/a/manifests/v1?ns=b"));
}

#[tokio::test]
async fn huge_bodies_come_declared_or_not() {
    let registry = behaving(Behaviour::HugeBody { declared: true, bytes: 1 << 40 }).await;
    assert_eq!(get(&registry, MANIFEST).await.content_length(), Some(1 << 40));
    assert_eq!(line(&head(&registry, MANIFEST).await, "content-length"), Some("1099511627776"));
    registry.behave("a", Behaviour::HugeBody { declared: false, bytes: 100_000 });
    let answer = get(&registry, MANIFEST).await;
    assert_eq!(answer.content_length(), None);
    assert_eq!(answer.bytes().await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn headers_can_flood() {
    let registry = behaving(Behaviour::HeaderFlood(2000)).await;
    let seen = raw(&registry, "HEAD", LONG).await;
    assert!(seen.len() > 2000 * 90 && seen.ends_with(b"\r\n\r\n"), "{} bytes", seen.len());
}
