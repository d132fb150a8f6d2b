//! Memory that a thread uses for one piece after the other.

use crate::network::Lanes;
use crate::vectorised::Stored;

#[derive(Default)]
pub(crate) struct Scratch {
    /// The combined values of a piece.
    pub(crate) combined: Vec<f64>,
    /// The next weights of a piece.
    pub(crate) next: Vec<f32>,
    /// The moments of the server optimizer of a piece, before and after its step.
    pub(crate) moments: Vec<Vec<f32>>,
    /// Values as they are in files: a row for each update that is looked at.
    pub(crate) rows: Vec<Stored>,
    /// Coordinates that are sorted side by side, an array for each update.
    pub(crate) lanes: Vec<Lanes>,
}
