//! The API server's own schema, walked: pullgate looks at every field of a workload that names an image.

use std::collections::{BTreeMap, BTreeSet};

use pullgate::workload::{ObjectRef, extract, spec::Object};
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::objects::TEMPLATES;
use crate::report::{Report, ensure};
use crate::world::World;

/// Deeper than any workload nests, references of the schema included.
const DEPTH: usize = 64;
/// Ends of fields that speak of images and name none that is pulled. The last is a block device of Ceph.
const BESIDE: [&str; 4] = [".imagePullPolicy", ".imagePullSecrets[].name", ".image.pullPolicy", ".volumes[].rbd.image"];
/// What is left, in every pod spec.
const IMAGES: [&str; 4] =
    ["containers[].image", "initContainers[].image", "ephemeralContainers[].image", "volumes[].image.reference"];

/// The schemas of one group and version.
struct Document(Map<String, Value>);

pub(super) fn cases(world: &mut World, report: &mut Report) {
    let world = &*world;
    report.case("schema: no field of a workload names an image that pullgate does not look at", |_| {
        let mut documents = BTreeMap::new();
        let (mut images, mut fields) = (0, 0);
        for (api_version, kind) in [("v1", "Pod")].into_iter().chain(TEMPLATES) {
            if !documents.contains_key(api_version) {
                documents.insert(api_version, Document::of(world, api_version)?);
            }
            let document = documents.get(api_version).ok_or("no schema")?;
            let of_kind = document.strings_of(api_version, kind)?;
            fields += of_kind.len();
            let speaks_of_images = |path: &&String| path.to_ascii_lowercase().contains("image");
            let named: BTreeSet<String> = of_kind.iter().filter(speaks_of_images).cloned().collect();
            images += same(api_version, kind, named)?;
        }
        Ok(format!("{images} fields with images among {fields} strings of {} kinds", TEMPLATES.len() + 1))
    });
}

/// Holds the fields of one kind against what pullgate reads from an object that has all of them; says how many.
fn same(api_version: &str, kind: &str, mut named: BTreeSet<String>) -> Result<usize, Failure> {
    named.retain(|path| !BESIDE.iter().any(|end| path.ends_with(end)));
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "all" } });
    for path in &named {
        set(&mut object, path);
    }
    let object = object.to_string();
    let read: Object<'_> = serde_json::from_str(&object)?;
    let meta = ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), ..ObjectRef::default() };
    let workload = extract::from_object(&read, meta, true).ok_or_else(|| format!("pullgate does not know {kind}"))?;
    let looked_at: BTreeSet<String> = workload.images.iter().map(|image| image.path.replace("[0]", "[]")).collect();
    ensure(named == looked_at, || format!("{kind} has images at {named:?}, pullgate looks at {looked_at:?}"))?;
    let place = match kind {
        "Pod" => "spec",
        "CronJob" => "spec.jobTemplate.spec.template.spec",
        _ => "spec.template.spec",
    };
    let expected: BTreeSet<String> = IMAGES.iter().map(|path| format!("{place}.{path}")).collect();
    ensure(named == expected, || format!("{kind} has images at {named:?}, expected are {expected:?}"))?;
    Ok(named.len())
}

/// Gives `object` an image at a path like `spec.containers[].image`.
fn set(object: &mut Value, path: &str) {
    let mut at = object;
    for step in path.split('.') {
        at = match step.strip_suffix("[]") {
            Some(list) => {
                if at[list].is_null() {
                    at[list] = json!([{ "name": "one" }]);
                }
                &mut at[list][0]
            }
            None => &mut at[step],
        };
    }
    *at = json!("registry.example/app:1");
}

// === impl Document ===

impl Document {
    /// Asks the API server.
    fn of(world: &World, api_version: &str) -> Result<Self, Failure> {
        let path = if api_version.contains('/') { "apis" } else { "api" };
        let text = world.kubectl.get(&format!("get --raw /openapi/v3/{path}/{api_version}"))?;
        let mut document: Value = serde_json::from_str(&text)?;
        match document["components"]["schemas"].take() {
            Value::Object(schemas) => Ok(Self(schemas)),
            _ => Err(format!("/openapi/v3/{path}/{api_version} has no schemas").into()),
        }
    }

    /// The path of every string in an object of this kind, its status left out.
    fn strings_of(&self, api_version: &str, kind: &str) -> Result<BTreeSet<String>, Failure> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let this = json!({ "group": group, "version": version, "kind": kind });
        let is = |schema: &&Value| {
            schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|kinds| kinds.contains(&this))
        };
        let schema = self.0.values().find(is).ok_or_else(|| format!("the schema has no {api_version} {kind}"))?;
        let mut found = BTreeSet::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if name != "status" {
                self.walk(property, name, DEPTH, &mut found)?;
            }
        }
        ensure(found.len() > 200, || format!("{kind} has only {} strings", found.len()))?;
        Ok(found)
    }

    fn walk(&self, schema: &Value, path: &str, depth: usize, found: &mut BTreeSet<String>) -> Result<(), Failure> {
        let deeper = depth.checked_sub(1).ok_or_else(|| format!("{path} has no end"))?;
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            let schema = self.0.get(name).ok_or_else(|| format!("{path} refers to {reference}, which is not there"))?;
            return self.walk(schema, path, deeper, found);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.walk(part, path, deeper, found)?;
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.walk(property, &format!("{path}.{name}"), deeper, found)?;
        }
        for (within, suffix) in [("items", "[]"), ("additionalProperties", ".*")] {
            if schema[within].is_object() {
                self.walk(&schema[within], &format!("{path}{suffix}"), deeper, found)?;
            }
        }
        if schema["type"] == "string" {
            found.insert(path.to_owned());
        }
        Ok(())
    }
}
