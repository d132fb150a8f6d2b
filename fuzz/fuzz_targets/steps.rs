//! Files of encoded steps.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::steps(bytes);
});
