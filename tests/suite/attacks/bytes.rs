//! Bytes that are not what they are called: digests that lie, digests that are none, bodies that grow, JSON without a
//! floor.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use pullgate::demo::registry::{Answer, Behaviour, Login, OCI_INDEX, OCI_MANIFEST, Target};
use pullgate::finding::{Cause, Code};
use pullgate::reference::Algorithm;
use pullgate::registry::manifest::digest_of;

use super::{failure, only_get, resolve, world};
use crate::support::{World, code, login};

const NONSENSE: (Code, Option<Cause>) = (Code::RegistryError, None);

const LIMIT: (Code, Option<Cause>) = (Code::NotChecked, Some(Cause::Limit));

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn content(world: &World, name: &str) -> (Code, Option<Cause>) {
    let (client, ask) = (world.client(), world.ask(name, login("ann", "right")));
    let manifest = client.resolve(&ask).await.unwrap();
    let by_digest = world.ask(&format!("{}@{}", name.split(':').next().unwrap(), manifest.digest), None);
    code(&client.content(&by_digest, &manifest).await.unwrap_err())
}

#[tokio::test]
async fn ghsa_qv35_3gw6_8q4j_a_pinned_digest_is_not_answered_by_another_manifest() {
    let world = world(Login::None).await;
    let digest = world.registry.push("open", "v1");
    let name = format!("open@{digest}");
    // By HEAD the header says it, by GET the bytes do.
    world.registry.behave("open", Behaviour::WrongDigestHeader);
    assert_eq!(code(&failure(&world, &name).await), NONSENSE);
    for lie in [Behaviour::WrongBody, Behaviour::WrongDigestHeader] {
        only_get(&world, lie);
        assert_eq!(code(&failure(&world, &name).await), NONSENSE);
    }
    // Other bytes under their own true digest.
    let other = world.registry.push("other", "v1");
    let body = format!(r#"{{"schemaVersion":2,"other":"{other}"}}"#);
    let announced = digest_of(body.as_bytes(), Algorithm::Sha256).unwrap();
    let answer = Answer::status(200).body(OCI_INDEX, body).header("Docker-Content-Digest", announced.as_str());
    only_get(&world, answer.into());
    assert_eq!(code(&failure(&world, &name).await), NONSENSE);
}

#[tokio::test]
async fn cve_2026_85747_bytes_behind_a_digest_are_hashed_before_they_are_read() {
    let world = world(Login::None).await;
    world.registry.push_index("open", "v1", &["linux/amd64", "linux/arm64"]);
    let honest = world.registry.push_index("honest", "v1", &["linux/amd64"]);
    world.registry.behave(Target::repository("open").only(Method::GET), Behaviour::WrongBody);
    assert_eq!(content(&world, "open:v1").await, NONSENSE);
    let client = world.client();
    let manifest = client.resolve(&world.ask("honest:v1", None)).await.unwrap();
    client.content(&world.ask(&format!("honest@{honest}"), None), &manifest).await.unwrap();
}

#[tokio::test]
async fn a_digest_in_another_algorithm_than_the_one_asked_for_proves_nothing() {
    let world = world(Login::None).await;
    let body = r#"{"schemaVersion":2,"manifests":[]}"#;
    let sha256 = world.registry.push_raw("open", "v1", OCI_INDEX, body);
    let sha512 = digest_of(body.as_bytes(), Algorithm::Sha512).unwrap();
    let wrong = digest_of(b"something else", Algorithm::Sha512).unwrap();
    // The registry finds by sha512, and says sha256, as it always does.
    let answer = Answer::status(200).body(OCI_INDEX, body).header("Docker-Content-Digest", &sha256);
    world.registry.behave("open", answer);
    let found = resolve(&world, &format!("open@{sha512}")).await.unwrap();
    assert_eq!(found.digest.as_str(), sha256);
    assert_eq!(world.seen(), ["HEAD manifest 200", "GET manifest 200"]);
    assert_eq!(code(&failure(&world, &format!("open@{wrong}")).await), NONSENSE);
}

#[tokio::test]
async fn cve_2024_3727_a_digest_that_is_none_is_asked_for_nowhere() {
    for digest in [
        "sha256:../../../team/api/manifests/v1",
        "sha256:",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85/",
        "sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x?ns=evil",
        "\\r\\nX-Evil: 1",
    ] {
        let world = world(Login::None).await;
        let header = digest.replace("\\r\\n", " ");
        world.registry.behave("open", Behaviour::ExtraHeaders(vec![]));
        let config = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":2}},"layers":[]}}"#
        );
        world.registry.push_raw("open", "v1", OCI_MANIFEST, config.clone());
        assert_eq!(content(&world, "open:v1").await, NONSENSE, "{digest}");
        assert_eq!(world.seen(), ["HEAD manifest 200", "GET manifest 200"], "{digest}");
        let lie = Answer::status(200).body(OCI_MANIFEST, config).header("Docker-Content-Digest", &header);
        world.registry.behave("open", lie);
        assert_eq!(code(&failure(&world, "open:v1").await), NONSENSE, "{digest}");
    }
}

#[tokio::test]
async fn places_that_a_descriptor_names_elsewhere_are_not_asked() {
    let world = world(Login::None).await;
    let elsewhere = world.another(|spec| spec).await;
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    let digest = digest_of(config, Algorithm::Sha256).unwrap();
    let urls = format!("https://{}/v2/open/blobs/{digest}", elsewhere.host());
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":37,"urls":["{urls}"]}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{digest}","size":37,"urls":["{urls}"]}}]}}"#
    );
    world.registry.push_raw("open", "v1", OCI_MANIFEST, manifest);
    // Its own blob is not there.
    assert_eq!(content(&world, "open:v1").await, NONSENSE);
    assert_eq!(crate::support::seen(&elsewhere), [""; 0]);
}

#[tokio::test]
async fn a_gzip_bomb_is_inflated_to_the_bound_and_taken_for_nothing() {
    // Twice what a manifest may have, in some 40 KiB.
    let bomb = gzip(&vec![b' '; 8 << 20]);
    for media_type in [OCI_INDEX, OCI_MANIFEST] {
        let world = world(Login::bearer()).await;
        let answer = || Answer::status(200).body(media_type, bomb.clone());
        for (encoding, expected) in
            [("gzip", LIMIT), ("GZIP", LIMIT), ("br", NONSENSE), ("identity, gzip", NONSENSE), ("x-unknown", NONSENSE)]
        {
            only_get(&world, answer().header("Content-Encoding", encoding).into());
            assert_eq!(code(&failure(&world, "open:v1").await), expected, "{encoding}");
        }
        // A token server is no better.
        world.registry.behave(Target::token(), answer().header("Content-Encoding", "gzip"));
        assert_eq!(code(&failure(&world, "team/api:v1").await), LIMIT);
    }
    // Refusals keep their status; the bytes are not shown to anybody.
    let world = world(Login::None).await;
    let refusal = Answer::status(404).body("application/json", bomb.clone()).header("Content-Encoding", "gzip");
    world.registry.behave("open", refusal);
    let failure = failure(&world, "open:v1").await;
    assert_eq!(failure.registry, None);
}

#[tokio::test]
async fn a_manifest_that_comes_compressed_is_the_one_inside() {
    let world = world(Login::None).await;
    let manifest = r#"{"schemaVersion":2,"manifests":[]}"#;
    let digest = digest_of(manifest.as_bytes(), Algorithm::Sha256).unwrap();
    let answer = Answer::status(200).body(OCI_INDEX, gzip(manifest.as_bytes()));
    only_get(&world, answer.header("Content-Encoding", "gzip").into());
    assert_eq!(resolve(&world, "open:v1").await.unwrap().digest, digest);
    // The words of a refusal, too.
    let words = gzip(br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}"#);
    let refusal = Answer::status(404).body("application/json", words).header("Content-Encoding", "gzip");
    only_get(&world, refusal.into());
    assert_eq!(failure(&world, "open:v1").await.registry.as_deref(), Some("MANIFEST_UNKNOWN: gone"));
}

#[tokio::test]
async fn json_of_any_depth_is_read_without_falling_through() {
    let deep = |open: &str, close: &str| open.repeat(200_000) + &close.repeat(200_000);
    for body in [
        deep("[", "]"),
        "{\"a\":".repeat(200_000),
        format!("{{\"manifests\":{}}}", deep("[", "]")),
        format!("{{\"token\":{}}}", deep("{\"a\":", "}")),
        format!("{{\"errors\":[{{\"code\":\"DENIED\",\"detail\":{}}}]}}", deep("[", "]")),
    ] {
        let world = world(Login::bearer()).await;
        world.registry.push_raw("deep", "v1", OCI_INDEX, body.clone());
        assert_eq!(content(&world, "deep:v1").await, NONSENSE);
        world.registry.behave(Target::token(), Answer::status(200).body("application/json", body.clone()));
        assert!(!failure(&world, "team/api:v1").await.code.certain());
        world.registry.behave(Target::token(), None);
        world.registry.behave("open", Answer::status(500).body("application/json", body.clone()));
        assert_eq!(failure(&world, "open:v1").await.code, Code::RegistryError);
    }
}

#[tokio::test]
async fn json_and_yaml_of_any_depth_in_a_review_a_secret_or_a_setting_is_refused() {
    use crate::gate::{Gate, TEAM};
    let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
    let gate = Gate::start().await;
    for body in
        [open.clone(), format!("{{\"request\":{{\"uid\":\"u\",\"object\":{open}{close}}}}}"), "{\"a\":".repeat(200_000)]
    {
        let (status, _) = gate.post("validate", body).await;
        assert!(status == 400 || status == 200, "{status}");
    }
    let deep = format!("{{\"auths\":{open}{close}}}");
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "deep", "namespace": TEAM },
        "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": deep },
    });
    gate.cluster(&[secret.to_string()]);
    let answer = gate.validate(&gate.pod(&[&gate.image("open:v1")], &["deep"])).await;
    assert!(answer.first_line().starts_with("PullSecretMalformed"), "{answer:?}");
    for text in [format!("registries: {open}{close}"), open.clone(), "a: {".repeat(200_000)] {
        assert!(pullgate::config::parse(&text, "deep.yaml").is_err());
    }
}
