//! The stage of one run: registries, the control plane, the installed chart and pullgate itself, all on loopback and
//! all in one temporary directory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Failure;
use crate::faults::{self, Port, Site};
use crate::images::{self, Images};
use crate::kubectl::{Kubectl, Said, until};
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
    pub(crate) authority: Authority,
    ca: PathBuf,
    registries: Vec<Part>,
}

/// The running pullgate.
pub(crate) struct Gate {
    pub(crate) webhook: u16,
    admin: u16,
    pub(crate) config: PathBuf,
    pub(crate) part: Part,
}

// === impl World ===

impl World {
    /// Starts registries and control plane; neither pullgate nor its webhooks are there yet.
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        let mut needed = vec!["registry".to_owned(), "token-server".to_owned()];
        needed.extend(stack::needed());
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        let workshop = Workshop::new(dir, &needed)?;
        let authority = Authority::new("pullgate test authority")?;
        let leaf = authority.issue(&["127.0.0.1", "localhost"])?;
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
            let site = Site { own: on(listener.local_addr()?.port()), elsewhere: on(open), witness: None };
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
        let (stack, kubectl) = Stack::start(&workshop, &authority)?;
        let world = Self {
            workshop,
            stack,
            kubectl,
            places,
            images,
            bearer: bearer_part,
            doomed: Some(doomed_part),
            gate: None,
            authority,
            ca,
            registries,
        };
        world.namespaces()?;
        Ok(world)
    }

    /// Pods are refused until the controller manager has made a namespace's `ServiceAccount`.
    fn namespaces(&self) -> Result<(), Failure> {
        let names = [OWN_NAMESPACE, TEAM, OTHER_TEAM, WARNED, AUDITED, LEGACY];
        self.kubectl.apply(&objects::list(names.iter().map(|name| objects::namespace(name))))?.succeeded()?;
        for name in names {
            until("the ServiceAccount of a namespace", || {
                Ok((self.kubectl.run(&format!("-n {name} get serviceaccount default"))?.code == Some(0)).then_some(()))
            })?;
        }
        Ok(())
    }

    /// pullgate's configuration, as a user writes it into the chart's values.
    fn config(&self) -> Value {
        let Places { open, basic, bearer, doomed, faults, silent, .. } = &self.places;
        let mut registries: Vec<Value> = [open, basic, bearer, doomed]
            .into_iter()
            .chain(faults)
            .map(|host| json!({ "host": host, "caFile": self.ca, "nodeAccess": "none" }))
            .collect();
        registries.push(json!({ "host": silent, "caFile": self.ca, "nodeAccess": "none", "timeout": "1s" }));
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

    pub(crate) fn start_gate(&self) -> Result<Gate, Failure> {
        let [webhook, admin] = free_ports()?;
        let template = "go-template={{index .data \"config.yaml\"}}";
        let read = ["-n", OWN_NAMESPACE, "get", "configmap", "pullgate", "-o", template];
        let config = self.workshop.file("config.yaml", self.kubectl.run_with(&read, None)?.succeeded()?.stdout)?;
        // The rights of the pod that the chart would run, and no others: its ServiceAccount's token. Another context
        // is the current one, without any right.
        let token = self.kubectl.get(&format!("-n {OWN_NAMESPACE} create token pullgate"))?;
        let nobody = json!({ "token": "nobody" });
        let mut kubeconfig = stack::kubeconfig(&self.stack.server, &self.authority, &nobody);
        let pullgate = json!({ "name": "pullgate", "user": { "token": token.trim() } });
        kubeconfig["users"].as_array_mut().ok_or("a kubeconfig has users")?.push(pullgate);
        let context = json!({ "name": "pullgate", "context": { "cluster": "main", "user": "pullgate" } });
        kubeconfig["contexts"].as_array_mut().ok_or("a kubeconfig has contexts")?.push(context);
        let kubeconfig = self.workshop.file("pullgate.kubeconfig", kubeconfig.to_string())?;
        let serving = self.authority.issue(&["127.0.0.1", "pullgate.pullgate-system.svc"])?;
        let part = self
            .workshop
            .start(
                "pullgate",
                Path::new(env!("CARGO_BIN_EXE_pullgate")),
                &[
                    "serve".into(),
                    "--kubeconfig".into(),
                    kubeconfig.into(),
                    "--context=pullgate".into(),
                    "--config".into(),
                    config.clone().into(),
                    "--tls-cert-file".into(),
                    self.workshop.file("tls.crt", serving.certificate_pem())?.into(),
                    "--tls-private-key-file".into(),
                    self.workshop.file("tls.key", serving.key_pem())?.into(),
                    format!("--listen=127.0.0.1:{webhook}").into(),
                    format!("--admin-listen=127.0.0.1:{admin}").into(),
                    format!("--own-namespace={OWN_NAMESPACE}").into(),
                    "--log-format=text".into(),
                ],
            )?
            .wait_for(webhook)?;
        Ok(Gate { webhook, admin, config, part })
    }

    /// Replaces the Service of the chart's webhooks, or the URL that already did so, by a port on loopback.
    pub(crate) fn point_webhooks(&self, port: u16) -> Result<(), Failure> {
        for (kind, path) in [("mutatingwebhookconfiguration", "mutate"), ("validatingwebhookconfiguration", "validate")]
        {
            let patch = json!([{
                "op": "add", "path": "/webhooks/0/clientConfig",
                "value": {
                    "url": format!("https://127.0.0.1:{port}/{path}"), "caBundle": STANDARD.encode(&self.authority.pem),
                },
            }]);
            let patch = patch.to_string();
            self.kubectl.run_with(&["patch", kind, "pullgate", "--type=json", "-p", &patch], None)?.succeeded()?;
        }
        Ok(())
    }

    /// Points the webhooks at pullgate and waits until the API server calls both.
    fn register(&self) -> Result<(), Failure> {
        self.point_webhooks(self.gate()?.webhook)?;
        let probe = objects::pod(TEAM, "probe", &self.open("alice/app:v1"));
        until("the API server to call both webhooks", || {
            let said = self.kubectl.feed("apply --dry-run=server -o yaml -f -", &probe)?;
            let bad = objects::pod(TEAM, "probe", "NO REFERENCE");
            let refused = self.kubectl.feed("apply --dry-run=server -f -", &bad)?.refused("InvalidImageName");
            Ok((said.stdout.contains("@sha256:") && refused.is_ok()).then_some(()))
        })
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

/// A page of an admin port, with its head.
pub(crate) fn page(port: u16, path: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

// === impl Gate ===

impl Gate {
    /// The page of `/metrics`.
    pub(crate) fn metrics(&self) -> Result<String, Failure> {
        page(self.admin, "/metrics")
    }

    /// The sum of all samples of one family that carry all of these labels (`code="TagNotFound"`).
    pub(crate) fn count(&self, family: &str, labels: &[&str]) -> Result<u64, Failure> {
        let mut sum = 0;
        for line in self.metrics()?.lines() {
            let Some(rest) = line.strip_prefix(family) else { continue };
            if rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label)) {
                sum += rest.rsplit(' ').next().unwrap_or_default().parse::<u64>()?;
            }
        }
        Ok(sum)
    }
}
