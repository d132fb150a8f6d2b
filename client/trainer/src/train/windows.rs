//! Where the training tiles of an epoch were read, for the log.

use eosfed_data::KeptPlace;

/// Counts of tiles that are read at random places.
#[derive(Debug, Default)]
pub(super) struct WindowTally {
    moved: u64,
    no_room: u64,
    few_pixels: u64,
    unreadable: u64,
    /// Why the first of these could not be read.
    reason: Option<String>,
}

impl WindowTally {
    /// Adds a tile; none is one that was read at a random place.
    pub(super) fn add(&mut self, kept: Option<KeptPlace>) {
        match kept {
            None => self.moved += 1,
            Some(KeptPlace::NoRoom) => self.no_room += 1,
            Some(KeptPlace::FewPixels) => self.few_pixels += 1,
            Some(KeptPlace::Unreadable(reason)) => {
                self.unreadable += 1;
                self.reason.get_or_insert(reason);
            }
        }
    }

    /// Says at the end of an epoch what was counted.
    pub(super) fn log(&self) {
        let Self { moved, no_room, few_pixels, unreadable, reason } = self;
        tracing::info!(
            moved,
            no_room,
            few_pixels,
            unreadable,
            "training tiles of the epoch were read at random places; those without room beside validation and test tiles, with \
             too few pixels or without a label there, or unreadable there, were read on the grid"
        );
        if let Some(reason) = reason {
            tracing::warn!(
                unreadable,
                reason,
                "training tiles were read on the grid, since their random places cannot be read"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_and_the_first_problem_kept() {
        let mut tally = WindowTally::default();
        let unreadable = |reason: &str| Some(KeptPlace::Unreadable(reason.to_owned()));
        for kept in [
            None,
            Some(KeptPlace::NoRoom),
            None,
            unreadable("a"),
            unreadable("b"),
            Some(KeptPlace::FewPixels),
            None,
        ] {
            tally.add(kept);
        }
        let WindowTally { moved, no_room, few_pixels, unreadable, reason } = &tally;
        assert_eq!([*moved, *no_room, *few_pixels, *unreadable], [3, 1, 1, 2]);
        assert_eq!(reason.as_deref(), Some("a"));
    }
}
