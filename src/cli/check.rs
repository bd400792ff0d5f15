//! `pullgate check`: manifests and images → the verdict that the webhook would give.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::args::{CheckArgs, Format, Output, SourceArgs};
use crate::check::Purpose;
use crate::cli::{CommandError, block_on, exit, load_policy, print, source_engine, strict_policy};
use crate::manifests;
use crate::message;
use crate::output::{Origin, Report};
use crate::workload::configured::TemplateKind;
use crate::workload::spec::Object;
use crate::workload::{ObjectRef, Shape, Workload, extract};

/// Objects judged at once.
const AT_ONCE: usize = 16;

/// One object to judge, and where it is written.
pub(super) struct Subject {
    pub(super) workload: Workload,
    pub(super) origin: Option<Origin>,
}

/// Runs the command.
pub fn run(args: CheckArgs) -> Result<ExitCode, CommandError> {
    let CheckArgs { files, images, outputs, source } = args;
    if outputs.iter().filter(|output| output.file.is_none()).count() > 1 {
        return Err(CommandError::Outputs);
    }
    let kinds = load_policy(source.config.as_deref())?.kinds;
    let mut subjects = Vec::new();
    for path in &files {
        for (file, text) in read(path)? {
            let origin = Origin::new(&file, &text);
            for object in manifests::parse(&text, &file)? {
                let workload = workload(&object, &source.namespace, &file, &kinds)?;
                subjects.extend(workload.map(|workload| Subject { workload, origin: Some(origin.clone()) }));
            }
        }
    }
    if !images.is_empty() {
        subjects.push(Subject { workload: pod_of(&images, &source)?, origin: None });
    }
    let report = block_on(judge(&source, subjects))?;
    for Output { format, file } in outputs {
        let text = match format {
            Format::Table => report.table(),
            Format::Json => report.json(),
            Format::Yaml => report.yaml(),
            Format::Junit => report.junit(),
            Format::Sarif => report.sarif(),
            Format::Github => report.github(),
        };
        match file {
            None => print(&text)?,
            Some(file) => std::fs::write(&file, text)
                .map_err(|source| CommandError::OutputFile { path: file.display().to_string(), source })?,
        }
    }
    Ok(exit(report.exit_code()))
}

/// Judges objects, in order.
pub(super) async fn judge(source: &SourceArgs, subjects: Vec<Subject>) -> Result<Report, CommandError> {
    let namespaces = subjects.iter().map(|subject| subject.workload.object.namespace.clone());
    let policy = strict_policy(source, namespaces)?;
    let engine = source_engine(source, &policy).await?;
    let judged: Vec<_> = stream::iter(&subjects)
        .map(|subject| engine.check(&policy, &subject.workload, Purpose::Judge, Instant::now() + source.timeout))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut report = Report::default();
    for (Subject { workload, origin }, verdict) in subjects.iter().zip(&judged) {
        report.push(&workload.object, origin.as_ref(), verdict);
    }
    Ok(report)
}

/// A pod that has the given images and the pull secrets of the command line.
pub(super) fn pod_of(images: &[String], source: &SourceArgs) -> Result<Workload, CommandError> {
    let containers: Vec<Value> = images
        .iter()
        .enumerate()
        .map(|(index, image)| json!({ "name": format!("image-{index}"), "image": image }))
        .collect();
    let secrets: Vec<Value> = source.pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "command-line", "namespace": source.namespace },
        "spec": {
            "containers": containers,
            "imagePullSecrets": secrets,
            "serviceAccountName": source.service_account,
        },
    });
    let pod = workload(&pod, &source.namespace, "--image", &[])?.filter(|pod| pod.images.len() == images.len());
    // A variable that is not set must not look like an image that is fine.
    pod.ok_or_else(|| CommandError::Image {
        image: format!("{:?}", message::shown(&images.join(" "))),
        reason: "a template's placeholder (empty, or auto) is no image".to_owned(),
    })
}

/// The workload of a manifest; `None` for kinds without images.
fn workload(
    object: &Value,
    namespace: &str,
    file: &str,
    kinds: &[TemplateKind],
) -> Result<Option<Workload>, CommandError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let name = match (&metadata["name"], &metadata["generateName"]) {
        (Value::String(name), _) => name.clone(),
        (_, Value::String(prefix)) => format!("{prefix}*"),
        _ => String::new(),
    };
    let meta = ObjectRef {
        api_version: text(&object["apiVersion"]),
        kind: text(&object["kind"]),
        namespace: metadata["namespace"].as_str().unwrap_or(namespace).to_owned(),
        name,
    };
    let (kind, name) = (meta.kind.clone(), meta.name.clone());
    let wrong = |error: serde_json::Error| CommandError::Object {
        file: file.to_owned(),
        kind,
        name,
        reason: error.to_string(),
    };
    if let Some(known) = kinds.iter().find(|known| known.is(&meta.api_version, &meta.kind)) {
        return known.workload(object, None, meta).map_err(wrong);
    }
    if Shape::of(&meta.api_version, &meta.kind).is_none() {
        return Ok(None);
    }
    let json = object.to_string();
    let decoded: Object<'_> = serde_json::from_str(&json).map_err(wrong)?;
    Ok(extract::from_object(&decoded, meta, false))
}

/// The texts behind a `--file`: one, or those of a directory, or standard input.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, CommandError> {
    let unreadable = |path: &Path, source| CommandError::ManifestFile { path: path.display().to_string(), source };
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|source| unreadable(path, source))?;
        return Ok(vec![("-".to_owned(), text)]);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    if path.is_dir() {
        for entry in path.read_dir().map_err(|source| unreadable(path, source))? {
            let file = entry.map_err(|source| unreadable(path, source))?.path();
            if file.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known)) {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).map_err(|source| unreadable(&file, source))?;
            Ok((file.display().to_string(), text))
        })
        .collect()
}
