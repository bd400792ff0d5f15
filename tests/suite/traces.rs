//! Spans of a review, its image and the requests for it, as a collector gets them: what is said, and that no login is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::demo::registry::Login;
use pullgate::telemetry::traces;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::gate::{GateSpec, PASSWORD};
use crate::observability::another_subscriber;

/// One request of an exporter: its head, and the protobuf.
struct Batch {
    head: String,
    body: Vec<u8>,
}

/// A collector on loopback that takes everything.
fn collector() -> (SocketAddr, Receiver<Batch>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (taken, batches) = channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut reader = BufReader::new(connection.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let mut lengths = head
                .lines()
                .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; lengths.next().unwrap_or_default()];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if taken.send(Batch { head, body }).is_err() {
                break;
            }
        }
    });
    (address, batches)
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_collector_is_told_of_the_review_its_image_and_its_requests_and_of_no_login() {
    pullgate::cli::install_crypto();
    let (address, batches) = collector();
    let (layer, traces) = traces::to(&format!("http://{address}/")).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    let gate = GateSpec::new().login(Login::bearer()).start().await;
    gate.registry.push("team/app", "v1");
    let image = gate.image("team/app:v1");
    let review = gate.pod(&[&image], &["regcred"]);
    {
        let _spans = tracing::subscriber::set_default(subscriber);
        let _another = another_subscriber();
        gate.validate(&review).await;
    }
    tokio::task::spawn_blocking(move || {
        traces.flush().unwrap();
        drop(traces);
    })
    .await
    .unwrap();
    let Batch { head, body } = batches.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/x-protobuf\r\n"), "{head}");
    let uid = review["request"]["uid"].as_str().unwrap();
    for text in [
        "pullgate",
        "review",
        "image",
        "registry_request",
        "validate",
        "verdict",
        "allow",
        "ok",
        "HEAD",
        "team-a",
        uid,
        &image,
    ] {
        assert!(contains(&body, text), "{text} is not in {}", String::from_utf8_lossy(&body));
    }
    let basic = STANDARD.encode(format!("ann:{PASSWORD}"));
    for secret in [PASSWORD, &basic, "Bearer ", "Basic ", "scope=", "authorization"] {
        assert!(!contains(&body, secret), "{secret} is in {}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_names_its_flag() {
    pullgate::cli::install_crypto();
    let refused = traces::to::<tracing_subscriber::Registry>("not a url").err().unwrap().to_string();
    assert!(refused.starts_with(r#"--otlp-endpoint "not a url" cannot be used: "#), "{refused}");
}
