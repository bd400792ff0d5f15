//! The stage of one run: registries, the control plane, the installed chart and pullgate itself, all on loopback and
//! all in one temporary directory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Failure;
use crate::dashboard::Watcher;
use crate::exchanges::Stage;
use crate::faults::{self, Port, Site};
use crate::gate::Gate;
use crate::images::{self, Images};
use crate::kubectl::{Kubectl, Said, until};
use crate::net::{self, Net};
use crate::objects;
use crate::parts::{Login, Part, Workshop, free_ports};
use crate::pki::{Authority, TokenKey};
use crate::stack::{self, Stack};

/// The namespace of the release.
pub(crate) const OWN_NAMESPACE: &str = "pullgate-system";

/// Namespaces of the cases: what `enforce` judges, one for each other mode, and one with exceptions.
pub(crate) const TEAM: &str = "team";
pub(crate) const OTHER_TEAM: &str = "other-team";
pub(crate) const WARNED: &str = "warned";
pub(crate) const AUDITED: &str = "audited";
pub(crate) const LEGACY: &str = "legacy";
/// Where the troubles of the page are.
pub(crate) const SHOP: &str = "shop";

/// Clouds' hosts whose nodes have no identity of their own here: a cluster that is elsewhere.
const WITHOUT_IDENTITY: [&str; 4] =
    ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "europe-docker.pkg.dev", "acme.azurecr.io", "public.ecr.aws"];

/// `host:port` of everything that an image can come from here.
pub(crate) struct Places {
    /// Without logins.
    pub(crate) open: String,
    /// HTTP Basic.
    pub(crate) basic: String,
    /// With a token server; a user may pull `USER/*` only.
    pub(crate) bearer: String,
    /// Without logins, until it is stopped.
    pub(crate) doomed: String,
    /// Registries of [`faults`], several because some faults are held against the whole registry.
    pub(crate) faults: [String; 4],
    /// Accepts connections and never says a word.
    pub(crate) silent: String,
    /// Plain HTTP into the storage of all of them; never named by an image.
    pub(crate) seed: SocketAddr,
}

/// Everything that runs, and what is known about it.
pub(crate) struct World {
    pub(crate) workshop: Workshop,
    pub(crate) stack: Stack,
    pub(crate) kubectl: Kubectl,
    pub(crate) places: Places,
    pub(crate) images: Images,
    pub(crate) bearer: Part,
    pub(crate) doomed: Option<Part>,
    pub(crate) gate: Option<Gate>,
    pub(crate) watcher: Option<Watcher>,
    pub(crate) authority: Authority,
    /// The recorded answers of the clouds' hosts, behind [`Net`]'s proxy.
    pub(crate) stage: Stage,
    /// What signs for the registries and for the recorded hosts.
    pub(crate) all_ca: PathBuf,
    /// Whether names can be looked up where nobody is known; only root can arrange that.
    pub(crate) name_server: bool,
    _net: Net,
    ca: PathBuf,
    registries: Vec<Part>,
}

/// A registry whose certificate nobody here knows.
pub(crate) const UNKNOWN_AUTHORITY: &str = "private.corp.io";

// === impl World ===

impl World {
    /// Starts registries and control plane; neither pullgate nor its webhooks are there yet.
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        let mut needed = vec!["registry".to_owned(), "token-server".to_owned()];
        needed.extend(stack::needed());
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let workshop = Workshop::new(dir, &needed)?;
        let authority = Authority::new("pullgate test authority")?;
        let leaf = authority.issue(&["127.0.0.1", "localhost", "registry.corp.io", "public.corp.io"])?;
        let ca = workshop.file("ca.pem", &authority.pem)?;

        let [open, basic, bearer, doomed, seed, token] = free_ports()?;
        let realm = format!("https://localhost:{token}/token/");
        let key = TokenKey::new()?;
        let jwks = workshop.file("jwks.json", key.jwks.to_string())?;
        let signing_key = workshop.file("token-key.json", key.private_jwk.to_string())?;
        let registries = vec![
            workshop.registry("seed", seed, None, &Login::None)?,
            workshop.registry("open", open, Some(&leaf), &Login::None)?,
            workshop.registry("basic", basic, Some(&leaf), &Login::Basic)?,
            workshop.token_server(token, &realm, &leaf, &signing_key)?,
        ];
        let bearer_part =
            workshop.registry("bearer", bearer, Some(&leaf), &Login::Bearer { realm: &realm, jwks: &jwks })?;
        let doomed_part = workshop.registry("doomed", doomed, Some(&leaf), &Login::None)?;
        let seed = SocketAddr::from((Ipv4Addr::LOCALHOST, seed));
        let images = images::push_all(seed)?;

        let on = |port: u16| format!("127.0.0.1:{port}");
        let fault = |port: Port| -> Result<String, Failure> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let site = Site {
                own: on(listener.local_addr()?.port()),
                elsewhere: on(open),
                plain: String::new(),
                witness: None,
            };
            Ok(faults::listen(listener, &leaf, port, site)?.to_string())
        };
        let places = Places {
            open: on(open),
            basic: on(basic),
            bearer: on(bearer),
            doomed: on(doomed),
            faults: [fault(Port::Registry)?, fault(Port::Registry)?, fault(Port::Registry)?, fault(Port::Registry)?],
            silent: fault(Port::Silent)?,
            seed,
        };
        let stage = Stage::open()?;
        let all_ca = workshop.file("all-ca.pem", format!("{}{}", authority.pem, stage.ca()))?;
        let (stack, kubectl) = Stack::start(&workshop, &authority)?;
        let world = Self {
            _net: Net::open(named(&places)?, &stage)?,
            stage,
            all_ca,
            name_server: net::knows_nobody().is_ok(),
            workshop,
            stack,
            kubectl,
            places,
            images,
            bearer: bearer_part,
            doomed: Some(doomed_part),
            gate: None,
            watcher: None,
            authority,
            ca,
            registries,
        };
        world.namespaces()?;
        Ok(world)
    }

    /// Pods are refused until the controller manager has made a namespace's `ServiceAccount`.
    fn namespaces(&self) -> Result<(), Failure> {
        let names = [OWN_NAMESPACE, TEAM, OTHER_TEAM, WARNED, AUDITED, LEGACY, SHOP];
        self.kubectl.apply(&objects::list(names.iter().map(|name| objects::namespace(name))))?.succeeded()?;
        for name in names {
            until("the ServiceAccount of a namespace", || {
                Ok((self.kubectl.run(&format!("-n {name} get serviceaccount default"))?.code == Some(0)).then_some(()))
            })?;
        }
        Ok(())
    }

    /// pullgate's configuration, as a user writes it into the chart's values.
    pub(crate) fn config(&self) -> Value {
        let Places { open, basic, bearer, doomed, faults, silent, .. } = &self.places;
        let mut registries: Vec<Value> = [open, basic, bearer, doomed]
            .into_iter()
            .chain(faults)
            .map(|host| json!({ "host": host, "caFile": self.ca, "nodeAccess": "none" }))
            .collect();
        registries.push(json!({ "host": silent, "caFile": self.ca, "nodeAccess": "none", "timeout": "1s" }));
        for host in [net::REFUSED, net::TIMEOUT, net::UNKNOWN] {
            registries.push(json!({ "host": host, "proxy": "none", "timeout": "1s" }));
        }
        let proxy = format!("http://{}", net::PROXY);
        registries.push(json!({ "host": UNKNOWN_AUTHORITY, "proxy": proxy }));
        for host in WITHOUT_IDENTITY {
            registries.push(json!({ "host": host, "caFile": self.all_ca, "proxy": proxy, "nodeAccess": "none" }));
        }
        registries.push(json!({ "host": "*", "caFile": self.all_ca, "proxy": proxy }));
        let exception = |repository: &str, until: &str| {
            let image = self.open(repository);
            json!({ "namespace": LEGACY, "image": image, "code": "TagNotFound", "until": until })
        };
        json!({
            "mode": "enforce",
            "namespaces": [
                { "names": [WARNED], "mode": "warn" },
                { "names": [AUDITED], "mode": "audit" },
            ],
            "exceptions": [
                exception("alice/old", "2999-12-31"),
                exception("alice/older", "2020-01-31"),
            ],
            "kinds": [{ "group": "example.com", "kind": "Widget", "path": "spec.template" }],
            "registries": registries,
            "pin": { "skip": ["public.corp.io/unpinned/*"] },
            "guard": { "allowAddresses": ["127.0.0.0/8"] },
        })
    }

    /// Installs the chart with helm, starts pullgate with the configuration and the rights that the chart made, and
    /// points the chart's webhooks at it.
    pub(crate) fn install(&mut self) -> Result<(), Failure> {
        self.chart(&["install", "pullgate"], OWN_NAMESPACE, &json!({}))?.succeeded()?;
        self.gate = Some(self.start_gate()?);
        self.register()
    }

    /// Runs helm on the chart with these values over those that every release here has.
    pub(crate) fn chart(&self, command: &[&str], namespace: &str, values: &Value) -> Result<Said, Failure> {
        let (kubectl, arguments) = self.chart_command(command, namespace, values)?;
        kubectl.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same, not yet run.
    pub(crate) fn chart_command(
        &self,
        command: &[&str],
        namespace: &str,
        values: &Value,
    ) -> Result<(&Kubectl, Vec<String>), Failure> {
        // Certificates are this suite's own: the keeper's pod does not run here.
        let tls = json!({ "mode": "files", "caBundle": STANDARD.encode(&self.authority.pem) });
        let base = json!({ "config": self.config(), "tls": tls });
        let base = self.workshop.file("base-values.json", base.to_string())?.display().to_string();
        let values = self.workshop.file("values.json", values.to_string())?.display().to_string();
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/pullgate").display().to_string();
        let files = [&chart, "-n", namespace, "-f", &base, "-f", &values];
        Ok((&self.kubectl, command.iter().copied().chain(files).map(str::to_owned).collect()))
    }

    pub(crate) fn gate(&self) -> Result<&Gate, Failure> {
        self.gate.as_ref().ok_or_else(|| "pullgate does not run".into())
    }

    /// An image of the registry without logins.
    pub(crate) fn open(&self, rest: &str) -> String {
        format!("{}/{rest}", self.places.open)
    }

    /// An image of the registry with Basic logins.
    pub(crate) fn basic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.places.basic)
    }

    /// An image of the registry with a token server.
    pub(crate) fn bearer(&self, rest: &str) -> String {
        format!("{}/{rest}", self.places.bearer)
    }

    /// An image of one of the registries that misbehave.
    pub(crate) fn fault(&self, registry: usize, kind: &str) -> String {
        format!("{}/fault/{kind}:v1", self.places.faults[registry])
    }

    /// Removes a repository from the storage of the registries.
    pub(crate) fn vanish(&self, repository: &str) -> Result<(), Failure> {
        let at = self.workshop.dir.join("storage/docker/registry/v2/repositories").join(repository);
        Ok(fs::remove_dir_all(at)?)
    }

    /// A field of an object, by a path in kubectl's notation.
    pub(crate) fn field(&self, namespace: &str, object: &str, path: &str) -> Result<String, Failure> {
        self.kubectl.get(&format!("-n {namespace} get {object} -o jsonpath={path}"))
    }

    /// The image of a pod's first container must be this one with the digest written behind.
    pub(crate) fn pinned(&self, namespace: &str, pod: &str, image: &str, digest: &str) -> Result<String, Failure> {
        let is = self.field(namespace, &format!("pod/{pod}"), "{.spec.containers[0].image}")?;
        let must = format!("{image}@{digest}");
        if is == must { Ok(is) } else { Err(format!("the image of pod {pod} is {is}, not {must}").into()) }
    }

    /// Sends a signal to a part.
    pub(crate) fn signal(&self, part: &str, signal: &str) -> Result<(), Failure> {
        let process = fs::read_to_string(self.workshop.dir.join(format!("{part}.pid")))?;
        let status = Command::new("kill").args([signal, process.trim()]).status()?;
        if status.success() { Ok(()) } else { Err(format!("kill {signal} of {part}: {status}").into()) }
    }

    /// The ends of all logs.
    pub(crate) fn tails(&self) -> String {
        let gate = self.gate.iter().map(|gate| gate.part.tail());
        let registries = self.registries.iter().chain([&self.bearer]).map(Part::tail);
        let all: Vec<String> = registries.chain([self.stack.tails()]).chain(gate).collect();
        all.join("\n")
    }
}

/// What the company calls its registries.
fn named(places: &Places) -> Result<Vec<(String, SocketAddr)>, Failure> {
    let private = Authority::new("Corp Internal CA")?.issue(&[UNKNOWN_AUTHORITY])?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let site =
        Site { own: UNKNOWN_AUTHORITY.to_owned(), elsewhere: String::new(), plain: String::new(), witness: None };
    let private = faults::listen(listener, &private, Port::Registry, site)?;
    let (basic, open) = (places.basic.parse()?, places.open.parse()?);
    Ok(vec![
        ("registry.corp.io:443".to_owned(), basic),
        ("registry.corp.io:5000".to_owned(), basic),
        ("public.corp.io:443".to_owned(), open),
        (format!("{UNKNOWN_AUTHORITY}:443"), private),
    ])
}
