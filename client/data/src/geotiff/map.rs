//! Writing a map of classes or values, tile by tile in any order, so that only one tile of it
//! has to be in memory.

use std::fs::Permissions;
use std::io::{BufWriter, Seek, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use tiff::encoder::TiffEncoder;
use tiff::tags::Tag;

use super::map_layout::{MAP_TILE, MapKind, MapLayout, PutTile};
use super::overviews::Overview;
use super::write_reference;
use crate::error::DataError;

/// Writes a compressed, tiled GeoTIFF with overviews from the tiles that `fill` puts. The file is written atomically,
/// and all may read it.
///
/// # Errors
/// What `fill` gives, or if a tile is missing or the file cannot be written.
pub fn write_map<E: From<DataError>>(
    path: &Path,
    layout: &MapLayout,
    fill: impl FnOnce(PutTile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let fail = |error: &dyn std::fmt::Display| DataError::file(path, error.to_string());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let public = Permissions::from_mode(0o644);
    let file =
        tempfile::Builder::new().permissions(public).tempfile_in(folder).map_err(|error| fail(&error))?;
    {
        let mut encoder = TiffEncoder::new(BufWriter::new(file.as_file())).map_err(|error| fail(&error))?;
        let mut next = Overview::of(layout).map_err(|error| fail(&error))?;
        write_image(path, &mut encoder, (layout, false), next.as_ref(), fill)?;
        while let Some(overview) = next {
            next = Overview::of(&overview.layout).map_err(|error| fail(&error))?;
            write_image(path, &mut encoder, (&overview.layout, true), next.as_ref(), |put| {
                overview.tiles(put).map_err(|error| fail(&error))?
            })?;
        }
    }
    file.persist(path).map_err(|error| fail(&error.error))?;
    Ok(())
}

/// Writes the map itself, or a smaller copy of it, and adds its tiles to the next smaller one.
fn write_image<W: Write + Seek, E: From<DataError>>(
    path: &Path,
    encoder: &mut TiffEncoder<W>,
    (layout, is_overview): (&MapLayout, bool),
    next: Option<&Overview>,
    fill: impl FnOnce(PutTile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    const REDUCED: u32 = 1;
    let fail = |error: &dyn std::fmt::Display| DataError::file(path, error.to_string());
    let mut directory = encoder.image_directory().map_err(|error| fail(&error))?;
    let count = layout.across() * layout.down();
    let mut offsets = vec![0_u32; count];
    let mut sizes = vec![0_u32; count];
    fill(&mut |column, row, pixels| {
        if let Some(next) = next {
            next.add(column, row, pixels).map_err(|error| fail(&error))?;
        }
        let packed = pack(&layout.kind, pixels).map_err(|error| fail(&error))?;
        let offset = directory.write_data(&packed[..]).map_err(|error| fail(&error))?;
        let at = row * layout.across() + column;
        offsets[at] = u32::try_from(offset).map_err(|_| fail(&"the map is larger than TIFF allows"))?;
        sizes[at] = u32::try_from(packed.len()).map_err(|error| fail(&error))?;
        Ok(())
    })?;
    if let Some(missing) = sizes.iter().position(|size| *size == 0) {
        return Err(fail(&format!("tile {missing} of {count} was never written")).into());
    }
    if is_overview {
        directory.write_tag(Tag::NewSubfileType, REDUCED).map_err(|error| fail(&error))?;
    }
    tags(&mut directory, layout, &offsets, &sizes).map_err(|error| fail(&error))?;
    directory.finish().map_err(|error| fail(&error))?;
    Ok(())
}

fn pack(kind: &MapKind, pixels: &[f32]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    match kind {
        MapKind::Classes(_) => {
            encoder.write_all(&pixels.iter().map(|class| *class as u8).collect::<Vec<_>>())?;
        }
        MapKind::Values => {
            encoder.write_all(&pixels.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<_>>())?;
        }
    }
    encoder.finish()
}

fn tags<W: Write + Seek>(
    directory: &mut tiff::encoder::DirectoryEncoder<'_, W, tiff::encoder::TiffKindStandard>,
    layout: &MapLayout,
    offsets: &[u32],
    sizes: &[u32],
) -> Result<(), tiff::TiffError> {
    const DEFLATE: u16 = 8;
    const BLACK_IS_ZERO: u16 = 1;
    const PALETTE: u16 = 3;
    const UNSIGNED: u16 = 1;
    const FLOAT: u16 = 3;
    let tile = u32::try_from(MAP_TILE)?;
    directory.write_tag(Tag::ImageWidth, u32::try_from(layout.width)?)?;
    directory.write_tag(Tag::ImageLength, u32::try_from(layout.height)?)?;
    directory.write_tag(Tag::Compression, DEFLATE)?;
    directory.write_tag(Tag::SamplesPerPixel, 1_u16)?;
    directory.write_tag(Tag::TileWidth, tile)?;
    directory.write_tag(Tag::TileLength, tile)?;
    directory.write_tag(Tag::TileOffsets, offsets)?;
    directory.write_tag(Tag::TileByteCounts, sizes)?;
    match &layout.kind {
        MapKind::Classes(colours) => {
            directory.write_tag(Tag::BitsPerSample, 8_u16)?;
            directory.write_tag(Tag::SampleFormat, UNSIGNED)?;
            directory.write_tag(Tag::PhotometricInterpretation, PALETTE)?;
            directory.write_tag(Tag::ColorMap, &colour_map(colours)[..])?;
            directory.write_tag(Tag::GdalNodata, "255")?;
        }
        MapKind::Values => {
            directory.write_tag(Tag::BitsPerSample, 32_u16)?;
            directory.write_tag(Tag::SampleFormat, FLOAT)?;
            directory.write_tag(Tag::PhotometricInterpretation, BLACK_IS_ZERO)?;
            directory.write_tag(Tag::GdalNodata, "nan")?;
        }
    }
    match &layout.reference {
        Some(reference) => write_reference(directory, reference),
        None => Ok(()),
    }
}

/// 256 reds, then greens, then blues, of 16 bits each (TIFF 6.0, section 5).
fn colour_map(colours: &[[u8; 3]]) -> Vec<u16> {
    let wide = |channel: usize, index: usize| colours.get(index).map_or(0, |c| u16::from(c[channel]) * 257);
    (0..3).flat_map(|channel| (0..256).map(move |index| wide(channel, index))).collect()
}
