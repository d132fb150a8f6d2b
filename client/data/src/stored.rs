//! Numbers of PNG files as they are stored. A grey file of fewer than eight bits gives the number itself, not stretched to
//! 255; an indexed-colour file that holds a mask the index of each pixel, not its colour.
//!
//! Colours of images are read elsewhere.

use std::io::BufReader;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Transformations};

use crate::error::DataError;
use crate::geotiff::Role;
use crate::open::open_regular;
use crate::raster::{Limits, Raster};

/// The stored numbers of a narrow grey PNG, and of a mask also those of an indexed one; `None` for any other PNG. In an image,
/// the grey that is transparent is missing.
pub(crate) fn read_stored(role: Role, path: &Path, limits: &Limits) -> Result<Option<Raster>, DataError> {
    let fail = |error: png::DecodingError| DataError::file(path, error);
    let file = BufReader::new(open_regular(path)?);
    let bytes = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(file, png::Limits { bytes });
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(fail)?;
    let (color, depth) = reader.output_color_type();
    let narrow = matches!(depth, BitDepth::One | BitDepth::Two | BitDepth::Four);
    let is_image = role == Role::Image;
    if !((color == ColorType::Indexed && !is_image) || (color == ColorType::Grayscale && narrow)) {
        return Ok(None);
    }
    let [width, height] = [reader.info().width, reader.info().height];
    let transparent = reader.info().trns.as_deref().filter(|_| is_image && color == ColorType::Grayscale);
    let transparent = transparent.and_then(|grey| grey.last()).map(|grey| f32::from(*grey));
    limits.check(path, width, height, 1)?;
    let too_large = || DataError::file(path, "an image of this size does not fit into memory");
    let mut packed = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let frame = reader.next_frame(&mut packed).map_err(fail)?;
    let width = width as usize;
    let height = height as usize;
    let rows = packed.chunks_exact(frame.line_size.max(1)).take(height);
    let shown = |number| if Some(number) == transparent { f32::NAN } else { number };
    let data = rows.flat_map(|row| numbers(row, depth as usize, width)).map(shown).collect();
    Ok(Some(Raster { width, height, bands: 1, data, reference: None }))
}

/// The numbers of `bits` each in a row, the first in the highest bits; rows begin at a byte.
fn numbers(row: &[u8], bits: usize, width: usize) -> impl Iterator<Item = f32> {
    let in_byte = 8 / bits;
    let most = u8::MAX >> (8 - bits);
    (0..width).map(move |x| {
        let shift = 8 - bits * (x % in_byte + 1);
        f32::from((row[x / in_byte] >> shift) & most)
    })
}
