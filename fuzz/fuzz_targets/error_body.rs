//! The body of a refusal. What holds is said in `src/error_body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pullgate_fuzz::count(pullgate_fuzz::error_body::property(data));
});
