//! Workloads and `ServiceAccounts` → the pull secrets that they name, by namespace → the Roles and `RoleBindings` with which
//! pullgate can read those and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Never judged, whatever the configuration says; the release's own namespace is another.
const EXCLUDED: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// Where kinds keep their pod spec.
const POD_SPECS: [&str; 3] = ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];

/// Who gets the rights, and what they are called.
#[derive(Clone, Debug)]
pub struct Grantee {
    /// Of the chart's `ClusterRole`; roles are called so with `-generated` behind, beside the chart's own.
    pub name: String,
    /// pullgate's.
    pub service_account: String,
    /// The release's.
    pub namespace: String,
}

/// The names of pull secrets by namespace. A namespace without any has workloads all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted(BTreeMap<String, BTreeSet<String>>);

// === impl Wanted ===

impl Wanted {
    /// Takes what an object names; objects without a namespace are in `namespace`. What is no workload names nothing.
    pub fn add(&mut self, object: &Value, namespace: &str) {
        let spec = POD_SPECS.iter().filter_map(|at| object.pointer(at)).find(|spec| spec["containers"].is_array());
        let lists = spec.map_or(&object["imagePullSecrets"], |spec| &spec["imagePullSecrets"]);
        let names = lists.as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str());
        let mut names = names.filter(|name| !name.is_empty()).map(str::to_owned).peekable();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
        if (spec.is_some() || names.peek().is_some()) && !EXCLUDED.contains(&namespace) {
            self.0.entry(namespace.to_owned()).or_default().extend(names);
        }
    }

    /// Forgets every other namespace.
    pub fn only(&mut self, namespaces: &[String]) {
        self.0.retain(|namespace, _| namespaces.contains(namespace));
    }

    /// How many namespaces, and how many Secrets in them.
    pub fn counts(&self) -> (usize, usize) {
        (self.0.len(), self.0.values().map(BTreeSet::len).sum())
    }

    /// A Role with the names, and its binding, in each namespace.
    pub fn by_name(&self, to: &Grantee) -> Vec<Value> {
        self.of(to)
            .flat_map(|(namespace, secrets)| {
                let mut rules = vec![json!({ "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"] })];
                // A rule without names would be one for all.
                if !secrets.is_empty() {
                    let names = json!({
                        "apiGroups": [""], "resources": ["secrets"], "resourceNames": secrets, "verbs": ["get"],
                    });
                    rules.insert(0, names);
                }
                let role = json!({ "rules": rules });
                [to.object("Role", namespace, role), to.binding("Role", namespace)]
            })
            .collect()
    }

    /// A binding of the chart's `ClusterRole` in each namespace.
    pub fn by_namespace(&self, to: &Grantee) -> Vec<Value> {
        self.of(to).map(|(namespace, _)| to.binding("ClusterRole", namespace)).collect()
    }

    fn of(&self, to: &Grantee) -> impl Iterator<Item = (&String, &BTreeSet<String>)> {
        self.0.iter().filter(move |(namespace, _)| **namespace != to.namespace)
    }
}

// === impl Grantee ===

impl Grantee {
    fn binding(&self, kind: &str, namespace: &str) -> Value {
        let account = json!({ "kind": "ServiceAccount", "name": self.service_account, "namespace": self.namespace });
        let name = if kind == "Role" { self.generated() } else { self.name.clone() };
        let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
        self.object("RoleBinding", namespace, json!({ "roleRef": role, "subjects": [account] }))
    }

    fn generated(&self) -> String {
        format!("{}-generated", self.name)
    }

    fn object(&self, kind: &str, namespace: &str, mut content: Value) -> Value {
        content["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
        content["kind"] = json!(kind);
        content["metadata"] = json!({
            "name": self.generated(), "namespace": namespace, "labels": { "app.kubernetes.io/part-of": "pullgate" },
        });
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(objects: &[Value]) -> Wanted {
        let mut wanted = Wanted::default();
        for object in objects {
            wanted.add(object, "default");
        }
        wanted
    }

    fn spec(secrets: &[&str]) -> Value {
        let secrets: Vec<_> = secrets.iter().map(|name| json!({ "name": name })).collect();
        json!({ "containers": [{ "image": "a" }], "imagePullSecrets": secrets })
    }

    fn grantee() -> Grantee {
        let own = |text: &str| text.to_owned();
        Grantee { name: own("gate"), service_account: own("gate-account"), namespace: own("gate-system") }
    }

    #[test]
    fn names_are_found_wherever_a_kind_keeps_its_pod_spec() {
        let wanted = wanted(&[
            json!({ "metadata": { "namespace": "a" }, "spec": spec(&["pod", ""]) }),
            json!({ "metadata": { "namespace": "a" }, "spec": { "template": { "spec": spec(&["template"]) } } }),
            json!({ "spec": { "jobTemplate": { "spec": { "template": { "spec": spec(&["job"]) } } } } }),
            json!({ "metadata": { "namespace": "b" }, "imagePullSecrets": [{ "name": "account" }] }),
            json!({ "metadata": { "namespace": "c" }, "spec": spec(&[]) }),
            json!({ "metadata": { "namespace": "d" }, "data": {} }),
            json!({ "metadata": { "namespace": "e" }, "imagePullSecrets": null }),
            json!({ "metadata": { "namespace": "kube-system" }, "spec": spec(&["plug-in"]) }),
        ]);
        let names: Vec<_> = wanted.0.iter().map(|(at, names)| format!("{at}: {names:?}")).collect();
        assert_eq!(names, [r#"a: {"pod", "template"}"#, r#"b: {"account"}"#, "c: {}", r#"default: {"job"}"#]);
        assert_eq!(wanted.counts(), (4, 4));
    }

    #[test]
    fn a_role_names_the_secrets_in_use_and_only_ever_gets() {
        let mut wanted = wanted(&[
            json!({ "metadata": { "namespace": "a" }, "spec": spec(&["two", "one"]) }),
            json!({ "metadata": { "namespace": "empty" }, "spec": spec(&[]) }),
            json!({ "metadata": { "namespace": "gate-system" }, "spec": spec(&["own"]) }),
            json!({ "metadata": { "namespace": "z" }, "spec": spec(&["three"]) }),
        ]);
        wanted.only(&["a", "empty", "gate-system"].map(str::to_owned));
        let objects = wanted.by_name(&grantee());
        let shown: Vec<_> = objects
            .iter()
            .map(|object| format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["namespace"]))
            .collect();
        assert_eq!(shown, ["Role \"a\"", "RoleBinding \"a\"", "Role \"empty\"", "RoleBinding \"empty\""]);
        let rules = objects[0]["rules"].as_array().unwrap();
        assert_eq!(rules[0]["resourceNames"], json!(["one", "two"]));
        assert_eq!(objects[2]["rules"].as_array().unwrap().len(), 1, "no rule for Secrets without names");
        assert_eq!(objects[2]["rules"][0]["resources"], json!(["serviceaccounts"]));
        for rule in objects.iter().filter_map(|object| object["rules"].as_array()).flatten() {
            assert_eq!(rule["verbs"], json!(["get"]));
        }
        assert_eq!(objects[1]["subjects"][0]["name"], "gate-account");
        assert_eq!(objects[1]["subjects"][0]["namespace"], "gate-system");
        assert_eq!(objects[1]["roleRef"]["kind"], "Role");
        assert_eq!(objects[1]["roleRef"]["name"], objects[0]["metadata"]["name"]);
    }

    #[test]
    fn a_namespace_is_bound_to_the_role_of_the_chart() {
        let wanted = wanted(&[json!({ "metadata": { "namespace": "a" }, "spec": spec(&[]) })]);
        let objects = wanted.by_namespace(&grantee());
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0]["roleRef"]["kind"], "ClusterRole");
        assert_eq!(objects[0]["roleRef"]["name"], "gate");
    }
}
