//! pullgate beside the real parts: distribution's registry with Basic and Bearer logins, and containerd's own resolver
//! as the judge. For every case the resolver is asked as the kubelet would ask it, once per candidate until one
//! succeeds; pullgate is asked once; they must agree on whether the image resolves, on its digest and on the class of
//! the failure, and pullgate's `node` line must be the one that the kubelet would show.
//!
//! Before that the kubelet's own parser and keyring are asked ([`keyring`]), and containerd's resolver is shown every
//! recorded exchange ([`dialects`]); with the argument `keyring` or `dialects` nothing else is.
//!
//! Built with the feature `real-parts`; `tests/run.sh` builds the parts and runs it.

#![allow(clippy::print_stdout, reason = "its report is its output")]
#![allow(clippy::format_push_string, reason = "short texts, made once per run")]

mod cases;
mod columns;
mod dialects;
mod gate;
mod judge;
mod keyring;
mod scene;
mod served;

// What more than one suite of real parts needs; none needs all of it.
#[path = "../parts/canary.rs"]
mod canary;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/faults.rs"]
mod faults;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/images.rs"]
mod images;
// Shared with the hermetic suite.
#[path = "../parts/kubelet.rs"]
mod kubelet;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/parts.rs"]
mod parts;
#[allow(dead_code, reason = "shared with the suite `cluster`")]
#[path = "../parts/pki.rs"]
mod pki;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::PoisonError;
use std::time::Instant;

use self::cases::{Case, Want};
use self::faults::Witness;
use self::gate::{Gate, PodAnswer};
use self::judge::{Class, NodeLine};
use self::parts::{Oracle, OracleAnswer, Question};
use self::scene::Scene;

/// Whatever keeps the suite from running, or a case from passing, in words.
type Failure = Box<dyn Error + Send + Sync>;

/// What happened besides passing and failing.
#[derive(Debug, Default)]
struct Figures {
    questions: usize,
    processes: usize,
    fixed_lines: usize,
    network_lines: usize,
    network_lines_equal: usize,
    /// One line per other runtime.
    columns: Vec<String>,
}

/// The oracle's answers to one case: every attempt but the last failed, and the last did too if `digest` is empty.
struct Verdict {
    failures: Vec<OracleAnswer>,
    digest: Option<String>,
}

fn main() -> ExitCode {
    let started = Instant::now();
    match run() {
        Ok((passed, failed, figures)) => {
            println!();
            println!("questions to containerd's resolver     {}", figures.questions);
            println!("pullgate processes                     {}", figures.processes);
            println!("node lines equal to the kubelet's      {}", figures.fixed_lines);
            println!(
                "  of Go's network stack, not binding   {} of {}",
                figures.network_lines_equal, figures.network_lines
            );
            figures.columns.iter().for_each(|line| println!("{line}"));
            println!("seconds                                {:.1}", started.elapsed().as_secs_f32());
            println!("{passed} passed, {failed} failed");
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            println!("the real parts did not run: {failure}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(usize, usize, Figures), Failure> {
    let dir = tempfile::tempdir()?;
    let mut figures = Figures::default();
    let (mut passed, mut failed) = (0, 0);
    let mut report = |name: &str, outcome: Result<String, Failure>| match outcome {
        Ok(remark) => {
            passed += 1;
            println!("ok    {name:<58} {remark}");
        }
        Err(failure) => {
            failed += 1;
            println!("FAIL  {name}\n      {}", failure.to_string().replace('\n', "\n      "));
        }
    };

    let only = env::args().nth(1);
    if only.as_deref() != Some("dialects") {
        for (name, outcome) in keyring::cases(dir.path())? {
            report(name, outcome);
        }
    }
    if only.as_deref() == Some("keyring") {
        return Ok((passed, failed, figures));
    }
    for (name, outcome) in dialects::cases(&dir.path().join("dialects"), &mut figures)? {
        report(&name, outcome);
    }
    if only.as_deref() == Some("dialects") {
        return Ok((passed, failed, figures));
    }
    let mut scene = Scene::new(dir.path())?;
    let cases = cases::all(&scene.places, &scene.images);
    let gate = Gate::new(&dir.path().join("gate"), &scene.config, &cases)?;
    let certs_gate = Gate::new(&dir.path().join("certs-gate"), &scene.certs_config, &cases)?;
    for case in &cases {
        if let Some(hosts) = &case.hosts {
            let dir = scene.hosts_dir.join(case.directory());
            std::fs::create_dir_all(&dir)?;
            std::fs::write(dir.join("hosts.toml"), hosts)?;
        }
    }
    let mut alone = Vec::new();
    for case in &cases {
        let gate = if case.hosts.is_some() { &certs_gate } else { &gate };
        let outcome = one(case, &mut scene.oracle, gate, &scene.witness, &mut figures);
        let remark = outcome.map(|(answer, remark)| {
            alone.push((case, answer));
            remark
        });
        report(&case.name, remark);
    }
    report("many pods in one process answer as each alone", together(&alone, &gate, &mut figures));
    report("the same through the certs.d directory of the nodes", together(&alone, &certs_gate, &mut figures));
    for (name, outcome) in columns::compare(dir.path(), &mut scene, &cases, &mut figures)? {
        report(&name, outcome);
    }
    for (name, outcome) in served::compare(dir.path(), &mut scene, &mut figures)? {
        report(&name, outcome);
    }
    if failed > 0 {
        println!("{}", scene.logs());
    }
    Ok((passed, failed, figures))
}

/// One case, on its own.
fn one(
    case: &Case,
    oracle: &mut Oracle,
    gate: &Gate,
    witness: &Witness,
    figures: &mut Figures,
) -> Result<(PodAnswer, String), Failure> {
    let noted = || std::mem::take(&mut *witness.lock().unwrap_or_else(PoisonError::into_inner));
    noted();
    let verdict = ask_oracle(case, oracle, if case.slow { 1_500 } else { 30_000 }, figures)?;
    let theirs = noted();
    let line = judge::node_line(&verdict.failures, judge::with_prefixes);
    expected(case, &verdict)?;
    figures.processes += 1;
    let run = gate.check(&[case])?;
    judge::same_walk(&theirs, &noted())?;
    let answer = run.pods.get(&gate::pod_name(case)).ok_or("pullgate does not answer for the pod")?;
    let with_answer = |text: String| Failure::from(format!("{text}\n{answer:?}\n{}", run.stderr));
    let remark = agree(case, &verdict, line.as_ref(), answer, figures)
        .map_err(|failure| with_answer(format!("{failure}\noracle: {:?}", verdict.failures)))?;
    if run.code != Some(answer.exit_code()) {
        return Err(with_answer(format!("exit code {:?}, but the answer means {}", run.code, answer.exit_code())));
    }
    Ok((answer.clone(), remark))
}

/// The kubelet's loop: every candidate in order until one succeeds, nobody's name if there is none.
fn ask_oracle(case: &Case, oracle: &mut Oracle, timeout_ms: u64, figures: &mut Figures) -> Result<Verdict, Failure> {
    let anonymous = [cases::NOBODY];
    let candidates = if case.candidates.is_empty() { anonymous.as_slice() } else { &case.candidates };
    let mut failures = Vec::new();
    for (username, password) in candidates {
        figures.questions += 1;
        let answer =
            oracle.ask(&Question { image: &case.image, username, password, timeout_ms, platform: "", fetch: false })?;
        if answer.error.is_empty() {
            return Ok(Verdict { failures, digest: Some(answer.digest) });
        }
        failures.push(answer);
    }
    Ok(Verdict { failures, digest: None })
}

/// The oracle must say what the case was written to provoke, or the agreement would prove nothing.
fn expected(case: &Case, verdict: &Verdict) -> Result<(), Failure> {
    let classes: Vec<_> = verdict.failures.iter().map(|failure| Class::of_oracle(&failure.error)).collect();
    let as_written = match &case.want {
        Want::Digest(digest) => verdict.digest.as_ref() == Some(digest),
        Want::Failures(wanted) => {
            verdict.digest.is_none() && classes == wanted.iter().map(|class| Some(*class)).collect::<Vec<_>>()
        }
    };
    if as_written {
        return Ok(());
    }
    let said: Vec<_> = verdict.failures.iter().map(|failure| failure.error.as_str()).collect();
    Err(format!("the oracle does not do what the case wants ({:?}): {:?} {said:?}", case.want, verdict.digest).into())
}

fn agree(
    case: &Case,
    verdict: &Verdict,
    line: Option<&NodeLine>,
    answer: &PodAnswer,
    figures: &mut Figures,
) -> Result<String, Failure> {
    let Some(finding) = answer.failure() else {
        return match (&verdict.digest, answer.digest()) {
            (Some(oracle), Some(gate)) if oracle == gate && answer.verdict != "deny" => {
                Ok(format!("{}… after {} refused", oracle.get(..17).unwrap_or(oracle), verdict.failures.len()))
            }
            (oracle, gate) => Err(format!("the oracle resolves to {oracle:?}, pullgate to {gate:?}").into()),
        };
    };
    let code = &finding.code;
    if let Some(digest) = &verdict.digest {
        return Err(format!("the oracle resolves to {digest}, pullgate says {code}: {}", finding.message()).into());
    }
    let mine = Class::of_code(code);
    let theirs: Vec<_> = verdict.failures.iter().filter_map(|failure| Class::of_oracle(&failure.error)).collect();
    let also = case.or_code.is_some_and(|other| other == code);
    if !also && !mine.iter().any(|class| theirs.contains(class)) {
        return Err(format!("the oracle says {theirs:?}, pullgate says {code}").into());
    }
    let certain = !theirs.iter().any(|class| class.may_pass()) && !case.uncertain;
    if finding.certain != certain {
        return Err(format!("{code} with certain={}, for {theirs:?}", finding.certain).into());
    }
    if (answer.verdict == "deny") != finding.certain {
        return Err(format!("{code} with certain={} ends in {}", finding.certain, answer.verdict).into());
    }
    if let Some(NodeLine { text, fixed }) = line {
        let equal = finding.node.as_ref() == Some(text);
        match fixed {
            true if equal => figures.fixed_lines += 1,
            true => {
                return Err(
                    format!("node line of the kubelet: {text}\nnode line of pullgate:    {:?}", finding.node).into()
                );
            }
            false => {
                figures.network_lines += 1;
                figures.network_lines_equal += usize::from(equal);
            }
        }
    }
    let classes: Vec<_> = theirs.iter().map(ToString::to_string).collect();
    Ok(format!("{code} ({})", classes.join(", ")))
}

/// One process with one cache: no pod may live on the login of another. Cases with a wrong login stay out: a registry
/// sees a bounded number of those from one process.
fn together(alone: &[(&Case, PodAnswer)], gate: &Gate, figures: &mut Figures) -> Result<String, Failure> {
    let sound: Vec<_> = alone.iter().filter(|(case, _)| case.may_share()).collect();
    if sound.is_empty() {
        return Err("no case passed alone, so there is nothing to compare with".into());
    }
    let cases: Vec<_> = sound.iter().map(|(case, _)| *case).collect();
    figures.processes += 1;
    let run = gate.check(&cases)?;
    let essence = |answer: &PodAnswer| {
        let code = answer.failure().map(|finding| finding.code.clone());
        (answer.verdict.clone(), answer.digest().map(str::to_owned), code)
    };
    for (case, before) in &sound {
        let now = run.pods.get(&gate::pod_name(case)).ok_or_else(|| format!("no answer for \"{}\"", case.name))?;
        if essence(now) != essence(before) {
            return Err(format!("\"{}\" alone: {before:?}\ntogether: {now:?}", case.name).into());
        }
    }
    Ok(format!("{} pods", sound.len()))
}
