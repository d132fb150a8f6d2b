//! The name of the decoded samples of a part: a digest of all that decides about them.

use eosfed_common::canonical::digest_of;
use eosfed_common::digest::Digest;

use crate::dataset::Dataset;
use crate::files::Fingerprint;
use crate::split::Split;

/// Changes when what is stored or what is known of it, or how samples are decoded, changes.
const FORMAT: &str = concat!("eosfed samples 4 ", env!("CARGO_PKG_VERSION"));

/// The digest of the description but the colours of classes, the bands, the names of the samples and the files of a part. A file counts
/// by its path, its size and the times of its last changes: its contents are not read. `entries` are the
/// positions of the part's samples in the data set.
pub(super) fn of_part(dataset: &Dataset, split: Split, bands: &[String], entries: &[u32]) -> Digest {
    let mut fingerprint = Fingerprint::new(FORMAT);
    fingerprint.add(dataset.path().as_os_str().as_encoded_bytes());
    fingerprint.add(digest_of(&(dataset.config().without_looks(), split.name(), bands)).to_hex().as_bytes());
    let mut last = None;
    for entry in entries {
        fingerprint.add(dataset.key(*entry).as_bytes());
        // What is hidden of a tile follows from tiles of other parts.
        dataset.each_hidden(*entry, &mut |number| fingerprint.add(&(number as u64).to_le_bytes()));
        // Neighbouring tiles are of one scene.
        let group = dataset.group(*entry);
        if group.is_some() && group == last {
            continue;
        }
        last = group;
        dataset.each_file(*entry, &mut |file| {
            fingerprint.add_file(file);
            if let Some(stated) = dataset.stated(file) {
                fingerprint.add(format!("{stated:?}").as_bytes());
            }
        });
    }
    fingerprint.finish()
}
