//! Room on the disk for a map, which is looked at before a window is computed.

use eosfed_common::files::{folder_of, free_bytes};
use eosfed_common::quantity::{bytes, bytes_apart};
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
    if free < least {
        let [least, free] = bytes_apart(least, free);
        return Err(format!(
            "a map of this size needs at least {least} on its disk while it is written, however well its pixels can be \
             compressed, and {free} are free; make space, or give `--output` a place on another disk"
        ));
    }
    Ok((free < most).then(|| {
        let [most, free] = bytes_apart(most, free);
        let least = bytes(least);
        format!(
            "a map of this size needs {least} to {most} on its disk while it is written, by how well its pixels can \
             be compressed, and {free} are free; if the disk becomes full, the run ends with an error and keeps nothing \
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
        assert!(said.contains("at least 2 MB") && said.contains("1.999999 MB are free"), "{said}");
        for free in [2_000_000, 11_999_999] {
            let said = compare(free).unwrap().unwrap();
            assert!(said.contains("needs 2 MB to 12 MB"), "{said}");
        }
        assert_eq!(compare(12_000_000), Ok(None));
    }
}
