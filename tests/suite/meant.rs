//! What a name that is nowhere was meant to be: near ones among what the namespace runs, and the same at the registries
//! that the pod has logins for. Said beside a denial, and never to anybody who could not see it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use pullgate::check::Engine;
use pullgate::demo::registry::{Answer, Behaviour, Login, Registry, RegistrySpec};
use pullgate::finding::Code;
use pullgate::verdict::{Decision, Verdict};
use tokio::time::Instant;

use crate::support::{PATIENCE, TEAM, World, cluster, codes, pod, secret, seen};

const OTHERS: &str = "team-b";

/// A registry with the private `team/api:v1`, which ann and bob may pull.
async fn world(login: Login) -> World {
    let world = World::start(|spec: RegistrySpec| spec.login(login), PATIENCE).await;
    world.registry.push("team/api", "v1");
    world.registry.private("team", &["ann", "bob"]);
    world.registry.set_password("ann", "a");
    world.registry.set_password("bob", "b");
    world
}

async fn fix(world: &World, engine: &Engine, namespace: &str, image: &str, secrets: &[&str]) -> String {
    let verdict = world.check(engine, &pod(namespace, &[image.to_owned()], secrets)).await;
    assert_eq!(verdict.decision, Decision::Deny, "{:?}", verdict.findings);
    verdict.findings[0].fix.clone()
}

async fn runs(world: &World, engine: &Engine, namespace: &str, image: &str, secrets: &[&str]) {
    let verdict = world.check(engine, &pod(namespace, &[image.to_owned()], secrets)).await;
    assert_eq!(codes(&verdict), [], "{:?}", verdict.findings);
}

#[tokio::test]
async fn a_slip_in_a_name_is_answered_with_what_the_namespace_runs() {
    for login in [Login::None, Login::bearer(), Login::Basic] {
        let world = world(login).await;
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "a")]));
        let (good, bad) = (world.image("team/api:v1"), world.image("team/apj:v1"));
        let before = fix(&world, &engine, TEAM, &bad, &["regcred"]).await;
        assert!(!before.contains("did you mean"), "nobody knows it yet: {before}");
        runs(&world, &engine, TEAM, &good, &["regcred"]).await;
        world.seen();
        let meant = format!("did you mean {}? ", world.image("team/api"));
        let after = fix(&world, &engine, TEAM, &bad, &["regcred"]).await;
        assert_eq!(after, format!("{meant}{before}"));
        assert!(world.seen().iter().all(|line| !line.contains("200 ann")), "what is known is not asked");
        // Of a repository that is there only the tag is missing.
        let tag = fix(&world, &engine, TEAM, &world.image("team/api:v9"), &["regcred"]).await;
        assert!(!tag.contains("team/api?"), "{tag}");
    }
}

#[tokio::test]
async fn neither_another_namespace_nor_another_login_hears_of_a_repository() {
    let world = world(Login::bearer()).await;
    let secrets = [
        world.secret(TEAM, "anns", "ann", "a"),
        world.secret(TEAM, "bobs", "bob", "b"),
        world.secret(OTHERS, "anns", "ann", "a"),
    ];
    let engine = world.engine(&cluster(&secrets));
    let bad = world.image("team/apj:v1");
    runs(&world, &engine, TEAM, &world.image("team/api:v1"), &["anns"]).await;
    for (namespace, secrets, said) in [
        (TEAM, &["anns"][..], true),
        // The very login, and a namespace that never ran it.
        (OTHERS, &["anns"], false),
        // A login that may pull it, too, and that nobody has seen do so.
        (TEAM, &["bobs"], false),
        (TEAM, &[], false),
        (TEAM, &["bobs", "anns"], true),
    ] {
        let verdict = world.check(&engine, &pod(namespace, std::slice::from_ref(&bad), secrets)).await;
        let said_so = format!("{verdict:?}").contains("team/api\"") || verdict.findings[0].fix.contains("team/api?");
        assert_eq!(said_so, said, "{namespace} {secrets:?}: {:?}", verdict.findings);
    }
}

#[tokio::test]
async fn what_a_login_lost_is_not_said_to_it() {
    let world = world(Login::bearer()).await;
    let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "a")]));
    let (good, bad) = (world.image("team/api:v1"), world.image("team/apj:v1"));
    let said = async |expected: bool| {
        let fix = fix(&world, &engine, TEAM, &bad, &["regcred"]).await;
        assert_eq!(fix.contains("team/api?"), expected, "{fix}");
    };
    runs(&world, &engine, TEAM, &good, &["regcred"]).await;
    said(true).await;
    // Longer than anything stands in for a fact.
    world.clock.advance(Duration::from_hours(25));
    said(false).await;
    runs(&world, &engine, TEAM, &good, &["regcred"]).await;
    said(true).await;
    world.registry.private("team", &["bob"]);
    world.registry.revoke_tokens();
    world.clock.advance(Duration::from_mins(10));
    fix(&world, &engine, TEAM, &good, &["regcred"]).await;
    said(false).await;
}

/// Docker Hub is the world's registry, without `encoder`; another one has it for ann.
async fn two(login: Login) -> (World, Registry) {
    let mut world = World::with(Login::None).await;
    let hub = format!("server = 'https://{}'\n", world.registry.host());
    world.declare("docker.io", &hub, &[]);
    let other = world.another(|spec| spec.login(login)).await;
    for repository in ["encoder", "team/encoder", "library/encoder"] {
        other.push(repository, "latest");
        other.push(repository, "v1");
        other.private(repository, &["ann"]);
    }
    other.set_password("ann", "a");
    (world, other)
}

fn engine(world: &World, host: &str, password: &str) -> Engine {
    world.engine(&cluster(&[secret(TEAM, "regcred", host, "ann", password)]))
}

#[tokio::test]
async fn a_bare_name_means_docker_hub_and_the_registry_that_has_it_is_named() {
    for login in [Login::bearer(), Login::Basic] {
        let (world, other) = two(login).await;
        let host = other.host();
        let team = format!("{host}/team");
        for (entry, image, expected) in [
            (
                &host,
                "encoder:v1",
                format!(
                    "no registry is written, so docker.io/library/encoder is meant; {host}/encoder has it; write:\n  image: {host}/encoder:v1"
                ),
            ),
            (&team, "encoder", format!("; {team}/encoder has it; ")),
            (&host, "team/encoder:v1", format!("docker.io/team/encoder is meant; {host}/team/encoder has it; ")),
            (&host, "docker.io/library/encoder:v1", format!("{host}/library/encoder has it; ")),
            (&host, "encoder:v2", "no registry is written, so docker.io/library/encoder is meant; check".to_owned()),
        ] {
            let engine = engine(&world, entry, "a");
            let said = fix(&world, &engine, TEAM, image, &["regcred"]).await;
            assert!(said.contains(&expected), "{image} with {entry}: {said}");
            assert!(world.registry.requests().iter().all(|request| !request.sent_login), "{image}");
            let asked = seen(&other);
            assert_eq!(
                asked.iter().filter(|line| line.contains("manifest") && line.contains("ann")).count(),
                1,
                "{asked:?}"
            );
            assert_eq!(fix(&world, &engine, TEAM, image, &["regcred"]).await, said);
            assert_eq!(seen(&other), [""; 0], "held");
        }
    }
}

#[tokio::test]
async fn a_pod_without_a_login_for_a_registry_hears_nothing_of_it() {
    let (world, other) = two(Login::bearer()).await;
    let secrets = [
        secret(TEAM, "regcred", &other.host(), "ann", "a"),
        secret(OTHERS, "regcred", &other.host(), "bob", "b"),
        secret(TEAM, "glob", "*.example", "ann", "a"),
    ];
    let engine = world.engine(&cluster(&secrets));
    for (namespace, secrets, said) in
        [(TEAM, &["regcred"][..], true), (OTHERS, &["regcred"], false), (TEAM, &[], false), (TEAM, &["glob"], false)]
    {
        let fix = fix(&world, &engine, namespace, "encoder:v1", secrets).await;
        assert_eq!(fix.contains("has it"), said, "{namespace} {secrets:?}: {fix}");
        assert_eq!(fix.contains(&other.host()), said, "{namespace} {secrets:?}: {fix}");
    }
}

/// Everything of a verdict that decides.
fn decided(verdict: &Verdict) -> (Decision, Decision, Vec<(Code, bool)>) {
    let findings = verdict.findings.iter().map(|finding| (finding.code, finding.certain)).collect();
    (verdict.decision, verdict.would, findings)
}

#[tokio::test]
async fn no_answer_of_another_registry_changes_the_verdict() {
    let (world, other) = two(Login::None).await;
    let check = async |engine: &Engine| world.check(engine, &pod(TEAM, &["encoder:v1".to_owned()], &["regcred"])).await;
    let alone = check(&world.engine(&cluster(&[]))).await;
    assert_eq!(decided(&alone).0, Decision::Deny);
    for behaviour in [
        Behaviour::Honest,
        Behaviour::Hang,
        Behaviour::Answer(Answer::status(401)),
        Behaviour::Answer(Answer::status(404)),
        Behaviour::Answer(Answer::status(429)),
        Behaviour::Answer(Answer::status(500)),
        Behaviour::Answer(Answer::html(200)),
    ] {
        let honest = matches!(behaviour, Behaviour::Honest);
        let shown = format!("{behaviour:?}");
        other.behave("encoder", behaviour);
        let verdict = check(&engine(&world, &other.host(), "a")).await;
        assert_eq!(decided(&verdict), decided(&alone), "{shown}");
        assert!(!seen(&other).is_empty(), "{shown}");
        let has = verdict.findings[0].fix.contains("has it");
        assert!(has || !honest, "{}", verdict.findings[0].fix);
    }
    other.stop().await;
    assert_eq!(decided(&check(&engine(&world, &other.host(), "a")).await), decided(&alone));
}

#[tokio::test]
async fn a_time_that_is_up_is_up_for_questions_beside_it() {
    use pullgate::credentials::Candidate;
    let (world, other) = two(Login::None).await;
    other.behave("encoder", Behaviour::Hang);
    let engine = engine(&world, &other.host(), "a");
    let reference = world.ask_for(&format!("{}/encoder:v1", other.host()), None).reference;
    let candidate = Candidate {
        key: other.host().into(),
        credential: Some(std::sync::Arc::new(pullgate::credentials::Credential::new("ann", "a"))),
        ..Candidate::anonymous()
    };
    let rule = world.policy.registry(reference.registry());
    assert_eq!(engine.resolver.has(rule, &reference, &candidate, Instant::now()).await, None);
    assert_eq!(engine.resolver.has(rule, &reference, &Candidate::anonymous(), crate::support::soon()).await, None);
    assert_eq!(seen(&other), [""; 0]);
}

#[tokio::test]
async fn after_429_to_such_a_question_a_registry_is_left_alone_with_them() {
    let (world, other) = two(Login::None).await;
    other.behave("encoder", Answer::status(429));
    let engine = engine(&world, &other.host(), "a");
    for (image, wait, asked) in
        [("encoder:v1", 0, 1), ("team/encoder:v1", 0, 0), ("team/encoder:v1", 59_900, 0), ("team/encoder:v1", 100, 1)]
    {
        world.clock.advance(Duration::from_millis(wait));
        let fix = fix(&world, &engine, TEAM, image, &["regcred"]).await;
        let heads = seen(&other).iter().filter(|line| line.starts_with("HEAD")).count();
        assert_eq!((heads, fix.contains("has it")), (asked, wait == 100), "{image} after {wait} ms: {fix}");
    }
}

#[tokio::test]
async fn a_login_that_another_registry_refused_is_not_shown_there_for_every_name() {
    for login in [Login::bearer(), Login::Basic] {
        let (world, other) = two(login).await;
        let engine = engine(&world, &other.host(), "wrong");
        let mut shown = Vec::new();
        for image in ["encoder:v1", "team/encoder:v1", "encoder", "encoder:v1"] {
            let fix = fix(&world, &engine, TEAM, image, &["regcred"]).await;
            assert!(!fix.contains("has it"), "{fix}");
            shown.push(other.requests().iter().filter(|request| request.sent_login).count());
        }
        assert!(shown[0] > 0 && shown.iter().all(|times| *times == shown[0]), "{shown:?}");
    }
}

#[tokio::test]
async fn a_registry_that_the_operator_refuses_is_not_asked() {
    let (mut world, other) = two(Login::None).await;
    let refused = format!(
        "guard: {{ allowAddresses: [127.0.0.0/8], registries: {{ deny: ['{}'] }} }}\nmode: enforce\n",
        other.host()
    );
    world.policy.guard = pullgate::config::parse(&refused, "refused.yaml").unwrap().guard;
    let engine = engine(&world, &other.host(), "a");
    let said = fix(&world, &engine, TEAM, "encoder:v1", &["regcred"]).await;
    assert!(said.contains("is meant") && !said.contains("has it"), "{said}");
    assert_eq!(seen(&other), [""; 0]);
}

#[tokio::test]
async fn two_other_names_are_asked_for_at_most() {
    let (world, other) = two(Login::None).await;
    let config = |name: &str| secret(TEAM, name, &format!("{}/{name}", other.host()), "ann", "a");
    let names = ["a", "b", "c", "d"];
    let engine = world.engine(&cluster(&names.map(config)));
    fix(&world, &engine, TEAM, "encoder:v1", &names).await;
    assert_eq!(seen(&other), ["HEAD manifest 404", "HEAD manifest 404"]);
}
