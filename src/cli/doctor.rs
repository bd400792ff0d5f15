//! `pullgate doctor`: reads an installation and says, a line a check, whether it is sound.

use std::process::ExitCode;

use crate::args::{DoctorArgs, DoctorFormat};
use crate::cli::{CommandError, block_on, print};
use crate::cluster::{Inspection, Scope};
use crate::doctor;
use crate::time::Clock;

/// Runs the command.
pub fn run(args: DoctorArgs) -> Result<ExitCode, CommandError> {
    block_on(examine(args))
}

async fn examine(args: DoctorArgs) -> Result<ExitCode, CommandError> {
    let DoctorArgs { pre, review, namespace, output, kube } = args;
    let clock = Clock::system();
    let inspection = Inspection::connect(&kube.options(), clock.clone()).await?;
    let seen = inspection.look(&Scope { pre, review, sample: namespace }).await;
    let checks = doctor::examine(&seen, pre, clock());
    match output {
        DoctorFormat::Table => print(&doctor::text(&checks))?,
        DoctorFormat::Json => print(&doctor::json(&checks))?,
    }
    Ok(ExitCode::from(doctor::exit_code(&checks)))
}
