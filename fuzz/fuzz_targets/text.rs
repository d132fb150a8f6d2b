//! Short texts: tokens, ids, certificates, a proxy's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::text(bytes);
});
