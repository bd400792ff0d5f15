//! An `AdmissionReview` to its patch. What holds is said in `src/admission.rs`.
#![no_main]

#[path = "../json.rs"]
mod json;

use libfuzzer_sys::Corpus;

/// What is no JSON is run and, unless it is short, not kept: the corpus would be full of damaged reviews.
const SHORT: usize = 400;

libfuzzer_sys::fuzz_target!(|data: &[u8]| -> Corpus {
    let deep = pullgate_fuzz::admission::property(data);
    pullgate_fuzz::count(deep);
    let json = || serde_json::from_slice::<serde_json::Value>(data.get(1..).unwrap_or_default()).is_ok();
    if deep || data.len() < SHORT || json() { Corpus::Keep } else { Corpus::Reject }
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});
