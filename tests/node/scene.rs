//! The stage of one run, inside the namespaces: registries, names, hosts.toml files, the API server, the node, and
//! pullgate's configuration for the same registries.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::net::TcpSocket;

use crate::Failure;
use crate::faults::{self, Port, Site};
use crate::kubectl::Kubectl;
use crate::node::{self, Node};
use crate::parts::{Login, Part, Workshop, closed_port, free_ports};
use crate::pki::{Authority, Leaf, TokenKey};
use crate::stack::{self, Stack};
use crate::stock::{self, Digests};

/// `/etc/hosts` of the run: names that are this machine and no other, Docker Hub's among them.
pub(crate) const HOSTS: &str = "127.0.0.1 localhost
127.0.0.1 registry-1.docker.io registry.corp.test eu.registry.corp.test us.registry.corp.test ap.registry.corp.test
";

/// `host[:port]` of everything that an image reference can name here.
#[derive(Debug)]
pub(crate) struct Places {
    /// HTTP Basic. Another one stands behind Docker Hub's name and those of `corp.test`, on port 443.
    pub(crate) basic: String,
    /// With a token server; a user may pull `USER/*` only.
    pub(crate) bearer: String,
    /// Without logins.
    pub(crate) open: String,
    /// The same, by the name `localhost`.
    pub(crate) open_by_name: String,
    /// Without logins and without TLS.
    pub(crate) plain_http: String,
    /// The registry of [`faults`].
    pub(crate) fault: String,
    /// Nobody listens; the node has a mirror for the second.
    pub(crate) refused: String,
    pub(crate) refused_mirrored: String,
    /// HTTP where HTTPS is expected.
    pub(crate) plain_on_tls: String,
    /// A certificate of an authority that nobody trusts.
    pub(crate) strange_ca: String,
    /// A certificate for another name.
    pub(crate) wrong_name: String,
    /// Closed after the request.
    pub(crate) closing: String,
}

/// Everything that runs, and what is known about it. The node goes first, the API server last.
pub(crate) struct Scene {
    pub(crate) node: Node,
    registries: Vec<Part>,
    pub(crate) kubectl: Kubectl,
    pub(crate) places: Places,
    pub(crate) digests: Digests,
    /// pullgate's configuration file.
    pub(crate) config: String,
    stack: Stack,
    /// Keep the ports that refuse.
    _closed: [TcpSocket; 2],
}

// === impl Scene ===

impl Scene {
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        let mut needed = vec!["registry".to_owned(), "token-server".to_owned()];
        needed.extend(stack::needed());
        needed.extend(node::NEEDED.map(str::to_owned));
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let workshop = Workshop::new(dir, &needed)?;
        let authority = Authority::new("pullgate test authority")?;
        let leaf = authority.issue(&[
            "127.0.0.1",
            "localhost",
            "registry-1.docker.io",
            "*.corp.test",
            "*.registry.corp.test",
        ])?;
        let ca = workshop.file("ca.pem", &authority.pem)?;

        let [basic, bearer, open, plain_http, token] = free_ports()?;
        let ((refused, closed), (refused_mirrored, closed_mirrored)) = (closed_port()?, closed_port()?);
        let realm = format!("https://localhost:{token}/token/");
        let key = TokenKey::new()?;
        let jwks = workshop.file("jwks.json", key.jwks.to_string())?;
        let signing_key = workshop.file("token-key.json", key.private_jwk.to_string())?;
        let registries = vec![
            workshop.registry("plain-http", plain_http, None, &Login::None)?,
            workshop.registry("open", open, Some(&leaf), &Login::None)?,
            workshop.registry("basic", basic, Some(&leaf), &Login::Basic)?,
            workshop.registry("by-name", 443, Some(&leaf), &Login::Basic)?,
            workshop.token_server(token, &realm, &leaf, &signing_key)?,
            workshop.registry("bearer", bearer, Some(&leaf), &Login::Bearer { realm: &realm, jwks: &jwks })?,
        ];
        let program = fs::read(workshop.binary("pause"))?;
        let digests = stock::push_all((Ipv4Addr::LOCALHOST, plain_http).into(), &program)?;

        let on = |port: u16| format!("127.0.0.1:{port}");
        let fault = |port: Port, leaf: &Leaf| -> Result<String, Failure> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let site = Site {
                own: on(listener.local_addr()?.port()),
                elsewhere: on(open),
                plain: String::new(),
                witness: None,
            };
            Ok(faults::listen(listener, leaf, port, site)?.to_string())
        };
        let stranger = Authority::new("an authority that nobody trusts")?.issue(&["127.0.0.1"])?;
        let misnamed = authority.issue(&["registry.example"])?;
        let places = Places {
            basic: on(basic),
            bearer: on(bearer),
            open: on(open),
            open_by_name: format!("localhost:{open}"),
            plain_http: on(plain_http),
            fault: fault(Port::Registry, &leaf)?,
            refused: on(refused),
            refused_mirrored: on(refused_mirrored),
            plain_on_tls: fault(Port::Plain, &leaf)?,
            strange_ca: fault(Port::Registry, &stranger)?,
            wrong_name: fault(Port::Registry, &misnamed)?,
            closing: fault(Port::Closing, &leaf)?,
        };
        let hosts = places.write_hosts(&workshop, &ca)?;
        let (stack, kubectl) = Stack::serve(&workshop, &authority)?;
        let node = Node::start(&workshop, &authority, &stack, &hosts, &format!("{}/pause:v1", places.open))?;
        node.wait(&kubectl)?;
        let config = places.config(&ca);
        let closed = [closed, closed_mirrored];
        Ok(Self { node, registries, kubectl, places, digests, config, stack, _closed: closed })
    }

    /// The ends of all logs.
    pub(crate) fn tails(&self) -> String {
        let registries: Vec<String> = self.registries.iter().map(Part::tail).collect();
        format!("{}\n{}\n{}", registries.join("\n"), self.stack.tails(), self.node.tails())
    }
}

// === impl Places ===

impl Places {
    /// One hosts.toml per place. Every other registry is a dead port: nothing leaves the machine.
    fn write_hosts(&self, workshop: &Workshop, ca: &Path) -> Result<PathBuf, Failure> {
        let ca = ca.display();
        let write = |host: &str, content: &str| {
            let directory =
                host.rsplit_once(':').map_or_else(|| host.to_owned(), |(name, port)| format!("{name}_{port}_"));
            workshop.file(&format!("hosts/{directory}/hosts.toml"), content)
        };
        let over_tls = [
            &self.basic,
            &self.bearer,
            &self.open,
            &self.open_by_name,
            &self.fault,
            &self.refused,
            &self.plain_on_tls,
            &self.strange_ca,
            &self.wrong_name,
            &self.closing,
        ];
        let names = ["registry-1.docker.io", "registry.corp.test"];
        for host in over_tls.into_iter().map(String::as_str).chain(names) {
            write(host, &format!("server = \"https://{host}\"\nca = \"{ca}\"\n"))?;
        }
        write("docker.io", &format!("server = \"https://registry-1.docker.io\"\nca = \"{ca}\"\n"))?;
        write(&self.plain_http, &format!("server = \"http://{}\"\n", self.plain_http))?;
        let mirrored = |host: &str, mirror: &str| {
            let server = format!("server = \"https://{host}\"\nca = \"{ca}\"\n");
            write(
                host,
                &format!(
                    "{server}[host.\"https://{mirror}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"{ca}\"\n"
                ),
            )
        };
        mirrored(&self.refused_mirrored, &self.open)?;
        mirrored("eu.registry.corp.test", &self.open)?;
        mirrored("us.registry.corp.test", &self.refused)?;
        mirrored("ap.registry.corp.test", &self.basic)?;
        write("_default", "server = \"http://127.0.0.1:9\"\n")?;
        Ok(workshop.dir.join("hosts"))
    }

    /// As an operator writes it who knows what the nodes hold: nothing, but mirrors for two hosts.
    fn config(&self, ca: &Path) -> String {
        let rule =
            |host: &str, access: &str| json!({ "host": host, "caFile": ca, "nodeAccess": access, "timeout": "10s" });
        let plain_http = json!({ "host": self.plain_http, "plainHTTP": true, "nodeAccess": "none" });
        json!({
            "mode": "enforce",
            "registries": [
                plain_http,
                rule(&self.refused_mirrored, "unknown"),
                rule("eu.registry.corp.test", "unknown"),
                rule("*", "none"),
            ],
            "guard": { "allowAddresses": ["127.0.0.0/8"] },
        })
        .to_string()
    }
}
