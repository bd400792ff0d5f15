//! `pullgate serve` as a process: what keeps it from starting, what a good start answers, what it loads again, and how it
//! ends. And `pullgate demo`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pullgate::demo::registry::{Authority, LOOPBACK_NAMES};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// Long enough for a loaded machine; reached only where a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files to start with.
struct Files {
    authority: Authority,
    directory: TempDir,
}

/// A server under way.
struct Server {
    process: Child,
    webhook: SocketAddr,
    admin: SocketAddr,
    log: std::path::PathBuf,
}

// === impl Files ===

impl Files {
    fn new() -> Self {
        pullgate::cli::install_crypto();
        let files = Self { authority: Authority::new().unwrap(), directory: TempDir::new().unwrap() };
        files.certify();
        files.write("cluster.yaml", "");
        files.write("config.yaml", "mode: enforce\n");
        files
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes a new certificate and its key.
    fn certify(&self) {
        let issued = self.authority.issue(&LOOPBACK_NAMES).unwrap();
        self.write("tls.crt", &issued.certificate_pem);
        self.write("tls.key", issued.key_pem.expose_secret());
    }

    /// `serve` with these files, and `more` in place of what it names.
    fn command(&self, more: &[(&str, &str)]) -> Command {
        let mut flags = vec![
            ("--tls-cert-file", self.path("tls.crt")),
            ("--tls-private-key-file", self.path("tls.key")),
            ("--config", self.path("config.yaml")),
            ("--cluster-from", self.path("cluster.yaml")),
            ("--listen", "127.0.0.1:0".to_owned()),
            ("--admin-listen", "127.0.0.1:0".to_owned()),
            ("--shutdown-delay", "0s".to_owned()),
        ];
        for (flag, value) in more {
            flags.retain(|(name, _)| name != flag);
            flags.push((flag, (*value).to_owned()));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
        command.arg("serve").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        for (flag, value) in flags.into_iter().filter(|(_, value)| !value.is_empty()) {
            command.arg(flag).arg(value);
        }
        command
    }

    /// What a start that must fail says.
    fn refusal(&self, more: &[(&str, &str)]) -> String {
        let began = Instant::now();
        let output = self.command(more).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap().replace(&self.path(""), "DIR/");
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(began.elapsed() < Duration::from_secs(2), "{text}");
        text
    }

    fn start(&self) -> Server {
        let log = self.directory.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let process = self.command(&[]).stderr(file).spawn().unwrap();
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server { process, webhook: none, admin: none, log };
        let line: serde_json::Value = serde_json::from_str(&server.logged("Serving")).unwrap();
        let address = |key: &str| line[key].as_str().unwrap().parse().unwrap();
        (server.webhook, server.admin) = (address("address"), address("admin_address"));
        server
    }
}

// === impl Server ===

impl Server {
    /// The last line of the log with this message, waited for.
    fn logged(&self, message: &str) -> String {
        let part = format!("\"message\":\"{message}");
        wait_for(|| {
            let text = std::fs::read_to_string(&self.log).unwrap();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().rev().find(|line| line.contains(&part)).map(str::to_owned)
        })
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// A GET to the admin port: the whole answer.
    fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(self.admin).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        text
    }

    /// A TLS connection to the webhook, and the certificate that it shows.
    fn connect(
        &self,
        files: &Files,
    ) -> (rustls::StreamOwned<rustls::ClientConnection, TcpStream>, CertificateDer<'static>) {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(files.authority.pem().as_bytes()).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut connection = TcpStream::connect(self.webhook).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        while client.is_handshaking() {
            client.complete_io(&mut connection).unwrap();
        }
        let shown = client.peer_certificates().unwrap()[0].clone().into_owned();
        (rustls::StreamOwned::new(client, connection), shown)
    }

    fn end(mut self) -> ExitStatus {
        wait_for(|| self.process.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Mostly it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_start_that_cannot_work_is_one_sentence_and_exit_code_2() {
    let files = Files::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let other = files.authority.issue(&LOOPBACK_NAMES).unwrap();
    let other_key = other.key_pem.expose_secret();
    files.write("other.key", other_key);
    files.write("junk.pem", "junk");
    files.write("bad.yaml", "mode: enforce\nmode_: warn\n");
    files.write("bad-cluster.yaml", "kind: [");
    let (junk, other, bad) = (files.path("junk.pem"), files.path("other.key"), files.path("bad.yaml"));
    let bad_cluster = files.path("bad-cluster.yaml");
    let key_line = other_key.lines().nth(1).unwrap();
    for (name, text) in [
        ("syntax", "[host.\"a.io\"]\ncapabilities = [\"fetch\"]\n"),
        ("named", "ca = \"no.pem\"\n"),
        ("junk", "ca = \"../../junk.pem\"\n"),
    ] {
        std::fs::create_dir_all(files.directory.path().join(name).join("a.io")).unwrap();
        files.write(&format!("{name}/a.io/hosts.toml"), text);
        files.write(&format!("{name}.yaml"), &format!("nodes: {{ certsDir: {} }}\n", files.path(name)));
    }
    files.write("nowhere.yaml", "nodes: { certsDir: /nowhere }\n");
    let [syntax, named, in_junk, nowhere] =
        ["syntax", "named", "junk", "nowhere"].map(|name| files.path(&format!("{name}.yaml")));
    for (more, expected) in [
        (("--tls-cert-file", "/nowhere.crt"), "pullgate: --tls-cert-file /nowhere.crt: cannot read the file: No such file".to_owned()),
        (("--tls-cert-file", &*junk), "pullgate: --tls-cert-file DIR/junk.pem: ".to_owned()),
        (("--tls-private-key-file", &*junk), "pullgate: --tls-private-key-file DIR/junk.pem: ".to_owned()),
        (("--tls-private-key-file", &*other), "pullgate: --tls-private-key-file DIR/other.key does not belong to the certificate in --tls-cert-file DIR/tls.crt: ".to_owned()),
        (("--listen", &*taken), format!("pullgate: --listen {taken}: cannot listen: Address already in use")),
        (("--admin-listen", &*taken), format!("pullgate: --admin-listen {taken}: cannot listen: Address already in use")),
        (("--config", &*bad), "pullgate: --config DIR/bad.yaml:2:1: ".to_owned()),
        (("--config", "/nowhere.yaml"), "pullgate: --config /nowhere.yaml: No such file".to_owned()),
        (("--config", &*nowhere), "pullgate: --config nodes.certsDir: /nowhere: No such file".to_owned()),
        (("--config", &*syntax), "pullgate: --config nodes.certsDir: DIR/syntax/a.io/hosts.toml:2:16: unknown capability \"fetch\": use pull".to_owned()),
        (("--config", &*named), "pullgate: --config nodes.certsDir: DIR/named/a.io/hosts.toml names DIR/named/a.io/no.pem: No such file".to_owned()),
        (("--config", &*in_junk), "pullgate: --config nodes.certsDir: DIR/junk/a.io/hosts.toml: DIR/junk/a.io/../../junk.pem holds no PEM certificate".to_owned()),
        (("--cluster-from", &*bad_cluster), "pullgate: --cluster-from DIR/bad-cluster.yaml:1:".to_owned()),
        (("--mode", "strict"), "error: invalid value 'strict' for '--mode <MODE>': \"strict\" is not a mode: use enforce, warn or audit".to_owned()),
        (("--log", "pullgate=loud"), "pullgate: --log \"pullgate=loud\" is not a level or a filter: ".to_owned()),
    ] {
        let said = files.refusal(&[more]);
        assert!(said.starts_with(&expected), "{more:?}: {said}");
        assert!(said.starts_with("error: ") || said.lines().count() == 1, "{more:?}: {said}");
        assert!(!said.contains(key_line), "{said}");
    }
}

#[test]
fn a_good_start_is_ready_and_sigterm_ends_it_with_0() {
    let files = Files::new();
    let server = files.start();
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(server.get("/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    let metrics = server.get("/metrics");
    assert!(metrics.contains("# TYPE pullgate_admitted_unchecked counter\n"), "{metrics}");
    assert!(
        metrics.contains("pullgate_admitted_unchecked_total{mode=\"enforce\",code=\"NotChecked\"} 0\n"),
        "{metrics}"
    );
    server.signal("TERM");
    let log = server.log.clone();
    let status = server.end();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"message\":\"Stopping\"") && log.contains("\"message\":\"Stopped\""), "{log}");
}

#[test]
fn a_request_under_way_is_answered_after_sigterm() {
    let files = Files::new();
    let server = files.start();
    let (mut connection, _) = server.connect(&files);
    let body = "{}";
    write!(connection, "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
    connection.flush().unwrap();
    // A complete head makes the request one under way; the port closes before the body comes.
    sleep(Duration::from_millis(50));
    server.signal("TERM");
    server.logged("Stopping");
    wait_for(|| TcpStream::connect(server.webhook).err());
    write!(connection, "{body}").unwrap();
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    drop(connection);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_new_certificate_is_shown_after_sighup_and_old_connections_live_on() {
    let files = Files::new();
    let server = files.start();
    let (mut old, before) = server.connect(&files);
    assert_eq!(server.connect(&files).1, before);
    files.certify();
    server.signal("HUP");
    let line = server.logged("Reloaded");
    assert!(line.contains("\"what\":\"certificate\""), "{line}");
    assert_ne!(server.connect(&files).1, before);
    write!(old, "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}").unwrap();
    let mut answer = [0; 12];
    old.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[test]
fn a_broken_certificate_leaves_the_old_one_in_use() {
    let files = Files::new();
    let server = files.start();
    let (_, before) = server.connect(&files);
    files.write("tls.key", "junk");
    server.signal("HUP");
    let line = server.logged("Not reloaded");
    assert!(line.contains("\"what\":\"certificate\"") && line.contains("--tls-private-key-file "), "{line}");
    assert_eq!(server.connect(&files).1, before);
}

#[test]
fn a_bad_configuration_is_said_in_the_log_and_a_good_one_is_taken() {
    let files = Files::new();
    let server = files.start();
    files.write("config.yaml", "mode: sometimes\n");
    server.signal("HUP");
    let line = server.logged("Not reloaded");
    assert!(line.contains("\"what\":\"configuration\"") && line.contains("config.yaml:1:7: "), "{line}");
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200 OK\r\n"));
    files.write("config.yaml", "mode: warn\n");
    server.signal("HUP");
    let line = server.logged("Reloaded");
    assert!(line.contains("\"what\":\"configuration\""), "{line}");
}

#[test]
fn an_emptied_configuration_makes_no_audit_of_enforce() {
    let files = Files::new();
    let server = files.start();
    files.write("config.yaml", "");
    server.signal("HUP");
    let line = server.logged("Not reloaded");
    assert!(line.contains("config.yaml:1:1: the file holds no configuration"), "{line}");
}

#[test]
fn a_change_in_the_directory_of_the_nodes_hosts_is_taken_and_a_mistake_is_not() {
    let files = Files::new();
    std::fs::create_dir_all(files.directory.path().join("certs.d/docker.io")).unwrap();
    files.write("certs.d/docker.io/hosts.toml", "[host.\"https://one.example\"]\n");
    files.write("config.yaml", &format!("nodes: {{ certsDir: {} }}\n", files.path("certs.d")));
    let server = files.start();
    files.write("certs.d/docker.io/hosts.toml", "[host.\"https://two.example\"]\n");
    // No signal: the directory is watched.
    let line = server.logged("Reloaded");
    assert!(line.contains("\"what\":\"configuration\""), "{line}");
    files.write("certs.d/docker.io/hosts.toml", "[host.\n");
    server.signal("HUP");
    let line = server.logged("Not reloaded");
    assert!(line.contains("docker.io/hosts.toml:1:"), "{line}");
}

#[test]
fn the_demo_ends_well() {
    let output = Command::new(env!("CARGO_BIN_EXE_pullgate")).arg("demo").env_clear().output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.trim_end().ends_with("each answered as it must be."), "{out}");
    assert_eq!(err, "");
}
