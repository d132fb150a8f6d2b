//! CCITT's codes for pictures of two colours (ITU-T T.4 and T.6). A black pixel is 1, as GDAL gives it. The library has
//! the tables of codes; rows are put together here, since it has neither rows without marks between them nor T.4 in two
//! dimensions, and since a code too few or too many must be an error.

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

use super::Shape;
use crate::geotiff::formats::Coding;

/// The bits of an end of line: at least so many zeros, and a one.
const ZEROS: u8 = 11;

pub(super) fn unpack(coding: Coding, packed: &[u8], into: &mut [u8], shape: Shape) -> Result<(), String> {
    let width = u32::try_from(shape.width).map_err(|error| error.to_string())?;
    let mut bits = Bits { bytes: packed, at: 0 };
    // The columns at which the colour changes, the first time from white to black: of this row and of the one before.
    let mut changes = Vec::new();
    let mut before = Vec::new();
    for (at, line) in into.chunks_exact_mut(shape.width.div_ceil(8)).enumerate() {
        std::mem::swap(&mut changes, &mut before);
        changes.clear();
        let read = match coding {
            Coding::Rle => bits.runs(width, &mut changes).map(|()| bits.align()),
            Coding::OneDimension => bits.end_of_line().and_then(|()| bits.runs(width, &mut changes)),
            Coding::TwoDimensions => bits.end_of_line().and_then(|()| match bits.take(1)? {
                1 => bits.runs(width, &mut changes),
                _ => bits.differences(width, &before, &mut changes),
            }),
            Coding::T6 => bits.differences(width, &before, &mut changes),
        };
        read.ok_or_else(|| {
            format!(
                "its CCITT stream must have {} rows of {width} pixels, and is damaged or ends in row {at}",
                shape.height
            )
        })?;
        line.fill(0);
        for run in changes.chunks(2) {
            let to = run.get(1).map_or(width, |to| *to);
            (run[0]..to).for_each(|x| line[x as usize / 8] |= 0x80 >> (x % 8));
        }
    }
    Ok(())
}

/// Bits, the highest of a byte first. After the end come zeros, which must not be taken.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader for Bits<'_> {
    type Error = ();

    fn peek(&self, bits: u8) -> Option<u16> {
        let byte = |at: usize| u32::from(self.bytes.get(at).copied().unwrap_or(0));
        let first = self.at / 8;
        let three = byte(first) << 16 | byte(first + 1) << 8 | byte(first + 2);
        let used = u32::try_from(self.at % 8).ok()?;
        let shift = 24_u32.checked_sub(used + u32::from(bits)).filter(|_| bits <= 16)?;
        Some(((three >> shift) & ((1 << bits) - 1)) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), ()> {
        self.at += usize::from(bits);
        if self.at > self.bytes.len() * 8 { Err(()) } else { Ok(()) }
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (8 - self.at % 8) as u8 % 8
    }
}

impl Bits<'_> {
    fn take(&mut self, bits: u8) -> Option<u16> {
        let found = self.peek(bits)?;
        self.consume(bits).ok().map(|()| found)
    }

    /// Goes on to the next byte.
    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// Passes over the mark before a row, with zeros that fill up a byte before it.
    fn end_of_line(&mut self) -> Option<()> {
        if self.peek(ZEROS)? != 0 {
            return None;
        }
        while self.take(1)? == 0 {}
        Some(())
    }

    /// The length of a run of one colour.
    fn run(&mut self, black: bool) -> Option<u32> {
        let mut length = 0_u32;
        loop {
            let part = if black { black::decode(self) } else { white::decode(self) }?;
            length = length.checked_add(part.into())?;
            // Longer ones are makeup codes, which another code follows.
            if part < 64 {
                return Some(length);
            }
        }
    }

    /// A row of runs, white and black in turn.
    fn runs(&mut self, width: u32, changes: &mut Vec<u32>) -> Option<()> {
        let mut at = 0;
        let mut black = false;
        while at < width {
            at = change(at, self.run(black)?, width, changes)?;
            black = !black;
        }
        Some(())
    }

    /// A row as differences to the one before (T.6, section 2.2).
    fn differences(&mut self, width: u32, before: &[u32], changes: &mut Vec<u32>) -> Option<()> {
        let mut at = 0;
        let mut black = false;
        let mut first = true;
        while at < width {
            // The next change of the row before to the other colour, and the one after it.
            let beyond = |column: &u32| *column > at || (first && *column == at);
            let from = before.partition_point(|column| !beyond(column));
            let from = from + usize::from(from % 2 != usize::from(black));
            let change_before = |at: usize| before.get(at).copied().unwrap_or(width);
            match mode::decode(self)? {
                Mode::Pass => at = change_before(from + 1),
                Mode::Vertical(by) => {
                    let to = change_before(from).checked_add_signed(by.into())?;
                    at = change(at, to.checked_sub(at)?, width, changes)?;
                    black = !black;
                }
                Mode::Horizontal => {
                    at = change(at, self.run(black)?, width, changes)?;
                    at = change(at, self.run(!black)?, width, changes)?;
                }
                Mode::Extension | Mode::EOF => return None,
            }
            first = false;
        }
        Some(())
    }
}

/// Adds the change after a run that begins at a column; gives its column.
fn change(at: u32, run: u32, width: u32, changes: &mut Vec<u32>) -> Option<u32> {
    let to = at.checked_add(run).filter(|to| *to <= width)?;
    // Two changes at one column are none.
    if changes.last() == Some(&to) {
        changes.pop();
    } else {
        changes.push(to);
    }
    Some(to)
}
