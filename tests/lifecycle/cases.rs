//! The cases, in an order that matters: the release is installed first and uninstalled last, the gate is away only while
//! nothing else wants it.

mod changes;
mod gone;

use std::thread;
use std::time::Duration;

use crate::Failure;
use crate::load::Counts;
use crate::report::{Report, ensure};
use crate::scene::{REPLICAS, Scene};

/// How long the load runs before and after what happens to it.
const AROUND: Duration = Duration::from_millis(1500);

/// What happens while pods are created; gives a remark.
type Disturbance = fn(&mut Scene) -> Result<String, Failure>;

/// What pods must be created through without a single failure.
const UNDER_LOAD: [(&str, Disturbance); 8] = [
    ("nothing happens", changes::nothing),
    ("rolling restart of three replicas", changes::restart),
    ("configuration: a good and a bad reload", changes::reload),
    ("helm upgrade to another pod template", changes::upgrade),
    ("helm rollback", changes::rollback),
    ("etcd stands still for 5 s", changes::etcd),
    ("the API server is killed and comes back", changes::api_server),
    ("kill -9 of one replica", changes::kill),
];

/// Every case, or those named in `only`.
pub(crate) fn all(scene: &mut Scene, report: &mut Report, only: &[String]) -> Result<(), Failure> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part));
    let before = gone::everything(scene)?;
    changes::install(scene)?;
    for (name, disturb) in UNDER_LOAD.iter().filter(|(name, _)| wanted(name)) {
        report.case(name, |_| under_load(scene, *disturb));
    }
    if wanted("all replicas are gone") {
        gone::cases(scene, report);
    }
    if wanted("helm uninstall") {
        report.case("helm uninstall under load, and nothing is left", |_| gone::uninstall(scene, &before));
    }
    Ok(())
}

/// Creates pods before, during and after; none may fail, each must have been judged.
fn under_load(scene: &mut Scene, disturb: Disturbance) -> Result<String, Failure> {
    scene.fails_closed()?;
    let (answers, reviews) = (scene.answers()?, scene.reviews());
    let load = scene.load();
    thread::sleep(AROUND);
    let disturbed = disturb(scene);
    thread::sleep(AROUND);
    let counts = load.finish()?;
    let remark = disturbed.map_err(|failure| format!("{failure}\n{counts}"))?;
    scene.settled(REPLICAS)?;
    scene.fails_closed()?;
    // The one is lost with the API server, the other with replicas; no case ends both.
    let seen = scene.answers()?.saturating_sub(answers).max(scene.reviews().saturating_sub(reviews));
    lossless(&counts)?;
    ensure(seen >= counts.judged().into(), || format!("{seen} reviews were answered: {counts}"))?;
    Ok(format!("{counts}, {seen} reviews{remark}"))
}

/// No creation failed, and the gate was shut to bad pods all the while.
fn lossless(counts: &Counts) -> Result<(), Failure> {
    let well = counts.failures() == 0 && counts.misjudged.is_empty() && counts.slipped == 0;
    ensure(well, || counts.to_string())?;
    ensure(counts.created > 30 && counts.refused > 2, || format!("this is no load: {counts}"))
}
