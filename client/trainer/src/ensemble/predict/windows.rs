//! The windows in which a head sees a scene.

use eosfed_common::head::HeadFile;
use eosfed_common::model::{MapDims, STRIDE};

/// Sides of windows in pixels.
const SIDES: std::ops::RangeInclusive<usize> = 8..=4096;
/// Largest number of windows in a forward pass.
const MAX_BATCH: usize = 16;
/// Largest number of pixels in a forward pass.
const MAX_BATCH_PIXELS: usize = 1 << 18;
/// About the most memory of a forward pass in bytes.
const MAX_BATCH_BYTES: usize = 320 << 20;

/// The layout of windows over a scene, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Pixels that neighbouring windows share.
    pub(super) overlap: usize,
    /// Windows in a forward pass.
    pub(super) batch: usize,
}

impl Windows {
    /// Windows for a head: of this side, or as large as the tiles that the head learned from.
    ///
    /// # Errors
    /// A sentence with the rule and the value found, if the head does not say the size of its tiles, or cannot take
    /// such windows.
    pub(super) fn choose(
        head: &HeadFile,
        side: Option<usize>,
        overlap: Option<usize>,
    ) -> Result<Self, String> {
        let dense = head.task.is_dense();
        let [height, width] = match (side, head.imagery.tile) {
            (Some(side), _) => [side; 2],
            (None, Some(tile)) => tile.map(|side| side as usize),
            (None, None) => {
                return Err(
                    "the head does not state the size of the tiles that it learned from (images, or those of the \
                            institutions, had several sizes); give their side in pixels with `--window`"
                        .to_owned(),
                );
            }
        };
        check_sides(head, [height, width])?;
        let smaller = height.min(width);
        let overlap = overlap.unwrap_or(smaller / 4);
        let (most, rule) = if dense {
            ((smaller - 1) / 2, "less than half the window")
        } else {
            (smaller - 1, "less than the window")
        };
        if overlap > most {
            return Err(format!("the overlap must be {rule}, {smaller}, found `{overlap}`"));
        }
        let resized = head.input_size.map_or(0, |side| (side as usize).pow(2));
        let pixels = (height * width).max(resized);
        let most = MAX_BATCH_PIXELS.min(MAX_BATCH_BYTES / bytes_per_pixel(head));
        let batch = (most / pixels).clamp(1, MAX_BATCH);
        Ok(Self { height, width, overlap, batch })
    }
}

/// About how much memory a forward pass needs for each pixel, in bytes: values, the widest activations of an
/// encoder and of the decoder, the maps of all encoders, and the outputs, each as often as they are in memory.
fn bytes_per_pixel(head: &HeadFile) -> usize {
    const FLOAT: usize = 4;
    let dims = head.encoder_dims();
    let values = 3 * head.bands().len() * head.task.dates();
    // A block is four times as wide as its map, at stride 4.
    let encoder = dims.iter().map(|dims| 4 * 4 * dims[0] / 16).max().unwrap_or_default();
    let of_map = |dims: &MapDims| (0..4).map(|level| (3 * dims[level]) >> (4 + 2 * level)).sum::<usize>();
    let maps = dims.iter().map(of_map).sum::<usize>() * head.task.dates();
    // Four levels at stride 4, as they are, side by side, and fused.
    let decoder = if head.task.is_dense() { 3 * 4 * head.decoder_channels.get() / 16 } else { 0 };
    let outputs = 4 * head.classes.len().max(1);
    FLOAT * (values + encoder + maps + decoder + outputs)
}

fn check_sides(head: &HeadFile, sides: [usize; 2]) -> Result<(), String> {
    // Windows that are resized may have any size.
    let step = if head.input_size.is_some() { 1 } else { STRIDE as usize };
    match sides.into_iter().find(|side| !SIDES.contains(side) || !side.is_multiple_of(step)) {
        None => Ok(()),
        Some(side) => Err(format!(
            "a window must be {}between {} and {} pixels wide, found `{side}`",
            if step == 1 { "" } else { "a multiple of 32 " },
            step.max(*SIDES.start()),
            SIDES.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::head::Imagery;

    use super::*;

    fn head(task: &str, input_size: Option<u32>, tile: Option<[u32; 2]>) -> HeadFile {
        let json = serde_json::json!({
            "name": "h", "release": 1, "encoders": [], "task": task, "classes": ["a", "b"], "input_size": input_size,
            "samples": 0, "training": null
        });
        let head: HeadFile = serde_json::from_value(json).unwrap();
        HeadFile { imagery: Imagery { tile, ..Imagery::default() }, ..head }
    }

    fn fails(found: Result<Windows, String>, words: &str) {
        let error = found.unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn windows_are_as_large_as_the_tiles_of_the_training() {
        let size = |head: &HeadFile| {
            Windows::choose(head, None, None)
                .map(|windows| [windows.height, windows.width, windows.overlap, windows.batch])
        };
        assert_eq!(size(&head("segmentation", None, Some([64, 64]))), Ok([64, 64, 16, 16]));
        assert_eq!(size(&head("segmentation", None, Some([64, 96]))), Ok([64, 96, 16, 16]));
        // Tiles that are resized may have any size. The batch depends on the resized one.
        assert_eq!(size(&head("regression", Some(256), Some([30, 30]))), Ok([30, 30, 7, 4]));
        assert_eq!(size(&head("classification", Some(64), Some([120, 120]))), Ok([120, 120, 30, 16]));
        for task in ["segmentation", "classification"] {
            fails(Windows::choose(&head(task, None, None), None, None), "`--window`");
        }
        fails(Windows::choose(&head("segmentation", None, Some([5000; 2])), None, None), "found `5000`");
    }

    #[test]
    fn fewer_windows_are_computed_at_once_where_each_needs_more_memory() {
        let batch = |classes: usize| {
            let head = head("segmentation", None, Some([128, 128]));
            let classes = (0..classes).map(|class| class.to_string()).collect();
            Windows::choose(&HeadFile { classes, ..head }, None, None).unwrap().batch
        };
        assert_eq!((batch(2), batch(10), batch(250)), (16, 16, 4));
    }

    #[test]
    fn windows_are_what_the_head_can_take() {
        let choose = |task, input, side, overlap| Windows::choose(&head(task, input, None), side, overlap);
        let side = |found: Result<Windows, String>| {
            found.map(|windows| (windows.height, windows.width, windows.overlap))
        };
        assert_eq!(side(choose("segmentation", None, Some(64), Some(31))), Ok((64, 64, 31)));
        fails(choose("segmentation", None, Some(64), Some(32)), "less than half the window, 64, found `32`");
        fails(
            choose("segmentation", None, Some(100), None),
            "a multiple of 32 between 32 and 4096 pixels wide, found `100`",
        );
        assert_eq!(side(choose("classification", None, Some(64), Some(56))), Ok((64, 64, 56)));
        assert_eq!(side(choose("classification", Some(128), Some(120), None)), Ok((120, 120, 30)));
        fails(choose("classification", None, Some(120), None), "found `120`");
        fails(choose("classification", None, Some(64), Some(64)), "less than the window, 64, found `64`");
        assert_eq!(side(choose("multilabel", Some(128), Some(120), Some(100))), Ok((120, 120, 100)));
    }
}
