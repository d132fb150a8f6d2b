use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use tiff::encoder::{Compression, TiffEncoder, colortype};

use super::*;
use crate::raster::Limits;
use crate::read::{read_labels, read_raster};

fn raster(bands: usize) -> Raster {
    let data = (0..bands * 12).map(|v| v as f32).collect();
    let reference = GeoReference {
        pixel_scale: vec![28.5, 28.5, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 630_000.0, 228_500.0, 0.0],
        keys: vec![1, 1, 0, 1, 3072, 0, 1, 32119],
        ..GeoReference::default()
    };
    Raster { width: 4, height: 3, bands, data, reference: Some(reference) }
}

fn written(raster: &Raster) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.tif");
    write_geotiff(&path, raster).unwrap();
    (folder, path)
}

#[test]
fn many_bands_and_the_georeference_read_back() {
    for bands in [1, 2, 3, 6, 13] {
        let (_folder, path) = written(&raster(bands));
        assert_eq!(read_raster(&path, &Limits::default()).unwrap(), raster(bands), "{bands} bands");
    }
}

#[test]
fn nodata_becomes_nan() {
    let mut holes = raster(1);
    holes.data[5] = f32::NAN;
    let (_folder, path) = written(&holes);
    let read = read_raster(&path, &Limits::default()).unwrap();
    assert!(read.data[5].is_nan() && read.data[4] == 4.0);
    assert!(!GeoTiff::open(&path, &Limits::default()).unwrap().is_complete());
}

#[test]
fn integer_types_interleaving_and_compression_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.tif");
    for compression in [Compression::Uncompressed, Compression::Lzw, Compression::Deflate(Default::default())]
    {
        let file = File::create(&path).unwrap();
        let mut encoder = TiffEncoder::new(file).unwrap().with_compression(compression);
        let pixels: Vec<u16> = (0..36).map(|v| v * 1000).collect();
        encoder.write_image::<colortype::RGB16>(4, 3, &pixels).unwrap();
        let read = read_raster(&path, &Limits::default()).unwrap();
        assert_eq!((read.bands, read.band(1)[0], read.band(1)[1]), (3, 1000.0, 4000.0));
    }
    let file = File::create(&path).unwrap();
    TiffEncoder::new(file).unwrap().write_image::<colortype::GrayI16>(2, 1, &[-5_i16, 7]).unwrap();
    assert_eq!(read_raster(&path, &Limits::default()).unwrap().data, [-5.0, 7.0]);
    assert!(GeoTiff::open(&path, &Limits::default()).unwrap().is_complete());
}

#[test]
fn truncated_files_are_errors_that_name_the_file() {
    let (folder, path) = written(&raster(6));
    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.tif");
    // Without the offset of the next directory, at the end, nothing is missing.
    for length in [9, whole.len() / 2, whole.len() - 5] {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let error = read_raster(&cut, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("cut.tif"), "{error}");
    }
}

#[test]
fn declared_sizes_are_checked_before_anything_is_allocated() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut directory = encoder.image_directory().unwrap();
    directory.write_tag(Tag::ImageWidth, u32::MAX).unwrap();
    directory.write_tag(Tag::ImageLength, 100_000_u32).unwrap();
    directory.write_tag(Tag::BitsPerSample, 8_u16).unwrap();
    directory.write_tag(Tag::Compression, 1_u16).unwrap();
    directory.write_tag(Tag::PhotometricInterpretation, 1_u16).unwrap();
    directory.write_tag(Tag::RowsPerStrip, 100_000_u32).unwrap();
    directory.write_tag(Tag::StripOffsets, 8_u32).unwrap();
    directory.write_tag(Tag::StripByteCounts, 8_u32).unwrap();
    directory.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.tif");
    std::fs::write(&path, bytes.into_inner()).unwrap();
    let error = read_raster(&path, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("bomb.tif") && error.contains("4294967295x100000"), "{error}");
    let (_folder, path) = written(&raster(6));
    let few = Limits { bytes: 100, ..Limits::default() };
    assert!(read_raster(&path, &few).unwrap_err().to_string().contains("100 bytes in memory"));
    let few = Limits { bands: 5, ..Limits::default() };
    assert!(read_raster(&path, &few).unwrap_err().to_string().contains("found `6`"));
}

/// Found by fuzzing: the bytes of a strip of small integers fitted, and their values took four times that.
#[test]
fn the_limit_of_strips_and_tiles_counts_decoded_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strip.tif");
    let file = File::create(&path).unwrap();
    let mut encoder =
        TiffEncoder::new(file).unwrap().with_compression(Compression::Deflate(Default::default()));
    let mut image = encoder.new_image::<colortype::Gray8>(64, 64).unwrap();
    image.rows_per_strip(64).unwrap();
    image.write_data(&[0; 64 * 64]).unwrap();
    let limits = |bytes: u64| Limits { bytes, ..Limits::default() };
    assert!(GeoTiff::open(&path, &limits(64 * 64 * 4)).unwrap().window(0, 0, 4, 4).is_ok());
    let Err(error) = GeoTiff::open(&path, &limits(64 * 64 * 4 - 1)) else { panic!("it is too large") };
    let said = error.to_string();
    assert!(
        said.contains("strip.tif") && said.contains("`16384`") && said.contains("smaller ones"),
        "{said}"
    );
}

/// Found by fuzzing: 1,100 bytes made the decoder ask for 179 MB.
#[test]
fn tags_that_declare_more_values_than_the_file_holds_are_refused() {
    let (folder, path) = written(&raster(3));
    let whole = std::fs::read(&path).unwrap();
    // The planar configuration (284, one short) declares millions of values.
    let at = whole.windows(8).position(|entry| entry == [28, 1, 3, 0, 1, 0, 0, 0]).unwrap();
    let cut = folder.path().join("many.tif");
    std::fs::write(&cut, [&whole[..at + 4], &5_600_000_u32.to_le_bytes(), &whole[at + 8..]].concat())
        .unwrap();
    let error = read_raster(&cut, &Limits::default()).unwrap_err().to_string();
    assert!(
        error.contains("many.tif") && error.contains("tag 284") && error.contains("`5600000`"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(at in 0..400_usize, value: u8, more in proptest::collection::vec(any::<(u16, u8)>(), 0..4)) {
        let (_folder, path) = written(&raster(2));
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[at % length] = value;
        for (at, value) in more {
            bytes[usize::from(at) % length] = value;
        }
        std::fs::write(&path, bytes).unwrap();
        let _ = read_raster(&path, &Limits { bytes: 1 << 20, ..Limits::default() });
    }
}

#[test]
fn a_window_is_the_same_part_of_the_whole_and_nan_outside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let width = 70;
    let height = 50;
    let bands = 3;
    let data = (0..bands * width * height).map(|at| at as f32).collect();
    let raster = Raster { width, height, bands, data, reference: None };
    write_geotiff(&path, &raster).unwrap();
    let mut file = GeoTiff::open(&path, &Limits::default()).unwrap();
    assert_eq!((file.width(), file.height(), file.bands()), (width, height, bands));
    assert_eq!(file.window(10, 5, 20, 30).unwrap(), raster.window(10, 5, 20, 30));
    let edge = file.window(60, 45, 20, 10).unwrap();
    let inside = raster.window(60, 45, 10, 5);
    assert_eq!(edge[..10], inside[..10]);
    assert!(edge[10..20].iter().all(|value| value.is_nan()));
    assert_eq!(edge.iter().filter(|value| value.is_finite()).count(), inside.len());
    assert!(file.window(500, 500, 4, 4).unwrap().iter().all(|value| value.is_nan()));
}

#[test]
fn a_map_written_in_any_order_is_read_back_with_its_georeference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.tif");
    let reference = GeoReference { pixel_scale: vec![10.0, 10.0, 0.0], ..GeoReference::default() };
    let kind = MapKind::Classes(vec![[255, 0, 0], [0, 255, 0]]);
    let layout = MapLayout { width: 300, height: 260, kind, reference: Some(reference) };
    assert_eq!((layout.across(), layout.down()), (2, 2));
    let tile = |column: usize, row: usize| vec![(column * 2 + row) as f32; MAP_TILE * MAP_TILE];
    write_map::<DataError>(&path, &layout, |put| {
        [(1, 1), (0, 1), (1, 0), (0, 0)].iter().try_for_each(|(x, y)| put(*x, *y, &tile(*x, *y)))
    })
    .unwrap()
    .keep()
    .unwrap();
    // A map of classes is a palette.
    assert!(read_raster(&path, &Limits::default()).unwrap_err().to_string().contains("palette"));
    let read = read_labels(&path, &Limits::default()).unwrap();
    let at = |x: usize, y: usize| read.data[y * 300 + x];
    assert_eq!([at(0, 0), at(299, 0), at(0, 259), at(299, 259)], [0.0, 2.0, 1.0, 3.0]);
    assert_eq!(read.reference, layout.reference);
    // All may read it, and an overview has half its side.
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let mut pages = tiff::decoder::Decoder::new(File::open(&path).unwrap()).unwrap();
    assert!(pages.more_images());
    pages.next_image().unwrap();
    assert_eq!((pages.dimensions().unwrap(), pages.more_images()), ((150, 130), false));
    assert_eq!(pages.get_tag_u32(Tag::NewSubfileType).unwrap(), 1);
    let missing = write_map::<DataError>(&path, &layout, |put| put(0, 0, &tile(0, 0))).unwrap_err();
    assert!(missing.to_string().contains("tile 1 of 4"), "{missing}");
    let values = MapLayout { kind: MapKind::Values(MapBand::default()), width: 4, height: 4, ..layout };
    let written = write_map::<DataError>(&path, &values, |put| put(0, 0, &vec![-1.5; MAP_TILE * MAP_TILE]));
    drop(written.unwrap());
    assert!(GeoTiff::open_labels(&path, &Limits::default()).is_ok(), "the map before it is still there");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    let written = write_map::<DataError>(&path, &values, |put| put(0, 0, &vec![-1.5; MAP_TILE * MAP_TILE]));
    written.unwrap().keep().unwrap();
    assert_eq!(read_raster(&path, &Limits::default()).unwrap().data, [-1.5; 16]);
}
