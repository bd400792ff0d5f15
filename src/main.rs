//! The program: crypto provider, arguments, run.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use pullgate::args::Args;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Args::parse_and_run()
}
