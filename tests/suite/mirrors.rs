//! The hosts that nodes have for a registry: which of them is asked for what, with which login, and what a walk that
//! ends nowhere is called.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod refusals;
mod ways;

use pullgate::demo::registry::{Login, Registry, RegistrySpec};
use pullgate::resolver::fact::Freshness;

use crate::support::{World, login, seen};

/// An upstream, and a mirror that the nodes of this world ask first.
struct Pair {
    world: World,
    mirror: Registry,
}

// === impl Pair ===

impl Pair {
    /// Both hold `open:v1`; `settings` stand in the mirror's table.
    async fn new(settings: &str) -> Self {
        Self::with(Login::None, |spec| spec, settings).await
    }

    async fn with(login: Login, change: impl FnOnce(RegistrySpec) -> RegistrySpec, settings: &str) -> Self {
        let mut world = World::with(login).await;
        let mirror = world.another(change).await;
        for registry in [&world.registry, &mirror] {
            registry.push("open", "v1");
        }
        let upstream = world.registry.host();
        let text = format!("server = 'https://{upstream}'\n[host.'https://{}']\n{settings}\n", mirror.host());
        world.declare(&world.directory(), &text, &[]);
        Self { world, mirror }
    }

    /// What the mirror was asked, then what the upstream was.
    fn seen(&self) -> [Vec<String>; 2] {
        [seen(&self.mirror), self.world.seen()]
    }

    /// Text with the hosts as `M` and `R`.
    fn plain(&self, text: Option<&str>) -> String {
        self.world.plain(text).replace(&self.mirror.host(), "M")
    }
}

const HEAD: &str = "HEAD manifest 200";
const MISSING: &str = "HEAD manifest 404";

#[tokio::test]
async fn a_mirror_is_asked_first_and_told_which_registry_is_meant() {
    let pair = Pair::new("").await;
    let digest = pair.mirror.push("open", "v1");
    pair.world.registry.remove_repository("open");
    let attempt = pair.world.resolve(&pair.world.resolver(), "open:v1", None, Freshness::Cached).await;
    assert_eq!(attempt.outcome.unwrap().digest.as_str(), digest);
    let asked = pair.mirror.requests();
    assert_eq!(asked[0].namespace, Some(pair.world.registry.host()));
    assert_eq!(pair.seen(), [vec![HEAD], vec![]]);
}

#[tokio::test]
async fn what_a_mirror_does_not_have_the_upstream_is_asked_for() {
    let pair = Pair::new("").await;
    pair.mirror.remove_repository("open");
    let resolver = pair.world.resolver();
    let attempt = pair.world.resolve(&resolver, "open:v1", None, Freshness::Cached).await;
    assert!(attempt.outcome.is_ok());
    assert_eq!(pair.world.registry.requests()[0].namespace, None);
    assert_eq!(pair.seen(), [vec![MISSING], vec![HEAD]]);
    // What was found is one fact like any other, under its digest too.
    let again = pair.world.resolve(&resolver, "open:v1", None, Freshness::Cached).await;
    let digest = again.outcome.unwrap().digest;
    pair.world.resolve(&resolver, &format!("open@{digest}"), None, Freshness::Cached).await.outcome.unwrap();
    assert_eq!(pair.seen(), [Vec::<String>::new(), vec![]]);
}

#[tokio::test]
async fn a_mirror_that_only_pulls_is_asked_for_digests_and_not_for_tags() {
    let pair = Pair::new("capabilities = ['pull']").await;
    let found = pair.world.resolve(&pair.world.resolver(), "open:v1", None, Freshness::Cached).await;
    assert_eq!(pair.seen(), [vec![], vec![HEAD]]);
    let by_digest = format!("open@{}", found.outcome.unwrap().digest);
    let found = pair.world.resolve(&pair.world.resolver(), &by_digest, None, Freshness::Cached).await;
    assert!(found.outcome.is_ok());
    assert_eq!(pair.seen(), [vec![HEAD], vec![]]);
}

#[tokio::test]
async fn a_mirror_that_only_takes_pushes_is_never_asked() {
    let pair = Pair::new("capabilities = ['push']").await;
    pair.world.resolve(&pair.world.resolver(), "open:v1", None, Freshness::Cached).await.outcome.unwrap();
    assert_eq!(pair.seen(), [vec![], vec![HEAD]]);
}

#[tokio::test]
async fn the_pods_login_goes_to_every_host_that_asks_for_one() {
    for login_at_mirror in [Login::Basic, Login::bearer()] {
        let pair = Pair::with(Login::Basic, |spec| spec.login(login_at_mirror.clone()), "").await;
        for registry in [&pair.mirror, &pair.world.registry] {
            registry.private("team", &["ann"]);
            registry.set_password("ann", "right");
        }
        pair.world.registry.push("team/api", "v1");
        let attempt =
            pair.world.resolve(&pair.world.resolver(), "team/api:v1", login("ann", "right"), Freshness::Cached).await;
        assert!(attempt.outcome.is_ok(), "{attempt:?}");
        let [mirror, upstream] = pair.seen();
        assert_eq!(mirror.last().unwrap(), "HEAD manifest 404 ann", "{mirror:?}");
        assert_eq!(upstream, ["HEAD manifest 401", "HEAD manifest 200 ann"]);
    }
}

#[tokio::test]
async fn a_mirror_that_fails_or_limits_is_passed_by() {
    use pullgate::demo::registry::{Answer, Behaviour, Close};
    let behaviours: [Behaviour; 6] = [
        Answer::status(500).into(),
        Answer::status(429).into(),
        Answer::status(403).into(),
        Answer::status(401).into(),
        Answer::html(502).into(),
        Behaviour::Close(Close::BeforeAnswer),
    ];
    for behaviour in behaviours {
        let pair = Pair::new("").await;
        pair.mirror.behave("open", behaviour.clone());
        let attempt = pair.world.resolve(&pair.world.resolver(), "open:v1", None, Freshness::Cached).await;
        assert!(attempt.outcome.is_ok(), "{behaviour:?}: {attempt:?}");
        assert_eq!(pair.world.seen(), [HEAD], "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_dead_mirror_costs_its_time_once_and_closes_nobody_else() {
    let pair = Pair::new("").await;
    pair.mirror.stop().await;
    pair.world.registry.push("open", "v2");
    let resolver = pair.world.resolver();
    for tag in ["open:v1", "open:v2"] {
        assert!(pair.world.resolve(&resolver, tag, None, Freshness::Cached).await.outcome.is_ok());
    }
    // Back again, it is not asked before its pause is over.
    pair.mirror.resume().await.unwrap();
    pair.world.registry.remove_tag("open", "v3");
    let attempt = pair.world.resolve(&resolver, "open:v3", None, Freshness::Cached).await;
    assert!(!attempt.outcome.unwrap_err().code.certain());
    assert_eq!(pair.seen(), [vec![], vec![HEAD, HEAD, MISSING]]);
    pair.world.clock.advance(std::time::Duration::from_secs(3));
    assert!(pair.world.resolve(&resolver, "open:v3", None, Freshness::Cached).await.outcome.is_err());
    assert_eq!(pair.seen(), [vec![MISSING], vec![MISSING]]);
}
