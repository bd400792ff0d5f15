//! `WWW-Authenticate` lines. What holds is said in `src/challenge.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pullgate_fuzz::count(pullgate_fuzz::challenge::property(data));
});
