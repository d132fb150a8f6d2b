//! Uploads: whatever the bytes, checking them neither panics nor takes more memory than the file.
#![no_main]

use std::io::Write as _;

use eosfed_common::weights::{Signature, WeightsFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let signature = Signature([("a.weight".to_owned(), vec![2, 3])].into());
    if let Ok(weights) = WeightsFile::open(file.path())
        && let Ok(checked) = weights.check(&signature)
    {
        assert!(checked.values("a.weight").iter().all(f32::is_finite));
    }
});
