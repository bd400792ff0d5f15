//! The binary as people run it: what `check` and `explain` read, print and end with.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod clusters;
mod explain;
mod formats;
mod inputs;
mod rbac;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use pullgate::demo::registry::{Authority, Login, Registry, RegistrySpec};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gate::{OTHER_PASSWORD, PASSWORD, secret};

/// A registry, and a directory with a configuration and a cluster for it.
struct Desk {
    registry: Registry,
    files: TempDir,
}

/// What a command left behind, with the registry's address as `R`.
struct Done {
    code: i32,
    out: String,
    err: String,
}

// === impl Desk ===

impl Desk {
    /// `open:v1` is public, `team/api:v1` is ann's, with the Secret `regcred` of namespace `default`.
    async fn new(login: Login) -> Self {
        let authority = Arc::new(Authority::new().unwrap());
        let registry = Registry::start(RegistrySpec::https(&authority).login(login)).await.unwrap();
        registry.push("open", "v1");
        registry.push("team/api", "v1");
        registry.private("team", &["ann"]);
        registry.set_password("ann", PASSWORD);
        registry.set_password("bob", OTHER_PASSWORD);
        let desk = Self { registry, files: TempDir::new().unwrap() };
        desk.write("ca.pem", authority.pem());
        desk.write(
            "config.yaml",
            &format!(
                "registries: [{{ host: '*', caFile: {}, nodeAccess: none, timeout: 10s }}]\n\
                 guard: {{ allowAddresses: [127.0.0.0/8], registries: {{ allow: ['127.0.0.1:*'] }} }}\n",
                desk.path("ca.pem")
            ),
        );
        let host = desk.registry.host();
        let config = |key: &str, user: &str, password: &str| json!({ "auths": { key: { "username": user, "password": password } } });
        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": "builder", "namespace": "default" },
            "imagePullSecrets": [{ "name": "regcred" }],
        });
        let documents = [
            secret("default", "regcred", &config(&host, "ann", PASSWORD)),
            secret("default", "bobs", &config(&host, "bob", OTHER_PASSWORD)),
            secret("default", "narrow", &config(&format!("{host}/team/api"), "ann", PASSWORD)),
            secret("default", "nonsense", &json!({ "auths": { "registry.example": { "auth": "%%%" } } })),
            account.to_string(),
        ];
        desk.write("cluster.yaml", &documents.join("\n---\n"));
        desk
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// Writes a file.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a manifest, with this registry's address for `R/`.
    fn manifest(&self, name: &str, text: &str) -> String {
        self.write(name, &text.replace("R/", &format!("{}/", self.registry.host())))
    }

    /// Runs with the desk's configuration and cluster.
    async fn run(&self, args: &[&str]) -> Done {
        let (config, cluster) = (self.path("config.yaml"), self.path("cluster.yaml"));
        self.bare(&[args, &["--config", &config, "--cluster-from", &cluster]].concat(), "").await
    }

    /// Runs with the desk's configuration and cluster, and a variable in the environment.
    async fn with_variable(&self, name: &str, value: &str, args: &[&str]) -> Done {
        let (config, cluster) = (self.path("config.yaml"), self.path("cluster.yaml"));
        let args = [args, &["--config", &config, "--cluster-from", &cluster]].concat();
        self.bare_with(&args, "", &[(name, value)]).await
    }

    /// Runs with these arguments and this standard input.
    async fn bare(&self, args: &[&str], input: &str) -> Done {
        self.bare_with(args, input, &[]).await
    }

    async fn bare_with(&self, args: &[&str], input: &str, variables: &[(&str, &str)]) -> Done {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let host = self.registry.host();
        let args: Vec<String> = args
            .iter()
            .map(|arg| arg.strip_prefix("R/").map_or_else(|| (*arg).to_owned(), |image| format!("{host}/{image}")))
            .collect();
        let input_file = self.write("stdin", input);
        let run = move || {
            let input = std::fs::File::open(input_file).unwrap();
            Command::new(env!("CARGO_BIN_EXE_pullgate"))
                .args(args)
                .env_clear()
                .envs(variables)
                .stdin(Stdio::from(input))
                .output()
                .unwrap()
        };
        let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
        let directory = self.files.path().display().to_string();
        let plain = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&host, "R").replace(&directory, "DIR");
        Done { code: status.code().unwrap(), out: plain(stdout), err: plain(stderr) }
    }
}

// === impl Done ===

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// `Kind/name verdict code…` for every object.
    fn objects(&self) -> Vec<String> {
        let results = self.json();
        let line = |result: &Value| {
            let codes = result["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap());
            let object = &result["object"];
            let head = format!("{}/{} {}", text(&object["kind"]), text(&object["name"]), text(&result["verdict"]));
            [head].into_iter().chain(codes.map(str::to_owned)).collect::<Vec<_>>().join(" ")
        };
        results["results"].as_array().unwrap().iter().map(line).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn pod(name: &str, image: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name} }}\nspec:\n  containers: [{{ name: c, image: '{image}' }}]\n{more}"
    )
}

#[tokio::test]
async fn a_pod_that_is_fine_ends_with_0() {
    let desk = Desk::new(Login::None).await;
    let file = desk.manifest("pod.yaml", &pod("p", "R/open:v1", ""));
    let done = desk.run(&["check", "-f", &file, "-o", "json"]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(done.objects(), ["Pod/p allow"]);
}

#[tokio::test]
async fn certain_findings_end_with_1_and_uncertain_ones_with_3() {
    let desk = Desk::new(Login::None).await;
    for (images, code) in [
        (vec!["R/open:v1"], 0),
        (vec!["R/open:v2"], 1),
        (vec!["127.0.0.1:1/open:v1"], 3),
        (vec!["127.0.0.1:1/open:v1", "R/open:v2"], 1),
        (vec!["not-allowed.example/open:v1"], 1),
    ] {
        let flags: Vec<&str> = images.iter().flat_map(|image| ["--image", image]).collect();
        let done = desk.run(&[&["check"], &flags[..]].concat()).await;
        assert_eq!(done.code, code, "{images:?}: {}{}", done.out, done.err);
    }
}

#[tokio::test]
async fn every_kind_with_images_is_judged_and_the_others_are_passed_over() {
    let desk = Desk::new(Login::None).await;
    let template = |kind: &str, api: &str, image: &str| {
        format!(
            "apiVersion: {api}\nkind: {kind}\nmetadata: {{ name: x }}\nspec:\n  template:\n    spec:\n      containers: [{{ name: c, image: '{image}' }}]\n"
        )
    };
    let cron = "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: x }\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers: [{ name: c, image: 'R/open:v2' }]\n";
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x" } },
        { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "y" }, "spec": { "containers": [{ "name": "c", "image": "R/open:v1" }] } },
    ]});
    let documents = [
        pod("p", "R/open:v2", ""),
        template("Deployment", "apps/v1", "R/open:v2"),
        template("Job", "batch/v1", "R/open:v1"),
        cron.to_owned(),
        "apiVersion: v1\nkind: Service\nmetadata: { name: s }\n".to_owned(),
        list.to_string(),
    ];
    let expected = [
        "Pod/p deny TagNotFound",
        "Deployment/x deny TagNotFound",
        "Job/x allow",
        "CronJob/x deny TagNotFound",
        "Pod/y allow",
    ];
    let file = desk.manifest("all.yaml", &documents.join("---\n"));
    let done = desk.run(&["check", "-f", &file, "-o", "json"]).await;
    assert_eq!((done.code, done.objects()), (1, expected.map(str::to_owned).to_vec()));

    let input = std::fs::read_to_string(&file).unwrap();
    let done = desk
        .bare(
            &[
                "check",
                "-f",
                "-",
                "-o",
                "json",
                "--config",
                &desk.path("config.yaml"),
                "--cluster-from",
                &desk.path("cluster.yaml"),
            ],
            &input,
        )
        .await;
    assert_eq!((done.code, done.objects()), (1, expected.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn a_directory_is_read_in_order_and_other_files_in_it_are_not() {
    let desk = Desk::new(Login::None).await;
    desk.manifest("all/b.yaml", &pod("b", "R/open:v1", ""));
    desk.manifest("all/a.yml", &pod("a", "R/open:v1", ""));
    desk.manifest("all/c.json", &json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "c" }, "spec": { "containers": [{ "name": "c", "image": "R/open:v1" }] } }).to_string());
    desk.manifest("all/README.md", "kind: [");
    let done = desk.run(&["check", "-f", &desk.path("all"), "-o", "json"]).await;
    assert_eq!(done.objects(), ["Pod/a allow", "Pod/b allow", "Pod/c allow"], "{}", done.err);
}

#[tokio::test]
async fn the_json_has_the_keys_that_programs_rely_on() {
    let desk = Desk::new(Login::Basic).await;
    let done = desk.run(&["check", "--image", "R/team/api:v2", "--pull-secret", "regcred", "-o", "json"]).await;
    let json = done.json();
    assert_eq!(keys(&json), ["counts", "results", "schemaVersion"]);
    assert_eq!(json["schemaVersion"], 1);
    let counts = json!({
        "objects": 1, "images": 1, "ok": 0, "denied": 1, "uncertain": 0, "notChecked": 0, "excepted": 0, "neverPulled": 0,
    });
    assert_eq!(json["counts"], counts);
    let result = &json["results"][0];
    for key in ["object", "verdict", "images", "findings"] {
        assert!(keys(result).contains(&key), "{result}");
    }
    assert_eq!(keys(&result["object"]), ["apiVersion", "kind", "name", "namespace"]);
    assert_eq!(keys(&result["images"][0]), ["container", "digest", "image", "path", "resolved"]);
    let finding = &result["findings"][0];
    let expected = [
        "cause",
        "certain",
        "code",
        "column",
        "container",
        "file",
        "fix",
        "image",
        "line",
        "message",
        "nearest",
        "node",
        "path",
        "probed",
        "registry",
        "tried",
    ];
    assert_eq!(keys(finding), expected);
    assert_eq!(finding["tried"], json!([{ "source": "Secret \"regcred\"", "outcome": "TagNotFound" }]));
    assert_eq!(finding["probed"], json!({ "repository": true }));
    assert_eq!(finding["registry"], "MANIFEST_UNKNOWN: manifest unknown");
    assert!(text(&finding["node"]).contains("not found"), "{finding}");
    assert!(!done.out.contains(PASSWORD));
}

#[tokio::test]
async fn the_table_is_for_people() {
    let desk = Desk::new(Login::Basic).await;
    let file = desk.manifest("pod.yaml", &pod("web", "R/team/api:v1", "  imagePullSecrets: [{ name: regcred }]\n"));
    let other = desk.manifest(
        "job.yaml",
        &pod("job", "R/team/api:v2", "  imagePullSecrets: [{ name: regcred }, { name: gone }]\n"),
    );
    let done = desk.run(&["check", "-f", &file, "-f", &other, "--image", "127.0.0.1:1/x:1"]).await;
    // The width of a column follows the registry's port.
    let narrow = done.out.lines().map(|line| {
        let words: Vec<&str> = line.split("  ").filter(|word| !word.is_empty()).map(str::trim).collect();
        if line.starts_with(' ') { format!("  {}\n", words.join("  ")) } else { format!("{}\n", words.join("  ")) }
    });
    insta::assert_snapshot!("the_table_is_for_people", narrow.collect::<String>());
}

#[tokio::test]
async fn images_are_judged_with_the_pull_secrets_of_the_command_line() {
    let desk = Desk::new(Login::Basic).await;
    let check = |more: &'static [&'static str]| {
        let desk = &desk;
        async move { desk.run(&[&["check", "--image", "R/team/api:v1", "-o", "json"], more].concat()).await.objects() }
    };
    let pod = "Pod/command-line";
    assert_eq!(check(&[]).await, [format!("{pod} deny CredentialsMissing")]);
    assert_eq!(check(&["--pull-secret", "regcred"]).await, [format!("{pod} allow")]);
    assert_eq!(check(&["--pull-secret", "bobs", "--pull-secret", "regcred"]).await, [format!("{pod} allow")]);
    assert_eq!(check(&["--service-account", "builder"]).await, [format!("{pod} allow")]);
    assert_eq!(check(&["--pull-secret", "regcred", "-n", "other"]).await, [format!("{pod} deny CredentialsMissing")]);
    assert_eq!(check(&["--pull-secret", "nonsense"]).await, [format!("{pod} deny PullSecretMalformed")]);
}

#[tokio::test]
async fn a_pod_in_a_file_gets_the_secrets_of_its_service_account() {
    let desk = Desk::new(Login::Basic).await;
    let with = desk.manifest("with.yaml", &pod("with", "R/team/api:v1", "  serviceAccountName: builder\n"));
    let without = desk.manifest("without.yaml", &pod("without", "R/team/api:v1", ""));
    let own = "  serviceAccountName: builder\n  imagePullSecrets: [{ name: bobs }]\n";
    let own = desk.manifest("own.yaml", &pod("own", "R/team/api:v1", own));
    let done = desk.run(&["check", "-f", &with, "-f", &without, "-f", &own, "-o", "json"]).await;
    let objects = done.objects();
    assert_eq!(objects[..2], ["Pod/with allow", "Pod/without deny CredentialsMissing"]);
    assert!(objects[2].starts_with("Pod/own deny "), "its own list counts alone: {objects:?}");
}

#[tokio::test]
async fn a_mistake_is_one_sentence_and_ends_with_2() {
    let desk = Desk::new(Login::None).await;
    let bad_config = desk.manifest("bad-config.yaml", "mode: enforce\nmodes: warn\n");
    let bad_glob = desk.manifest("bad-glob.yaml", "guard:\n  allowAddresses: [10.0.0.0/33]\n");
    let bad_cluster =
        desk.manifest("bad-cluster.yaml", "kind: Secret\nmetadata: { name: s }\ndata: { a: '%%canary-hunter2%%' }\n");
    for (args, expected) in [
        (
            vec!["check", "--image", "R/open:v1", "--config", "/nowhere.yaml"],
            "pullgate: --config /nowhere.yaml: No such file or directory",
        ),
        (
            vec!["check", "--image", "R/open:v1", "--config", &bad_config],
            "pullgate: --config DIR/bad-config.yaml:2:1: ",
        ),
        (
            vec!["check", "--image", "R/open:v1", "--config", &bad_glob],
            "pullgate: --config DIR/bad-glob.yaml:2:20: \"10.0.0.0/33\" is not an address range: ",
        ),
        (
            vec!["check", "--image", "R/open:v1", "--cluster-from", &bad_cluster],
            "pullgate: --cluster-from DIR/bad-cluster.yaml:3:12: Secret \"s\": data[\"a\"]: ",
        ),
        (
            vec!["check", "--image", "R/open:v1", "--cluster-from", "/nowhere"],
            "pullgate: --cluster-from /nowhere: No such file or directory",
        ),
        (
            vec!["explain", "R/Open:v1"],
            "pullgate: R/Open:v1: invalid reference format: repository name (Open) must be lowercase",
        ),
        (vec!["explain", "auto"], "pullgate: \"auto\": a template's placeholder (empty, or auto) is no image"),
        (vec!["check", "--image", ""], "pullgate: \"\": a template's placeholder (empty, or auto) is no image"),
        (vec!["check"], "error: the following required arguments were not provided:"),
        (
            vec!["check", "--image", "a", "--timeout", "5"],
            "error: invalid value '5' for '--timeout <DURATION>': not a duration such as 500ms, 5s or 2m",
        ),
        (vec!["check", "--image", "a", "-o", "xml"], "error: invalid value 'xml' for '--output <FORMAT[=FILE]>'"),
        (vec!["audit"], "error: unrecognized subcommand 'audit'"),
    ] {
        let done = desk.bare(&args, "").await;
        assert_eq!(done.code, 2, "{args:?}: {}{}", done.out, done.err);
        assert!(done.err.starts_with(expected), "{args:?}: {}", done.err);
        assert!(done.out.is_empty() && !done.err.contains("canary-hunter2"), "{args:?}: {}", done.err);
        assert!(done.err.starts_with("error: ") || done.err.lines().count() == 1, "{args:?}: {}", done.err);
    }
    assert!(desk.registry.requests().is_empty());
}

#[tokio::test]
async fn an_image_that_does_not_parse_is_a_finding_of_check() {
    let desk = Desk::new(Login::None).await;
    let done = desk.run(&["check", "--image", "R/Open:v1", "-o", "json"]).await;
    assert_eq!((done.code, done.objects()), (1, vec!["Pod/command-line deny InvalidImageName".to_owned()]));
}
