//! netCDF classic (netCDF-3): the header says where the numbers of each variable lie, so it can be told whether a file was
//! cut short. The library would read zeros there.
//!
//! The format is that of the netCDF manual, "File Format Specifications": classic (CDF-1), 64-bit offset (CDF-2) and 64-bit
//! data (CDF-5).

use std::io::{BufReader, Read};
use std::path::Path;

use crate::error::DataError;
use crate::open::open_regular;

/// Most bytes of a header.
const MOST_HEADER: u64 = 16 << 20;
/// Most dimensions, attributes or variables of one list, and most dimensions of a variable.
const MOST_LISTED: u64 = 100_000;
const MOST_RANK: u64 = 1024;

/// Tags of lists.
const DIMENSIONS: u32 = 10;
const VARIABLES: u32 = 11;
const ATTRIBUTES: u32 = 12;

/// Checks that a file is as long as its header says.
///
/// # Errors
/// If it is shorter, or its header is damaged.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    let fail = |reason: String| DataError::file(path, reason);
    let file = open_regular(path)?;
    let found = file.metadata().map_err(|error| DataError::file(path, error))?.len();
    let header = BufReader::new(file.take(MOST_HEADER));
    let needed = needed(header)
        .map_err(|reason| fail(format!("the header of netCDF classic is damaged: {reason}")))?;
    if found < needed {
        return Err(fail(format!(
            "by its header it must have {needed} bytes, found `{found}`; it is cut short"
        )));
    }
    Ok(())
}

/// How many bytes a file has at least that begins with this header.
fn needed(from: impl Read) -> Result<u64, String> {
    let mut header = Header { from, version: 0 };
    let [c, d, f, version] = header.bytes()?;
    if [c, d, f] != *b"CDF" || !matches!(version, 1 | 2 | 5) {
        return Err(format!("it must begin with `CDF` and version 1, 2 or 5, found version `{version}`"));
    }
    header.version = version;
    let records = header.number()?;
    let unknown = if version == 5 { u64::MAX } else { u64::from(u32::MAX) };
    if records == unknown {
        return Err("it must say how many records it has, found a file that was not closed".to_owned());
    }
    let count = header.list(DIMENSIONS)?;
    let mut lengths = Vec::new();
    for _ in 0..count {
        header.name()?;
        lengths.push(header.number()?);
    }
    header.attributes()?;
    let variables = header.variables(&lengths)?;
    end(&variables, records).ok_or_else(|| "its variables must be smaller than 2^64 bytes".to_owned())
}

/// A variable.
struct Variable {
    begin: u64,
    /// Bytes of its numbers; of one record, if it has records.
    bytes: u64,
    has_records: bool,
}

/// Where the last number of all variables ends; `None` if that is no number of 64 bits.
fn end(variables: &[Variable], records: u64) -> Option<u64> {
    let recorded: Vec<&Variable> = variables.iter().filter(|variable| variable.has_records).collect();
    // Records are filled up to a multiple of four bytes, but for a single variable.
    let record = match recorded[..] {
        [one] => one.bytes,
        _ => recorded
            .iter()
            .try_fold(0_u64, |all, one| all.checked_add(one.bytes.checked_next_multiple_of(4)?))?,
    };
    let mut end = 0;
    for variable in variables {
        let before = match (variable.has_records, records.checked_sub(1)) {
            (false, _) => 0,
            (true, None) => continue,
            (true, Some(before)) => record.checked_mul(before)?,
        };
        end = end.max(variable.begin.checked_add(before)?.checked_add(variable.bytes)?);
    }
    Some(end)
}

/// A header, as far as it was not read.
struct Header<R> {
    from: R,
    version: u8,
}

impl<R: Read> Header<R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(|error| format!("it ends too early: {error}"))?;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_be_bytes)
    }

    /// A count or a length.
    fn number(&mut self) -> Result<u64, String> {
        if self.version == 5 { self.long() } else { self.word().map(u64::from) }
    }

    /// How many entries a list has.
    fn list(&mut self, wanted: u32) -> Result<u64, String> {
        let tag = self.word()?;
        let count = self.number()?;
        if tag != wanted && (tag, count) != (0, 0) {
            return Err(format!("a list must have the tag {wanted}, found `{tag}`"));
        }
        bounded(count, MOST_LISTED, "entries of a list")
    }

    /// Passes over so many bytes, which are filled up to a multiple of four.
    fn skip(&mut self, bytes: u64) -> Result<(), String> {
        let filled = bytes.checked_next_multiple_of(4).ok_or("a text must be smaller than 2^64 bytes")?;
        let skipped = std::io::copy(&mut self.from.by_ref().take(filled), &mut std::io::sink());
        match skipped.map_err(|error| error.to_string())? {
            found if found == filled => Ok(()),
            _ => Err(format!("it ends too early, or has more than {MOST_HEADER} bytes")),
        }
    }

    fn name(&mut self) -> Result<(), String> {
        let length = self.number()?;
        self.skip(length)
    }

    fn attributes(&mut self) -> Result<(), String> {
        for _ in 0..self.list(ATTRIBUTES)? {
            self.name()?;
            let size = size_of(self.word()?)?;
            let count = self.number()?;
            self.skip(count.checked_mul(size).ok_or("an attribute must be smaller than 2^64 bytes")?)?;
        }
        Ok(())
    }

    fn variables(&mut self, lengths: &[u64]) -> Result<Vec<Variable>, String> {
        let mut found = Vec::new();
        for _ in 0..self.list(VARIABLES)? {
            self.name()?;
            let rank = bounded(self.number()?, MOST_RANK, "dimensions of a variable")?;
            let mut count = 1_u64;
            let mut has_records = false;
            for at in 0..rank {
                let dimension = self.number()?;
                let length = usize::try_from(dimension).ok().and_then(|dimension| lengths.get(dimension));
                match (length, at) {
                    // The first dimension of a variable may be that of records, which has no length.
                    (Some(0), 0) => has_records = true,
                    (Some(length), _) => {
                        count =
                            count.checked_mul(*length).ok_or("a variable must be smaller than 2^64 bytes")?;
                    }
                    (None, _) => {
                        return Err(format!("a variable must have known dimensions, found `{dimension}`"));
                    }
                }
            }
            self.attributes()?;
            let bytes = count
                .checked_mul(size_of(self.word()?)?)
                .ok_or("a variable must be smaller than 2^64 bytes")?;
            // Its size, which says no more, and is not right for large ones.
            self.number()?;
            let begin = if self.version == 1 { u64::from(self.word()?) } else { self.long()? };
            found.push(Variable { begin, bytes, has_records });
        }
        Ok(found)
    }
}

fn bounded(found: u64, most: u64, what: &str) -> Result<u64, String> {
    if found <= most { Ok(found) } else { Err(format!("it may have {most} {what}, found `{found}`")) }
}

/// The bytes of a number of a type.
fn size_of(kind: u32) -> Result<u64, String> {
    match kind {
        1 | 2 | 7 => Ok(1),
        3 | 8 => Ok(2),
        4 | 5 | 9 => Ok(4),
        6 | 10 | 11 => Ok(8),
        _ => Err(format!("a type of numbers must be of 1 to 11, found `{kind}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Of two dimensions, of which the first has no length, and a variable of shorts over both with this many records.
    fn header(records: u32, variables: &[u32]) -> Vec<u8> {
        let name = u32::from_be_bytes(*b"a\0\0\0");
        let dimensions = [DIMENSIONS, 2, 1, name, 0, 1, name, 5];
        let mut all = [b"CDF\x01".to_vec(), words(&[records]), words(&dimensions)].concat();
        // One attribute of three bytes.
        all.extend(words(&[ATTRIBUTES, 1, 1, name, 1, 3, 0]));
        all.extend(words(&[VARIABLES, variables.len() as u32]));
        for (at, kind) in variables.iter().enumerate() {
            all.extend(words(&[1, name, 2, 0, 1, 0, 0, *kind, 12, 1000 + 12 * at as u32]));
        }
        all
    }

    #[test]
    fn the_end_of_the_last_record_is_needed() {
        let of = |records, variables: &[u32]| needed(&header(records, variables)[..]);
        assert_eq!(of(3, &[]), Ok(0));
        assert_eq!(of(0, &[3]), Ok(0));
        assert_eq!(of(1, &[3]), Ok(1010));
        assert_eq!(of(3, &[3]), Ok(1000 + 3 * 10), "one variable is not filled up");
        assert_eq!(of(3, &[3, 3]), Ok(1012 + 2 * 24 + 10));
        assert_eq!(of(2, &[6]), Ok(1000 + 2 * 40));
        assert!(of(u32::MAX, &[3]).unwrap_err().contains("not closed"));
        assert!(of(1, &[12]).unwrap_err().contains("found `12`"));
    }

    #[test]
    fn damaged_headers_are_refused_without_harm() {
        let good = header(3, &[3, 6]);
        assert!(needed(&good[..]).is_ok());
        for end in 0..good.len() {
            assert!(needed(&good[..end]).is_err(), "{end}");
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = good.clone();
                changed[at] = byte;
                let _read_or_refused = needed(&changed[..]);
            }
        }
        let mut listed = good.clone();
        listed[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(needed(&listed[..]).unwrap_err().contains("entries of a list"));
        assert!(needed(&b"CDF\x03aaaa"[..]).unwrap_err().contains("found version `3`"));
    }
}
