//! Which entry of an index each runtime takes: nodes of three platforms × indexes of one entry, pulled by the runtimes'
//! own code, against [`Content::fits`].

use std::net::SocketAddr;

use pullgate::nodes::content::{Content, Entry};
use pullgate::nodes::platform::Platform;
use pullgate::nodes::{Class, Runtime};
use serde_json::{Value, json};

use super::Rows;
use crate::images::{self, OCI_INDEX, OCI_MANIFEST, Pushed};
use crate::parts::Question;
use crate::scene::Scene;
use crate::{Failure, Figures};

const NODES: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/arm/v7"];

/// `os/architecture/variant` as the index writes them.
const ENTRIES: [&str; 31] = [
    "linux/amd64",
    "linux/amd64/v1",
    "linux/amd64/v2",
    "linux/amd64/v3",
    "linux/386",
    "linux/386/v1",
    "linux/arm64",
    "linux/arm64/v8",
    "linux/arm64/8",
    "linux/arm64/v9",
    "linux/arm",
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm/v8",
    "linux/arm/5",
    "linux/arm/7",
    "linux/arm/v9",
    "linux/s390x",
    "windows/amd64",
    "unknown/unknown",
    // What others write for the same.
    "Linux/x86_64",
    "linux/x86-64",
    "linux/AMD64",
    "linux/aarch64",
    "linux/i386",
    "linux/armhf",
    "linux/armel",
    "linux/armel/v7",
    "/amd64",
    "/arm64",
];

/// pullgate does not fetch the configuration of an entry that names no platform, and never denies for what it does not
/// know; containerd lets the pull end if that configuration is for another processor.
const NOT_READ: &str = "an entry without a platform";

/// An index of one entry, and what pullgate reads in it.
struct Row {
    name: String,
    tag: String,
    content: Content,
}

/// Every node, entry and runtime.
pub(super) fn compare(scene: &mut Scene, figures: &mut Figures) -> Result<Rows, Failure> {
    let to: SocketAddr = scene.places.plain_http.parse()?;
    let table = push(to)?;
    let [containerd_1, cri_o] = &mut scene.others;
    let mut rows = Rows::new();
    for (runtime, oracle) in
        [(Runtime::Containerd2, &mut scene.oracle), (Runtime::Containerd1, containerd_1), (Runtime::CriO, cri_o)]
    {
        let (mut compared, mut differences, mut lenient) = (0, 0, 0);
        for node in NODES {
            for Row { name, tag, content } in &table {
                let image = format!("{to}/platforms:{tag}");
                let question = Question {
                    image: &image,
                    username: "",
                    password: "",
                    timeout_ms: 30_000,
                    platform: node,
                    fetch: false,
                };
                let answer = oracle.ask(&question)?;
                figures.questions += 1;
                if answer.digest.is_empty() {
                    return Err(format!("{runtime} does not resolve {image}: {}", answer.error).into());
                }
                let theirs = answer.error.is_empty();
                let mine = content.fits(&class(node, runtime));
                compared += 1;
                if mine && !theirs && name.starts_with(NOT_READ) {
                    lenient += 1;
                } else if mine != theirs {
                    differences += 1;
                    let text = format!("taken: {theirs} {}\npullgate: {mine}", answer.error);
                    rows.push((format!("{runtime}: {name} on {node}"), Err(text.into())));
                }
            }
        }
        figures.columns.push(format!("platforms, {runtime}: compared {compared}, differences {differences} ({lenient} that pullgate does not know)"));
    }
    Ok(rows)
}

fn class(node: &str, runtime: Runtime) -> Class {
    let Platform { os, architecture, .. } = platform(node);
    Class { os, architecture, runtime, ..Class::default() }
}

fn platform(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Platform { os: next(), architecture: next(), variant: next(), os_version: String::new() }
}

fn push(to: SocketAddr) -> Result<Vec<Row>, Failure> {
    let child = |architecture| images::image(to, "platforms", architecture, OCI_MANIFEST, architecture, architecture);
    let [amd64, arm64, arm] = [child("amd64")?, child("arm64")?, child("arm")?];
    let mut rows = Vec::new();
    let mut push = |name: &str, child: &Pushed, entry: Option<Platform>| -> Result<(), Failure> {
        let tag = format!("entry-{}", rows.len());
        let mut descriptor = json!({ "mediaType": child.media_type, "digest": child.digest, "size": child.size });
        if let Some(entry) = &entry {
            descriptor["platform"] = written(entry, name.ends_with("os.features").then_some("x"));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor] });
        images::put_manifest(to, "platforms", &tag, OCI_INDEX, &index)?;
        rows.push(Row {
            name: name.to_owned(),
            tag,
            content: Content::Index(vec![Entry { platform: entry, ..Entry::default() }]),
        });
        Ok(())
    };
    for entry in ENTRIES {
        push(entry, &amd64, Some(platform(entry)))?;
    }
    push("linux/amd64 with os.features", &amd64, Some(platform("linux/amd64")))?;
    push(&format!("{NOT_READ} (amd64)"), &amd64, None)?;
    push(&format!("{NOT_READ} (arm64)"), &arm64, None)?;
    push(&format!("{NOT_READ} (arm)"), &arm, None)?;
    Ok(rows)
}

fn written(Platform { os, architecture, variant, .. }: &Platform, feature: Option<&str>) -> Value {
    let mut written = json!({ "os": os, "architecture": architecture });
    if !variant.is_empty() {
        written["variant"] = variant.as_str().into();
    }
    if let Some(feature) = feature {
        written["os.features"] = json!([feature]);
    }
    written
}
