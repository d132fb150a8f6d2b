//! An index of boxes: which of many meet a window, without a look at each.

/// A box along the axes of a reference system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    /// Smallest x and y.
    pub(super) low: [f64; 2],
    /// Largest x and y.
    pub(super) high: [f64; 2],
}

impl Bounds {
    /// A box that meets no other.
    const NONE: Self = Self { low: [f64::INFINITY; 2], high: [f64::NEG_INFINITY; 2] };

    /// The box around positions.
    pub(super) fn of<'a>(positions: impl IntoIterator<Item = &'a [f64; 2]>) -> Self {
        positions.into_iter().fold(Self::NONE, |all, at| all.with(Self { low: *at, high: *at }))
    }

    /// The box around both.
    fn with(self, other: Self) -> Self {
        Self {
            low: [0, 1].map(|axis| self.low[axis].min(other.low[axis])),
            high: [0, 1].map(|axis| self.high[axis].max(other.high[axis])),
        }
    }

    /// Whether they share a point.
    pub(super) fn meets(self, other: Self) -> bool {
        [0, 1]
            .into_iter()
            .all(|axis| self.low[axis] <= other.high[axis] && other.low[axis] <= self.high[axis])
    }

    /// Whether the other lies inside.
    pub(super) fn holds(self, other: Self) -> bool {
        [0, 1]
            .into_iter()
            .all(|axis| self.low[axis] <= other.low[axis] && other.high[axis] <= self.high[axis])
    }

    /// The box so much further along x.
    pub(super) fn shifted(self, x: f64) -> Self {
        Self { low: [self.low[0] + x, self.low[1]], high: [self.high[0] + x, self.high[1]] }
    }

    fn middle(self, axis: usize) -> f64 {
        f64::midpoint(self.low[axis], self.high[axis])
    }
}

/// Boxes in groups of neighbours, each with the box around it (sort-tile-recursive packing of one level).
pub(super) struct Boxes {
    groups: Vec<(Bounds, Vec<(Bounds, usize)>)>,
}

impl Boxes {
    /// Boxes in a group.
    const GROUP: usize = 64;

    pub(super) fn new(all: Vec<Bounds>) -> Self {
        let mut boxes: Vec<(Bounds, usize)> =
            all.into_iter().enumerate().map(|(at, bounds)| (bounds, at)).collect();
        let groups = boxes.len().div_ceil(Self::GROUP);
        let slab = (groups as f64).sqrt().ceil().max(1.0) as usize * Self::GROUP;
        let along = |axis: usize| {
            move |one: &(Bounds, usize), other: &(Bounds, usize)| {
                one.0.middle(axis).total_cmp(&other.0.middle(axis)).then(one.1.cmp(&other.1))
            }
        };
        boxes.sort_unstable_by(along(0));
        boxes.chunks_mut(slab).for_each(|slab| slab.sort_unstable_by(along(1)));
        let around =
            |group: &[(Bounds, usize)]| group.iter().fold(Bounds::NONE, |all, (one, _)| all.with(*one));
        Self { groups: boxes.chunks(Self::GROUP).map(|group| (around(group), group.to_vec())).collect() }
    }

    /// The boxes that meet another, by their numbers in rising order.
    pub(super) fn meeting(&self, bounds: Bounds) -> Vec<usize> {
        let groups = self.groups.iter().filter(|(around, _)| around.meets(bounds));
        let boxes = groups.flat_map(|(_, group)| group).filter(|(one, _)| one.meets(bounds));
        let mut found: Vec<usize> = boxes.map(|(_, at)| *at).collect();
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_finds_what_a_look_at_each_box_finds() {
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1_u64 << 24) as f64
        };
        for count in [0, 1, 63, 64, 65, 5000] {
            let all: Vec<Bounds> = (0..count)
                .map(|_| {
                    let low = [draw() * 100.0, draw() * 100.0];
                    Bounds { low, high: low.map(|low| low + draw() * 3.0) }
                })
                .collect();
            let index = Boxes::new(all.clone());
            for _ in 0..50 {
                let low = [draw() * 100.0, draw() * 100.0];
                let window = Bounds { low, high: low.map(|low| low + draw() * 20.0) };
                let wanted: Vec<usize> = (0..count).filter(|at| all[*at].meets(window)).collect();
                assert_eq!(index.meeting(window), wanted);
            }
        }
    }

    #[test]
    fn boxes_that_touch_meet() {
        let at = |x: f64| Bounds { low: [x, 0.0], high: [x + 1.0, 1.0] };
        assert!(at(0.0).meets(at(1.0)) && !at(0.0).meets(at(1.5)) && !Bounds::NONE.meets(at(0.0)));
        assert!(at(0.0).holds(at(0.0)) && !at(0.0).holds(at(0.1)));
    }
}
