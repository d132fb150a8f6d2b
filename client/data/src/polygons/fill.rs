//! Fills polygons into a window of pixels, by GDAL's rule for polygons without `-at`.

/// The classes of a window of pixels, and the polygon that is being drawn.
pub(super) struct Canvas {
    corner: [usize; 2],
    size: [usize; 2],
    pixels: Vec<u8>,
    /// For each row, the columns at which edges cross the line through the middles of its pixels.
    crossings: Vec<Vec<f64>>,
}

impl Canvas {
    pub(super) fn new(corner: [usize; 2], size: [usize; 2], background: u8) -> Self {
        let [width, height] = size;
        Self { corner, size, pixels: vec![background; width * height], crossings: vec![Vec::new(); height] }
    }

    /// Adds an edge between two positions in pixels of the whole image, counted from its upper left corner. Rows belong to it
    /// from its upper end on, and to its lower end without that, so that edges that meet at a row's middle count once there.
    pub(super) fn edge(&mut self, one: [f64; 2], other: [f64; 2]) {
        let ([x, top], [end, bottom]) = if one[1] < other[1] { (one, other) } else { (other, one) };
        let first = self.corner[1];
        // The larger of a number and no number is the number.
        let row = |y: f64| (y - 0.5).ceil().max(first as f64).min((first + self.size[1]) as f64) as usize;
        for at in row(top)..row(bottom) {
            let crossing = (at as f64 + 0.5 - top) * (end - x) / (bottom - top) + x;
            self.crossings[at - first].push(crossing);
        }
    }

    /// Gives a class to the pixels inside of the edges that were added, and forgets these: from the first crossing to the
    /// second, from the third to the fourth, and so on.
    pub(super) fn fill(&mut self, class: u8) {
        let [left, width] = [self.corner[0], self.size[0]];
        let column = |x: f64| (x + 0.5).floor().max(left as f64).min((left + width) as f64) as usize - left;
        for (row, crossings) in self.crossings.iter_mut().enumerate() {
            crossings.sort_unstable_by(f64::total_cmp);
            for pair in crossings.chunks_exact(2) {
                let span = row * width + column(pair[0])..row * width + column(pair[1]);
                // Numbers too large to be crossed have no order.
                if let Some(inside) = self.pixels.get_mut(span) {
                    inside.fill(class);
                }
            }
            crossings.clear();
        }
    }

    pub(super) fn pixels(self) -> Vec<u8> {
        self.pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(corner: [usize; 2], size: [usize; 2], rings: &[&[[f64; 2]]]) -> Vec<u8> {
        let mut canvas = Canvas::new(corner, size, 0);
        for ring in rings {
            ring.windows(2).for_each(|edge| canvas.edge(edge[0], edge[1]));
        }
        canvas.fill(1);
        canvas.pixels()
    }

    fn square(low: f64, high: f64) -> [[f64; 2]; 5] {
        [[low, low], [low, high], [high, high], [high, low], [low, low]]
    }

    #[test]
    fn pixels_belong_by_their_centres_and_holes_are_left_out() {
        assert_eq!(drawn([0, 0], [3, 3], &[&square(0.6, 2.4)]), [0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(drawn([0, 0], [3, 3], &[&square(0.4, 2.6)]), [1; 9]);
        assert_eq!(
            drawn([0, 0], [3, 3], &[&square(-10.0, 10.0), &square(1.0, 2.0)]),
            [1, 1, 1, 1, 0, 1, 1, 1, 1]
        );
        // Edges on borders of pixels: neighbours neither share a pixel nor leave one.
        assert_eq!(drawn([0, 0], [4, 1], &[&square(0.0, 2.0)]), [1, 1, 0, 0]);
        assert_eq!(
            drawn([0, 0], [4, 1], &[&[[2.0, 0.0], [2.0, 2.0], [4.0, 2.0], [4.0, 0.0], [2.0, 0.0]]]),
            [0, 0, 1, 1]
        );
    }

    #[test]
    fn a_window_has_the_pixels_that_the_whole_has() {
        let star: Vec<[f64; 2]> = (0..=40)
            .map(|at| {
                let angle = f64::from(at % 40) * 2.713;
                [50.0 + angle.cos() * 47.3, 40.0 + angle.sin() * 39.1]
            })
            .collect();
        let [width, height] = [100, 80];
        let whole = drawn([0, 0], [width, height], &[&star]);
        assert!(whole.contains(&1) && whole.contains(&0));
        for (left, top, side) in [(0, 0, 16), (37, 11, 20), (83, 63, 17), (99, 79, 1)] {
            let part = drawn([left, top], [side; 2], &[&star]);
            let rows = (top..top + side).flat_map(|row| &whole[row * width + left..][..side]);
            assert_eq!(part, rows.copied().collect::<Vec<u8>>(), "{left},{top}");
        }
    }

    #[test]
    fn positions_far_outside_cost_nothing_and_do_no_harm() {
        for far in [1e9, 1e300, f64::MAX] {
            assert_eq!(drawn([5, 5], [2, 2], &[&square(-far, far)]).len(), 4);
        }
        assert_eq!(drawn([5, 5], [2, 2], &[&square(-1e9, 1e9)]), [1; 4]);
        let flat = [[0.0, 5.5], [9.0, 5.5], [0.0, 5.5]];
        assert_eq!(drawn([5, 5], [2, 2], &[&flat]), [0; 4]);
        let nowhere = [f64::NAN; 2];
        drawn([5, 5], [2, 2], &[&[nowhere, [1.0, 1.0], nowhere, [9.0, 9.0], nowhere]]);
    }
}
