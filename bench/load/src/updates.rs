//! The files of weights that institutions upload.

use std::path::{Path, PathBuf};

use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::write;
use indicatif::MultiProgress;

use crate::progress::{COUNTED, bar};

/// Seed of the uploaded weights. The plan has another one, since weights that equal the starting weights
/// are refused as a replay.
const UPLOAD_SEED: u64 = 1007;

/// Files of weights for so many institutions and rounds, those of an institution in the order of rounds. They differ
/// in their last two values.
pub(crate) fn updates(
    folder: &Path,
    training_target: &TrainingTarget,
    (institutions, rounds): (u32, u32),
    bars: &MultiProgress,
) -> anyhow::Result<Vec<(PathBuf, BlobRef)>> {
    let bar = bar(bars, "training", u64::from(institutions * rounds), COUNTED);
    let first = folder.join("update");
    write(&first, &training_target.signature(), &training_target.initial_weights(UPLOAD_SEED))?;
    let mut bytes = std::fs::read(&first)?;
    let marked = bytes.len() - 8;
    let one = |(institution, round): (u32, u32)| {
        let marks = last_values(institution, round).map(f32::to_le_bytes);
        bytes[marked..].copy_from_slice(marks.as_flattened());
        let path = folder.join(format!("update-{institution}-{round}"));
        std::fs::write(&path, &bytes)?;
        bar.inc(1);
        Ok((path, BlobRef { digest: Digest::of(&bytes), size: bytes.len() as u64 }))
    };
    let all = (0..institutions).flat_map(|institution| (0..rounds).map(move |round| (institution, round)));
    let made = all.map(one).collect();
    bar.finish();
    made
}

/// The last two values of an update. One is that of its round, which the mean of a round has too: so no update equals
/// the mean of the round before, which would be refused as a replay.
fn last_values(institution: u32, round: u32) -> [f32; 2] {
    [(round + 1) as f32, (institution + 1) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_update_equals_the_mean_of_the_round_before() {
        for (institutions, rounds) in [(1, 3), (2, 2), (4, 2), (5, 4), (16, 4)] {
            let of = |round: u32| (0..institutions).map(move |institution| last_values(institution, round));
            for round in 1..rounds {
                let mean = [0, 1]
                    .map(|at| of(round - 1).map(|values| values[at]).sum::<f32>() / institutions as f32);
                assert!(
                    of(round).all(|values| values != mean),
                    "{institutions} institutions, round {round}: {mean:?}"
                );
            }
        }
    }
}
