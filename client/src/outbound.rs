//! The only way out for weights: a file leaves when it holds exactly the tensors of the model that
//! was asked for, all finite, and nothing else.

use std::path::Path;

use eosfed_common::assignment::BlobRef;
use eosfed_common::model::{ModelSpec, signature};
use eosfed_common::weights::{Digest, WeightsError, WeightsFile};

use crate::daemon::Update;

/// Checks a file of weights and names it by its digest.
///
/// # Errors
/// The first rule broken, with the tensor's name.
pub fn check(path: &Path, model: &ModelSpec) -> Result<BlobRef, WeightsError> {
    let file = WeightsFile::open(path)?;
    file.check(&signature(model))?;
    Ok(BlobRef { digest: Digest::of(file.bytes()), size: file.bytes().len() as u64 })
}

/// Checks again what an earlier run of the daemon has left to hand in.
///
/// # Errors
/// A sentence that says what has become of the file.
pub fn recheck(update: &Update, model: &ModelSpec) -> Result<(), String> {
    let found = check(&update.file, model).map_err(|error| error.to_string())?;
    if found == update.weights {
        return Ok(());
    }
    let (path, expected, found) = (update.file.display(), update.weights.digest, found.digest);
    Err(format!("{path}: changed since training, expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use eosfed_common::model::{Backbone, Task, initial_weights};
    use eosfed_common::weights::write;

    use super::*;

    #[test]
    fn only_the_very_model_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let mut model = ModelSpec {
            backbone: Backbone::Atto,
            task: Task::Classification,
            bands: vec!["red".to_owned()],
            classes: vec!["a".to_owned(), "b".to_owned()],
            target: None,
        };
        let mut tensors = initial_weights(&model, 1);
        let digest = write(&path, &signature(&model), &tensors).unwrap();
        assert_eq!(check(&path, &model).unwrap().digest, digest);
        model.classes.push("c".to_owned());
        assert!(check(&path, &model).is_err());
        model.classes.pop();
        tensors.values_mut().next().unwrap()[0] = f32::NAN;
        write(&path, &signature(&model), &tensors).unwrap();
        assert!(check(&path, &model).unwrap_err().to_string().contains("NaN"));
        std::fs::write(&path, b"II*\0 a picture").unwrap();
        assert!(check(&path, &model).is_err());
    }
}
