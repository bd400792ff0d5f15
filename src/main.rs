//! The program: crypto provider, arguments, run.

use std::process::ExitCode;

use pullgate::args::Args;

fn main() -> ExitCode {
    Args::parse_and_run()
}
