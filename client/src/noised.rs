//! Files of weights with clipping and noise, made from those that were trained. Only these leave where the site
//! policy demands it. One tensor at a time is in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eosfed_common::assignment::BlobRef;
use eosfed_common::model::initial_tensor;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::{CheckedWeights, Signature, WeightsError, WeightsFile, write_each};

use crate::outbound;
use crate::privacy::{Mechanism, Noise, scale, squared_distance};

/// The starting weights of a training, from which its step is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Those in this file.
    File(PathBuf),
    /// Those of a seed.
    Seed(u64),
}

/// One file to be made.
#[derive(Clone)]
pub struct NoisedFile {
    /// The trained weights.
    pub trained: PathBuf,
    /// What they were trained from.
    pub base: Base,
    /// What was trained.
    pub training_target: TrainingTarget,
    /// Clipping and noise.
    pub mechanism: Mechanism,
    /// 32 secret random bytes, used once.
    pub key: [u8; 32],
    /// The file with noise.
    pub output: PathBuf,
}

impl NoisedFile {
    /// Writes the file and checks it like every file that leaves. The norm of the step is a 64-bit sum over
    /// the elements of all tensors.
    ///
    /// # Errors
    /// If a file cannot be read or written, is not of this model, or holds a value that is not finite, also
    /// one that only the noise makes so.
    pub fn write(&self) -> Result<BlobRef, WeightsError> {
        let signature = self.training_target.signature();
        let trained_file = WeightsFile::open(&self.trained)?;
        let trained = trained_file.check(&signature)?;
        let base_file = match &self.base {
            Base::File(path) => Some(WeightsFile::open(path)?),
            Base::Seed(_) => None,
        };
        let base = match (&self.base, &base_file) {
            (Base::Seed(seed), _) => BaseValues::Seed(*seed),
            (Base::File(_), None) => unreachable!("the file was opened above"),
            (Base::File(_), Some(file)) => BaseValues::File(file.check(&signature)?),
        };
        let factor = scale(norm(&signature, &base, &trained), self.mechanism.clip);
        let noise = Noise::new(self.key, self.mechanism.deviation());
        let positions: BTreeMap<&str, u64> = signature.0.keys().map(String::as_str).zip(0..).collect();
        write_each(&self.output, &signature, |name| {
            let position = positions[name];
            let shape = &signature.0[name];
            let trained = trained.values(name);
            let mut values =
                base.with(name, shape, |base| noise.noised(position, base, trained.iter(), factor));
            if name.ends_with(VARIANCE) {
                // Noise may have made a variance negative, and no network has a use for that.
                values.iter_mut().for_each(|value| *value = value.max(0.0));
            }
            Cow::Owned(values)
        })?;
        outbound::check(&self.output, &self.training_target)
    }
}

/// How the names of tensors of variances end.
const VARIANCE: &str = ".var";

/// The L2 norm of the whole step.
fn norm(signature: &Signature, base: &BaseValues<'_>, trained: &CheckedWeights<'_>) -> f64 {
    let squared = signature.0.iter().map(|(name, shape)| {
        let trained = trained.values(name);
        base.with(name, shape, |base| squared_distance(base, trained.iter()))
    });
    squared.sum::<f64>().sqrt()
}

enum BaseValues<'a> {
    File(CheckedWeights<'a>),
    Seed(u64),
}

impl BaseValues<'_> {
    /// Gives the values of one tensor to `use_them`.
    fn with<T>(
        &self,
        name: &str,
        shape: &[usize],
        use_them: impl FnOnce(&mut dyn Iterator<Item = f32>) -> T,
    ) -> T {
        match self {
            Self::File(checked) => use_them(&mut checked.values(name).iter()),
            Self::Seed(seed) => use_them(&mut initial_tensor(name, shape, *seed).into_iter()),
        }
    }
}

/// The name of the file with noise in an assignment's folder.
#[must_use]
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join("noised.safetensors")
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::{FeatureNorm, Task};
    use eosfed_common::plan::DEFAULT_NORM_FACTOR;
    use eosfed_common::robust::outliers;
    use eosfed_common::weights::{Tensors, write};
    use eosfed_testkit::{cards, releases};

    use super::*;

    const CLIP: f64 = 0.5;

    struct Site {
        folder: tempfile::TempDir,
        target: TrainingTarget,
        base: Tensors,
    }

    impl Site {
        /// Weights that were trained from seed 1: every element has moved by `step`.
        fn new(step: f32) -> Self {
            let model = cards::model(Task::Classification, &["red"], &["a", "b"]);
            Self::of(TrainingTarget::Specialist(model), step)
        }

        fn of(target: TrainingTarget, step: f32) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let base = target.initial_weights(1);
            let mut trained = base.clone();
            trained.values_mut().flatten().for_each(|value| *value += step);
            write(&folder.path().join("trained"), &target.signature(), &trained).unwrap();
            write(&folder.path().join("base"), &target.signature(), &base).unwrap();
            Self { folder, target, base }
        }

        fn noised(&self, noise_multiplier: f64, key: u8) -> NoisedFile {
            NoisedFile {
                trained: self.folder.path().join("trained"),
                base: Base::Seed(1),
                training_target: self.target.clone(),
                mechanism: Mechanism { clip: CLIP, noise_multiplier },
                key: [key; 32],
                output: self.folder.path().join("noised"),
            }
        }

        /// What was written, tensor by tensor.
        fn written(&self) -> Tensors {
            let file = WeightsFile::open(&self.folder.path().join("noised")).unwrap();
            let checked = file.check(&self.target.signature()).unwrap();
            self.base.keys().map(|name| (name.clone(), checked.values(name).iter().collect())).collect()
        }

        /// The step of what was written, tensor after tensor.
        fn written_step(&self) -> Vec<f64> {
            let file = WeightsFile::open(&self.folder.path().join("noised")).unwrap();
            let checked = file.check(&self.target.signature()).unwrap();
            let one = |(name, base): (&String, &Vec<f32>)| {
                let values = checked.values(name);
                base.iter().zip(values.iter()).map(|(b, w)| f64::from(w) - f64::from(*b)).collect::<Vec<_>>()
            };
            self.base.iter().flat_map(one).collect()
        }
    }

    fn norm_of(step: &[f64]) -> f64 {
        step.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    #[test]
    fn a_long_step_is_clipped_over_all_tensors_together() {
        // Hardly any noise: the length of the step can be seen.
        let site = Site::new(0.01);
        site.noised(1e-9, 1).write().unwrap();
        let step = site.written_step();
        // The weights' own 32 bits round each element by up to 1e-7.
        assert!((norm_of(&step) / CLIP - 1.0).abs() < 1e-3, "{}", norm_of(&step));
        let each = CLIP / (step.len() as f64).sqrt();
        assert!(step.iter().all(|value| (value - each).abs() < 2e-7), "all elements keep their direction");
    }

    #[test]
    fn a_short_step_stays_as_it_is_and_gets_the_noise_of_the_policy() {
        let site = Site::new(0.0);
        site.noised(0.8, 1).write().unwrap();
        let step = site.written_step();
        let expected = 0.8 * CLIP * (step.len() as f64).sqrt();
        assert!((norm_of(&step) / expected - 1.0).abs() < 5e-3, "{} of {expected}", norm_of(&step));
    }

    #[test]
    fn a_base_in_a_file_and_one_of_a_seed_give_the_same_bytes_and_the_key_decides_the_noise() {
        let site = Site::new(0.01);
        let by_seed = site.noised(0.8, 1).write().unwrap();
        let base = Base::File(site.folder.path().join("base"));
        assert_eq!(NoisedFile { base, ..site.noised(0.8, 1) }.write().unwrap(), by_seed);
        assert_eq!(site.noised(0.8, 1).write().unwrap(), by_seed);
        assert_ne!(site.noised(0.8, 2).write().unwrap(), by_seed);
    }

    /// A head with batch normalisation, whose moments are among its tensors.
    fn head() -> TrainingTarget {
        let mut over = releases::head();
        over.head.composition.norm = FeatureNorm::Batch;
        TrainingTarget::Head(Box::new(over))
    }

    #[test]
    fn variances_with_noise_are_at_least_zero_and_nothing_else_is_changed() {
        let site = Site::of(head(), 0.0);
        // Variances are 1 at first, and this deviation is 0.8: 10.6 % of them would be negative.
        let noised = site.noised(1.6, 1);
        noised.write().unwrap();
        let noise = Noise::new([1; 32], noised.mechanism.deviation());
        let (mut variances, mut zeros, mut negative) = (0_u32, 0_u32, 0_u32);
        for (position, (name, written)) in (0..).zip(site.written()) {
            let base = || site.base[&name].iter().copied();
            for (value, written) in noise.noised(position, base(), base(), 1.0).into_iter().zip(written) {
                let variance = name.ends_with(VARIANCE);
                let expected = if variance { value.max(0.0) } else { value };
                assert!(written.to_bits() == expected.to_bits(), "{name}: {written}, {expected}");
                variances += u32::from(variance);
                zeros += u32::from(variance && written == 0.0);
                negative += u32::from(written < 0.0);
            }
        }
        let share = f64::from(zeros) / f64::from(variances);
        assert!(variances > 500 && (share - 0.1056).abs() < 0.06, "{zeros} of {variances}");
        assert!(negative > 100, "others keep their sign");
    }

    /// Admission compares the lengths of steps: those of noised updates are longer by far.
    #[test]
    fn admission_excludes_a_minority_of_noised_updates_and_never_clean_ones() {
        let site = Site::of(head(), 0.0);
        site.noised(0.8, 1).write().unwrap();
        let step = site.written_step();
        let (noised, elements) = (norm_of(&step), step.len());
        let ratio = noised / CLIP;
        assert!(
            (ratio / (0.8 * (elements as f64).sqrt()) - 1.0).abs() < 0.1,
            "{ratio} of {elements} elements"
        );
        for (clean, with_noise, excluded) in
            [(5, 0, 0), (4, 1, 1), (3, 2, 2), (2, 2, 0), (2, 3, 0), (1, 4, 0), (0, 5, 0), (1, 1, 0)]
        {
            // The longest steps that the clip lets pass, and others.
            let lengths = [CLIP, CLIP / 2.0, CLIP / 4.0, CLIP, CLIP / 3.0];
            let norms = [&lengths[..clean], &vec![noised; with_noise]].concat();
            let outliers = outliers(&norms, DEFAULT_NORM_FACTOR);
            let count = |part: &[bool]| part.iter().filter(|outlier| **outlier).count();
            let found = (count(&outliers[..clean]), count(&outliers[clean..]));
            assert_eq!(found, (0, excluded), "{clean} clean and {with_noise} with noise");
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused_before_and_after_the_noise() {
        let site = Site::new(0.0);
        let trained = site.folder.path().join("trained");
        for bad in [f32::NAN, f32::INFINITY] {
            let mut tensors = site.base.clone();
            tensors.values_mut().next().unwrap()[0] = bad;
            write(&trained, &site.target.signature(), &tensors).unwrap();
            assert!(site.noised(0.8, 1).write().unwrap_err().to_string().contains("trained"));
        }
        write(&trained, &site.target.signature(), &site.base).unwrap();
        let vast =
            NoisedFile { mechanism: Mechanism { clip: 1e300, noise_multiplier: 1.0 }, ..site.noised(0.8, 1) };
        assert!(vast.write().unwrap_err().to_string().contains("noised"), "no room in 32 bits");
    }
}
