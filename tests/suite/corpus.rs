//! Every input that is committed for the fuzz targets, through the very properties that the targets assert. What a fuzzer
//! once found stays here without one.

use std::fs;
use std::path::{Path, PathBuf};

use self::properties::TARGETS;

#[allow(dead_code, unreachable_pub, clippy::pedantic, clippy::panic, reason = "the library of the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod properties;

/// Files and bytes of one corpus at most: it is read by every run of the tests.
const MAX_FILES: usize = 300;
const MAX_BYTES: u64 = 300 * 1024;

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target)
}

/// The files of a folder in order; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Runs the inputs of a folder, naming the one that fails; how many came past the parser.
fn run(property: properties::Property, inputs: &[PathBuf]) -> usize {
    let one = |input: &PathBuf| {
        let data = fs::read(input).expect("a committed input");
        let result = std::panic::catch_unwind(|| property(&data));
        assert!(result.is_ok(), "the property does not hold for {}", input.display());
        result.is_ok_and(|deep| deep)
    };
    inputs.iter().filter(|input| one(input)).count()
}

/// Corpus and findings of one target; enough of the corpus must go deep, and not all.
fn holds(name: &str) {
    let (_, property) = TARGETS.into_iter().find(|(target, _)| *target == name).expect("a target");
    run(property, &files(&folder("findings", name)));
    let inputs = files(&folder("corpus", name));
    let deep = run(property, &inputs);
    assert!(inputs.len() >= 40, "{} inputs", inputs.len());
    assert!(deep >= 15 && deep < inputs.len(), "{deep} of {} inputs go deep", inputs.len());
}

#[test]
fn reviews_keep_the_property_of_their_target() {
    holds("admission");
}

#[test]
fn challenges_keep_the_property_of_their_target() {
    holds("challenge");
}

#[test]
fn docker_configs_keep_the_property_of_their_target() {
    holds("docker_config");
}

#[test]
fn error_bodies_keep_the_property_of_their_target() {
    holds("error_body");
}

#[test]
fn hosts_files_keep_the_property_of_their_target() {
    holds("hosts_toml");
}

#[test]
fn manifests_keep_the_property_of_their_target() {
    holds("manifest");
}

#[test]
fn references_keep_the_property_of_their_target() {
    holds("reference");
}

#[test]
fn a_corpus_stays_small_and_belongs_to_a_target() {
    for (target, _) in TARGETS {
        let inputs = files(&folder("corpus", target));
        let bytes: u64 = inputs.iter().map(|input| fs::metadata(input).expect("a committed input").len()).sum();
        assert!(inputs.len() <= MAX_FILES && bytes <= MAX_BYTES, "{target}: {} files, {bytes} bytes", inputs.len());
    }
    for kind in ["corpus", "findings"] {
        for path in files(&folder(kind, "")) {
            let known = TARGETS.iter().any(|(target, _)| path.ends_with(target));
            assert!(known, "{} is no target", path.display());
        }
    }
}
