//! The cases, in an order that matters: the release is installed first and uninstalled last, the gate is away only while
//! nothing else wants it; then comes a second release with other certificates.

mod certificates;
mod changes;
mod examined;
mod external;
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

/// What must hold of the creations.
type Demand = fn(&Counts) -> Result<(), Failure>;

/// What pods must be created through.
const UNDER_LOAD: [(&str, Disturbance, Demand); 14] = [
    ("nothing happens", changes::nothing, lossless),
    ("rolling restart of three replicas", changes::restart, lossless),
    ("configuration: a good and a bad reload", changes::reload, lossless),
    ("helm upgrade to another pod template", changes::upgrade, lossless),
    ("helm rollback", changes::rollback, lossless),
    ("leaf rotation: two thirds of its life are over", certificates::leaf_rotation, lossless),
    ("CA rotation: two thirds of its life are over", certificates::ca_rotation, lossless),
    ("a leaf with 20 s left, until it has ended", certificates::leaf_expiry, lossless),
    ("a CA with 60 s left, until it has ended", certificates::ca_expiry, lossless),
    ("the Secret of the certificate is deleted", certificates::secret_deleted, lossless),
    ("etcd stands still for 5 s", changes::etcd, lossless),
    ("the API server is killed and comes back", changes::api_server, lossless),
    ("kill -9 of one replica", changes::kill_one, of_the_dead),
    ("kill -9 of one replica after another, amid a crowd", changes::kill, of_the_dead),
];

/// Every case, or those named in `only`.
pub(crate) fn all(scene: &mut Scene, report: &mut Report, only: &[String]) -> Result<(), Failure> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part));
    let before = gone::everything(scene)?;
    report.case("doctor --pre before anything is installed", |_| examined::before(scene));
    report.case("helm install onto a cluster that creates pods", |_| changes::install(scene));
    if !scene.is_shut()? {
        return Err("without a gate there is nothing to try".into());
    }
    report.case("doctor and helm test, of a sound release", |_| examined::sound(scene));
    for (name, disturb, demand) in UNDER_LOAD.iter().filter(|(name, ..)| wanted(name)) {
        report.case(name, |_| under_load(scene, *disturb, *demand));
    }
    if wanted("all replicas are gone") {
        gone::cases(scene, report);
    }
    if wanted("helm uninstall") || wanted("files") {
        report.case("helm uninstall under load, and nothing is left", |_| gone::uninstall(scene, &before));
    }
    if wanted("files") {
        external::cases(scene, report)?;
    }
    Ok(())
}

/// Creates pods before, during and after; each must have been judged.
fn under_load(
    scene: &mut Scene,
    disturb: impl FnOnce(&mut Scene) -> Result<String, Failure>,
    demand: Demand,
) -> Result<String, Failure> {
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
    demand(&counts)?;
    ensure(seen >= counts.judged().into(), || format!("{seen} reviews were answered: {counts}"))?;
    Ok(format!("{counts}, {seen} reviews{remark}"))
}

/// No creation failed, and the gate was shut to bad pods all the while.
fn lossless(counts: &Counts) -> Result<(), Failure> {
    ensure(counts.failures() == 0 && counts.misjudged.is_empty(), || counts.to_string())?;
    of_the_dead(counts)
}

/// What failed were calls under way to a process that was killed, or made before anybody knew: an API server tries no
/// other replica and does not ask again (kubernetes/apiserver `pkg/admission/plugin/webhook/validating/dispatcher.go`,
/// and Go's `net/http`, which repeats no POST of which a byte was sent). Nothing that answers can change that.
fn of_the_dead(counts: &Counts) -> Result<(), Failure> {
    ensure(counts.only_of_the_dead() && counts.slipped == 0, || counts.to_string())?;
    ensure(counts.created > 30 && counts.refused > 2, || format!("this is no load: {counts}"))
}
