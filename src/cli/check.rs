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
use crate::manifests::{ManifestError, Object, Problem, Source, served_version};
use crate::message;
use crate::output::Report;
use crate::workload::configured::{self, TemplateKind, Templates};
use crate::workload::{ObjectRef, Shape, Workload, extract, spec};

/// Objects judged at once.
const AT_ONCE: usize = 16;

/// One object to judge, and where it is written.
pub(super) struct Subject {
    pub(super) workload: Workload,
    pub(super) origin: Option<Object>,
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
        for source_file in read(path)? {
            for object in source_file.objects() {
                let object = object?;
                let workloads = workloads(&object, &source.namespace, &kinds)?;
                let subject = |workload| Subject { workload, origin: Some(object.clone()) };
                subjects.extend(workloads.into_iter().map(subject));
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
    let mut report = Report::new(std::env::current_dir().unwrap_or_default());
    for (Subject { workload, origin }, verdict) in subjects.iter().zip(&judged) {
        report.push(&workload.object, origin.as_ref(), verdict);
    }
    Ok(report)
}

/// A pod that has the given images and the pull secrets of the command line.
pub(super) fn pod_of(images: &[String], source: &SourceArgs) -> Result<Workload, CommandError> {
    let containers: Vec<Value> = images.iter().map(|image| json!({ "image": image })).collect();
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
    let pod = Source::new("--image", pod.to_string().as_bytes()).objects().next().transpose()?;
    let pods = pod.map(|pod| workloads(&pod, &source.namespace, &[])).transpose()?.unwrap_or_default();
    let pod = pods.into_iter().next().filter(|pod| !pod.images.iter().any(|image| image.is_placeholder()));
    // A variable that is not set must not look like an image that is fine.
    pod.ok_or_else(|| CommandError::Image {
        image: format!("{:?}", message::shown(&images.join(" "))),
        reason: "a template's placeholder (empty, or auto) is no image".to_owned(),
    })
}

/// The workloads of a manifest: none for kinds without images, several for a configured kind with several templates. What
/// a configured path does not find is said on standard error.
fn workloads(object: &Object, namespace: &str, kinds: &[TemplateKind]) -> Result<Vec<Workload>, ManifestError> {
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
            eprintln!("pullgate: {}", object.error("", problem));
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

/// The texts behind a `--file`: one, or those of a directory, or standard input.
pub(super) fn read(path: &Path) -> Result<Vec<Source>, CommandError> {
    let unreadable = |path: &Path, source| CommandError::ManifestFile { path: path.display().to_string(), source };
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(|source| unreadable(path, source))?;
        return Ok(vec![Source::new("-", bytes)]);
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
            let bytes = std::fs::read(&file).map_err(|source| unreadable(&file, source))?;
            Ok(Source::new(&file.display().to_string(), bytes))
        })
        .collect()
}
