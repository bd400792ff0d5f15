//! The parts that run beside pullgate: three kinds of registry, a token server, the oracle and whatever else a suite
//! starts, each a child of its own that ends with this process however that ends, and whose log is at hand when
//! something fails.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;

use crate::Failure;
use crate::pki::Leaf;

/// `user:bcrypt` of alice (canary-wonderland), bob (canary-builder) and carol (canary-pa:ss:word), at bcrypt's lowest cost.
const HTPASSWD: &str = "alice:$2a$04$QCZdPN92IsfUPXMQKCD0xu118GEJ5e7UPJuETudGrMlALlnT0vhAC
bob:$2a$04$QCZdPN92IsfUPXMQKCD0xucC43psC2kx3Y/7kfS1SCLzhh2yLPzuW
carol:$2a$04$QCZdPN92IsfUPXMQKCD0xu2eLuIZIGCmn/7tdG258bD80lcD1Uq5C
";

/// The name by which token server and registry know each other.
const ISSUER: &str = "pullgate-test-issuer";

/// The temporary directory of one run, and where the built parts lie.
pub(crate) struct Workshop {
    pub(crate) dir: PathBuf,
    bin: PathBuf,
}

/// A child that does not outlive this process.
pub(crate) struct Part {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// How a registry wants to be asked.
pub(crate) enum Login<'a> {
    /// Not at all.
    None,
    /// HTTP Basic against [`HTPASSWD`].
    Basic,
    /// A token of the server at this realm, signed by a key of this file.
    Bearer { realm: &'a str, jwks: &'a Path },
}

/// One question to the oracle: one `PullImage` call of the kubelet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Question<'a> {
    pub(crate) image: &'a str,
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) timeout_ms: u64,
    /// The node's, for the question which child of an index it takes; empty if that is not the question.
    pub(crate) platform: &'a str,
    /// Whether the manifest is fetched, too.
    pub(crate) fetch: bool,
}

/// What the runtime made of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OracleAnswer {
    #[serde(rename = "ref")]
    pub(crate) reference: String,
    pub(crate) digest: String,
    pub(crate) error: String,
    pub(crate) code: String,
}

/// A runtime's own resolver, answering line by line.
pub(crate) struct Oracle {
    // Dropped first: the end of its input is the end of the oracle.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    part: Part,
}

// === impl Workshop ===

impl Workshop {
    /// Finds the built parts by their file names, or says what to type.
    pub(crate) fn new(dir: &Path, needed: &[&str]) -> Result<Self, Failure> {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testbed/bin");
        let bin = env::var_os("TESTBED_BIN").map_or(default, PathBuf::from);
        for name in needed {
            if !bin.join(name).is_file() {
                let path = bin.join(name).display().to_string();
                return Err(format!("{path} is not built; type: tests/testbed/build.sh {name}").into());
            }
        }
        Ok(Self { dir: dir.to_owned(), bin })
    }

    /// Where a built part lies.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Writes a file of the run and says where.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, Failure> {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Starts a registry on the storage that all of them share, and waits until it answers.
    pub(crate) fn registry(
        &self,
        name: &'static str,
        port: u16,
        leaf: Option<&Leaf>,
        login: &Login<'_>,
    ) -> Result<Part, Failure> {
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: {} }}\nhttp:\n  \
             addr: 127.0.0.1:{port}\n  secret: none\n",
            self.dir.join("storage").display()
        );
        if let Some(leaf) = leaf {
            let certificate = self.file(&format!("{name}.crt"), leaf.certificate_pem())?;
            let key = self.file(&format!("{name}.key"), leaf.key_pem())?;
            config += &format!("  tls: {{ certificate: {}, key: {} }}\n", certificate.display(), key.display());
        }
        match login {
            Login::None => {}
            Login::Basic => {
                let passwords = self.file("htpasswd", HTPASSWD)?;
                config += &format!("auth:\n  htpasswd: {{ realm: test, path: {} }}\n", passwords.display());
            }
            Login::Bearer { realm, jwks } => {
                config += &format!(
                    "auth:\n  token: {{ realm: \"{realm}\", service: test-registry, issuer: {ISSUER}, jwks: {} }}\n",
                    jwks.display()
                );
            }
        }
        let config = self.file(&format!("{name}.yml"), config)?;
        self.start(name, &self.binary("registry"), &["serve".into(), config.into()])?.wait_for(port)
    }

    /// Starts the token server and waits until it answers.
    pub(crate) fn token_server(&self, port: u16, realm: &str, leaf: &Leaf, key: &Path) -> Result<Part, Failure> {
        let arguments: [OsString; 14] = [
            "-issuer".into(),
            ISSUER.into(),
            "-key".into(),
            key.into(),
            "-addr".into(),
            format!("127.0.0.1:{port}").into(),
            "-passwd".into(),
            self.file("htpasswd", HTPASSWD)?.into(),
            "-realm".into(),
            realm.into(),
            "-tlscert".into(),
            self.file("token-server.crt", leaf.certificate_pem())?.into(),
            "-tlskey".into(),
            self.file("token-server.key", leaf.key_pem())?.into(),
        ];
        self.start("token-server", &self.binary("token-server"), &arguments)?.wait_for(port)
    }

    /// Starts an oracle on what its runtime knows of hosts: a directory of hosts.toml directories, or CRI-O's files.
    pub(crate) fn oracle(&self, name: &'static str, hosts_dir: &Path) -> Result<Oracle, Failure> {
        self.oracle_with(name, hosts_dir, &[])
    }

    /// The same with variables of its environment: a proxy, what it trusts.
    pub(crate) fn oracle_with(
        &self,
        name: &'static str,
        hosts_dir: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Oracle, Failure> {
        let log = self.dir.join(format!("{name}.log"));
        let mut child = Command::new(self.bin.join(name))
            .arg("-hosts-dir")
            .arg(hosts_dir)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .process_group(0)
            .spawn()?;
        let input = child.stdin.take().ok_or("the oracle has no input")?;
        let output = child.stdout.take().ok_or("the oracle has no output")?;
        Ok(Oracle { input, output: BufReader::new(output), part: Part { name, child, log } })
    }

    /// Starts a program as a part; its log is `NAME.log` and its process id stands in `NAME.pid`. The part runs under a
    /// shell that ends it when this process's end of the pipe closes, which no signal and no panic can prevent.
    pub(crate) fn start(&self, name: &'static str, program: &Path, arguments: &[OsString]) -> Result<Part, Failure> {
        const UNTIL_CLOSED: &str = r#""$@" & part=$!; echo "$part" >"$0"; cat >/dev/null; kill -9 "$part"; wait"#;
        let log = self.dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = Command::new("/bin/sh")
            .args(["-c", UNTIL_CLOSED])
            .arg(self.dir.join(format!("{name}.pid")))
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.dir)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()?;
        Ok(Part { name, child, log })
    }
}

// === impl Part ===

impl Part {
    /// The last lines of the log, for the report of a failure.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default();
        format!("--- last lines of {} ({})\n{}", self.name, self.log.display(), tail.join("\n"))
    }

    /// Everything that it wrote.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it takes connections.
    pub(crate) fn wait_for(self, port: u16) -> Result<Self, Failure> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let started = Instant::now();
        // A connection to a free port of loopback can end up with itself.
        let answers = |stream: TcpStream| stream.local_addr().ok() != stream.peer_addr().ok();
        while !TcpStream::connect(address).is_ok_and(answers) {
            if started.elapsed() > Duration::from_secs(20) {
                return Err(format!("{} does not answer on {address}\n{}", self.name, self.tail()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It was told to end; whether it could be waited for changes nothing.
        self.child.wait().ok();
    }
}

// === impl Oracle ===

impl Oracle {
    pub(crate) fn ask(&mut self, question: &Question<'_>) -> Result<OracleAnswer, Failure> {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        self.input.write_all(&line)?;
        self.input.flush()?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            return Err(format!("the oracle ended at {question:?}\n{}", self.part.tail()).into());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

/// Ports on loopback that were free a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], Failure> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A port on loopback that refuses connections for as long as the socket lives: it is taken, and nobody listens.
pub(crate) fn closed_port() -> Result<(u16, TcpSocket), Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok((socket.local_addr()?.port(), socket))
}
