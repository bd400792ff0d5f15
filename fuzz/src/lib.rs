//! What the fuzz targets assert: each module takes any bytes to a property that holds for them, or panics.
//!
//! The product's own tests include this file and run every committed input through the same functions, so nothing here
//! knows a fuzzer. Each property says whether the input went deep, past the first error: inputs that never do test little.

use std::sync::atomic::{AtomicU64, Ordering};

pub mod admission;
pub mod challenge;
pub mod docker_config;
pub mod error_body;
pub mod hosts_toml;
pub mod manifest;
pub mod reference;
mod registry;
mod text;

/// Takes any bytes; panics where a property does not hold. Whether the bytes reached what lies behind the parser.
pub type Property = fn(&[u8]) -> bool;

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Property); 7] = [
    ("admission", admission::property),
    ("challenge", challenge::property),
    ("docker_config", docker_config::property),
    ("error_body", error_body::property),
    ("hosts_toml", hosts_toml::property),
    ("manifest", manifest::property),
    ("reference", reference::property),
];

static RUNS: AtomicU64 = AtomicU64::new(0);
static DEEP: AtomicU64 = AtomicU64::new(0);

/// Says now and then how many inputs went deep.
pub fn count(deep: bool) {
    let deep = DEEP.fetch_add(u64::from(deep), Ordering::Relaxed) + u64::from(deep);
    let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
    if runs.is_power_of_two() && runs > 1 << 13 {
        eprintln!("# {deep} of {runs} inputs went deep");
    }
}
