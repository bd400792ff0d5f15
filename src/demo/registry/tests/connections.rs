//! Ports, TLS and connections that break.

use super::*;

#[tokio::test]
async fn a_stopped_registry_refuses_and_comes_back_on_the_same_port() {
    let registry = https(|spec| spec).await;
    registry.push("a", "v1");
    let host = registry.host();
    registry.stop().await;
    assert_eq!(TcpStream::connect(&host).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    registry.resume().await.unwrap();
    assert_eq!(registry.host(), host);
    assert_eq!(head(&registry, "/v2/a/manifests/v1").await.status(), 200);
    drop(registry);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(TcpStream::connect(&host).await.is_err());
}

#[tokio::test]
async fn stopping_cuts_open_connections() {
    let registry = behaving(Behaviour::Hang).await;
    let (seen, ()) = tokio::join!(raw(&registry, "GET", Duration::from_secs(10)), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        registry.stop().await;
    });
    assert!(seen.is_empty());
}

#[tokio::test]
async fn a_black_hole_accepts_and_a_closed_door_does_not() {
    let registry = https(|spec| spec).await;
    registry.set_accepting(Accepting::Silently);
    let request = client(&registry).get(url(&registry, "/v2/")).timeout(Duration::from_millis(100));
    assert!(request.send().await.unwrap_err().is_timeout());
    registry.set_accepting(Accepting::NotAtAll);
    let error = client(&registry).get(url(&registry, "/v2/")).send().await.unwrap_err();
    assert!(error.is_connect() && !error.is_timeout());
    registry.set_accepting(Accepting::Normally);
    assert_eq!(get(&registry, "/v2/").await.status(), 200);
}

#[tokio::test]
async fn wrong_and_expired_certificates_and_strange_authorities_fail_the_handshake() {
    let authority = Arc::new(Authority::new().unwrap());
    for certificate in [Certificate::WrongName, Certificate::Expired] {
        let spec = RegistrySpec { certificate, ..RegistrySpec::https(&authority) };
        let registry = Registry::start(spec).await.unwrap();
        assert!(client(&registry).get(url(&registry, "/v2/")).send().await.unwrap_err().is_connect());
    }
    let registry = Registry::start(RegistrySpec::https(&authority)).await.unwrap();
    let stranger = https(|spec| spec).await;
    assert!(client(&stranger).get(url(&registry, "/v2/")).send().await.unwrap_err().is_connect());
    assert_eq!(get(&registry, "/v2/").await.status(), 200);
}

#[tokio::test]
async fn one_authority_serves_several_registries_under_every_loopback_name() {
    let authority = Arc::new(Authority::new().unwrap());
    let first = Registry::start(RegistrySpec::https(&authority)).await.unwrap();
    let second = Registry::start(RegistrySpec::https(&authority)).await.unwrap();
    assert_ne!(first.host(), second.host());
    for registry in [&first, &second] {
        let url = url(registry, "/v2/").replace("127.0.0.1", "localhost");
        assert_eq!(client(&first).get(url).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let registry = plain().await;
    let mut stream = TcpStream::connect(registry.host()).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"HEAD /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut seen = [0; 512];
        let length = stream.read(&mut seen).await.unwrap();
        assert!(seen[..length].starts_with(b"HTTP/1.1 200 OK") && seen[..length].ends_with(b"\r\n\r\n"));
    }
}

#[tokio::test]
async fn other_methods_are_refused() {
    let registry = plain().await;
    registry.push("a", "v1");
    let answer = client(&registry).delete(url(&registry, "/v2/a/manifests/v1")).send().await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn faults_reach_through_tls() {
    let registry = https(|spec| spec).await;
    registry.push("a", "v1");
    for close in [Close::BeforeAnswer, Close::InHead] {
        registry.behave("a", Behaviour::Close(close));
        let error = client(&registry).get(url(&registry, "/v2/a/manifests/v1")).send().await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout() && !error.is_connect(), "{close:?}: {error:?}");
    }
    registry.behave("a", Behaviour::Drip(Duration::from_millis(5)));
    let request = client(&registry).get(url(&registry, "/v2/a/manifests/v1")).timeout(Duration::from_millis(200));
    assert!(request.send().await.unwrap_err().is_timeout());
}
