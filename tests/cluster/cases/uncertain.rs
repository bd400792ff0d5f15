//! What says nothing about the image admits it, with a warning that says unchecked, and is counted.

use std::time::Instant;

use crate::audit;
use crate::objects::pod;
use crate::report::{Report, ensure};
use crate::world::{TEAM, World};

pub(super) fn cases(world: &mut World, report: &mut Report) {
    world.doomed = None;
    let world = &*world;
    for (name, code, image) in [
        ("a registry that is stopped", "RegistryUnreachable", format!("{}/alice/app:v1", world.places.doomed)),
        ("a registry that never answers", "RegistryUnreachable", format!("{}/alice/app:v1", world.places.silent)),
        ("a registry that says 429", "RateLimited", world.fault(0, "rate")),
        ("a registry that says 503", "RegistryError", world.fault(2, "unavailable")),
        ("a token server that says 500", "RegistryError", world.fault(3, "token-internal")),
    ] {
        report.case(&format!("uncertain: {name}"), |shown| {
            let gate = world.gate()?;
            let label = format!("code=\"{code}\"");
            let counted = || -> Result<_, crate::Failure> {
                Ok((
                    gate.count("pullgate_admitted_unchecked_total", &[])?,
                    gate.count("pullgate_findings_total", &[&label, "certain=\"false\""])?,
                ))
            };
            let pod_name = format!("unchecked-{}", name.replace(' ', "-"));
            let (before, started) = (counted()?, Instant::now());
            let said = world.kubectl.apply(&pod(TEAM, &pod_name, &image))?;
            let took = started.elapsed();
            let said = said.warned(&[code, "was not checked"])?;
            let is = world.field(TEAM, &format!("pod/{pod_name}"), "{.spec.containers[0].image}")?;
            ensure(is == image, || format!("it was written to: {is}"))?;
            let after = counted()?;
            ensure(after.0 == before.0 + 1 && after.1 == before.1 + 1, || format!("{before:?}, then {after:?}"))?;
            audit::annotated(world, TEAM, &pod_name, "findings", &[code, "(uncertain)"])?;
            if code == "RateLimited" || name.ends_with("stopped") {
                shown.show(&said);
            }
            Ok(format!("{code}, counted, {:.1} s", took.as_secs_f32()))
        });
    }
}
