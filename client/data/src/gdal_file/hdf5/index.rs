//! The B-tree (version 2) over the links of a group that lie in a heap.

use super::groups::link;
use super::heap::{Heap, ID};
use super::{Found, Walk, unclear};

/// Kinds of trees: over names and over the order of creation; with the bytes of a record before the place in the heap.
const KINDS: [(u8, usize); 2] = [(5, 4), (6, 8)];
/// Most levels above the leaves.
const MOST_DEPTH: u64 = 16;
/// Bytes of a node before its records, and with its checksum.
const BEFORE: u64 = 6;
const AROUND: u64 = BEFORE + 4;

/// What all nodes of a tree have.
struct Tree {
    kind: u8,
    /// Bytes of a record, and of those before the place in the heap.
    record: usize,
    key: usize,
    /// By the level above the leaves.
    levels: Vec<Level>,
    /// Bytes of the number of records of a node.
    count_width: usize,
}

/// What nodes of a level have.
struct Level {
    /// Most records of a node.
    most: u64,
    /// Most records of a node and of all below it.
    all: u64,
}

/// Follows all links of a heap that a tree names.
pub(super) fn links(walk: &mut Walk, heap: u64, index: u64) -> Result<(), Found> {
    let heap = Heap::read(&mut walk.source, heap)?;
    let widths = walk.source.widths;
    let bytes = walk.source.read(index, (22 + widths.address + widths.length) as u64)?;
    let mut fields = walk.source.fields(&bytes);
    fields.expect(b"BTHD\0")?;
    let kind = fields.byte()?;
    let node = fields.number(4)?;
    let record = fields.number(2)?;
    let depth = fields.number(2)?;
    // How full nodes are before they are divided, and joined.
    fields.bytes(2)?;
    let root = fields.address()?;
    let count = fields.number(2)?;
    let tree = Tree::new(walk, [node, record, depth], kind)?;
    match root {
        Some(root) => tree.node(walk, &heap, root, count, tree.levels.len() - 1),
        None => Ok(()),
    }
}

impl Tree {
    fn new(walk: &Walk, [node, record, depth]: [u64; 3], kind: u8) -> Result<Self, Found> {
        let Some((_, key)) = KINDS.into_iter().find(|(known, _)| *known == kind) else {
            return unclear(format!("a B-tree over links must be of kind 5 or 6, found `{kind}`"));
        };
        let wanted = (key + ID) as u64;
        if record != wanted {
            return unclear(format!(
                "a record of a B-tree over links must have {wanted} bytes, found `{record}`"
            ));
        }
        if depth > MOST_DEPTH {
            return unclear(format!("a B-tree over links may have {MOST_DEPTH} levels, found `{depth}`"));
        }
        let small = || {
            Found::Unclear(format!("a node of a B-tree over links must hold records, found `{node}` bytes"))
        };
        let most =
            node.checked_sub(AROUND).map(|room| room / record).filter(|most| *most > 0).ok_or_else(small)?;
        let count_width = width_of(most);
        let mut levels = vec![Level { most, all: most }];
        let mut below_width = 0;
        for _ in 0..depth {
            let below = levels[levels.len() - 1].all;
            let pointer = (walk.source.widths.address + count_width + below_width) as u64;
            let room = node.checked_sub(AROUND + pointer).ok_or_else(small)?;
            let most = room / (record + pointer);
            let all =
                (most + 1).checked_mul(below).and_then(|all| all.checked_add(most)).ok_or_else(|| {
                    Found::Unclear("a B-tree over links must have fewer than 2^64 records".to_owned())
                })?;
            levels.push(Level { most, all });
            below_width = width_of(all);
        }
        Ok(Self { kind, record: key + ID, key, levels, count_width })
    }

    /// Follows the links of a node with so many records, and of those below it.
    fn node(&self, walk: &mut Walk, heap: &Heap, at: u64, count: u64, level: usize) -> Result<(), Found> {
        let most = self.levels[level].most;
        if count > most {
            return unclear(format!("a node of a B-tree may have {most} records, found `{count}` at {at}"));
        }
        let pointer = walk.source.widths.address + self.count_width + self.below_width(level);
        let pointers = if level > 0 { (count + 1) * pointer as u64 } else { 0 };
        let bytes = walk.source.read(at, BEFORE + count * self.record as u64 + pointers)?;
        let mut fields = walk.source.fields(&bytes);
        fields.expect(if level > 0 { b"BTIN\0" } else { b"BTLF\0" })?;
        fields.expect(&[self.kind])?;
        for _ in 0..count {
            fields.bytes(self.key)?;
            let body = heap.object(&mut walk.source, fields.bytes(ID)?)?;
            link(walk, &body)?;
        }
        let Some(below) = level.checked_sub(1) else { return Ok(()) };
        for _ in 0..=count {
            let at = fields.place()?;
            let count = fields.number(self.count_width)?;
            fields.bytes(self.below_width(level))?;
            self.node(walk, heap, at, count, below)?;
        }
        Ok(())
    }

    /// Bytes of the number of all records below, in a pointer of a node of a level to a node of the next one. Of leaves it is
    /// not said.
    fn below_width(&self, level: usize) -> usize {
        if level > 1 { width_of(self.levels[level - 1].all) } else { 0 }
    }
}

/// How many bytes a number up to this takes.
const fn width_of(most: u64) -> usize {
    match most.checked_ilog2() {
        Some(log) => log as usize / 8 + 1,
        None => 1,
    }
}
