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
#[path = "../parts/canary.rs"]
mod canary;
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

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use pullgate::verdict::Verdict;
use serde_json::{Value, json};

use self::cases::{Right, Row};
use self::judge::Line;
use self::kubectl::Kubectl;
use self::pods::{NAMESPACE, Saw};
use self::scene::Scene;

/// Whatever keeps the suite from running, or a row from agreeing, in words.
type Failure = Box<dyn Error + Send + Sync>;

/// How long the node has for all pods.
const PATIENCE: Duration = Duration::from_mins(4);

/// What became of the rows.
#[derive(Debug, Default)]
struct Figures {
    agreed: usize,
    different: usize,
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
    // Later rows want what the earlier ones bring.
    let wanted = |row: &Row| only.is_empty() || only.iter().any(|part| row.name.contains(part));
    let later = rows.iter().any(|row| row.later && wanted(row));
    rows.retain(|row| wanted(row) || (later && row.image.contains(":once-")));

    let mut figures = Figures::default();
    let (later, first): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.later);
    apply(&scene, vec![pods::ground()])?;
    for (rows, what) in [(first, "pods"), (later, "later pods")] {
        let judged = judge(&scene, &rows).map_err(|failure| Failure::from(format!("{failure}\n{}", scene.tails())))?;
        println!("{} {what} judged after {:.1} s\n", rows.len(), started.elapsed().as_secs_f32());
        for (row, (saw, verdict)) in rows.iter().zip(&judged) {
            report(row, saw, verdict, &mut figures);
        }
        println!();
    }
    let Figures { agreed, different, lines, lines_of_go, uncertain, unseen } = figures;
    if different > 0 {
        println!("{}\n", scene.tails());
    }
    println!("uncertain by right                     {uncertain}");
    println!("decided on the node, out of sight      {unseen}");
    println!("node lines that only Go can word       {lines_of_go}");
    println!("seconds                                {:.1}", started.elapsed().as_secs_f32());
    println!("kubelet: compared {}, differences {different}, node lines equal {lines}", agreed + different);
    println!("{agreed} passed, {different} failed");
    Ok(different > 0)
}

/// Creates the pods of these rows and asks both, one after the other: they would be in each other's way.
fn judge(scene: &Scene, rows: &[Row]) -> Result<Vec<(Saw, Verdict)>, Failure> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let began = Instant::now();
    let sound = format!("{}/solo:v1", scene.places.open);
    apply(scene, rows.iter().map(pods::secrets).collect())?;
    apply(scene, rows.iter().map(|row| vec![pods::pod(row, &sound)]).collect())?;
    println!("{} pods created after {:.1} s", rows.len(), began.elapsed().as_secs_f32());
    let stored = pods_by_name(scene)?;
    let stored: Vec<Value> = rows.iter().filter_map(|row| stored.get(&row.pod()).cloned()).collect();
    if stored.len() != rows.len() {
        return Err("the API server does not have every pod".into());
    }
    let saw = wait(scene, rows)?;
    println!("the node has answered for all of them after {:.1} s", began.elapsed().as_secs_f32());
    wait_for_image_lists(scene, rows)?;
    let cluster = scene.kubectl.get(&format!("-n {NAMESPACE} get secrets,serviceaccounts,nodes -o json"))?;
    let verdicts = gate::verdicts(&scene.config, &cluster, &stored)?;
    println!("and pullgate after {:.1} s", began.elapsed().as_secs_f32());
    Ok(saw.into_iter().zip(verdicts).collect())
}

/// Creates objects, in several processes: one alone waits for itself most of the time. None sees more than a part.
fn apply(scene: &Scene, groups: Vec<Vec<Value>>) -> Result<(), Failure> {
    const AT_ONCE: usize = 4;
    let mut shares: Vec<Vec<Value>> = vec![Vec::new(); AT_ONCE];
    for (index, group) in groups.into_iter().enumerate() {
        shares[index % AT_ONCE].extend(group);
    }
    thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .enumerate()
            .filter(|(_, items)| !items.is_empty())
            .map(|(index, items)| {
                let home = scene.kubectl.home.join(index.to_string());
                scope.spawn(move || -> Result<(), Failure> {
                    fs::create_dir_all(&home)?;
                    let kubectl = Kubectl { home, ..scene.kubectl.clone() };
                    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
                    kubectl.feed("create --validate=false -f -", &list)?.succeeded().map(drop)
                })
            })
            .collect();
        running.into_iter().try_for_each(|one| one.join().map_err(|_| "a thread panicked")?)
    })
}

fn pods_by_name(scene: &Scene) -> Result<BTreeMap<String, Value>, Failure> {
    let mut list: Value = serde_json::from_str(&scene.kubectl.get(&format!("-n {NAMESPACE} get pods -o json"))?)?;
    let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok(items.into_iter().map(|pod| (pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), pod)).collect())
}

/// Asks for the pods until each row's image has come to something.
fn wait(scene: &Scene, rows: &[Row]) -> Result<Vec<Saw>, Failure> {
    let started = Instant::now();
    loop {
        let pods = pods_by_name(scene)?;
        let saw = |row: &Row| pods.get(&row.pod()).and_then(|pod| pods::saw(row, pod));
        let answers: Vec<Saw> = rows.iter().filter_map(saw).collect();
        if answers.len() == rows.len() {
            return Ok(answers);
        }
        if started.elapsed() > PATIENCE {
            let waiting: Vec<&Row> = rows.iter().filter(|row| saw(row).is_none()).collect();
            let names: Vec<&str> = waiting.iter().map(|row| row.name.as_str()).collect();
            let status = waiting.first().and_then(|row| pods.get(&row.pod())).map(|pod| pod["status"].to_string());
            return Err(format!("no answer of the node for {names:?}; the first: {status:?}").into());
        }
        thread::sleep(Duration::from_millis(1500));
    }
}

/// Waits until the node reports the images of later rows: a kubelet lists what it has every 30 s
/// (kubernetes/kubernetes `pkg/kubelet/images/image_gc_manager.go`).
fn wait_for_image_lists(scene: &Scene, rows: &[Row]) -> Result<(), Failure> {
    let wanted: BTreeSet<&str> = rows.iter().filter(|row| row.later).map(|row| row.image.as_str()).collect();
    let started = Instant::now();
    loop {
        let listed = scene.kubectl.get("get nodes -o jsonpath={.items[*].status.images[*].names[*]}")?;
        let listed: BTreeSet<&str> = listed.split_whitespace().collect();
        let Some(missing) = wanted.difference(&listed).next() else { return Ok(()) };
        if started.elapsed() > PATIENCE {
            return Err(format!("the node does not report {missing} after {} s", PATIENCE.as_secs()).into());
        }
        thread::sleep(Duration::from_millis(1500));
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
