//! LERC (Esri's Limited Error Raster Compression), alone or compressed once more.

use eosfed_common::counted::counted;
use lerc::bitmask::BitMask;
use lerc::{LercError, Sample, decode_info, decode_into, decode_into_with_nodata};

use super::{Codec, Shape, deflate, zstd};
use crate::geotiff::values::Values;

/// Fills `into` with the numbers of a LERC blob.
///
/// # Errors
/// If it is damaged, or of another shape or type, or whole numbers have no value somewhere.
pub(in crate::geotiff) fn lerc(
    more: Codec,
    packed: &[u8],
    into: &mut Values,
    shape: Shape,
) -> Result<(), String> {
    let mut unpacked = Vec::new();
    let blob = if more == Codec::None {
        packed
    } else {
        // What LERC cannot make smaller it stores, with a header and a mask.
        unpacked.resize(into.size() + into.size() / 2 + 1024, 0);
        let unpack = if more == Codec::Zstd { zstd::unpack_some } else { deflate::unpack_some };
        let length = unpack(packed, &mut unpacked)?;
        &unpacked[..length]
    };
    let info = decode_info(blob).map_err(|error| failed(&error))?;
    let found = [info.width, info.height, info.depth, info.bands].map(|length| length as usize);
    let [width, height, depth, bands] = found;
    // libtiff stores the numbers of a pixel together, or band by band if not all miss the same pixels.
    let together = bands == 1 || depth == 1;
    if [width, height, depth.saturating_mul(bands)] != [shape.width, shape.height, shape.samples] || !together
    {
        return Err(format!(
            "its LERC blob must have {}x{} pixels of {} numbers, found `{width}x{height}` of `{depth}` in {}",
            shape.width,
            shape.height,
            shape.samples,
            counted(bands, "band")
        ));
    }
    match into {
        Values::U8(v) => whole(blob, v, bands),
        Values::U16(v) => whole(blob, v, bands),
        Values::U32(v) => whole(blob, v, bands),
        Values::I8(v) => whole(blob, v, bands),
        Values::I16(v) => whole(blob, v, bands),
        Values::I32(v) => whole(blob, v, bands),
        // Floats without a value are NaN.
        Values::F32(v) => floats(blob, v, bands, f32::NAN),
        Values::F64(v) => floats(blob, v, bands, f64::NAN),
        Values::F16(_)
        | Values::U64(_)
        | Values::I64(_)
        | Values::ComplexI16(_)
        | Values::ComplexI32(_)
        | Values::ComplexF32(_)
        | Values::ComplexF64(_) => Err("LERC has no such numbers".to_owned()),
    }
}

fn failed(error: &LercError) -> String {
    format!("its LERC blob: {error}")
}

fn floats<T: Sample>(blob: &[u8], into: &mut [T], bands: usize, nan: T) -> Result<(), String> {
    decode_into_with_nodata(blob, into, nan).map_err(|error| failed(&error))?;
    interleave(into, bands);
    Ok(())
}

fn whole<T: Sample>(blob: &[u8], into: &mut [T], bands: usize) -> Result<(), String> {
    let found = decode_into(blob, into).map_err(|error| failed(&error))?;
    if !found.valid_masks.iter().all(BitMask::is_all_valid) {
        return Err("its LERC blob must give every whole number a value, found pixels without".to_owned());
    }
    interleave(into, bands);
    Ok(())
}

/// Brings the numbers of a pixel together.
fn interleave<T: Copy>(values: &mut [T], bands: usize) {
    if bands < 2 {
        return;
    }
    let stored = values.to_vec();
    let size = stored.len() / bands;
    for (at, value) in values.iter_mut().enumerate() {
        *value = stored[at % bands * size + at / bands];
    }
}
