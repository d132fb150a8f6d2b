//! Writing a map of classes, values or probabilities, tile by tile in any order, so that only one tile of it
//! has to be in memory.

use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::{BufWriter, Seek, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use tiff::encoder::{DirectoryEncoder, TiffEncoder, TiffKind, TiffKindBig, TiffKindStandard};
use tiff::tags::Tag;

use super::map_layout::{MAP_TILE, MapBand, MapKind, MapLayout, PutTile};
use super::overviews::Overview;
use super::write_reference;
use crate::error::DataError;
use crate::xml::escaped;

/// Writes a compressed, tiled GeoTIFF with overviews from the tiles that `fill` puts: a BigTIFF if it may become larger
/// than 4 GiB. Each band has its own tiles. The file is written atomically, and all may read it.
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
    if layout.is_big() {
        write_images::<TiffKindBig, E>(path, file.as_file(), layout, fill)?;
    } else {
        write_images::<TiffKindStandard, E>(path, file.as_file(), layout, fill)?;
    }
    file.persist(path).map_err(|error| fail(&error.error))?;
    Ok(())
}

/// Writes the map and its smaller copies.
fn write_images<K: TiffKind, E: From<DataError>>(
    path: &Path,
    file: &File,
    layout: &MapLayout,
    fill: impl FnOnce(PutTile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let fail = |error: &dyn std::fmt::Display| DataError::file(path, error.to_string());
    let mut encoder = TiffEncoder::<_, K>::new_generic(BufWriter::new(file)).map_err(|error| fail(&error))?;
    let mut next = Overview::of(layout).map_err(|error| fail(&error))?;
    write_image(path, &mut encoder, (layout, false), next.as_ref(), fill)?;
    while let Some(overview) = next {
        next = Overview::of(&overview.layout).map_err(|error| fail(&error))?;
        write_image(path, &mut encoder, (&overview.layout, true), next.as_ref(), |put| {
            overview.tiles(put).map_err(|error| fail(&error))?
        })?;
    }
    Ok(())
}

/// Writes the map itself, or a smaller copy of it, and adds its tiles to the next smaller one.
fn write_image<W: Write + Seek, K: TiffKind, E: From<DataError>>(
    path: &Path,
    encoder: &mut TiffEncoder<W, K>,
    (layout, is_overview): (&MapLayout, bool),
    next: Option<&Overview>,
    fill: impl FnOnce(PutTile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    const REDUCED: u32 = 1;
    let fail = |error: &dyn std::fmt::Display| DataError::file(path, error.to_string());
    let mut directory = encoder.image_directory().map_err(|error| fail(&error))?;
    let count = layout.across() * layout.down();
    let mut places = vec![(0_u64, 0_u64); count * layout.kind.bands()];
    fill(&mut |column, row, pixels| {
        if let Some(next) = next {
            next.add(column, row, pixels).map_err(|error| fail(&error))?;
        }
        for (band, plane) in pixels.chunks_exact(MAP_TILE * MAP_TILE).enumerate() {
            let packed = pack(&layout.kind, plane).map_err(|error| fail(&error))?;
            let offset = directory.write_data(&packed[..]).map_err(|error| fail(&error))?;
            places[band * count + row * layout.across() + column] = (offset, packed.len() as u64);
        }
        Ok(())
    })?;
    if let Some(missing) = places.iter().position(|(_, size)| *size == 0) {
        return Err(fail(&format!("tile {missing} of {} was never written", places.len())).into());
    }
    if is_overview {
        directory.write_tag(Tag::NewSubfileType, REDUCED).map_err(|error| fail(&error))?;
    } else if let Some(words) = metadata(&layout.kind) {
        directory.write_tag(Tag::Unknown(GDAL_METADATA), &words[..]).map_err(|error| fail(&error))?;
    }
    tags(&mut directory, layout, &places).map_err(|error| fail(&error))?;
    directory.finish().map_err(|error| fail(&error))?;
    Ok(())
}

fn pack(kind: &MapKind, pixels: &[f32]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&kind.to_bytes(pixels))?;
    encoder.finish()
}

/// The tag in which GDAL keeps what TIFF has no tag for, as XML.
const GDAL_METADATA: u16 = 42112;

/// Names and units of bands, as GDAL and QGIS read them.
fn metadata(kind: &MapKind) -> Option<String> {
    let bands = match kind {
        MapKind::Classes(_) => return None,
        MapKind::Values(band) => vec![band.clone()],
        MapKind::Percents(classes) => {
            classes.iter().map(|class| MapBand { name: class.clone(), unit: "%".to_owned() }).collect()
        }
    };
    let mut items = String::new();
    for (at, MapBand { name, unit }) in bands.iter().enumerate() {
        for (item, role, text) in [("DESCRIPTION", "description", name), ("UNITTYPE", "unittype", unit)] {
            if !text.is_empty() {
                // GDAL reads the XML, and what is escaped in its texts again.
                let text = escaped(&escaped(text));
                let _ =
                    writeln!(items, "  <Item name=\"{item}\" sample=\"{at}\" role=\"{role}\">{text}</Item>");
            }
        }
    }
    (!items.is_empty()).then(|| format!("<GDALMetadata>\n{items}</GDALMetadata>"))
}

fn tags<W: Write + Seek, K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, W, K>,
    layout: &MapLayout,
    places: &[(u64, u64)],
) -> Result<(), tiff::TiffError> {
    const DEFLATE: u16 = 8;
    const BLACK_IS_ZERO: u16 = 1;
    const PALETTE: u16 = 3;
    const UNSIGNED: u16 = 1;
    const FLOAT: u16 = 3;
    const PLANAR: u16 = 2;
    let tile = u32::try_from(MAP_TILE)?;
    let bands = layout.kind.bands();
    let list = |numbers: &mut dyn Iterator<Item = u64>| {
        numbers.map(|number| K::convert_offset(number)).collect::<Result<Vec<_>, _>>()
    };
    let offsets = list(&mut places.iter().map(|(offset, _)| *offset))?;
    let sizes = list(&mut places.iter().map(|(_, size)| *size))?;
    directory.write_tag(Tag::ImageWidth, u32::try_from(layout.width)?)?;
    directory.write_tag(Tag::ImageLength, u32::try_from(layout.height)?)?;
    directory.write_tag(Tag::Compression, DEFLATE)?;
    directory.write_tag(Tag::SamplesPerPixel, u16::try_from(bands)?)?;
    directory.write_tag(Tag::TileWidth, tile)?;
    directory.write_tag(Tag::TileLength, tile)?;
    directory.write_tag(Tag::TileOffsets, K::convert_slice(&offsets))?;
    directory.write_tag(Tag::TileByteCounts, K::convert_slice(&sizes))?;
    let (bits, format) = match &layout.kind {
        MapKind::Classes(_) | MapKind::Percents(_) => (8_u16, UNSIGNED),
        MapKind::Values(_) => (32, FLOAT),
    };
    directory.write_tag(Tag::BitsPerSample, &vec![bits; bands][..])?;
    directory.write_tag(Tag::SampleFormat, &vec![format; bands][..])?;
    if bands > 1 {
        directory.write_tag(Tag::PlanarConfiguration, PLANAR)?;
        directory.write_tag(Tag::ExtraSamples, &vec![0_u16; bands - 1][..])?;
    }
    match &layout.kind {
        MapKind::Classes(colours) => {
            directory.write_tag(Tag::PhotometricInterpretation, PALETTE)?;
            directory.write_tag(Tag::ColorMap, &colour_map(colours)[..])?;
        }
        MapKind::Values(_) | MapKind::Percents(_) => {
            directory.write_tag(Tag::PhotometricInterpretation, BLACK_IS_ZERO)?;
        }
    }
    let nodata = match &layout.kind {
        MapKind::Classes(_) | MapKind::Percents(_) => MapKind::NO_DATA.to_string(),
        MapKind::Values(_) => "nan".to_owned(),
    };
    directory.write_tag(Tag::GdalNodata, &nodata[..])?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geotiff::GeoTiff;
    use crate::raster::Limits;

    #[test]
    fn a_big_tiff_reads_back_with_all_of_its_bands() {
        let folder = tempfile::tempdir().unwrap();
        let kind = MapKind::Percents(["water", "forêt & <x>"].map(str::to_owned).to_vec());
        let layout = MapLayout { width: 300, height: 20, kind, reference: None };
        let pixel = |band: usize, column: usize, x: usize| ((column * MAP_TILE + x) % 90 + band) as f32;
        let plane = |band: usize, column: usize| {
            (0..MAP_TILE * MAP_TILE).map(move |at| pixel(band, column, at % MAP_TILE))
        };
        let fill = |put: PutTile<'_>| {
            (0..2).try_for_each(|column| {
                put(column, 0, &(0..2).flat_map(|band| plane(band, column)).collect::<Vec<_>>())
            })
        };
        let (small, big) = (folder.path().join("small.tif"), folder.path().join("big.tif"));
        write_map::<DataError>(&small, &layout, fill).unwrap();
        let file = File::create(&big).unwrap();
        write_images::<TiffKindBig, DataError>(&big, &file, &layout, fill).unwrap();
        let starts = [&small, &big].map(|path| std::fs::read(path).unwrap()[..4].to_vec());
        assert_eq!(starts, [b"II*\0".to_vec(), b"II+\0".to_vec()]);
        for path in [&small, &big] {
            let read = GeoTiff::open(path, &Limits::default()).unwrap().whole(&Limits::default()).unwrap();
            assert_eq!((read.width, read.height, read.bands), (300, 20, 2));
            for (at, value) in read.data.iter().enumerate() {
                let (band, x) = (at / 6000, at % 300);
                assert_eq!(*value, pixel(band, x / MAP_TILE, x % MAP_TILE), "{at}");
            }
            let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            assert!(
                text.contains(
                    "<Item name=\"DESCRIPTION\" sample=\"1\" role=\"description\">for&amp;#234;t &amp;amp; &amp;lt;x&amp;gt;</Item>"
                )
            );
            assert!(text.contains("<Item name=\"UNITTYPE\" sample=\"0\" role=\"unittype\">%</Item>"));
        }
    }
}
