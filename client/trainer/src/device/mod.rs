//! The device to compute on: CUDA if it can be used, otherwise the processor.

mod age;
mod allocator;
mod cuda;
mod driver;
pub mod memory;
pub mod reading;

use eosfed_common::counted::counted;
use eosfed_common::task::DeviceChoice;
use tch::Device;

pub use age::process_age;
pub use cuda::{CudaProblem, CudaReady, cuda};
pub(crate) use driver::open_nvml;
pub use driver::{Driver, Gpu};

/// A CUDA device was requested and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCuda {
    /// CUDA cannot be used at all.
    #[error("device `cuda:{number}` was asked for, but {problem}; or use `auto` or `cpu`")]
    Problem {
        /// The number of the device.
        number: u32,
        /// Why not.
        problem: CudaProblem,
    },
    /// CUDA has fewer devices.
    #[error(
        "device `cuda:{number}` was asked for, but libtorch sees {}, numbered from 0; \
         CUDA_VISIBLE_DEVICES limits them, and `nvidia-smi` lists all",
        counted(*.devices, "device")
    )]
    NoSuch {
        /// The number of the device.
        number: u32,
        /// Devices that libtorch sees.
        devices: u32,
    },
}

/// Chooses the device, and gives the reason in words.
///
/// # Errors
/// If CUDA is requested and cannot be used.
pub fn choose(
    choice: DeviceChoice,
    cuda: Result<&CudaReady, &CudaProblem>,
) -> Result<(Device, String), NoCuda> {
    match (choice, cuda) {
        (DeviceChoice::Cpu, _) => Ok((Device::Cpu, "the processor was asked for".to_owned())),
        (DeviceChoice::Auto, Ok(_)) => Ok((Device::Cuda(0), "libtorch finds a CUDA device".to_owned())),
        (DeviceChoice::Auto, Err(problem)) => Ok((Device::Cpu, problem.to_string())),
        (DeviceChoice::Cuda(number), Ok(&CudaReady { devices, .. })) if number >= devices => {
            Err(NoCuda::NoSuch { number, devices })
        }
        (DeviceChoice::Cuda(number), Ok(_)) => {
            Ok((Device::Cuda(number as usize), "this device was asked for".to_owned()))
        }
        (DeviceChoice::Cuda(number), Err(problem)) => {
            Err(NoCuda::Problem { number, problem: problem.clone() })
        }
    }
}

/// Sets the number of threads that compute and that decode images, and the allocator, and chooses the device on
/// this machine. Call it before the first tensor is made: see `device/cuda.rs`.
///
/// # Errors
/// As [`choose`].
pub fn set_up(choice: DeviceChoice, threads: Option<u32>) -> Result<Device, NoCuda> {
    let (device, reason) = match choice {
        // The CUDA library is large, so it is not loaded for the processor.
        DeviceChoice::Cpu => (Device::Cpu, "the processor was asked for".to_owned()),
        DeviceChoice::Auto | DeviceChoice::Cuda(_) => choose(choice, cuda())?,
    };
    allocator::keep_freed_memory();
    if let Some(threads) = threads {
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
        decoders(threads as usize);
    }
    tracing::info!(device = name(device), reason, threads = tch::get_num_threads(), "device");
    Ok(device)
}

/// Sets the number of threads that decode images. A process sets it once.
fn decoders(threads: usize) {
    let found = match rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
        Ok(()) => threads,
        Err(_) => rayon::current_num_threads(),
    };
    if found != threads {
        tracing::debug!(threads, found, "the decoders have been started with another number of threads");
    }
}

/// The device's name in events: `cpu` or `cuda:0`.
#[must_use]
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_depends_on_the_request_and_on_the_machine() {
        let ready = CudaReady { library: "libtorch_cuda.so".into(), devices: 2 };
        let problem = CudaProblem::NotFound { tried: "/nowhere".to_owned() };
        let chosen = |choice, cuda: bool| {
            let cuda = if cuda { Ok(&ready) } else { Err(&problem) };
            choose(choice, cuda).map(|(device, _)| device)
        };
        assert_eq!(chosen(DeviceChoice::Auto, true), Ok(Device::Cuda(0)));
        assert_eq!(chosen(DeviceChoice::Auto, false), Ok(Device::Cpu));
        assert_eq!(chosen(DeviceChoice::Cpu, true), Ok(Device::Cpu));
        assert_eq!(chosen(DeviceChoice::Cuda(1), true), Ok(Device::Cuda(1)));
        assert_eq!(name(Device::Cuda(1)), "cuda:1");
        let error = chosen(DeviceChoice::Cuda(2), true).unwrap_err().to_string();
        assert!(error.contains("`cuda:2`") && error.contains("2 devices"), "{error}");
        // The reason for the processor is given in both cases.
        let error = chosen(DeviceChoice::Cuda(0), false).unwrap_err().to_string();
        let (_, why) = choose(DeviceChoice::Auto, Err(&problem)).unwrap();
        assert!(error.contains("/nowhere") && why.contains("/nowhere"), "{error} {why}");
    }
}
