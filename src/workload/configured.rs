//! A kind that pullgate does not know, and the configured paths to its pod templates → the same [`Workload`]s as
//! Deployments', one for each template.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::spec::Object;
use super::template_path::{Found, TemplatePath};
use super::{ObjectRef, Workload, extract};

/// Where a kind keeps a pod template, or several by one path. A kind may have any number of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateKind {
    /// API group; the version does not matter.
    pub group: String,
    /// `Rollout`.
    pub kind: String,
    /// From the root of the object to the template (the object with `spec.containers` in it).
    pub path: TemplatePath,
}

/// What the entries for its kind find in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates<'k> {
    /// The templates with something to judge; on UPDATE those in which something that decides a pull has changed.
    pub workloads: Vec<Workload>,
    /// The entries whose path leads to no pod template.
    pub unmatched: Vec<&'k TemplateKind>,
}

/// The entries for an object of this `apiVersion` and `kind`.
pub fn entries<'k>(kinds: &'k [TemplateKind], meta: &ObjectRef) -> Vec<&'k TemplateKind> {
    kinds.iter().filter(|known| known.is(&meta.api_version, &meta.kind)).collect()
}

/// The workloads of an object of a configured kind, or on UPDATE what it makes of `old`.
///
/// # Errors
/// When what stands at a path is not what a pod template is.
pub fn templates<'k>(
    entries: &[&'k TemplateKind],
    object: &Value,
    old: Option<&Value>,
    meta: &ObjectRef,
) -> Result<Templates<'k>, serde_json::Error> {
    let mut templates = Templates::default();
    let mut seen = BTreeSet::new();
    for entry in entries {
        let found = entry.path.find(object);
        let before = old.map(|old| entry.before(old));
        let mut any = false;
        for template in found {
            let dressed = dressed(object, template.value);
            let new: Object<'_> = serde_json::from_str(&dressed)?;
            any |= extract::names_images(&new);
            if seen.insert(template.pointer.clone()) {
                templates.workloads.extend(workload(&new, &template, before.as_deref(), meta)?);
            }
        }
        if !any {
            templates.unmatched.push(entry);
        }
    }
    Ok(templates)
}

/// One template, unless `before` has one that pulls the same: an entry of a list may have moved.
fn workload(
    new: &Object<'_>,
    template: &Found<'_>,
    before: Option<&[(String, String)]>,
    meta: &ObjectRef,
) -> Result<Option<Workload>, serde_json::Error> {
    let as_deployment =
        || ObjectRef { api_version: "apps/v1".to_owned(), kind: "Deployment".to_owned(), ..meta.clone() };
    let found = match before {
        None => extract::from_object(new, as_deployment(), false),
        Some(before) => {
            let mut same_place = None;
            for (pointer, old) in before {
                let changed = extract::from_update(new, &serde_json::from_str(old)?, as_deployment());
                if changed.is_none() {
                    return Ok(None);
                }
                same_place = same_place.or(changed.filter(|_| *pointer == template.pointer));
            }
            same_place.or_else(|| extract::from_update(new, &Object::default(), as_deployment()))
        }
    };
    Ok(found.filter(|workload| !workload.images.is_empty()).map(|mut workload| {
        workload.object = meta.clone();
        for image in &mut workload.images {
            let image = Arc::make_mut(image);
            image.path = image.path.replacen("spec.template", &template.path, 1);
            image.pointer = image.pointer.replacen("/spec/template", &template.pointer, 1);
        }
        workload
    }))
}

/// An object with its template where a Deployment has its own, as JSON, and with what says that nothing of it runs:
/// `spec.suspend` as of a Job, `spec.runPolicy.suspend` of Kubeflow's kinds.
fn dressed(object: &Value, template: &Value) -> String {
    let spec = &object["spec"];
    let stopped = spec["suspend"] == true || spec["runPolicy"]["suspend"] == true;
    json!({
        "metadata": object["metadata"],
        "spec": { "suspend": stopped, "replicas": spec["replicas"], "template": template },
    })
    .to_string()
}

// === impl TemplateKind ===

impl TemplateKind {
    /// Whether an object of this `apiVersion` and `kind` is meant.
    pub fn is(&self, api_version: &str, kind: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.kind == kind && self.group == group
    }

    /// The templates that an object had before its UPDATE, with their pointers.
    fn before(&self, old: &Value) -> Vec<(String, String)> {
        self.path.find(old).into_iter().map(|found| (found.pointer, dressed(old, found.value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> TemplateKind {
        let path = TemplatePath::parse(path).unwrap();
        TemplateKind { group: "jobset.x-k8s.io".to_owned(), kind: "JobSet".to_owned(), path }
    }

    fn meta() -> ObjectRef {
        ObjectRef { api_version: "jobset.x-k8s.io/v1".to_owned(), kind: "JobSet".to_owned(), ..ObjectRef::default() }
    }

    fn template(image: &str) -> Value {
        json!({ "spec": { "containers": [{ "name": "a", "image": image }], "serviceAccountName": "builder" } })
    }

    fn paths(kinds: &[TemplateKind], object: &Value, old: Option<&Value>) -> (Vec<String>, usize) {
        let found = templates(&entries(kinds, &meta()), object, old, &meta()).unwrap();
        let images = found.workloads.iter().flat_map(|workload| &workload.images);
        (images.map(|image| format!("{} {}", image.path, image.image)).collect(), found.unmatched.len())
    }

    #[test]
    fn a_configured_kind_is_judged_as_a_template_at_its_own_path() {
        assert!(kind("spec.template").is("jobset.x-k8s.io/v1", "JobSet"));
        assert!(
            !kind("spec.template").is("apps/v1", "JobSet") && !kind("spec.template").is("jobset.x-k8s.io/v1", "Job")
        );
        let object = json!({ "spec": { "workload": { "template": template("nginx:1") } } });
        let kinds = [kind("spec.workload.template")];
        let found = templates(&entries(&kinds, &meta()), &object, None, &meta()).unwrap();
        let [workload] = found.workloads.as_slice() else { panic!("{found:?}") };
        assert_eq!(workload.images[0].path, "spec.workload.template.spec.containers[0].image");
        assert_eq!(workload.images[0].pointer, "/spec/workload/template/spec/containers/0/image");
        assert_eq!((&workload.object, &*workload.account), (&meta(), "builder"));
        let wrong = json!({ "spec": { "workload": { "template": 7 } } });
        assert!(templates(&entries(&kinds, &meta()), &wrong, None, &meta()).is_err());
    }

    #[test]
    fn every_entry_for_a_kind_counts_and_every_template_once() {
        let object = json!({ "spec": {
            "leader": template("leader:1"),
            "jobs": [{ "template": template("a:1") }, { "template": template("auto") }, { "template": template("b:1") }],
        }});
        let kinds = [kind("spec.leader"), kind("spec.jobs[*].template"), kind("spec.jobs[0].template")];
        let expected = [
            "spec.leader.spec.containers[0].image leader:1",
            "spec.jobs[0].template.spec.containers[0].image a:1",
            "spec.jobs[2].template.spec.containers[0].image b:1",
        ];
        assert_eq!(paths(&kinds, &object, None), (expected.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn a_path_that_leads_to_no_template_is_told() {
        let object = json!({ "spec": { "template": template("a:1"), "empty": {}, "pod": template("a:1")["spec"] } });
        for (path, unmatched) in [
            ("spec.template", 0),
            ("spec.templte", 1),
            ("spec.empty", 1),
            ("spec.pod", 1),
            ("spec.jobs[*].template", 1),
        ] {
            assert_eq!(paths(&[kind(path)], &object, None).1, unmatched, "{path}");
        }
        // A placeholder is there to be filled in.
        let waiting = json!({ "spec": { "template": template(" ") } });
        assert_eq!(paths(&[kind("spec.template")], &waiting, None), (Vec::new(), 0));
    }

    #[test]
    fn an_update_is_judged_where_it_changes_a_pull() {
        let job = |image: &str, pool: &str| {
            let mut job = template(image);
            job["spec"]["nodeSelector"] = json!({ "pool": pool });
            json!({ "template": job })
        };
        let jobs = |suspend: bool, jobs: &[Value]| json!({ "spec": { "suspend": suspend, "jobs": jobs } });
        let kinds = [kind("spec.jobs[*].template")];
        let old = jobs(false, &[job("a:1", "x"), job("b:1", "x")]);
        for (new, expected) in [
            (old.clone(), &[][..]),
            // An entry in front of the others moves them.
            (
                jobs(false, &[job("c:1", "x"), job("a:1", "x"), job("b:1", "x")]),
                &["[0].template.spec.containers[0].image c:1"],
            ),
            (jobs(false, &[job("a:1", "x"), job("b:2", "x")]), &["[1].template.spec.containers[0].image b:2"]),
            (jobs(false, &[job("a:1", "y"), job("b:1", "x")]), &["[0].template.spec.containers[0].image a:1"]),
            // What stops pulls nothing.
            (jobs(true, &[job("a:1", "y"), job("b:1", "y")]), &[]),
            (jobs(true, &[job("a:2", "y"), job("b:1", "y")]), &["[0].template.spec.containers[0].image a:2"]),
        ] {
            let expected: Vec<_> = expected.iter().map(|path| format!("spec.jobs{path}")).collect();
            assert_eq!(paths(&kinds, &new, Some(&old)).0, expected, "{new}");
        }
    }
}
