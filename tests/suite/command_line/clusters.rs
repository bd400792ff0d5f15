//! What the commands say of a cluster that nobody gave, that does not answer, that refuses the login or a right.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::demo::registry::Login;
use serde_json::{Value, json};

use super::{Desk, Done, PASSWORD, pod};

/// An API server that answers every path as told, and writes down the paths.
struct ApiServer {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    fn start(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let paths = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&paths);
        // It ends with the process: a test has no way to wake a thread that accepts.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
                let (status, body) = answer(&path);
                seen.lock().unwrap().push(path);
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                drop(connection.write_all((head + &body).as_bytes()));
            }
        });
        Self { address, paths }
    }

    /// Namespaces of the Secrets that were asked for.
    fn namespaces(&self) -> Vec<String> {
        let mut paths = self.paths.lock().unwrap();
        let of = |path: &String| path.contains("/secrets/").then(|| path.split('/').nth(4).unwrap().to_owned());
        let mut found: Vec<String> = paths.iter().filter_map(of).collect();
        paths.clear();
        found.sort();
        found.dedup();
        found
    }
}

fn status(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason }),
    )
}

fn kubeconfig(desk: &Desk, name: &str, address: SocketAddr) -> String {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "there",
        "clusters": [{ "name": "k", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "u", "user": { "token": "t" } }],
        "contexts": [{ "name": "there", "context": { "cluster": "k", "user": "u", "namespace": "shop" } }],
    });
    desk.write(name, &text.to_string())
}

/// An address of loopback on which nobody listens.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn certain(done: &Done) -> Vec<(String, bool)> {
    let json = done.json();
    let results = json["results"].as_array().unwrap().iter();
    let findings = results.flat_map(|result| result["findings"].as_array().unwrap());
    findings.map(|finding| (finding["code"].as_str().unwrap().to_owned(), finding["certain"] == true)).collect()
}

#[tokio::test]
async fn without_a_cluster_nothing_about_secrets_is_certain() {
    let desk = Desk::new(Login::Basic).await;
    let config = desk.path("config.yaml");
    let listed = desk.manifest("listed.yaml", &pod("p", "R/team/api:v1", "  imagePullSecrets: [{ name: regcred }]\n"));
    let through = desk.manifest("through.yaml", &pod("p", "R/team/api:v1", ""));
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: j }\nspec: { template: { spec: { containers: [{ name: c, image: 'R/team/api:v1' }] } } }\n";
    let job = desk.manifest("job.yaml", job);
    for args in [
        vec!["check", "-f", &listed],
        vec!["check", "-f", &through],
        vec!["check", "-f", &job],
        vec!["check", "--image", "R/team/api:v1"],
        vec!["check", "--image", "R/team/api:v1", "--pull-secret", "regcred"],
        vec!["explain", "R/team/api:v1", "--pull-secret", "regcred"],
        vec!["explain", "R/team/api:v1"],
    ] {
        let done = desk.bare(&[&args[..], &["--config", &config, "-o", "json"]].concat(), "").await;
        assert_eq!((done.code, certain(&done)), (3, vec![("CredentialsMissing".to_owned(), false)]), "{args:?}");
        assert!(done.out.contains("no cluster was given to look up "), "{args:?}: {}", done.out);
        assert!(!done.out.contains("PullSecretMissing") && !done.out.contains("kubectl"), "{args:?}: {}", done.out);
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
        assert!(
            done.err.contains("no cluster was given") && done.err.contains("--kubeconfig FILE or --cluster-from PATH")
        );
    }
    // Nor is what a file holds certain: what nodes hold is not known.
    let auth = STANDARD.encode("ann:wrong");
    let wrong = desk.write("wrong.json", &json!({ "auths": { desk.registry.host(): { "auth": auth } } }).to_string());
    let done = desk
        .bare(&["explain", "R/team/api:v1", "--docker-config", &wrong, "--config", &config, "-o", "json"], "")
        .await;
    assert_eq!((done.code, certain(&done)), (3, vec![("CredentialsRejected".to_owned(), false)]), "{}", done.out);
    // What needs no Secret is as certain as ever.
    let desk = Desk::new(Login::None).await;
    let config = desk.path("config.yaml");
    for (image, code) in [("R/open:v1", 0), ("R/open:v9", 1), ("R/Open:v1", 1), ("not-allowed.example/a:v1", 1)] {
        let done = desk.bare(&["check", "--image", image, "--config", &config], "").await;
        assert_eq!(done.code, code, "{image}: {}", done.out);
    }
}

#[tokio::test]
async fn a_login_that_is_not_accepted_and_a_right_that_lacks_are_told_apart() {
    let desk = Desk::new(Login::Basic).await;
    let file = desk.manifest("pod.yaml", &pod("p", "R/team/api:v1", "  imagePullSecrets: [{ name: regcred }]\n"));
    let (expired, forbidden) =
        (ApiServer::start(|_| status(401, "Unauthorized")), ApiServer::start(|_| status(403, "Forbidden")));
    let expired = kubeconfig(&desk, "expired.kube", expired.address);
    let forbidden = kubeconfig(&desk, "forbidden.kube", forbidden.address);
    let config = desk.path("config.yaml");
    let check = ["check", "-f", &file, "--config", &config, "-o", "json", "--kubeconfig"];
    let done = desk.bare(&[&check[..], &[&expired]].concat(), "").await;
    assert_eq!((done.code, certain(&done)), (3, vec![("CredentialsMissing".to_owned(), false)]));
    assert!(
        done.out.contains("does not accept the login (401 Unauthorized)") && !done.out.contains("grant"),
        "{}",
        done.out
    );
    assert!(done.err.contains("did not accept your login (401 Unauthorized): log in again"), "{}", done.err);
    let done = desk.bare(&[&check[..], &[&forbidden]].concat(), "").await;
    assert_eq!((done.code, certain(&done)), (3, vec![("CredentialsMissing".to_owned(), false)]));
    assert!(
        done.out.contains("grant pullgate the right to get Secret") && done.err.is_empty(),
        "{}{}",
        done.out,
        done.err
    );

    let done = desk.bare(&["doctor", "--kubeconfig", &expired], "").await;
    assert_eq!(
        (done.code, done.out.matches("401").count(), done.out.contains("may not")),
        (1, 1, false),
        "{}",
        done.out
    );
    let done = desk.bare(&["rbac", "generate", "-A", "--kubeconfig", &expired], "").await;
    assert_eq!((done.code, done.err.lines().count()), (2, 1), "{}", done.err);
    assert!(done.err.contains("log in again"), "{}", done.err);
    let done = desk.bare(&["uninstall", "--webhooks-only", "--kubeconfig", &expired], "").await;
    assert_eq!((done.code, done.err.lines().count()), (2, 1), "{}", done.err);
    assert!(done.err.contains("log in again"), "{}", done.err);
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_named_once_with_context_and_cause() {
    let desk = Desk::new(Login::Basic).await;
    let file = desk.manifest("pod.yaml", &pod("p", "R/team/api:v1", "  imagePullSecrets: [{ name: regcred }]\n"));
    let address = dead();
    let kubeconfig = kubeconfig(&desk, "dead.kube", address);
    let config = desk.path("config.yaml");
    let named = format!("http://{address} (context \"there\")");
    for (args, code) in [
        (vec!["doctor"], 1),
        (vec!["doctor", "--pre"], 1),
        (vec!["rbac", "generate", "-A"], 2),
        (vec!["ready", "--timeout", "1s"], 2),
        (vec!["uninstall"], 2),
        (vec!["check", "-f", &file, "--config", &config, "-o", "github"], 3),
    ] {
        let done = desk.bare(&[&args[..], &["--kubeconfig", &kubeconfig]].concat(), "").await;
        let said = format!("{}{}", done.out, done.err);
        assert_eq!(done.code, code, "{args:?}: {said}");
        assert_eq!(said.matches(&named).count(), 1, "{args:?}: {said}");
        assert!(said.contains("refused the connection"), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn the_namespace_is_the_objects_else_the_flags_else_the_contexts() {
    let desk = Desk::new(Login::Basic).await;
    let api = ApiServer::start(|_| status(404, "NotFound"));
    let kubeconfig = kubeconfig(&desk, "there.kube", api.address);
    let text = pod("p", "R/team/api:v1", "  imagePullSecrets: [{ name: regcred }]\n");
    let bare = desk.manifest("bare.yaml", &text);
    let own = desk.manifest("own.yaml", &text.replace("{ name: p }", "{ name: p, namespace: blog }"));
    let config = desk.path("config.yaml");
    for (args, expected) in [
        (vec!["check", "-f", &bare], "shop"),
        (vec!["check", "-f", &bare, "-n", "team"], "team"),
        (vec!["check", "-f", &own, "-n", "team"], "blog"),
        (vec!["check", "--image", "R/team/api:v1", "--pull-secret", "regcred"], "shop"),
        (vec!["explain", "R/team/api:v1", "--pull-secret", "regcred"], "shop"),
        (vec!["explain", "R/team/api:v1", "--pull-secret", "regcred", "-n", "team"], "team"),
    ] {
        let done = desk.bare(&[&args[..], &["--config", &config, "--kubeconfig", &kubeconfig]].concat(), "").await;
        assert_eq!((done.code, api.namespaces()), (1, vec![expected.to_owned()]), "{args:?}: {}{}", done.out, done.err);
    }
}

#[tokio::test]
async fn objects_of_the_cluster_files_that_name_no_namespace_are_in_the_one_of_the_flag() {
    let desk = Desk::new(Login::Basic).await;
    let secret = |namespace: Option<&str>| {
        let config = json!({ "auths": { desk.registry.host(): { "username": "ann", "password": PASSWORD } } });
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "own", "namespace": namespace },
            "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": config.to_string() } })
        .to_string()
    };
    let (bare, named) = (desk.write("bare.json", &secret(None)), desk.write("named.json", &secret(Some("team-a"))));
    let config = desk.path("config.yaml");
    for (cluster, namespace, code) in [
        (&bare, None, 0),
        (&bare, Some("team-a"), 0),
        (&named, Some("team-a"), 0),
        (&named, Some("team-b"), 1),
        (&named, None, 1),
    ] {
        let mut args = vec!["check", "--image", "R/team/api:v1", "--pull-secret", "own", "--config", &config];
        args.extend(["--cluster-from", cluster]);
        args.extend(namespace.iter().flat_map(|namespace| ["-n", namespace]));
        let done = desk.bare(&args, "").await;
        assert_eq!(done.code, code, "{args:?}: {}{}", done.out, done.err);
    }
}
