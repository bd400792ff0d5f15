//! `pullgate doctor` and `helm test`: on a cluster without pullgate, on a release as it should be, and on one whose replicas
//! are gone.

use serde_json::Value;

use pullgate::doctor::NAMES;

use crate::Failure;
use crate::kubectl::Said;
use crate::load::NAMESPACE as SHOP;
use crate::report::ensure;
use crate::scene::{OWN_NAMESPACE, Scene};

/// Nothing is installed: whether it could be.
pub(super) fn before(scene: &Scene) -> Result<String, Failure> {
    let (code, said) = scene.pullgate("doctor --pre")?;
    let good = said.lines().filter(|line| line.starts_with('√')).count();
    let right =
        code == Some(0) && good == said.lines().count() && said.contains("√ webhooks: no pullgate is installed");
    ensure(right, || format!("{code:?}\n{said}"))?;
    Ok(format!("{good} lines, all good"))
}

/// Everything is as it should be, on a cluster of one node.
pub(super) fn sound(scene: &Scene) -> Result<String, Failure> {
    let (code, said) = scene.pullgate(&format!("doctor --review -n {SHOP}"))?;
    // What this stage has otherwise than a cluster should.
    let expected = [
        "‼ timeouts: validate.pullgate.dev waits 10 s, advice is 5",
        "‼ endpoints: 3 ready, on 1 node: when it fails, nobody answers",
    ];
    let remarks: Vec<&str> = said.lines().filter(|line| !line.starts_with(['√', ' '])).collect();
    let right = code == Some(0) && remarks == expected;
    ensure(right && segment(&said).is_none(), || format!("{code:?}\n{said}"))?;

    let (code, said) = scene.pullgate(&format!("doctor --review -n {SHOP} -o json"))?;
    let json: Value = serde_json::from_str(&said)?;
    let checks = json["checks"].as_array().cloned().unwrap_or_default();
    // Rights are asked for before an installation only.
    ensure(code == Some(0) && checks.len() == NAMES.len() - 1, || said)?;
    let (code, said) = scene.pullgate("doctor --pre")?;
    ensure(code == Some(1) && said.contains("× webhooks: pullgate is installed already"), || said)?;
    tested(scene)?.succeeded()?;
    Ok(format!("{} checks, and helm test", checks.len()))
}

/// Nobody answers.
pub(super) fn gone(scene: &Scene) -> Result<String, Failure> {
    let (code, said) = scene.pullgate(&format!("doctor --review -n {SHOP}"))?;
    let bad: Vec<&str> = said.lines().filter(|line| line.starts_with('×')).collect();
    let told = ["× endpoints: no replica is ready", "× review: "];
    let right = code == Some(1) && told.iter().all(|start| bad.iter().any(|line| line.starts_with(start)));
    ensure(right && segment(&said).is_none(), || format!("{code:?}\n{said}"))?;
    let test = tested(scene)?;
    ensure(test.code == Some(1), || format!("helm test should fail: {test}"))?;
    Ok(bad.join("; "))
}

/// `helm test`; the last one takes away what one that failed has left.
pub(super) fn tested(scene: &Scene) -> Result<Said, Failure> {
    scene.kubectl.helm(&["test", "pullgate", "-n", OWN_NAMESPACE, "--timeout", "60s"])
}

/// The path by which API servers are known, if it is in a text.
fn segment(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("/validate/")?;
    let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
    after.get(..end).filter(|word| word.len() > 20)
}
