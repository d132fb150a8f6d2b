//! The door through which training reads numbers from tensors. To read a number from a GPU is to wait until it
//! has done everything that was asked of it, while it could have gone on. So a step reads nothing, and the
//! count lets a test see that.

use std::cell::Cell;

use tch::{Device, Kind, Tensor};

thread_local! {
    static READS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has read.
#[must_use]
pub fn reads() -> u64 {
    READS.get()
}

/// All numbers of a tensor, row-major.
#[must_use]
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    READS.set(READS.get() + 1);
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]);
    Vec::try_from(&flat).expect("a flat tensor of doubles on the processor becomes a vector")
}

/// All flags of a tensor, row-major.
#[must_use]
pub fn flags(tensor: &Tensor) -> Vec<bool> {
    READS.set(READS.get() + 1);
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Uint8).contiguous().view([-1]);
    let bytes: Vec<u8> = Vec::try_from(&flat).expect("a flat tensor of bytes becomes a vector");
    bytes.into_iter().map(|byte| byte != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_counted() {
        let before = reads();
        let tensor = Tensor::from_slice(&[1.5_f32, 0.0, -2.0]);
        assert_eq!(numbers(&tensor), [1.5, 0.0, -2.0]);
        assert_eq!(flags(&tensor.gt(0.0)), [true, false, false]);
        assert_eq!(reads() - before, 2);
    }
}
