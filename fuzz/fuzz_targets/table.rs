//! The index of a data set in CSV.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::table(bytes);
});
