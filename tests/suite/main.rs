//! The hermetic tests: one binary, a module for each subject. Loopback only.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod caching;
mod command_line;
mod corpus;
mod dialogue;
mod gate;
mod hostile;
mod layering;
mod logins;
mod mirrors;
mod modes;
mod node_credentials;
mod oracle;
mod pinning;
mod platforms;
mod schema_drift;
mod starting;
mod support;
mod surviving;
mod tenancy;
mod webhook;
mod words;
