//! Rows of black (1) and white (0) pixels in each of CCITT's codings.

use std::cell::RefCell;
use std::convert::Infallible;

use fax::encoder::Encoder;
use fax::maps::{black, white};
use fax::{BitWriter, Bits, Color, VecWriter};

const END_OF_LINE: Bits = Bits { data: 1, len: 12 };

/// A writer that is shared with an encoder, and can be made to forget what it gets.
struct Shared<'a>(&'a RefCell<(VecWriter, usize, bool)>);

impl BitWriter for Shared<'_> {
    type Error = Infallible;

    fn write(&mut self, bits: Bits) -> Result<(), Infallible> {
        let (writer, written, on) = &mut *self.0.borrow_mut();
        if *on {
            writer.write(bits)?;
            *written += usize::from(bits.len);
        }
        Ok(())
    }
}

fn run(to: &mut impl BitWriter<Error = Infallible>, is_black: bool, mut length: usize) {
    let table = if is_black { &black::ENTRIES } else { &white::ENTRIES };
    let Ok(()) = (|| {
        while length >= 2560 {
            to.write(table[63 + 2560 / 64].1)?;
            length -= 2560;
        }
        if length >= 64 {
            to.write(table[63 + length / 64].1)?;
        }
        to.write(table[length % 64].1)
    })();
}

/// Runs of a row, white and black in turn.
fn runs(to: &mut impl BitWriter<Error = Infallible>, row: &[u8]) {
    if row[0] == 1 {
        run(to, false, 0);
    }
    row.chunk_by(|a, b| a == b).for_each(|same| run(to, same[0] == 1, same.len()));
}

fn colours(row: &[u8]) -> impl Iterator<Item = Color> {
    row.iter().map(|bit| if *bit == 1 { Color::Black } else { Color::White })
}

/// Each row begins at a byte.
pub(crate) fn rle<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut all = Vec::new();
    for row in rows {
        let mut writer = VecWriter::new();
        runs(&mut writer, row);
        all.extend(writer.finish());
    }
    all
}

/// T.4 in one dimension; with zeros before marks, so that these end with a byte.
pub(crate) fn t4<'a>(rows: impl Iterator<Item = &'a [u8]>, filled: bool) -> Vec<u8> {
    let shared = RefCell::new((VecWriter::new(), 0, true));
    for row in rows {
        mark(&shared, filled);
        runs(&mut Shared(&shared), row);
    }
    (0..6).for_each(|_| mark(&shared, false));
    shared.into_inner().0.finish()
}

fn mark(shared: &RefCell<(VecWriter, usize, bool)>, filled: bool) {
    while filled && !(shared.borrow().1 + 12).is_multiple_of(8) {
        let Ok(()) = Shared(shared).write(Bits { data: 0, len: 1 });
    }
    let Ok(()) = Shared(shared).write(END_OF_LINE);
}

/// T.4 in two dimensions: of four rows, the first has runs.
pub(crate) fn two_dimensions<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let shared = RefCell::new((VecWriter::new(), 0, true));
    let mut encoder = Encoder::new(Shared(&shared));
    for (at, row) in rows.enumerate() {
        let alone = at % 4 == 0;
        mark(&shared, false);
        let Ok(()) = Shared(&shared).write(Bits { data: u16::from(alone), len: 1 });
        if alone {
            runs(&mut Shared(&shared), row);
        }
        // The encoder has to know each row, since the next one is a difference to it.
        shared.borrow_mut().2 = !alone;
        let Ok(()) = encoder.encode_line(colours(row), row.len() as u32);
        shared.borrow_mut().2 = true;
    }
    drop(encoder);
    shared.into_inner().0.finish()
}

pub(crate) fn t6<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut encoder = Encoder::new(VecWriter::new());
    for row in rows {
        let Ok(()) = encoder.encode_line(colours(row), row.len() as u32);
    }
    let Ok(writer) = encoder.finish();
    writer.finish()
}
