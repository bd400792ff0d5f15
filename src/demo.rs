//! `pullgate demo`: the real server, real registries on loopback, recorded `AdmissionReviews` over HTTPS; no cluster and no
//! other network. Prints what a person at kubectl would read, and what each answer cost the registry.

mod cases;
pub mod registry;
mod stage;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use crate::cli::{self, CommandError};
use crate::demo::cases::Case;
use crate::demo::registry::{Kind, LoggedRequest};
use crate::demo::stage::Stage;

/// Reviews of one image, sent at the end.
const REVIEWS: u32 = 1000;

/// Reviews under way at once.
const AT_ONCE: usize = 50;

/// Runs the demonstration; an answer that is not the expected one is an error.
pub fn run() -> Result<ExitCode, CommandError> {
    cli::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(play());
    runtime.shutdown_timeout(Duration::from_secs(1));
    done.map(|()| ExitCode::SUCCESS)
}

async fn play() -> Result<(), CommandError> {
    let stage = Stage::start().await?;
    cli::print(&format!(
        "pullgate listens on https://{}, judging as enforce. Every registry here is real HTTP over TLS on loopback;\n\
         the repository names are drawn anew in each run.\n",
        stage.server
    ))?;
    let cases = cases::all(&stage);
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(show(&stage, case).await?);
    }
    crowd(&stage).await?;
    stage.stop().await;
    if wrong.is_empty() {
        cli::print(&format!("\n{} cases, each answered as it must be.\n", cases.len())).map_err(CommandError::from)
    } else {
        Err(CommandError::Demo(wrong.join("; ")))
    }
}

/// Sends one case and prints it; what is not as expected comes back.
async fn show(stage: &Stage, case: &Case) -> Result<Option<String>, CommandError> {
    stage.clear_logs();
    case.prepare(stage);
    let pinned = if case.mutate { stage.review("mutate", case).await? } else { Value::Null };
    let answer = stage.review("validate", case).await?;
    case.clean_up(stage);
    let requests = stage.requests();
    cli::print(&rendered(case, &pinned, &answer, &requests))?;
    Ok(case.mistake(&pinned, &answer, requests.len()))
}

fn rendered(case: &Case, pinned: &Value, answer: &Value, requests: &[LoggedRequest]) -> String {
    let mut text = format!("\n── {}\n$ kubectl apply -f pod.yaml    # image: {}\n", case.title, case.shown_image());
    let response = &answer["response"];
    for warning in response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        _ = writeln!(text, "Warning: {warning}");
    }
    if response["allowed"] == Value::Bool(true) {
        _ = writeln!(text, "pod/p1 created");
    } else {
        let message = response["status"]["message"].as_str().unwrap_or_default();
        _ = writeln!(
            text,
            "Error from server (Forbidden): error when creating \"pod.yaml\": \
             admission webhook \"validate.pullgate.dev\" denied the request: {message}"
        );
    }
    if let Some(image) = cases::pinned_image(pinned) {
        _ = writeln!(text, "   pinned:   {image}");
    }
    _ = writeln!(text, "   registry: {}", requests_line(requests));
    text
}

fn requests_line(requests: &[LoggedRequest]) -> String {
    if requests.is_empty() {
        return "no request".to_owned();
    }
    let words: Vec<String> = requests
        .iter()
        .map(|request| {
            let what = match request.kind {
                Kind::Token => " token",
                Kind::Ping | Kind::Manifest | Kind::Blob | Kind::Tags | Kind::Other => "",
            };
            let status = request.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            format!("{}{what} {status}", request.method)
        })
        .collect();
    format!("{} ({})", count(requests.len(), "request"), words.join(", "))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A thousand reviews of one image that nobody has asked for yet.
async fn crowd(stage: &Stage) -> Result<(), CommandError> {
    let case = cases::crowd(stage);
    stage.clear_logs();
    let started = Instant::now();
    let answers: Vec<Result<Value, CommandError>> =
        stream::iter(0..REVIEWS).map(|_| stage.review("validate", &case)).buffer_unordered(AT_ONCE).collect().await;
    let took = started.elapsed();
    let mut admitted = 0_u32;
    for answer in answers {
        admitted += u32::from(answer?["response"]["allowed"] == Value::Bool(true));
    }
    let requests = stage.requests();
    let authorised = requests.iter().filter(|request| request.kind == Kind::Manifest && request.authorised).count();
    cli::print(&format!(
        "\n── {REVIEWS} reviews of one image, {AT_ONCE} at a time\n\
         {admitted} admitted in {} ms ({:.0} reviews a second, the sending included)\n   registry: {}, {authorised} authorised HEAD\n",
        took.as_millis(),
        1.0 / (took.as_secs_f64() / f64::from(REVIEWS)),
        requests_line(&requests),
    ))?;
    if admitted == REVIEWS && authorised == 1 {
        Ok(())
    } else {
        Err(CommandError::Demo(format!("{admitted} of {REVIEWS} admitted with {authorised} authorised HEAD requests")))
    }
}
