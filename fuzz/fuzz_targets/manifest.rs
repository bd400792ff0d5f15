//! A manifest or an index, and a configuration. What holds is said in `src/manifest.rs`.
#![no_main]

#[path = "../json.rs"]
mod json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pullgate_fuzz::count(pullgate_fuzz::manifest::property(data));
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});
