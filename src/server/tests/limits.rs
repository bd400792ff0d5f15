//! What a client may not do.

use super::*;

#[tokio::test]
async fn a_client_that_stalls_its_handshake_is_cut() {
    let (certificate, _) = Certificate::self_signed(&["localhost"]).unwrap();
    let server = start(Some(Arc::new(certificate)), Limits { handshake_timeout: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    client.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn a_client_that_drips_its_head_is_cut_and_one_that_waits_between_requests_is_not() {
    let server = start(None, Limits { header_timeout: SHORT, ..limits() }).await;
    let mut patient = server.connect().await;
    ask(&mut patient, &echo_request("one")).await;
    ask(&mut patient, &echo_request("two")).await;

    let mut dripping = server.connect().await;
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < LONG && dripping.write_all(b"P").await.is_ok() {
        sent += 1;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() < LONG, "cut after {sent} bytes");
    assert!(ask(&mut patient, &echo_request("three")).await.ends_with("three"));
}

#[tokio::test]
async fn the_time_of_a_slow_answer_is_not_held_against_the_next_head() {
    let mut server = start(None, Limits { header_timeout: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    client.write_all(SLOW_REQUEST.as_bytes()).await.unwrap();
    server.has_begun(1).await;
    sleep(2 * SHORT).await;
    server.handlers.go_on.notify_one();
    assert!(response(&mut client).await.ends_with("done"));
    sleep(2 * SHORT).await;
    assert!(ask(&mut client, &echo_request("next")).await.ends_with("next"));
    server.stop();
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_the_end() {
    let server = start(None, Limits { idle_timeout: SHORT, ..limits() }).await;
    assert_eq!(rest(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut() {
    let limits = Limits { write_timeout: SHORT, max_connections: 1, ..limits() };
    let bound = bind((Ipv4Addr::LOCALHOST, 0).into(), None, limits, "--listen").await.unwrap();
    let address = bound.local_addr();
    let router = Router::new().route("/", post(async || vec![b'x'; 32 << 20]));
    let task = tokio::spawn(bound.serve(router, std::future::pending()));
    let mut deaf = TcpStream::connect(address).await.unwrap();
    deaf.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").await.unwrap();

    // There is room for one connection: the next is answered when the first is gone.
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(response(&mut next).await.starts_with("HTTP/1.1 405 "));
    task.abort();
}

#[tokio::test]
async fn a_head_or_body_that_is_too_long_is_refused() {
    let server = start(None, Limits { max_header_bytes: 16 * 1024, ..limits() }).await;
    let mut client = server.connect().await;
    let long = format!("POST /echo HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(20 * 1024));
    client.write_all(long.as_bytes()).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");

    let answer = ask(&mut server.connect().await, &echo_request(&"x".repeat(21))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let chunked = "POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n\
                   10\r\n0123456789abcdef\r\n5\r\n01234\r\n0\r\n\r\n";
    let answer = ask(&mut server.connect().await, chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_and_meanwhile_its_bytes_count() {
    let server = start_with(None, limits(), InFlight::new(12, 10)).await;
    let mut stalled = server.connect().await;
    stalled.write_all(&echo_request("0123456789").as_bytes()[..echo_request("0123456789").len() - 1]).await.unwrap();
    until(|| server.handlers.in_flight.available() == 3).await;
    let refused = ask(&mut server.connect().await, &echo_request("0123")).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(ask(&mut server.connect().await, &echo_request("012")).await.starts_with("HTTP/1.1 200 "));
    assert!(response(&mut stalled).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(server.handlers.in_flight.available(), 12);
}

#[tokio::test]
async fn connections_over_the_cap_wait_until_one_is_closed() {
    let server = start(None, Limits { max_connections: 2, ..limits() }).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    ask(&mut first, &known("1")).await;
    ask(&mut second, &known("2")).await;
    let mut third = server.connect().await;
    third.write_all(echo_request("3").as_bytes()).await.unwrap();
    assert!(timeout(SHORT, third.read_u8()).await.is_err(), "the third should wait");
    drop(first);
    assert!(response(&mut third).await.ends_with('3'));
}

#[tokio::test]
async fn a_connection_over_the_cap_takes_the_place_of_the_oldest_stranger() {
    let server = start(None, Limits { max_connections: 2, ..limits() }).await;
    let (mut known_one, mut stranger) = (server.connect().await, server.connect().await);
    ask(&mut known_one, &known("1")).await;
    ask(&mut stranger, &echo_request("2")).await;
    let mut next = server.connect().await;
    assert!(ask(&mut next, &echo_request("3")).await.ends_with('3'));
    assert_eq!(rest(&mut stranger).await, "", "it made room");
    assert!(ask(&mut known_one, &echo_request("4")).await.ends_with('4'));
    assert!(ask(&mut server.connect().await, &echo_request("5")).await.ends_with('5'));
    assert_eq!(rest(&mut next).await, "");
}

#[tokio::test]
async fn a_connection_that_is_old_ends_with_an_answer() {
    let server = start(None, Limits { max_age: SHORT, ..limits() }).await;
    let mut client = server.connect().await;
    assert!(!ask(&mut client, &echo_request("young")).await.contains("connection: close"));
    sleep(2 * SHORT).await;
    assert!(ask(&mut client, &echo_request("old")).await.contains("connection: close"));
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn a_panic_closes_its_own_connection_only() {
    let server = start(None, limits()).await;
    let (mut bystander, mut victim) = (server.connect().await, server.connect().await);
    ask(&mut bystander, &echo_request("before")).await;
    victim.write_all(SLOW_REQUEST.replace("/slow", "/panic").as_bytes()).await.unwrap();
    assert_eq!(rest(&mut victim).await, "");
    assert!(ask(&mut bystander, &echo_request("after")).await.ends_with("after"));
}
