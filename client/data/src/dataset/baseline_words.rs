//! What is said of the processing baselines of Sentinel-2 images: of a sample, and of all together.

use std::collections::BTreeSet;

/// A note that is shown only beside one about later baselines.
pub(super) const EARLIER: &str = "images are of a Sentinel-2 processing baseline before 04.00";
pub(super) const LATER: &str = "images are of Sentinel-2 processing baseline 04.00 or later, whose numbers are 1000 \
                     larger than those of earlier ones, and `offset` does not take it away; write `baseline_offset = \"remove\"` in dataset.toml \
                     (for a map, `predict --baseline-offset remove`), or `\"keep\"` if it was removed before";
pub(super) const MIXED: &str = "images are of Sentinel-2 processing baselines before and since 04.00, whose numbers \
                     differ by 1000 for the same reflectance; write `baseline_offset = \"remove\"` in dataset.toml (for a map, `predict \
                     --baseline-offset remove`), or `\"keep\"` if that difference was removed before";
pub(super) const NOT_THERE: &str = "images are of a Sentinel-2 processing baseline before 04.00, to whose numbers nothing \
                         was added, and `offset` takes 1000 away from them; take it out";
/// A note that is shown only beside one about earlier baselines.
pub(super) const REMOVED: &str =
    "images are of Sentinel-2 processing baseline 04.00 or later, and `offset` takes 1000 away";

/// Notes about all samples together.
pub(super) fn joined(notes: &BTreeSet<String>) -> Vec<String> {
    let has = |note: &str| notes.contains(note);
    let mixed = has(MIXED) || ((has(EARLIER) || has(NOT_THERE)) && (has(LATER) || has(REMOVED)));
    let own = [EARLIER, LATER, NOT_THERE, REMOVED, MIXED];
    let others = notes.iter().filter(|note| !own.contains(&note.as_str())).cloned();
    let said = if mixed { Some(MIXED) } else { [LATER, NOT_THERE].into_iter().find(|note| has(note)) };
    others.chain(said.map(str::to_owned)).collect()
}
