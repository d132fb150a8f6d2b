//! Files of encoded steps, made from the weights that would be sent otherwise: with their noise, where the site
//! policy demands noise. What an encoding drops is kept here and added to the next step of the same job (error
//! feedback), once the coordinator has acknowledged the update. It never leaves. One tensor at a time is in memory.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use eosfed_common::assignment::BlobRef;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::{
    CheckedWeights, StepCode, StepFile, WeightsError, WeightsFile, residual, write_each, write_step,
};

/// Most jobs whose dropped values are kept. Those of the jobs whose last update is longest ago are removed.
pub const MAX_KEPT: usize = 8;

/// One file to be made.
#[derive(Debug, Clone)]
pub struct StepToEncode {
    /// The weights that would be sent.
    pub weights: PathBuf,
    /// What they were trained from.
    pub base: PathBuf,
    /// What earlier encodings of this job have dropped. A file that is missing, or of another model, counts as
    /// nothing.
    pub dropped: PathBuf,
    /// What was trained.
    pub training_target: TrainingTarget,
    /// How to encode it.
    pub code: StepCode,
    /// The file of the step.
    pub output: PathBuf,
    /// The file of what this encoding drops.
    pub output_dropped: PathBuf,
}

impl StepToEncode {
    /// Writes both files, and checks that of the step as admission does.
    ///
    /// # Errors
    /// If a file cannot be read or written, is not of this model, or holds a value that is not finite.
    pub fn write(&self) -> Result<BlobRef, WeightsError> {
        let signature = self.training_target.signature();
        let weights_file = WeightsFile::open(&self.weights)?;
        let weights = weights_file.check(&signature)?;
        let base_file = WeightsFile::open(&self.base)?;
        let base = base_file.check(&signature)?;
        let dropped_file = match WeightsFile::open(&self.dropped) {
            Err(WeightsError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let dropped = dropped_file.as_ref().and_then(|file| match file.check(&signature) {
            Ok(checked) => Some(checked),
            Err(error) => {
                tracing::warn!(%error, "what earlier updates have dropped cannot be used, and is left out");
                None
            }
        });
        let step = |name: &str| step(name, &weights, &base, dropped.as_ref());
        let digest = write_step(&self.output, &signature, self.code, step)?;
        write_each(&self.output_dropped, &signature, |name| Cow::Owned(residual(self.code, &step(name))))?;
        let file = StepFile::open(&self.output, self.code)?;
        file.check(&signature, &base)?;
        Ok(BlobRef { digest, size: file.bytes().len() as u64 })
    }
}

/// The step of one tensor, with what earlier encodings have dropped of it.
fn step(
    name: &str,
    weights: &CheckedWeights<'_>,
    base: &CheckedWeights<'_>,
    dropped: Option<&CheckedWeights<'_>>,
) -> Vec<f64> {
    let (weights, base) = (weights.values(name), base.values(name));
    let moved = weights.iter().zip(base.iter()).map(|(weight, base)| f64::from(weight) - f64::from(base));
    match dropped {
        Some(dropped) => {
            moved.zip(dropped.values(name).iter()).map(|(step, d)| step + f64::from(d)).collect()
        }
        None => moved.collect(),
    }
}

/// Keeps what an acknowledged update has dropped, at `kept`, for the next one of its job. It may have been moved
/// there before a crash.
///
/// # Errors
/// If files cannot be moved or removed.
pub fn keep_dropped(made: &Path, kept: &Path) -> std::io::Result<()> {
    if let Some(folder) = kept.parent() {
        std::fs::create_dir_all(folder)?;
        match std::fs::rename(made, kept) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            moved => moved?,
        }
        let mut files: Vec<_> = std::fs::read_dir(folder)?
            .filter_map(Result::ok)
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(MAX_KEPT);
        files[..surplus].iter().try_for_each(|(_, path)| std::fs::remove_file(path))?;
    }
    Ok(())
}

/// The name of the file of a step in an assignment's folder.
#[must_use]
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("step.safetensors")
}

/// The name of the file of what it drops.
#[must_use]
pub fn dropped_in(folder: &Path) -> PathBuf {
    folder.join("dropped.safetensors")
}

#[cfg(test)]
mod tests {
    use eosfed_common::digest::Digest;
    use eosfed_common::weights::{Encoding, Tensors, moved, write};
    use eosfed_testkit::releases;

    use super::*;

    struct Site {
        folder: tempfile::TempDir,
        target: TrainingTarget,
        base: Tensors,
    }

    impl Site {
        fn new() -> Self {
            let target = TrainingTarget::Head(Box::new(releases::head()));
            let site = Self { folder: tempfile::tempdir().unwrap(), base: target.initial_weights(1), target };
            site.write("base", &site.base);
            site
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, tensors: &Tensors) {
            write(&self.path(name), &self.target.signature(), tensors).unwrap();
        }

        fn read(&self, name: &str) -> Tensors {
            let file = WeightsFile::open(&self.path(name)).unwrap();
            let checked = file.check(&self.target.signature()).unwrap();
            self.base.keys().map(|name| (name.clone(), checked.values(name).iter().collect())).collect()
        }

        fn to_encode(&self, encoding: Encoding) -> StepToEncode {
            StepToEncode {
                weights: self.path("weights"),
                base: self.path("base"),
                dropped: self.path("kept/job"),
                training_target: self.target.clone(),
                code: encoding.code(0.01).unwrap(),
                output: self.path("step"),
                output_dropped: self.path("dropped"),
            }
        }
    }

    /// The coordinator's weights follow the site's: whatever a round drops is sent by a later one.
    #[test]
    fn what_one_round_drops_another_sends() {
        for encoding in Encoding::ALL.iter().copied().filter(|encoding| !encoding.is_plain()) {
            let site = Site::new();
            let mut weights = site.base.clone();
            for (index, value) in weights.values_mut().flatten().enumerate() {
                *value += 1e-3 * ((index as f32) * 0.7).sin();
            }
            site.write("weights", &weights);
            let mut sent: Tensors =
                site.base.iter().map(|(name, v)| (name.clone(), vec![0.0; v.len()])).collect();
            let rounds = 12;
            for _ in 0..rounds {
                // Each round, the site wants the same step from the same weights.
                let to_encode = site.to_encode(encoding);
                to_encode.write().unwrap();
                let before = if to_encode.dropped.exists() { Some(site.read("kept/job")) } else { None };
                keep_dropped(&site.path("dropped"), &to_encode.dropped).unwrap();
                let after = site.read("kept/job");
                for (name, sum) in &mut sent {
                    for (index, sum) in sum.iter_mut().enumerate() {
                        let wanted = weights[name][index] - site.base[name][index];
                        let earlier = before.as_ref().map_or(0.0, |before| before[name][index]);
                        *sum += wanted + earlier - after[name][index];
                    }
                }
            }
            let apart = |(name, sum): (&String, &Vec<f32>)| {
                let wanted = weights[name].iter().zip(&site.base[name]).map(|(w, b)| (w - b) * rounds as f32);
                wanted.zip(sum).map(|(wanted, sum)| f64::from(wanted - sum).powi(2)).sum::<f64>()
            };
            let apart = sent.iter().map(apart).sum::<f64>().sqrt();
            let last =
                site.read("kept/job").values().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            assert!(
                (apart - last).abs() <= last * 1e-2 + 1e-3,
                "{encoding}: {apart} is not sent, {last} is kept"
            );
        }
    }

    #[test]
    fn the_file_gives_the_weights_up_to_what_is_dropped() {
        let site = Site::new();
        let mut weights = site.base.clone();
        weights.values_mut().flatten().for_each(|value| *value += 0.01);
        site.write("weights", &weights);
        let made = site.to_encode(Encoding::Int8);
        let blob = made.write().unwrap();
        assert_eq!(blob.digest, Digest::of(&std::fs::read(&made.output).unwrap()));
        let plain = std::fs::metadata(site.path("weights")).unwrap().len();
        assert!(blob.size * 2 < plain, "{} of {plain} bytes", blob.size);
        let rechecked = || crate::outbound::recheck_step(&made.output, blob);
        rechecked().unwrap();
        std::fs::write(&made.output, b"x").unwrap();
        assert!(rechecked().unwrap_err().contains("changed since it was made"));
        let dropped = site.read("dropped");
        for (name, dropped) in &dropped {
            for ((weight, base), dropped) in weights[name].iter().zip(&site.base[name]).zip(dropped) {
                let sent = f64::from(*weight) - f64::from(*base) - f64::from(*dropped);
                assert!((moved(*base, sent, name) - (weight - dropped)).abs() < 1e-6);
                assert!(dropped.abs() < 1e-4);
            }
        }
    }

    #[test]
    fn what_another_model_has_dropped_is_left_out() {
        let site = Site::new();
        site.write("weights", &site.base);
        std::fs::create_dir(site.path("kept")).unwrap();
        std::fs::write(site.path("kept/job"), b"something else").unwrap();
        site.to_encode(Encoding::Bf16).write().unwrap();
        assert!(site.read("dropped").values().flatten().all(|value| *value == 0.0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        for job in 0..MAX_KEPT + 3 {
            let made = folder.path().join("made");
            std::fs::write(&made, job.to_string()).unwrap();
            keep_dropped(&made, &folder.path().join("kept").join(job.to_string())).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path().join("kept")).unwrap().count(), MAX_KEPT);
    }
}
