//! `pullgate explain`: the reference, the candidates in the kubelet's order, and with a network the answer.

use pullgate::demo::registry::Login;
use serde_json::json;

use super::Desk;
use crate::gate::{OTHER_PASSWORD, PASSWORD};

#[tokio::test]
async fn explain_offline_shows_reference_and_candidates_and_asks_nobody() {
    let desk = Desk::new(Login::Basic).await;
    let args =
        ["explain", "R/team/api:v1", "--offline", "-o", "json", "--pull-secret", "regcred", "--pull-secret", "narrow"];
    let done = desk.run(&args).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let json = done.json();
    assert_eq!(json["reference"], json!({ "registry": "R", "repository": "team/api", "tag": "v1", "digest": null }));
    // The kubelet tries the longer key first, whatever the order of the Secrets.
    let expected = json!([
        { "source": "Secret \"narrow\"", "key": "R/team/api", "username": "ann" },
        { "source": "Secret \"regcred\"", "key": "R", "username": "ann" },
    ]);
    assert_eq!(json["candidates"], expected);
    assert_eq!(json["results"], json!([]));
    assert!(!done.out.contains(PASSWORD));
    assert!(desk.registry.requests().is_empty());
}

#[tokio::test]
async fn explain_of_a_short_name_says_what_is_meant() {
    let desk = Desk::new(Login::None).await;
    let done = desk.run(&["explain", "busybox", "--offline", "-o", "json"]).await;
    let expected = json!({ "registry": "docker.io", "repository": "library/busybox", "tag": "latest", "digest": null });
    assert_eq!(done.json()["reference"], expected);
    assert_eq!(done.json()["candidates"], json!([{ "source": "anonymous", "key": "", "username": null }]));
}

#[tokio::test]
async fn explain_names_a_secret_that_does_not_decode() {
    let desk = Desk::new(Login::None).await;
    let args = ["explain", "R/open:v1", "--offline", "--pull-secret", "nonsense"];
    let done = desk.run(&[&args[..], &["-o", "json"]].concat()).await;
    assert_eq!(done.code, 1);
    assert_eq!(
        done.json()["malformed"],
        json!({ "secret": "nonsense", "error": "illegal base64 data at input byte 0" })
    );
    assert_eq!(done.json()["candidates"], json!([]));
    let done = desk.run(&args).await;
    assert!(done.out.contains("Secret \"nonsense\": no kubelet can decode it"), "{}", done.out);
}

#[tokio::test]
async fn explain_online_ends_with_the_answer() {
    let desk = Desk::new(Login::Basic).await;
    let done = desk.run(&["explain", "R/team/api:v1", "--pull-secret", "bobs", "--pull-secret", "gone"]).await;
    assert_eq!(done.code, 1);
    for line in [
        "  repository  team/api\n",
        "  Secret \"gone\": not there\n",
        "  1. Secret \"bobs\", key R, user \"bob\", password not shown\n",
    ] {
        assert!(done.out.contains(line), "{line}: {}", done.out);
    }
    assert!(!done.out.contains(OTHER_PASSWORD));
}
