//! Imagery: GeoTIFF, PNG and JPEG of any contents, by each file ending.
#![no_main]

use eosfed_data::{Limits, read_labels, read_raster};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["a.tif", "a.png", "a.jpg"] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("room for it");
        let read = [read_raster(&path, &Limits::default()), read_labels(&path, &Limits::default())];
        for raster in read.into_iter().flatten() {
            assert_eq!(raster.data.len(), raster.width * raster.height * raster.bands);
        }
    }
});
