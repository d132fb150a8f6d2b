//! Charts, drawn on the server: SVG without styles of its own, each with its numbers as a table.

mod axis;
mod bars;
mod heat;
mod lineage;
mod lines;

pub(crate) use bars::Bars;
pub(crate) use heat::{Cell, HeatMap};
pub(crate) use lineage::{Graph, Node};
pub(crate) use lines::{LineChart, Series};
