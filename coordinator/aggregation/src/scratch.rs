//! Memory that a thread uses for one piece after the other.

use crate::coordinates::Lanes;

#[derive(Default)]
pub(crate) struct Scratch {
    /// Values of one update.
    pub(crate) values: Vec<f32>,
    /// The combined values of a piece.
    pub(crate) combined: Vec<f64>,
    /// Values of all updates, one row for each.
    pub(crate) rows: Vec<f32>,
    /// Coordinates that are sorted side by side, an array for each update.
    pub(crate) lanes: Vec<Lanes>,
}
