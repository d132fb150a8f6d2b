//! Files of the library (`goldens/hdf5/make.py`), and files made here of single messages.

use std::path::Path;

use super::check;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/hdf5").join(name)).unwrap()
}

fn said(bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    std::fs::write(&path, bytes).unwrap();
    check(&path).map_err(|error| error.to_string())
}

fn refused(bytes: &[u8]) -> String {
    let said = said(bytes).unwrap_err();
    assert!(said.contains("a.h5") && said.contains("gdal_translate"), "{said}");
    said
}

/// Where bytes are for the first time.
fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|found| found == wanted).unwrap()
}

/// With other bytes so far behind a signature.
fn changed(name: &str, signature: &[u8], behind: usize, to: &[u8]) -> Vec<u8> {
    let mut bytes = golden(name);
    let at = find(&bytes, signature) + behind;
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

const ROOT: u64 = 48;

/// A file with a header of the root group after its superblock of version 2.
fn with_root(header: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89HDF\r\n\x1a\n\x02\x08\x08\0".to_vec();
    for number in [0, u64::MAX, 1000, ROOT] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(header);
    bytes
}

/// A file whose root group has these messages: kind and content.
fn made(messages: &[(u8, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (kind, body) in messages {
        all.push(*kind);
        all.extend((body.len() as u16).to_le_bytes());
        all.push(0);
        all.extend(*body);
    }
    let length = (all.len() as u32).to_le_bytes();
    with_root(&[&b"OHDR\x02\x02"[..], &length, &all, &[0; 4]].concat())
}

/// A link named `a`, of a kind, with what comes then.
fn link(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[1, 8, kind, 1, b'a'], rest].concat()
}

#[test]
fn files_with_all_of_their_data_are_read() {
    for name in ["old-own.h5", "new-own.h5", "many.h5"] {
        assert_eq!(said(&golden(name)), Ok(()), "{name}");
    }
    assert_eq!(said(&made(&[])), Ok(()));
    // A hard link to the group that it is in, and a soft one to nothing.
    let circle = made(&[(6, &link(0, &ROOT.to_le_bytes())), (6, &link(1, b"\x01\0b"))]);
    assert_eq!(said(&circle), Ok(()));
}

#[test]
fn files_that_name_others_are_refused_by_what_they_have() {
    let storage = "a dataset whose numbers lie in other files (external storage, at byte";
    let link = "the link `elsewhere` into another file, `other.h5`";
    let together = "a dataset put together from others (a virtual one, at byte";
    for (name, part) in [
        ("old-link.h5", link),
        ("new-link.h5", link),
        ("old-storage.h5", storage),
        ("new-storage.h5", storage),
        ("old-virtual.h5", together),
        ("new-virtual.h5", together),
        ("many-links.h5", link),
    ] {
        let said = refused(&golden(name));
        assert!(
            said.contains(part) && said.contains("all data of HDF5 must lie in the file itself"),
            "{name}: {said}"
        );
    }
}

#[test]
fn each_message_is_known_or_refused() {
    let of = |kind: u8, body: &[u8]| said(&made(&[(0, b"gap"), (kind, body)]));
    let refusal = |kind: u8, body: &[u8]| refused(&made(&[(0, b"gap"), (kind, body)]));
    for class in 0..3 {
        for layout in [[1, 2, class], [2, 2, class], [3, class, 0], [4, class, 0], [5, class, 0]] {
            assert_eq!(of(8, &layout), Ok(()), "{layout:?}");
        }
    }
    for layout in [[1, 2, 3], [2, 0, 3], [3, 3, 0], [4, 3, 0], [5, 3, 0]] {
        assert!(refusal(8, &layout).contains("put together from others"), "{layout:?}");
    }
    assert!(refusal(8, &[6, 1, 0]).contains("version of a layout must be 1 to 5, found `6`"));
    assert!(refusal(8, &[3, 4, 0]).contains("class of a layout must be 0 to 3, found `4`"));
    assert!(refusal(8, &[3]).contains("must have 1 more bytes, found `0`"));
    assert!(refusal(6, &link(64, b"\x05\0\0/etc/x\0/y\0")).contains("link `a` into another file, `/etc/x`"));
    assert!(refusal(6, &link(64, b"")).contains("into another file, ``"));
    assert!(refusal(6, &link(65, b"")).contains("kind of the link `a` must be 0, 1 or 64, found `65`"));
    assert!(refusal(6, &link(0, &[0xff; 8])).contains("must have an address, found none"));
    assert!(refusal(6, &link(0, &[0; 7])).contains("must have 8 more bytes, found `7`"));
    assert!(refusal(6, &[2, 0, 1, b'a']).contains("must come next"));
    assert!(refusal(6, &[1, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).contains("more bytes"));
    let escaped = refusal(6, &[&[1, 8, 64, 2, 27, b'a'][..], &[0, 0, 0, 0x9b, 0]].concat());
    assert!(escaped.contains("link `\\u{1b}a`"), "{escaped}");
    assert!(refusal(20, b"").contains("the information of a driver"));
    assert!(refusal(24, b"").contains("cache image"));
    assert!(refusal(25, b"").contains("must be 0 to 24, found `25`"));
    for kind in [0, 1, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 18, 19, 21, 22, 23] {
        assert_eq!(of(kind, b"anything"), Ok(()), "{kind}");
    }
    // A group without a heap.
    assert_eq!(of(2, &[&[0, 0][..], &[0xff; 16]].concat()), Ok(()));
    assert!(refusal(2, &[0, 0, 1]).contains("more bytes"));
}

#[test]
fn what_lies_behind_a_message_is_looked_at_once() {
    let at = |place: u64, length: u64| [place.to_le_bytes(), length.to_le_bytes()].concat();
    let more = |block: &[u8]| {
        let first = made(&[(16, &at(0, 0))]);
        let place = first.len() as u64;
        [made(&[(16, &at(place, block.len() as u64))]), block.to_vec()].concat()
    };
    assert_eq!(said(&more(b"OCHK\0\0\0\0\0\0\0\0")), Ok(()));
    assert!(refused(&more(b"OCHK\x07\0\0\0\0\0\0\0")).contains("external storage"));
    assert!(refused(&more(b"OCHX\0\0\0\0\0\0\0\0")).contains("`OCHK` must come next, found `OCHX`"));
    assert!(refused(&more(b"OCHK\0\0\0")).contains("8 bytes or more, found `7`"));
    assert!(refused(&more(b"OCHK\x07\0\0\0\0")).contains("must have a message, found `1` bytes"));
    // A header that goes on with itself, in the old form: type, size, flags, place and length.
    let head = |messages: &[u8]| {
        let mut head = vec![1, 0, 1, 0, 1, 0, 0, 0];
        head.extend((messages.len() as u32).to_le_bytes());
        with_root(&[&head[..], &[0; 4], messages].concat())
    };
    let message = |place, length| [&[16, 0, 16, 0, 0, 0, 0, 0][..], &at(place, length)].concat();
    assert_eq!(said(&head(&message(ROOT + 16, 24))), Ok(()));
    assert!(refused(&head(&message(u64::MAX - 1, 24))).contains("must lie in the file"));
    assert!(refused(&head(&message(ROOT, u64::MAX))).contains("must lie in the file"));
    assert!(refused(&head(&[7, 1, 0, 0, 0, 0, 0, 0])).contains("found `263`"), "kinds have two bytes");
    // The same bytes over and over, each time from another one on.
    let count = 1500;
    let behind = ROOT + 16 + count * 24;
    let messages: Vec<u8> = (0..count).flat_map(|number| message(behind + 8 * number, 50_000)).collect();
    let endless = [head(&messages), vec![0; 70_000]].concat();
    assert!(refused(&endless).contains("it may have 67108864 bytes besides the data, found more"));
}

#[test]
fn superblocks_that_lead_elsewhere_are_refused() {
    let old = |at: usize, to: &[u8]| changed("old-own.h5", b"\x89HDF", at, to);
    let new = |at: usize, to: &[u8]| changed("new-own.h5", b"\x89HDF", at, to);
    assert!(refused(&old(8, &[4])).contains("superblock must be 0 to 3, found `4`"));
    assert!(refused(&old(13, &[3])).contains("2, 4 or 8 bytes, found `3` and `8`"));
    assert!(refused(&old(24, &[1])).contains("count from its first byte, found `1`"));
    assert!(refused(&old(48, &[0; 8])).contains("the information of a driver"));
    assert!(refused(&new(12, &[0, 2])).contains("count from its first byte, found `512`"));
    // The extension of the superblock.
    let length = golden("new-own.h5").len() as u64;
    let mut extended = new(20, &length.to_le_bytes());
    extended.extend(b"OHDR\x02\0\x04\x18\0\0\0\0\0\0\0");
    assert!(refused(&extended).contains("cache image"));
    assert!(refused(b"\x89HDF\r\n\x1a\n").contains("more bytes"));
    assert!(refused(b"").contains("must lie in the file"));
}

#[test]
fn heaps_and_trees_that_are_not_understood_are_refused() {
    let of = |signature: &[u8], behind, to: &[u8]| refused(&changed("many.h5", signature, behind, to));
    assert!(of(b"FRHP", 5, &[8]).contains("names of 7 bytes and no filters, found `8` and `0` bytes"));
    assert!(of(b"FRHP", 7, &[1]).contains("found `7` and `1` bytes"));
    // Width, bits, and rows, behind 14 bytes and 12 numbers.
    assert!(of(b"FRHP", 110, &[3]).contains("must be powers of two, found `[3, 512, 65536]`"));
    assert!(of(b"FRHP", 128, &[64]).contains("and `64` bits"));
    assert!(of(b"FRHP", 140, &[1]).contains("must lie in its heap"));
    assert!(of(b"FHIB", 13, &[1]).contains("and begin at 0, found"));
    assert!(of(b"FHDB", 13, &[1]).contains("must be of the heap at"));
    assert!(of(b"FHIB", 5, &[0]).contains("must be of the heap at"));
    assert!(of(b"BTHD", 5, &[8]).contains("must be of kind 5 or 6, found `8`"));
    assert!(of(b"BTHD", 10, &[12]).contains("bytes, found `12`"));
    assert!(of(b"BTHD", 12, &[17]).contains("may have 16 levels, found `17`"));
    assert!(of(b"BTHD", 6, &[9, 0]).contains("must hold records, found `9` bytes"));
    assert!(of(b"BTHD", 24, &[0xff, 0xff]).contains("records, found `65535`"));
    assert!(of(b"BTLF", 5, &[7]).contains("must come next"));
    // An object that does not lie in the blocks of its heap.
    for (kind, found) in [(0x10, "`16`"), (0x20, "`32`"), (0x40, "`64`")] {
        let key = if golden("many.h5")[find(&golden("many.h5"), b"BTLF") + 5] == 5 { 4 } else { 8 };
        let said = of(b"BTLF", 6 + key, &[kind]);
        assert!(said.contains("must lie in the blocks of its heap") && said.contains(found), "{said}");
    }
}

#[test]
fn damaged_files_are_refused_without_harm() {
    for name in ["old-own.h5", "old-storage.h5", "new-storage.h5", "new-link.h5", "many.h5"] {
        let good = golden(name);
        let step = good.len() / 100 + 1;
        for at in (0..good.len()).step_by(step) {
            let _refused = said(&good[..at]);
            for byte in [0, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let _read_or_refused = said(&bytes);
            }
        }
    }
}
