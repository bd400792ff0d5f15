//! What is pushed is what is served.

use super::*;

#[tokio::test]
async fn a_manifest_is_served_by_tag_and_by_digest_and_hashes_to_its_digest() {
    let registry = https(|spec| spec).await;
    let digest = registry.push("team/api", "v1");
    for reference in ["v1", digest.as_str()] {
        let path = format!("/v2/team/api/manifests/{reference}");
        let headed = head(&registry, &path).await;
        assert_eq!(headed.status(), 200);
        let (length, media_type) = (line(&headed, "content-length").unwrap().to_owned(), line(&headed, "content-type"));
        assert_eq!((line(&headed, "docker-content-digest"), media_type), (Some(digest.as_str()), Some(OCI_MANIFEST)));
        let body = get(&registry, &path).await.bytes().await.unwrap();
        assert_eq!(length, body.len().to_string());
        assert_eq!(super::super::contents::sha256(&body), digest);
    }
}

#[tokio::test]
async fn an_index_leads_to_its_children_and_their_configs() {
    let registry = plain().await;
    let index = registry.push_index("a", "v1", &["linux/amd64", "linux/arm64/v8"]);
    let body = json(get(&registry, &format!("/v2/a/manifests/{index}")).await).await;
    assert_eq!(body["manifests"][1]["platform"]["variant"], "v8");
    let child =
        json(get(&registry, &format!("/v2/a/manifests/{}", body["manifests"][1]["digest"].as_str().unwrap())).await)
            .await;
    let config =
        json(get(&registry, &format!("/v2/a/blobs/{}", child["config"]["digest"].as_str().unwrap())).await).await;
    assert_eq!(config["architecture"], "arm64");
}

#[tokio::test]
async fn raw_bytes_keep_their_media_type() {
    let registry = plain().await;
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    registry.push_raw("a", "old", schema1, r#"{"schemaVersion":1}"#);
    assert_eq!(line(&head(&registry, "/v2/a/manifests/old").await, "content-type"), Some(schema1));
}

#[tokio::test]
async fn missing_tags_and_missing_repositories_have_their_codes() {
    let registry = plain().await;
    registry.push("a", "v1");
    assert_eq!(code(get(&registry, "/v2/a/manifests/v2").await).await, (404, "MANIFEST_UNKNOWN".into()));
    assert_eq!(code(get(&registry, "/v2/b/manifests/v2").await).await, (404, "NAME_UNKNOWN".into()));
    assert_eq!(code(get(&registry, "/v2/b/tags/list").await).await, (404, "NAME_UNKNOWN".into()));
    let spec = RegistrySpec { missing_repository: MissingRepository::ManifestUnknown, ..RegistrySpec::plain() };
    let registry = Registry::start(spec).await.unwrap();
    assert_eq!(code(get(&registry, "/v2/b/manifests/v2").await).await, (404, "MANIFEST_UNKNOWN".into()));
}

#[tokio::test]
async fn what_is_removed_or_moved_is_gone_at_once() {
    let registry = plain().await;
    let (first, second) = (registry.push("a", "v1"), registry.push("a", "v2"));
    registry.tag("a", "v1", &second);
    let digest = |response: Response| line(&response, "docker-content-digest").map(str::to_owned);
    assert_eq!(digest(head(&registry, "/v2/a/manifests/v1").await), Some(second.clone()));
    registry.remove_tag("a", "v1");
    assert_eq!(head(&registry, "/v2/a/manifests/v1").await.status(), 404);
    assert_eq!(head(&registry, &format!("/v2/a/manifests/{first}")).await.status(), 200);
    registry.remove_manifest("a", &second);
    assert_eq!(head(&registry, "/v2/a/manifests/v2").await.status(), 404);
    registry.remove_repository("a");
    assert_eq!(code(get(&registry, "/v2/a/manifests/v1").await).await.1, "NAME_UNKNOWN");
}

#[tokio::test]
async fn tags_are_listed_in_pages() {
    let registry = plain().await;
    for tag in ["v1", "v2", "v3"] {
        registry.push("a", tag);
    }
    let page = get(&registry, "/v2/a/tags/list?n=2").await;
    assert_eq!(line(&page, "link"), Some("</v2/a/tags/list?n=2&last=v2>; rel=\"next\""));
    assert_eq!(json(page).await["tags"], serde_json::json!(["v1", "v2"]));
    assert_eq!(json(get(&registry, "/v2/a/tags/list?n=2&last=v2").await).await["tags"], serde_json::json!(["v3"]));
}
