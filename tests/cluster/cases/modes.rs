//! Modes by namespace and exceptions: what is let pass is on record.

use crate::audit::{annotated, annotations};
use crate::objects::{deployment, pod};
use crate::report::{Report, ensure};
use crate::world::{AUDITED, LEGACY, TEAM, WARNED, World};

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    let bad = world.open("alice/app:v1.4.3");
    let private = world.basic("alice/app:v1");
    report.case("modes: audit rejects nothing, and the audit log says what would have been", |_| {
        for (name, image, code) in [("wrong-tag", &bad, "TagNotFound"), ("no-secret", &private, "CredentialsMissing")] {
            world.kubectl.apply(&pod(AUDITED, name, image))?.silently()?;
            annotated(world, AUDITED, name, "mode", &["audit"])?;
            annotated(world, AUDITED, name, "enforce-would", &["deny"])?;
            annotated(world, AUDITED, name, "findings", &[code, "spec.containers[0].image", image])?;
        }
        world.kubectl.apply(&deployment(AUDITED, "wrong-tag-too", &bad, 1))?.silently()?;
        annotated(world, AUDITED, "wrong-tag-too", "enforce-would", &["warn"])?;
        annotated(world, AUDITED, "wrong-tag", "findings", &["TagNotFound"])
    });
    report.case("modes: audit says nothing of what is fine", |_| {
        let image = world.open("alice/app:v1");
        world.kubectl.apply(&pod(AUDITED, "fine", &image))?.silently()?;
        let said = annotations(world, AUDITED, "fine")?;
        ensure(said.is_empty(), || format!("{said:?}"))?;
        Ok(String::new())
    });
    report.case("modes: warn admits with a warning", |_| {
        world.kubectl.apply(&pod(WARNED, "wrong-tag", &bad))?.warned(&["TagNotFound", "alice/app:v1.4.3"])?;
        annotated(world, WARNED, "wrong-tag", "enforce-would", &["deny"])
    });
    report.case("modes: a denial is in the audit log, too", |_| {
        world.kubectl.apply(&pod(TEAM, "for-the-log", &bad))?.refused("TagNotFound")?;
        annotated(world, TEAM, "for-the-log", "findings", &["TagNotFound"])
    });
    report.case("modes: an exception lets pass until its date", |_| {
        let excepted = world.open("alice/old:v1");
        let absent = world.open(&format!("alice/old@sha256:{}", "0".repeat(64)));
        world.kubectl.apply(&pod(LEGACY, "other-code", &absent))?.refused("RepositoryNotFound")?;
        world.kubectl.apply(&pod(LEGACY, "old", &excepted))?.succeeded()?;
        annotated(world, LEGACY, "old", "excepted", &["TagNotFound"])?;
        world.kubectl.apply(&pod(LEGACY, "older", &world.open("alice/older:v1")))?.refused("RepositoryNotFound")?;
        world.kubectl.apply(&pod(TEAM, "old", &excepted))?.refused("RepositoryNotFound")?;
        Ok("not after it, not elsewhere, not with another code".to_owned())
    });
    report.case("modes: nothing is dropped on the way: warnings and annotations whole", |_| {
        let mut many = pod(WARNED, "many", &bad);
        let containers = (0..12).map(|index| {
            // Each a cause of its own: what is the same would be said once.
            let image = world.open(&format!("Alice/app-{index}:none"));
            serde_json::json!({ "name": format!("app-{index}"), "image": image })
        });
        many["spec"]["containers"] = containers.collect();
        let said = world.kubectl.apply(&many)?.succeeded()?;
        let warnings: Vec<&str> = said.warnings().filter(|text| text.starts_with("InvalidImageName: ")).collect();
        ensure(warnings.len() == 12, || format!("{} of 12 warnings: {said}", warnings.len()))?;
        let findings = annotated(world, WARNED, "many", "findings", &["app-0:none", "InvalidImageName"])?;
        let log = world.stack.api_server_log();
        let complaint = log.lines().find(|line| {
            ["audit annotation", "Failed to set", "failed to add warning"].iter().any(|words| line.contains(words))
        });
        ensure(complaint.is_none(), || complaint.unwrap_or_default().to_owned())?;
        Ok(format!("12 warnings, {} bytes of findings", findings.len()))
    });
}
