//! Manifests that are there, and served in a way that some runtimes cannot pull; pages of something that is no registry.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use hyper::Method;
use pullgate::demo::registry::{Answer, Login, OCI_INDEX, OCI_MANIFEST, Target};
use pullgate::finding::{Cause, Code};
use pullgate::verdict::Verdict;

use crate::platforms::node;
use crate::support::{World, cluster, pod};

const CONTAINERD: &str = "containerd://2.2.1";
const CONTAINERD_1: &str = "containerd://1.7.28";
const CRI_O: &str = "cri-o://1.34.0";

/// Certain, or not, of an image that cannot be pulled as it is served; `None` where nothing is said.
fn certain(verdict: &Verdict, cause: Cause) -> Option<bool> {
    let [finding] = verdict.findings.as_slice() else { return None };
    assert_eq!((finding.code, finding.cause), (Code::UnsupportedManifest, Some(cause)), "{finding:?}");
    Some(finding.certain)
}

async fn check(world: &World, runtimes: &[&str], images: &[&[&str]]) -> Verdict {
    let nodes: Vec<String> = runtimes
        .iter()
        .enumerate()
        .map(|(index, runtime)| node(&format!("n{index}"), "amd64", runtime, images))
        .collect();
    world.check(&world.engine(&cluster(&nodes)), &pod("team", &[world.image("open:v1")], &[])).await
}

/// A registry whose HEAD says this length and type of an index.
async fn world(length: usize, media_type: &str) -> (World, String) {
    let world = World::with(Login::None).await;
    let digest = world.registry.push_index("open", "v1", &["linux/amd64"]);
    let head = Answer::status(200).body(media_type, vec![b' '; length]).header("Docker-Content-Digest", &digest);
    world.registry.behave(Target::repository("open").only(Method::HEAD), head);
    (world, digest)
}

/// The length that the index of [`world`] has.
async fn true_length() -> usize {
    let (world, _) = world(0, OCI_INDEX).await;
    world.registry.behave("open", None);
    world.registry.behave(Target::repository("open").only(Method::HEAD), None);
    let manifest = world.client().resolve(&world.ask("open:v1", None)).await.unwrap();
    usize::try_from(manifest.announced.unwrap()).unwrap()
}

#[tokio::test]
async fn a_length_that_head_announces_wrongly_is_certain_where_every_runtime_believes_it() {
    let true_length = true_length().await;
    let table: &[(usize, &[&str], Option<bool>)] = &[
        (0, &[], Some(false)),
        (0, &[CONTAINERD], Some(true)),
        (0, &[CONTAINERD_1], Some(true)),
        (0, &["containerd://2.0.5"], Some(true)),
        (0, &[CONTAINERD, CONTAINERD_1], Some(true)),
        (0, &[CONTAINERD, CRI_O], Some(false)),
        (0, &["docker://27.1.1"], Some(false)),
        (0, &[CRI_O], None),
        (2, &[], Some(false)),
        (2, &[CONTAINERD], Some(true)),
        (2, &[CRI_O], None),
        (true_length + 1, &[CONTAINERD], Some(true)),
        (true_length - 1, &[CONTAINERD], Some(true)),
        (true_length - 1, &[CRI_O], None),
        // Nobody reads the bytes where no node is known.
        (true_length + 1, &[], None),
        (true_length, &[CONTAINERD], None),
        (true_length, &[], None),
    ];
    for (length, runtimes, expected) in table {
        let (world, _) = world(*length, OCI_INDEX).await;
        let verdict = check(&world, runtimes, &[]).await;
        assert_eq!(certain(&verdict, Cause::Length), *expected, "{length} {runtimes:?}: {:?}", verdict.findings);
        assert_eq!(verdict.images[0].pinnable, expected.is_none(), "{length} {runtimes:?}");
    }
}

#[tokio::test]
async fn a_sound_head_is_the_only_request_and_one_without_a_length_costs_no_more() {
    for (length, requests) in [(500, 1), (0, 1), (2, 2)] {
        let (world, _) = world(length, OCI_INDEX).await;
        check(&world, &[], &[]).await;
        assert_eq!(world.seen().len(), requests, "{length}");
    }
}

#[tokio::test]
async fn a_length_of_zero_without_a_digest_is_counted_by_the_node() {
    let (world, digest) = world(0, OCI_INDEX).await;
    let head = Answer::status(200).body(OCI_INDEX, "");
    world.registry.behave(Target::repository("open").only(Method::HEAD), head);
    let verdict = check(&world, &[CONTAINERD], &[]).await;
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    assert_eq!(verdict.images[0].digest.as_ref().unwrap().as_str(), digest);
}

#[tokio::test]
async fn a_node_that_has_the_content_fetches_nothing() {
    let (world, digest) = world(0, OCI_INDEX).await;
    let elsewhere = format!("mirror.corp.io/other@{digest}");
    let verdict = check(&world, &[CONTAINERD], &[&[&elsewhere]]).await;
    assert_eq!(certain(&verdict, Cause::Length), Some(false));
    let verdict = check(&world, &[CONTAINERD], &[&["mirror.corp.io/other:1"]]).await;
    assert_eq!(certain(&verdict, Cause::Length), Some(true));
}

#[tokio::test]
async fn the_length_of_the_compressed_manifest_is_a_wrong_one() {
    let (world, digest) = world(200, OCI_INDEX).await;
    let head = Answer::status(200).body(OCI_INDEX, vec![b' '; 200]).header("Docker-Content-Digest", &digest);
    world.registry.behave(Target::repository("open").only(Method::HEAD), head.header("Content-Encoding", "gzip"));
    let verdict = check(&world, &[], &[]).await;
    assert_eq!(certain(&verdict, Cause::Length), Some(false));
}

#[tokio::test]
async fn a_length_of_zero_is_said_as_the_node_says_it_with_who_can_mend_it() {
    let (world, digest) = world(0, OCI_INDEX).await;
    let verdict = check(&world, &[CONTAINERD], &[]).await;
    let finding = &verdict.findings[0];
    assert_eq!(
        world.plain(Some(&finding.message())),
        "R/open:v1 (container \"c0\") cannot be pulled: R answers HEAD with Content-Length: 0, and containerd fetches no \
         manifest of 0 bytes"
    );
    assert_eq!(
        world.plain(finding.node.as_deref()),
        format!(
            "rpc error: code = InvalidArgument desc = failed to pull and unpack image \"R/open:v1\": unable to fetch \
             descriptor ({digest}) which reports content size of zero: invalid argument"
        )
    );
    assert!(finding.fix.starts_with("ask the owners of "), "{}", finding.fix);
}

#[tokio::test]
async fn a_media_type_is_certain_where_every_runtime_compares_it_byte_for_byte() {
    let capitals = OCI_INDEX.to_uppercase();
    let blank = format!("{OCI_INDEX} ;charset=utf-8");
    let parameter = format!("{OCI_INDEX}; charset");
    let sound = format!("{OCI_INDEX}; charset=utf-8");
    let table: &[(&str, &[&str], Option<bool>)] = &[
        (&capitals, &[], Some(false)),
        (&capitals, &[CONTAINERD], Some(true)),
        (&capitals, &[CONTAINERD_1], Some(true)),
        (&capitals, &[CRI_O], None),
        (&blank, &[CONTAINERD], Some(true)),
        (&blank, &[CONTAINERD, CRI_O], Some(false)),
        (&parameter, &[CONTAINERD], None),
        (&parameter, &[CRI_O], Some(true)),
        (&parameter, &[], Some(false)),
        (&sound, &[CONTAINERD, CRI_O], None),
        (&sound, &[], None),
    ];
    let length = true_length().await;
    for (media_type, runtimes, expected) in table {
        let (world, _) = world(length, media_type).await;
        let verdict = check(&world, runtimes, &[]).await;
        assert_eq!(certain(&verdict, Cause::MediaType), *expected, "{media_type} {runtimes:?}: {:?}", verdict.findings);
        assert_eq!(verdict.images[0].pinnable, expected.is_none(), "{media_type} {runtimes:?}");
    }
}

#[tokio::test]
async fn text_is_schema_1_only_where_it_says_so() {
    let schema_1 = r#"{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:00"}],"history":[{}],"signatures":[{}]}"#;
    let unsigned = r#"{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:00"}],"history":[{}]}"#;
    let empty = r#"{"schemaVersion":1,"name":"open","tag":"v1","fsLayers":[],"history":[],"signatures":[]}"#;
    for (body, runtimes, expected) in [
        (schema_1, &[CONTAINERD_1][..], None),
        (unsigned, &[CONTAINERD_1][..], Some((Code::UnsupportedManifest, true))),
        (unsigned, &[CRI_O][..], None),
        (unsigned, &[][..], Some((Code::UnsupportedManifest, false))),
        (empty, &[][..], Some((Code::UnsupportedManifest, true))),
        (empty, &[CRI_O][..], Some((Code::UnsupportedManifest, true))),
        (schema_1, &[][..], Some((Code::UnsupportedManifest, true))),
        (schema_1, &[CONTAINERD][..], Some((Code::UnsupportedManifest, true))),
        (schema_1, &[CRI_O][..], None),
        ("OK", &[][..], Some((Code::RegistryError, false))),
        ("1", &[CONTAINERD][..], Some((Code::RegistryError, false))),
        (r#"{"status":"UP"}"#, &[CRI_O][..], Some((Code::RegistryError, false))),
        (r#"{"schemaVersion":2,"manifests":[]}"#, &[CONTAINERD][..], Some((Code::RegistryError, false))),
    ] {
        let world = World::with(Login::None).await;
        world.registry.behave("open", Answer::status(200).body("text/plain", body).unsigned());
        let verdict = check(&world, runtimes, &[]).await;
        let said = verdict.findings.first().map(|finding| (finding.code, finding.certain));
        assert_eq!(said, expected, "{body} {runtimes:?}");
    }
}

#[tokio::test]
async fn schema_1_under_a_type_that_no_containerd_knows_is_for_cri_o_only() {
    for media_type in [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.V1+prettyjws",
    ] {
        for (runtimes, expected) in [
            (&[][..], Some(false)),
            (&[CONTAINERD][..], Some(true)),
            (&[CONTAINERD_1][..], Some(true)),
            (&[CRI_O][..], None),
        ] {
            let body = r#"{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:00"}],"history":[{}],"signatures":[{}]}"#;
            let world = World::with(Login::None).await;
            world.registry.push_raw("open", "v1", media_type, body);
            let verdict = check(&world, runtimes, &[]).await;
            assert_eq!(certain(&verdict, Cause::MediaType), expected, "{media_type} {runtimes:?}");
        }
    }
}

#[tokio::test]
async fn a_page_in_the_registrys_place_denies_nobody() {
    for answer in [
        Answer::html(404),
        Answer::status(404).body("text/plain", "404 page not found\n").unsigned(),
        Answer::status(403).body("text/plain", "RBAC: access denied").unsigned(),
        Answer::status(401).body("text/plain", "who are you").unsigned(),
        Answer::status(412).unsigned(),
        Answer::status(404).body("application/json", r#"{"message":"no route"}"#).unsigned(),
    ] {
        let world = World::with(Login::None).await;
        let shown = format!("{answer:?}");
        world.registry.behave("open", answer);
        let verdict = check(&world, &[], &[]).await;
        let said: Vec<_> = verdict.findings.iter().map(|finding| (finding.code, finding.certain)).collect();
        assert_eq!(said, [(Code::RegistryError, false)], "{shown}");
        assert_eq!(world.seen().len(), 2, "{shown}");
    }
}

#[tokio::test]
async fn a_page_under_the_type_of_a_manifest_is_none() {
    for media_type in [OCI_INDEX, OCI_MANIFEST] {
        for page in ["OK", "1", "[]", "<html>Sign in</html>"] {
            let world = World::with(Login::None).await;
            world.registry.behave("open", Answer::status(200).body(media_type, page).unsigned());
            let verdict = check(&world, &[], &[]).await;
            let said: Vec<_> = verdict.findings.iter().map(|finding| (finding.code, finding.certain)).collect();
            assert_eq!(said, [(Code::RegistryError, false)], "{media_type} {page}");
        }
    }
}
