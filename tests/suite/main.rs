//! The hermetic tests: one binary, a module for each subject. Loopback only.
#![allow(clippy::expect_used, reason = "a test that cannot go on says why")]

mod caching;
mod dialogue;
mod hostile;
mod layering;
mod logins;
mod support;
mod tenancy;
