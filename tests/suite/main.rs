//! Hermetic tests.
