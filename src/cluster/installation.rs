//! An API server → what `doctor` looks at: one reading an object, each of which may be refused or missing. Reads with the
//! rights of whoever asks; creates nothing but access reviews and a dry run.

mod objects;

use std::collections::BTreeSet;

use ::kube::Client;
use ::kube::client::Body;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::objects::{admin_port, armed_by, names, service, split, warning, without_segment, zones};
use super::kube::{CALL, reading};
use super::server::Server;
use super::{KubeError, KubeOptions, Reading};
use crate::admission::DOCTOR_IMAGE;
use crate::doctor::{Installation, Release, Replica, Reviewed};
use crate::reference::Reference;
use crate::time::Clock;

/// The label of every object of the chart.
const PART_OF: &str = "labelSelector=app.kubernetes.io%2Fpart-of%3Dpullgate";

/// Pods looked at for the registries of their images.
const PODS: usize = 2000;

/// The port of `/readyz` and `/metrics`, by the chart's name for it.
const ADMIN: &str = "admin";

/// What the chart is made of, for `--pre`: name, group, resource.
const CHART: [(&str, &str, &str); 12] = [
    ("Deployments", "apps", "deployments"),
    ("Jobs", "batch", "jobs"),
    ("Services", "", "services"),
    ("ServiceAccounts", "", "serviceaccounts"),
    ("ConfigMaps", "", "configmaps"),
    ("Secrets", "", "secrets"),
    ("Roles", "rbac.authorization.k8s.io", "roles"),
    ("RoleBindings", "rbac.authorization.k8s.io", "rolebindings"),
    ("ClusterRoles", "rbac.authorization.k8s.io", "clusterroles"),
    ("ClusterRoleBindings", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("ValidatingWebhookConfigurations", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("MutatingWebhookConfigurations", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
];

/// Reads one installation.
pub struct Inspection {
    client: Client,
    clock: Clock,
    server: Server,
}

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Before an installation.
    pub pre: bool,
    /// Also send a dry run.
    pub review: bool,
    /// The namespace of users whose rights are asked about, and of the dry run; none: the context's.
    pub sample: Option<String>,
}

// === impl Inspection ===

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inspection")
    }
}

impl Inspection {
    /// A client for the cluster that the flags name.
    pub async fn connect(options: &KubeOptions, clock: Clock) -> Result<Self, KubeError> {
        let (client, server) = options.client(CALL).await?;
        Ok(Self { client, clock, server })
    }

    /// Reads everything that `scope` asks for.
    pub async fn look(&self, scope: &Scope) -> Installation {
        let (version, skew) = self.version().await;
        if matches!(version, Reading::Unavailable(_) | Reading::Unauthenticated) {
            // Everything else would fail in the same way, one call after the other.
            return Installation::unread(self.server.to_string(), version, skew);
        }
        let configurations = "/apis/admissionregistration.k8s.io/v1";
        let mutating = self.items(&format!("{configurations}/mutatingwebhookconfigurations")).await;
        let (ours, others) = split(mutating);
        let validating = split(self.items(&format!("{configurations}/validatingwebhookconfigurations")).await).0;
        let service = match (&validating, &ours) {
            (Reading::Found(one), Reading::Found(other)) => one.iter().chain(other).find_map(service),
            _ => None,
        };
        let mut rights = Vec::new();
        if scope.pre {
            for (what, group, resource) in CHART {
                let attributes = json!({ "verb": "create", "group": group, "resource": resource });
                rights.push((what, self.may(None, &attributes).await));
            }
        }
        let armed = match (&validating, &ours) {
            (Reading::Found(one), Reading::Found(other)) => one.iter().chain(other).find_map(armed_by),
            _ => None,
        };
        let release = match (service, scope.pre) {
            (Some((namespace, name)), false) => {
                let armed = match armed {
                    Some((user, attributes)) => Some(self.may(Some(&user), &attributes).await),
                    None => None,
                };
                Some(Release { armed, ..self.release(&namespace, &name, scope).await })
            }
            _ => None,
        };
        Installation {
            version,
            skew,
            validating,
            mutating: ours,
            others,
            groups: self.get("/apis").await.map(|groups| names(&groups, "/groups", "/name")),
            rights,
            registries: self.registries().await,
            release,
            review: if scope.review { Some(self.review(self.sample(scope)).await) } else { None },
            server: self.server.to_string(),
        }
    }

    fn sample<'s>(&'s self, scope: &'s Scope) -> &'s str {
        scope.sample.as_deref().unwrap_or_else(|| self.server.namespace())
    }

    async fn release(&self, namespace: &str, name: &str, scope: &Scope) -> Release {
        let core = format!("/api/v1/namespaces/{namespace}");
        let slices = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
        );
        let slices = self.items(&slices).await;
        // Of a service with two families of addresses each pod is in two slices.
        let pods: BTreeSet<String> = match &slices {
            Reading::Found(slices) => {
                slices.iter().flat_map(|slice| names(slice, "/endpoints", "/targetRef/name")).collect()
            }
            _ => BTreeSet::new(),
        };
        let mut replicas = Vec::new();
        let mut account = None;
        for name in pods {
            let path = format!("{core}/pods/{name}");
            let pod = self.get(&path).await;
            if let Reading::Found(pod) = &pod {
                account = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).map(str::to_owned);
            }
            let port = pod.map(|pod| admin_port(&pod));
            let (ready, metrics) = match port {
                // The API server's way to a pod takes a number and no name.
                Reading::Found(Some(port)) => {
                    let proxy = format!("{path}:{port}/proxy");
                    (self.text(&format!("{proxy}/readyz")).await, self.text(&format!("{proxy}/metrics")).await)
                }
                Reading::Found(None) => (Reading::Absent, Reading::Absent),
                unread => (unread.clone().map(|_| String::new()), unread.map(|_| String::new())),
            };
            replicas.push(Replica { name, ready, metrics });
        }
        let mut secrets = Vec::new();
        if let Some(account) = account {
            let user = format!("system:serviceaccount:{namespace}:{account}");
            for verb in ["get", "list"] {
                let attributes = json!({ "verb": verb, "resource": "secrets", "namespace": self.sample(scope) });
                secrets.push((verb, self.may(Some(&user), &attributes).await));
            }
        }
        Release {
            namespace: namespace.to_owned(),
            service: self.get(&format!("{core}/services/{name}")).await,
            slices,
            zones: self.items("/api/v1/nodes").await.map(|nodes| zones(&nodes)),
            budgets: self
                .items(&format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets?{PART_OF}"))
                .await,
            replicas,
            armed: None,
            secrets,
            sample: self.sample(scope).to_owned(),
        }
    }

    async fn version(&self) -> (Reading<Value>, Option<i64>) {
        let request = axum::http::Request::get("/version").body(Body::empty());
        let Ok(request) = request else { return (Reading::Absent, None) };
        let version = match self.get("/version").await {
            Reading::Unavailable(why) => return (Reading::Unavailable(why), None),
            version => version,
        };
        let date = match timeout(CALL, self.client.send(request)).await {
            Ok(Ok(response)) => response.headers().get("date").and_then(|date| date.to_str().ok().map(str::to_owned)),
            _ => None,
        };
        let server: Option<Timestamp> = date.and_then(|date| DateTimeParser::new().parse_timestamp(date.as_str()).ok());
        let skew = server.map(|server| server.as_second() - (self.clock)().as_second());
        (version, skew)
    }

    /// The hosts of all images of running pods.
    async fn registries(&self) -> Reading<Vec<String>> {
        let pods = self.items(&format!("/api/v1/pods?limit={PODS}")).await;
        pods.map(|pods| {
            let images = pods.iter().flat_map(|pod| {
                let of = |list: &str| names(pod, &format!("/spec/{list}"), "/image");
                of("containers").into_iter().chain(of("initContainers"))
            });
            let mut hosts: Vec<String> = images
                .filter_map(|image| Reference::parse(&image).ok().map(|reference| reference.registry().to_owned()))
                .collect();
            hosts.sort();
            hosts.dedup();
            hosts
        })
    }

    /// Whether the caller, or the named user, may do something.
    async fn may(&self, user: Option<&str>, attributes: &Value) -> Reading<bool> {
        let (kind, path) = match user {
            Some(_) => ("SubjectAccessReview", "subjectaccessreviews"),
            None => ("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        };
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": kind,
            "spec": { "user": user, "resourceAttributes": attributes },
        });
        let request = axum::http::Request::post(format!("/apis/authorization.k8s.io/v1/{path}"))
            .header("content-type", "application/json")
            .body(review.to_string().into_bytes());
        let Ok(request) = request else { return Reading::Absent };
        let answer = timeout(CALL, self.client.request::<Value>(request)).await;
        reading(answer, |answer| answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
    }

    /// A pod whose image is no reference, created in a dry run: it needs no registry, and every mode judges it.
    async fn review(&self, namespace: &str) -> Reviewed {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "generateName": "pullgate-doctor-" },
            // Nothing that Pod Security or a quota would refuse before pullgate is asked.
            "spec": {
                "automountServiceAccountToken": false,
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "doctor",
                    "image": DOCTOR_IMAGE,
                    "resources": {
                        "requests": { "cpu": "1m", "memory": "1Mi" }, "limits": { "cpu": "1m", "memory": "1Mi" },
                    },
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            },
        });
        let request = axum::http::Request::post(format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"))
            .header("content-type", "application/json")
            .body(Body::from(pod.to_string().into_bytes()));
        let Ok(request) = request else { return Reviewed { answer: Err("no request".to_owned()) } };
        // Warnings are headers, which a decoded answer no longer has.
        let response = match timeout(CALL * 5, self.client.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Reviewed { answer: Err(error.to_string()) },
            Err(_) => return Reviewed { answer: Err("the API server did not answer".to_owned()) },
        };
        let warnings = response.headers().get_all("warning").iter();
        let warnings: Vec<String> = warnings.filter_map(|value| warning(value.to_str().ok()?)).collect();
        if response.status().is_success() {
            return Reviewed { answer: Ok(warnings) };
        }
        let status = response.status();
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        Reviewed { answer: Err(without_segment(said["message"].as_str().unwrap_or(status.as_str()))) }
    }

    async fn get(&self, path: &str) -> Reading<Value> {
        let Ok(request) = axum::http::Request::get(path).body(Vec::new()) else { return Reading::Absent };
        reading(timeout(CALL, self.client.request::<Value>(request)).await, |value| value)
    }

    async fn text(&self, path: &str) -> Reading<String> {
        let Ok(request) = axum::http::Request::get(path).body(Vec::new()) else { return Reading::Absent };
        let asked = timeout(CALL, self.client.request_text(request)).await;
        // A replica that is not ready says why with a 503, of which the client makes a Status.
        match asked {
            Ok(Err(::kube::Error::Api(status))) if status.code == 503 && status.message.starts_with("not ready") => {
                Reading::Found(status.message.clone())
            }
            asked => reading(asked, |text| text),
        }
    }

    async fn items(&self, path: &str) -> Reading<Vec<Value>> {
        self.get(path).await.map(|mut list| match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
    }
}
