//! Imagery: GeoTIFF, PNG and JPEG of any contents, read whole and by windows.

use std::io::{Cursor, Write as _};

use eosfed_data::{
    Complex, GeoReference, GeoTiff, Limits, MAP_TILE, MapBand, MapKind, MapLayout, Raster, read_labels,
    read_raster, write_geotiff, write_map,
};
use image::{DynamicImage, ImageFormat};
use tiff::encoder::{Compression, TiffEncoder, colortype};
use tiff::tags::Tag;

use crate::folder::{file, fresh};
use crate::target::{MIB, Seeds};

/// What a file may ask for here: small, so that one which asks for more is found out by little memory.
const LIMITS: Limits = Limits { side: 4096, bands: 64, bytes: 4 << 20 };
/// The decoded file, its values, their copy in the order of bands, and what decoders need.
pub(crate) const MEMORY: usize = 5 * LIMITS.bytes as usize;
/// No single piece is larger than what a file may take.
pub(crate) const SINGLE: usize = LIMITS.bytes as usize + MIB;

/// An image file. What is read whole is what windows show.
pub fn raster(bytes: &[u8]) -> bool {
    let path = file("image", bytes);
    let window = GeoTiff::open(&path, &LIMITS).ok().map(|mut tiff| {
        let corner = tiff.window(0, 0, 16, 16);
        let (width, height) = (tiff.width(), tiff.height());
        let far = tiff.window(width - 1, height - 1, 3, 3);
        if let Ok(far) = &far {
            assert_eq!(far.len(), tiff.bands() * 9);
        }
        corner.map(|values| (values, tiff.bands()))
    });
    for complex in [Complex::Amplitude, Complex::Decibels] {
        let Ok(mut tiff) = GeoTiff::open_complex(&path, &LIMITS, complex) else { continue };
        if let Ok(values) = tiff.window(0, 0, 16, 16) {
            assert_eq!(values.len(), tiff.bands() * 256);
        }
    }
    if let Ok(labels) = read_labels(&path, &LIMITS) {
        assert_eq!(labels.data.len(), labels.width * labels.height * labels.bands);
    }
    let Ok(raster) = read_raster(&path, &LIMITS) else { return false };
    let Raster { width, height, bands, data, .. } = &raster;
    assert_eq!(data.len(), width * height * bands);
    assert!(data.len() as u64 * 4 <= LIMITS.bytes);
    if let Some(Ok((values, bands))) = window {
        let (width, height) = (raster.width.min(16), raster.height.min(16));
        for band in 0..bands {
            for row in 0..height {
                let seen = &values[band * 256 + row * 16..][..width];
                let whole = &raster.band(band)[row * raster.width..][..width];
                assert!(
                    seen.iter().zip(whole).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "band {band}, row {row}"
                );
            }
        }
    }
    true
}

fn gradient(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at * 37 % 251) as f32).collect()
}

/// Planar floats with a place on Earth.
fn planar(bands: usize) -> Vec<u8> {
    let folder = fresh();
    let path = folder.path().join("a.tif");
    let reference = GeoReference {
        pixel_scale: vec![28.5, 28.5, 0.0],
        tie_point: vec![0.0, 0.0, 0.0, 630_000.0, 228_500.0, 0.0],
        keys: vec![1, 1, 0, 1, 3072, 0, 1, 32119],
        ..GeoReference::default()
    };
    let data = gradient(bands * 9 * 7);
    write_geotiff(&path, &Raster { width: 9, height: 7, bands, data, reference: Some(reference) }).unwrap();
    std::fs::read(path).unwrap()
}

/// Tiles, deflated.
fn tiled() -> Vec<u8> {
    let folder = fresh();
    let path = folder.path().join("a.tif");
    let layout =
        MapLayout { width: 300, height: 20, kind: MapKind::Values(MapBand::default()), reference: None };
    let tile = gradient(MAP_TILE * MAP_TILE);
    write_map::<eosfed_data::DataError>(&path, &layout, |put| {
        (0..2).try_for_each(|column| put(column, 0, &tile))
    })
    .unwrap()
    .keep()
    .unwrap();
    std::fs::read(path).unwrap()
}

/// Interleaved strips of integers.
fn striped(compression: Compression) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap().with_compression(compression);
    let pixels: Vec<u16> = (0..3 * 20 * 10).map(|value| value * 97).collect();
    encoder.write_image::<colortype::RGB16>(20, 10, &pixels).unwrap();
    bytes.into_inner()
}

fn grey<C: colortype::ColorType>(pixels: &[C::Inner]) -> Vec<u8>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    TiffEncoder::new(&mut bytes).unwrap().write_image::<C>(4, 2, pixels).unwrap();
    bytes.into_inner()
}

/// A GeoTIFF of one band whose tags say these numbers, over a strip or tile of deflated zeros.
fn declared(tags: &[(Tag, u32)], zeros: usize) -> Vec<u8> {
    compressed(8, &deflated(&vec![0; zeros]), tags)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A GeoTIFF whose tags say these numbers, over one strip or tile of these bytes.
fn compressed(compression: u16, packed: &[u8], tags: &[(Tag, u32)]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut directory = encoder.image_directory().unwrap();
    let offset = u32::try_from(directory.write_data(packed).unwrap()).unwrap();
    let size = u32::try_from(packed.len()).unwrap();
    directory.write_tag(Tag::Compression, compression).unwrap();
    directory.write_tag(Tag::PhotometricInterpretation, 1_u16).unwrap();
    let tiled = tags.iter().any(|(tag, _)| *tag == Tag::TileWidth);
    let (offsets, counts) = if tiled {
        (Tag::TileOffsets, Tag::TileByteCounts)
    } else {
        (Tag::StripOffsets, Tag::StripByteCounts)
    };
    directory.write_tag(offsets, offset).unwrap();
    directory.write_tag(counts, size).unwrap();
    for (tag, value) in tags {
        directory.write_tag(*tag, *value).unwrap();
    }
    directory.finish().unwrap();
    bytes.into_inner()
}

/// A colour gradient of 10x10 pixels that libwebp 1.6.0 has written at quality 60.
const LOSSY: [u8; 82] = *include_bytes!("../../../client/data/goldens/lossy.webp");

/// One tile of every compression, with and without a predictor, and numbers of a few bits.
fn codecs() -> Vec<Vec<u8>> {
    use Tag::{
        BitsPerSample, ImageLength, ImageWidth, Predictor, SampleFormat, SamplesPerPixel, TileLength,
        TileWidth,
    };
    const SIDE: usize = 16;
    let side = SIDE as u32;
    let tags = |bits: u32, more: &[(Tag, u32)]| {
        let shape = [(ImageWidth, 13), (ImageLength, 11), (TileWidth, side), (TileLength, side)];
        [&shape[..], &[(BitsPerSample, bits)], more].concat()
    };
    let numbers: Vec<u16> = (0..SIDE * SIDE).map(|at| (at * 37 % 2510) as u16).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(&bytes).unwrap();
    let xz = xz.finish().unwrap();
    let zstd = zstd::bulk::compress(&bytes, 3).unwrap();
    let lerc = lerc::encode_slice(side, side, &numbers, lerc::Precision::Lossless).unwrap();
    let floats = gradient(SIDE * SIDE);
    let lerc_floats = lerc::encode_slice(side, side, &floats, lerc::Precision::Lossless).unwrap();
    let mut webp = Vec::new();
    let colours: Vec<u8> = (0..SIDE * SIDE * 3).map(|at| (at * 7 % 251) as u8).collect();
    let encoder = image_webp::WebPEncoder::new(&mut webp);
    encoder.encode(&colours, side, side, image_webp::ColorType::Rgb8).unwrap();
    let mut fax = fax::encoder::Encoder::new(fax::VecWriter::new());
    for row in 0..SIDE {
        let black =
            |x: usize| if (x / 3 + row).is_multiple_of(2) { fax::Color::Black } else { fax::Color::White };
        fax.encode_line((0..SIDE).map(black), side).unwrap();
    }
    let fax = fax.finish().unwrap().finish();
    let strip = [(ImageWidth, 10), (ImageLength, 10), (Tag::RowsPerStrip, 10)];
    let lossy = [&strip[..], &[(BitsPerSample, 8), (SamplesPerPixel, 3)]].concat();
    vec![
        compressed(50000, &zstd, &tags(16, &[])),
        compressed(50000, &zstd, &tags(16, &[(Predictor, 2)])),
        compressed(50000, &zstd, &tags(16, &[(Predictor, 3), (SampleFormat, 3)])),
        compressed(8, &deflated(&bytes), &tags(16, &[(Predictor, 2)])),
        compressed(34925, &xz, &tags(16, &[])),
        compressed(34887, &lerc, &tags(16, &[])),
        compressed(34887, &lerc_floats, &tags(32, &[(SampleFormat, 3)])),
        compressed(50001, &webp, &tags(8, &[(SamplesPerPixel, 3)])),
        compressed(4, &fax, &tags(1, &[])),
        // Runs of ten white and six black pixels, twice; with marks, and as differences.
        compressed(2, &[0x39, 0x00].repeat(SIDE), &tags(1, &[])),
        compressed(3, &[0x00, 0x13, 0x90].repeat(SIDE), &tags(1, &[(Tag::Unknown(292), 4)])),
        compressed(3, &[0x00, 0x19, 0xc8, 0x00, 0x58].repeat(SIDE / 2), &tags(1, &[(Tag::Unknown(292), 1)])),
        compressed(50001, &LOSSY, &lossy),
        compressed(1, &bytes, &tags(10, &[])),
        compressed(1, &bytes, &tags(4, &[(Tag::FillOrder, 2)])),
    ]
}

/// Complex numbers of every kind, which are read where it is said what they become.
fn complex() -> Vec<Vec<u8>> {
    use Tag::{BitsPerSample, ImageLength, ImageWidth, SampleFormat};
    let of = |(format, bits): (u32, u32)| {
        let numbers =
            deflated(&gradient(20 * bits as usize / 8).iter().map(|v| *v as u8).collect::<Vec<_>>());
        let tags = [(ImageWidth, 5), (ImageLength, 4), (BitsPerSample, bits), (SampleFormat, format)];
        compressed(8, &numbers, &tags)
    };
    [(5, 32), (5, 64), (6, 64), (6, 128)].map(of).to_vec()
}

/// What GDAL's metadata say of bands, and of a product.
fn metadata() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut image = encoder.new_image::<colortype::Gray8>(4, 2).unwrap();
    let text = "<GDALMetadata>\n<Item name=\"OFFSET\" sample=\"0\" role=\"offset\">0</Item>\n<Item name=\"SCALE\" sample=\"0\" \
                role=\"scale\">1.0</Item>\n<Item name=\"PROCESSING_BASELINE\">04.00</Item>\n</GDALMetadata>";
    image.encoder().write_tag(Tag::Unknown(42112), text).unwrap();
    image.write_data(&[7; 8]).unwrap();
    bytes.into_inner()
}

/// Files that are small and claim to be large, or unfold to more than they claim.
fn bombs() -> Vec<Vec<u8>> {
    use Tag::{BitsPerSample, ImageLength, ImageWidth, RowsPerStrip, SamplesPerPixel, TileLength, TileWidth};
    let size = |width: u32, height: u32| [(ImageWidth, width), (ImageLength, height)];
    let strip = |width: u32, height: u32, bits: u32| {
        [&size(width, height)[..], &[(BitsPerSample, bits), (RowsPerStrip, height)]].concat()
    };
    let tile = |width: u32, height: u32, side: u32| {
        [&size(width, height)[..], &[(BitsPerSample, 8), (TileWidth, side), (TileLength, side)]].concat()
    };
    vec![
        // More pixels than allowed, fewer, and one strip of as many bytes as the limit has.
        declared(&strip(4000, 4000, 8), 16_000_000),
        declared(&strip(2000, 2000, 8), 4_000_000),
        declared(&strip(4096, 1024, 8), 4 << 20),
        declared(&strip(4096, 4096, 64), 1000),
        declared(&strip(u32::MAX, u32::MAX, 8), 1000),
        // A strip that unfolds to far more than its pixels.
        declared(&strip(10, 10, 8), 50_000_000),
        // A tile far larger than the image.
        declared(&tile(16, 16, 4096), 4096 * 4096),
        declared(&tile(16, 16, 65_520), 1000),
        declared(&tile(4096, 4096, 2048), 4 << 20),
        declared(&[&strip(64, 64, 8)[..], &[(SamplesPerPixel, 65_000)]].concat(), 1000),
        claiming(&picture(ImageFormat::Png), 16, &4000_u32.to_be_bytes()),
        claiming(&picture(ImageFormat::Png), 16, &u32::MAX.to_be_bytes()),
        jpeg_claiming(0xffff),
        jpeg_claiming(0x0800),
    ]
}

fn picture(format: ImageFormat) -> Vec<u8> {
    let image = image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 9]));
    encoded(&image.into(), format)
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG whose header says another width and height, with the right checksum.
fn claiming(png: &[u8], at: usize, side: &[u8; 4]) -> Vec<u8> {
    let mut bytes = png.to_vec();
    bytes[at..at + 4].copy_from_slice(side);
    bytes[at + 4..at + 8].copy_from_slice(side);
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

/// A JPEG whose frame, made progressive too, says another width and height.
fn jpeg_claiming(side: u16) -> Vec<u8> {
    let mut bytes = picture(ImageFormat::Jpeg);
    let at = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[at + 1] = 0xc2;
    bytes[at + 5..at + 7].copy_from_slice(&side.to_be_bytes());
    bytes[at + 7..at + 9].copy_from_slice(&side.to_be_bytes());
    bytes
}

pub(crate) fn seeds() -> Seeds {
    let pixels = image::ImageBuffer::from_fn(9, 7, |x, y| image::LumaA([x as u16 * 900, y as u16 * 900]));
    let good = vec![
        planar(1),
        planar(3),
        tiled(),
        striped(Compression::Uncompressed),
        striped(Compression::Lzw),
        striped(Compression::Deflate(Default::default())),
        striped(Compression::Packbits),
        grey::<colortype::GrayI16>(&[-5, 7, 0, 1, 2, 3, 4, 5]),
        grey::<colortype::Gray64Float>(&[0.5; 8]),
        grey::<colortype::Gray8>(&[7; 8]),
        picture(ImageFormat::Png),
        encoded(&DynamicImage::ImageLumaA16(pixels), ImageFormat::Png),
        picture(ImageFormat::Jpeg),
        encoded(&DynamicImage::new_luma8(9, 7), ImageFormat::Jpeg),
    ];
    Seeds { good: [good, codecs(), vec![metadata()]].concat(), odd: [bombs(), complex()].concat() }
}
