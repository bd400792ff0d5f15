//! A thousand pods of one image: what the registry sees of them.

use std::time::Instant;

use serde_json::json;

use crate::images;
use crate::kubectl::{PATIENCE, until_within};
use crate::objects::{TEMPLATES, spec, template};
use crate::report::{Report, ensure};
use crate::world::{TEAM, World};

const PODS: u32 = 1000;

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    report.case("crowd: a ReplicaSet of 1,000 pods is one authorised HEAD", |_| {
        images::push(world.places.seed, "alice/crowd", "v1", "a crowd")?;
        let mut spec = spec(&world.bearer("alice/crowd:v1"));
        spec["imagePullSecrets"] = json!([{ "name": "bearer" }]);
        // They only have to exist.
        spec["schedulerName"] = json!("nobody");
        let started = Instant::now();
        world.kubectl.apply(&template(TEMPLATES[3], TEAM, "crowd", PODS, &spec))?.succeeded()?;
        until_within(4 * PATIENCE, "1,000 pods", || {
            let replicas = world.field(TEAM, "replicaset/crowd", "{.status.replicas}")?;
            Ok((replicas == PODS.to_string()).then_some(()))
        })?;
        let took = started.elapsed();
        let path = "jsonpath={.items[*].spec.containers[0].image}";
        let images = world.kubectl.get(&format!("-n {TEAM} get pods -l app=crowd -o {path}"))?;
        let pinned = images.split(' ').filter(|image| image.contains("@sha256:")).count();
        ensure(pinned == PODS as usize, || format!("{pinned} are pinned"))?;
        let log = world.bearer.log();
        let asked: Vec<&str> = log.lines().filter(|line| line.contains("/v2/alice/crowd/manifests/")).collect();
        // The first one is how the registry says where its token server is.
        let (heads, gets): (Vec<&str>, Vec<&str>) = asked.iter().partition(|line| line.contains("\"HEAD "));
        let authorised = heads.iter().filter(|line| line.contains("\" 200 ")).count();
        // A tag is asked again after a minute; a machine that slow gets as many.
        let lifetimes = 1 + usize::try_from(took.as_secs() / 60)?;
        let few_heads = (1..=lifetimes).contains(&authorised) && heads.len() <= authorised + 1;
        // Which platforms it is for, once for the digest: the cluster has a node.
        let one_get = gets.len() == 1 && gets.iter().all(|line| line.contains("/manifests/sha256:"));
        ensure(few_heads && one_get, || asked.join("\n"))?;
        Ok(format!("{} in all, {:.0} pods/s", asked.len(), f64::from(PODS) / took.as_secs_f64()))
    });
}
