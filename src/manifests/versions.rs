//! The API versions of the kinds that pull images.

use crate::workload::Shape;

/// The groups that are Kubernetes' own and had such kinds.
const GROUPS: [&str; 4] = ["", "apps", "batch", "extensions"];

/// The `apiVersion` that clusters serve, for a kind of Kubernetes' own that pulls images and is written with another one
/// (`extensions/v1beta1`, `batch/v1beta1`, a misspelt one, or none at all). `None` for what is served, and for kinds of
/// others.
pub fn served_version(api_version: &str, kind: &str) -> Option<&'static str> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let served = match kind {
        "Pod" | "ReplicationController" => "v1",
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => "apps/v1",
        "Job" | "CronJob" => "batch/v1",
        _ => return None,
    };
    (GROUPS.contains(&group) && Shape::of(api_version, kind).is_none()).then_some(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_cluster_serves_gets_the_version_that_one_does() {
        for (api_version, kind, expected) in [
            ("extensions/v1beta1", "Deployment", Some("apps/v1")),
            ("extensions/v1beta1", "DaemonSet", Some("apps/v1")),
            ("apps/v1beta2", "StatefulSet", Some("apps/v1")),
            ("batch/v1beta1", "CronJob", Some("batch/v1")),
            ("batch/v2alpha1", "CronJob", Some("batch/v1")),
            ("v1beta3", "Pod", Some("v1")),
            ("v1", "Deployment", Some("apps/v1")),
            ("apps/v1", "Pod", Some("v1")),
            ("", "Job", Some("batch/v1")),
            ("v1", "Pod", None),
            ("apps/v1", "Deployment", None),
            ("batch/v1", "CronJob", None),
            ("example.com/v1beta1", "Deployment", None),
            ("extensions/v1beta1", "Ingress", None),
        ] {
            assert_eq!(served_version(api_version, kind), expected, "{api_version} {kind}");
        }
    }
}
