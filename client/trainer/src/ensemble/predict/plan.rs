//! The order in which a scene's windows are read, computed and written.
//!
//! The scene is processed in panels of bounded width, each from top to bottom, and only the rows that
//! a later window can still change are kept. So memory depends on the window and the number of
//! classes, not on the size of the scene. Windows on the border of two panels are computed twice.

use std::collections::BTreeSet;
use std::ops::Range;

use eosfed_data::MAP_TILE;

use super::windows::Windows;

/// Width of a panel in pixels; a multiple of the map's tiles.
const PANEL: usize = 8 * MAP_TILE;

/// One panel: its place, and the left columns of the windows that touch it.
pub(super) struct Panel {
    pub(super) left: usize,
    pub(super) width: usize,
    columns: Vec<usize>,
    batch: usize,
}

impl Panel {
    /// The columns of the panel that belong to the window which begins at `left`: those before the next window.
    fn own(&self, left: usize) -> Range<usize> {
        let next = self.columns.iter().copied().find(|column| *column > left);
        let end = self.left + self.width;
        left.max(self.left)..next.unwrap_or(end).min(end)
    }

    /// The left columns of the windows of each forward pass over one row of windows.
    pub(super) fn batches(&self) -> impl Iterator<Item = &[usize]> {
        self.columns.chunks(self.batch)
    }
}

/// All windows of a scene.
pub(super) struct Plan {
    /// The top rows of the windows.
    pub(super) rows: Vec<usize>,
    pub(super) panels: Vec<Panel>,
    height: usize,
}

/// The windows of a forward pass: some of a row of windows over a panel.
pub(super) struct Batch<'a> {
    pub(super) top: usize,
    /// Their left columns.
    pub(super) columns: &'a [usize],
    panel: &'a Panel,
}

impl Plan {
    /// The windows over a scene of this size.
    pub(super) fn new(width: usize, height: usize, windows: Windows) -> Self {
        let columns = window_starts(width, windows.width, windows.overlap);
        let panel = |left: usize| {
            let touches = |start: &&usize| **start < left + PANEL && **start + windows.width > left;
            let columns = columns.iter().filter(touches).copied().collect();
            Panel { left, width: PANEL.min(width - left), columns, batch: windows.batch }
        };
        Self {
            rows: window_starts(height, windows.height, windows.overlap),
            panels: (0..width).step_by(PANEL).map(panel).collect(),
            height,
        }
    }

    /// The columns and rows that belong to a window of a batch. Each pixel of the scene belongs to one window of one batch.
    pub(super) fn own(&self, batch: &Batch<'_>, left: usize) -> [Range<usize>; 2] {
        let next = self.rows.partition_point(|row| *row <= batch.top);
        [batch.panel.own(left), batch.top..self.rows.get(next).copied().unwrap_or(self.height)]
    }

    /// Number of windows.
    pub(super) fn windows(&self) -> usize {
        self.panels.iter().map(|panel| panel.columns.len()).sum::<usize>() * self.rows.len()
    }

    /// The left columns and top rows of at most so many windows, spread over all rows and columns.
    pub(super) fn spread(&self, most: usize) -> Vec<(usize, usize)> {
        /// Multiples of it, without their whole parts, are spread evenly and in step with no grid.
        const GOLDEN: f64 = 0.618_033_988_749_895;
        let total = self.windows();
        let place = |at: usize| ((at as f64 * GOLDEN).fract() * total as f64) as usize;
        let places: BTreeSet<usize> =
            if total <= most { (0..total).collect() } else { (0..most).map(place).collect() };
        let mut found = Vec::with_capacity(places.len());
        let mut first = 0;
        for Panel { columns, .. } in &self.panels {
            let end = first + columns.len() * self.rows.len();
            // In the order of the batches: row by row.
            let window = |at: usize| (columns[at % columns.len()], self.rows[at / columns.len()]);
            found.extend(places.range(first..end).map(|at| window(at - first)));
            first = end;
        }
        found
    }

    /// The windows of each forward pass, in order.
    pub(super) fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        self.panels.iter().flat_map(move |panel| {
            let row = move |top: &usize| {
                let top = *top;
                panel.batches().map(move |columns| Batch { top, columns, panel })
            };
            self.rows.iter().flat_map(row)
        })
    }
}

/// Where windows start along one side: at even distances, and the last one at the end.
fn window_starts(length: usize, window: usize, overlap: usize) -> Vec<usize> {
    let last = length.saturating_sub(window);
    let mut starts: Vec<usize> = (0..last).step_by(window - overlap).collect();
    starts.push(last);
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_side_and_never_leave_it() {
        assert_eq!(window_starts(100, 64, 16), [0, 36]);
        assert_eq!(window_starts(64, 64, 16), [0]);
        assert_eq!(window_starts(20, 64, 16), [0]);
        assert_eq!(window_starts(160, 64, 16), [0, 48, 96]);
    }

    #[test]
    fn some_windows_are_spread_over_all_rows() {
        let windows = Windows { height: 64, width: 64, overlap: 16, batch: 16 };
        let plan = Plan::new(1000, 1000, windows);
        let some = plan.spread(32);
        let distinct = |side: fn(&(usize, usize)) -> usize| some.iter().map(side).collect::<BTreeSet<_>>();
        let (columns, rows) = (distinct(|one| one.0), distinct(|one| one.1));
        assert!(some.len() > 28 && columns.len() > 12 && rows.len() > 12, "{some:?}");
        assert_eq!(Plan::new(64, 64, windows).spread(32), [(0, 0)]);
        // All windows of two panels, in the order of the batches.
        let plan = Plan::new(2200, 200, windows);
        let of = |batch: Batch<'_>| batch.columns.iter().map(|left| (*left, batch.top)).collect::<Vec<_>>();
        assert_eq!(plan.spread(plan.windows()), plan.batches().flat_map(of).collect::<Vec<_>>());
        // As fast for the largest scene: it has 4 * 10^8 windows.
        let largest = Plan::new(1_000_000, 1_000_000, windows);
        assert!(largest.windows() > 400_000_000 && largest.spread(32).len() == 32);
    }

    #[test]
    fn each_pixel_belongs_to_one_window_that_shows_it() {
        for (side, overlap, width, height) in
            [(64, 16, 2200, 100), (64, 31, 5000, 64), (48, 0, 2049, 130), (64, 9, 20, 30)]
        {
            let plan = Plan::new(width, height, Windows { height: side, width: side, overlap, batch: 16 });
            let mut times = vec![0; width * height];
            for batch in plan.batches() {
                for left in batch.columns {
                    let [columns, rows] = plan.own(&batch, *left);
                    for (x, y) in rows.flat_map(|y| columns.clone().map(move |x| (x, y))) {
                        assert!(
                            (*left..left + side).contains(&x) && (batch.top..batch.top + side).contains(&y)
                        );
                        times[y * width + x] += 1;
                    }
                }
            }
            assert!(times.iter().all(|times| *times == 1), "{width}x{height}");
        }
    }

    #[test]
    fn batches_are_all_windows_row_by_row_within_panels() {
        let windows = Windows { height: 64, width: 64, overlap: 16, batch: 16 };
        let plan = Plan::new(2200, 100, windows);
        let batches: Vec<(usize, usize, usize)> =
            plan.batches().map(|batch| (batch.top, batch.columns[0], batch.columns.len())).collect();
        assert_eq!(batches[..4], [(0, 0, 16), (0, 768, 16), (0, 1536, 11), (36, 0, 16)]);
        assert_eq!(batches.iter().map(|(_, _, count)| count).sum::<usize>(), plan.windows());
        // The second panel begins with the window that crosses its border.
        assert_eq!(batches[6..], [(0, 2016, 4), (36, 2016, 4)]);
    }
}
