//! Tables for every kind, every list and every kind of UPDATE.

use serde_json::{Value, json};

use super::*;

fn meta(api_version: &str, kind: &str) -> ObjectRef {
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: "team-a".to_owned(),
        name: "web".to_owned(),
    }
}

fn extract(api_version: &str, kind: &str, object: &Value) -> Option<Workload> {
    let text = object.to_string();
    from_object(&serde_json::from_str(&text).expect("decodes"), meta(api_version, kind), true)
}

fn pod(spec: &Value) -> Workload {
    extract("v1", "Pod", &json!({ "spec": spec })).expect("a pod")
}

fn update(kind: (&str, &str), old: &Value, new: &Value) -> Option<Workload> {
    let (old, new) = (old.to_string(), new.to_string());
    let (old, new) = (serde_json::from_str(&old).expect("decodes"), serde_json::from_str(&new).expect("decodes"));
    from_update(&new, &old, meta(kind.0, kind.1))
}

fn update_pod(old: &Value, new: &Value) -> Vec<(String, Option<String>)> {
    update(("v1", "Pod"), &json!({ "spec": old }), &json!({ "spec": new }))
        .map(|workload| workload.images.iter().map(|image| (image.image.clone(), image.old_image.clone())).collect())
        .unwrap_or_default()
}

fn update_template(old: &Value, new: &Value) -> Option<Workload> {
    let wrap = |spec: &Value| json!({ "spec": { "replicas": 1, "template": { "spec": spec } } });
    update(("apps/v1", "Deployment"), &wrap(old), &wrap(new))
}

fn one(image: &str) -> Value {
    json!({ "containers": [{ "name": "app", "image": image, "imagePullPolicy": "IfNotPresent" }] })
}

#[test]
fn every_list_of_a_pod_has_its_path_and_pointer() {
    let workload = pod(&json!({
        "containers": [{ "name": "app", "image": "app:1" }, { "name": "side", "image": "side:1" }],
        "initContainers": [{ "name": "init", "image": "init:1" }],
        "ephemeralContainers": [{ "name": "dbg", "image": "dbg:1" }],
        "volumes": [{ "name": "tmp", "emptyDir": {} }, { "name": "none", "image": null },
                    { "name": "vol", "image": { "reference": "vol:1", "pullPolicy": "Never" } }],
    }));
    let images: Vec<_> =
        workload.images.iter().map(|image| [&*image.path, &*image.pointer, &*image.container, &*image.image]).collect();
    assert_eq!(
        images,
        [
            ["spec.containers[0].image", "/spec/containers/0/image", "app", "app:1"],
            ["spec.containers[1].image", "/spec/containers/1/image", "side", "side:1"],
            ["spec.initContainers[0].image", "/spec/initContainers/0/image", "init", "init:1"],
            ["spec.ephemeralContainers[0].image", "/spec/ephemeralContainers/0/image", "dbg", "dbg:1"],
            ["spec.volumes[2].image.reference", "/spec/volumes/2/image/reference", "vol", "vol:1"],
        ]
    );
    assert_eq!(workload.images[4].pull_policy, PullPolicy::Never);
    assert_eq!(workload.shape, Shape::Pod);
}

#[test]
fn every_kind_keeps_its_template_where_the_api_says() {
    let spec = json!({ "initContainers": [{ "name": "i", "image": "" }, { "name": "init", "image": "init:1" }] });
    let template = json!({ "spec": { "template": { "spec": spec } } });
    let nested = json!({ "spec": { "jobTemplate": { "spec": { "template": { "spec": spec } } } } });
    for (api_version, kind, object, prefix) in [
        ("apps/v1", "Deployment", &template, "spec.template.spec"),
        ("apps/v1", "StatefulSet", &template, "spec.template.spec"),
        ("apps/v1", "DaemonSet", &template, "spec.template.spec"),
        ("apps/v1", "ReplicaSet", &template, "spec.template.spec"),
        ("v1", "ReplicationController", &template, "spec.template.spec"),
        ("batch/v1", "Job", &template, "spec.template.spec"),
        ("batch/v1", "CronJob", &nested, "spec.jobTemplate.spec.template.spec"),
    ] {
        let workload = extract(api_version, kind, object).expect(kind);
        assert_eq!(workload.shape, Shape::Template, "{kind}");
        assert_eq!(workload.images.len(), 1, "{kind}");
        let image = &workload.images[0];
        assert_eq!(image.path, format!("{prefix}.initContainers[1].image"), "{kind}");
        assert_eq!(image.pointer, format!("/{}/initContainers/1/image", prefix.replace('.', "/")), "{kind}");
        assert_eq!(object.pointer(&image.pointer), Some(&json!("init:1")), "{kind}");
    }
    for (api_version, kind) in [("v1", "Service"), ("apps/v1", "Pod"), ("v1", "Deployment"), ("x.io/v1", "CronJob")] {
        assert_eq!(extract(api_version, kind, &template), None, "{api_version} {kind}");
    }
    assert_eq!(extract("apps/v1", "Deployment", &json!({ "spec": {} })), None);
    assert_eq!(extract("batch/v1", "CronJob", &template), None);
}

#[test]
fn placeholders_are_no_images_in_templates_and_are_in_pods() {
    for (image, is_image) in [
        (json!(""), false),
        (json!(" "), false),
        (json!(" \t\n"), false),
        (json!("auto"), false),
        (Value::Null, false),
        (json!("auto:1"), true),
        (json!("AUTO"), true),
        (json!("auto "), true),
    ] {
        let spec = json!({
            "containers": [{ "name": "a", "image": image }], "volumes": [{ "name": "v", "image": { "reference": image } }],
        });
        let template =
            extract("apps/v1", "Deployment", &json!({ "spec": { "template": { "spec": spec } } })).expect("it");
        assert_eq!(template.images.len(), if is_image { 2 } else { 0 }, "{image} in a template");
        let pod = pod(&spec);
        assert_eq!(pod.images.len(), 2, "{image} in a Pod");
        assert!(pod.images.iter().all(|found| found.is_placeholder() != is_image), "{image}");
    }
}

#[test]
fn what_stops_is_not_judged_for_where_it_could_land() {
    let template = |image: &str, pool: &str| {
        let containers = json!([{ "name": "a", "image": image, "imagePullPolicy": "IfNotPresent" }]);
        json!({ "spec": { "containers": containers, "nodeSelector": { "pool": pool } } })
    };
    let job = |suspend: bool, image: &str, pool: &str| json!({ "spec": { "suspend": suspend, "template": template(image, pool) } });
    let scaled = |replicas: u32, image: &str, pool: &str| json!({ "spec": { "replicas": replicas, "template": template(image, pool) } });
    let cron = |suspend: bool, image: &str, pool: &str| json!({ "spec": { "suspend": suspend, "jobTemplate": { "spec": { "template": template(image, pool) } } } });
    let (jobs, deployments, crons) = (("batch/v1", "Job"), ("apps/v1", "Deployment"), ("batch/v1", "CronJob"));
    for (kind, old, new, judged) in [
        (jobs, job(false, "a:1", "x"), job(true, "a:1", "y"), false),
        (jobs, job(true, "a:1", "x"), job(true, "a:1", "y"), false),
        (jobs, job(true, "a:1", "x"), job(false, "a:1", "y"), true),
        (jobs, job(false, "a:1", "x"), job(true, "a:2", "x"), true),
        (deployments, scaled(1, "a:1", "x"), scaled(0, "a:1", "y"), false),
        (deployments, scaled(0, "a:1", "x"), scaled(1, "a:1", "y"), true),
        (deployments, scaled(1, "a:1", "x"), scaled(0, "a:2", "y"), true),
        (crons, cron(false, "a:1", "x"), cron(true, "a:1", "y"), false),
        (crons, cron(false, "a:1", "x"), cron(false, "a:1", "y"), true),
    ] {
        assert_eq!(update(kind, &old, &new).is_some(), judged, "{kind:?}: {old} to {new}");
    }
}

#[test]
fn the_policy_defaults_by_tag() {
    for (image, written, policy) in [
        ("app:1", "", PullPolicy::IfNotPresent),
        ("app", "", PullPolicy::Always),
        ("app:latest", "", PullPolicy::Always),
        ("app", "IfNotPresent", PullPolicy::IfNotPresent),
        ("app:1", "Always", PullPolicy::Always),
        ("app:1", "Never", PullPolicy::Never),
        ("app:1", "never", PullPolicy::IfNotPresent),
    ] {
        let spec = json!({ "containers": [{ "name": "a", "image": image, "imagePullPolicy": written }] });
        assert_eq!(pod(&spec).images[0].pull_policy, policy, "{image} {written:?}");
    }
}

#[test]
fn pull_secrets_follow_the_service_account_plugin() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let through = |listed: &[&str], account: &str| PullSecretNames::ThroughServiceAccount {
        listed: names(listed),
        account: account.to_owned(),
    };
    for (spec, admitted, expected) in [
        (json!({}), true, PullSecretNames::Final(names(&[]))),
        (
            json!({ "imagePullSecrets": [{ "name": "a" }, {}, { "name": "b" }] }),
            true,
            PullSecretNames::Final(names(&["a", "b"])),
        ),
        (json!({}), false, through(&[], "default")),
        (json!({ "serviceAccountName": "builder" }), false, through(&[], "builder")),
        (json!({ "serviceAccount": "old" }), false, through(&[], "old")),
        (json!({ "serviceAccount": "old", "serviceAccountName": "new" }), false, through(&[], "new")),
        (json!({ "imagePullSecrets": [{ "name": "a" }, { "name": "" }] }), false, through(&["a"], "default")),
        (json!({ "imagePullSecrets": [{ "name": "" }] }), false, PullSecretNames::Nameless),
        (json!({ "imagePullSecrets": [{ "name": "" }] }), true, PullSecretNames::Nameless),
        (json!({ "imagePullSecrets": [null] }), false, PullSecretNames::Nameless),
    ] {
        let text = json!({ "spec": spec }).to_string();
        let object = serde_json::from_str(&text).expect("decodes");
        let workload = from_object(&object, meta("v1", "Pod"), admitted).expect("a pod");
        assert_eq!(workload.pull_secrets, expected, "{spec} admitted: {admitted}");
        let text = json!({ "spec": { "template": { "spec": spec } } }).to_string();
        let object = serde_json::from_str(&text).expect("decodes");
        let template = from_object(&object, meta("apps/v1", "Deployment"), admitted).expect("a template");
        if !admitted {
            assert_eq!(template.pull_secrets, expected, "{spec} in a template");
        }
    }
}

#[test]
fn only_the_controller_counts_as_the_owner() {
    let foreign = |kind: &str| Owner::Foreign(kind.to_owned());
    for (api_version, kind, controller, expected) in [
        ("apps/v1", "ReplicaSet", json!(true), Owner::BuiltIn),
        ("apps/v1", "StatefulSet", json!(true), Owner::BuiltIn),
        ("apps/v1beta2", "DaemonSet", json!(true), Owner::BuiltIn),
        ("batch/v1", "Job", json!(true), Owner::BuiltIn),
        ("v1", "ReplicationController", json!(true), Owner::BuiltIn),
        ("v1", "Node", json!(true), Owner::BuiltIn),
        ("apps/v1", "ReplicaSet", json!(false), Owner::None),
        ("apps/v1", "ReplicaSet", Value::Null, Owner::None),
        ("apps/v1", "Deployment", json!(true), foreign("Deployment")),
        ("apps.kruise.io/v1", "StatefulSet", json!(true), foreign("StatefulSet")),
        ("tekton.dev/v1", "TaskRun", json!(true), foreign("TaskRun")),
    ] {
        let owners = json!([{ "apiVersion": "v1", "kind": "ConfigMap" },
                            { "apiVersion": api_version, "kind": kind, "controller": controller }]);
        let object = json!({ "metadata": { "ownerReferences": owners }, "spec": {} });
        assert_eq!(extract("v1", "Pod", &object).expect("a pod").owner, expected, "{api_version} {kind}");
    }
    let owners = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "controller": true }]);
    let object = json!({ "metadata": { "ownerReferences": owners }, "spec": { "template": {} } });
    assert_eq!(extract("apps/v1", "ReplicaSet", &object).expect("a template").owner, Owner::BuiltIn);
}

#[test]
fn an_update_of_a_pod_keeps_only_what_changed() {
    let changed = |image: &str, old: &str| vec![(image.to_owned(), Some(old.to_owned()))];
    let new = |image: &str| vec![(image.to_owned(), None)];
    let two = |a: &str, b: &str| json!({ "containers": [{ "name": "a", "image": a }, { "name": "b", "image": b }] });
    assert_eq!(update_pod(&one("app:1"), &one("app:1")), []);
    assert_eq!(update_pod(&one("app:1"), &one("app:2")), changed("app:2", "app:1"));
    assert_eq!(update_pod(&two("a:1", "b:1"), &two("a:1", "b:2")), changed("b:2", "b:1"));
    let swapped = json!({ "containers": [{ "name": "b", "image": "b:1" }, { "name": "a", "image": "a:2" }] });
    assert_eq!(update_pod(&two("a:1", "b:1"), &swapped), changed("a:2", "a:1"));
    assert_eq!(update_pod(&one("app:1"), &two("a:1", "auto")), [new("a:1"), new("auto")].concat());
    assert_eq!(update_pod(&two("a:1", "auto"), &two("a:2", "auto")), changed("a:2", "a:1"));
    let volume = |image: Value| json!({ "volumes": [{ "name": "app", "image": image }] });
    assert_eq!(update_pod(&volume(Value::Null), &volume(json!({ "reference": "v:1" }))), new("v:1"));
    let same_name_elsewhere = json!({ "initContainers": [{ "name": "app", "image": "app:1" }] });
    assert_eq!(update_pod(&one("app:1"), &same_name_elsewhere), new("app:1"));
    assert_eq!(update_pod(&Value::Null, &one("app:1")), new("app:1"));
}

#[test]
fn only_new_ephemeral_containers_are_kept() {
    let object = |containers: Value| {
        json!({ "spec": { "containers": [{ "name": "a", "image": "changed:1" }],
        "ephemeralContainers": containers } })
        .to_string()
    };
    let old = object(json!([{ "name": "dbg", "image": "dbg:1" }]));
    let new = object(json!([{ "name": "dbg", "image": "dbg:2" }, { "name": "dbg2", "image": "dbg:1" }]));
    let (old, new) = (serde_json::from_str(&old).expect("decodes"), serde_json::from_str(&new).expect("decodes"));
    let workload = from_new_ephemeral_containers(&new, &old, meta("v1", "Pod")).expect("one is new");
    assert_eq!(workload.images.len(), 1);
    assert_eq!(workload.images[0].pointer, "/spec/ephemeralContainers/1/image");
    assert_eq!(from_new_ephemeral_containers(&old, &new, meta("v1", "Pod")), None);
}

#[test]
fn an_update_of_a_template_is_all_or_nothing() {
    let with = |field: &str, value: Value| {
        let mut spec = one("app:1");
        spec[field] = value;
        spec
    };
    for same in [
        one("app:1"),
        with("terminationGracePeriodSeconds", json!(5)),
        with("nodeSelector", json!({})),
        with("serviceAccountName", json!("default")),
        json!({ "containers": [{ "name": "renamed", "image": "app:1" }, { "name": "mesh", "image": "auto" }] }),
    ] {
        assert_eq!(update_template(&one("app:1"), &same), None, "{same}");
    }
    for different in [
        one("app:2"),
        json!({ "containers": [{ "name": "app", "image": "app:1", "imagePullPolicy": "Always" }] }),
        with("initContainers", json!([{ "name": "i", "image": "app:1" }])),
        with("imagePullSecrets", json!([{ "name": "a" }])),
        with("imagePullSecrets", json!([{ "name": "" }])),
        with("serviceAccountName", json!("builder")),
        with("nodeSelector", json!({ "kubernetes.io/arch": "arm64" })),
        with("tolerations", json!([{ "operator": "Exists" }])),
        with(
            "affinity",
            json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [] } } }),
        ),
    ] {
        let workload = update_template(&one("app:1"), &different).unwrap_or_else(|| panic!("{different}"));
        assert!(!workload.images.is_empty(), "{different}");
    }
    let workload = update_template(&one("app:1"), &with("nodeName", json!("n1"))).expect("placement changed");
    assert_eq!((&*workload.images[0].image, &workload.images[0].old_image), ("app:1", &None));
    let workload = update_template(&one("app:1"), &one("app:2")).expect("image changed");
    assert_eq!(workload.images[0].old_image.as_deref(), Some("app:1"));
}

#[test]
fn a_hundred_thousand_shuffled_containers_stay_linear() {
    let object = |names: &mut dyn Iterator<Item = usize>| {
        let containers: Vec<_> = names.map(|n| json!({ "name": n.to_string(), "image": "a:1" })).collect();
        json!({ "spec": { "containers": containers } })
    };
    let (old, new) = (object(&mut (0..100_000)), object(&mut (0..100_000).rev()));
    assert_eq!(update(("v1", "Pod"), &old, &new), None);
}
