//! The check that weights pass before they leave: the file must hold exactly the tensors of what was to be
//! trained, all finite, and nothing else.

use std::path::Path;

use eosfed_common::assignment::BlobRef;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::{WeightsError, WeightsFile};

use crate::state::Update;

/// Checks a file of weights and names it by its digest.
///
/// # Errors
/// The first rule broken, with the tensor's name.
pub fn check(path: &Path, training_target: &TrainingTarget) -> Result<BlobRef, WeightsError> {
    let file = WeightsFile::open(path)?;
    file.check(&training_target.signature())?;
    Ok(BlobRef { digest: Digest::of(file.bytes()), size: file.bytes().len() as u64 })
}

/// Checks again what an earlier run of the daemon has left to be submitted.
///
/// # Errors
/// A sentence that says what has changed in the file.
pub fn recheck(update: &Update, training_target: &TrainingTarget) -> Result<(), String> {
    let found = check(&update.file, training_target).map_err(|error| error.to_string())?;
    if found == update.weights {
        return match &update.encoded {
            Some(encoded) => recheck_step(&encoded.file, encoded.weights),
            None => Ok(()),
        };
    }
    let path = update.file.display();
    let expected = update.weights.digest;
    let found = found.digest;
    Err(format!("{path}: changed since training, expected {expected}, found {found}"))
}

/// Names a file of a step again, which was checked when it was made.
///
/// # Errors
/// A sentence if it cannot be read or has changed since.
pub fn recheck_step(file: &Path, expected: BlobRef) -> Result<(), String> {
    let path = file.display();
    let found = files::digest(file).map_err(|error| format!("{path}: {error}"))?;
    if found == expected.digest {
        return Ok(());
    }
    Err(format!("{path}: changed since it was made, expected {}, found {found}", expected.digest))
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::Task;
    use eosfed_common::weights::write;
    use eosfed_testkit::cards;

    use super::*;

    #[test]
    fn only_weights_of_exactly_the_model_leave() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let model = |classes: &[&str]| {
            TrainingTarget::Specialist(cards::model(Task::Classification, &["red"], classes))
        };
        let two = model(&["a", "b"]);
        let mut tensors = two.initial_weights(1);
        let digest = write(&path, &two.signature(), &tensors).unwrap();
        assert_eq!(check(&path, &two).unwrap().digest, digest);
        assert!(check(&path, &model(&["a", "b", "c"])).is_err());
        tensors.values_mut().next().unwrap()[0] = f32::NAN;
        write(&path, &two.signature(), &tensors).unwrap();
        assert!(check(&path, &two).unwrap_err().to_string().contains("NaN"));
        std::fs::write(&path, b"II*\0 a picture").unwrap();
        assert!(check(&path, &two).is_err());
    }
}
