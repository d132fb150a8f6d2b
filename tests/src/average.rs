//! Recomputes aggregates from the updates that the coordinator has kept, in the documented order of
//! arithmetic, bit for bit.

use safetensors::SafeTensors;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Federation;
use crate::stub::values_at;

/// The mean of files of weights with the same layout, each with its samples, in the order of the
/// institutions' names, as the coordinator writes it.
pub fn average(uploads: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let start = values_at(&uploads[0].0);
    let total: u64 = uploads.iter().map(|(_, samples)| samples).sum();
    let mut sums = vec![0.0_f64; (uploads[0].0.len() - start) / 4];
    for (file, samples) in uploads {
        assert_eq!(file[..start], uploads[0].0[..start], "the files are laid out alike");
        for (sum, value) in sums.iter_mut().zip(file[start..].as_chunks::<4>().0) {
            *sum += *samples as f64 * f64::from(f32::from_le_bytes(*value));
        }
    }
    let means = sums.iter().flat_map(|sum| ((sum / total as f64) as f32).to_le_bytes());
    uploads[0].0[..start].iter().copied().chain(means).collect()
}

/// The digest of a blob as the programs write it.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

impl Federation {
    /// The updates of a round in the order of the institutions' names, each with its samples.
    pub fn uploads(&self, round: &Value) -> Vec<(Vec<u8>, u64)> {
        // The keys of a JSON object are in the order of the names, which is the order of the sums.
        let participants = round["participants"].as_object().unwrap().values();
        let counted = participants.filter(|one| one["state"] == "submitted");
        let read = |one: &Value| {
            let bytes = std::fs::read(self.blob(one["weights"].as_str().unwrap())).unwrap();
            (bytes, one["samples"].as_u64().unwrap())
        };
        counted.map(read).collect()
    }

    /// Checks that weights equal the average of a round's updates in the documented order of arithmetic, bit
    /// for bit, for any layout of the files. Gives the number of compared values.
    pub fn assert_average(&self, round: &Value, weights: &[u8]) -> usize {
        let uploads = self.uploads(round);
        let parsed: Vec<_> = uploads
            .iter()
            .map(|(bytes, samples)| (SafeTensors::deserialize(bytes).unwrap(), *samples))
            .collect();
        let total: u64 = parsed.iter().map(|(_, samples)| samples).sum();
        let expected = SafeTensors::deserialize(weights).unwrap();
        let mut compared = 0;
        for (name, tensor) in expected.tensors() {
            let values: Vec<_> = parsed
                .iter()
                .map(|(file, samples)| (file.tensor(&name).unwrap().data().to_vec(), *samples))
                .collect();
            for (index, found) in tensor.data().as_chunks::<4>().0.iter().enumerate() {
                let mut sum = 0.0_f64;
                for (bytes, samples) in &values {
                    let value = f32::from_le_bytes(bytes.as_chunks::<4>().0[index]);
                    sum += *samples as f64 * f64::from(value);
                }
                let mean = (sum / total as f64) as f32;
                assert_eq!(mean.to_bits(), f32::from_le_bytes(*found).to_bits(), "{name}[{index}]");
                compared += 1;
            }
        }
        compared
    }
}
