//! Room on the disk for a map, which is looked at before a window is computed.

use std::path::Path;

use eosfed_data::MapLayout;
use nix::sys::statvfs::statvfs;

use super::mapping::confidence_layout;
use super::options::PredictOptions;
use crate::ensemble::error::EnsembleError;

/// Checks that a map, and the file beside it that the options ask for, fit on the disk however badly their pixels can be
/// compressed.
///
/// # Errors
/// If there is less room, with both numbers.
pub(super) fn check(options: &PredictOptions, map: &MapLayout) -> Result<(), EnsembleError> {
    let needed = map.room() + if options.confidence { confidence_layout(map).room() } else { 0 };
    let folder =
        options.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    // A folder that is not there is named when the map is written.
    let Ok(found) = statvfs(folder) else { return Ok(()) };
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    lacking(needed, free).map_or(Ok(()), |reason| Err(EnsembleError::file(&options.output, reason)))
}

fn lacking(needed: u64, free: u64) -> Option<String> {
    const MB: u64 = 1_000_000;
    (needed > free).then(|| {
        format!(
            "a map of this size may need {} MB on its disk while it is written, and {} MB are free; make space, or give \
             `--output` a place on another disk",
            needed.div_ceil(MB),
            free / MB
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_named_with_both_numbers() {
        assert_eq!(lacking(5_000_000, 5_000_000), None);
        let said = lacking(5_000_001, 5_000_000).unwrap();
        assert!(said.contains("need 6 MB") && said.contains("5 MB are free"), "{said}");
    }
}
