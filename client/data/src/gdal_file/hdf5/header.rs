//! Headers of objects, and the messages in them.

use super::groups::{link, links_in_heap, links_in_tree};
use super::superblock::several;
use super::{Found, Part, Walk, unclear};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// In a header of version 1.
    Old,
    /// In a header of version 2; with the order of creation or not.
    New { ordered: bool },
}

impl Form {
    /// Bytes before a message.
    const fn before(self) -> usize {
        match self {
            Self::Old => 8,
            Self::New { ordered: false } => 4,
            Self::New { ordered: true } => 6,
        }
    }
}

/// Kinds of messages.
const LINK_INFO: u64 = 2;
const LINK: u64 = 6;
const EXTERNAL_FILES: u64 = 7;
const LAYOUT: u64 = 8;
const CONTINUATION: u64 = 16;
const SYMBOL_TABLE: u64 = 17;
const DRIVER: u64 = 20;
const CACHE_IMAGE: u64 = 24;
/// The last kind of the specification.
const LAST: u64 = CACHE_IMAGE;

/// Most bytes before the messages of a header.
const MOST_BEFORE: u64 = 4 + 2 + 16 + 4 + 8;
const OLD_BEFORE: u64 = 16;
/// Bytes of a checksum.
const CHECKSUM: u64 = 4;

/// Finds the messages of a header.
pub(super) fn header(walk: &mut Walk, at: u64) -> Result<(), Found> {
    let bytes = walk.source.read_most(at, MOST_BEFORE)?;
    let mut fields = walk.source.fields(&bytes);
    if bytes[0] == 1 {
        // Version, number of messages, number of links.
        fields.bytes(8)?;
        let length = fields.number(4)?;
        walk.add(Part::Messages { at: at + OLD_BEFORE, length, form: Form::Old });
        return Ok(());
    }
    fields.expect(b"OHDR\x02")?;
    let flags = fields.byte()?;
    let has = |bit: u8| flags & bit != 0;
    if has(0x20) {
        // Points in time.
        fields.bytes(16)?;
    }
    if has(0x10) {
        // Numbers of attributes from which on these lie elsewhere.
        fields.bytes(4)?;
    }
    let length = fields.number(1 << (flags & 3))?;
    let before = bytes.len() - fields.left.len();
    let form = Form::New { ordered: has(0x04) };
    walk.add(Part::Messages { at: at + before as u64, length, form });
    Ok(())
}

/// Looks at messages one after another.
pub(super) fn messages(walk: &mut Walk, at: u64, length: u64, form: Form) -> Result<(), Found> {
    let bytes = walk.source.read(at, length)?;
    let mut fields = walk.source.fields(&bytes);
    if !bytes.is_empty() && bytes.len() < form.before() {
        return unclear(format!(
            "the header of an object at {at} must have a message, found `{length}` bytes"
        ));
    }
    // What is too short for another message is a gap.
    while fields.left.len() >= form.before() {
        let kind = fields.number(if form == Form::Old { 2 } else { 1 })?;
        let size = fields.number(2)?;
        let rest = form.before() - if form == Form::Old { 4 } else { 3 };
        fields.bytes(rest)?;
        let body = fields.bytes(size as usize)?;
        message(walk, at, kind, body, form)?;
    }
    Ok(())
}

fn message(walk: &mut Walk, at: u64, kind: u64, body: &[u8], form: Form) -> Result<(), Found> {
    match kind {
        LINK_INFO => links_in_heap(walk, body),
        LINK => link(walk, body),
        EXTERNAL_FILES => {
            let what = format!("a dataset whose numbers lie in other files (external storage, at byte {at})");
            Err(Found::Elsewhere(what))
        }
        LAYOUT => layout(walk, at, body),
        CONTINUATION => continuation(walk, body, form),
        SYMBOL_TABLE => links_in_tree(walk, body),
        DRIVER => several(),
        CACHE_IMAGE => unclear(
            "it must not hold a second form of itself (a cache image), found one; write it anew with `h5repack`",
        ),
        0..=LAST => Ok(()),
        _ => unclear(format!("the kind of a message must be 0 to {LAST}, found `{kind}` at {at}")),
    }
}

/// Refuses a dataset of parts of others.
fn layout(walk: &Walk, at: u64, body: &[u8]) -> Result<(), Found> {
    const VIRTUAL: u8 = 3;
    let mut fields = walk.source.fields(body);
    let version = fields.byte()?;
    if !matches!(version, 1..=5) {
        return unclear(format!("the version of a layout must be 1 to 5, found `{version}` at {at}"));
    }
    if version < 3 {
        // The number of dimensions.
        fields.byte()?;
    }
    match fields.byte()? {
        0..=2 => Ok(()),
        VIRTUAL => {
            let what = format!("a dataset put together from others (a virtual one, at byte {at})");
            Err(Found::Elsewhere(what))
        }
        class => unclear(format!("the class of a layout must be 0 to 3, found `{class}` at {at}")),
    }
}

fn continuation(walk: &mut Walk, body: &[u8], form: Form) -> Result<(), Found> {
    const SIGNATURE: &[u8] = b"OCHK";
    let mut fields = walk.source.fields(body);
    let (mut at, mut length) = (fields.place()?, fields.length()?);
    if form != Form::Old {
        let bytes = walk.source.read(at, SIGNATURE.len() as u64)?;
        walk.source.fields(&bytes).expect(SIGNATURE)?;
        at += SIGNATURE.len() as u64;
        let Some(shorter) = length.checked_sub(SIGNATURE.len() as u64 + CHECKSUM) else {
            return unclear(format!("more of a header must have 8 bytes or more, found `{length}`"));
        };
        length = shorter;
    }
    walk.add(Part::Messages { at, length, form });
    Ok(())
}
