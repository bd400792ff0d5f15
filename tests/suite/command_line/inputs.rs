//! What `check` makes of the files that it is given: what of them belongs to the cluster, what is wrong, what was not
//! judged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::demo::registry::Login;
use serde_json::{Value, json};

use super::{Desk, PASSWORD, pod};

const ALL_FORMATS: [&str; 6] = ["table", "json", "yaml", "junit", "sarif", "github"];

/// A Secret, a `ServiceAccount` that names it, and a Deployment that runs under it; the Secret in a namespace of its own
/// where one is given.
fn release(desk: &Desk, namespace: Option<&str>, password: &str) -> String {
    let config = json!({ "auths": { desk.registry.host(): { "username": "ann", "password": password } } });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "own", "namespace": namespace },
        "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": STANDARD.encode(config.to_string()) } });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "app" },
        "imagePullSecrets": [{ "name": "own" }] });
    let spec = json!({ "serviceAccountName": "app", "containers": [{ "name": "c", "image": "R/team/api:v1" }] });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "app" },
        "spec": { "template": { "spec": spec } } });
    [secret, account, deployment].map(|object| object.to_string()).join("\n---\n")
}

#[tokio::test]
async fn secrets_of_the_files_count_as_if_they_were_applied() {
    let desk = Desk::new(Login::Basic).await;
    let file = desk.manifest("release.yaml", &release(&desk, None, PASSWORD));
    let config = desk.path("config.yaml");
    let done = desk.run(&["check", "-f", &file, "-n", "shop", "-o", "json"]).await;
    assert_eq!((done.code, done.objects()), (0, vec!["Deployment/app allow".to_owned()]), "{}", done.err);
    let said = "taken from the files, as if they were applied already: Secret shop/own, ServiceAccount shop/app";
    assert!(done.err.contains(said), "{}", done.err);
    let done = desk.bare(&["check", "-f", &file, "--config", &config, "-o", "json"], "").await;
    assert_eq!((done.code, done.objects()), (0, vec!["Deployment/app allow".to_owned()]), "{}", done.err);
    // The order of files does not matter.
    let documents = release(&desk, None, PASSWORD);
    let (objects, deployment) = documents.rsplit_once("\n---\n").unwrap();
    let (objects, deployment) = (desk.manifest("z.yaml", objects), desk.manifest("a.yaml", deployment));
    let done = desk.run(&["check", "-f", &deployment, "-f", &objects]).await;
    assert_eq!(done.code, 0, "{}", done.out);
    // What is applied goes over what is there, and no namespace lends its Secrets to another.
    let file = desk.manifest("wrong.yaml", &release(&desk, None, "wrong"));
    let done = desk.run(&["check", "-f", &file, "-o", "json"]).await;
    assert_eq!(done.objects(), ["Deployment/app deny CredentialsRejected"]);
    let file = desk.manifest("foreign.yaml", &release(&desk, Some("elsewhere"), PASSWORD));
    let done = desk.run(&["check", "-f", &file, "-o", "json"]).await;
    assert_eq!(done.objects(), ["Deployment/app deny CredentialsMissing"]);
}

#[tokio::test]
async fn a_login_of_the_machine_is_used_where_it_is_asked_for() {
    let desk = Desk::new(Login::Basic).await;
    let docker = |password: &str| {
        let auth = STANDARD.encode(format!("ann:{password}"));
        json!({ "auths": { desk.registry.host(): { "auth": auth } }, "credsStore": "desktop" }).to_string()
    };
    desk.write("docker/config.json", &docker(PASSWORD));
    let (folder, file) = (desk.path("docker"), desk.path("docker/config.json"));
    let wrong = desk.write("wrong/config.json", &docker("wrong"));
    let broken = desk.write("broken.json", "{\"auths\": [");
    let pod = desk.manifest("pod.yaml", &pod("p", "R/team/api:v1", "  imagePullSecrets: [{ name: gone }]\n"));
    let config = desk.path("config.yaml");
    for path in [&folder, &file] {
        for args in [vec!["check", "--image", "R/team/api:v1"], vec!["check", "-f", &pod]] {
            let done = desk.run(&[&args[..], &["--docker-config", path]].concat()).await;
            assert_eq!(done.code, 0, "{args:?}: {}", done.out);
            assert!(done.err.contains("--docker-config: credsStore: held by a helper"), "{}", done.err);
            let done = desk.bare(&[&args[..], &["--config", &config, "--docker-config", path]].concat(), "").await;
            assert_eq!(done.code, 0, "{args:?} without a cluster: {}", done.out);
        }
    }
    // That it is refused says nothing about nodes, which do not have it.
    let done = desk.run(&["check", "-f", &pod, "--docker-config", &wrong, "-o", "json"]).await;
    assert_eq!((done.code, done.objects()), (3, vec!["Pod/p warn CredentialsRejected".to_owned()]), "{}", done.out);
    assert!(!done.out.contains("kubectl"), "no Secret is made of it: {}", done.out);
    let done = desk.run(&["check", "-f", &pod, "--docker-config", &broken]).await;
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert!(
        done.err.starts_with("pullgate: --docker-config DIR/broken.json: no kubelet can decode it"),
        "{}",
        done.err
    );
    // Without the flag the variable is not read; with a flag that names no file it is.
    let done = desk.with_variable("DOCKER_CONFIG", &folder, &["check", "-f", &pod]).await;
    assert_eq!(done.code, 1, "{}", done.out);
    let done = desk.with_variable("DOCKER_CONFIG", &folder, &["check", "-f", &pod, "--docker-config"]).await;
    assert_eq!(done.code, 0, "{}", done.out);
    let done = desk.run(&["check", "-f", &pod, "--docker-config"]).await;
    assert_eq!(done.code, 2, "neither variable nor home directory: {}", done.err);
}

#[tokio::test]
async fn nothing_judged_is_no_success() {
    let desk = Desk::new(Login::None).await;
    let nested = desk.manifest("nested/overlays/prod.yaml", &pod("prod", "R/open:v1", ""));
    std::fs::create_dir(desk.path("none")).unwrap();
    let (nested_root, none) = (desk.path("nested"), desk.path("none"));
    let service = desk.manifest("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: { name: s }\n");
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: { name: r }\nspec: { template: { spec: { containers: [{ name: c, image: 'R/open:v1' }] } } }\n";
    let rollout = desk.manifest("rollout.yaml", rollout);
    for (args, said) in [
        (vec!["-f", "-"], "0 workloads in 1 file; they hold no objects"),
        (vec!["-f", &none], "0 workloads in 0 files"),
        (vec!["-f", &nested_root], "1 sub-directory was not read (-R reads them)"),
        (vec!["-f", &service], "1 object has no images (Service)"),
        (vec!["-f", &rollout], "Rollout (argoproj.io/v1alpha1) is not a kind that pullgate knows: add it under kinds:"),
    ] {
        for format in ALL_FORMATS {
            let done = desk.run(&[&["check", "-o", format], &args[..]].concat()).await;
            assert_eq!((done.code, done.err.lines().count()), (2, 1), "{args:?} {format}: {}", done.err);
            assert!(done.err.contains(said), "{args:?}: {}", done.err);
        }
        let done = desk.run(&[&["check", "--allow-empty"], &args[..]].concat()).await;
        assert_eq!(done.code, 0, "{args:?}");
        assert!(done.err.contains(said), "{args:?}: {}", done.err);
    }
    let done = desk.run(&["check", "-R", "-f", &nested_root, "-o", "json"]).await;
    assert_eq!((done.code, done.objects(), done.err.as_str()), (0, vec!["Pod/prod allow".to_owned()], ""));
    // A template whose images the platform fills in is a workload that was looked at.
    let auto = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\nspec: { template: { spec: { containers: [{ name: c, image: auto }] } } }\n";
    let auto = desk.manifest("auto.yaml", auto);
    let done = desk.run(&["check", "-f", &auto]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    // Beside something that was judged it is said, and no error.
    let done = desk.run(&["check", "-f", &nested, "-f", &rollout, "-f", &service]).await;
    assert_eq!(done.code, 0);
    assert!(done.err.starts_with("pullgate: not judged: Rollout (argoproj.io/v1alpha1) is not a kind"), "{}", done.err);
}

#[tokio::test]
async fn one_bad_file_hides_no_other_and_ends_with_2() {
    let desk = Desk::new(Login::None).await;
    let helm = "apiVersion: v1\nkind: Pod\nmetadata: { name: {{ .Release.Name }} }\n";
    let two = format!("{}---\nkind: [\n", pod("half", "R/open:v1", ""));
    for (name, text, said) in [
        ("broken.yaml", "kind: Pod\nmetadata: {\n", "--file DIR/F/broken.yaml:2:"),
        ("two.yaml", two.as_str(), "--file DIR/F/two.yaml:"),
        (
            "helm.yaml",
            helm,
            "--file DIR/F/helm.yaml: a template of Helm and no manifest; render it first: helm template . | pullgate check -f -",
        ),
        ("kustomization.yaml", "resources: [a.yaml]\n", "render it first: kustomize build DIR/F | pullgate check -f -"),
        (
            "Chart.yaml",
            "apiVersion: v2\nname: c\nversion: 1.0.0\n",
            "render it first: helm template DIR/F | pullgate check -f -",
        ),
        ("values.yaml", "image: { tag: v1 }\n", "--file DIR/F/values.yaml: a part of a Helm chart"),
    ] {
        let folder = format!("in-{}", name.replace('.', "-"));
        desk.manifest(&format!("{folder}/a.yaml"), &pod("a", "R/open:v1", ""));
        desk.manifest(&format!("{folder}/z.yaml"), &pod("z", "R/open:v9", ""));
        desk.manifest(&format!("{folder}/{name}"), text);
        let done = desk.run(&["check", "-f", &desk.path(&folder), "-o", "json"]).await;
        let objects = done.objects();
        assert_eq!(done.code, 2, "{name}: 2 goes before 1: {}", done.err);
        for expected in ["Pod/a allow", "Pod/z deny TagNotFound"] {
            assert!(objects.contains(&expected.to_owned()), "{name}: {objects:?}");
        }
        assert!(done.err.contains(&said.replace("DIR/F", &format!("DIR/{folder}"))), "{name}: {}", done.err);
        assert_eq!(done.err.lines().count(), 1, "{name}: {}", done.err);
    }
    let good = desk.manifest("good.yaml", &pod("a", "R/open:v1", ""));
    let done = desk.run(&["check", "-f", &good, "-f", "/nowhere/pod.yaml", "-o", "json"]).await;
    assert_eq!((done.code, done.objects()), (2, vec!["Pod/a allow".to_owned()]));
    assert_eq!(done.err, "pullgate: --file /nowhere/pod.yaml: No such file or directory\n");
    let number = desk.manifest("number.yaml", &pod("n", "R/open:v1", "").replace("[{ name: c,", "[{ name: 7,"));
    let done = desk.run(&["check", "-f", &good, "-f", &number, "--allow-empty"]).await;
    assert_eq!(done.code, 2);
    assert!(done.err.starts_with("pullgate: --file DIR/number.yaml:"), "{}", done.err);
    let value: Value = json!(done.out);
    assert!(value.as_str().is_some_and(|out| out.contains("Pod")), "{}", done.out);
}
