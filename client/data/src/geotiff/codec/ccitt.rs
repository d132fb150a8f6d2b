//! CCITT T.6 (Group 4). A black pixel is 1, as GDAL gives it.

use std::convert::Infallible;

use fax::decoder::{DecodeStatus, Group4Decoder};

use super::Shape;

pub(super) fn unpack(packed: &[u8], into: &mut [u8], shape: Shape) -> Result<(), String> {
    let width = u32::try_from(shape.width).map_err(|error| error.to_string())?;
    let bytes = packed.iter().map(|byte| Ok::<_, Infallible>(*byte));
    let Ok(mut decoder) = Group4Decoder::new(bytes, width);
    let row = shape.width.div_ceil(8);
    for (at, line) in into.chunks_exact_mut(row).enumerate() {
        match decoder.advance() {
            Ok(DecodeStatus::Incomplete) => {}
            Ok(DecodeStatus::End) => {
                return Err(format!("its CCITT stream must have {} rows, found `{at}`", shape.height));
            }
            Err(_) => return Err(format!("its CCITT stream is damaged in row {at}")),
        }
        line.fill(0);
        // Colours change at these columns, the first time from white to black.
        for run in decoder.transition().chunks(2) {
            let from = run[0].min(width);
            let to = run.get(1).map_or(width, |to| (*to).min(width));
            (from..to).for_each(|x| line[x as usize / 8] |= 0x80 >> (x % 8));
        }
    }
    Ok(())
}
