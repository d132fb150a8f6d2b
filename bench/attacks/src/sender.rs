//! How an update travels: as weights, or as an encoded step with error feedback, as a client makes it.

use std::path::Path;

use eosfed_aggregation::WeightsReader;
use eosfed_common::weights::{Signature, StepCode, Tensors, residual, write, write_step};

/// An institution's side of an encoding.
pub(crate) struct Sender {
    code: Option<StepCode>,
    /// What earlier encodings have dropped.
    dropped: Tensors,
}

impl Sender {
    pub(crate) fn new(code: Option<StepCode>) -> Self {
        Self { code, dropped: Tensors::new() }
    }

    /// Writes the update that was trained from `now`, which lies in the file `base`, and opens it as admission
    /// does. Nothing if admission refuses it.
    pub(crate) fn send(
        &mut self,
        path: &Path,
        signature: &Signature,
        (base, now): (&Path, &Tensors),
        update: &Tensors,
    ) -> anyhow::Result<Option<WeightsReader>> {
        let Some(code) = self.code else {
            write(path, signature, update)?;
            return Ok(WeightsReader::check(path, signature).ok().map(|(reader, _)| reader));
        };
        let step = |name: &str| -> Vec<f64> {
            let moved = update[name]
                .iter()
                .zip(&now[name])
                .map(|(weight, base)| f64::from(*weight) - f64::from(*base));
            match self.dropped.get(name) {
                Some(dropped) => {
                    moved.zip(dropped).map(|(step, dropped)| step + f64::from(*dropped)).collect()
                }
                None => moved.collect(),
            }
        };
        write_step(path, signature, code, step)?;
        let checked = WeightsReader::check_step(path, signature, code, base).ok();
        let Some((reader, _)) = checked else { return Ok(None) };
        self.dropped = signature.0.keys().map(|name| (name.clone(), residual(code, &step(name)))).collect();
        Ok(Some(reader))
    }
}
