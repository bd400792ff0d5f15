//! Files → what is judged, what of them belongs to the cluster, what is wrong, and what was passed over and why.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::Subject;
use crate::cli::input::{InputError, Inputs, Render};
use crate::cli::warn;
use crate::cluster::Applied;
use crate::manifests::{ManifestError, Object, Problem, Source, served_version};
use crate::printable;
use crate::workload::configured::{self, TemplateKind, Templates};
use crate::workload::{ObjectRef, Shape, Workload, extract, spec};

/// Kinds that are named of those without images, and paths of those without files.
const KINDS_SHOWN: usize = 4;

/// Everything that files hold.
#[derive(Default)]
pub(super) struct Subjects {
    pub(super) judged: Vec<Subject>,
    pub(super) applied: Applied,
    pub(super) errors: Vec<InputError>,
    pub(super) tally: Tally,
}

/// What was looked at and not judged.
#[derive(Debug, Default)]
pub(super) struct Tally {
    files: usize,
    skipped: usize,
    /// How many of each kind have no images.
    without_images: BTreeMap<String, usize>,
    /// How many of each kind have containers and are of no kind that is known.
    unknown: BTreeMap<String, usize>,
}

// === impl Subjects ===

impl Subjects {
    /// Takes files apart; `namespace` is for objects that name none.
    pub(super) fn of(inputs: Inputs, namespace: &str, kinds: &[TemplateKind]) -> Self {
        let Inputs { files, errors, skipped } = inputs;
        let mut subjects = Self { errors, ..Self::default() };
        subjects.tally.skipped = skipped.len();
        for file in &files {
            subjects.file(file, namespace, kinds);
        }
        subjects
    }

    fn file(&mut self, file: &Source, namespace: &str, kinds: &[TemplateKind]) {
        self.tally.files += 1;
        let mut render = None;
        let mut errors = Vec::new();
        for object in file.objects() {
            let taken = object.and_then(|object| {
                if object.kind() == "Kustomization" && object.api_version().starts_with("kustomize.config.k8s.io/") {
                    render = Some(Render::Kustomization);
                    return Ok(());
                }
                self.object(&object, namespace, kinds)
            });
            errors.extend(taken.err());
        }
        if !errors.is_empty() {
            let template = file.text().contains("{{").then_some(Render::HelmTemplate);
            render = render.or_else(|| Render::by_name(file.name())).or(template);
        }
        match render {
            Some(render) => self.errors.push(InputError::Rendered(render, file.name().to_string())),
            None => self.errors.extend(errors.into_iter().map(InputError::Manifest)),
        }
    }

    fn object(&mut self, object: &Object, namespace: &str, kinds: &[TemplateKind]) -> Result<(), ManifestError> {
        self.applied.take(object, namespace);
        let workloads = workloads(object, namespace, kinds)?;
        let before = self.judged.len();
        // A template whose images are all left to the platform is a workload all the same; a Pod without images is none.
        let judged =
            workloads.into_iter().filter(|workload| workload.shape != Shape::Pod || !workload.images.is_empty());
        self.judged.extend(judged.map(|workload| Subject { workload, origin: Some(object.clone()) }));
        if self.judged.len() == before {
            self.tally.passed_over(object, kinds);
        }
        Ok(())
    }
}

/// The workloads of a manifest: none for kinds without images, several for a configured kind with several templates. What
/// a configured path does not find is said on standard error.
pub(super) fn workloads(
    object: &Object,
    namespace: &str,
    kinds: &[TemplateKind],
) -> Result<Vec<Workload>, ManifestError> {
    let name = match (object.name(), object.generate_name()) {
        ("", "") => String::new(),
        ("", prefix) => format!("{prefix}*"),
        (name, _) => name.to_owned(),
    };
    let meta = ObjectRef {
        api_version: object.api_version().to_owned(),
        kind: object.kind().to_owned(),
        namespace: object.namespace().unwrap_or(namespace).to_owned(),
        name,
    };
    let entries = configured::entries(kinds, &meta);
    if !entries.is_empty() {
        let found = configured::templates(&entries, &object.value(), None, &meta);
        let Templates { workloads, unmatched } = found.map_err(|error| object.error("", error.to_string()))?;
        for entry in unmatched {
            let problem = format!("kinds: the path {} leads to no pod template in it", entry.path);
            warn(&object.error("", problem).to_string());
        }
        return Ok(workloads);
    }
    if let Some(served) = served_version(&meta.api_version, &meta.kind) {
        let api_version = meta.api_version;
        return Err(object.error("apiVersion", Problem::NotServed { api_version, served }));
    }
    if Shape::of(&meta.api_version, &meta.kind).is_none() {
        return Ok(Vec::new());
    }
    let decoded: spec::Object<'_> = object.decode()?;
    Ok(extract::from_object(&decoded, meta, false).into_iter().collect())
}

// === impl Tally ===

impl Tally {
    fn passed_over(&mut self, object: &Object, kinds: &[TemplateKind]) {
        let (kind, api_version) = (object.kind(), object.api_version());
        let known = Shape::of(api_version, kind).is_some() || kinds.iter().any(|known| known.is(api_version, kind));
        if !known && has_containers(&object.value()) {
            let of = if api_version.is_empty() { "without apiVersion" } else { api_version };
            *self.unknown.entry(format!("{kind} ({of})")).or_default() += 1;
        } else {
            *self.without_images.entry(kind.to_owned()).or_default() += 1;
        }
    }

    /// What has containers and was not judged; none where there is nothing of the kind.
    pub(super) fn unknown(&self) -> Option<String> {
        let kinds: Vec<&str> = self.unknown.keys().map(String::as_str).collect();
        let (is, it) = match kinds.len() {
            0 => return None,
            1 => ("is not a kind", "it"),
            _ => ("are not kinds", "them"),
        };
        let advice = format!("add {it} under kinds: in the configuration, or correct kind and apiVersion");
        Some(printable::line(&format!("{} {is} that pullgate knows: {advice}", kinds.join(", "))).into_owned())
    }

    /// Says what was looked at where nothing was judged; `named` is what the command line named.
    pub(super) fn nothing_judged(&self, named: &[PathBuf]) -> String {
        let mut parts = Vec::new();
        let without: usize = self.without_images.values().sum();
        if without > 0 {
            let mut kinds: Vec<&str> = self.without_images.keys().map(String::as_str).take(KINDS_SHOWN).collect();
            if self.without_images.len() > KINDS_SHOWN {
                kinds.push("…");
            }
            let have = if without == 1 { "object has" } else { "objects have" };
            parts.push(printable::line(&format!("{without} {have} no images ({})", kinds.join(", "))).into_owned());
        }
        parts.extend(self.unknown());
        if parts.is_empty() && self.files > 0 {
            parts.push("they hold no objects".to_owned());
        }
        if self.skipped > 0 {
            let s = if self.skipped == 1 { "y was" } else { "ies were" };
            parts.push(format!("{} sub-director{s} not read (-R reads them)", self.skipped));
        }
        let files = if self.files == 1 { "file" } else { "files" };
        let mut head = format!("nothing was judged: 0 workloads in {} {files}", self.files);
        if self.files == 0 && !named.is_empty() {
            let named: Vec<String> = named.iter().take(KINDS_SHOWN).map(|path| path.display().to_string()).collect();
            head.push_str(&printable::line(&format!(" of {}", named.join(", "))));
        }
        let all = std::iter::once(head).chain(parts).collect::<Vec<_>>().join("; ");
        format!("{all} (--allow-empty makes that no error)")
    }
}

/// Whether a list of containers with images stands anywhere in an object.
fn has_containers(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let listed = || value.as_array().into_iter().flatten().any(|entry| entry.get("image").is_some());
            (matches!(name.as_str(), "containers" | "initContainers") && listed()) || has_containers(value)
        }),
        Value::Array(entries) => entries.iter().any(has_containers),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(files: &[(&str, &str)], skipped: usize) -> Subjects {
        let files = files.iter().map(|(name, text)| Source::new(name, text.as_bytes())).collect();
        let inputs = Inputs { files, errors: Vec::new(), skipped: vec!["x".into(); skipped] };
        Subjects::of(inputs, "default", &[])
    }

    #[test]
    fn what_was_looked_at_is_said_where_nothing_was_judged() {
        let containers = "spec: {template: {spec: {containers: [{name: c, image: a}]}}}";
        let rollout =
            format!("{{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {{name: r}}, {containers}}}");
        let wrong = format!("{{apiVersion: apps/v1, kind: deployment, metadata: {{name: d}}, {containers}}}");
        let bare = format!("{{kind: pod, metadata: {{name: p}}, {containers}}}");
        let service = "{apiVersion: v1, kind: Service, metadata: {name: s}}";
        for (files, skipped, expected) in [
            (vec![], 0, "0 workloads in 0 files (--allow-empty"),
            (vec![("-", "")], 0, "0 workloads in 1 file; they hold no objects (--allow-empty"),
            (vec![], 2, "0 workloads in 0 files; 2 sub-directories were not read (-R reads them) (--allow-empty"),
            (vec![("a", service), ("b", service)], 0, "0 workloads in 2 files; 2 objects have no images (Service) ("),
            (
                vec![("a", &rollout)],
                0,
                "; Rollout (argoproj.io/v1alpha1) is not a kind that pullgate knows: add it under kinds:",
            ),
            (vec![("a", &wrong)], 0, "; deployment (apps/v1) is not a kind that pullgate knows"),
            (vec![("a", &bare)], 0, "; pod (without apiVersion) is not a kind that pullgate knows"),
            (
                vec![("a", &bare), ("b", &wrong)],
                0,
                "; deployment (apps/v1), pod (without apiVersion) are not kinds that",
            ),
        ] {
            let subjects = subjects(&files, skipped);
            assert!(subjects.judged.is_empty() && subjects.errors.is_empty(), "{files:?}");
            let said = subjects.tally.nothing_judged(&[]);
            assert!(said.contains(expected), "{files:?}: {said}");
        }
        let of_a_directory = subjects(&[], 0).tally.nothing_judged(&["manifests".into()]);
        assert!(of_a_directory.contains("0 workloads in 0 files of manifests ("), "{of_a_directory}");
    }

    #[test]
    fn what_has_to_be_rendered_is_said_once_a_file_and_hides_nothing() {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: a}]}}\n";
        let helm = format!("{pod}---\nmetadata: {{name: {{{{ .Release.Name }}}}}}\n---\n{{{{ if .Values.a }}}}\n");
        let kustomization = "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [a.yaml]}";
        let flux = "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: k}}";
        for (name, text, expected) in [
            ("a.yaml", helm.as_str(), Some(Render::HelmTemplate)),
            ("x/kustomization.yaml", "resources: [a.yaml]\n", Some(Render::Kustomization)),
            ("x/any.yaml", kustomization, Some(Render::Kustomization)),
            ("x/any.yaml", flux, None),
            ("x/values.yaml", "image: {tag: a}\n", Some(Render::HelmChart)),
            ("x/values.yaml", pod, None),
            ("x/pod.yaml", &pod.replace("image: a", "image: '{{ a }}'"), None),
        ] {
            let subjects = subjects(&[(name, text)], 0);
            let renders: Vec<Render> = subjects
                .errors
                .iter()
                .map(|error| match error {
                    InputError::Rendered(render, _) => *render,
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(renders, expected.into_iter().collect::<Vec<_>>(), "{name}: {text}");
        }
    }
}
