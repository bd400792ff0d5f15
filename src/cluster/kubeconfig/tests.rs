//! What is chosen from which files, and what is said where nothing can be.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::*;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        crate::cli::install_crypto();
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A kubeconfig with one context; `current` may be empty, as kubectl leaves it.
    fn write(&self, name: &str, context: &str, address: &str, current: Option<&str>) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": current,
            "clusters": [{ "name": context, "cluster": { "server": address } }],
            "users": [{ "name": context, "user": { "token": "t" } }],
            "contexts": [{ "name": context, "context": { "cluster": context, "user": context, "namespace": format!("ns-{context}") } }],
        });
        std::fs::write(self.path(name), kubeconfig.to_string()).unwrap();
    }

    /// The address that these files of `KUBECONFIG` lead to, or what is wrong.
    fn through(&self, names: &[&str], context: Option<&str>) -> Result<String, String> {
        let variable =
            names.iter().map(|name| if name.is_empty() { PathBuf::new() } else { self.path(name) }).collect();
        let options =
            KubeOptions { variable: Some(variable), context: context.map(str::to_owned), ..KubeOptions::default() };
        self.said(&options)
    }

    fn said(&self, options: &KubeOptions) -> Result<String, String> {
        let plain = |text: String| text.replace(&format!("{}/", self.0.path().display()), "");
        options.target().map(|target| target.server.to_string()).map_err(|error| plain(error.to_string()))
    }
}

#[test]
fn files_are_merged_as_kubectl_merges_them() {
    let files = Files::new();
    files.write("one", "a", "https://one:1", Some("a"));
    files.write("two", "b", "https://two:2", Some("b"));
    files.write("same", "a", "https://other:3", Some("a"));
    files.write("none", "c", "https://none:4", None);
    files.write("unset", "d", "https://unset:5", Some(""));
    std::fs::write(files.path("empty"), "").unwrap();
    for (names, context, expected) in [
        (&["one"][..], None, "https://one:1 (context \"a\")"),
        (&["one", "two"], None, "https://one:1 (context \"a\")"),
        (&["two", "one"], None, "https://two:2 (context \"b\")"),
        (&["one", "two"], Some("b"), "https://two:2 (context \"b\")"),
        (&["one", "same"], None, "https://one:1 (context \"a\")"),
        (&["missing", "two"], None, "https://two:2 (context \"b\")"),
        (&["two", "missing"], None, "https://two:2 (context \"b\")"),
        (&["", "two", ""], None, "https://two:2 (context \"b\")"),
        (&["none", "two"], None, "https://two:2 (context \"b\")"),
        (&["unset", "two"], None, "https://two:2 (context \"b\")"),
        (&["unset"], Some("d"), "https://unset:5 (context \"d\")"),
        (&["empty", "one"], None, "https://one:1 (context \"a\")"),
    ] {
        assert_eq!(files.through(names, context).as_deref(), Ok(expected), "{names:?} {context:?}");
    }
}

#[test]
fn what_cannot_be_used_is_named_in_plain_words() {
    let files = Files::new();
    files.write("good", "a", "https://one:1", Some("a"));
    files.write("none", "c", "https://none:4", None);
    files.write("stray", "a", "https://one:1", Some("gone"));
    files.write("url", "a", "not a url", Some("a"));
    std::fs::write(files.path("bad"), "a: 1\nnot: [a kubeconfig\n").unwrap();
    std::fs::create_dir(files.path("folder")).unwrap();
    let proxied = json!({ "current-context": "p", "contexts": [{ "name": "p", "context": { "cluster": "p" } }],
        "clusters": [{ "name": "p", "cluster": { "server": "https://p", "proxy-url": "http://proxy:3128" } }] });
    std::fs::write(files.path("proxied"), proxied.to_string()).unwrap();
    let authority = json!({ "current-context": "p", "contexts": [{ "name": "p", "context": { "cluster": "p" } }],
        "clusters": [{ "name": "p", "cluster": { "server": "https://p", "certificate-authority": "/nowhere.pem" } }] });
    std::fs::write(files.path("authority"), authority.to_string()).unwrap();
    for (names, context, expected) in [
        (&["bad"][..], None, "KUBECONFIG bad:"),
        (&["good", "bad"], None, "KUBECONFIG bad:"),
        (&["bad", "good"], None, "KUBECONFIG bad:"),
        (&["folder"], None, "KUBECONFIG folder: "),
        (&["good"], Some("staging"), "--context staging: no such context in good (contexts: a)"),
        (&["missing"], Some("staging"), "--context staging: no such context in missing"),
        (&["stray"], None, "KUBECONFIG stray: its current context \"gone\" is not in it (contexts: a)"),
        (&["url"], None, "KUBECONFIG url: context \"a\": the server of its cluster is no URL"),
        (
            &["proxied"],
            None,
            "KUBECONFIG proxied: the cluster of context \"p\" has a proxy-url, which pullgate does not use",
        ),
        (
            &["authority"],
            None,
            "KUBECONFIG authority: context \"p\": its certificate-authority /nowhere.pem: No such file or directory",
        ),
        (&["missing"], None, "no cluster: no file of KUBECONFIG is there (missing), "),
        (&["none"], None, "no cluster: none names no current context (contexts: c), "),
    ] {
        let said = files.through(names, context).unwrap_err();
        assert!(said.starts_with(expected), "{names:?}: {said}");
        for debris in ["os error", "'\"", "Some(", "failed to", "serde", "saphyr"] {
            assert!(!said.contains(debris), "{names:?}: {said}");
        }
    }
    let explicit =
        |name: &str| files.said(&KubeOptions { kubeconfig: Some(files.path(name)), ..KubeOptions::default() });
    assert_eq!(explicit("missing").unwrap_err(), "--kubeconfig missing: No such file or directory");
    assert!(explicit("none").unwrap_err().contains("it names no current context; give --context NAME (contexts: c)"));
    let home = |name: &str| files.said(&KubeOptions { home: Some(files.path(name)), ..KubeOptions::default() });
    assert_eq!(home("good").as_deref(), Ok("https://one:1 (context \"a\")"));
    assert!(home("missing").unwrap_err().starts_with("no cluster: there is no missing, "));
    assert!(files.said(&KubeOptions::default()).unwrap_err().starts_with("no cluster: neither KUBECONFIG nor"));
}

#[test]
fn the_namespace_is_the_contexts_and_no_login_stands_in_an_address() {
    let files = Files::new();
    files.write("good", "a", "https://ann:hunter2@one:1/k8s/", Some("a"));
    files.write("bare", "b", "http://[::1]:8001", Some("b"));
    let options = |name: &str| KubeOptions { kubeconfig: Some(files.path(name)), ..KubeOptions::default() };
    let server = options("good").target().unwrap().server;
    assert_eq!((server.namespace(), server.to_string().as_str()), ("ns-a", "https://one:1/k8s (context \"a\")"));
    let text = std::fs::read_to_string(files.path("bare")).unwrap().replace("ns-b", "");
    std::fs::write(files.path("bare"), text).unwrap();
    let server = options("bare").target().unwrap().server;
    assert_eq!((server.namespace(), server.to_string().as_str()), ("default", "http://[::1]:8001 (context \"b\")"));
}
