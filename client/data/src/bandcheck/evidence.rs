//! How well an assignment of channels to names fits the meaning of the names: a sum of small pieces of
//! evidence. Each follows from the physics of the bands, and none is decided by one scene.
//!
//! - *Neighbours.* Bands next to each other within a regime of the spectrum (visible, red edge and
//!   near infrared, short-wave infrared) see the same pigments or the same water. The evidence is
//!   their mutual information -1/2 ln(1 - r^2), as in the tree that best approximates a joint
//!   distribution (Chow & Liu 1968). Nothing ties the regimes together: green follows the near infrared
//!   in forests, not on soil.
//! - *Between.* The red edge is one flank, rising over leaves and falling over water: its bands have
//!   values between those of their neighbours (1.5 for each triple, times the share of pixels).
//! - *Above.* Leaves, soil and water absorb more at 2.2 than at 1.6 um; at the top of the atmosphere
//!   vapour takes from the 0.945 um band what the 0.865 um band keeps (1.5 each, times the share).
//! - *Green.* Where near infrared is thrice any visible band there are leaves, and chlorophyll
//!   absorbs red more than green (2, times the share).
//! - *Contrast.* Soils rise from blue to red and leaves do not, so red varies more than blue, whatever
//!   the air adds (1.5, by the ratio of standard deviations).
//! - *Least.* A cirrus band is the darkest (2, times the share of pixels).
//! - *Roughness.* Finer bands change more from pixel to pixel (0.2 for each pair of bands of different
//!   ground sampling distance). On the patches the change over one pixel by that over four is 0.25 to
//!   0.26 at 60 m, 0.27 to 0.33 at 20 m and 0.35 to 0.68 at 10 m.
//!
//! The weights make one clear violation cost about 1.

use std::collections::BTreeMap;

use super::NamedBand;
use super::pixels::{Pixels, share};
use super::unit::Levels;

/// Spectral neighbours by common name.
const NEIGHBOURS: [(&str, &str); 12] = [
    ("coastal", "blue"),
    ("blue", "green"),
    ("green", "red"),
    ("red", "rededge071"),
    ("rededge075", "rededge078"),
    ("rededge078", "nir"),
    ("rededge078", "nir08"),
    ("nir", "nir08"),
    ("nir08", "nir09"),
    ("swir16", "swir22"),
    ("lwir", "lwir11"),
    ("lwir11", "lwir12"),
];
const FLANKS: [(&str, &str, &str); 3] = [
    ("red", "rededge071", "rededge075"),
    ("rededge071", "rededge075", "rededge078"),
    ("rededge075", "rededge078", "nir08"),
];
/// Correlations above this are as good as equal; noise must not decide between 0.995 and 0.998.
const HIGHEST_CORRELATION: f64 = 0.99;
/// Prior share of leaf pixels, which regularises the evidence.
const UNKNOWN_LEAVES: f64 = 0.02;
/// Logarithms of ratios by which roughness and contrast differ clearly.
const CLEARLY_ROUGHER: f64 = 0.05;
const CLEARLY_STRONGER: f64 = 0.2;

/// One piece of evidence, on positions in the list of assigned names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Neighbours(usize, usize),
    Between(usize, usize, usize),
    Above(usize, usize),
    Green([usize; 4]),
    Contrast(usize, usize),
    Least(usize),
    Rougher(usize, usize),
}

/// The pieces that hold for a list of names, and the channels to judge.
pub(super) struct Evidence<'a> {
    pieces: Vec<Piece>,
    channels: Vec<&'a [f32]>,
    levels: Option<Levels>,
    roughness: Vec<f64>,
    moments: Vec<(f64, f64)>,
    /// Values of pieces on channels, which many assignments share.
    known: BTreeMap<Piece, f64>,
}

impl<'a> Evidence<'a> {
    /// Prepares the evidence for `channels` of the pixels, which `bands` names in the same order.
    pub(super) fn new(
        bands: &[&NamedBand],
        pixels: &'a Pixels,
        channels: &[usize],
        levels: Option<Levels>,
    ) -> Self {
        let values: Vec<_> = channels.iter().map(|channel| pixels.channels[*channel].as_slice()).collect();
        let roughness = channels.iter().map(|channel| pixels.roughness[*channel].max(1e-9).ln()).collect();
        let moments = values.iter().map(|values| moments(values)).collect();
        let pieces = pieces(bands, levels.is_some());
        Self { pieces, channels: values, levels, roughness, moments, known: BTreeMap::new() }
    }

    /// Whether any piece of evidence depends on the order.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The sum of the evidence if the name at each position belongs to the channel given there.
    pub(super) fn of(&mut self, assigned: &[usize]) -> f64 {
        let mut sum = 0.0;
        for index in 0..self.pieces.len() {
            let piece = self.pieces[index].on(assigned);
            let known = self.known.get(&piece).copied();
            let value = known.unwrap_or_else(|| self.value(piece));
            self.known.insert(piece, value);
            sum += value;
        }
        sum
    }

    fn value(&self, piece: Piece) -> f64 {
        match piece {
            Piece::Neighbours(a, b) => {
                let r = self.correlation(a, b).clamp(0.0, HIGHEST_CORRELATION);
                -0.5 * (1.0 - r * r).ln()
            }
            Piece::Between(a, b, c) => {
                1.5 * self.share([a, b, c], |[a, b, c]| (a < b && b < c) || (a > b && b > c))
            }
            Piece::Above(a, b) => 1.5 * self.share([a, b], |[a, b]| a > b),
            Piece::Green(channels) => 2.0 * self.green(channels),
            Piece::Contrast(blue, red) => {
                let ratio = (self.moments[red].1 / self.moments[blue].1).ln();
                1.5 * (ratio / CLEARLY_STRONGER).tanh()
            }
            Piece::Least(channel) => {
                let least = |pixel: usize| {
                    self.channels.iter().all(|other| self.channels[channel][pixel] <= other[pixel])
                };
                2.0 * share((0..self.channels[channel].len()).map(least))
            }
            Piece::Rougher(fine, coarse) => {
                0.2 * ((self.roughness[fine] - self.roughness[coarse]) / CLEARLY_ROUGHER).tanh()
            }
        }
    }

    fn share<const N: usize>(&self, channels: [usize; N], holds: impl Fn([f32; N]) -> bool) -> f64 {
        let pixels = 0..self.channels[channels[0]].len();
        share(pixels.map(|pixel| holds(channels.map(|channel| self.channels[channel][pixel]))))
    }

    fn green(&self, channels: [usize; 4]) -> f64 {
        let Some(levels) = self.levels else { return 0.0 };
        let all = self.channels[0].len() as f64;
        let mut leaves = 0.0;
        let mut green = 0.0;
        for pixel in 0..self.channels[0].len() {
            let [b, g, r, n] = channels.map(|channel| levels.reflectance(self.channels[channel][pixel]));
            if n > 3.0 * b.max(g).max(r) {
                leaves += 1.0;
                green += f64::from(u8::from(g > r));
            }
        }
        (green + 0.5 * UNKNOWN_LEAVES * all) / (leaves + UNKNOWN_LEAVES * all)
    }

    fn correlation(&self, a: usize, b: usize) -> f64 {
        let ((mean_a, std_a), (mean_b, std_b)) = (self.moments[a], self.moments[b]);
        let product = |(a, b): (&f32, &f32)| (f64::from(*a) - mean_a) * (f64::from(*b) - mean_b);
        let sum: f64 = self.channels[a].iter().zip(self.channels[b]).map(product).sum();
        sum / (self.channels[a].len() as f64 * std_a * std_b)
    }
}

impl Piece {
    /// From positions in the list of names to channels.
    fn on(self, assigned: &[usize]) -> Self {
        match self {
            Self::Neighbours(a, b) => {
                Self::Neighbours(assigned[a].min(assigned[b]), assigned[a].max(assigned[b]))
            }
            Self::Between(a, b, c) => Self::Between(assigned[a], assigned[b], assigned[c]),
            Self::Above(a, b) => Self::Above(assigned[a], assigned[b]),
            Self::Green(positions) => Self::Green(positions.map(|position| assigned[position])),
            Self::Contrast(a, b) => Self::Contrast(assigned[a], assigned[b]),
            Self::Least(a) => Self::Least(assigned[a]),
            Self::Rougher(a, b) => Self::Rougher(assigned[a], assigned[b]),
        }
    }
}

/// Which pieces hold for these names. Those that compare levels need all bands in one unit.
fn pieces(bands: &[&NamedBand], comparable: bool) -> Vec<Piece> {
    let at = |name: &str| bands.iter().position(|band| band.common_name() == Some(name));
    let pair = |a: &str, b: &str| Some((at(a)?, at(b)?));
    let mut pieces: Vec<_> =
        NEIGHBOURS.iter().filter_map(|(a, b)| pair(a, b)).map(|(a, b)| Piece::Neighbours(a, b)).collect();
    for (fine, one) in bands.iter().enumerate() {
        for (coarse, other) in bands.iter().enumerate() {
            if one.info.gsd_m.zip(other.info.gsd_m).is_some_and(|(one, other)| one < other) {
                pieces.push(Piece::Rougher(fine, coarse));
            }
        }
    }
    if !comparable {
        return pieces;
    }
    let flank = |(a, b, c): &(&str, &str, &str)| Some(Piece::Between(at(a)?, at(b)?, at(c)?));
    pieces.extend(FLANKS.iter().filter_map(flank));
    pieces.extend(pair("swir16", "swir22").map(|(a, b)| Piece::Above(a, b)));
    if let Some(cirrus) = at("cirrus") {
        pieces.push(Piece::Least(cirrus));
        // A cirrus band implies that the data have no atmospheric correction.
        pieces.extend(pair("nir08", "nir09").map(|(a, b)| Piece::Above(a, b)));
    }
    pieces.extend(pair("blue", "red").map(|(blue, red)| Piece::Contrast(blue, red)));
    let leaves = || Some([at("blue")?, at("green")?, at("red")?, at("nir").or_else(|| at("nir08"))?]);
    pieces.extend(leaves().map(Piece::Green));
    pieces
}

/// Mean and standard deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let mean = super::pixels::mean(values);
    let variance: f64 =
        values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt().max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandcheck::testing::{bands, images};

    #[test]
    fn each_piece_prefers_the_physical_order() {
        // Blue, green, red and near infrared of leaves (where the first number is high) and soil.
        let spectrum = |c: usize, at: [f32; 2]| {
            let leaf = [0.03, 0.06, 0.04, 0.4][c];
            let soil = [0.08, 0.12, 0.18, 0.25][c];
            let leaves = if at[0] > 0.5 { 0.8 + 0.2 * at[0] } else { 0.3 * at[0] };
            (leaf * leaves + soil * (1.0 - leaves)) * (0.9 + 0.2 * at[1])
        };
        let bands = bands("B02 B03 B04 B08");
        let pixels = Pixels::sample(4, &images(4, spectrum));
        let levels = super::super::unit::summarise(&bands, &pixels).and_then(|summary| summary.levels());
        let named: Vec<_> = bands.iter().collect();
        let mut evidence = Evidence::new(&named, &pixels, &[0, 1, 2, 3], levels);
        assert!(evidence.value(Piece::Contrast(0, 2)) > 0.5 && evidence.value(Piece::Contrast(2, 0)) < -0.5);
        assert!(
            evidence.value(Piece::Green([0, 1, 2, 3])) > evidence.value(Piece::Green([0, 2, 1, 3])) + 1.0
        );
        assert!(evidence.value(Piece::Above(3, 0)) > evidence.value(Piece::Above(0, 3)) + 1.0);
        assert!(evidence.value(Piece::Least(0)) > evidence.value(Piece::Least(3)) + 1.0);
        assert!(evidence.value(Piece::Between(0, 1, 3)) > evidence.value(Piece::Between(1, 0, 3)) + 0.5);
        assert!(evidence.value(Piece::Neighbours(1, 2)) > evidence.value(Piece::Neighbours(2, 3)));
        let right = evidence.of(&[0, 1, 2, 3]);
        assert!(right > evidence.of(&[2, 1, 0, 3]) + 1.0 && right > evidence.of(&[0, 1, 3, 2]) + 1.0);
    }

    #[test]
    fn names_determine_the_pieces_of_evidence() {
        let of = |names: &str, comparable| pieces(&bands(names).iter().collect::<Vec<_>>(), comparable);
        assert_eq!(of("VV VH", true), []);
        assert_eq!(of("red green blue", false), [Piece::Neighbours(2, 1), Piece::Neighbours(1, 0)]);
        assert!(of("B8A B09", true).iter().all(|piece| !matches!(piece, Piece::Above(..))));
        assert!(of("B8A B09 B10", true).contains(&Piece::Above(0, 1)));
        assert!(of("B04 B11", false).contains(&Piece::Rougher(0, 1)));
    }
}
