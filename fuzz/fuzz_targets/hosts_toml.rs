//! The text of a `hosts.toml`. What holds is said in `src/hosts_toml.rs`.
#![no_main]

#[path = "../lines.rs"]
mod lines;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pullgate_fuzz::count(pullgate_fuzz::hosts_toml::property(data));
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    lines::mutate(data, size, max_size, seed)
});
