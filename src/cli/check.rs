//! `pullgate check`: manifests and images → the verdict that the webhook would give.

mod subjects;

use std::process::ExitCode;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::subjects::{Subjects, workloads};
use crate::args::{CheckArgs, Format, Output, SourceArgs};
use crate::check::{Engine, Purpose};
use crate::cli::docker_config::DockerConfig;
use crate::cli::input::Inputs;
use crate::cli::{
    CommandError, Opened, block_on, exit, load_policy, print, source_cluster, source_engine, strict_policy, warn,
};
use crate::cluster::{Applied, Overlay};
use crate::manifests::{Object, Source};
use crate::message;
use crate::output::Report;
use crate::workload::Workload;

/// Objects judged at once.
const AT_ONCE: usize = 16;

/// Objects that are named where files have some that belong to the cluster.
const NAMED: usize = 4;

/// One object to judge, and where it is written.
pub(super) struct Subject {
    pub(super) workload: Workload,
    pub(super) origin: Option<Object>,
}

/// Runs the command.
pub fn run(args: CheckArgs) -> Result<ExitCode, CommandError> {
    if args.outputs.iter().filter(|output| output.file.is_none()).count() > 1 {
        return Err(CommandError::Outputs);
    }
    block_on(check(args))
}

async fn check(args: CheckArgs) -> Result<ExitCode, CommandError> {
    let CheckArgs { files, recursive, images, outputs, allow_empty, docker_config, source } = args;
    let kinds = load_policy(source.config.as_deref())?.kinds;
    let login = docker_config.path()?.as_deref().map(DockerConfig::read).transpose()?;
    if let Some(login) = &login {
        login.decodes()?;
        login.passed_over.iter().for_each(|line| warn(&format!("--docker-config: {line}")));
    }
    let inputs = Inputs::read(&files, recursive);
    let opened = source_cluster(&source).await?;
    let Subjects { mut judged, applied, errors, tally } = Subjects::of(inputs, &opened.namespace, &kinds);
    if !images.is_empty() {
        judged.push(Subject { workload: pod_of(&images, &opened.namespace, &source)?, origin: None });
    }
    // Where nothing is judged, nothing is uncertain.
    if !judged.is_empty() {
        opened.say_doubt();
        say_applied(&applied);
    }
    let Opened { cluster, tokens, .. } = opened;
    let cluster = Arc::new(Overlay::new(cluster, applied, login.map(|login| login.secret())));
    let policy = strict_policy(&source, judged.iter().map(|subject| subject.workload.object.namespace.clone()))?;
    let engine = source_engine(&source, &policy, cluster, tokens)?;
    let report = judge(&engine, &policy, &source, &judged).await;
    write(&report, outputs)?;
    for error in &errors {
        warn(&error.to_string());
    }
    let empty = judged.is_empty();
    if let Some(unknown) = tally.unknown().filter(|_| !empty) {
        warn(&format!("not judged: {unknown}"));
    }
    if empty {
        warn(&tally.nothing_judged(&files));
    }
    Ok(exit(if !errors.is_empty() || (empty && !allow_empty) { 2 } else { report.exit_code() }))
}

/// Judges objects, in order.
async fn judge(engine: &Engine, policy: &crate::policy::Policy, source: &SourceArgs, subjects: &[Subject]) -> Report {
    let judged: Vec<_> = stream::iter(subjects)
        .map(|subject| engine.check(policy, &subject.workload, Purpose::Judge, Instant::now() + source.timeout))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut report = Report::new(std::env::current_dir().unwrap_or_default());
    for (Subject { workload, origin }, verdict) in subjects.iter().zip(&judged) {
        report.push(&workload.object, origin.as_ref(), verdict);
    }
    report
}

/// Writes every report to where it goes.
fn write(report: &Report, outputs: Vec<Output>) -> Result<(), CommandError> {
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
    Ok(())
}

/// Names the pull secrets and `ServiceAccounts` of the files: whoever reads a verdict has to know that it counts on them.
fn say_applied(applied: &Applied) {
    let named = applied.named();
    if named.is_empty() {
        return;
    }
    let more = named.len().saturating_sub(NAMED);
    let shown = named.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    warn(&format!("taken from the files, as if they were applied already: {shown}{more}"));
}

/// A pod that has the given images and the pull secrets of the command line.
pub(super) fn pod_of(images: &[String], namespace: &str, source: &SourceArgs) -> Result<Workload, CommandError> {
    let containers: Vec<Value> = images.iter().map(|image| json!({ "image": image })).collect();
    let secrets: Vec<Value> = source.pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "command-line", "namespace": namespace },
        "spec": {
            "containers": containers,
            "imagePullSecrets": secrets,
            "serviceAccountName": source.service_account,
        },
    });
    let pod = Source::new("--image", pod.to_string().as_bytes()).objects().next().transpose()?;
    let pods = pod.map(|pod| workloads(&pod, namespace, &[])).transpose()?.unwrap_or_default();
    let pod = pods.into_iter().next().filter(|pod| !pod.images.iter().any(|image| image.is_placeholder()));
    // A variable that is not set must not look like an image that is fine.
    pod.ok_or_else(|| CommandError::Image {
        image: format!("{:?}", message::shown(&images.join(" "))),
        reason: "a template's placeholder (empty, or auto) is no image".to_owned(),
    })
}
