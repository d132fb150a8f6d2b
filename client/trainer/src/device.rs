//! Where to compute: CUDA when libtorch finds it, else the processor. The choice is a pure function.

use eosfed_common::task::DeviceChoice;
use tch::{Cuda, Device};

/// CUDA was asked for and is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "device `cuda` was asked for, but libtorch finds no CUDA device; install the CUDA build of libtorch \
     (`make libtorch CUDA=1`) and a driver, or use `auto` or `cpu`"
)]
pub struct NoCuda;

/// Chooses the device and says why.
///
/// # Errors
/// If CUDA is demanded and missing.
pub fn choose(choice: DeviceChoice, cuda: bool) -> Result<(Device, &'static str), NoCuda> {
    match (choice, cuda) {
        (DeviceChoice::Cpu, _) => Ok((Device::Cpu, "the processor was asked for")),
        (DeviceChoice::Auto, true) => Ok((Device::Cuda(0), "libtorch finds a CUDA device")),
        (DeviceChoice::Auto, false) => Ok((Device::Cpu, "libtorch finds no CUDA device")),
        (DeviceChoice::Cuda, true) => Ok((Device::Cuda(0), "CUDA was asked for")),
        (DeviceChoice::Cuda, false) => Err(NoCuda),
    }
}

/// Sets the number of threads and chooses the device on this machine.
///
/// # Errors
/// As [`choose`].
pub fn set_up(choice: DeviceChoice, threads: Option<u32>) -> Result<Device, NoCuda> {
    if let Some(threads) = threads {
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    }
    let (device, why) = choose(choice, Cuda::is_available())?;
    tracing::info!(device = name(device), why, threads = tch::get_num_threads(), "device");
    Ok(device)
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
    fn the_choice_depends_on_the_wish_and_on_what_is_there() {
        let chosen = |choice, cuda| choose(choice, cuda).map(|(device, _)| device);
        assert_eq!(chosen(DeviceChoice::Auto, true), Ok(Device::Cuda(0)));
        assert_eq!(chosen(DeviceChoice::Auto, false), Ok(Device::Cpu));
        assert_eq!(chosen(DeviceChoice::Cpu, true), Ok(Device::Cpu));
        assert_eq!(chosen(DeviceChoice::Cuda, false), Err(NoCuda));
        assert_eq!(name(Device::Cuda(1)), "cuda:1");
    }
}
