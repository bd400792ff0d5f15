//! What nodes fetch by digest after an image resolved: the manifest itself, the entry of an index for their platform; and
//! what they need not fetch.

use super::*;

const CRI_O: &str = "cri-o://1.34.0";

fn on(runtimes: &[&str]) -> Vec<String> {
    let node = |(index, runtime): (usize, &&str)| node(&format!("n{index}"), "amd64", runtime, &[]);
    runtimes.iter().enumerate().map(node).collect()
}

fn unknown() -> Answer {
    Answer::envelope(404, "MANIFEST_UNKNOWN", "manifest unknown")
}

#[tokio::test]
async fn a_digest_that_is_not_served_is_no_success() {
    let world = World::with(Login::None).await;
    let digest = world.registry.push("lost", "1");
    let (tag, both) = ("lost:1".to_owned(), format!("lost:1@{digest}"));
    let not_found = Code::DigestNotFound;
    for (runtimes, image, answer, expected) in [
        (&[CONTAINERD][..], &tag, unknown(), vec![(not_found, true)]),
        (&["containerd://1.7.28", CONTAINERD], &tag, unknown(), vec![(not_found, true)]),
        (&[CRI_O], &tag, unknown(), vec![]),
        (&[CRI_O], &both, unknown(), vec![(not_found, true)]),
        (&[CRI_O, CONTAINERD], &tag, unknown(), vec![(not_found, false)]),
        (&["docker://27.1.1"], &tag, unknown(), vec![(not_found, false)]),
        // Nothing in it is a registry's.
        (&[CONTAINERD], &tag, Answer::status(404).unsigned(), vec![(Code::RegistryError, false)]),
        (&[CONTAINERD], &tag, Answer::html(404).unsigned(), vec![(Code::RegistryError, false)]),
        (&[CONTAINERD], &tag, Answer::envelope(403, "DENIED", "no"), vec![(Code::NotFoundOrNoAccess, false)]),
        (
            &[CONTAINERD],
            &tag,
            Answer::envelope(412, "PROJECTPOLICYVIOLATION", "no"),
            vec![(Code::BlockedByRegistry, true)],
        ),
        // A failure that passes says nothing.
        (&[CONTAINERD], &tag, Answer::envelope(503, "UNAVAILABLE", "later"), vec![]),
    ] {
        world.registry.behave(Target::repository("lost").only(hyper::Method::GET), None);
        world.registry.behave(Target::repository("lost").only(hyper::Method::GET), answer.clone());
        let engine = world.engine(&cluster(&on(runtimes)));
        let pod = of(&world, image);
        let verdict = world.check(&engine, &pod).await;
        assert_eq!(said(&verdict), (expected, vec![]), "{image} on {runtimes:?}: {answer:?}");
        let pinned = engine.check(&world.policy, &pod, Purpose::Pin, soon()).await;
        assert_eq!(pinned.images[0].pinnable, verdict.images[0].pinnable, "{image} on {runtimes:?}: {answer:?}");
        if !verdict.findings.is_empty() || runtimes == [CRI_O] {
            assert!(!verdict.images[0].pinnable && verdict.images[0].digest.is_none(), "{image} on {runtimes:?}");
        }
    }
}

#[tokio::test]
async fn a_digest_that_is_served_with_something_else_is_no_success() {
    let other = |kind: &str, body: &str| Answer::status(200).body(kind, body.as_bytes().to_vec());
    let world = World::with(Login::None).await;
    world.registry.push("lost", "1");
    let engine = world.engine(&cluster(&on(&[CONTAINERD])));
    world.registry.behave(Target::repository("lost").only(hyper::Method::GET), other(OCI_MANIFEST, "{}"));
    let pod = of(&world, "lost:1");
    let verdict = world.check(&engine, &pod).await;
    assert_eq!(said(&verdict), (vec![(Code::RegistryError, false)], vec![]));
    let pinned = engine.check(&world.policy, &pod, Purpose::Pin, soon()).await;
    assert!(!pinned.images[0].pinnable && verdict.images[0].digest.is_none());
}

#[tokio::test]
async fn a_manifest_of_the_other_kind_than_announced_is_no_success() {
    for (media_type, is_index) in [(OCI_INDEX, false), (OCI_MANIFEST, true)] {
        let world = World::with(Login::None).await;
        let digest = if is_index {
            world.registry.push_index("odd", "1", &["linux/amd64"])
        } else {
            world.registry.push("odd", "1")
        };
        let bytes = world.client().resolve(&world.ask("odd:1", None)).await.unwrap().announced.unwrap();
        let body = vec![b' '; usize::try_from(bytes).unwrap()];
        let head = Answer::status(200).body(media_type, body).header("Docker-Content-Digest", &digest);
        world.registry.behave(Target::repository("odd").only(hyper::Method::HEAD), head);
        let engine = world.engine(&cluster(&on(&[CONTAINERD])));
        let verdict = world.check(&engine, &of(&world, "odd:1")).await;
        assert_eq!(said(&verdict), (vec![(Code::RegistryError, false)], vec![]), "{media_type}");
        assert!(verdict.images[0].digest.is_none(), "{media_type}");
    }
}

#[tokio::test]
async fn a_digest_that_is_served_again_is_seen_by_the_next_review() {
    let world = World::with(Login::None).await;
    let digest = world.registry.push("lost", "1");
    let engine = world.engine(&cluster(&on(&[CONTAINERD])));
    let get = || Target::repository("lost").only(hyper::Method::GET);
    world.registry.behave(get(), unknown());
    let verdict = world.check(&engine, &of(&world, "lost:1")).await;
    let finding = &verdict.findings[0];
    assert!(finding.message().contains(&format!("names {digest}")), "{}", finding.message());
    let (host, image) = (world.image("lost"), world.image("lost:1"));
    let (host, name) = host.split_once('/').unwrap();
    let line = finding.node.as_deref().unwrap();
    assert!(
        line.starts_with(&format!("rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": "))
    );
    assert!(line.ends_with(&format!("//{host}/v2/{name}/manifests/{digest} not found: not found")), "{line}");
    world.registry.behave(get(), None);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(said(&world.check(&engine, &of(&world, "lost:1")).await).0, []);
}

/// An index for amd64 and arm64, and the digests of its entries.
fn index(world: &World, repository: &str) -> [String; 2] {
    let entries = ["linux/amd64", "linux/arm64"].map(|platform| world.registry.push_for(repository, "1", platform));
    world.registry.push_index(repository, "1", &["linux/amd64", "linux/arm64"]);
    entries
}

#[tokio::test]
async fn an_entry_that_the_registry_does_not_have_cannot_be_pulled() {
    let amd = node("amd-1", "amd64", CONTAINERD, &[]);
    let arm = node("arm-1", "arm64", CONTAINERD, &[]);
    let s390x = node("z-1", "s390x", CONTAINERD, &[]);
    let mismatch = vec![(Code::PlatformMismatch, true)];
    let partial = vec![NoticeCode::PartialPlatform];
    for (nodes, missing, findings, notices) in [
        (vec![&amd], &[0][..], mismatch.clone(), vec![]),
        (vec![&amd], &[1], vec![], vec![]),
        (vec![&amd], &[], vec![], vec![]),
        (vec![&amd, &arm], &[0], vec![], partial.clone()),
        (vec![&amd, &arm], &[0, 1], mismatch.clone(), vec![]),
        (vec![&amd, &s390x], &[0], mismatch, vec![]),
        (vec![&arm, &s390x], &[0], vec![], partial),
        (vec![], &[0, 1], vec![], vec![]),
    ] {
        let world = World::with(Login::None).await;
        let entries = index(&world, "sparse");
        for entry in missing {
            world.registry.remove_manifest("sparse", &entries[*entry]);
        }
        let nodes: Vec<String> = nodes.into_iter().cloned().collect();
        let engine = world.engine(&cluster(&nodes));
        let verdict = world.check(&engine, &of(&world, "sparse:1")).await;
        assert_eq!(said(&verdict), (findings, notices), "{missing:?} on {nodes:?}");
    }
}

#[tokio::test]
async fn an_entry_is_asked_for_once_and_a_missing_one_again_before_a_denial() {
    let (amd, world) = (node("amd-1", "amd64", CONTAINERD, &[]), World::with(Login::None).await);
    let [entry, _] = index(&world, "sparse");
    world.registry.remove_manifest("sparse", &entry);
    let engine = world.engine(&cluster(&[amd]));
    world.seen();
    let verdict = world.check(&engine, &of(&world, "sparse:1")).await;
    assert_eq!(said(&verdict).0, [(Code::PlatformMismatch, true)]);
    assert!(verdict.findings[0].message().contains(&entry), "{}", verdict.findings[0].message());
    assert_eq!(verdict.findings[0].registry.as_deref(), Some("MANIFEST_UNKNOWN: manifest unknown"));
    assert!(!verdict.images[0].pinnable && verdict.images[0].digest.is_none());
    let asked = world.seen();
    assert_eq!(asked.iter().filter(|line| *line == "GET manifest 404").count(), 1, "the reason: {asked:?}");
    // Pushed again: the next review sees it, and those after it ask no more.
    world.registry.push_for("sparse", "child", "linux/amd64");
    index(&world, "sparse");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(said(&world.check(&engine, &of(&world, "sparse:1")).await).0, []);
    world.seen();
    world.clock.advance(Duration::from_secs(181));
    assert_eq!(said(&world.check(&engine, &of(&world, "sparse:1")).await).0, []);
    assert_eq!(world.seen(), ["HEAD manifest 200"], "the tag alone");
}

#[tokio::test]
async fn a_page_in_place_of_an_entry_is_not_certain() {
    let (amd, world) = (node("amd-1", "amd64", CONTAINERD, &[]), World::with(Login::None).await);
    let [entry, _] = index(&world, "sparse");
    world.registry.remove_manifest("sparse", &entry);
    let engine = world.engine(&cluster(&[amd]));
    // The tag and the index are there.
    world.check(&engine, &of(&world, "sparse:1")).await;
    world.registry.behave(Target::repository("sparse"), Answer::html(404).unsigned());
    world.clock.advance(Duration::from_secs(6));
    let verdict = world.check(&engine, &of(&world, "sparse:1")).await;
    assert!(verdict.findings.iter().all(|finding| !finding.certain), "{:?}", verdict.findings);
}

#[tokio::test]
async fn a_list_of_images_that_may_be_cut_makes_nothing_certain() {
    let world = World::with(Login::None).await;
    world.registry.push("api", "1");
    let names: Vec<String> = (0..60).map(|number| format!("a.io/x:{number}")).collect();
    let lists: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
    let lists: Vec<&[&str]> = lists.iter().map(<[&str; 1]>::as_slice).collect();
    let five: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    for (images, policy, certain) in [
        (&lists[..49], PullPolicy::IfNotPresent, true),
        (&lists[..50], PullPolicy::IfNotPresent, false),
        (&lists[..60], PullPolicy::IfNotPresent, false),
        (&lists[..50], PullPolicy::Always, true),
        (&[&five[..4]][..], PullPolicy::IfNotPresent, true),
        (&[&five[..]][..], PullPolicy::IfNotPresent, false),
    ] {
        // One of two nodes is enough.
        let nodes = [node("a", "amd64", CONTAINERD, &[]), node("b", "amd64", CONTAINERD, images)];
        let engine = world.engine(&cluster(&nodes));
        let verdict = world.check(&engine, &with_policy(of(&world, "api:2"), policy)).await;
        assert_eq!(said(&verdict).0, [(Code::TagNotFound, certain)], "{} {policy:?}", images.len());
    }
}
