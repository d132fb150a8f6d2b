//! What is decided about a file before GDAL opens it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::before_gdal(bytes);
});
