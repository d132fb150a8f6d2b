//! The heap (fractal heap) that holds the links of a group.

use super::source::Source;
use super::{Found, unclear};

/// Bytes by which a B-tree over links names one of them in the heap.
pub(super) const ID: usize = 7;

/// A heap: a row of blocks, each twice as large as those two rows before it. Blocks from a size on are divided in the same way.
pub(super) struct Heap {
    at: u64,
    /// Blocks of a row, bytes of the first blocks and of the largest that are not divided: powers of two.
    width: u64,
    first: u64,
    largest: u64,
    /// Bytes of a place in the heap, and of the length of an object.
    place_width: usize,
    length_width: usize,
    /// The first block; it is not divided if it has no rows.
    root: Option<u64>,
    rows: u64,
}

impl Heap {
    pub(super) fn read(source: &mut Source, at: u64) -> Result<Self, Found> {
        let widths = source.widths;
        let bytes = source.read(at, (22 + 3 * widths.address + 12 * widths.length) as u64)?;
        let mut fields = source.fields(&bytes);
        fields.expect(b"FRHP\0")?;
        let (id, filters) = (fields.number(2)?, fields.number(2)?);
        if (id, filters) != (ID as u64, 0) {
            return unclear(format!(
                "a heap of links must have names of {ID} bytes and no filters, found `{id}` and `{filters}` bytes"
            ));
        }
        fields.byte()?;
        let most_object = fields.number(4)?;
        // Numbers of objects, and free space.
        fields.bytes(2 * widths.address + 10 * widths.length)?;
        let width = fields.number(2)?;
        let (first, largest) = (fields.length()?, fields.length()?);
        let bits = fields.number(2)?;
        fields.bytes(2)?;
        let root = fields.address()?;
        let rows = fields.number(2)?;
        let sizes = [width, first, largest];
        let place_width = bits.div_ceil(8) as usize;
        if !sizes.iter().all(|size| size.is_power_of_two() && *size <= 1 << 31)
            || first > largest
            || place_width >= ID
        {
            return unclear(format!(
                "the sizes of a heap of links must be powers of two, found `{sizes:?}` and `{bits}` bits"
            ));
        }
        let length_width = largest.ilog2().div_ceil(8).min(most_object.max(1).ilog2() / 8 + 1) as usize;
        Ok(Self { at, width, first, largest, place_width, length_width, root, rows })
    }

    /// The object of a name.
    pub(super) fn object(&self, source: &mut Source, id: &[u8]) -> Result<Vec<u8>, Found> {
        let mut fields = source.fields(id);
        let kind = fields.byte()?;
        if kind & 0xf0 != 0 {
            return unclear(format!("a link must lie in the blocks of its heap, found the kind `{kind}`"));
        }
        let offset = fields.number(self.place_width)?;
        let length = fields.number(self.length_width)?;
        let (block, begin) = self.block(source, offset)?;
        source.read(block + (offset - begin), length)
    }

    /// The block of a place in the heap, and the place at which it begins.
    fn block(&self, source: &mut Source, offset: u64) -> Result<(u64, u64), Found> {
        let outside = || Found::Unclear(format!("a link must lie in its heap, found it at `{offset}`"));
        let mut block = self.root.ok_or_else(outside)?;
        let mut begin = 0;
        let mut rows = self.rows;
        if rows == 0 && offset >= self.first {
            return Err(outside());
        }
        while rows > 0 {
            self.check_block(source, b"FHIB\0", block, begin)?;
            let (row, column, size) = self.row_of(offset - begin);
            if row >= rows {
                return Err(outside());
            }
            let before = 5 + source.widths.address + self.place_width;
            let entry = before as u64 + (row * self.width + column) * source.widths.address as u64;
            let bytes = source.read(block + entry, source.widths.address as u64)?;
            block = source.fields(&bytes).place()?;
            begin += if row == 0 { 0 } else { self.width * size } + column * size;
            rows = if size <= self.largest {
                0
            } else {
                // A block with fewer bytes than a row has none.
                u64::from((size / (self.width * self.first)).checked_ilog2().ok_or_else(outside)?) + 1
            };
        }
        self.check_block(source, b"FHDB\0", block, begin)?;
        Ok((block, begin))
    }

    /// The row and the column of a block, and its size, of a place in a divided block.
    fn row_of(&self, place: u64) -> (u64, u64, u64) {
        let row_bytes = self.width * self.first;
        match (place / row_bytes).checked_ilog2() {
            None => (0, place / self.first, self.first),
            Some(doubled) => {
                let size = self.first << doubled;
                (u64::from(doubled) + 1, (place - (row_bytes << doubled)) / size, size)
            }
        }
    }

    /// Checks that a block is of this heap and begins at this place in it.
    fn check_block(&self, source: &mut Source, kind: &[u8], block: u64, begin: u64) -> Result<(), Found> {
        let bytes = source.read(block, (kind.len() + source.widths.address + self.place_width) as u64)?;
        let mut fields = source.fields(&bytes);
        fields.expect(kind)?;
        let (heap, place) = (fields.place()?, fields.number(self.place_width)?);
        if (heap, place) != (self.at, begin) {
            return unclear(format!(
                "a block must be of the heap at {} and begin at {begin}, found `{heap}` and `{place}`",
                self.at
            ));
        }
        Ok(())
    }
}
