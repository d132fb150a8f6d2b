//! A look at a TIFF's first directory before it is decoded: the decoder makes room for as many values
//! as a tag declares, and a small file can declare many.

use std::io::{Read, Seek, SeekFrom};

/// Most tags that are looked at; a real directory has a few dozen.
const MOST_TAGS: u64 = 4096;

/// Whether each tag of the first directory fits into a file of this length. What is no TIFF, or ends
/// too early, passes: the decoder says that better. Leaves the file at its beginning.
///
/// # Errors
/// A sentence about the first tag that does not fit.
pub(super) fn check(file: &mut (impl Read + Seek), length: u64) -> Result<(), String> {
    let found = directory(file).unwrap_or_default();
    let _ = file.seek(SeekFrom::Start(0));
    match found.into_iter().find(|tag| tag.count.saturating_mul(tag.size) > length) {
        None => Ok(()),
        Some(Entry { tag, count, .. }) => Err(format!(
            "tag {tag} of its header must fit into its {length} bytes, found `{count}` values; it is damaged"
        )),
    }
}

struct Entry {
    tag: u16,
    count: u64,
    /// Bytes of one value.
    size: u64,
}

/// The entries of the first directory, of classic TIFF and of BigTIFF.
fn directory(file: &mut (impl Read + Seek)) -> Option<Vec<Entry>> {
    file.seek(SeekFrom::Start(0)).ok()?;
    let mut head = [0; 4];
    file.read_exact(&mut head).ok()?;
    let little = match &head[..2] {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let version = if little { head[2] } else { head[3] };
    // Bytes of an offset and of the number of entries.
    let (wide, short) = match version {
        42 => (4, 2),
        43 => {
            number(file, little, 4)?;
            (8, 8)
        }
        _ => return None,
    };
    let offset = number(file, little, wide)?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    let mut entries = Vec::new();
    for _ in 0..number(file, little, short)?.min(MOST_TAGS) {
        let Some([tag, kind, count, _]) = entry(file, little, wide) else { break };
        entries.push(Entry { tag: tag as u16, count, size: size(kind) });
    }
    Some(entries)
}

/// Tag, type, count, and the value or where it lies.
fn entry(file: &mut impl Read, little: bool, wide: usize) -> Option<[u64; 4]> {
    let [tag, kind] = [number(file, little, 2)?, number(file, little, 2)?];
    Some([tag, kind, number(file, little, wide)?, number(file, little, wide)?])
}

/// The next number of up to 8 bytes.
fn number(file: &mut impl Read, little: bool, bytes: usize) -> Option<u64> {
    let mut raw = [0; 8];
    let field = if little { &mut raw[..bytes] } else { &mut raw[8 - bytes..] };
    file.read_exact(field).ok()?;
    Some(if little { u64::from_le_bytes(raw) } else { u64::from_be_bytes(raw) })
}

/// Bytes of a value of this type (TIFF 6.0, section 2, and BigTIFF).
const fn size(kind: u64) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    }
}
