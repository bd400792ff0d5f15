//! One manifest, served in many ways, pulled by each runtime's own code: where the runtime pulls it pullgate must not be
//! certain that it does not, and where the runtime fails pullgate must say something and name no digest.

use std::path::Path;

use serde_json::json;

use crate::cases::Case;
use crate::columns::Rows;
use crate::gate::{self, Gate, PodAnswer};
use crate::parts::{OracleAnswer, Question};
use crate::scene::Scene;
use crate::{Failure, Figures};

/// The ways, by the names of `tests/parts/faults/served.rs`.
const WAYS: [&str; 36] = [
    "sound",
    "zero",
    "zero-no-digest",
    "absent",
    "tiny",
    "short",
    "long",
    "packed",
    "packed-length",
    "packed-no-digest",
    "text",
    "text-schema-1",
    "page",
    "page-typed",
    "unsigned-schema-1",
    "capitals",
    "capitals-as-blob",
    "some-capitals",
    "blank",
    "outer-blanks",
    "charset",
    "semicolon",
    "parameter",
    "parameter-twice",
    "two-types",
    "json",
    "octets",
    "untyped",
    "hops-1",
    "hops-8",
    "hops-9",
    "hops-10",
    "hops-11",
    "away-hops-2",
    "away-hops-9",
    "away-hops-10",
];

/// Asks the three runtimes, and pullgate about a node with each.
pub(crate) fn compare(dir: &Path, scene: &mut Scene, figures: &mut Figures) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    let [containerd_1, cri_o] = &mut scene.others;
    for (version, oracle) in
        [("containerd://2.2.9", &mut scene.oracle), ("containerd://1.7.29", containerd_1), ("cri-o://1.34.0", cri_o)]
    {
        let cases: Vec<Case> = WAYS
            .iter()
            .enumerate()
            .map(|(index, way)| Case {
                number: index + 1,
                ..Case::new(way, format!("{}/fault/served-{way}/app:v1", scene.places.fault))
            })
            .collect();
        let at = dir.join("served").join(version.replace([':', '/'], "-"));
        let gate = Gate::new(&at, &scene.config, &[])?;
        std::fs::write(at.join("cluster.yaml"), node(version))?;
        let run = gate.check(&cases.iter().collect::<Vec<_>>())?;
        figures.processes += 1;
        let (mut compared, mut certain) = (0, 0);
        for case in &cases {
            let question = Question {
                image: &case.image,
                username: "",
                password: "",
                timeout_ms: 30_000,
                platform: "",
                fetch: true,
            };
            let theirs = oracle.ask(&question)?;
            figures.questions += 1;
            let mine = run.pods.get(&gate::pod_name(case)).ok_or("pullgate does not answer for the pod")?;
            compared += 1;
            certain += usize::from(mine.verdict == "deny");
            if let Err(failure) = agree(&theirs, mine) {
                let text = format!("{failure}\n{version}: {theirs:?}\npullgate: {mine:?}");
                rows.push((format!("served {}: {version}", case.name), Err(text.into())));
            }
        }
        let remark = format!("{compared} ways, {certain} certain");
        rows.push((format!("a manifest served in many ways, {version}"), Ok(remark)));
    }
    Ok(rows)
}

fn agree(theirs: &OracleAnswer, mine: &PodAnswer) -> Result<(), Failure> {
    let pulls = theirs.error.is_empty();
    match mine.failure() {
        Some(finding) if pulls && finding.certain => Err("it pulls, and pullgate is certain that it does not".into()),
        Some(_) if pulls => Err("it pulls, and pullgate has doubts".into()),
        None if !pulls => Err("it does not pull, and pullgate says nothing".into()),
        None if mine.digest() != Some(theirs.digest.as_str()) => Err("another digest".into()),
        Some(finding) if finding.node.as_ref().is_some_and(|line| !line.ends_with(&theirs.error)) => {
            Err("another line of the node".into())
        }
        _ => Ok(()),
    }
}

fn node(version: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": "node", "labels": { "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux" } },
        "status": {
            "nodeInfo": { "architecture": "amd64", "operatingSystem": "linux", "containerRuntimeVersion": version },
        },
    })
    .to_string()
}
