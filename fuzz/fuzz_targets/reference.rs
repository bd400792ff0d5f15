//! An `image:` string. What holds is said in `src/reference.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pullgate_fuzz::count(pullgate_fuzz::reference::property(data));
});
