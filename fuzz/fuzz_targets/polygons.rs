//! Files of polygons: GeoJSON of any contents.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eosfed_fuzz_harness::polygons(bytes);
});
