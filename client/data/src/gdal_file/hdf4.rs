//! HDF4: the descriptors of a file say where each of its parts lies, so it can be told whether it was cut short, and
//! whether a part lies in another file.
//!
//! The format is that of the HDF Specification and Developer's Guide 4.2.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::error::DataError;
use crate::open::open_regular;

/// The bytes of a block of descriptors before these, and of a descriptor.
const BLOCK: u64 = 6;
const DESCRIPTOR: usize = 12;
/// Most descriptors of a file.
const MOST_DESCRIPTORS: usize = 1_000_000;
/// The tag of a descriptor that is not used.
const UNUSED: u16 = 1;
/// A tag with this bit, and without the next one, is of a special part, which begins with what it is.
const SPECIAL: u16 = 0x4000;
const USERS: u16 = 0x8000;
/// Special parts that lie in the file itself: linked blocks, compressed, variable blocks, chunked.
const OWN: [u16; 4] = [1, 3, 4, 5];
/// An offset or a length that is not known yet.
const NONE: u32 = u32::MAX;

/// Checks that each part of a file lies in it.
///
/// # Errors
/// If one does not, or the descriptors are damaged.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    let fail = |reason: String| DataError::file(path, reason);
    let file = open_regular(path)?;
    let length = file.metadata().map_err(|error| DataError::file(path, error))?.len();
    // The first block comes after the first bytes by which the kind is known.
    let mut block = 4_u64;
    let mut seen = 0;
    while block != 0 {
        let [count, next] = head_of(&file, block).map_err(fail)?;
        seen += count as usize;
        if count == 0 || seen > MOST_DESCRIPTORS {
            return Err(fail(format!(
                "HDF4 may have 1 to {MOST_DESCRIPTORS} descriptors, found `{seen}` or more"
            )));
        }
        let mut descriptors = vec![0; count as usize * DESCRIPTOR];
        read(&file, &mut descriptors, block + BLOCK).map_err(fail)?;
        for descriptor in descriptors.chunks_exact(DESCRIPTOR) {
            check_part(&file, descriptor, length).map_err(fail)?;
        }
        block = u64::from(next);
    }
    Ok(())
}

/// How many descriptors a block has, and where the next one is.
fn head_of(file: &File, block: u64) -> Result<[u32; 2], String> {
    let mut head = [0; BLOCK as usize];
    read(file, &mut head, block)?;
    Ok([u16_at(&head, 0).into(), u32_at(&head, 2)])
}

fn check_part(file: &File, descriptor: &[u8], length: u64) -> Result<(), String> {
    let (tag, start, size) = (u16_at(descriptor, 0), u32_at(descriptor, 4), u32_at(descriptor, 8));
    if tag == UNUSED || start == NONE || size == NONE {
        return Ok(());
    }
    let end = u64::from(start) + u64::from(size);
    if end > length {
        return Err(format!(
            "by its descriptors it must have {end} bytes, found `{length}`; it is cut short"
        ));
    }
    if tag & SPECIAL != 0 && tag & USERS == 0 {
        let mut code = [0; 2];
        read(file, &mut code, start.into())?;
        let code = u16::from_be_bytes(code);
        if !OWN.contains(&code) {
            return Err(format!(
                "all parts of HDF4 must lie in the file itself, found a special part `{code}`"
            ));
        }
    }
    Ok(())
}

fn read(file: &File, bytes: &mut [u8], at: u64) -> Result<(), String> {
    file.read_exact_at(bytes, at).map_err(|error| format!("the descriptors of HDF4 are damaged: {error}"))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a block of these descriptors, and 20 bytes after it.
    fn said(next: u32, descriptors: &[(u16, u32, u32)]) -> Result<(), String> {
        let mut bytes = b"\x0e\x03\x13\x01".to_vec();
        bytes.extend((descriptors.len() as u16).to_be_bytes());
        bytes.extend(next.to_be_bytes());
        for (tag, start, size) in descriptors {
            bytes.extend([tag.to_be_bytes(), [0, 1]].concat());
            bytes.extend([start.to_be_bytes(), size.to_be_bytes()].concat());
        }
        bytes.extend([0, 2]);
        bytes.extend([0; 18]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.hdf");
        std::fs::write(&path, bytes).unwrap();
        check(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_lie_in_the_file() {
        let first = 10 + 12;
        assert_eq!(said(0, &[(720, first, 20)]), Ok(()));
        assert!(said(0, &[(720, first, 21)]).unwrap_err().contains("must have 43 bytes, found `42`"));
        assert!(said(0, &[(720, u32::MAX - 1, u32::MAX - 1)]).unwrap_err().contains("cut short"));
        assert_eq!(said(0, &[(UNUSED, 1 << 30, 1), (720, NONE, 5), (720, 0, NONE)]), Ok(()));
        // A part of another file, which the two bytes there say.
        let special = said(0, &[(SPECIAL | 720, first, 20)]).unwrap_err();
        assert!(special.contains("a.hdf") && special.contains("found a special part `2`"), "{special}");
        assert_eq!(said(0, &[(SPECIAL | USERS | 720, first, 20)]), Ok(()));
    }

    #[test]
    fn damaged_descriptors_are_refused() {
        assert!(said(0, &[]).unwrap_err().contains("1 to 1000000 descriptors"));
        assert!(said(30, &[(720, 22, 20)]).is_err(), "a next block of zeros");
        assert!(
            said(4, &[(720, 22, 20)]).unwrap_err().contains("descriptors"),
            "a block that is its own next one"
        );
        assert!(said(1 << 30, &[(720, 22, 20)]).unwrap_err().contains("damaged"));
    }
}
