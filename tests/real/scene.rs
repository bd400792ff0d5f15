//! The stage of one run: certificates, ports, registries, faults, hosts.toml files and pullgate's configuration, all on
//! loopback and all in one temporary directory.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpSocket;

use crate::Failure;
use crate::faults::{self, Port, Site, Witness};
use crate::gate;
use crate::images::{self, Images};
use crate::parts::{Login, Oracle, Part, Workshop, closed_port, free_ports};
use crate::pki::{Authority, Leaf, TokenKey};

/// `host:port` of everything that an image reference can name here.
pub(crate) struct Places {
    /// The file with the authority of all that is sound.
    pub(crate) ca: String,
    /// Three registries of [`faults`] that note what they are asked.
    pub(crate) noting: [String; 3],
    /// A registry with HTTP Basic logins.
    pub(crate) basic: String,
    /// A registry with a token server; a user may pull `USER/*` only.
    pub(crate) bearer: String,
    /// A registry without logins.
    pub(crate) open: String,
    /// The same, by the name `localhost`.
    pub(crate) open_by_name: String,
    /// The same with zeros in front of the port.
    pub(crate) open_by_zeros: String,
    /// The same by the name `LOCALHOST`.
    pub(crate) open_in_capitals: String,
    /// Its port at hosts that other programs read as 127.0.0.1.
    pub(crate) no_addresses: [String; 4],
    /// A registry whose own certificate is trusted, and marked as an authority's.
    pub(crate) own_certificate: String,
    /// A registry with the certificate of an authority that a trusted authority has signed.
    pub(crate) authority_as_server: String,
    /// A registry whose certificate is signed by a trusted authority that has ended.
    pub(crate) ended_authority: String,
    /// A registry without logins and without TLS.
    pub(crate) plain_http: String,
    /// The registry of [`faults`].
    pub(crate) fault: String,
    /// A port that nobody listens on.
    pub(crate) refused: String,
    /// HTTP where HTTPS is expected.
    pub(crate) plain_on_tls: String,
    /// A certificate of an authority that nobody trusts.
    pub(crate) strange_ca: String,
    /// A certificate for another name.
    pub(crate) wrong_name: String,
    pub(crate) silent: String,
    pub(crate) dripping: String,
    pub(crate) closing: String,
}

/// Everything that runs, and what is known about it.
pub(crate) struct Scene {
    pub(crate) oracle: Oracle,
    /// containerd 1.7's resolver and CRI-O's image library.
    pub(crate) others: [Oracle; 2],
    pub(crate) places: Places,
    pub(crate) images: Images,
    /// pullgate's configuration file.
    pub(crate) config: String,
    /// The same by containerd's own means: it names the directory that the oracle reads.
    pub(crate) certs_config: String,
    pub(crate) hosts_dir: PathBuf,
    /// What the noting places were asked.
    pub(crate) witness: Witness,
    parts: Vec<Part>,
    /// Keeps the port that refuses.
    _closed: TcpSocket,
}

// === impl Scene ===

impl Scene {
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        let workshop =
            Workshop::new(dir, &["registry", "token-server", "pull-oracle", "pull-oracle-1.7", "pull-oracle-crio"])?;
        let authority = Authority::new("pullgate test authority")?;
        let leaf = authority.issue(&["127.0.0.1", "localhost"])?;
        let (own, ended) = (Leaf::self_signed(&["127.0.0.1"])?, Authority::ended("an authority that has ended")?);
        let trusted = [authority.pem.as_str(), own.certificate_pem(), ended.pem.as_str()].concat();
        let ca = workshop.file("ca.pem", &trusted)?;

        let [basic, bearer, open, plain_http, token] = free_ports()?;
        let (refused, closed) = closed_port()?;
        let realm = format!("https://localhost:{token}/token/");
        let key = TokenKey::new()?;
        let jwks = workshop.file("jwks.json", key.jwks.to_string())?;
        let signing_key = workshop.file("token-key.json", key.private_jwk.to_string())?;
        let parts = vec![
            workshop.registry("plain-http", plain_http, None, &Login::None)?,
            workshop.registry("open", open, Some(&leaf), &Login::None)?,
            workshop.registry("basic", basic, Some(&leaf), &Login::Basic)?,
            workshop.token_server(token, &realm, &leaf, &signing_key)?,
            workshop.registry("bearer", bearer, Some(&leaf), &Login::Bearer { realm: &realm, jwks: &jwks })?,
        ];
        let images = images::push_all((Ipv4Addr::LOCALHOST, plain_http).into())?;

        let on = |port: u16| format!("127.0.0.1:{port}");
        let plain = {
            let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            let site = |own: String| Site { own, elsewhere: on(open), plain: on(refused), witness: None };
            let tokens = listen()?;
            let own = on(tokens.local_addr()?.port());
            faults::listen(tokens, &leaf, Port::Registry, site(own.clone()))?;
            faults::listen(listen()?, &leaf, Port::Moved, site(own))?.to_string()
        };
        let fault = |port: Port, leaf: &Leaf| -> Result<String, Failure> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let own = on(listener.local_addr()?.port());
            let site = Site { own, elsewhere: on(open), plain: plain.clone(), witness: None };
            Ok(faults::listen(listener, leaf, port, site)?.to_string())
        };
        let stranger = Authority::new("an authority that nobody trusts")?.issue(&["127.0.0.1"])?;
        let misnamed = authority.issue(&["registry.example"])?;
        let witness = Witness::default();
        let noting = |letter: char| -> Result<String, Failure> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let own = on(listener.local_addr()?.port());
            let witness = Some((letter, Arc::clone(&witness)));
            let site = Site { own, elsewhere: on(open), plain: plain.clone(), witness };
            Ok(faults::listen(listener, &leaf, Port::Registry, site)?.to_string())
        };
        let places = Places {
            ca: ca.display().to_string(),
            noting: [noting('A')?, noting('B')?, noting('U')?],
            basic: on(basic),
            bearer: on(bearer),
            open: on(open),
            open_by_name: format!("localhost:{open}"),
            open_by_zeros: format!("127.0.0.1:00{open}"),
            open_in_capitals: format!("LOCALHOST:{open}"),
            no_addresses: ["127.1", "127.0.1", "0177.0.0.1", "2130706433"].map(|host| format!("{host}:{open}")),
            own_certificate: fault(Port::Registry, &own)?,
            authority_as_server: fault(Port::Registry, &authority.issue_authority(&["127.0.0.1"])?)?,
            ended_authority: fault(Port::Registry, &ended.issue(&["127.0.0.1"])?)?,
            plain_http: on(plain_http),
            fault: fault(Port::Registry, &leaf)?,
            refused: on(refused),
            plain_on_tls: fault(Port::Plain, &leaf)?,
            strange_ca: fault(Port::Registry, &stranger)?,
            wrong_name: fault(Port::Registry, &misnamed)?,
            silent: fault(Port::Silent, &leaf)?,
            dripping: fault(Port::Dripping, &leaf)?,
            closing: fault(Port::Closing, &leaf)?,
        };
        let hosts_dir = places.write_hosts(&workshop, &ca)?;
        let config = gate::config(&ca, &places.over_tls(), &[&places.plain_http], &[&places.silent, &places.dripping]);
        let certs_config = gate::certs_config(&hosts_dir);
        let oracle = workshop.oracle("pull-oracle", &hosts_dir)?;
        let cri_o_dir = places.write_cri_o(&workshop, &trusted)?;
        let others =
            [workshop.oracle("pull-oracle-1.7", &hosts_dir)?, workshop.oracle("pull-oracle-crio", &cri_o_dir)?];
        Ok(Self { oracle, others, places, images, config, certs_config, hosts_dir, witness, parts, _closed: closed })
    }

    /// The ends of all logs.
    pub(crate) fn logs(&self) -> String {
        self.parts.iter().map(Part::tail).collect::<Vec<_>>().join("\n")
    }
}

// === impl Places ===

impl Places {
    fn over_tls(&self) -> Vec<&str> {
        let named = [
            &self.basic,
            &self.bearer,
            &self.open,
            &self.open_by_name,
            &self.open_by_zeros,
            &self.open_in_capitals,
            &self.own_certificate,
            &self.authority_as_server,
            &self.ended_authority,
            &self.fault,
            &self.refused,
            &self.plain_on_tls,
            &self.strange_ca,
            &self.wrong_name,
            &self.silent,
            &self.dripping,
            &self.closing,
        ];
        named.into_iter().chain(&self.no_addresses).map(String::as_str).collect()
    }

    /// One hosts.toml per place. Every other registry is a dead port: nothing leaves the machine.
    fn write_hosts(&self, workshop: &Workshop, ca: &Path) -> Result<std::path::PathBuf, Failure> {
        let write = |host: &str, content: &str| {
            let directory =
                host.rsplit_once(':').map_or_else(|| host.to_owned(), |(name, port)| format!("{name}_{port}_"));
            workshop.file(&format!("hosts/{directory}/hosts.toml"), content)
        };
        for host in self.over_tls() {
            write(host, &format!("server = \"https://{host}\"\nca = \"{}\"\n", ca.display()))?;
        }
        write(&self.plain_http, &format!("server = \"http://{}\"\n", self.plain_http))?;
        for host in ["_default", "docker.io"] {
            write(host, "server = \"http://127.0.0.1:9\"\n")?;
        }
        Ok(workshop.dir.join("hosts"))
    }

    /// The same as CRI-O's image library is told it. It knows no default for what is not named: Docker Hub is closed.
    fn write_cri_o(&self, workshop: &Workshop, ca: &str) -> Result<PathBuf, Failure> {
        for host in self.over_tls() {
            workshop.file(&format!("cri-o/certs.d/{host}/ca.crt"), ca)?;
        }
        workshop.file("cri-o/auth.json", "{}")?;
        let registries = format!(
            "[[registry]]\nlocation = \"{}\"\ninsecure = true\n[[registry]]\nlocation = \"docker.io\"\nblocked = true\n",
            self.plain_http
        );
        workshop.file("cri-o/registries.conf", registries)?;
        Ok(workshop.dir.join("cri-o"))
    }
}
