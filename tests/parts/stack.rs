//! A Kubernetes control plane on loopback: etcd, API server and, where a suite wants them, controller manager, scheduler
//! and one Node that nobody runs; their certificates and kubeconfigs.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Failure;
use crate::kubectl::{Kubectl, until};
use crate::parts::{Part, Workshop, free_ports};
use crate::pki::{Authority, Leaf};

/// What is kept of each request: who did what, and what the webhooks annotated.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    verbs: [get, list, watch]
    userGroups: [system:masters, system:serviceaccounts:kube-system]
  - level: None
    users: [system:kube-controller-manager, system:kube-scheduler]
  - level: None
    resources: [{ group: coordination.k8s.io }]
  - level: Metadata
";

/// The name in the certificate that API servers show to webhooks.
pub(crate) const CALLER: &str = "api-server";

/// The running control plane.
pub(crate) struct Stack {
    /// Of the form `https://127.0.0.1:PORT`.
    pub(crate) server: String,
    /// The administrator's certificate, for whoever speaks to the API server without kubectl.
    pub(crate) admin: Leaf,
    api_server: Option<Part>,
    api_server_arguments: Vec<OsString>,
    port: u16,
    audit_log: PathBuf,
    others: Vec<Part>,
}

/// The file names of the control plane's parts; `TESTBED_KUBERNETES` chooses another line of Kubernetes.
pub(crate) fn needed() -> [String; 6] {
    let line = line().map(|line| format!("-{line}")).unwrap_or_default();
    [
        "etcd".to_owned(),
        "kubectl".to_owned(),
        "helm".to_owned(),
        format!("kube-apiserver{line}"),
        format!("kube-controller-manager{line}"),
        format!("kube-scheduler{line}"),
    ]
}

/// `1.34`, if another line than the usual one was asked for.
pub(crate) fn line() -> Option<String> {
    env::var_os("TESTBED_KUBERNETES").and_then(|line| line.into_string().ok()).filter(|line| !line.is_empty())
}

// === impl Stack ===

impl Stack {
    /// Starts everything and waits until the API server is ready.
    pub(crate) fn start(workshop: &Workshop, authority: &Authority) -> Result<(Self, Kubectl), Failure> {
        let (mut stack, kubectl) = Self::serve(workshop, authority)?;
        stack.start_controllers(workshop, authority)?;
        kubectl.apply(&node("node-1"))?.succeeded()?;
        // Without a kubelet nobody takes the taint away; servers that set none have none to take.
        kubectl.run("taint nodes node-1 node.kubernetes.io/not-ready-")?;
        Ok((stack, kubectl))
    }

    /// Starts etcd and the API server and waits until it is ready: no controller, no scheduler, no Node.
    pub(crate) fn serve(workshop: &Workshop, authority: &Authority) -> Result<(Self, Kubectl), Failure> {
        let [_, kubectl, helm, ..] = needed();
        let [port] = free_ports()?;
        let server = format!("https://127.0.0.1:{port}");
        let admin = authority.client("admin", Some("system:masters"))?;
        let kubeconfig = by_certificate(&server, authority, &admin).to_string();
        let kubectl = Kubectl {
            binary: workshop.binary(&kubectl),
            helm: workshop.binary(&helm),
            kubeconfig: workshop.file("cluster/admin.kubeconfig", kubeconfig)?,
            home: workshop.dir.join("home"),
        };
        fs::create_dir_all(&kubectl.home)?;
        let tokens = authority.issue(&["tokens"])?;
        workshop.file("cluster/ca.crt", &authority.pem)?;
        workshop.file("cluster/sa.key", tokens.key_pem())?;
        workshop.file("cluster/sa.crt", tokens.certificate_pem())?;

        let (etcd, storage) = start_etcd(workshop)?;
        let mut stack = Self {
            server,
            admin,
            api_server: None,
            api_server_arguments: api_server_arguments(workshop, authority, port, &storage)?,
            port,
            audit_log: workshop.dir.join("audit.log"),
            others: vec![etcd],
        };
        stack.start_api_server(workshop, &kubectl)?;
        Ok((stack, kubectl))
    }

    fn start_controllers(&mut self, workshop: &Workshop, authority: &Authority) -> Result<(), Failure> {
        let [.., controller_manager, scheduler] = needed();
        let shared = |name: &str| -> Result<Vec<OsString>, Failure> {
            let user = authority.client(&format!("system:{name}"), None)?;
            let kubeconfig = by_certificate(&self.server, authority, &user).to_string();
            let kubeconfig = shown(&workshop.file(&format!("cluster/{name}.kubeconfig"), kubeconfig)?);
            let [port] = free_ports()?;
            Ok(flags(&[
                ("kubeconfig", &kubeconfig),
                ("authentication-kubeconfig", &kubeconfig),
                ("authorization-kubeconfig", &kubeconfig),
                ("bind-address", "127.0.0.1"),
                ("secure-port", &port.to_string()),
                ("leader-elect", "false"),
            ]))
        };
        let mut arguments = shared("kube-controller-manager")?;
        arguments.extend(flags(&[
            // A Node without a kubelet would be tainted after 40 s.
            ("controllers", "*,-node-lifecycle-controller"),
            ("service-account-private-key-file", &shown(&workshop.dir.join("cluster/sa.key"))),
            ("root-ca-file", &shown(&workshop.dir.join("cluster/ca.crt"))),
            ("use-service-account-credentials", "true"),
            // The crowd of a thousand pods would wait for the client, not for the webhooks.
            ("kube-api-qps", "2000"),
            ("kube-api-burst", "4000"),
        ]));
        let manager = workshop.binary(&controller_manager);
        self.others.push(workshop.start("kube-controller-manager", &manager, &arguments)?);
        let arguments = shared("kube-scheduler")?;
        self.others.push(workshop.start("kube-scheduler", &workshop.binary(&scheduler), &arguments)?);
        Ok(())
    }

    /// Takes the API server away.
    pub(crate) fn stop_api_server(&mut self) {
        self.api_server = None;
    }

    /// Brings it back.
    pub(crate) fn start_api_server(&mut self, workshop: &Workshop, kubectl: &Kubectl) -> Result<(), Failure> {
        let [_, _, _, api_server, _, _] = needed();
        let arguments = &self.api_server_arguments;
        self.api_server = Some(workshop.start("kube-apiserver", &workshop.binary(&api_server), arguments)?);
        self.wait_until_ready(kubectl)
    }

    fn wait_until_ready(&mut self, kubectl: &Kubectl) -> Result<(), Failure> {
        let part = self.api_server.take().ok_or("the API server was not started")?;
        self.api_server = Some(part.wait_for(self.port)?);
        until("the API server to be ready", || kubectl.run("get --raw /readyz")?.succeeded().map(Some))
            .map(drop)
            .map_err(|failure| format!("{failure}\n{}", self.tails()).into())
    }

    /// The events of the audit log, oldest first.
    pub(crate) fn audit_events(&self) -> Result<Vec<Value>, Failure> {
        let log = fs::read_to_string(&self.audit_log)?;
        Ok(log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// What the API server itself logged.
    pub(crate) fn api_server_log(&self) -> String {
        self.api_server.as_ref().map(Part::log).unwrap_or_default()
    }

    /// The ends of all logs.
    pub(crate) fn tails(&self) -> String {
        self.api_server.iter().chain(&self.others).map(Part::tail).collect::<Vec<_>>().join("\n")
    }
}

/// Starts etcd; gives the URL that the API server is to store into.
fn start_etcd(workshop: &Workshop) -> Result<(Part, String), Failure> {
    let [etcd, ..] = needed();
    let [clients, peers] = free_ports()?;
    let (clients_url, peers_url) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
    let arguments = flags(&[
        ("name", "t"),
        ("data-dir", &shown(&workshop.dir.join("etcd"))),
        ("listen-client-urls", &clients_url),
        ("advertise-client-urls", &clients_url),
        ("listen-peer-urls", &peers_url),
        ("initial-advertise-peer-urls", &peers_url),
        ("initial-cluster", &format!("t={peers_url}")),
        ("unsafe-no-fsync", "true"),
        ("log-level", "error"),
    ]);
    Ok((workshop.start("etcd", &workshop.binary(&etcd), &arguments)?.wait_for(clients)?, clients_url))
}

fn api_server_arguments(
    workshop: &Workshop,
    authority: &Authority,
    port: u16,
    storage: &str,
) -> Result<Vec<OsString>, Failure> {
    let names = ["127.0.0.1", "10.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let serving = authority.issue(&names)?;
    let admission = admission(workshop, authority)?;
    let in_dir = |name: &str| shown(&workshop.dir.join("cluster").join(name));
    Ok(flags(&[
        ("etcd-servers", storage),
        ("bind-address", "127.0.0.1"),
        ("advertise-address", "127.0.0.1"),
        ("secure-port", &port.to_string()),
        ("tls-cert-file", &shown(&workshop.file("cluster/server.crt", serving.certificate_pem())?)),
        ("tls-private-key-file", &shown(&workshop.file("cluster/server.key", serving.key_pem())?)),
        ("client-ca-file", &in_dir("ca.crt")),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-account-key-file", &in_dir("sa.crt")),
        ("service-account-signing-key-file", &in_dir("sa.key")),
        ("authorization-mode", "Node,RBAC"),
        ("service-cluster-ip-range", "10.0.0.0/24"),
        ("allow-privileged", "true"),
        ("endpoint-reconciler-type", "none"),
        // There is no kube-proxy: Services of webhooks are reached at the addresses of their pods.
        ("enable-aggregator-routing", "true"),
        ("admission-control-config-file", &shown(&workshop.file("cluster/admission.yaml", admission.to_string())?)),
        ("audit-policy-file", &shown(&workshop.file("cluster/audit.yaml", AUDIT_POLICY)?)),
        ("audit-log-path", &shown(&workshop.dir.join("audit.log"))),
    ]))
}

/// What makes API servers show a certificate to webhooks that ask for one.
fn admission(workshop: &Workshop, authority: &Authority) -> Result<Value, Failure> {
    let caller = authority.client(CALLER, None)?;
    let users = json!([{ "name": "*", "user": certificate(&caller) }]);
    let kubeconfig = json!({ "apiVersion": "v1", "kind": "Config", "users": users });
    let kubeconfig = shown(&workshop.file("cluster/webhooks.kubeconfig", kubeconfig.to_string())?);
    let plugin = |name: &str| {
        json!({ "name": name, "configuration": {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration", "kubeConfigFile": kubeconfig,
        } })
    };
    Ok(json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [plugin("ValidatingAdmissionWebhook"), plugin("MutatingAdmissionWebhook")],
    }))
}

/// A kubeconfig with one user; JSON is YAML.
pub(crate) fn kubeconfig(server: &str, authority: &Authority, user: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "main",
        "clusters": [{
            "name": "main",
            "cluster": { "server": server, "certificate-authority-data": STANDARD.encode(&authority.pem) },
        }],
        "users": [{ "name": "main", "user": user }],
        "contexts": [{ "name": "main", "context": { "cluster": "main", "user": "main" } }],
    })
}

/// A kubeconfig for whom a certificate names.
pub(crate) fn by_certificate(server: &str, authority: &Authority, user: &Leaf) -> Value {
    kubeconfig(server, authority, &certificate(user))
}

/// How a kubeconfig gives a user by certificate.
fn certificate(user: &Leaf) -> Value {
    json!({
        "client-certificate-data": STANDARD.encode(user.certificate_pem()),
        "client-key-data": STANDARD.encode(user.key_pem()),
    })
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

pub(crate) fn flags(flags: &[(&str, &str)]) -> Vec<OsString> {
    flags.iter().map(|(name, value)| format!("--{name}={value}").into()).collect()
}

fn node(name: &str) -> Value {
    let room = json!({ "cpu": "64", "memory": "256Gi", "pods": "5000" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name },
        },
        "status": {
            "capacity": room, "allocatable": room,
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Test", "message": "nobody runs it" }],
        },
    })
}
