//! From the opening of the port to its end.

use super::*;

#[tokio::test]
async fn a_request_over_tls_is_answered_in_http_1_1() {
    let (certificate, authority) = Certificate::self_signed(&["localhost", "127.0.0.1"]).unwrap();
    let server = start(Some(Arc::new(certificate)), limits()).await;
    let mut client = tls(&server, &trusting(&[&authority])).await.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for word in ["one", "two"] {
        let answer = ask(&mut client, &echo_request(word)).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(word), "{answer}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_one_sentence_with_flag_and_address() {
    let server = start(None, limits()).await;
    let error = bind(server.address, None, limits(), "--admin-listen").await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("--admin-listen {}: cannot listen: Address already in use", server.address)));
    assert!(!error.contains('\n'));
}

#[tokio::test]
async fn a_new_certificate_is_seen_by_the_next_handshake_while_open_connections_live_on() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = Arc::new(Certificate::load(tls::tests::write_pair(dir.path())).unwrap());
    let first = fs::read_to_string(dir.path().join("tls.crt")).unwrap();
    let server = start(Some(Arc::clone(&certificate)), limits()).await;
    let before = trusting(&[&first]);
    let mut open = tls(&server, &before).await.unwrap();
    ask(&mut open, &echo_request("one")).await;

    tls::tests::write_pair(dir.path());
    assert!(certificate.reload().unwrap());
    let second = fs::read_to_string(dir.path().join("tls.crt")).unwrap();
    assert!(tls(&server, &before).await.is_err(), "the first certificate is no longer shown");
    let mut new = tls(&server, &trusting(&[&second])).await.unwrap();
    assert!(ask(&mut new, &echo_request("two")).await.ends_with("two"));
    assert!(ask(&mut open, &echo_request("three")).await.ends_with("three"));
}

#[tokio::test]
async fn a_stop_lets_the_request_in_flight_finish_and_refuses_new_connections() {
    let mut server = start(None, limits()).await;
    let (mut idle, mut busy) = (server.connect().await, server.connect().await);
    ask(&mut idle, &echo_request("one")).await;
    busy.write_all(SLOW_REQUEST.as_bytes()).await.unwrap();
    server.has_begun(1).await;
    server.stop();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    until(|| std::net::TcpStream::connect(server.address).is_err()).await;
    assert!(!server.task.is_finished());
    server.handlers.go_on.notify_one();
    let answer = rest(&mut busy).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("done"), "{answer}");
    timeout(LONG, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn between_the_wish_to_stop_and_the_end_clients_are_served_and_told_to_go() {
    let mut server = start(None, Limits { shutdown_delay: 5 * SHORT, ..limits() }).await;
    let mut open = server.connect().await;
    assert!(!ask(&mut open, &echo_request("one")).await.contains("connection: close"));
    server.stop();
    sleep(SHORT / 2).await;
    let answer = ask(&mut open, &echo_request("two")).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("two"), "{answer}");
    assert!(ask(&mut server.connect().await, &echo_request("three")).await.ends_with("three"));
    timeout(LONG, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_is_dropped_after_the_drain() {
    let mut server = start(None, Limits { drain: SHORT, ..limits() }).await;
    let mut busy = server.connect().await;
    busy.write_all(SLOW_REQUEST.as_bytes()).await.unwrap();
    server.has_begun(1).await;
    server.stop();
    timeout(LONG, server.task).await.unwrap().unwrap();
    assert_eq!(rest(&mut busy).await, "");
}
