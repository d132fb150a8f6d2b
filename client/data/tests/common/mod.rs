//! Small generated image files of every kind.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use tiff::encoder::{DirectoryEncoder, TiffEncoder, TiffKindStandard};
use tiff::tags::Tag;

/// Width and height of the images.
pub(crate) const SIZE: [usize; 2] = [16, 12];

/// A folder for the file of a case.
pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn tiff(&self, file: &Tiff) -> PathBuf {
        let path = self.0.path().join("case.tif");
        file.write(&path);
        path
    }

    pub(crate) fn jpeg(&self, stream: &[u8]) -> PathBuf {
        let path = self.0.path().join("case.jpg");
        std::fs::write(&path, stream).unwrap();
        path
    }
}

/// The value of a tag.
#[derive(Clone)]
pub(crate) enum Value {
    Numbers(Vec<u32>),
    Text(String),
    Bytes(Vec<u8>),
    Double(f64),
}

/// The tags and the strips or tiles of a TIFF file.
#[derive(Clone)]
pub(crate) struct Tiff {
    tags: BTreeMap<u16, Value>,
    /// The contents of each strip or tile. None if it is left out of the file.
    chunks: Vec<Option<Vec<u8>>>,
    /// The declared number of bytes of each, if it differs from the real one.
    lengths: Option<Vec<u32>>,
    /// Further directories.
    more: Vec<Directory>,
    /// Whether the further directories hang on the first one instead of following it.
    nested: bool,
}

impl Tiff {
    /// One strip of one band of unsigned bytes.
    pub(crate) fn new(pixels: Vec<u8>) -> Self {
        let [width, height] = SIZE.map(|length| u32::try_from(length).unwrap());
        let file = Self {
            tags: BTreeMap::new(),
            chunks: vec![Some(pixels)],
            lengths: None,
            more: Vec::new(),
            nested: false,
        };
        file.tag(Tag::ImageWidth, &[width])
            .tag(Tag::ImageLength, &[height])
            .tag(Tag::RowsPerStrip, &[height])
            .tag(Tag::BitsPerSample, &[8])
            .tag(Tag::Compression, &[1])
            .tag(Tag::PhotometricInterpretation, &[1])
    }

    pub(crate) fn tag(self, tag: Tag, numbers: &[u32]) -> Self {
        self.value(tag, Value::Numbers(numbers.to_vec()))
    }

    pub(crate) fn value(mut self, tag: Tag, value: Value) -> Self {
        self.tags.insert(tag.to_u16(), value);
        self
    }

    pub(crate) fn text_nodata(self, text: &str) -> Self {
        self.value(Tag::GdalNodata, Value::Text(text.to_owned()))
    }

    pub(crate) fn without(mut self, tag: Tag) -> Self {
        self.tags.remove(&tag.to_u16());
        self
    }

    /// Interleaved bands.
    pub(crate) fn bands(self, count: u32) -> Self {
        self.tag(Tag::SamplesPerPixel, &[count]).tag(Tag::BitsPerSample, &vec![8; count as usize])
    }

    /// Square tiles, row by row.
    pub(crate) fn tiles(mut self, side: u32, tiles: Vec<Option<Vec<u8>>>) -> Self {
        self.chunks = tiles;
        self.without(Tag::RowsPerStrip).tag(Tag::TileWidth, &[side]).tag(Tag::TileLength, &[side])
    }

    pub(crate) fn strips(mut self, rows: u32, strips: Vec<Option<Vec<u8>>>) -> Self {
        self.chunks = strips;
        self.tag(Tag::RowsPerStrip, &[rows])
    }

    pub(crate) fn lengths(mut self, lengths: &[u32]) -> Self {
        self.lengths = Some(lengths.to_vec());
        self
    }

    pub(crate) fn directory(mut self, directory: Directory) -> Self {
        self.more.push(directory);
        self
    }

    pub(crate) fn nested(mut self) -> Self {
        self.nested = true;
        self
    }

    pub(crate) fn write(&self, path: &Path) {
        let mut encoder = TiffEncoder::new(File::create(path).unwrap()).unwrap();
        let mut nested = Vec::new();
        if self.nested {
            for more in &self.more {
                let mut directory = encoder.extra_directory().unwrap();
                more.write(&mut directory);
                nested.push(u32::try_from(directory.finish_with_offsets().unwrap().pointer.0).unwrap());
            }
        }
        let mut directory = encoder.image_directory().unwrap();
        let mut offsets = Vec::new();
        let mut lengths = Vec::new();
        for chunk in &self.chunks {
            let bytes = chunk.as_deref().unwrap_or_default();
            let offset = directory.write_data(bytes).unwrap();
            offsets.push(if chunk.is_some() { u32::try_from(offset).unwrap() } else { 0 });
            lengths.push(u32::try_from(bytes.len()).unwrap());
        }
        let lengths = self.lengths.clone().unwrap_or(lengths);
        let tiled = self.tags.contains_key(&Tag::TileWidth.to_u16());
        let places = if tiled {
            (Tag::TileOffsets, Tag::TileByteCounts)
        } else {
            (Tag::StripOffsets, Tag::StripByteCounts)
        };
        directory.write_tag(places.0, &offsets[..]).unwrap();
        directory.write_tag(places.1, &lengths[..]).unwrap();
        for (tag, value) in &self.tags {
            put(&mut directory, Tag::from_u16_exhaustive(*tag), value);
        }
        if self.nested {
            directory.write_tag(Tag::SubIfd, &nested[..]).unwrap();
        }
        directory.finish().unwrap();
        for more in self.more.iter().filter(|_| !self.nested) {
            let mut directory = encoder.image_directory().unwrap();
            more.write(&mut directory);
            directory.finish().unwrap();
        }
    }
}

/// A further directory of bytes: the first is 0, the others are 1.
#[derive(Clone, Copy)]
pub(crate) struct Directory {
    /// NewSubfileType.
    pub(crate) kind: u32,
    /// PhotometricInterpretation.
    pub(crate) photometric: u32,
    pub(crate) size: [u32; 2],
}

impl Directory {
    pub(crate) fn of(kind: u32, photometric: u32) -> Self {
        Self { kind, photometric, size: [8, 1] }
    }

    pub(crate) fn mask() -> Self {
        Self { size: SIZE.map(|length| u32::try_from(length).unwrap()), ..Self::of(4, 4) }
    }

    fn write(&self, directory: &mut Encoder<'_>) {
        let [width, height] = self.size;
        let mut pixels = vec![1_u8; (width * height) as usize];
        pixels[0] = 0;
        let offset = directory.write_data(&pixels[..]).unwrap();
        directory.write_tag(Tag::NewSubfileType, self.kind).unwrap();
        let photometric = u16::try_from(self.photometric).unwrap();
        directory.write_tag(Tag::PhotometricInterpretation, photometric).unwrap();
        directory.write_tag(Tag::ImageWidth, width).unwrap();
        directory.write_tag(Tag::ImageLength, height).unwrap();
        directory.write_tag(Tag::BitsPerSample, 8_u16).unwrap();
        directory.write_tag(Tag::StripOffsets, u32::try_from(offset).unwrap()).unwrap();
        directory.write_tag(Tag::StripByteCounts, width * height).unwrap();
    }
}

type Encoder<'a> = DirectoryEncoder<'a, File, TiffKindStandard>;

fn put(directory: &mut Encoder<'_>, tag: Tag, value: &Value) {
    match value {
        Value::Numbers(numbers) => {
            // Most readers take short numbers only for most tags.
            let short: Result<Vec<u16>, _> = numbers.iter().map(|number| u16::try_from(*number)).collect();
            match short {
                Ok(short) => directory.write_tag(tag, &short[..]),
                Err(_) => directory.write_tag(tag, &numbers[..]),
            }
        }
        Value::Text(text) => directory.write_tag(tag, text.as_str()),
        Value::Bytes(bytes) => directory.write_tag(tag, &bytes[..]),
        Value::Double(number) => directory.write_tag(tag, *number),
    }
    .unwrap();
}

/// A JPEG stream of 8x8 pixels of one colour, whose numbers are stored without any conversion.
#[derive(Clone)]
pub(crate) struct Jpeg {
    /// One number for each component.
    pub(crate) levels: Vec<u8>,
    /// Whether one scan holds all components.
    pub(crate) interleaved: bool,
    /// Sampling factors of each component: across in the high half of the byte, down in the low one.
    pub(crate) sampling: Vec<u8>,
    /// Width and height that the header declares.
    pub(crate) size: [u16; 2],
}

impl Jpeg {
    pub(crate) fn new(levels: &[u8]) -> Self {
        Self { levels: levels.to_vec(), interleaved: true, sampling: vec![0x11; levels.len()], size: [8, 8] }
    }

    pub(crate) fn stream(&self) -> Vec<u8> {
        let mut stream = vec![0xff, 0xd8];
        // A quantum of 8 makes the average of a block, less 128, its one coefficient.
        segment(&mut stream, 0xdb, &[&[0][..], &[8; 64]].concat());
        let [width, height] = self.size.map(u16::to_be_bytes);
        let mut frame = vec![8, height[0], height[1], width[0], width[1], self.levels.len() as u8];
        for (at, sampling) in self.sampling.iter().enumerate() {
            frame.extend([at as u8 + 1, *sampling, 0]);
        }
        segment(&mut stream, 0xc0, &frame);
        // The categories 0 to 8 as codes of four bits, and the end of a block as a code of one.
        let codes = |counts: [u8; 16], symbols: &[u8]| [&counts[..], symbols].concat();
        let mut counts = [0; 16];
        counts[3] = 9;
        segment(&mut stream, 0xc4, &[&[0x00][..], &codes(counts, &[0, 1, 2, 3, 4, 5, 6, 7, 8])].concat());
        let mut counts = [0; 16];
        counts[0] = 1;
        segment(&mut stream, 0xc4, &[&[0x10][..], &codes(counts, &[0])].concat());
        let components: Vec<usize> = (0..self.levels.len()).collect();
        let scans = components.chunks(if self.interleaved { components.len() } else { 1 });
        for scan in scans {
            let mut header = vec![scan.len() as u8];
            header.extend(scan.iter().flat_map(|at| [*at as u8 + 1, 0]));
            segment(&mut stream, 0xda, &[&header[..], &[0, 63, 0]].concat());
            stream.extend(self.entropy_coded(scan));
        }
        stream.extend([0xff, 0xd9]);
        stream
    }

    /// One block of each component, byte by byte, with a zero after each byte of ones.
    fn entropy_coded(&self, scan: &[usize]) -> Vec<u8> {
        let mut bits = String::new();
        for at in scan {
            let coefficient = i32::from(self.levels[*at]) - 128;
            let size = (32 - coefficient.unsigned_abs().leading_zeros()) as usize;
            let stored = if coefficient < 0 { coefficient + (1 << size) - 1 } else { coefficient };
            bits.push_str(&format!("{size:04b}"));
            if size > 0 {
                bits.push_str(&format!("{stored:0size$b}"));
            }
            bits.push('0');
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let bytes = (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[at * 8..][..8], 2).unwrap());
        bytes.flat_map(|byte| if byte == 0xff { vec![0xff, 0] } else { vec![byte] }).collect()
    }
}

fn segment(stream: &mut Vec<u8>, marker: u8, bytes: &[u8]) {
    stream.extend([0xff, marker]);
    stream.extend(u16::try_from(bytes.len() + 2).unwrap().to_be_bytes());
    stream.extend(bytes);
}
