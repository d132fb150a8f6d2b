//! Room on the disk for a map, which is looked at before a window is computed.

use eosfed_common::files::{folder_of, free_bytes};
use eosfed_data::MapLayout;

use super::mapping::confidence_layout;
use super::options::PredictOptions;
use crate::ensemble::error::EnsembleError;

/// Compares the disk with what a map, and the file beside it that the options ask for, can need there. How much that is
/// depends on how well pixels can be compressed, which is known only when they are there. Gives a warning if the disk may
/// become full.
///
/// # Errors
/// If there is less room than every such map needs, with both numbers.
pub(super) fn check(options: &PredictOptions, map: &MapLayout) -> Result<Option<String>, EnsembleError> {
    let confidence = options.confidence.then(|| confidence_layout(map));
    let of_all = |room: fn(&MapLayout) -> u64| room(map) + confidence.as_ref().map_or(0, room);
    // A folder that is not there is named when the map is written.
    let Ok(free) = free_bytes(folder_of(&options.output)) else { return Ok(None) };
    compare(of_all(MapLayout::least_room), of_all(MapLayout::room), free)
        .map_err(|reason| EnsembleError::file(&options.output, reason))
}

/// Whether so many free bytes suffice; a warning if that depends on the pixels.
fn compare(least: u64, most: u64, free: u64) -> Result<Option<String>, String> {
    const MB: f64 = 1e6;
    let [least_mb, most_mb, free_mb] = [least, most, free].map(|bytes| bytes as f64 / MB);
    if free < least {
        return Err(format!(
            "a map of this size needs at least {least_mb:.1} MB on its disk while it is written, however well its pixels can be \
             compressed, and {free_mb:.1} MB are free; make space, or give `--output` a place on another disk"
        ));
    }
    Ok((free < most).then(|| {
        format!(
            "a map of this size needs {least_mb:.1} to {most_mb:.1} MB on its disk while it is written, by how well its pixels can \
             be compressed, and {free_mb:.1} MB are free; if the disk becomes full, the run ends with an error and keeps nothing \
             of this map"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disk_on_which_no_such_map_fits_is_refused() {
        let compare = |free| compare(2_000_000, 12_000_000, free);
        let said = compare(1_999_999).unwrap_err();
        assert!(said.contains("at least 2.0 MB") && said.contains("2.0 MB are free"), "{said}");
        for free in [2_000_000, 11_999_999] {
            let said = compare(free).unwrap().unwrap();
            assert!(said.contains("needs 2.0 to 12.0 MB"), "{said}");
        }
        assert_eq!(compare(12_000_000), Ok(None));
    }
}
