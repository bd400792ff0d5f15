//! Two namespaces, two Secrets, one private image: what one may see never answers for the other.

use std::sync::Arc;
use std::time::Duration;

use pullgate::check::Engine;
use pullgate::credentials::{Candidate, Credential, Source};
use pullgate::demo::registry::{Access, Login};
use pullgate::finding::Code;
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::Verdict;
use pullgate::workload::{PullSecretNames, Workload};

use crate::support::{Ask, PATIENCE, World, cluster, codes, failed, login, pod, secret, soon};

const ANN: &str = "team-ann";
const BOB: &str = "team-bob";
const NOBODY: &str = "team-nobody";

/// ann may pull `team/api:v1`, bob may not; each namespace has its owner's login in a Secret of the same name.
async fn world(login: Login) -> (World, Engine) {
    let access = Access { open: true, ..Access::default() };
    let world = World::start(|spec| spec.login(login).access(access), PATIENCE).await;
    world.registry.push("team/api", "v1");
    world.registry.push("open", "v1");
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "a");
    world.registry.set_password("bob", "b");
    let secrets = [world.secret(ANN, "regcred", "ann", "a"), world.secret(BOB, "regcred", "bob", "b")];
    let engine = world.engine(&cluster(&secrets));
    (world, engine)
}

async fn check(world: &World, engine: &Engine, namespace: &str) -> Verdict {
    world.check(engine, &pod(namespace, &[world.image("team/api:v1")], &["regcred"])).await
}

#[tokio::test]
async fn what_one_may_pull_says_nothing_about_the_other_in_any_order() {
    let orders = [
        [ANN, BOB, NOBODY],
        [ANN, NOBODY, BOB],
        [BOB, ANN, NOBODY],
        [BOB, NOBODY, ANN],
        [NOBODY, ANN, BOB],
        [NOBODY, BOB, ANN],
    ];
    for login in [Login::Basic, Login::bearer()] {
        for order in orders {
            let (world, engine) = world(login.clone()).await;
            // Twice: with nothing known, and with everything known.
            for namespace in order.into_iter().chain(order) {
                let verdict = check(&world, &engine, namespace).await;
                let expected = match (namespace, &login) {
                    (ANN, _) => vec![],
                    // A Basic login that may not pull is refused with the same 401 as a wrong one.
                    (BOB, Login::Basic) => vec![Code::CredentialsRejected],
                    (BOB, _) => vec![Code::NotFoundOrNoAccess],
                    _ => vec![Code::CredentialsMissing],
                };
                assert_eq!(codes(&verdict), expected, "{namespace} in {order:?}");
                assert_eq!(verdict.images[0].digest.is_some(), namespace == ANN);
            }
        }
    }
}

#[tokio::test]
async fn what_was_pulled_does_not_answer_for_its_digest_either() {
    for login in [Login::Basic, Login::bearer()] {
        let (world, engine) = world(login).await;
        let digest = world.registry.push("team/api", "v1");
        assert_eq!(codes(&check(&world, &engine, ANN).await), []);
        let pinned = [world.image(&format!("team/api:v1@{digest}"))];
        for namespace in [BOB, NOBODY] {
            let verdict = world.check(&engine, &pod(namespace, &pinned, &["regcred"])).await;
            assert!(verdict.images[0].digest.is_none() && verdict.findings[0].certain, "{namespace}");
        }
        assert_eq!(codes(&world.check(&engine, &pod(ANN, &pinned, &["regcred"])).await), []);
    }
}

#[tokio::test]
async fn a_token_is_used_for_nobody_but_its_login() {
    let (world, engine) = world(Login::bearer()).await;
    for namespace in [ANN, BOB, ANN, BOB] {
        check(&world, &engine, namespace).await;
        for request in world.registry.requests() {
            let owner = if namespace == ANN { "ann" } else { "bob" };
            assert!(request.as_user.is_none_or(|user| user == owner), "{namespace}");
        }
        world.seen();
        world.clock.advance(Duration::from_secs(181));
    }
}

#[tokio::test]
async fn an_outage_lets_nobody_see_what_another_saw() {
    let (world, engine) = world(Login::bearer()).await;
    assert_eq!(codes(&check(&world, &engine, ANN).await), []);
    world.registry.stop().await;
    world.clock.advance(Duration::from_secs(61));
    let stale = check(&world, &engine, ANN).await;
    assert!(stale.findings.is_empty() && stale.images[0].digest.is_some());
    for namespace in [BOB, NOBODY] {
        let verdict = check(&world, &engine, namespace).await;
        assert_eq!(codes(&verdict), [Code::RegistryUnreachable]);
        assert_eq!(verdict.images[0].digest, None);
    }
}

#[tokio::test]
async fn the_same_login_in_two_namespaces_shares_its_facts() {
    let (world, _) = world(Login::bearer()).await;
    let secrets = [world.secret(ANN, "regcred", "ann", "a"), world.secret(BOB, "another-name", "ann", "a")];
    let engine = world.engine(&cluster(&secrets));
    assert_eq!(codes(&check(&world, &engine, ANN).await), []);
    world.seen();
    let other = pod(BOB, &[world.image("team/api:v1")], &["another-name"]);
    assert_eq!(codes(&world.check(&engine, &other).await), []);
    assert_eq!(world.seen(), [""; 0]);
}

#[tokio::test]
async fn a_secret_is_read_in_the_pods_own_namespace_only() {
    let (world, engine) = world(Login::bearer()).await;
    let verdict = check(&world, &engine, NOBODY).await;
    assert_eq!(codes(&verdict), [Code::CredentialsMissing]);
    assert!(verdict.notices.iter().any(|notice| notice.message.contains("\"regcred\" is not in namespace")));
    assert!(world.registry.requests().iter().all(|request| !request.authorised || request.as_user.is_none()));
}

#[tokio::test]
async fn two_logins_whose_parts_run_together_are_two() {
    let (world, engine) = world(Login::Basic).await;
    world.registry.set_password("ab", "c");
    world.registry.private("team", &["ab"]);
    let resolve =
        |user, password| world.resolve(&engine.resolver, "team/api:v1", login(user, password), Freshness::Cached);
    assert!(resolve("ab", "c").await.outcome.is_ok());
    assert_eq!(failed(&resolve("a", "bc").await).0, Code::CredentialsRejected);
}

#[tokio::test]
async fn candidates_are_tried_in_their_order_and_the_first_success_ends_it() {
    let (world, engine) = world(Login::bearer()).await;
    let Ask { reference, .. } = world.ask("team/api:v1", None);
    let rule = world.policy.registry(reference.registry());
    let candidate = |name: &str, user: &str, password: &str| Candidate {
        source: Source::PullSecret(name.into()),
        key: world.registry.host().into(),
        credential: Some(Arc::new(Credential::new(user, password))),
    };
    let (bob, ann) = (candidate("first", "bob", "b"), candidate("second", "ann", "a"));
    let resolve = async |candidates: Vec<Candidate>| {
        engine.resolver.resolve(rule, &reference, &candidates, Freshness::Cached, soon()).await
    };
    let outcome = |attempts: Vec<pullgate::facts::Attempt>| -> Vec<(String, bool)> {
        attempts.into_iter().map(|attempt| (attempt.source.to_string(), attempt.outcome.is_ok())).collect()
    };
    let both = outcome(resolve(vec![bob.clone(), ann.clone()]).await);
    assert_eq!(both, [("Secret \"first\"".to_owned(), false), ("Secret \"second\"".to_owned(), true)]);
    assert_eq!(outcome(resolve(vec![ann, bob]).await), [("Secret \"second\"".to_owned(), true)]);
}

#[tokio::test]
async fn the_pods_secrets_are_tried_in_the_order_in_which_it_names_them() {
    let (world, _) = world(Login::bearer()).await;
    let secrets = [world.secret(ANN, "bobs", "bob", "b"), world.secret(ANN, "anns", "ann", "a")];
    let engine = world.engine(&cluster(&secrets));
    let named = |names: &[&str]| pod(ANN, &[world.image("team/api:v1")], names);
    // ann's login comes first and ends it.
    assert_eq!(codes(&world.check(&engine, &named(&["anns", "bobs"])).await), []);
    assert!(world.registry.requests().iter().all(|request| request.as_user.as_deref() != Some("bob")));
    world.seen();
    assert_eq!(codes(&world.check(&engine, &named(&["bobs", "anns"])).await), []);
    assert_eq!(world.registry.requests().iter().filter(|request| request.as_user.as_deref() == Some("ann")).count(), 0);
    // And the finding names both, in that order.
    world.registry.private("team", &["carol"]);
    world.registry.revoke_tokens();
    world.clock.advance(Duration::from_secs(181));
    let verdict = world.check(&engine, &named(&["bobs", "anns"])).await;
    let tried: Vec<&str> = verdict.findings[0].tried.iter().map(|tried| tried.source.as_str()).collect();
    assert_eq!(tried, ["Secret \"bobs\"", "Secret \"anns\""]);
}

#[tokio::test]
async fn anonymous_is_not_tried_after_a_login_failed() {
    let (world, engine) = world(Login::bearer()).await;
    let wrong = [world.secret(ANN, "regcred", "ann", "wrong")];
    let public = pod(ANN, &[world.image("open:v1")], &["regcred"]);
    // Where the registry asks nobody, the login is not even shown.
    assert_eq!(codes(&world.check(&engine, &public).await), []);
    world.registry.set_access(Access::default());
    let engine = world.engine(&cluster(&wrong));
    assert_eq!(codes(&world.check(&engine, &public).await), [Code::CredentialsRejected]);
}

#[tokio::test]
async fn one_more_pull_secret_is_named_where_those_of_the_pod_come_from() {
    let (world, _) = world(Login::Basic).await;
    let account = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let metadata = serde_json::json!({ "name": "default", "namespace": ANN });
        serde_json::json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "imagePullSecrets": names })
            .to_string()
    };
    let elsewhere = secret(ANN, "elsewhere", "ghcr.io", "ann", "a");
    let listed = PullSecretNames::Final(vec!["elsewhere".to_owned()]);
    for (objects, names, expected) in [
        // As the API server leaves a pod that names none.
        (vec![account(&["elsewhere"])], listed.clone(), "patch serviceaccount default --type=json"),
        (
            vec![account(&["theirs"])],
            listed.clone(),
            ", or what has it of theirs to imagePullSecrets (those of ServiceAccount \"default\" do not count",
        ),
        (vec![account(&[])], listed.clone(), "\nthen add regcred-127-0-0-1-"),
        (vec![], listed, "\nthen add regcred-127-0-0-1-"),
        (vec![account(&["theirs"])], PullSecretNames::Nameless, "has an entry without a name, so that not even those"),
    ] {
        let engine = world.engine(&cluster(&[objects, vec![elsewhere.clone()]].concat()));
        let pod = Workload { pull_secrets: names, ..pod(ANN, &[world.image("team/api:v1")], &[]) };
        let verdict = world.check(&engine, &pod).await;
        assert_eq!(codes(&verdict), [Code::CredentialsMissing]);
        let fix = &verdict.findings[0].fix;
        assert!(fix.contains(expected), "{expected}: {fix}");
    }
}

#[tokio::test]
async fn a_pod_that_exists_keeps_its_pull_secrets_and_no_line_replaces_those_of_its_account() {
    let (world, _) = world(Login::Basic).await;
    let metadata = serde_json::json!({ "name": "default", "namespace": ANN });
    let names = serde_json::json!([{ "name": "theirs" }]);
    let account = serde_json::json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "imagePullSecrets": names });
    let engine = world.engine(&cluster(&[account.to_string()]));
    let names = PullSecretNames::Final(Vec::new());
    let pod = Workload { pull_secrets: names, existing: true, ..pod(ANN, &[world.image("team/api:v1")], &[]) };
    let verdict = world.check(&engine, &pod).await;
    assert_eq!(codes(&verdict), [Code::CredentialsMissing]);
    let fix = &verdict.findings[0].fix;
    assert!(fix.contains("make the pod anew: it keeps the list that it was made with"), "{fix}");
    assert!(!fix.contains("patch serviceaccount"), "{fix}");
}
