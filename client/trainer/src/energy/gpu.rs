//! The counter of a GPU, which NVIDIA's driver has since Volta.

use std::env;

use nvml_wrapper::Nvml;

use super::counter::Counter;
use crate::device::open_nvml;

/// Most GPUs that are looked at.
const MAX_GPUS: u32 = 64;

/// The counter of one GPU.
#[derive(Debug)]
pub(super) struct GpuCounter {
    nvml: Nvml,
    index: u32,
}

/// A GPU as the driver knows it, in the order of the bus.
struct Known {
    uuid: String,
    model: String,
}

impl GpuCounter {
    /// The counter of the GPU that CUDA calls by this number. Nothing without a driver, without a counter, or
    /// if it is not certain which GPU that is.
    pub(super) fn find(number: usize) -> Option<Self> {
        let nvml = open_nvml().ok()?;
        let known = |index| {
            let device = nvml.device_by_index(index).ok()?;
            Some(Known { uuid: device.uuid().ok()?, model: device.name().ok()? })
        };
        let count = nvml.device_count().ok()?;
        let all: Option<Vec<Known>> = (0..count.min(MAX_GPUS)).map(known).collect();
        let visible = env::var("CUDA_VISIBLE_DEVICES").ok();
        let by_bus = env::var("CUDA_DEVICE_ORDER").is_ok_and(|order| order == "PCI_BUS_ID");
        let index = index_of(number, visible.as_deref(), by_bus, &all?)?;
        let found = Self { nvml, index };
        found.read().map(|_| found)
    }
}

impl Counter for GpuCounter {
    fn read(&self) -> Option<Vec<u64>> {
        let millijoules = self.nvml.device_by_index(self.index).ok()?.total_energy_consumption().ok()?;
        Some(vec![millijoules.checked_mul(1000)?])
    }

    fn ranges(&self) -> Vec<u64> {
        vec![u64::MAX]
    }
}

/// The driver's index of the GPU that CUDA calls by this number. CUDA counts those that are visible, the
/// fastest first unless it is told to use the order of the bus; among GPUs of one model that is the same.
fn index_of(number: usize, visible: Option<&str>, by_bus: bool, all: &[Known]) -> Option<u32> {
    let in_order = by_bus || all.windows(2).all(|pair| pair[0].model == pair[1].model);
    let of_name = |name: &str| {
        if let Ok(at) = name.parse::<usize>() {
            return (in_order && at < all.len()).then_some(at);
        }
        let named = |known: &Known| name.starts_with("GPU-") && known.uuid.starts_with(name);
        let mut found = all.iter().enumerate().filter(|(_, known)| named(known));
        let first = found.next();
        first.filter(|_| found.next().is_none()).map(|(at, _)| at)
    };
    let index = match visible {
        None => (in_order && number < all.len()).then_some(number),
        // A name that CUDA does not know ends the list.
        Some(names) => {
            let names = names.split(',').map(|name| of_name(name.trim()));
            names.take_while(Option::is_some).nth(number).flatten()
        }
    };
    index.and_then(|index| u32::try_from(index).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(models: &[&str]) -> Vec<Known> {
        let known =
            |(at, model): (usize, &&str)| Known { uuid: format!("GPU-{at}a-77"), model: (*model).to_owned() };
        models.iter().enumerate().map(known).collect()
    }

    #[test]
    fn the_gpu_is_found_by_cudas_number() {
        let same = all(&["H100", "H100", "H100"]);
        assert_eq!(index_of(1, None, false, &same), Some(1));
        assert_eq!(index_of(3, None, false, &same), None);
        assert_eq!(index_of(0, Some("2,0"), false, &same), Some(2));
        assert_eq!(index_of(1, Some("2, 0"), false, &same), Some(0));
        assert_eq!(index_of(0, Some("GPU-1a"), false, &same), Some(1));
        assert_eq!(index_of(0, Some("GPU-"), false, &same), None, "more than one");
        assert_eq!(index_of(1, Some("9,1"), false, &same), None, "CUDA ignores what follows");
        assert_eq!(index_of(0, Some(""), false, &same), None);
        assert_eq!(index_of(0, Some("MIG-1a"), false, &same), None, "a part of a GPU has no counter");
    }

    #[test]
    fn it_is_not_guessed_among_different_models() {
        let mixed = all(&["T4", "H100"]);
        assert_eq!(index_of(0, None, false, &mixed), None, "CUDA counts the fastest first");
        assert_eq!(index_of(0, None, true, &mixed), Some(0));
        assert_eq!(index_of(0, Some("GPU-1a"), false, &mixed), Some(1));
    }
}
