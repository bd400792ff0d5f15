//! A kind that pullgate does not know, and the configured path to its pod template → the same [`Workload`] as a
//! Deployment's.

use std::sync::Arc;

use serde_json::{Value, json};

use super::spec::Object;
use super::{ObjectRef, Workload, extract};

/// Where a kind keeps its pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateKind {
    /// API group; the version does not matter.
    pub group: String,
    /// `Rollout`.
    pub kind: String,
    /// Field names from the root of the object to the template (the object with `spec.containers` in it).
    pub path: Vec<String>,
}

// === impl TemplateKind ===

impl TemplateKind {
    /// Whether an object of this `apiVersion` and `kind` is meant.
    pub fn is(&self, api_version: &str, kind: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.kind == kind && self.group == group
    }

    /// The workload of an object, or on UPDATE what it makes of `old`; `None` where there is no template, or nothing in
    /// it that decides a pull has changed.
    ///
    /// # Errors
    /// When the template is not what a pod template is.
    pub fn workload(
        &self,
        object: &Value,
        old: Option<&Value>,
        meta: ObjectRef,
    ) -> Result<Option<Workload>, serde_json::Error> {
        let Some(new) = self.dressed(object) else { return Ok(None) };
        let new: Object<'_> = serde_json::from_str(&new)?;
        let as_deployment =
            ObjectRef { api_version: "apps/v1".to_owned(), kind: "Deployment".to_owned(), ..meta.clone() };
        let workload = match old.map(|old| self.dressed(old).unwrap_or_else(|| "{}".to_owned())) {
            Some(old) => extract::from_update(&new, &serde_json::from_str(&old)?, as_deployment),
            None => extract::from_object(&new, as_deployment, false),
        };
        Ok(workload.map(|mut workload| {
            workload.object = meta;
            for image in &mut workload.images {
                let image = Arc::make_mut(image);
                image.path = image.path.replacen("spec.template", &self.path.join("."), 1);
                image.pointer = image.pointer.replacen("/spec/template", &format!("/{}", self.path.join("/")), 1);
            }
            workload
        }))
    }

    /// The object's template where a Deployment has its own, as JSON.
    fn dressed(&self, object: &Value) -> Option<String> {
        let template = self.path.iter().try_fold(object, |value, name| value.get(name))?;
        Some(json!({ "metadata": object["metadata"], "spec": { "template": template } }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout() -> TemplateKind {
        let path = vec!["spec".to_owned(), "workload".to_owned(), "template".to_owned()];
        TemplateKind { group: "argoproj.io".to_owned(), kind: "Rollout".to_owned(), path }
    }

    fn object(image: &str, replicas: u32) -> Value {
        let spec = json!({ "containers": [{ "name": "a", "image": image }], "serviceAccountName": "builder" });
        json!({ "spec": { "replicas": replicas, "workload": { "template": { "spec": spec } } } })
    }

    #[test]
    fn a_configured_kind_is_judged_as_a_template_at_its_own_path() {
        assert!(rollout().is("argoproj.io/v1alpha1", "Rollout") && !rollout().is("apps/v1", "Rollout"));
        let meta = ObjectRef { kind: "Rollout".to_owned(), ..ObjectRef::default() };
        let workload = rollout().workload(&object("nginx:1", 1), None, meta.clone()).unwrap().unwrap();
        assert_eq!(workload.images[0].path, "spec.workload.template.spec.containers[0].image");
        assert_eq!(workload.images[0].pointer, "/spec/workload/template/spec/containers/0/image");
        assert_eq!(workload.object, meta);
        let scaled = rollout().workload(&object("nginx:1", 5), Some(&object("nginx:1", 1)), meta.clone()).unwrap();
        assert_eq!(scaled, None);
        let changed = rollout().workload(&object("nginx:2", 1), Some(&object("nginx:1", 1)), meta.clone()).unwrap();
        assert_eq!(changed.unwrap().images[0].image, "nginx:2");
        assert_eq!(rollout().workload(&json!({ "spec": {} }), None, meta.clone()).unwrap(), None);
        assert!(rollout().workload(&json!({ "spec": { "workload": { "template": 7 } } }), None, meta).is_err());
    }
}
