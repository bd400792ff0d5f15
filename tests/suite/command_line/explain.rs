//! `pullgate explain`: the reference, the candidates in the kubelet's order, and with a network the answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::demo::registry::{Bearer, Behaviour, Login, Target};
use serde_json::{Value, json};

use super::{Desk, Done, keys, text};
use crate::gate::{OTHER_PASSWORD, PASSWORD};

/// The keys of an exchange.
const EXCHANGE: [&str; 10] =
    ["as", "error", "headers", "method", "millis", "onlyToExplain", "redirectedTo", "said", "status", "url"];

#[tokio::test]
async fn explain_offline_shows_reference_and_candidates_and_asks_nobody() {
    let desk = Desk::new(Login::Basic).await;
    let args =
        ["explain", "R/team/api:v1", "--offline", "-o", "json", "--pull-secret", "regcred", "--pull-secret", "narrow"];
    let done = desk.run(&args).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let json = done.json();
    assert_eq!(json["reference"], json!({ "registry": "R", "repository": "team/api", "tag": "v1", "digest": null }));
    // The kubelet tries the longer key first, whatever the order of the Secrets.
    let expected = json!([
        { "source": "Secret \"narrow\"", "key": "R/team/api", "username": "ann" },
        { "source": "Secret \"regcred\"", "key": "R", "username": "ann" },
    ]);
    assert_eq!(json["candidates"], expected);
    assert_eq!(json["results"], json!([]));
    assert!(!done.out.contains(PASSWORD));
    assert!(desk.registry.requests().is_empty());
}

#[tokio::test]
async fn explain_of_a_short_name_says_what_is_meant() {
    let desk = Desk::new(Login::None).await;
    let done = desk.run(&["explain", "busybox", "--offline", "-o", "json"]).await;
    let expected = json!({ "registry": "docker.io", "repository": "library/busybox", "tag": "latest", "digest": null });
    assert_eq!(done.json()["reference"], expected);
    assert_eq!(done.json()["candidates"], json!([{ "source": "anonymous", "key": "", "username": null }]));
}

#[tokio::test]
async fn explain_names_a_secret_that_does_not_decode() {
    let desk = Desk::new(Login::None).await;
    let args = ["explain", "R/open:v1", "--offline", "--pull-secret", "nonsense"];
    let done = desk.run(&[&args[..], &["-o", "json"]].concat()).await;
    assert_eq!(done.code, 1);
    assert_eq!(
        done.json()["malformed"],
        json!({ "secret": "nonsense", "error": "illegal base64 data at input byte 0" })
    );
    assert_eq!(done.json()["candidates"], json!([]));
    let done = desk.run(&args).await;
    assert!(done.out.contains("Secret \"nonsense\": no kubelet can decode it"), "{}", done.out);
}

#[tokio::test]
async fn explain_online_ends_with_the_answer() {
    let desk = Desk::new(Login::Basic).await;
    let done = desk.run(&["explain", "R/team/api:v1", "--pull-secret", "bobs", "--pull-secret", "gone"]).await;
    assert_eq!(done.code, 1);
    for line in [
        "  repository  team/api\n",
        "  Secret \"gone\": not there\n",
        "  1. Secret \"bobs\", key R, user \"bob\", password not shown\n",
    ] {
        assert!(done.out.contains(line), "{line}: {}", done.out);
    }
    assert!(!done.out.contains(OTHER_PASSWORD));
}

/// `METHOD what-it-is-about as-whom status`, with `?` behind what was only asked to explain.
fn exchanges(done: &Done) -> Vec<String> {
    let json = done.json();
    let line = |exchange: &Value| {
        let url = text(&exchange["url"]);
        let kind = ["manifests", "tags/list", "blobs", "token"].into_iter().find(|kind| url.contains(kind)).unwrap();
        let caller = exchange["as"]["user"].as_str().unwrap_or_default();
        let only = if exchange["onlyToExplain"] == true { "?" } else { "" };
        let (method, scheme) = (text(&exchange["method"]), text(&exchange["as"]["scheme"]));
        format!("{method} {kind} {scheme}:{caller} {}{only}", exchange["status"])
    };
    json["exchanges"].as_array().unwrap().iter().map(line).collect()
}

/// Neither a password nor what is made of one, whatever is asked for.
fn silent(desk: &Desk, done: &Done, user: &str, password: &str) {
    let basic = STANDARD.encode(format!("{user}:{password}"));
    let bare = STANDARD.encode(password);
    let shown = format!("{}{}", done.out, done.err);
    for secret in [password, &basic, &bare] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // The embedded registry's tokens are long words; nothing else that is long is not a digest.
    let words = shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    for word in words.filter(|word| word.len() >= 40) {
        assert!(word.bytes().all(|byte| byte.is_ascii_hexdigit()), "{word}: {shown}");
    }
    assert!(!desk.registry.requests().is_empty(), "somebody was asked");
}

#[tokio::test]
async fn explain_shows_each_request_in_order_with_whom_it_speaks_for() {
    let form = Login::bearer();
    let get = Login::Bearer(Bearer { refuse_post: Some(405), ..Bearer::default() });
    let challenged = "HEAD manifests nobody: 401";
    for (login, expected) in [
        (Login::Basic, vec![challenged, "HEAD manifests basic:ann 200"]),
        (form, vec![challenged, "POST token form:ann 200", "HEAD manifests bearer: 200"]),
        (get, vec![challenged, "POST token form:ann 405", "GET token basic:ann 200", "HEAD manifests bearer: 200"]),
    ] {
        let desk = Desk::new(login).await;
        let args = ["explain", "R/team/api:v1", "--pull-secret", "regcred"];
        let done = desk.run(&[&args[..], &["-o", "json"]].concat()).await;
        assert_eq!((done.code, exchanges(&done)), (0, expected.iter().map(|line| (*line).to_owned()).collect()));
        let json = done.json();
        assert_eq!(keys(&json["exchanges"][0]), EXCHANGE);
        assert_eq!(json["exchanges"][0]["url"], "https://R/v2/team/api/manifests/v1");
        assert_eq!(json["exchanges"][0]["headers"][0][0], "www-authenticate");
        assert_eq!(json["attempts"][0]["outcome"], "ok");
        silent(&desk, &done, "ann", PASSWORD);
        let done = desk.run(&args).await;
        let mut rest = done.out.as_str();
        for line in [
            "  1. > HEAD https://R/v2/team/api/manifests/v1 as anonymous\n     < 401 in ",
            "     < www-authenticate: ",
            "  2. > ",
            " as ann, password not shown",
            "     < docker-content-digest: sha256:",
            "attempts, as a node makes them\n  Secret \"regcred\": sha256:",
            "answer: allow\n",
        ] {
            rest = rest.split_once(line).unwrap_or_else(|| panic!("{line}: {}", done.out)).1;
        }
        assert!(!done.out.contains("only to explain") && !done.out.contains('\u{1b}'), "{}", done.out);
        silent(&desk, &done, "ann", PASSWORD);
    }
}

#[tokio::test]
async fn explain_tells_what_no_node_asks() {
    for (login, image, secret, expected) in [
        // The reason of a 404 has to be fetched, and so have the tags.
        (
            Login::Basic,
            "R/team/api:v9",
            "regcred",
            vec![
                "HEAD manifests nobody: 401",
                "HEAD manifests basic:ann 404",
                "GET manifests basic:ann 404?",
                "GET tags/list basic:ann 200?",
            ],
        ),
        // A stranger might pull it.
        (
            Login::Basic,
            "R/team/api:v1",
            "bobs",
            vec![
                "HEAD manifests nobody: 401",
                "HEAD manifests basic:bob 401",
                "HEAD manifests basic:bob 401",
                "HEAD manifests basic:bob 401",
                "HEAD manifests basic:bob 401",
                "HEAD manifests nobody: 401?",
            ],
        ),
    ] {
        let desk = Desk::new(login).await;
        let args = ["explain", image, "--pull-secret", secret];
        let done = desk.run(&[&args[..], &["-o", "json"]].concat()).await;
        assert_eq!((done.code, exchanges(&done)), (1, expected.iter().map(|line| (*line).to_owned()).collect()));
        silent(&desk, &done, "ann", PASSWORD);
        silent(&desk, &done, "bob", OTHER_PASSWORD);
        let done = desk.run(&args).await;
        assert!(done.out.contains(" (only to explain: no node asks this)\n"), "{}", done.out);
        assert!(done.out.contains("\nanswer: deny\n"), "{}", done.out);
        let says = done.out.contains("     < says: MANIFEST_UNKNOWN: manifest unknown\n");
        assert_eq!(says, image.ends_with("v9"), "{}", done.out);
    }
}

#[tokio::test]
async fn explain_takes_the_local_docker_login_and_needs_no_cluster() {
    let desk = Desk::new(Login::bearer()).await;
    let host = desk.registry.host();
    let config =
        |auths: Value| json!({ "auths": auths, "credsStore": "desktop", "credHelpers": { "x.io": "ecr-login" } });
    let auth = STANDARD.encode(format!("ann:{PASSWORD}"));
    desk.write("docker/config.json", &config(json!({ host.as_str(): { "auth": auth } })).to_string());
    let policy = desk.path("config.yaml");
    let options = ["--config", &policy, "--docker-config"];
    for path in ["docker", "docker/config.json"] {
        let path = desk.path(path);
        let args = [&["explain", "R/team/api:v1"][..], &options, &[&path]].concat();
        let done = desk.bare(&args, "").await;
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
        for line in [
            "  Secret \"docker-config\": a login for R\n",
            "  --docker-config: credsStore: held by a helper that kubelets do not run (\"desktop\")\n",
            "  --docker-config: credHelpers, x.io: held by a helper that kubelets do not run (\"ecr-login\")\n",
            "  1. Secret \"docker-config\", key R, user \"ann\", password not shown\n",
        ] {
            assert!(done.out.contains(line), "{line}: {}", done.out);
        }
        silent(&desk, &done, "ann", PASSWORD);
    }
    // Docker logs in with the token; a kubelet finds no user and no password, and asks anonymously.
    let token = config(json!({ host.as_str(): { "identitytoken": PASSWORD } }));
    let file = desk.write("token.json", &token.to_string());
    let done = desk.run(&["explain", "R/team/api:v1", "--pull-secret", "narrow", "--docker-config", &file]).await;
    for line in [
        "  --docker-config: auths, R: an identitytoken, which kubelets ignore\n",
        "  1. Secret \"narrow\", key R/team/api, user \"ann\", password not shown\n",
        "  2. Secret \"docker-config\", key R, user \"\", password not shown; user or password is empty, so the node asks anonymously\n",
        "  Secret \"docker-config\": not needed\n",
    ] {
        assert!(done.out.contains(line), "{line}: {}", done.out);
    }
    silent(&desk, &done, "ann", PASSWORD);
    let done = desk.run(&["explain", "R/open:v1", "--docker-config", "/nowhere"]).await;
    let expected = "pullgate: --docker-config /nowhere: No such file or directory\n";
    assert_eq!((done.code, done.err.as_str()), (2, expected));
}

#[tokio::test]
async fn explain_says_that_a_list_of_the_pods_own_puts_the_accounts_aside() {
    let desk = Desk::new(Login::Basic).await;
    let file = desk.write("docker.json", &json!({ "auths": { desk.registry.host(): { "auth": "YTpi" } } }).to_string());
    let words =
        "  Secret \"regcred\": not used; ServiceAccount \"builder\" names it, but the pod has a list of its own";
    let account = ["explain", "R/team/api:v1", "--service-account", "builder", "--offline"];
    for (more, expected) in [(&[][..], false), (&["--docker-config", &file], true), (&["--pull-secret", "bobs"], true)]
    {
        let done = desk.run(&[&account[..], more].concat()).await;
        assert_eq!(done.out.contains(words), expected, "{more:?}: {}", done.out);
        let done = desk.run(&[&account[..], more, &["-o", "json"]].concat()).await;
        let names: Vec<&str> = expected.then_some("regcred").into_iter().collect();
        assert_eq!(done.json()["pullSecrets"]["suppressed"], json!(names));
    }
}

#[tokio::test]
async fn explain_shows_where_a_redirect_led_and_not_what_opens_it() {
    let desk = Desk::new(Login::None).await;
    let elsewhere = format!("https://{}/v2/open/manifests/v1?X-Amz-Signature={PASSWORD}", desk.registry.host());
    let redirect = Behaviour::Redirect { status: 307, location: elsewhere };
    desk.registry.behave(Target::repository("from"), redirect);
    let done = desk.run(&["explain", "R/from:v1"]).await;
    assert!(done.out.contains("     < redirected to https://R/v2/open/manifests/v1\n"), "{}", done.out);
    assert!(!done.out.contains(PASSWORD), "{}", done.out);
}

#[tokio::test]
async fn explain_shows_when_a_login_ends() {
    let desk = Desk::new(Login::Basic).await;
    let login = |end: u32| {
        let password = STANDARD.encode(json!({ "payload": PASSWORD, "expiration": end }).to_string());
        let config = json!({ "auths": { desk.registry.host(): { "username": "AWS", "password": password } } });
        (desk.write("login.json", &config.to_string()), password)
    };
    for (end, words) in [
        (1_600_000_000, "; the ECR token expired at 2020-09-13T12:26:40Z\n"),
        (4_000_000_000, "; the ECR token ends at 2096-10-02T07:06:40Z\n"),
    ] {
        let (file, password) = login(end);
        let args = ["explain", "R/team/api:v1", "--docker-config", &file];
        let done = desk.run(&args).await;
        assert!(done.out.contains(words), "{words}: {}", done.out);
        silent(&desk, &done, "AWS", &password);
        let done = desk.run(&[&args[..], &["--offline", "-o", "json"]].concat()).await;
        assert!(words.contains(text(&done.json()["candidates"][0]["expires"])), "{}", done.out);
    }
}

#[tokio::test]
async fn explain_shows_the_choice_of_a_platform_where_nodes_are_known() {
    let desk = Desk::new(Login::None).await;
    desk.registry.push_index("multi", "v1", &["linux/arm64", "windows/amd64"]);
    let node = |name: &str, arch: &str| {
        json!({ "kind": "Node", "apiVersion": "v1", "metadata": { "name": name }, "status": { "nodeInfo": {
            "operatingSystem": "linux", "architecture": arch, "containerRuntimeVersion": "containerd://2.2.1",
        }}})
    };
    let nodes = [node("n1", "amd64"), node("n2", "arm64"), node("n3", "arm64")].map(|node| node.to_string());
    let nodes = desk.write("nodes.yaml", &nodes.join("\n---\n"));
    let policy = desk.path("config.yaml");
    let args = ["explain", "R/multi:v1", "--config", &policy, "--cluster-from", &nodes];
    let done = desk.bare(&args, "").await;
    for line in [
        "  the image offers linux/arm64, windows/amd64\n",
        "  1 node (\"n1\"), linux/amd64 with containerd-2: it has nothing for them\n",
        "  2 nodes (\"n2\" and others), linux/arm64 with containerd-2: it has one for them\n",
    ] {
        assert!(done.out.contains(line), "{line}: {}", done.out);
    }
    let json = desk.bare(&[&args[..], &["-o", "json"]].concat(), "").await.json();
    assert_eq!(json["platforms"]["offers"], json!(["linux/arm64", "windows/amd64"]));
    assert_eq!([&json["platforms"]["nodes"][0]["fits"], &json["platforms"]["nodes"][1]["fits"]], [false, true]);
}

#[tokio::test]
async fn explain_has_colours_only_when_they_are_asked_for() {
    let desk = Desk::new(Login::None).await;
    let args = ["explain", "R/open:v1"];
    let [auto, never, always] = [vec![], vec!["--color", "never"], vec!["--color", "always"]].map(|more| {
        let args = [&args[..], &more].concat();
        let desk = &desk;
        async move { desk.run(&args).await.out }
    });
    let (auto, never, always) = (auto.await, never.await, always.await);
    assert!(!auto.contains('\u{1b}') && !never.contains('\u{1b}'), "standard output is no terminal here");
    assert!(always.contains("\u{1b}[1mreference\u{1b}[0m\n"), "{always}");
    let json = desk.run(&[&args[..], &["--color", "always", "-o", "json"]].concat()).await;
    assert!(!json.out.contains('\u{1b}'));
}

#[tokio::test]
async fn the_challenge_that_begins_a_login_is_not_shown_as_a_failure() {
    let desk = Desk::new(Login::Basic).await;
    for (secret, red) in [("regcred", false), ("bobs", true)] {
        let args = ["explain", "R/team/api:v1", "--pull-secret", secret, "--color", "always"];
        let done = desk.run(&args).await;
        let is_red = |line: &&str| line.starts_with("\u{1b}[31m     < 40");
        let plain = done.out.lines().filter(|line| line.starts_with("     < 401 in ")).count();
        assert_eq!((plain >= 1, done.out.lines().filter(is_red).count() >= 1), (true, red), "{}", done.out);
    }
}

#[tokio::test]
async fn explain_says_what_was_not_written() {
    let desk = Desk::new(Login::None).await;
    let done = desk.run(&["explain", "busybox", "--offline"]).await;
    for line in
        ["  as written  busybox\n", "docker.io (not written: Docker Hub)\n", "latest (not written)\n", "  none\n"]
    {
        assert!(done.out.contains(line), "{line}: {}", done.out);
    }
}
