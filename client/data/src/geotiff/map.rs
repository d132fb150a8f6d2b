//! Writing a map of classes, values or probabilities, tile by tile in any order, so that only one tile of it
//! has to be in memory.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::iter;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::files::folder_of;
use tiff::TiffError;

use super::head::{Width, head};
use super::map_layout::{MapLayout, PutTile};
use super::map_tags::{Places, ghost, tags};
use super::overviews::{Overview, overviews};
use super::packed::{PackedTiles, pack};
use crate::error::DataError;
use crate::unfinished::Unfinished;

/// Writes a Cloud Optimized GeoTIFF, compressed and with overviews, from the tiles that `fill` puts: a BigTIFF if it may
/// become larger than 4 GiB. Each band has its own tiles. The file is complete and on the disk, and all may read it, but it
/// gets its name only by [`WrittenFile::keep`].
///
/// All directories lie before the pixels, and the smallest overview before the larger ones and the map itself, so tiles
/// wait in temporary files beside the map; [`MapLayout::room`] says how many bytes that takes. Where the disk has
/// less, they and what there is of the map are removed.
///
/// # Errors
/// What `fill` gives, or if a tile is missing or the file cannot be written.
pub fn write_map<E: From<DataError>>(
    path: &Path,
    layout: &MapLayout,
    fill: impl FnOnce(PutTile<'_>) -> Result<(), E>,
) -> Result<WrittenFile, E> {
    let width = if layout.is_big() { Width::Big } else { Width::Classic };
    write_public(path, |file| write_images(path, file, (layout, width), fill))
}

/// Writes a file that all may read, complete and on the disk. It gets its name only by [`WrittenFile::keep`].
///
/// # Errors
/// What `fill` gives, or if the file cannot be written.
pub fn write_public<E: From<DataError>>(
    path: &Path,
    fill: impl FnOnce(&File) -> Result<(), E>,
) -> Result<WrittenFile, E> {
    let fail = |error: io::Error| DataError::file(path, unwritable(&error));
    let file = Unfinished::begin(folder_of(path)).map_err(fail)?;
    fill(file.file())?;
    // Disks of other machines say only now that they are full.
    file.file().sync_all().map_err(fail)?;
    Ok(WrittenFile { file, path: path.to_owned() })
}

/// A file that is complete and has no name yet. It is removed unless it is kept.
#[must_use = "a file that is not kept is removed"]
#[derive(Debug)]
pub struct WrittenFile {
    file: Unfinished,
    path: PathBuf,
}

impl WrittenFile {
    /// Gives it its name, in place of an older file there. That takes no room.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn keep(self) -> Result<(), DataError> {
        self.file.keep(&self.path).map_err(|error| DataError::file(&self.path, error))
    }
}

/// Why a file cannot be written, and what to do if its disk is full.
#[must_use]
pub fn unwritable(error: &io::Error) -> String {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        FileTooLarge | QuotaExceeded | StorageFull => {
            format!("{error}; nothing of it was kept; make space there, or write it to another disk")
        }
        _ => error.to_string(),
    }
}

/// Collects the tiles of the map and of its smaller copies, and writes them in their order.
fn write_images<E: From<DataError>>(
    path: &Path,
    file: &File,
    (layout, width): (&MapLayout, Width),
    fill: impl FnOnce(PutTile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let fail = |error: io::Error| DataError::file(path, unwritable(&error));
    let folder = folder_of(path);
    let mut packed = PackedTiles::new(layout, folder).map_err(fail)?;
    let first = Overview::of(layout, folder).map_err(fail)?;
    fill(&mut |column, row, pixels| {
        if let Some(first) = &first {
            first.add(column, row, pixels).map_err(fail)?;
        }
        packed.add(layout, (column, row), pixels).map_err(fail)
    })?;
    if let Some(missing) = packed.missing() {
        let reason = format!("tile {missing} of {} was never written", layout.tiles());
        return Err(DataError::file(path, reason).into());
    }
    let copies = first.map_or(Ok(Vec::new()), |first| overviews(first, folder)).map_err(fail)?;
    let written = assemble(file, (layout, width), &packed, copies);
    let reason = |error| match error {
        TiffError::IoError(error) => unwritable(&error),
        error => error.to_string(),
    };
    written.map_err(|error| DataError::file(path, reason(error)).into())
}

/// Writes the file: its head, the smallest copy first, and the map itself last.
fn assemble(
    file: &File,
    (layout, width): (&MapLayout, Width),
    packed: &PackedTiles,
    mut copies: Vec<Overview>,
) -> Result<(), TiffError> {
    let layouts: Vec<MapLayout> = iter::successors(Some(layout.clone()), MapLayout::halved).collect();
    let head = |places: &[Places]| {
        let images = layouts.iter().zip(places).enumerate();
        let images = images.map(|(at, (layout, places))| tags(layout, at > 0, width, places));
        head(&images.collect::<Result<Vec<_>, _>>()?, width, ghost(layout.kind.bands()).as_bytes())
    };
    let unknown: Vec<Places> = layouts.iter().map(|layout| Places::unknown(layout.tiles())).collect();
    let mut blocks = Blocks::after(file, head(&unknown)?.len() as u64)?;
    let mut places = vec![Places::default(); layouts.len()];
    // What is written needs its temporary file no longer.
    while let Some(copy) = copies.pop() {
        let places = &mut places[copies.len() + 1];
        copy.planes(&mut |plane| blocks.add(places, &pack(&copy.layout.kind, plane)?))?;
    }
    for at in 0..layout.tiles() {
        blocks.add(&mut places[0], &packed.get(at)?)?;
    }
    blocks.writer.flush()?;
    file.write_all_at(&head(&places)?, 0)?;
    Ok(())
}

/// Tiles one after the other in a file.
struct Blocks<'a> {
    writer: BufWriter<&'a File>,
    end: u64,
}

impl<'a> Blocks<'a> {
    fn after(mut file: &'a File, head: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(head))?;
        Ok(Self { writer: BufWriter::new(file), end: head })
    }

    /// Appends a tile: its size, its bytes, and its last four bytes again, as the file says of itself ([`ghost`]).
    fn add(&mut self, places: &mut Places, tile: &[u8]) -> io::Result<()> {
        let size = u32::try_from(tile.len()).map_err(io::Error::other)?.to_le_bytes();
        let last = &tile[tile.len() - 4..];
        for part in [&size, tile, last] {
            self.writer.write_all(part)?;
        }
        places.push(self.end + size.len() as u64, tile.len());
        self.end += (size.len() + tile.len() + last.len()) as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tiff::tags::Tag;

    use super::super::directory::{Directories, Directory};
    use super::super::map_layout::{MAP_TILE, MapBand, MapKind};
    use super::super::source::Source;
    use super::*;
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
        write_map::<DataError>(&small, &layout, fill).unwrap().keep().unwrap();
        let file = File::create(&big).unwrap();
        write_images::<DataError>(&big, &file, (&layout, Width::Big), fill).unwrap();
        let starts = [&small, &big].map(|path| std::fs::read(path).unwrap()[..4].to_vec());
        assert_eq!(starts, [b"II*\0".to_vec(), b"II+\0".to_vec()]);
        for path in [&small, &big] {
            let read = crate::read::read_raster(path, &Limits::default()).unwrap();
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

    /// An image of a map: for each band its pixels.
    struct Image {
        width: usize,
        height: usize,
        bands: Vec<Vec<f32>>,
    }

    /// A map with holes, with 6 by 3 tiles and three smaller copies.
    fn scene(kind: &MapKind) -> Image {
        let (width, height) = (1300, 700);
        let value = |band: usize, at: usize| match (at / 13) % 11 {
            3 => kind.empty(),
            part => ((at * (band + 3) + part) % 97) as f32,
        };
        let bands = (0..kind.bands()).map(|band| (0..width * height).map(|at| value(band, at)).collect());
        Image { width, height, bands: bands.collect() }
    }

    impl Image {
        /// The pixel, or the empty value outside.
        fn at(&self, band: usize, x: usize, y: usize, empty: f32) -> f32 {
            if x < self.width && y < self.height { self.bands[band][y * self.width + x] } else { empty }
        }

        fn tile(&self, column: usize, row: usize, empty: f32) -> Vec<f32> {
            let places = (0..MAP_TILE * MAP_TILE).map(|at| (at % MAP_TILE, at / MAP_TILE));
            let pixel = |band, (x, y)| self.at(band, column * MAP_TILE + x, row * MAP_TILE + y, empty);
            (0..self.bands.len())
                .flat_map(|band| places.clone().map(move |place| (band, place)))
                .map(|(band, place)| pixel(band, place))
                .collect()
        }

        /// Its smaller copy, pixel by pixel.
        fn halved(&self, overview: &Overview, empty: f32) -> Self {
            let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
            let four = |band, x, y| {
                [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| self.at(band, 2 * x + dx, 2 * y + dy, empty))
            };
            let pixel = |band, at: usize| overview.joined(four(band, at % width, at / width));
            let bands =
                (0..self.bands.len()).map(|band| (0..width * height).map(|at| pixel(band, at)).collect());
            Self { width, height, bands: bands.collect() }
        }
    }

    /// The directories of a file in their order, with where they begin.
    fn directories(file: &Directories<'_>, first: u64) -> Vec<(u64, Directory)> {
        let mut found = Vec::new();
        let mut next = first;
        while next != 0 {
            let directory = file.read(next).unwrap();
            (next, _) = (directory.next, found.push((next, directory)));
        }
        found
    }

    /// The strictest form of a Cloud Optimized GeoTIFF, read byte by byte: directories from large to small before all
    /// pixels, the tiles of the smallest image first, each tile with its size before it and its end repeated, nothing
    /// between them, and nothing after them.
    fn check(path: &Path, layout: &MapLayout, mut wanted: Image) {
        let bytes = std::fs::read(path).unwrap();
        let source = Source::open(path).unwrap();
        let (file, first) = Directories::open(&source).unwrap();
        let start = if bytes[2] == 43 { 16 } else { 8 };
        let words = ghost(layout.kind.bands());
        assert!(bytes[start..].starts_with(words.as_bytes()));
        let length: usize = words[30..36].parse().unwrap();
        assert_eq!(words.len(), "GDAL_STRUCTURAL_METADATA_SIZE=000000 bytes\n".len() + length);
        assert_eq!(first as usize, (start + words.len()).next_multiple_of(2));
        let found = directories(&file, first);
        assert!(found.is_sorted_by(|one, other| one.0 < other.0));
        let numbers = |directory, tag| file.numbers(directory, tag).unwrap().unwrap_or_default();
        let tiles = |directory| {
            let offsets = numbers(directory, Tag::TileOffsets).into_iter().map(|offset| offset as usize);
            offsets.zip(numbers(directory, Tag::TileByteCounts).into_iter().map(|size| size as usize))
        };
        let all: Vec<(usize, usize)> =
            found.iter().rev().flat_map(|(_, directory)| tiles(directory)).collect();
        assert!(found[3].0 < all[0].0 as u64);
        let mut end = all[0].0 - 4;
        for (offset, size) in all {
            assert_eq!(offset - 4, end, "tiles lie side by side");
            assert_eq!(bytes[end..offset], (size as u32).to_le_bytes());
            end = offset + size + 4;
            assert_eq!(bytes[end - 8..end - 4], bytes[end - 4..end]);
        }
        assert_eq!(end, bytes.len());
        let empty = layout.kind.empty();
        let joins = Overview::of(layout, &std::env::temp_dir()).unwrap().unwrap();
        for (at, (_, directory)) in found.iter().enumerate() {
            let size = [Tag::ImageWidth, Tag::ImageLength].map(|tag| numbers(directory, tag)[0] as usize);
            assert_eq!(size, [wanted.width, wanted.height]);
            assert_eq!(numbers(directory, Tag::NewSubfileType), vec![1; at.min(1)]);
            let packed: Vec<(usize, usize)> = tiles(directory).collect();
            let mut packed = packed.iter();
            for band in 0..layout.kind.bands() {
                for row in 0..size[1].div_ceil(MAP_TILE) {
                    for column in 0..size[0].div_ceil(MAP_TILE) {
                        let (offset, size) = packed.next().unwrap();
                        let mut plane = Vec::new();
                        let packed = &bytes[*offset..offset + size];
                        io::copy(&mut flate2::read::ZlibDecoder::new(packed), &mut plane).unwrap();
                        let tile = wanted.tile(column, row, empty);
                        let tile = &tile[band * MAP_TILE * MAP_TILE..][..MAP_TILE * MAP_TILE];
                        assert!(plane == layout.kind.to_bytes(tile), "{at}: {band} {column} {row}");
                    }
                }
            }
            assert!(packed.next().is_none());
            wanted = wanted.halved(&joins, empty);
        }
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn a_map_is_a_strict_cloud_optimized_geotiff() {
        let folder = tempfile::tempdir().unwrap();
        let kinds = [
            MapKind::Classes(vec![[0, 0, 255]; 97]),
            MapKind::Values(MapBand { name: "height".to_owned(), unit: "m".to_owned() }),
            MapKind::Percents(["a", "b", "c"].map(str::to_owned).to_vec()),
        ];
        for kind in kinds {
            let image = scene(&kind);
            let empty = kind.empty();
            let (width, height) = (image.width, image.height);
            let layout = MapLayout { width, height, kind, reference: None };
            let fill = |put: PutTile<'_>| {
                // As panels give them: neither row by row nor column by column.
                let all = (0..18).map(|at| (at * 7) % 18).map(|at| (at % 6, at / 6));
                all.into_iter()
                    .try_for_each(|(column, row)| put(column, row, &image.tile(column, row, empty)))
            };
            for (name, width) in [("classic.tif", Width::Classic), ("big.tif", Width::Big)] {
                let path = folder.path().join(name);
                let file = File::create(&path).unwrap();
                write_images::<DataError>(&path, &file, (&layout, width), fill).unwrap();
                check(&path, &layout, scene(&layout.kind));
            }
            // Nothing waits beside it.
            let names = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(names, 2);
        }
    }
}
