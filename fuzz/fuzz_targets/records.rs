//! Records in JSON: cards, releases, heads, events, the journal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::records(bytes);
});
