//! pullgate itself: started with the configuration and the rights that the chart made, and asked for its metrics.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::Failure;
use crate::kubectl::until;
use crate::net;
use crate::objects;
use crate::parts::{Part, free_ports};
use crate::stack;
use crate::world::{OWN_NAMESPACE, TEAM, World};

/// The running pullgate.
pub(crate) struct Gate {
    pub(crate) webhook: u16,
    pub(crate) admin: u16,
    pub(crate) config: PathBuf,
    pub(crate) part: Part,
}

// === impl World ===

impl World {
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
        let mut arguments = self.pullgate()?;
        let program = arguments.remove(0);
        let part = self
            .workshop
            .start(
                "pullgate",
                Path::new(&program),
                &[
                    arguments,
                    vec![
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
                ]
                .concat(),
            )?
            .wait_for(webhook)?;
        Ok(Gate { webhook, admin, config, part })
    }

    /// What starts pullgate: in a mount namespace with the name server that knows nobody, where that can be.
    pub(crate) fn pullgate(&self) -> Result<Vec<OsString>, Failure> {
        const WITH_NAMES: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
        let mut start: Vec<OsString> = Vec::new();
        if self.name_server {
            let names = format!("nameserver {}\noptions attempts:1 timeout:2\n", net::NAME_SERVER);
            let names = self.workshop.file("resolv.conf", names)?;
            start.extend(
                ["/usr/bin/unshare", "-m", "--propagation=private", "/bin/sh", "-c", WITH_NAMES].map(Into::into),
            );
            start.push(names.into());
        }
        start.push(env!("CARGO_BIN_EXE_pullgate").into());
        Ok(start)
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
    pub(crate) fn register(&self) -> Result<(), Failure> {
        self.point_webhooks(self.gate()?.webhook)?;
        let probe = objects::pod(TEAM, "probe", &self.open("alice/app:v1"));
        until("the API server to call both webhooks", || {
            let said = self.kubectl.feed("apply --dry-run=server -o yaml -f -", &probe)?;
            let bad = objects::pod(TEAM, "probe", "NO REFERENCE");
            let refused = self.kubectl.feed("apply --dry-run=server -f -", &bad)?.refused("InvalidImageName");
            Ok((said.stdout.contains("@sha256:") && refused.is_ok()).then_some(()))
        })
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
