//! Answers without end, below what a well-behaved server can be made to send: each ends soon, in nothing certain.

use pullgate::finding::{Cause, Code};
use pullgate::registry::failure::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::raw::{Stream, answer_for_ever, request, serve};
use super::{IMPATIENCE, UNREACHABLE, patient};
use crate::support::{PATIENCE, code};
use pullgate::demo::registry::Login;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\n";

/// What comes of a server that answers each request with `head` and then `again` for ever; by GET, so that a body counts.
async fn endless(head: &str, again: &str, patience: std::time::Duration) -> Failure {
    let world = patient(Login::None, patience).await;
    let (head, again) = (head.to_owned(), again.to_owned());
    let talk = move |stream| answer_for_ever(stream, head.clone(), again.clone());
    let port = serve(&world, "localhost", "http/1.1", talk).await;
    let began = tokio::time::Instant::now();
    let failure = world.client().resolve(&world.ask_for(&format!("127.0.0.1:{port}/open:v1"), None)).await.unwrap_err();
    assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
    assert!(!failure.code.certain(), "{failure:?}");
    failure
}

#[tokio::test]
async fn headers_without_end_are_no_answer() {
    endless(OK, &format!("X-Fill: {}\r\n", "x".repeat(500)), PATIENCE).await;
    endless(&format!("{OK}X-Fill: "), &"x".repeat(4096), PATIENCE).await;
    endless("HTTP/1.1 200 ", &"x".repeat(4096), PATIENCE).await;
    endless("", "\r\n", IMPATIENCE).await;
}

#[tokio::test]
async fn more_bytes_of_headers_than_any_registry_sends_are_no_answer() {
    let lines = format!("X-Fill: {}\r\n", "x".repeat(1000)).repeat(70);
    let failure = endless(&format!("{OK}Content-Length: 0\r\n{lines}\r\n"), "", PATIENCE).await;
    assert_eq!(code(&failure), (Code::NotChecked, Some(Cause::Limit)));
}

#[tokio::test]
async fn interim_answers_without_end_are_no_answer() {
    for again in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"] {
        let failure = endless("", again, IMPATIENCE).await;
        assert_eq!(code(&failure), (UNREACHABLE, Some(Cause::Timeout)));
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    // No length and no digest with HEAD: the client asks by GET, and both answers are these.
    let forever = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    for (head, again) in [
        (format!("{forever}1000\r\n{}\r\n", " ".repeat(4096)), format!("1000\r\n{}\r\n", " ".repeat(4096))),
        (format!("{OK}\r\n"), " ".repeat(4096)),
        (format!("{forever}1;"), "x".repeat(4096)),
        (format!("{forever}0\r\n"), format!("X-Fill: {}\r\n", "x".repeat(4000))),
        (format!("{forever}fffffffffffffff\r\n"), " ".repeat(4096)),
    ] {
        endless(&head, &again, PATIENCE).await;
    }
}

#[tokio::test]
async fn a_refusal_without_end_keeps_its_status() {
    let world = patient(Login::None, PATIENCE).await;
    let talk = |mut stream| async move {
        let head = request(&mut stream).await?;
        stream
            .write_all(b"HTTP/1.1 412 No\r\nDocker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n")
            .await?;
        while head.starts_with("GET") {
            stream.write_all(&[b' '; 4096]).await?;
            stream.flush().await?;
            tokio::task::yield_now().await;
        }
        stream.shutdown().await
    };
    let port = serve(&world, "localhost", "http/1.1", talk).await;
    let (client, ask) = (world.client(), world.ask_for(&format!("127.0.0.1:{port}/open:v1"), None));
    let refused = client.resolve(&ask).await.unwrap_err();
    // The GET for the reason is answered without end.
    let explained = client.explain(&ask, refused).await;
    assert_eq!(code(&explained), (Code::BlockedByRegistry, None));
}

/// One frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

async fn http2(mut stream: Stream, first: Vec<u8>, again: Vec<u8>) -> std::io::Result<()> {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    // The preface, the client's settings and its request.
    let mut seen = vec![0; 16 * 1024];
    let mut total = 0;
    while !seen[..total].windows(9).any(|window| window[3] == HEADERS && window[5..] == [0, 0, 0, 1]) {
        total += stream.read(&mut seen[total..]).await?;
    }
    stream.write_all(&first).await?;
    loop {
        stream.write_all(&again).await?;
        stream.flush().await?;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn http_2_headers_without_end_are_no_answer() {
    // `:status: 200` from the static table, then literal fields that are never indexed.
    let field = [&[0x10, 1, b'x', 0x7f, 0x81, 0x1e][..], &[b'y'; 4000]].concat();
    for (name, first, again, patience) in [
        ("continuations", frame(HEADERS, 0, 1, &[0x88]), frame(CONTINUATION, 0, 1, &field), PATIENCE),
        ("empty continuations", frame(HEADERS, 0, 1, &[0x88]), frame(CONTINUATION, 0, 1, &[]), PATIENCE),
        ("pings", vec![], frame(PING, 0, 0, &[0; 8]), IMPATIENCE),
        ("settings", vec![], frame(SETTINGS, 0, 0, &[]), IMPATIENCE),
        ("unknown frames", vec![], frame(0xfa, 0, 1, &[0; 1000]), IMPATIENCE),
    ] {
        let world = patient(Login::None, patience).await;
        let talk = move |stream| http2(stream, first.clone(), again.clone());
        let port = serve(&world, "localhost", "h2", talk).await;
        let ask = world.ask_for(&format!("127.0.0.1:{port}/open:v1"), None);
        let failure = world.client().resolve(&ask).await.unwrap_err();
        assert!(!failure.code.certain(), "{name}: {failure:?}");
    }
}
