//! What containerd 2.2.9 makes of these files, row by row as its own reader was seen to.

use std::path::Path;

use super::*;

const BASE: &str = "/certs.d/registry.corp.io";

fn read(text: &str) -> Result<HostsFile, HostsError> {
    parse(text.as_bytes(), Path::new(BASE))
}

/// `[https-or-]scheme://host/path capabilities ns tls`, one per host.
fn shown(hosts: &[Host], namespace: &str) -> Vec<String> {
    let show = |host: &Host| {
        let Host { scheme, authority, path, capabilities, tls, headers } = host;
        let mut text = format!("{scheme}://{authority}{path}");
        if host.tries_https_first() {
            text.insert_str(0, "https-or-");
        }
        for (flag, word) in [
            (!capabilities.pull, " no-pull"),
            (!capabilities.resolve, " no-resolve"),
            (host.is_proxy(namespace), " ns"),
            (tls.skip_verify == Some(true), " unverified"),
            (tls.skip_verify == Some(false), " verified"),
        ] {
            text.push_str(if flag { word } else { "" });
        }
        let file = |path: &Path| path.strip_prefix(BASE).unwrap_or(path).display().to_string();
        for ca in tls.ca.iter().flatten() {
            text.push_str(&format!(" ca={}", file(ca)));
        }
        for (certificate, key) in &tls.client {
            let key = key.as_ref().map(|key| format!("+{}", file(key))).unwrap_or_default();
            text.push_str(&format!(" client={}{key}", file(certificate)));
        }
        for (name, value) in &headers.0 {
            text.push_str(&format!(" {name}={value}"));
        }
        text
    };
    hosts.iter().map(show).collect()
}

fn hosts(text: &str, namespace: &str) -> Vec<String> {
    shown(&read(text).unwrap_or_else(|error| panic!("{text}: {error}")).hosts(namespace), namespace)
}

#[test]
fn a_file_names_the_hosts_of_a_registry_in_order() {
    let corp = "registry.corp.io";
    let upstream = "https://registry.corp.io/v2";
    let table: &[(&str, &str, &[&str])] = &[
        ("# nothing", corp, &[upstream]),
        ("server = 'https://registry.corp.io'", corp, &[upstream]),
        ("server = 'registry.corp.io'", corp, &[upstream]),
        ("Server = 'other.io'", corp, &["https://other.io/v2 ns"]),
        ("server = ''", corp, &[upstream]),
        ("server = 'https://registry.corp.io:443'", corp, &["https://registry.corp.io:443/v2 ns"]),
        ("server = 'HTTPS://x.io'", corp, &["https://HTTPS:/x.io/v2 ns"]),
        ("server = 'http://x.io:5000'", corp, &["http://x.io:5000/v2 ns"]),
        ("server = 'https://x.io/'", corp, &["https://x.io/v2 ns"]),
        ("server = 'https://x.io/v2'", corp, &["https://x.io/v2 ns"]),
        ("server = 'https://x.io/v2/'", corp, &["https://x.io/v2 ns"]),
        ("server = 'https://x.io/a/../b//c'", corp, &["https://x.io/b/c/v2 ns"]),
        ("server = 'https://x.io/b?q=1#f'", corp, &["https://x.io/b/v2 ns"]),
        ("server = 'https://x.io/b'\noverride_path = true", corp, &["https://x.io/b ns"]),
        ("server = 'https://x.io'\noverride_path = true", corp, &["https://x.io ns"]),
        // No scheme is put in front of what starts with http: the host is lost, and the registry itself is meant.
        ("server = 'httpd.corp.io'", corp, &[upstream]),
        ("server = 'https:x.io'", corp, &[upstream]),
        // Without a server, capabilities outside of the tables count for nothing; TLS settings do.
        ("capabilities = ['push']\nca = 'a.pem'", corp, &["https://registry.corp.io/v2 ca=a.pem"]),
        ("server = 'x.io'\ncapabilities = ['pull']", corp, &["https://x.io/v2 no-resolve ns"]),
        ("server = 'x.io'\ncapabilities = ['PUSH', 'Resolve']", corp, &["https://x.io/v2 no-pull ns"]),
        ("server = 'x.io'\ncapabilities = []", corp, &["https://x.io/v2 ns"]),
        ("[host.'https://m.io']", corp, &["https://m.io/v2 ns", upstream]),
        ("[host.'m.io:5000']\n[host.'a.io']", corp, &["https://m.io:5000/v2 ns", "https://a.io/v2 ns", upstream]),
        (
            "[host.'z.io'.header]\nx-a = 'b'\n[host.'a.io']",
            corp,
            &["https://z.io/v2 ns x-a=b", "https://a.io/v2 ns", upstream],
        ),
        // A header that comes back to an earlier table names it again.
        (
            "[host.'a.io']\n[host.'b.io']\n[host.'a.io'.header]\nx = ['1', '2']",
            corp,
            &["https://a.io/v2 ns x=1 x=2", "https://b.io/v2 ns", "https://a.io/v2 ns x=1 x=2", upstream],
        ),
        // Tables without a header of their own are decoded, and asked by nobody.
        ("host.'a.io'.skip_verify = true", corp, &[upstream]),
        ("[host]\n'a.io' = { skip_verify = true }", corp, &[upstream]),
        ("[Host.'a.io']", corp, &[upstream]),
        ("[host.\"registry.corp.io\"]\nskip_verify = false", corp, &["https://registry.corp.io/v2 verified", upstream]),
        ("[host.'a.io']\nCapabilities = ['pull']", corp, &["https://a.io/v2 no-resolve ns", upstream]),
        ("[host.'http://a.io']\nskip_verify = true", corp, &["https-or-http://a.io/v2 ns unverified", upstream]),
        ("[host.'http://a.io:80']\nskip_verify = true", corp, &["http://a.io:80/v2 ns unverified", upstream]),
        ("[host.'http://a.io']\nca = []", corp, &["https-or-http://a.io/v2 ns", upstream]),
        (
            "[host.'a.io']\nca = ['a.pem', '/etc/b.pem']\nclient = [['c.pem', 'k.pem'], 'both.pem']",
            corp,
            &["https://a.io/v2 ns ca=a.pem ca=/etc/b.pem client=c.pem+k.pem client=both.pem", upstream],
        ),
        (
            "[host.'a.io']\nclient = 'both.pem'\ndial_timeout = '1m30.5s'",
            corp,
            &["https://a.io/v2 ns client=both.pem", upstream],
        ),
        ("[host.'a.io']\nunknown = 1\n[plugins]\nx = 2", corp, &["https://a.io/v2 ns", upstream]),
        ("[host.'mirror.io']", "docker.io", &["https://mirror.io/v2 ns", "https://registry-1.docker.io/v2"]),
        ("server = 'https://registry-1.docker.io'", "docker.io", &["https://registry-1.docker.io/v2"]),
        ("server = 'https://docker.io'", "docker.io", &["https://docker.io/v2"]),
        ("", "localhost", &["https://localhost/v2 unverified"]),
        ("", "localhost:443", &["https://localhost:443/v2 unverified"]),
        ("", "127.0.0.1:5000", &["https-or-http://127.0.0.1:5000/v2 unverified"]),
        ("", "localhost:80", &["http://localhost:80/v2"]),
        ("", "[::1]:5000", &["https-or-http://[::1]:5000/v2 unverified"]),
        ("", "10.0.0.1:5000", &["https://10.0.0.1:5000/v2"]),
    ];
    for (text, namespace, expected) in table {
        assert_eq!(hosts(text, namespace), *expected, "{text}");
    }
}

#[test]
fn what_containerd_does_not_decode_is_refused_where_it_stands() {
    let table = [
        ("server = ", (1, 10)),
        ("server = 5", (1, 10)),
        ("a = 1\nserver = 'https://[::1'", (2, 10)),
        ("server = 'https://x.io:port'", (1, 10)),
        ("[host.'a io']", (1, 7)),
        ("[host.'a.io']\n[host.'a.io']", (2, 1)),
        ("[[host.'a.io']]", (1, 1)),
        ("host = 'a.io'", (1, 8)),
        ("[host]\n'a.io' = 5", (2, 10)),
        ("[host.'a.io']\ncapabilities = ['fetch']", (2, 16)),
        ("[host.'a.io']\ncapabilities = 'pull'", (2, 16)),
        ("[host.'a.io']\ncapabilities = ['pull', 1]", (2, 16)),
        ("[host.'a.io']\nskip_verify = 'yes'", (2, 15)),
        ("override_path = 1", (1, 17)),
        ("ca = true", (1, 6)),
        ("ca = [1]", (1, 6)),
        ("client = [['a']]", (1, 11)),
        ("client = [1]", (1, 11)),
        ("client = { a = 1 }", (1, 10)),
        ("header = 'x: y'", (1, 10)),
        ("[header]\nx = 1", (2, 5)),
        ("dial_timeout = '3'", (1, 16)),
        ("dial_timeout = 3", (1, 16)),
        ("host.'a.io'.skip_verify = 1", (1, 27)),
    ];
    for (text, (line, column)) in table {
        let error = read(text).expect_err(text);
        // The place of a syntax error is the library's to choose; its line is not.
        assert_eq!(error.line, line, "{text}: {error}");
        if !error.sentence.is_empty() && text.contains("= ") {
            assert_eq!(error.column, column, "{text}: {error}");
        }
    }
    assert_eq!(parse(b"# \n\xff", Path::new(BASE)).unwrap_err().line, 2);
}

#[test]
fn a_directory_is_found_by_port_then_name_then_default() {
    let named = |name: &str| {
        let host = Host { authority: name.to_owned(), ..Host::default() };
        (name.to_owned(), (PathBuf::from(name), HostsFile { hosts: vec![host] }))
    };
    let present = ["a.io_5000_", "a.io:5000", "a.io", "[::1]_5000_", "b.io:5000", "_default"];
    let dir = CertsDir { files: present.into_iter().map(named).collect(), ..CertsDir::default() };
    for (namespace, expected) in [
        ("a.io:5000", "a.io_5000_"),
        ("a.io", "a.io"),
        ("a.io:80", "_default"),
        ("b.io:5000", "b.io:5000"),
        ("b.io", "_default"),
        ("[::1]:5000", "[::1]_5000_"),
        ("docker.io", "_default"),
    ] {
        assert_eq!(dir.file(namespace).unwrap().hosts[0].authority, expected, "{namespace}");
    }
    assert_eq!(CertsDir::default().file("a.io"), None);
}

#[test]
fn durations_are_those_of_go() {
    for (text, expected) in [
        ("3s", true),
        ("1h2m3.5s", true),
        (".5s", true),
        ("-1µs", true),
        ("0", true),
        ("", false),
        ("3", false),
        ("s", false),
        ("1.2.3s", false),
        ("3 s", false),
        ("3d", false),
    ] {
        assert_eq!(crate::go_duration::parse(text).is_some(), expected, "{text}");
    }
}

#[test]
fn the_value_of_a_header_is_not_printed() {
    let file = read("[host.'a.io'.header]\nx-token = 'hunter2'").unwrap();
    let shown = format!("{file:?}");
    assert!(shown.contains("x-token") && !shown.contains("hunter2"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_read(text in "[\\[\\]{}=.'\"#a-c\\n /:]{0,60}|\\PC{0,40}", namespace in "[a-z.:\\[\\]0-9]{0,20}") {
        if let Ok(file) = read(&text) {
            let hosts = file.hosts(&namespace);
            assert_eq!(hosts.len(), file.hosts.len());
        }
        drop(read(&format!("[host.'{text}']\nserver = '''{text}'''")));
    }
}
