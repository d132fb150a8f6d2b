//! The part of a scene that is read.

/// A rectangle of a scene's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its first column and row.
    pub(super) corner: [usize; 2],
    /// Its width and height.
    pub(super) size: [usize; 2],
}
