//! One more question that tells the causes of a refusal apart: when it is asked, when never, and what it changes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod logins;

use std::time::Duration;

use pullgate::demo::registry::{Access, Answer, Behaviour, Login, MissingRepository, RegistrySpec, Target};
use pullgate::finding::{Code, Probed};
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::{Decision, Verdict};

use crate::gate::scene;
use crate::support::{PATIENCE, TEAM, World, cluster, codes, failed, login, pod};

/// A registry with the public `open:v1` and the private `team/api:v1`, which only ann may pull.
async fn world(change: impl FnOnce(RegistrySpec) -> RegistrySpec) -> World {
    let world = World::start(change, PATIENCE).await;
    world.registry.push("open", "v1");
    world.registry.push("team/api", "v1");
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "right");
    world.registry.set_password("bob", "right");
    world
}

/// As the reference implementation: the same words for a missing tag and a missing repository.
async fn distribution(login: Login) -> World {
    world(|spec| RegistrySpec { missing_repository: MissingRepository::ManifestUnknown, ..spec.login(login) }).await
}

async fn judged(world: &World, image: &str, secret: Option<(&str, &str)>) -> Verdict {
    let secrets: Vec<String> =
        secret.into_iter().map(|(user, password)| world.secret(TEAM, "regcred", user, password)).collect();
    let engine = world.engine(&cluster(&secrets));
    let named: &[&str] = if secrets.is_empty() { &[] } else { &["regcred"] };
    world.check(&engine, &pod(TEAM, &[world.image(image)], named)).await
}

fn probed(verdict: &Verdict) -> Probed {
    verdict.findings[0].probed.unwrap_or_default()
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_told_from_a_tag_where_the_404_says_neither() {
    for login in [Login::None, Login::bearer(), Login::Basic] {
        let secret = (!matches!(login, Login::None)).then_some(("ann", "right"));
        let world = distribution(login).await;
        let digest = format!("@sha256:{}", "0".repeat(64));
        for (image, code, repository, words) in [
            ("open:v9".to_owned(), Code::TagNotFound, true, "newer than every version there"),
            (format!("open{digest}"), Code::DigestNotFound, true, "the repository is there: deleted"),
            ("nothing:v1".to_owned(), Code::TagNotFound, false, ""),
            ("team/apii:v1".to_owned(), Code::TagNotFound, false, ""),
        ] {
            let verdict = judged(&world, &image, secret).await;
            assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![code]), "{image}");
            assert!(verdict.findings[0].fix.starts_with(words), "{}", verdict.findings[0].fix);
            // The registry says MANIFEST_UNKNOWN to this question too, where nothing was ever pushed.
            assert_eq!(probed(&verdict).repository, repository.then_some(true), "{image}");
        }
    }
}

#[tokio::test]
async fn name_unknown_to_the_question_for_tags_names_the_repository() {
    let world = distribution(Login::None).await;
    let unknown = Answer::envelope(404, "NAME_UNKNOWN", "repository name not known to registry");
    world.registry.behave(Target::tags("nothing"), unknown);
    for image in ["nothing:v1".to_owned(), format!("nothing@sha256:{}", "0".repeat(64))] {
        let verdict = judged(&world, &image, None).await;
        assert_eq!(codes(&verdict), [Code::RepositoryNotFound], "{image}");
        let words = Some("NAME_UNKNOWN: repository name not known to registry");
        assert_eq!((probed(&verdict).repository, verdict.findings[0].registry.as_deref()), (Some(false), words));
        assert_eq!(world.seen(), ["HEAD manifest 404", "GET manifest 404", "GET Tags 404"]);
    }
}

#[tokio::test]
async fn any_other_answer_to_the_question_for_tags_changes_nothing() {
    for answer in [
        Answer::status(401),
        Answer::envelope(403, "DENIED", "no listing"),
        Answer::status(404),
        Answer::envelope(405, "UNSUPPORTED", "n is too large"),
        Answer::status(429),
        Answer::status(503),
        Answer::html(200),
        Answer::status(200).body("application/json", "x".repeat(9000)),
        Answer::status(200).body("application/json", r#"{"tags":[]}"#),
    ] {
        let world = distribution(Login::None).await;
        let shown = format!("{answer:?}");
        world.registry.behave(Target::tags("open"), answer);
        let verdict = judged(&world, "open:v9", None).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]), "{shown}");
        assert_eq!(verdict.findings[0].probed, None, "{shown}");
    }
}

#[tokio::test]
async fn a_question_is_asked_only_before_a_denial_and_not_again_while_its_answer_is_held() {
    let world = distribution(Login::None).await;
    let resolver = world.resolver();
    let resolve = |freshness| world.resolve(&resolver, "open:v9", None, freshness);
    for freshness in [Freshness::Cached, Freshness::Recent, Freshness::Asked(world.clock.now())] {
        resolve(freshness).await.outcome.unwrap_err();
    }
    assert_eq!(world.seen(), ["HEAD manifest 404"]);
    let fresh = resolve(Freshness::Fresh(world.clock.now())).await.outcome.unwrap_err();
    assert_eq!(
        (fresh.probed.unwrap().repository, world.seen()),
        (Some(true), vec!["GET manifest 404".to_owned(), "GET Tags 200".to_owned()])
    );
    for (wait, asked) in [(59_999, 0), (1, 1)] {
        world.clock.advance(Duration::from_millis(wait));
        let fresh = resolve(Freshness::Fresh(world.clock.now())).await.outcome.unwrap_err();
        assert_eq!(fresh.probed.unwrap().repository, Some(true));
        assert_eq!(world.seen().iter().filter(|line| line.contains("Tags")).count(), asked, "after {wait} ms more");
    }
}

#[tokio::test]
async fn a_question_that_does_not_end_costs_a_second_and_changes_nothing() {
    let world = World::start(|spec| spec, Duration::from_secs(20)).await;
    world.registry.push("open", "v1");
    world.registry.behave(Target::tags("open"), Behaviour::Hang);
    let verdict = judged(&world, "open:v9", None).await;
    assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]));
    assert_eq!(verdict.findings[0].probed, None);
}

#[tokio::test]
async fn after_429_to_a_question_a_registry_is_left_alone_with_them() {
    let world = distribution(Login::None).await;
    let engine = world.engine(&cluster(&[]));
    for name in ["open", "nothing", "other"] {
        world.registry.behave(Target::tags(name), Answer::status(429));
    }
    for (image, wait, asked) in
        [("open:v9", 0, 1), ("nothing:v9", 0, 0), ("nothing:v8", 59_990, 0), ("other:v8", 10, 1)]
    {
        world.clock.advance(Duration::from_millis(wait));
        world.seen();
        let verdict = world.check(&engine, &pod(TEAM, &[world.image(image)], &[])).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]), "{image}");
        assert_eq!(world.seen().iter().filter(|line| line.contains("Tags")).count(), asked, "{image}");
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_registry_that_said_429_meanwhile() {
    let world = distribution(Login::None).await;
    world.registry.behave("slow", Behaviour::Slow(Duration::from_millis(300)));
    world.registry.behave("busy", Answer::status(429));
    let resolver = world.resolver();
    let fresh = Freshness::Fresh(world.clock.now());
    let resolve = |name| world.resolve(&resolver, name, None, fresh);
    let (slow, busy) = tokio::join!(resolve("slow:v9"), resolve("busy:v9"));
    assert_eq!((failed(&slow).0, failed(&busy).0), (Code::TagNotFound, Code::RateLimited));
    assert!(world.seen().iter().all(|line| !line.contains("Tags")));
}

#[tokio::test]
async fn questions_and_expired_logins_are_counted() {
    for (code, families) in [
        (Code::TagNotFound, &["pullgate_registry_probes_total{probe=\"repository\",outcome=\"yes\"}"][..]),
        (
            Code::CredentialsExpired,
            &[
                "pullgate_registry_probes_total{probe=\"public\",outcome=\"no\"}",
                "pullgate_credentials_expired_total{token=\"ecr\"}",
            ],
        ),
    ] {
        let scene = scene(code).await;
        for family in families {
            assert_eq!(scene.gate.metric(family), 0, "{family}");
        }
        scene.gate.validate(&scene.review).await;
        for family in families {
            assert_eq!(scene.gate.metric(family), 1, "{family}");
        }
    }
}

#[tokio::test]
async fn nothing_is_asked_after_a_failure_that_is_uncertain() {
    for answer in [Answer::status(429), Answer::status(503), Answer::html(403)] {
        let world = world(|spec| spec.login(Login::bearer())).await;
        world.registry.behave("team/api", answer);
        let verdict = judged(&world, "team/api:v1", Some(("ann", "right"))).await;
        assert_eq!(verdict.decision, Decision::Warn);
        assert_eq!(verdict.findings[0].probed, None);
        assert!(world.seen().iter().filter(|line| line.contains("token")).count() <= 1);
    }
}

#[tokio::test]
async fn that_an_image_is_public_is_said_and_admits_nothing() {
    for (kind, secret, code) in [
        (Login::bearer(), ("ann", "wrong"), Code::CredentialsRejected),
        (Login::Basic, ("ann", "wrong"), Code::CredentialsRejected),
    ] {
        let world = world(|spec| spec.login(kind).access(Access { open: true, ..Access::default() })).await;
        // A repository that wants a login of whoever shows one, as most registries with accounts do.
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", secret.0, secret.1)]));
        let both = pod(TEAM, &[world.image("team/api:v1"), world.image("open:v1")], &["regcred"]);
        let private = world.check(&engine, &both).await;
        assert_eq!(codes(&private), [code]);
        assert_eq!(probed(&private).public, Some(false));
    }
    let world = world(|spec| spec.login(Login::bearer())).await;
    for _ in 0..2 {
        let verdict = judged(&world, "open:v1", Some(("ann", "wrong"))).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::CredentialsRejected]));
        assert_eq!(probed(&verdict).public, Some(true));
        let finding = &verdict.findings[0];
        assert!(finding.message().ends_with("; the image itself is public"), "{}", finding.message());
        assert!(
            finding.fix.starts_with("no longer name Secret \"regcred\", or renew it:\n  kubectl"),
            "{}",
            finding.fix
        );
        assert!(verdict.images[0].digest.is_none() && !verdict.images[0].pinnable);
    }
}

#[tokio::test]
async fn what_a_stranger_was_shown_is_asked_once_for_all_logins() {
    let world = world(|spec| spec.login(Login::bearer())).await;
    let resolver = world.resolver();
    for number in 0..3 {
        let wrong = login("ann", &format!("wrong {number}"));
        let refused = world.resolve(&resolver, "open:v1", wrong, Freshness::Fresh(world.clock.now())).await;
        assert_eq!(refused.outcome.unwrap_err().probed.unwrap().public, Some(true));
    }
    let strangers = world.seen().iter().filter(|line| *line == "HEAD manifest 200").count();
    assert_eq!(strangers, 1);
}

#[tokio::test]
async fn an_exception_holds_however_much_was_asked() {
    let mut world = distribution(Login::None).await;
    let unknown = Answer::envelope(404, "NAME_UNKNOWN", "repository name not known to registry");
    world.registry.behave(Target::tags("nothing"), unknown);
    for (code, decision) in [
        ("TagNotFound", Decision::Allow),
        ("RepositoryNotFound", Decision::Allow),
        ("DigestNotFound", Decision::Deny),
        ("AccessDenied", Decision::Deny),
    ] {
        let image = world.image("nothing:v1");
        let exception = format!("mode: enforce\nexceptions: [{{ namespace: {TEAM}, image: '{image}', code: {code} }}]");
        let exceptions = pullgate::config::parse(&exception, "exceptions.yaml").unwrap().exceptions;
        world.policy.exceptions = exceptions;
        let engine = world.engine(&cluster(&[]));
        let pod = pod(TEAM, std::slice::from_ref(&image), &[]);
        // Asked for by another namespace a moment ago, so that everything is known.
        let others = world.check(&engine, &crate::support::pod("others", std::slice::from_ref(&image), &[])).await;
        assert_eq!(codes(&others), [Code::RepositoryNotFound]);
        assert_eq!(world.check(&engine, &pod).await.decision, decision, "{code}");
    }
}
