//! Changes to pods that are there: judged where an image changes, passed where none does.

use serde_json::Value;

use crate::Failure;
use crate::images;
use crate::kubectl::until;
use crate::objects::{deployment, pod};
use crate::report::{Report, ensure};
use crate::world::{TEAM, World};

/// Before pullgate is there: workloads whose image vanishes, so that pullgate has never seen it.
pub(super) fn before(world: &World) -> Result<(), Failure> {
    for repository in ["alice/vanished", "alice/rolled"] {
        images::push(world.places.seed, repository, "v1", "soon gone")?;
    }
    world.kubectl.apply(&pod(TEAM, "vanished-bare", &world.open("alice/vanished:v1")))?.succeeded()?;
    world.kubectl.apply(&deployment(TEAM, "vanished", &world.open("alice/vanished:v1"), 1))?.succeeded()?;
    world.kubectl.apply(&deployment(TEAM, "rolled", &world.open("alice/rolled:v1"), 1))?.succeeded()?;
    until("the first revision", || {
        let revision = world.field(TEAM, "replicasets", "{.items[*].metadata.annotations}")?;
        Ok((revision.matches("deployment.kubernetes.io/revision").count() >= 2).then_some(()))
    })?;
    let image = format!("app={}", world.open("alice/app:v1"));
    world.kubectl.run(&format!("-n {TEAM} set image deployment/rolled {image}"))?.succeeded()?;
    world.vanish("alice/vanished")?;
    world.vanish("alice/rolled")
}

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    let good = world.open("alice/app:v1");
    let bad = world.open("alice/app:v1.4.3");
    report.case("updates: a pod whose image has vanished takes a label, an annotation, a status", |_| {
        let proof = pod(TEAM, "vanished-new", &world.open("alice/vanished:v1"));
        let proof = world.kubectl.apply(&proof)?;
        ensure(proof.code == Some(1), || format!("the image is still there: {proof}"))?;
        for line in ["label pod/vanished-bare looked=at", "annotate pod/vanished-bare looked=at"] {
            world.kubectl.run(&format!("-n {TEAM} {line}"))?.silently()?;
        }
        let status = r#"{"status":{"phase":"Failed"}}"#;
        let patch = ["-n", TEAM, "patch", "pod", "vanished-bare", "--subresource=status", "-p", status];
        world.kubectl.run_with(&patch, None)?.silently()?;
        world.kubectl.run(&format!("-n {TEAM} delete pod vanished-bare --wait=false"))?.silently()?;
        Ok("and is deleted".to_owned())
    });
    report.case("updates: set image to a wrong tag is refused, to a right one passes", |_| {
        world.kubectl.apply(&pod(TEAM, "changed", &good))?.silently()?;
        world.kubectl.run(&format!("-n {TEAM} set image pod/changed app={bad}"))?.refused("TagNotFound")?;
        let other = world.open("solo:v1");
        world.kubectl.run(&format!("-n {TEAM} set image pod/changed app={other}"))?.succeeded()?;
        world.field(TEAM, "pod/changed", "{.spec.containers[0].image}")
    });
    report.case("updates: kubectl debug is judged, and pinned", |_| {
        world.kubectl.apply(&pod(TEAM, "debugged", &good))?.silently()?;
        let debug = |image: &str, name: &str| {
            world
                .kubectl
                .run(&format!("-n {TEAM} debug debugged --profile=general --image={image} -c {name} -- sleep 1"))
        };
        debug(&bad, "first")?.refused("TagNotFound")?;
        debug(&world.open("solo:v1"), "second")?.succeeded()?;
        let is = world.field(TEAM, "pod/debugged", "{.spec.ephemeralContainers[*].image}")?;
        let must = format!("{}@{}", world.open("solo:v1"), world.images.solo);
        ensure(is == must, || format!("{is}, not {must}"))?;
        let copy = format!("-n {TEAM} debug debugged --profile=general --copy-to=copied --set-image=app={bad}");
        world.kubectl.run(&copy)?.refused("TagNotFound")?;
        Ok("so is --copy-to".to_owned())
    });
    report.case("updates: a pinned pod applied again is not restarted", |_| {
        let manifest = pod(TEAM, "twice", &good);
        world.kubectl.apply(&manifest)?.silently()?;
        let spec = || -> Result<Value, Failure> {
            let pod: Value = serde_json::from_str(&world.kubectl.get(&format!("-n {TEAM} get pod twice -o json"))?)?;
            Ok(serde_json::json!([pod["spec"], pod["metadata"]["uid"], pod["metadata"]["generation"]]))
        };
        let before = spec()?;
        world.pinned(TEAM, "twice", &good, &world.images.single)?;
        let mut remarks = Vec::new();
        for line in ["apply -f -", "apply -f -", "apply --server-side --force-conflicts -f -"] {
            let said = world.kubectl.feed(line, &manifest)?.succeeded()?;
            remarks.push(said.stdout.trim().trim_start_matches("pod/twice ").to_owned());
            let after = spec()?;
            ensure(after == before, || format!("{line} changed it: {before} → {after}"))?;
        }
        Ok(remarks.join(", "))
    });
    report.case("updates: --dry-run=server answers the same and leaves no trace", |_| dry_run(world, &good, &bad));
}

fn dry_run(world: &World, good: &str, bad: &str) -> Result<String, Failure> {
    let (bad, good) = (pod(TEAM, "dry", bad), pod(TEAM, "dry", good));
    // Judged once for real, so that ages and caches are alike.
    world.kubectl.apply(&bad)?.refused("TagNotFound")?;
    let counts = || -> Result<String, Failure> {
        let metrics = world.gate()?.metrics()?;
        let of_reviews = ["pullgate_reviews_total", "pullgate_findings_total", "pullgate_admitted_unchecked_total"];
        let counts = metrics.lines().filter(|line| of_reviews.iter().any(|family| line.starts_with(family)));
        Ok(counts.collect::<Vec<_>>().join("\n"))
    };
    // A controller that creates a pod in between would be counted.
    let dry = until("counters that stay as they are", || {
        let before = counts()?;
        let dry = world.kubectl.feed("apply --dry-run=server -f -", &bad)?.refused("TagNotFound")?;
        let passes = world.kubectl.feed("apply --dry-run=server -o yaml -f -", &good)?.silently()?;
        ensure(passes.stdout.contains("@sha256:"), || format!("not pinned: {passes}"))?;
        let after = counts()?;
        if before == after { Ok(Some(dry)) } else { Err(format!("it was counted:\n{before}\n{after}").into()) }
    })?;
    let stored = world.kubectl.run(&format!("-n {TEAM} get pod dry"))?;
    ensure(stored.stderr.contains("NotFound"), || stored.to_string())?;
    let wet = world.kubectl.apply(&bad)?.refused("TagNotFound")?;
    let without_age = |text: &str| -> String {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("asked as"));
        lines.collect::<Vec<_>>().join("\n")
    };
    ensure(without_age(&dry.stderr) == without_age(&wet.stderr), || format!("{dry}\n{wet}"))?;
    Ok("not counted, not stored".to_owned())
}
