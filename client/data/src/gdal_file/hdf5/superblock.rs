//! The superblock: where everything begins.

use super::source::{Source, Widths};
use super::{Found, unclear};

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Most bytes of any superblock: version 1, with addresses and lengths of 8 bytes.
const MOST: u64 = 8 + 20 + 4 * 8 + 2 * 8 + 24;

/// Takes the widths of numbers, and gives the addresses of the headers to begin with: that of the root group, and that of the
/// extension of the superblock.
///
/// # Errors
/// If it is damaged or of an unknown version, or if the file is one of several.
pub(super) fn read(source: &mut Source) -> Result<Vec<u64>, Found> {
    let bytes = source.read_most(0, MOST)?;
    let mut fields = source.fields(&bytes);
    fields.expect(SIGNATURE)?;
    let version = fields.byte()?;
    if version > 3 {
        return unclear(format!("the version of its superblock must be 0 to 3, found `{version}`"));
    }
    let is_old = version < 2;
    if is_old {
        // Versions of other parts.
        fields.bytes(4)?;
    }
    let (address, length) = (usize::from(fields.byte()?), usize::from(fields.byte()?));
    if ![address, length].iter().all(|width| matches!(width, 2 | 4 | 8)) {
        return unclear(format!("its addresses must have 2, 4 or 8 bytes, found `{address}` and `{length}`"));
    }
    source.widths = Widths { address, length };
    // Flags, and how many entries nodes of B-trees have.
    fields.bytes(match version {
        0 => 9,
        1 => 13,
        _ => 1,
    })?;
    let mut fields = source.fields(fields.left);
    let base = fields.number(address)?;
    if base != 0 {
        return unclear(format!("its addresses must count from its first byte, found `{base}`"));
    }
    // In a new one of the extension, in an old one of free space.
    let second = fields.address()?;
    let _end = fields.address()?;
    if !is_old {
        return Ok([Some(fields.place()?), second].into_iter().flatten().collect());
    }
    if fields.address()?.is_some() {
        return several();
    }
    let _name = fields.length()?;
    Ok(vec![fields.place()?])
}

/// Refuses a file that says how it is divided into several.
pub(super) fn several<T>() -> Result<T, Found> {
    Err(Found::Elsewhere("the information of a driver, as in a file that is one of several".to_owned()))
}
