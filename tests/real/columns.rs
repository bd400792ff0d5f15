//! The other columns: what containerd 1.7's resolver and CRI-O's image library make of the same cases, against pullgate
//! where the nodes have those; then which entry of an index each runtime takes.

mod matrix;

use std::path::Path;
use std::sync::Arc;

use crate::cases::{Case, Want};
use crate::gate::{self, Gate, Run};
use crate::judge::{self, Class, NodeLine};
use crate::scene::Scene;
use crate::{Failure, Figures, Verdict, ask_oracle};

/// What CRI-O's library does otherwise by design, by a part of the case's name, and why.
const CRI_O_DIFFERS: [(&str, &str); 5] = [
    ("HEAD with the digest of other bytes", "it sends no HEAD, and takes the digest of the bytes, not of a header"),
    ("a token", "the challenge comes from GET /v2/, which is open here; that of the manifest is not looked at"),
    ("Basic and Bearer challenges together", "likewise"),
    ("Basic behind another scheme", "likewise"),
    ("refused now and then", "likewise"),
];

/// A runtime beside containerd 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Containerd17,
    CriO,
}

/// How a case ended in which the two sides do not contradict each other.
enum Outcome {
    Same,
    /// pullgate is not certain, and the runtime resolves.
    Uncertain,
}

/// What the comparison with one runtime comes to.
#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    differences: usize,
    uncertain: usize,
    node_lines: usize,
    by_design: usize,
}

/// Rows of a report: a name, and a remark or what is wrong.
pub(crate) type Rows = Vec<(String, Result<String, Failure>)>;

/// Asks both runtimes about every case that ends by itself, then all three about platforms.
pub(crate) fn compare(dir: &Path, scene: &mut Scene, cases: &[Case], figures: &mut Figures) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    for (kind, name) in [(Kind::Containerd17, "containerd-1"), (Kind::CriO, "cri-o")] {
        let told = |config: &str| format!("{config}runtime: {name}\n");
        let plain = Gate::new(&dir.join(name), &told(&scene.config), cases)?;
        let certs = Gate::new(&dir.join(name).join("certs"), &told(&scene.certs_config), cases)?;
        let oracle = &mut scene.others[kind as usize];
        // As each alone: the first column has shown it.
        let shared: Vec<&Case> = cases.iter().filter(|case| case.may_share()).collect();
        let together = Arc::new(plain.check(&shared)?);
        figures.processes += 1;
        let mut tally = Tally::default();
        let mut needed = [false; CRI_O_DIFFERS.len()];
        for case in cases.iter().filter(|case| !case.slow && kind.knows(case)) {
            let run = match &case.hosts {
                None if case.may_share() => Ok(Arc::clone(&together)),
                None => plain.check(&[case]).map(Arc::new),
                Some(_) => certs.check(&[case]).map(Arc::new),
            };
            figures.processes += usize::from(!case.may_share());
            let verdict = ask_oracle(case, oracle, kind.patience(case), figures)?;
            let outcome = run.and_then(|run| one(kind, case, verdict, &run, &mut tally));
            let row = CRI_O_DIFFERS.iter().position(|(part, _)| kind == Kind::CriO && case.name.contains(part));
            tally.compared += 1;
            match (outcome, row) {
                (Ok(Outcome::Same), _) => {}
                (Ok(Outcome::Uncertain), None) => tally.uncertain += 1,
                (Ok(Outcome::Uncertain) | Err(_), Some(row)) => {
                    needed[row] = true;
                    tally.by_design += 1;
                }
                (Err(failure), None) => {
                    tally.differences += 1;
                    rows.push((format!("{}: {}", kind.title(), case.name), Err(failure)));
                }
            }
        }
        for ((part, _), _) in CRI_O_DIFFERS.iter().zip(needed).filter(|(_, needed)| kind == Kind::CriO && !needed) {
            rows.push((format!("{}: a row that nothing needs", kind.title()), Err((*part).into())));
        }
        figures.columns.push(tally.line(kind));
    }
    rows.extend(matrix::compare(scene, figures)?);
    Ok(rows)
}

/// One case: whether it resolves, to which digest, and for containerd the line that the kubelet would show.
fn one(kind: Kind, case: &Case, verdict: Verdict, run: &Run, tally: &mut Tally) -> Result<Outcome, Failure> {
    let Verdict { failures, digest } = verdict;
    let answer = run.pods.get(&gate::pod_name(case)).ok_or("pullgate does not answer for the pod")?;
    let Some(finding) = answer.failure() else {
        return match (&digest, answer.digest()) {
            (Some(theirs), Some(mine)) if theirs == mine => Ok(Outcome::Same),
            (theirs, mine) => Err(format!("resolves to {theirs:?}, pullgate to {mine:?}\n{failures:?}").into()),
        };
    };
    let (code, certain) = (&finding.code, finding.certain);
    match digest {
        Some(digest) if certain => {
            return Err(format!("resolves to {digest}, pullgate says {code}: {}", finding.message()).into());
        }
        Some(_) => return Ok(Outcome::Uncertain),
        None => {}
    }
    let line = judge::node_line(&failures, |failure| failure.error.clone());
    if let (Kind::Containerd17, Some(NodeLine { text, fixed: true })) = (kind, &line) {
        if finding.node.as_ref() != Some(text) {
            return Err(format!("node line: {text}\npullgate:  {:?} ({code}, {certain})", finding.node).into());
        }
        tally.node_lines += 1;
    }
    // The kubelet itself words a reference that does not parse.
    if let (Kind::CriO, Some(line), Some(_)) = (kind, &finding.node, line) {
        return Err(format!("pullgate shows a line of another runtime: {line}").into());
    }
    Ok(Outcome::Same)
}

// === impl Kind ===

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Self::Containerd17 => "containerd 1.7",
            Self::CriO => "CRI-O's library",
        }
    }

    /// CRI-O reads `registries.conf`, not `hosts.toml`: the registries of those cases are names that nobody can resolve.
    fn knows(self, case: &Case) -> bool {
        self == Self::Containerd17 || case.hosts.is_none()
    }

    /// CRI-O's library tries a 429 again for a minute, and fails then.
    fn patience(self, case: &Case) -> u64 {
        let limited = |class: &Class| *class == Class::RateLimited;
        match &case.want {
            Want::Failures(classes) if self == Self::CriO && classes.iter().any(limited) => 1_500,
            _ => 30_000,
        }
    }
}

// === impl Tally ===

impl Tally {
    fn line(&self, kind: Kind) -> String {
        let Self { compared, differences, uncertain, node_lines, by_design } = self;
        let more = match kind {
            Kind::Containerd17 => format!("{node_lines} node lines equal"),
            Kind::CriO => format!("{by_design} more by design"),
        };
        format!(
            "{}: compared {compared}, differences {differences} ({more}, {uncertain} where pullgate is not certain)",
            kind.title()
        )
    }
}
