//! What a site keeps: the record of spent privacy, the counts of limits, the site log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::site(bytes);
});
