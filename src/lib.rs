//! pullgate: a Kubernetes admission webhook that says at `kubectl apply` what the kubelet would say minutes later.
//!
//! ```text
//! AdmissionReview ─▶ workload ─▶ images ─▶ credentials ─▶ resolver (cache) ─▶ registry
//!                                                              │
//! AdmissionReview ◀─ response ◀─ verdict ◀─ findings ◀─────────┘
//! ```
//!
//! The modules stand in the order of that flow. The pure ones (no async, no clock, no I/O) are held to it by
//! `tests/suite/layering.rs`. What no fuzz target reaches is left out of a fuzz build (`cfg(fuzzing)`, set by cargo-fuzz),
//! which takes minutes less without it.

// the two faces, and what they are started with
pub mod admission;
#[cfg(not(fuzzing))]
pub mod args;
#[cfg(not(fuzzing))]
pub mod cli;
#[cfg(not(fuzzing))]
pub mod demo;
pub mod doctor;
pub mod server;
// its own certificates
pub mod certificates;
#[cfg(not(fuzzing))]
pub mod keeper;
// what is asked
pub mod kubernetes_name;
pub mod manifests;
pub mod reference;
pub mod workload;
pub mod yaml;
// with which rules
pub mod config;
pub mod policy;
// as whom
pub mod cluster;
pub mod credentials;
pub mod grants;
pub mod node_credentials;
pub mod nodes;
// where, and what came of it
pub mod facts;
pub mod registry;
pub mod resolver;
// what that means
pub mod check;
pub mod finding;
pub mod message;
pub mod output;
pub mod printable;
pub mod suggest;
pub mod verdict;
// around it
mod go_duration;
mod go_json;
mod go_time;
pub mod metrics;
pub mod telemetry;
pub mod time;
