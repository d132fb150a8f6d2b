//! Uploads in any order, against a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::blobs(bytes);
});
