//! The tags of the images of a map, and the words in front of them.

use tiff::TiffError;
use tiff::tags::Tag;

use super::head::{ImageTags, Width};
use super::items::Items;
use super::map_layout::{MAP_TILE, MapBand, MapKind, MapLayout};
use super::metadata::GDAL_METADATA;
use super::write_reference;

/// Where tiles are in a file, and how many bytes they have.
#[derive(Clone, Default)]
pub(super) struct Places {
    pub(super) offsets: Vec<u64>,
    pub(super) sizes: Vec<u64>,
}

impl Places {
    /// Of so many tiles whose places are not known yet.
    pub(super) fn unknown(tiles: usize) -> Self {
        Self { offsets: vec![0; tiles], sizes: vec![0; tiles] }
    }

    pub(super) fn push(&mut self, offset: u64, size: usize) {
        self.offsets.push(offset);
        self.sizes.push(size as u64);
    }
}

/// What a Cloud Optimized GeoTIFF says of its order between its first bytes and its first directory (GDAL's COG driver,
/// "Header ghost area"): readers then need no table of tiles to find the end of one.
pub(super) fn ghost(bands: usize) -> String {
    // After `NO` is a space, so that who changes the file can write `YES`.
    let mut order = "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n\
                     BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
        .to_owned();
    if bands > 1 {
        order.push_str("INTERLEAVE=BAND\n");
    }
    format!("GDAL_STRUCTURAL_METADATA_SIZE={:06} bytes\n{order}", order.len())
}

/// Names and units of bands, as GDAL and QGIS read them.
fn metadata(kind: &MapKind) -> Option<String> {
    let bands = match kind {
        MapKind::Classes(_) => return None,
        MapKind::Values(band) => vec![band.clone()],
        MapKind::Percents(classes) => {
            classes.iter().map(|class| MapBand { name: class.clone(), unit: "%".to_owned() }).collect()
        }
    };
    let mut items = Items::default();
    for (at, MapBand { name, unit }) in bands.iter().enumerate() {
        items.description(at, name);
        items.add(&format!("name=\"UNITTYPE\" sample=\"{at}\" role=\"unittype\""), unit);
    }
    items.xml()
}

/// The tags of a map, or of a smaller copy of it.
///
/// # Errors
/// If a number is larger than its tag can be.
pub(super) fn tags(
    layout: &MapLayout,
    is_overview: bool,
    width: Width,
    places: &Places,
) -> Result<ImageTags, TiffError> {
    const REDUCED: u32 = 1;
    const DEFLATE: u16 = 8;
    const BLACK_IS_ZERO: u16 = 1;
    const PALETTE: u16 = 3;
    const UNSIGNED: u16 = 1;
    const FLOAT: u16 = 3;
    const PLANAR: u16 = 2;
    let tile = u32::try_from(MAP_TILE)?;
    let bands = layout.kind.bands();
    let mut tags = ImageTags::default();
    if is_overview {
        tags.put(Tag::NewSubfileType, REDUCED);
    } else if let Some(words) = metadata(&layout.kind) {
        tags.put(Tag::Unknown(GDAL_METADATA), &words[..]);
    }
    tags.put(Tag::ImageWidth, u32::try_from(layout.width)?);
    tags.put(Tag::ImageLength, u32::try_from(layout.height)?);
    tags.put(Tag::Compression, DEFLATE);
    tags.put(Tag::SamplesPerPixel, u16::try_from(bands)?);
    tags.put(Tag::TileWidth, tile);
    tags.put(Tag::TileLength, tile);
    width.put(&mut tags, Tag::TileOffsets, &places.offsets)?;
    width.put(&mut tags, Tag::TileByteCounts, &places.sizes)?;
    let (bits, format) = match &layout.kind {
        MapKind::Classes(_) | MapKind::Percents(_) => (8_u16, UNSIGNED),
        MapKind::Values(_) => (32, FLOAT),
    };
    tags.put(Tag::BitsPerSample, &vec![bits; bands][..]);
    tags.put(Tag::SampleFormat, &vec![format; bands][..]);
    if bands > 1 {
        tags.put(Tag::PlanarConfiguration, PLANAR);
        tags.put(Tag::ExtraSamples, &vec![0_u16; bands - 1][..]);
    }
    match &layout.kind {
        MapKind::Classes(colours) => {
            tags.put(Tag::PhotometricInterpretation, PALETTE);
            tags.put(Tag::ColorMap, &colour_map(colours)[..]);
        }
        MapKind::Values(_) | MapKind::Percents(_) => {
            tags.put(Tag::PhotometricInterpretation, BLACK_IS_ZERO);
        }
    }
    let nodata = match &layout.kind {
        MapKind::Classes(_) | MapKind::Percents(_) => MapKind::NO_DATA.to_string(),
        MapKind::Values(_) => "nan".to_owned(),
    };
    tags.put(Tag::GdalNodata, &nodata[..]);
    if let Some(reference) = &layout.reference {
        write_reference(&mut tags, reference)?;
    }
    Ok(tags)
}

/// 256 reds, then greens, then blues, of 16 bits each (TIFF 6.0, section 5).
fn colour_map(colours: &[[u8; 3]]) -> Vec<u16> {
    let wide = |channel: usize, index: usize| colours.get(index).map_or(0, |c| u16::from(c[channel]) * 257);
    (0..3).flat_map(|channel| (0..256).map(move |index| wide(channel, index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that GDAL's documentation shows; it reads the size and looks for these words.
    #[test]
    fn the_order_of_a_file_is_said_in_the_words_of_gdal() {
        let words = "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n\
                     BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n ";
        assert_eq!(ghost(1), format!("GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\n{words}"));
        assert_eq!(ghost(3), format!("GDAL_STRUCTURAL_METADATA_SIZE=000156 bytes\n{words}INTERLEAVE=BAND\n"));
    }
}
