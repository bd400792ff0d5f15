//! Nothing is lost while pullgate changes: the chart installed with helm into a real control plane, its pods run as
//! processes by a stand-in for the kubelet, pods created at a steady rate under `failurePolicy: Fail`, and one
//! disturbance after the other. Every creation is counted, and so is every review.
//!
//! Built with the feature `real-parts`; `tests/run.sh` builds the parts and runs it. It needs root, and runs in a network,
//! mount and process namespace of its own. Arguments choose cases by a part of their name (`-- rollback`).

#![allow(clippy::print_stdout, reason = "its report is its output")]

mod alone;
mod cases;
mod load;
mod scene;
mod standin;

// What more than one suite of real parts needs; none needs all of it.
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/canary.rs"]
mod canary;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/images.rs"]
mod images;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/kubectl.rs"]
mod kubectl;
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/parts.rs"]
mod parts;
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/pki.rs"]
mod pki;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../cluster/report.rs"]
mod report;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/stack.rs"]
mod stack;

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use self::report::Report;
use self::scene::Scene;

/// Whatever keeps the suite from running, or a case from passing, in words.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let outcome = match alone::inside() {
        Some(dir) => run(&dir),
        None => alone::enter(),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            println!("the stage was not set: {failure}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// The inner process.
fn run(dir: &Path) -> Result<u8, Failure> {
    let started = Instant::now();
    alone::settle()?;
    let only: Vec<String> = env::args().skip(1).collect();
    let mut scene = Scene::new(dir)?;
    println!("control plane and registry after {:.1} s\n", started.elapsed().as_secs_f32());
    let mut report = Report::default();
    if let Err(failure) = cases::all(&mut scene, &mut report, &only) {
        report.case("the suite comes to its end", |_| Err(failure));
    }
    if report.failed > 0 {
        println!("{}", scene.tails());
    }
    println!("\nseconds {:.1}", started.elapsed().as_secs_f32());
    println!("{} passed, {} failed", report.passed, report.failed);
    Ok(u8::from(report.failed > 0))
}
