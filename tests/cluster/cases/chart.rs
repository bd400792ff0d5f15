//! The chart: what it renders is what this API server takes, field by field, and what it grants is no more than needed.

use std::path::Path;

use serde_json::{Value, json};

use crate::Failure;
use crate::kubectl::until;
use crate::objects;
use crate::report::{Report, ensure};
use crate::world::{OWN_NAMESPACE, World};

/// Every values file that the chart comes with.
const VALUES: [&str; 7] = [
    "values.yaml",
    "values-ha.yaml",
    "values-audit.yaml",
    "ci/full-values.yaml",
    "ci/minimal-values.yaml",
    "ci/namespaced-values.yaml",
    "ci/none-values.yaml",
];

/// Kinds of others that it makes objects of.
const FOREIGN: [(&str, &str); 5] = [
    ("monitoring.coreos.com", "ServiceMonitor"),
    ("monitoring.coreos.com", "PodMonitor"),
    ("monitoring.coreos.com", "PrometheusRule"),
    ("cert-manager.io", "Certificate"),
    ("cert-manager.io", "Issuer"),
];

/// Before anything is installed: every rendering passes strict validation.
pub(super) fn rendered(world: &World, report: &mut Report) {
    report.case("chart: the kinds of the Prometheus operator and of cert-manager", |_| foreign_kinds(world));
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/pullgate");
    for values in VALUES {
        report.case(&format!("chart: {values} renders objects that are valid to the last field"), |_| {
            // Named by the RoleBindings of one of the renderings.
            world.kubectl.apply(&objects::list(["team-a", "team-b"].map(objects::namespace)))?.succeeded()?;
            // A pod, unlike a template, is refused without its account.
            world.kubectl.apply(&objects::account(OWN_NAMESPACE, "pullgate-test", &[]))?.succeeded()?;
            let version: Value = serde_json::from_str(&world.kubectl.get("get --raw /version")?)?;
            let version = version["gitVersion"].as_str().unwrap_or_default();
            let (chart, values) = (chart.display().to_string(), chart.join(values).display().to_string());
            let arguments =
                ["template", "pullgate", &chart, "--kube-version", version, "-n", OWN_NAMESPACE, "-f", &values];
            let rendered = world.kubectl.helm(&arguments)?.succeeded()?.stdout;
            let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
            let said = world.kubectl.run_with(&apply, Some(&rendered))?.succeeded()?;
            world.kubectl.run(&format!("-n {OWN_NAMESPACE} delete serviceaccount pullgate-test"))?.succeeded()?;
            let warned = said.warnings().find(|warning| !warning.contains("last-applied-configuration"));
            ensure(warned.is_none(), || said.to_string())?;
            Ok(format!("{} objects", said.stdout.lines().count()))
        });
    }
    report.case("chart: a key that nobody knows is refused", |_| {
        let values = json!({ "webhooks": { "validate": { "failurePolice": "Fail" } } });
        let said = world.chart(&["template", "pullgate"], OWN_NAMESPACE, &values)?;
        ensure(said.code == Some(1) && said.stderr.contains("failurePolice"), || said.to_string())?;
        Ok(String::new())
    });
}

/// Makes them as their owners would, with any fields.
fn foreign_kinds(world: &World) -> Result<String, Failure> {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    for (group, kind) in FOREIGN {
        let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural, "singular": singular },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
            },
        });
        world.kubectl.apply(&definition)?.succeeded()?;
        until("the API of another's kind", || {
            world.kubectl.run(&format!("-n default get {plural}.{group}"))?.succeeded().map(|_| Some(()))
        })?;
    }
    Ok(format!("{} of them", FOREIGN.len()))
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
