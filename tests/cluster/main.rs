//! pullgate behind a real API server: etcd, kube-apiserver, the controllers and the scheduler, real registries with
//! Basic and Bearer logins, the chart installed with helm, and everything driven with kubectl. What is asserted is what
//! a user or an operator can see: what kubectl prints, objects, events, the audit log, the registry's access log,
//! /metrics. The images that are refused are admitted again once the webhooks are gone: what refused them is pullgate.
//!
//! Built with the feature `real-parts`; `tests/run.sh` builds the parts and runs it. `TESTBED_KUBERNETES=1.34` takes
//! another line of Kubernetes; arguments choose subjects (`-- templates modes`). With the argument `--bench` it
//! measures how many pods per second the API server creates instead; then build it with optimisations.

#![allow(clippy::print_stdout, reason = "its report is its output")]

mod audit;
mod bench;
mod cases;
mod dashboard;
mod gate;
mod hands;
mod net;
mod objects;
mod picture;
mod report;
mod shell;
mod stream;
mod world;

// What more than one suite of real parts needs; none needs all of it.
#[path = "../parts/canary.rs"]
mod canary;
#[path = "../parts/commands.rs"]
mod commands;
#[allow(dead_code, unused_imports, reason = "shared with the suites `suite` and `real`")]
#[path = "../parts/dialects.rs"]
mod exchanges;
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/faults.rs"]
mod faults;
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/images.rs"]
mod images;
#[path = "../parts/kubectl.rs"]
mod kubectl;
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/parts.rs"]
mod parts;
#[allow(dead_code, reason = "shared with the suite `real`")]
#[path = "../parts/pki.rs"]
mod pki;
#[path = "../parts/stack.rs"]
mod stack;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use self::report::Report;
use self::world::World;

/// Whatever keeps the suite from running, or a case from passing, in words.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("--bench") => measured(),
        Some("--build") => shell::build(&arguments[1..]).map(|()| Report::default()),
        Some("--echo") => bench::echo(&arguments[1..]).map(|()| Report::default()),
        _ => run(started, &arguments),
    };
    match outcome {
        Ok(report) => {
            println!("seconds {:.1}", started.elapsed().as_secs_f32());
            println!("{} passed, {} failed", report.passed, report.failed);
            if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            println!("the cluster did not run: {failure}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run(started: Instant, only: &[String]) -> Result<Report, Failure> {
    let dir = tempfile::tempdir()?;
    let mut world = World::new(dir.path())?;
    println!("{} after {:.1} s\n", server_version(&world)?, started.elapsed().as_secs_f32());
    let mut report = Report::default();
    if let Err(failure) = cases::all(&mut world, &mut report, only) {
        report.case("the suite comes to its end", |_| Err(failure));
    }
    if report.failed > 0 {
        println!("{}", world.tails());
    }
    report.print_shown();
    println!();
    Ok(report)
}

fn measured() -> Result<Report, Failure> {
    let dir = tempfile::tempdir()?;
    let mut world = World::new(dir.path())?;
    println!("{}", server_version(&world)?);
    bench::run(&mut world)?;
    Ok(Report::default())
}

fn server_version(world: &World) -> Result<String, Failure> {
    let said = world.kubectl.get("version")?;
    let version = said.lines().find(|line| line.starts_with("Server Version")).unwrap_or("no version");
    Ok(format!("API server: {version}"))
}
