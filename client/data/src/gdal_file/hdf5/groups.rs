//! Groups: where their links lie, and where these lead.

use super::{Found, Part, Walk, unclear};

/// Takes the B-tree of a group in the old form.
pub(super) fn links_in_tree(walk: &mut Walk, body: &[u8]) -> Result<(), Found> {
    let at = walk.source.fields(body).place()?;
    walk.add(Part::Tree { at });
    Ok(())
}

/// Takes the heap and the B-trees of a group in the new form, if it has them.
pub(super) fn links_in_heap(walk: &mut Walk, body: &[u8]) -> Result<(), Found> {
    let mut fields = walk.source.fields(body);
    fields.expect(&[0])?;
    let flags = fields.byte()?;
    if flags & 1 != 0 {
        // The largest number in the order of creation.
        fields.bytes(8)?;
    }
    let heap = fields.address()?;
    let by_name = fields.address()?;
    let by_order = if flags & 2 == 0 { None } else { fields.address()? };
    if let Some(heap) = heap {
        for index in [by_name, by_order].into_iter().flatten() {
            walk.add(Part::Links { heap, index });
        }
    }
    Ok(())
}

/// Follows a link in the new form, into this file.
pub(super) fn link(walk: &mut Walk, body: &[u8]) -> Result<(), Found> {
    const HARD: u8 = 0;
    const SOFT: u8 = 1;
    const EXTERNAL: u8 = 64;
    let mut fields = walk.source.fields(body);
    fields.expect(&[1])?;
    let flags = fields.byte()?;
    let kind = if flags & 8 == 0 { HARD } else { fields.byte()? };
    if flags & 4 != 0 {
        // The number in the order of creation.
        fields.bytes(8)?;
    }
    if flags & 16 != 0 {
        // The encoding of the name.
        fields.byte()?;
    }
    let length = fields.number(1 << (flags & 3))?;
    let name = fields.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
    match kind {
        HARD => {
            let at = fields.place()?;
            walk.add(Part::Header { at });
            Ok(())
        }
        // The name of an object that other links of this file lead to.
        SOFT => Ok(()),
        EXTERNAL => {
            // Length, and flags; then the names of the file and of the object in it, each with a zero after it.
            let file = fields.left.get(3..).unwrap_or_default().split(|byte| *byte == 0).next();
            let what = format!(
                "the link `{}` into another file, `{}`",
                shown(name),
                shown(file.unwrap_or_default())
            );
            Err(Found::Elsewhere(what))
        }
        _ => unclear(format!("the kind of the link `{}` must be 0, 1 or 64, found `{kind}`", shown(name))),
    }
}

/// The beginning of a name, for sentences.
fn shown(name: &[u8]) -> String {
    const MOST: usize = 80;
    let text: String = String::from_utf8_lossy(name).chars().take(MOST).collect();
    text.escape_debug().to_string()
}

/// Follows the links of a node of a B-tree in the old form.
pub(super) fn tree(walk: &mut Walk, at: u64) -> Result<(), Found> {
    let widths = walk.source.widths;
    let before = 8 + 2 * widths.address as u64;
    let bytes = walk.source.read(at, before)?;
    let mut fields = walk.source.fields(&bytes);
    // The kind 0 is that of groups.
    fields.expect(b"TREE\0")?;
    let level = fields.byte()?;
    let count = fields.number(2)?;
    let entry = (widths.length + widths.address) as u64;
    let bytes = walk.source.read(at + before, count * entry)?;
    let mut fields = walk.source.fields(&bytes);
    for _ in 0..count {
        let _name = fields.length()?;
        let at = fields.place()?;
        if level > 0 {
            walk.add(Part::Tree { at });
        } else {
            names(walk, at)?;
        }
    }
    Ok(())
}

/// Follows the links of a list of names in the old form.
fn names(walk: &mut Walk, at: u64) -> Result<(), Found> {
    const SOFT: u64 = 2;
    const BEFORE: u64 = 8;
    let widths = walk.source.widths;
    let bytes = walk.source.read(at, BEFORE)?;
    let mut fields = walk.source.fields(&bytes);
    fields.expect(b"SNOD\x01")?;
    fields.byte()?;
    let count = fields.number(2)?;
    // Each has a name, an address, what kind it is, four unused bytes, and 16 more.
    let entry = (widths.length + widths.address + 24) as u64;
    let bytes = walk.source.read(at + BEFORE, count * entry)?;
    let mut fields = walk.source.fields(&bytes);
    for _ in 0..count {
        let _name = fields.length()?;
        let at = fields.address()?;
        let kind = fields.number(4)?;
        fields.bytes(20)?;
        match (kind, at) {
            (SOFT, _) => {}
            (_, Some(at)) => walk.add(Part::Header { at }),
            (_, None) => return unclear("a link must have an address, found none"),
        }
    }
    Ok(())
}
