//! The hermetic tests: one binary, a module for each subject. Loopback only.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod attacks;
mod caching;
mod callers;
mod canary;
mod chart;
mod command_line;
mod commands;
mod corpus;
mod dialects;
mod dialogue;
mod expiry;
mod gate;
mod layering;
mod logins;
mod meant;
mod mirrors;
mod model;
mod modes;
mod node_credentials;
mod observability;
mod oracle;
mod pages;
mod pinning;
mod platforms;
mod probes;
mod schema_drift;
mod served;
mod starting;
mod suggestions;
mod support;
mod surviving;
mod tenancy;
#[cfg(feature = "otlp")]
mod traces;
mod unreachable;
mod webhook;
mod words;
