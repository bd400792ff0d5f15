//! The numbers that pullgate promises, each beside its goal, measured in one run on one machine: warm reviews against
//! servers that judge nothing, what a registry is asked, how long a cold, a slow and a dead one take, start and memory.
//!
//! ```text
//! bed ─▶ servers ─▶ load ─▶ warm ────┐
//!  ├──▶ cold (the engine, no server) ├─▶ table
//!  └──▶ process (the built binary) ──┘
//! ```
//!
//! Prints and ends within about 90 s; asserts nothing about time. It is an error when an answer is not the expected one.

#![allow(clippy::print_stdout, reason = "its report is its output")]

#[path = "reviews/bed.rs"]
mod bed;
#[path = "reviews/cold.rs"]
mod cold;
#[path = "reviews/load.rs"]
mod load;
#[path = "reviews/process.rs"]
mod process;
#[path = "reviews/servers.rs"]
mod servers;
#[path = "reviews/table.rs"]
mod table;
#[path = "reviews/threads.rs"]
mod threads;
#[path = "reviews/warm.rs"]
mod warm;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};

use self::bed::Bed;
use self::table::Row;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Whatever keeps a figure from being taken, in words.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let began = Instant::now();
    let mut rows = Vec::new();
    let done = run(&mut rows);
    println!("{}", table::render(&rows));
    let cores = std::thread::available_parallelism().map_or(0, Into::into);
    println!("{cores} cores, {:.0} s", began.elapsed().as_secs_f64());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("reviews: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the figures one after the other; those taken before a failure are kept.
fn run(rows: &mut Vec<Row>) -> Result<(), Failure> {
    pullgate::cli::install_crypto();
    let side = runtime("bed", 1)?;
    let bed = side.block_on(Bed::start())?;
    eprintln!("warm reviews ...");
    rows.extend(warm::measure(&bed)?);
    eprintln!("cold reviews ...");
    rows.extend(cold::measure(&bed)?);
    eprintln!("processes ...");
    rows.extend(process::measure(&bed)?);
    Ok(())
}

/// A runtime whose workers are found by `name` among the threads of the process.
fn runtime(name: &'static str, workers: usize) -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().worker_threads(workers).thread_name(name).enable_all().build()?)
}
