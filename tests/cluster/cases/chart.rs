//! The chart: what it renders is what this API server takes, field by field, and what it grants is no more than needed.

use std::path::Path;

use serde_json::Value;

use crate::objects;
use crate::report::{Report, ensure};
use crate::world::{OWN_NAMESPACE, World};

/// Before anything is installed: every rendering passes strict validation.
pub(super) fn rendered(world: &World, report: &mut Report) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/pullgate");
    for values in ["values.yaml", "ci/minimal-values.yaml", "ci/enforce-values.yaml"] {
        report.case(&format!("chart: {values} renders objects that are valid to the last field"), |_| {
            // Named by the RoleBindings of one of the renderings.
            world.kubectl.apply(&objects::list(["team-a", "team-b"].map(objects::namespace)))?.succeeded()?;
            let version: Value = serde_json::from_str(&world.kubectl.get("get --raw /version")?)?;
            let version = version["gitVersion"].as_str().unwrap_or_default();
            let (chart, values) = (chart.display().to_string(), chart.join(values).display().to_string());
            let arguments =
                ["template", "pullgate", &chart, "--kube-version", version, "-n", OWN_NAMESPACE, "-f", &values];
            let rendered = world.kubectl.helm(&arguments)?.succeeded()?.stdout;
            let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
            let said = world.kubectl.run_with(&apply, Some(&rendered))?.silently()?;
            Ok(format!("{} objects", said.stdout.lines().count()))
        });
    }
}

/// After `helm install`: what pullgate's `ServiceAccount` may do.
pub(super) fn installed(world: &mut World, report: &mut Report) {
    let world = &*world;
    report.case(
        "chart: its ServiceAccount may get Secrets and ServiceAccounts, follow Nodes and do nothing else",
        |_| {
            let user = format!("--as=system:serviceaccount:{OWN_NAMESPACE}:pullgate");
            for resource in ["secrets", "serviceaccounts", "nodes", "pods", "configmaps", "namespaces"] {
                for verb in ["get", "list", "watch", "create", "patch", "delete"] {
                    let may = world.kubectl.run(&format!("auth can-i {verb} {resource} -n team {user}"))?;
                    let granted = matches!(
                        (verb, resource),
                        ("get", "secrets" | "serviceaccounts") | ("list" | "watch", "nodes")
                    );
                    let expected = if granted { "yes" } else { "no" };
                    ensure(may.stdout.trim() == expected, || format!("expected {expected}: {may}"))?;
                }
            }
            Ok("36 questions".to_owned())
        },
    );
}
