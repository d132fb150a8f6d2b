//! Settings of both programs, site policies, descriptions of data sets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::settings(bytes);
});
