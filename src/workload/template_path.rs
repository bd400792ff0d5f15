//! `spec.replicatedJobs[*].template` → the pod templates that an object has there, each with its own path.
//!
//! A step is the name of a field, `[0]` for one entry of a list, `[*]` for every entry, or `*` for every value of a map.

use std::fmt;

use serde_json::Value;

/// Fields that hold no pod template, whatever the kind.
const NEVER_FIRST: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Fields inside of a pod template: a path that ends with one goes too far.
const TOO_FAR: [&str; 4] = ["containers", "ephemeralContainers", "image", "initContainers"];

/// Field names and places in lists, from the root of an object to its pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplatePath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    Every,
}

/// A path that leads nowhere in any object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplatePathError {
    /// Nothing is written, or nothing between two dots.
    #[error("write the path as field names with dots between them, such as spec.template")]
    Empty,
    /// Other tools begin a path so.
    #[error("write the path without {0:?} in front, such as spec.template")]
    Root(String),
    /// No name of a field.
    #[error("{0:?} is not the name of a field: write spec.template, spec.jobs[*].template, or spec.roles.*.template")]
    Name(String),
    /// A list is gone through in another way.
    #[error("{0:?} is not the name of a field: an entry of a list is written like jobs[{0}], every entry like jobs[*]")]
    Number(String),
    /// No number and no `*` in brackets, or brackets that are not closed.
    #[error("{0:?} is not an entry of a list: write [0] for the first one, or [*] for every one")]
    Entry(String),
    /// The root of an object is no list and no map of templates.
    #[error("the path begins with {0:?}: begin it with a field that can hold a pod template, such as spec")]
    First(String),
    /// It names a field inside of the template.
    #[error(
        "{0:?} is inside of a pod template: let the path end at the template, the object with spec.containers in it"
    )]
    TooFar(String),
}

/// A pod template in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'v> {
    /// Its path for people: `spec.replicatedJobs[0].template`.
    pub path: String,
    /// Its path as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is there.
    pub value: &'v Value,
}

// === impl TemplatePath ===

impl TemplatePath {
    /// Reads a path.
    ///
    /// # Errors
    /// Why it can lead to no pod template.
    pub fn parse(text: &str) -> Result<Self, TemplatePathError> {
        if let Some(root) = ["{", "$.", "$", ".", "/"].into_iter().find(|root| text.starts_with(root)) {
            return Err(TemplatePathError::Root(root.to_owned()));
        }
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (name, mut entries) = part.split_at(part.find('[').unwrap_or(part.len()));
            steps.push(field(name)?);
            while !entries.is_empty() {
                let entry = || TemplatePathError::Entry(entries.to_owned());
                let (inside, rest) = entries.strip_prefix('[').and_then(|it| it.split_once(']')).ok_or_else(entry)?;
                steps.push(match inside {
                    "*" => Step::Every,
                    _ if inside.starts_with('+') => return Err(entry()),
                    number => Step::Index(number.parse().map_err(|_| entry())?),
                });
                entries = rest;
            }
        }
        match steps.first() {
            Some(Step::Field(name)) if !NEVER_FIRST.contains(&name.as_str()) => {}
            _ => return Err(TemplatePathError::First(text.split(['.', '[']).next().unwrap_or(text).to_owned())),
        }
        let last = steps.iter().rev().find_map(|step| if let Step::Field(name) = step { Some(name) } else { None });
        match last {
            Some(name) if TOO_FAR.contains(&name.as_str()) => Err(TemplatePathError::TooFar(name.clone())),
            _ => Ok(Self(steps)),
        }
    }

    /// What `object` has there, in order; nothing where a field is absent or `null`.
    pub fn find<'v>(&self, object: &'v Value) -> Vec<Found<'v>> {
        let mut found = vec![Found { path: String::new(), pointer: String::new(), value: object }];
        for step in &self.0 {
            found = found.iter().flat_map(|from| from.follow(step)).collect();
        }
        found.retain(|it| !it.value.is_null());
        found
    }
}

fn field(name: &str) -> Result<Step, TemplatePathError> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match name {
        "" => Err(TemplatePathError::Empty),
        "*" => Ok(Step::Every),
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => Err(TemplatePathError::Number(name.to_owned())),
        _ if name.bytes().all(inside) => Ok(Step::Field(name.to_owned())),
        _ => Err(TemplatePathError::Name(name.to_owned())),
    }
}

impl fmt::Display for TemplatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Every => f.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

// === impl Found ===

impl<'v> Found<'v> {
    fn follow(&self, step: &Step) -> Vec<Self> {
        match (step, self.value) {
            (Step::Field(name), Value::Object(fields)) => {
                fields.get(name).map(|value| self.field(name, value)).into_iter().collect()
            }
            (Step::Every, Value::Object(fields)) => {
                fields.iter().map(|(name, value)| self.field(name, value)).collect()
            }
            (Step::Index(index), Value::Array(list)) => {
                list.get(*index).map(|value| self.entry(*index, value)).into_iter().collect()
            }
            (Step::Every, Value::Array(list)) => {
                list.iter().enumerate().map(|(at, value)| self.entry(at, value)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn field(&self, name: &str, value: &'v Value) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let escaped = name.replace('~', "~0").replace('/', "~1");
        Self { path: format!("{}{dot}{name}", self.path), pointer: format!("{}/{escaped}", self.pointer), value }
    }

    fn entry(&self, index: usize, value: &'v Value) -> Self {
        Self { path: format!("{}[{index}]", self.path), pointer: format!("{}/{index}", self.pointer), value }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_goes_through_fields_lists_and_maps() {
        let object = json!({ "template": 0, "spec": {
            "template": 1,
            "jobs": [{ "template": 2 }, { "other": 3 }, { "template": 4 }],
            "roles": { "Master": { "template": 5 }, "a/b": { "template": 6 } },
            "nested": [[7, 8], [9]],
            "nothing": null,
        }});
        for (path, expected) in [
            ("template", &[("template", "/template")][..]),
            ("spec.template", &[("spec.template", "/spec/template")]),
            ("spec.jobs[0].template", &[("spec.jobs[0].template", "/spec/jobs/0/template")]),
            (
                "spec.jobs[*].template",
                &[
                    ("spec.jobs[0].template", "/spec/jobs/0/template"),
                    ("spec.jobs[2].template", "/spec/jobs/2/template"),
                ],
            ),
            (
                "spec.roles.*.template",
                &[
                    ("spec.roles.Master.template", "/spec/roles/Master/template"),
                    ("spec.roles.a/b.template", "/spec/roles/a~1b/template"),
                ],
            ),
            ("spec.nested[0][1]", &[("spec.nested[0][1]", "/spec/nested/0/1")]),
            ("spec.jobs.template", &[]),
            ("spec.jobs[7].template", &[]),
            ("spec.roles[0].template", &[]),
            ("spec.nothing", &[]),
            ("spec.templte", &[]),
        ] {
            let parsed = TemplatePath::parse(path).unwrap();
            let found = parsed.find(&object);
            let shown: Vec<_> = found.iter().map(|found| (found.path.as_str(), found.pointer.as_str())).collect();
            assert_eq!(shown, expected, "{path}");
            assert!(found.iter().all(|found| object.pointer(&found.pointer) == Some(found.value)), "{path}");
        }
    }

    #[test]
    fn a_path_that_can_never_match_is_refused_with_what_to_write() {
        for (path, expected) in [
            ("", "write the path as field names with dots between them"),
            ("spec..template", "write the path as field names with dots between them"),
            ("spec.template.", "write the path as field names with dots between them"),
            (".spec.template", "without \".\" in front"),
            ("$.spec.template", "without \"$.\" in front"),
            ("{.spec.template}", "without \"{\" in front"),
            ("/spec/template", "without \"/\" in front"),
            ("spec/template", "\"spec/template\" is not the name of a field"),
            ("spec template", "is not the name of a field"),
            ("spec.jobs.0.template", "an entry of a list is written like jobs[0]"),
            ("spec.jobs[].template", "write [0] for the first one, or [*] for every one"),
            ("spec.jobs[-1].template", "write [0] for the first one"),
            ("spec.jobs[+1].template", "write [0] for the first one"),
            ("spec.jobs[0.template", "write [0] for the first one"),
            ("spec.jobs['a'].template", "write [0] for the first one"),
            ("spec.jobs[0]template", "write [0] for the first one"),
            ("[0].template", "write the path as field names"),
            ("*.template", "the path begins with \"*\""),
            ("metadata.annotations", "the path begins with \"metadata\""),
            ("spec.template.spec.containers", "\"containers\" is inside of a pod template"),
            ("spec.template.spec.containers[*]", "\"containers\" is inside of a pod template"),
            ("spec.template.spec.containers[0].image", "\"image\" is inside of a pod template"),
        ] {
            let error = TemplatePath::parse(path).unwrap_err().to_string();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }
}
