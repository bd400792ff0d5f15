//! `pullgate explain`: one image → how it is understood, the candidates in the kubelet's order, and the answer.

use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::args::{ExplainArgs, ExplainFormat};
use crate::cli::check::{Subject, judge, pod_of};
use crate::cli::{CommandError, block_on, exit, print, source_engine, strict_policy};
use crate::credentials::Candidate;
use crate::facts::{Secrets, Unreadable};
use crate::node_credentials::{Account, NodeLookup};
use crate::output::Report;
use crate::printable;
use crate::reference::Reference;
use crate::workload::Workload;

/// Runs the command.
pub fn run(args: ExplainArgs) -> Result<ExitCode, CommandError> {
    let ExplainArgs { image, offline, output, source } = args;
    let reference = Reference::parse(&image)
        .map_err(|error| CommandError::Image { image: crate::message::shown(&image), reason: error.to_string() })?;
    let pod = pod_of(std::slice::from_ref(&image), &source)?;
    let (secrets, held_by_nodes) = block_on(async {
        let policy = strict_policy(&source, [])?;
        let engine = source_engine(&source, &policy).await?;
        let secrets = engine.secrets(&pod, None).await;
        // A plugin asks whom it likes: not offline.
        if offline || secrets.keyring.is_err() {
            return Ok((secrets, NodeLookup::default()));
        }
        let account = Account { namespace: &source.namespace, name: &source.service_account };
        let deadline = Instant::now() + source.timeout;
        Ok((secrets, engine.node_credentials.candidates(reference.name(), account, None, deadline).await))
    })?;
    let mut candidates: Vec<Candidate> =
        secrets.keyring.as_ref().map(|keyring| keyring.matching(reference.name())).unwrap_or_default();
    candidates.extend(held_by_nodes.candidates);
    if secrets.keyring.is_ok() {
        candidates = Candidate::or_anonymous(candidates);
    }
    let report = if offline {
        None
    } else {
        {
            let subject = Subject { workload: pod.clone(), origin: None };
            Some(block_on(judge(&source, vec![subject]))?)
        }
    };
    let text = match output {
        ExplainFormat::Json => as_json(&reference, &candidates, &secrets, report.as_ref()),
        ExplainFormat::Table => as_text(&reference, &candidates, &secrets, &pod, report.as_ref()),
    };
    print(&text)?;
    Ok(exit(match (&report, &secrets.keyring) {
        (Some(report), _) => report.exit_code(),
        (None, Err(_)) => 1,
        (None, Ok(_)) => 0,
    }))
}

fn as_json(reference: &Reference, candidates: &[Candidate], secrets: &Secrets, report: Option<&Report>) -> String {
    let candidates: Vec<Value> = candidates
        .iter()
        .map(|candidate| {
            json!({
                "source": candidate.source.to_string(),
                "key": &*candidate.key,
                "username": candidate.credential.as_ref().map(|credential| credential.username.as_str()),
            })
        })
        .collect();
    let mut object = json!({
        "reference": {
            "registry": reference.registry(),
            "repository": reference.repository(),
            "tag": reference.tag(),
            "digest": reference.digest().map(ToString::to_string),
        },
        "candidates": candidates,
        "results": report.map_or_else(|| json!([]), |report| json!(report.results)),
    });
    if let Err(malformed) = &secrets.keyring {
        object["malformed"] = json!({ "secret": malformed.secret, "error": malformed.go_error });
    }
    let mut text = serde_json::to_string_pretty(&object).unwrap_or_default();
    text.push('\n');
    printable::json(&text).into_owned()
}

fn as_text(
    reference: &Reference,
    candidates: &[Candidate],
    secrets: &Secrets,
    pod: &Workload,
    report: Option<&Report>,
) -> String {
    let mut text =
        format!("reference\n  registry    {}\n  repository  {}\n", reference.registry(), reference.repository());
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if let Some(tag) = reference.tag() {
        line(format!("  tag         {tag}{}", if reference.implicit_latest() { " (not written)" } else { "" }));
    }
    if let Some(digest) = reference.digest() {
        line(format!("  digest      {digest}"));
    }
    line(format!("  normal form {reference}"));
    line(format!("pull secrets in namespace {}", pod.object.namespace));
    if let Some(account) = &secrets.account {
        line(format!("  named by ServiceAccount \"{account}\""));
    }
    for name in &secrets.missing {
        line(format!("  Secret \"{name}\": not there"));
    }
    for (name, why) in &secrets.ignored {
        line(format!("  Secret \"{name}\": passed over, {why}"));
    }
    for (what, why) in &secrets.unreadable {
        let why = match why {
            Unreadable::Forbidden => "may not be read",
            Unreadable::Unavailable(why) => why,
        };
        line(format!("  {what}: {why}"));
    }
    if let Err(malformed) = &secrets.keyring {
        line(format!("  Secret \"{}\": no kubelet can decode it: {malformed}", malformed.secret));
        line("  every image of the pod fails".to_owned());
    }
    line("candidates, in the kubelet's order".to_owned());
    for (number, candidate) in candidates.iter().enumerate() {
        let user = candidate.credential.as_ref().map_or_else(String::new, |credential| {
            format!(", key {}, user {:?}, password not shown", candidate.key, credential.username)
        });
        line(format!("  {}. {}{user}", number + 1, candidate.source));
    }
    if let Some(report) = report {
        line(format!("answer\n{}", report.table()));
    }
    printable::lines(&text).into_owned()
}
