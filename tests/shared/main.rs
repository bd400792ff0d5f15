//! Replicas of pullgate's engine over one real Valkey or Redis from the PATH: what they share, what they refuse, and that
//! no review is worse off when the server is gone, hangs, wants a password or is not who it should be.
//!
//! Built with the features `real-parts` and `redis`; `tests/run.sh` runs it. Counts and verdicts are held, times are not.

#![allow(clippy::print_stdout, reason = "its report is its output")]

mod scenes;
mod trouble;
mod world;

// Shared with the suites `real` and `cluster`.
#[allow(dead_code, reason = "shared with other suites")]
#[path = "../parts/parts.rs"]
mod parts;
#[allow(dead_code, reason = "shared with other suites")]
#[path = "../parts/pki.rs"]
mod pki;

use std::error::Error;
use std::process::ExitCode;

use tokio::runtime::Runtime;

use self::world::World;

/// Whatever keeps the suite from running, or a scene from passing, in words.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    pullgate::cli::install_crypto();
    let outcome = Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok((passed, failed)) => {
            println!("\n{passed} passed, {failed} failed");
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            println!("the shared cache did not run: {failure}\n0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(usize, usize), Failure> {
    let world = World::new().await?;
    println!("{}", world.version()?);
    let (mut passed, mut failed) = (0, 0);
    let mut report = |name: &str, outcome: Result<String, Failure>| match outcome {
        Ok(remark) => {
            passed += 1;
            println!("ok    {name:<64} {remark}");
        }
        Err(failure) => {
            failed += 1;
            println!("FAIL  {name}\n      {}", failure.to_string().replace('\n', "\n      "));
        }
    };
    report("a second replica asks the registry nothing, and pins on its own", scenes::shares(&world).await);
    report("nothing in the server names an image or a login", scenes::says_nothing(&world).await);
    report("replicas with another key share nothing", scenes::other_key(&world).await);
    report("replicas that reach registries otherwise share nothing", scenes::other_ways(&world).await);
    report("an altered or moved entry is a miss", scenes::tampered(&world).await);
    report("a password is used, and a wrong one costs nothing but the sharing", scenes::password(&world).await);
    report("TLS, by the authority that is named and no other", scenes::tls(&world).await);
    report("files that cannot be used end the start, with their name", scenes::unusable_files(&world));
    report("a server that comes later is found", trouble::comes_later(&world).await);
    report("killed and restarted under load", trouble::killed(&world).await);
    report("stopped and continued under load", trouble::stopped(&world).await);
    Ok((passed, failed))
}
