//! The stage of these cases: a webhook, a Service without pods, `ServiceAccounts`, and the processes that come and go.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::Failure;
use crate::gate::page;
use crate::kubectl::{until, until_within};
use crate::objects::{list, pod};
use crate::parts::{Part, free_ports};
use crate::report::ensure;
use crate::stack;
use crate::world::{OWN_NAMESPACE, TEAM, World};

/// Of Service, webhook configuration and whatever is named after them.
pub(super) const NAME: &str = "kept";

/// The replica's address; of a range for documentation.
pub(super) const ADDRESS: &str = "192.0.2.10";

/// Long enough for everything that takes the seconds of the flags below.
pub(super) const LONG: Duration = Duration::from_mins(3);

/// The running parts.
pub(super) struct Kept {
    pub(super) webhook: u16,
    pub(super) admin: u16,
    pub(super) keepers: Vec<Keeper>,
    pub(super) replica: Option<Part>,
}

pub(super) struct Keeper {
    name: &'static str,
    pub(super) admin: u16,
    pub(super) part: Part,
}

pub(super) fn prepared(world: &World) -> Result<Kept, Failure> {
    let status = Command::new("ip").args(["address", "replace", &format!("{ADDRESS}/32"), "dev", "lo"]).status()?;
    ensure(status.success(), || "no second address".to_owned())?;
    let [webhook, admin] = free_ports()?;
    let meta = |name: &str| json!({ "name": name, "namespace": OWN_NAMESPACE });
    let hook = |kind: &str, path: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": NAME },
            "webhooks": [{
                "name": format!("{path}.kept.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": { "url": format!("https://127.0.0.1:{webhook}/{path}") },
                "failurePolicy": "Fail", "timeoutSeconds": 5,
                "objectSelector": { "matchLabels": { "kept": "yes" } },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
            }],
        })
    };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": NAME, "namespace": OWN_NAMESPACE, "labels": { "kubernetes.io/service-name": NAME },
        },
        "endpoints": [{ "addresses": [ADDRESS], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": webhook }, { "name": "metrics", "port": admin }],
    });
    let rule = |group: &str, resource: &str, verbs: &[&str], names: &[&str]| {
        let mut rule = json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    };
    let webhooks = |verbs: &[&str]| {
        ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"]
            .map(|resource| rule("admissionregistration.k8s.io", resource, verbs, &[NAME]))
    };
    let mut objects =
        vec![hook("ValidatingWebhookConfiguration", "validate"), hook("MutatingWebhookConfiguration", "mutate")];
    let in_namespace = |who: &str| match who {
        "kept-keeper" => vec![
            rule("", "secrets", &["get", "patch"], &["kept-tls", "kept-ca"]),
            rule("", "secrets", &["create"], &[]),
            rule("coordination.k8s.io", "leases", &["get", "update"], &["kept-keeper"]),
            rule("coordination.k8s.io", "leases", &["create"], &[]),
            rule("discovery.k8s.io", "endpointslices", &["list"], &[]),
        ],
        _ => vec![rule("", "secrets", &["get"], &["kept-tls"])],
    };
    for (who, verbs) in [("kept-keeper", &["get", "patch"][..]), ("kept-replica", &["get"])] {
        let subjects = json!([{ "kind": "ServiceAccount", "name": who, "namespace": OWN_NAMESPACE }]);
        let group = "rbac.authorization.k8s.io";
        let version = "rbac.authorization.k8s.io/v1";
        objects.extend([
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(who) }),
            json!({ "apiVersion": version, "kind": "Role", "metadata": meta(who), "rules": in_namespace(who) }),
            json!({ "apiVersion": version, "kind": "RoleBinding", "metadata": meta(who), "subjects": subjects,
                    "roleRef": { "apiGroup": group, "kind": "Role", "name": who } }),
            json!({ "apiVersion": version, "kind": "ClusterRole", "metadata": { "name": who }, "rules": webhooks(verbs) }),
            json!({ "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": { "name": who },
                    "subjects": subjects, "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": who } }),
        ]);
    }
    objects.push(slice);
    world.kubectl.apply(&list(objects))?.succeeded()?;
    Ok(Kept { webhook, admin, keepers: Vec::new(), replica: None })
}

pub(super) fn start(world: &World, part: &'static str, user: &str, arguments: &[String]) -> Result<Part, Failure> {
    let token = world.kubectl.get(&format!("-n {OWN_NAMESPACE} create token {user} --duration=2h"))?;
    let kubeconfig = stack::kubeconfig(&world.stack.server, &world.authority, &json!({ "token": token.trim() }));
    let kubeconfig = world.workshop.file(&format!("{part}.kubeconfig"), kubeconfig.to_string())?;
    let (words, rest) = arguments.split_first().ok_or("a command has a name")?;
    let mut all: Vec<OsString> = vec![words.into(), "--kubeconfig".into(), kubeconfig.into()];
    all.extend(rest.iter().map(OsString::from));
    world.workshop.start(part, Path::new(env!("CARGO_BIN_EXE_pullgate")), &all)
}

/// Starts a keeper with these lifetimes.
pub(super) fn keep(world: &World, name: &'static str, leaf: &str, ca: &str) -> Result<Keeper, Failure> {
    let [admin] = free_ports()?;
    let arguments = [
        "keep".to_owned(),
        format!("--service={NAME}"),
        format!("--webhook-configuration={NAME}"),
        format!("--namespace={OWN_NAMESPACE}"),
        format!("--leaf-lifetime={leaf}"),
        format!("--ca-lifetime={ca}"),
        "--every=1s".to_owned(),
        "--settle=3s".to_owned(),
        format!("--admin-listen=127.0.0.1:{admin}"),
        "--log-format=text".to_owned(),
    ];
    Ok(Keeper { name, admin, part: start(world, name, "kept-keeper", &arguments)?.wait_for(admin)? })
}

impl Kept {
    /// Ends the keepers, deletes a Secret, and starts a keeper with other lifetimes.
    pub(super) fn keeper(
        &mut self,
        world: &World,
        name: &'static str,
        (leaf, ca): (&str, &str),
        without: Option<&str>,
    ) -> Result<(), Failure> {
        for keeper in self.keepers.drain(..) {
            world.signal(keeper.name, "-TERM")?;
            until("the Lease to be given back", || {
                let holder = world.field(OWN_NAMESPACE, "lease/kept-keeper", "{.spec.holderIdentity}")?;
                Ok(holder.is_empty().then_some(()))
            })?;
        }
        if let Some(secret) = without {
            world.kubectl.run(&format!("-n {OWN_NAMESPACE} delete secret {secret}"))?.succeeded()?;
        }
        self.keepers.push(keep(world, name, leaf, ca)?);
        Ok(())
    }

    pub(super) fn ready(&self) -> Result<bool, Failure> {
        Ok(page(self.admin, "/readyz")?.contains("\r\n\r\nready"))
    }

    pub(super) fn logs(&self) -> String {
        let keepers = self.keepers.iter().map(|keeper| keeper.part.log());
        keepers.chain(self.replica.iter().map(Part::log)).collect()
    }

    /// Until the replica is ready, the API server calls it by its segment, and it denies what is to be denied.
    pub(super) fn works(&self, world: &World, name: &str) -> Result<(), Failure> {
        let counts = || -> Result<[u64; 2], Failure> {
            let text = page(self.admin, "/metrics")?;
            let count = |of: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(of));
                line.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
            };
            Ok([
                count("pullgate_reviews_total{path=\"validate\",verdict=\"deny\"}"),
                count("pullgate_unknown_callers_total"),
            ])
        };
        until_within(LONG, "a review in full", || {
            let mut bad = pod(TEAM, name, &world.open("alice/app:none"));
            bad["metadata"]["labels"]["kept"] = json!("yes");
            let before = counts()?;
            let refused = world.kubectl.feed("create -f -", &bad)?.refused("TagNotFound").is_ok();
            let after = counts()?;
            let called = after[0] == before[0] + 1 && after[1] == before[1];
            Ok((self.ready()? && refused && called).then_some(()))
        })
    }
}
