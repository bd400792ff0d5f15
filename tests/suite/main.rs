//! The hermetic tests: one binary, a module for each subject. Loopback only.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod attacks;
mod caching;
mod chart;
mod callers;
mod command_line;
mod corpus;
mod dialects;
mod dialogue;
mod expiry;
mod gate;
mod layering;
mod logins;
mod mirrors;
mod model;
mod modes;
mod node_credentials;
mod oracle;
mod pages;
mod pinning;
mod platforms;
mod probes;
mod schema_drift;
mod starting;
mod suggestions;
mod support;
mod surviving;
mod tenancy;
mod webhook;
mod words;
