//! The kubelet itself as the judge: a real API server, a real kubelet and a real containerd that runs what it pulls,
//! real registries. The same pods are created with no webhook in the way, and judged by pullgate as they are stored;
//! both must agree on whether the image fails, on the code, and on the line that the node shows.
//!
//! Built with the feature `real-parts`; `tests/run.sh` builds the parts and runs it. It needs root, and runs in a network,
//! mount and process namespace of its own. An argument chooses rows by a part of their name (`-- 'mirrors:'`).

#![allow(clippy::print_stdout, reason = "its report is its output")]
#![allow(clippy::format_push_string, reason = "short texts, made once per run")]

mod alone;
mod cases;
mod gate;
mod judge;
mod node;
mod pods;
mod scene;
mod stock;

// What more than one suite of real parts needs; none needs all of it.
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/faults.rs"]
mod faults;
#[allow(dead_code, reason = "shared with the suites `real` and `cluster`")]
#[path = "../parts/images.rs"]
mod images;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/kubectl.rs"]
mod kubectl;
#[allow(dead_code, reason = "shared with the suites `real` and `cluster`")]
#[path = "../parts/parts.rs"]
mod parts;
#[allow(dead_code, reason = "shared with the suites `real` and `cluster`")]
#[path = "../parts/pki.rs"]
mod pki;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/stack.rs"]
mod stack;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use pullgate::verdict::Verdict;
use serde_json::Value;

use self::cases::{Right, Row};
use self::judge::Line;
use self::pods::{NAMESPACE, Saw};
use self::scene::Scene;

/// Whatever keeps the suite from running, or a row from agreeing, in words.
type Failure = Box<dyn Error + Send + Sync>;

/// How long the node has for all pods.
const PATIENCE: Duration = Duration::from_secs(40);

/// What became of the rows.
#[derive(Debug, Default)]
struct Figures {
    agreed: usize,
    different: usize,
    pending: usize,
    pending_agreed: usize,
    lines: usize,
    lines_of_go: usize,
    uncertain: usize,
    unseen: usize,
}

fn main() -> ExitCode {
    let outcome = match alone::inside() {
        Some(dir) => run(&dir).map(u8::from),
        None => alone::enter(),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            println!("the node did not run: {failure}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// The inner process; true if there are differences.
fn run(dir: &Path) -> Result<bool, Failure> {
    let started = Instant::now();
    alone::settle(dir, scene::HOSTS)?;
    let scene = Scene::new(dir)?;
    println!("kubelet, containerd, API server and registries after {:.1} s", started.elapsed().as_secs_f32());
    let only: Vec<String> = env::args().skip(1).collect();
    let mut rows = cases::all(&scene);
    rows.retain(|row| only.is_empty() || only.iter().any(|part| row.name.contains(part)));
    let sound = format!("{}/solo:v1", scene.places.open);
    scene.kubectl.feed("create -f -", &pods::objects(&rows, &sound))?.succeeded()?;
    println!("{} pods created after {:.1} s", rows.len(), started.elapsed().as_secs_f32());
    let answers = wait(&scene, &rows).map_err(|failure| Failure::from(format!("{failure}\n{}", scene.tails())))?;
    println!("the node has answered for all after {:.1} s", started.elapsed().as_secs_f32());
    let stored: Vec<Value> =
        rows.iter().filter_map(|row| answers.get(&row.pod())).map(|(pod, _)| pod.clone()).collect();
    let verdicts = gate::verdicts(&scene.config, &scene.kubectl.kubeconfig, &stored)?;
    println!("and so has pullgate after {:.1} s\n", started.elapsed().as_secs_f32());

    let mut figures = Figures::default();
    for (row, verdict) in rows.iter().zip(&verdicts) {
        let (_, saw) = answers.get(&row.pod()).ok_or("a row without an answer")?;
        report(row, saw, verdict, &mut figures);
    }
    let Figures { agreed, different, pending, pending_agreed, lines, lines_of_go, uncertain, unseen } = figures;
    if different > 0 {
        println!("{}", scene.tails());
    }
    println!();
    println!("uncertain by right                     {uncertain}");
    println!("decided on the node, out of sight      {unseen}");
    println!("node lines that only Go can word       {lines_of_go}");
    println!("pending: platforms                     {pending}, of which {pending_agreed} agree");
    println!("seconds                                {:.1}", started.elapsed().as_secs_f32());
    println!("kubelet: compared {}, differences {different}, node lines equal {lines}", agreed + different);
    println!("{agreed} passed, {different} failed");
    Ok(different > 0)
}

/// Asks for the pods until each row's image has come to something.
fn wait(scene: &Scene, rows: &[Row]) -> Result<BTreeMap<String, (Value, Saw)>, Failure> {
    let started = Instant::now();
    loop {
        let text = scene.kubectl.get(&format!("-n {NAMESPACE} get pods -o json"))?;
        let list: Value = serde_json::from_str(&text)?;
        let mut by_name: BTreeMap<&str, &Value> = BTreeMap::new();
        for pod in list["items"].as_array().into_iter().flatten() {
            by_name.insert(pod["metadata"]["name"].as_str().unwrap_or_default(), pod);
        }
        let mut answers = BTreeMap::new();
        let mut waiting = Vec::new();
        for row in rows {
            let pod = by_name.get(row.pod().as_str()).copied();
            match pod.and_then(|pod| pods::saw(row, pod).map(|saw| (pod.clone(), saw))) {
                Some(answer) => drop(answers.insert(row.pod(), answer)),
                None => waiting.push((row, pod)),
            }
        }
        if waiting.is_empty() {
            return Ok(answers);
        }
        if started.elapsed() > PATIENCE {
            let names: Vec<&str> = waiting.iter().map(|(row, _)| row.name.as_str()).collect();
            let status = waiting.first().and_then(|(_, pod)| *pod).map(|pod| pod["status"].to_string());
            return Err(format!("no answer of the node for {names:?}; the first: {status:?}").into());
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// One line a row; more where node and pullgate differ.
fn report(row: &Row, saw: &Saw, verdict: &Verdict, figures: &mut Figures) {
    let outcome = judge::as_written(row, saw).and_then(|()| judge::agree(row, saw, verdict));
    let node = match saw {
        Saw::Ran => "runs",
        Saw::Pulled(_) => "pulled",
        Saw::Waits { reason, .. } if reason.contains(' ') => "an error as the reason",
        Saw::Waits { reason, .. } => reason,
    };
    let code = verdict.findings.first().map_or("nothing wrong", |finding| finding.code.as_str());
    if row.pending {
        figures.pending += 1;
        figures.pending_agreed += usize::from(outcome.is_ok());
        let why = outcome.err().unwrap_or_default();
        println!("later {:<62} {node:<24} {code}: {why} {saw:?}", row.name);
        return;
    }
    match outcome {
        Ok(line) => {
            figures.agreed += 1;
            figures.lines += usize::from(line == Line::Equal);
            figures.lines_of_go += usize::from(line == Line::OfGo);
            figures.uncertain += usize::from(row.right == Right::Uncertain);
            figures.unseen += usize::from(row.right == Right::Unseen);
            println!("ok    {:<62} {node:<24} {code}", row.name);
        }
        Err(why) => {
            figures.different += 1;
            println!("FAIL  {} ({})\n      {}\n      {saw:?}", row.name, row.image, why.replace('\n', "\n      "));
        }
    }
}
