//! Rectangles of a scene's pixels.

use std::ops::Range;

/// A rectangle of a scene's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its first column and row.
    pub(super) corner: [usize; 2],
    /// Its width and height.
    pub(super) size: [usize; 2],
}

impl Window {
    /// Number of its pixels.
    pub(super) const fn area(self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The column and the row after its last.
    pub(super) fn end(self) -> [usize; 2] {
        [0, 1].map(|axis| self.corner[axis] + self.size[axis])
    }

    /// The pixels that both have; none if they have none in common.
    pub(super) fn shared(self, other: Self) -> Option<Self> {
        let corner = [0, 1].map(|axis| self.corner[axis].max(other.corner[axis]));
        let end = [0, 1].map(|axis| self.end()[axis].min(other.end()[axis]));
        let any = (0..2).all(|axis| corner[axis] < end[axis]);
        any.then(|| Self { corner, size: [0, 1].map(|axis| end[axis] - corner[axis]) })
    }

    /// The smallest one that has both.
    pub(super) fn joined(self, other: Self) -> Self {
        let corner = [0, 1].map(|axis| self.corner[axis].min(other.corner[axis]));
        let end = [0, 1].map(|axis| self.end()[axis].max(other.end()[axis]));
        Self { corner, size: [0, 1].map(|axis| end[axis] - corner[axis]) }
    }

    /// Its columns and its rows, counted from the corner of one that has it.
    pub(super) fn within(self, outer: Self) -> [Range<usize>; 2] {
        [0, 1].map(|axis| {
            let first = self.corner[axis] - outer.corner[axis];
            first..first + self.size[axis]
        })
    }
}
