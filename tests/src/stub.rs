//! The arithmetic of the stub trainer, which replaces training and needs no libtorch. Its result follows from
//! the starting weights and the task's seed alone, so that a test can recompute it.

/// Environment: pause after each epoch, in milliseconds.
pub const PAUSE: &str = "EOSFED_STUB_PAUSE_MS";
/// Environment: a file to which each finished training adds a line, `ASSIGNMENT SEED`.
pub const LEDGER: &str = "EOSFED_STUB_LEDGER";

/// Environment: a file for which the last round's training waits, at its last epoch.
pub const GATE: &str = "EOSFED_STUB_GATE";

/// The offset of the values in a safetensors file. They are 32-bit floats up to its end.
pub fn values_at(file: &[u8]) -> usize {
    let (length, _) = file.split_first_chunk::<8>().unwrap();
    8 + usize::try_from(u64::from_le_bytes(*length)).unwrap()
}

/// The file of weights that results from training from the file `base` with `seed`.
pub fn trained(base: &[u8], seed: u64) -> Vec<u8> {
    let mut file = base.to_vec();
    let start = values_at(base);
    for (index, value) in (0_u64..).zip(file[start..].as_chunks_mut::<4>().0) {
        // 24 bits, which a float holds exactly.
        let noise = (mix(seed ^ index) >> 40) as f32 / 16_777_216.0 - 0.5;
        *value = (f32::from_le_bytes(*value) + noise * 1e-3).to_le_bytes();
    }
    file
}

/// The number of samples that a training with `seed` reports: no more than the training part of
/// `imagery::classes` has.
pub fn samples(seed: u64) -> u64 {
    10 + seed % 11
}

/// The accuracy that a training of so many samples tells of the weights that it starts from, which a test can recompute.
pub fn start_accuracy(samples: u64) -> f64 {
    samples as f64 / 32.0
}

/// SplitMix64, which is the same on every machine.
pub fn mix(seed: u64) -> u64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Draws numbers from a seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % limit
    }
}
