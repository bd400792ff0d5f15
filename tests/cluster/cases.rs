//! The cases, in an order that matters: first what must be there before the webhooks, then one subject after the other,
//! at last the same refused pods without the webhooks.

mod access;
mod admitted;
mod certificates;
mod chart;
mod corrected;
mod crowd;
mod lifecycle;
mod modes;
mod nodes;
mod permissions;
mod refused;
mod schema;
mod templates;
mod troubles;
mod uncertain;
mod updates;

use crate::Failure;
use crate::dashboard;
use crate::objects::{ALICE, WRONG, account, list, pull_secret, secret};
use crate::report::Report;
use crate::world::{OTHER_TEAM, TEAM, World};

/// The cases of one subject.
type Cases = fn(&mut World, &mut Report);

/// The subjects after the installation, in order.
const SUBJECTS: [(&str, Cases); 17] = [
    ("chart", chart::installed),
    ("schema", schema::cases),
    ("admitted", admitted::cases),
    ("refused", refused::cases),
    ("corrected", corrected::cases),
    ("uncertain", uncertain::cases),
    ("templates", templates::cases),
    ("updates", updates::cases),
    ("modes", modes::cases),
    ("nodes", nodes::cases),
    ("access", access::cases),
    ("troubles", troubles::cases),
    ("certificates", certificates::cases),
    ("crowd", crowd::cases),
    ("trace", access::trace),
    ("dashboard", dashboard::cases),
    ("without", refused::without_webhooks),
];

/// Every subject, or those named in `only`.
pub(crate) fn all(world: &mut World, report: &mut Report, only: &[String]) -> Result<(), Failure> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    chart::rendered(world, report);
    if wanted("lifecycle") {
        lifecycle::cases(world, report)?;
    }
    updates::before(world)?;
    pull_secrets(world)?;
    world.install()?;
    if wanted("dashboard") {
        world.watcher = Some(dashboard::Watcher::start(world)?);
    }
    for (_, cases) in SUBJECTS.iter().filter(|(name, _)| wanted(name)) {
        cases(world, report);
    }
    Ok(())
}

/// The pull secrets that the cases name.
fn pull_secrets(world: &World) -> Result<(), Failure> {
    let (basic, bearer) = (world.places.basic.as_str(), world.places.bearer.as_str());
    let no_colon = serde_json::json!({ "auths": { basic: { "auth": "bm8gY29sb24=" } } });
    let sound = serde_json::json!({ "auths": { basic: { "username": ALICE.0, "password": ALICE.1 } } });
    world
        .kubectl
        .apply(&list([
            pull_secret(TEAM, "basic", &[(basic, ALICE)]),
            pull_secret(TEAM, "bearer", &[(bearer, ALICE)]),
            pull_secret(TEAM, "wrong", &[(basic, WRONG)]),
            pull_secret(TEAM, "wrong-bearer", &[(bearer, WRONG)]),
            pull_secret(TEAM, "other-registry", &[("registry.example", ALICE)]),
            pull_secret(TEAM, "no-port", &[("127.0.0.1", ALICE)]),
            secret(TEAM, "opaque", "Opaque", &sound),
            secret(TEAM, "malformed", "kubernetes.io/dockerconfigjson", &no_colon),
            pull_secret(OTHER_TEAM, "elsewhere", &[(basic, ALICE)]),
            account(TEAM, "puller", &["bearer"]),
        ]))?
        .succeeded()
        .map(drop)
}
