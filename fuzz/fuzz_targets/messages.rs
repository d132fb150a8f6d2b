//! Every message of the protocol, in both directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::messages(bytes);
});
