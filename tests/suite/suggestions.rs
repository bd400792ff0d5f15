//! What is near a tag that is not there: found with the pod's own login, in few requests, and never changing a verdict.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use pullgate::credentials::Candidate;
use pullgate::demo::registry::{Answer, Behaviour, Login, OCI_INDEX, OCI_MANIFEST, RegistrySpec, Target};
use pullgate::finding::Code;
use pullgate::resolver::fact::Freshness;
use pullgate::verdict::{Decision, Verdict};
use tokio::time::{Instant, sleep};

use crate::support::{Ask, PATIENCE, TEAM, World, cluster, codes, failed, pod, soon};

async fn world(login: Login) -> World {
    let world = World::start(|spec: RegistrySpec| spec.login(login), PATIENCE).await;
    for tag in ["v1.4.1", "v1.4.2", "v1.4.3-rc1", "latest"] {
        world.registry.push("team/api", tag);
    }
    world.registry.private("team", &["ann"]);
    world.registry.set_password("ann", "right");
    world.registry.set_password("bob", "right");
    world
}

async fn judged(world: &World, image: &str) -> Verdict {
    let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "right")]));
    world.check(&engine, &pod(TEAM, &[world.image(image)], &["regcred"])).await
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_answered_with_those_that_were_meant() {
    let world = world(Login::bearer()).await;
    for (tag, expected) in [
        (
            "v1.4.3",
            "did you mean v1.4.2 or v1.4.3-rc1? newer than every version there: perhaps not pushed yet; see which exist:\n  skopeo list-tags docker://",
        ),
        ("1.4.2", "did you mean v1.4.2 or v1.4.1?"),
        ("lates", "did you mean latest?"),
        ("nothing-like-it", "pushed under another tag, or not pushed yet; see which exist"),
    ] {
        let verdict = judged(&world, &format!("team/api:{tag}")).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]), "{tag}");
        assert!(verdict.findings[0].fix.contains(expected), "{tag}: {}", verdict.findings[0].fix);
    }
}

#[tokio::test]
async fn the_list_costs_one_request_and_only_a_denial_asks_for_it() {
    let world = world(Login::bearer()).await;
    let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "right")]));
    let pod_of = |tag: &str| pod(TEAM, &[world.image(&format!("team/api:{tag}"))], &["regcred"]);
    world.check(&engine, &pod_of("v1.4.2")).await;
    assert_eq!(world.seen().iter().filter(|line| line.contains("Tags")).count(), 0);
    world.check(&engine, &pod_of("v1.4.3")).await;
    assert_eq!(world.seen().iter().filter(|line| line.contains("Tags")).count(), 1);
    world.check(&engine, &pod_of("v1.4.3")).await;
    assert_eq!(world.seen().iter().filter(|line| line.contains("Tags")).count(), 0, "held");
}

#[tokio::test]
async fn many_pages_are_read_to_a_limit_and_a_list_that_fails_changes_nothing() {
    let world = world(Login::bearer()).await;
    for number in 0..5_000 {
        world.registry.push("team/api", &format!("build-{number:05}"));
    }
    let verdict = judged(&world, "team/api:v1.4.3").await;
    assert_eq!(codes(&verdict), [Code::TagNotFound]);
    assert_eq!(world.seen().iter().filter(|line| line.contains("Tags 200")).count(), 3, "three pages, no more");
    for answer in [Answer::status(500), Answer::status(404), Answer::status(429), Answer::status(401)] {
        world.registry.behave(Target::tags("team/api"), answer);
        let verdict = judged(&world, "team/api:v1.4.4").await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]));
        assert!(verdict.findings[0].nearest.is_none());
    }
}

#[tokio::test]
async fn nothing_is_newer_than_the_part_of_a_list_that_was_read() {
    for (tags, ahead) in [(2_990, true), (3_001, false)] {
        let world = world(Login::bearer()).await;
        for number in 0..tags {
            world.registry.push("team/api", &format!("9.0.{}", 10_000 + number));
        }
        let fix = judged(&world, "team/api:9.0.99999").await.findings[0].fix.clone();
        assert_eq!(fix.contains("newer than every version there"), ahead, "{tags}: {fix}");
    }
}

#[tokio::test]
async fn a_review_whose_time_is_up_while_the_list_is_read_has_its_refusal() {
    let world = world(Login::None).await;
    world.registry.push("open", "v1");
    world.registry.behave(Target::tags("open"), Behaviour::Hang);
    let resolver = world.resolver();
    let freshness = Freshness::Fresh(world.clock.now());
    let Ask { reference, .. } = world.ask("open:v2", None);
    let rule = world.policy.registry(reference.registry());
    let candidates = [Candidate::anonymous()];
    let waiting = resolver.resolve(rule, &reference, &candidates, freshness, soon());
    let hurried = async {
        let limit = soon();
        while !world.registry.requests().iter().any(|request| format!("{:?}", request.kind) == "Tags") {
            assert!(Instant::now() < limit, "{:?}", world.seen());
            sleep(Duration::from_millis(1)).await;
        }
        resolver.resolve(rule, &reference, &candidates, freshness, Instant::now()).await
    };
    let (waited, hurried) = tokio::join!(waiting, hurried);
    assert_eq!((failed(&hurried[0]).0, failed(&waited[0]).0), (Code::TagNotFound, Code::TagNotFound));
}

#[tokio::test]
async fn a_version_after_a_recent_build_is_perhaps_not_pushed_yet() {
    let (recent, old) =
        ("v1.4.2 was built 10 min ago: v1.4.3 perhaps not pushed yet; see", "newer than every version there; see");
    for (minutes, index, expected) in
        [(12, false, recent), (12, true, recent), (60 * 48, false, old), (60 * 48, true, old)]
    {
        let world = World::with(Login::bearer()).await;
        let built = world.clock.now() - Duration::from_mins(minutes);
        world.registry.push_built("team/api", "v1.4.2", &built.to_string(), index);
        let engine = world.engine(&cluster(&[world.secret(TEAM, "regcred", "ann", "right")]));
        world.registry.private("team", &["ann"]);
        world.registry.set_password("ann", "right");
        let pod = pod(TEAM, &[world.image("team/api:v1.4.3")], &["regcred"]);
        let verdict = world.check(&engine, &pod).await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]));
        assert!(verdict.findings[0].fix.contains(expected), "{index}: {}", verdict.findings[0].fix);
        let seen = world.seen();
        let count = |what: &str| seen.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!((count("GET manifest 200"), count("GET Blob 200")), (1 + usize::from(index), 1), "{seen:?}");
        world.check(&engine, &pod).await;
        assert!(world.seen().iter().all(|line| !line.starts_with("GET") || line.contains("404")), "held");
    }
}

#[tokio::test]
async fn a_commit_beside_a_recent_build_is_perhaps_not_pushed_yet() {
    let world = World::with(Login::None).await;
    let built = world.clock.now() - Duration::from_mins(61);
    world.registry.push_built("team/api", "sha-0a1b2c3", &built.to_string(), true);
    let verdict = judged(&world, "team/api:sha-3f2a91c").await;
    let expected = "sha-0a1b2c3 was built 1 h ago: sha-3f2a91c perhaps not pushed yet; see";
    assert!(verdict.findings[0].fix.contains(expected), "{}", verdict.findings[0].fix);
}

#[tokio::test]
async fn a_build_that_does_not_say_when_it_was_made_changes_nothing() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for (media_type, body) in [
        (OCI_MANIFEST, "{}".to_owned()),
        (OCI_MANIFEST, "[]".to_owned()),
        (OCI_MANIFEST, r#"{"config":{"digest":"nonsense"}}"#.to_owned()),
        (OCI_MANIFEST, format!(r#"{{"config":{{"digest":"{digest}"}}}}"#)),
        (OCI_INDEX, r#"{"manifests":[]}"#.to_owned()),
        (OCI_INDEX, format!(r#"{{"manifests":[{{"digest":"{digest}"}}]}}"#)),
        (OCI_INDEX, r#"{"manifests":[{"digest":"nonsense"}]}"#.to_owned()),
        (OCI_MANIFEST, " ".repeat(300_000)),
    ] {
        let world = World::with(Login::None).await;
        world.registry.push_raw("team/api", "v1.4.2", media_type, body.clone());
        let verdict = judged(&world, "team/api:v1.4.3").await;
        assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]), "{body:.90}");
        let expected = "did you mean v1.4.2? newer than every version there: perhaps not pushed yet; see";
        assert!(verdict.findings[0].fix.contains(expected), "{body:.90}: {}", verdict.findings[0].fix);
    }
}

#[tokio::test]
async fn a_build_that_is_slow_to_say_when_it_was_made_is_not_waited_for() {
    let world = World::start(|spec| spec, Duration::from_secs(20)).await;
    world.registry.push_built("team/api", "v1.4.2", &world.clock.now().to_string(), false);
    // The reason comes by GET, too, and has more time than a question beside it.
    world.registry.behave(
        Target::repository("team/api").only("GET".parse().unwrap()),
        Behaviour::Slow(Duration::from_millis(1200)),
    );
    let verdict = judged(&world, "team/api:v1.4.3").await;
    assert_eq!((verdict.decision, codes(&verdict)), (Decision::Deny, vec![Code::TagNotFound]));
    assert!(verdict.findings[0].fix.contains("perhaps not pushed yet"), "{}", verdict.findings[0].fix);
    assert!(!verdict.findings[0].fix.contains("was built"), "{}", verdict.findings[0].fix);
}
