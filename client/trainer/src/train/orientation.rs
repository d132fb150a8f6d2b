//! The orientations in which a sample is shown: mirror images and quarter turns.
//!
//! A quarter turn exchanges height and width, so samples that are not square are turned by 180
//! degrees only: all samples of a batch must have one shape.

use tch::Tensor;

/// A number of quarter turns, then perhaps a mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    quarter_turns: i64,
    mirrored: bool,
}

const fn orientation(quarter_turns: i64, mirrored: bool) -> Orientation {
    Orientation { quarter_turns, mirrored }
}

/// The eight orientations of a square; the first leaves it as it is.
const SQUARE: [Orientation; 8] = [
    orientation(0, false),
    orientation(1, false),
    orientation(2, false),
    orientation(3, false),
    orientation(0, true),
    orientation(1, true),
    orientation(2, true),
    orientation(3, true),
];

/// The four orientations that keep height and width; the first changes nothing.
const RECTANGLE: [Orientation; 4] =
    [orientation(0, false), orientation(2, false), orientation(0, true), orientation(2, true)];

impl Orientation {
    /// The orientation that changes nothing.
    pub const UPRIGHT: [Self; 1] = [orientation(0, false)];

    /// All orientations that keep the shape of samples; `square`: whether their images, and labels of pixels,
    /// are square.
    #[must_use]
    pub const fn all(square: bool) -> &'static [Self] {
        if square { &SQUARE } else { &RECTANGLE }
    }

    /// Images or labels of samples in this orientation. Labels of whole images have none.
    pub fn apply(self, tensor: &Tensor) -> Tensor {
        if tensor.dim() < 3 {
            return tensor.shallow_clone();
        }
        let turned = tensor.rot90(self.quarter_turns, [-2, -1]);
        if self.mirrored { turned.flip([-1]) } else { turned }
    }
}

/// Whether the last two dimensions, height and width, are equal.
pub(super) fn is_square(tensor: &Tensor) -> bool {
    matches!(tensor.size()[..], [.., height, width] if height == width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn numbered(shape: &[i64]) -> Tensor {
        Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)).view(shape)
    }

    #[test]
    fn squares_have_eight_orientations_and_rectangles_four_all_different() {
        let classes = numbered(&[2]);
        for (shape, count) in [([2, 1, 32, 32], 8), ([2, 1, 32, 64], 4), ([2, 1, 64, 32], 4)] {
            let images = numbered(&shape);
            let all = Orientation::all(is_square(&images));
            assert_eq!(all.len(), count);
            let shown: Vec<Tensor> = all.iter().map(|orientation| orientation.apply(&images)).collect();
            assert!(shown[0] == images && shown.iter().all(|other| other.size() == images.size()));
            for (at, one) in shown.iter().enumerate() {
                assert!(shown[at + 1..].iter().all(|other| one != other));
            }
            assert!(all.iter().all(|orientation| orientation.apply(&classes) == classes));
        }
    }
}
