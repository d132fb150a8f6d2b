//! NVIDIA's driver and its GPUs: from NVIDIA's management library (NVML), a part of the driver; where that
//! is not there, from the driver's folder of `/proc`, which knows no memory and no compute capability.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io::Read as _};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};
use serde::Serialize;

/// NVML as drivers install it; the name without a version is that of a package for developers.
const NVML: &str = "libnvidia-ml.so.1";
/// The driver's folder.
const FOLDER: &str = "/proc/driver/nvidia";
/// Largest number of GPUs that are listed.
const MAX_GPUS: usize = 64;
/// Largest number of bytes that are read from a file.
const MAX_BYTES: u64 = 16 << 10;

/// The driver and all GPUs of this machine, whether this process may use them or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Driver {
    /// The driver's version; `None` without a driver.
    pub version: Option<String>,
    /// The newest CUDA that the driver supports, such as `13.0`; `None` without NVML.
    pub cuda: Option<String>,
    /// The GPUs in the order of their addresses on the bus, which need not be CUDA's.
    pub gpus: Vec<Gpu>,
    /// Why NVML could not be asked.
    pub problem: Option<String>,
}

/// A GPU, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Gpu {
    /// Its model.
    pub name: String,
    /// Its UUID, which `CUDA_VISIBLE_DEVICES` takes.
    pub uuid: Option<String>,
    /// All of its memory, in MiB.
    pub memory_mib: Option<u64>,
    /// What is free of it, in MiB.
    pub free_mib: Option<u64>,
    /// Its compute capability, such as `9.0`.
    pub compute_capability: Option<String>,
}

impl Driver {
    /// Asks the driver of this machine.
    #[must_use]
    pub fn read() -> Self {
        match ask_nvml() {
            Ok(driver) => driver,
            Err(error) => Self { problem: Some(said(&error)), ..Self::read_in(Path::new(FOLDER)) },
        }
    }

    fn read_in(folder: &Path) -> Self {
        let version = start(&folder.join("version")).and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("NVRM version:"))?;
            Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        let entries = fs::read_dir(folder.join("gpus")).into_iter().flatten().flatten();
        let mut gpus: Vec<_> = entries.take(MAX_GPUS).map(|entry| entry.path()).collect();
        gpus.sort();
        let model = |gpu: &PathBuf| {
            let text = start(&gpu.join("information"))?;
            let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
            Some(Gpu { name: model.trim().to_owned(), ..Gpu::default() })
        };
        Self { version, gpus: gpus.iter().filter_map(model).collect(), ..Self::default() }
    }
}

/// Opens NVML, which is a part of the driver.
///
/// # Errors
/// Without a driver.
pub(crate) fn open_nvml() -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(OsStr::new(NVML)).init()
}

fn ask_nvml() -> Result<Driver, NvmlError> {
    let nvml = open_nvml()?;
    let cuda = nvml.sys_cuda_driver_version()?;
    let gpu = |index| {
        let device = nvml.device_by_index(index)?;
        let memory = device.memory_info().ok();
        // A part that a card or a container does not tell is left out.
        Ok(Gpu {
            name: device.name()?,
            uuid: device.uuid().ok(),
            memory_mib: memory.as_ref().map(|memory| memory.total >> 20),
            free_mib: memory.as_ref().map(|memory| memory.free >> 20),
            compute_capability: device
                .cuda_compute_capability()
                .ok()
                .map(|found| format!("{}.{}", found.major, found.minor)),
        })
    };
    let count = nvml.device_count()?.min(MAX_GPUS as u32);
    Ok(Driver {
        version: Some(nvml.sys_driver_version()?),
        cuda: Some(format!("{}.{}", cuda_driver_version_major(cuda), cuda_driver_version_minor(cuda))),
        gpus: (0..count).map(gpu).collect::<Result<_, NvmlError>>()?,
        problem: None,
    })
}

/// An error with what the loader says, which names the file.
fn said(error: &NvmlError) -> String {
    match std::error::Error::source(error).and_then(std::error::Error::source) {
        Some(source) => source.to_string(),
        None => std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
    }
}

/// The beginning of a text file; `None` if it cannot be read.
fn start(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_models_are_read_from_the_drivers_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "version",
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Thu\nGCC version: 13\n",
        );
        write("gpus/0000:81:00.0/information", "Model: \t\t NVIDIA B\nIRQ: 1\n");
        write("gpus/0000:01:00.0/information", "Model: \t\t NVIDIA A\nIRQ: 1\n");
        write("gpus/0000:91:00.0/information", "IRQ: 1\n");
        let driver = Driver::read_in(folder.path());
        let version = "NVIDIA UNIX x86_64 Kernel Module 580.159.04 Thu";
        assert_eq!(driver.version.as_deref(), Some(version));
        let names: Vec<_> = driver.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
        assert_eq!(names, ["NVIDIA A", "NVIDIA B"]);
    }

    #[test]
    fn a_machine_without_the_driver_has_no_version_and_no_gpus() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Driver::read_in(folder.path()), Driver::default());
    }

    #[test]
    fn this_machine_has_a_driver_or_the_loaders_reason() {
        let driver = Driver::read();
        match driver.problem {
            None => assert!(driver.version.is_some() && driver.cuda.is_some()),
            Some(problem) => assert!(problem.contains(NVML), "{problem}"),
        }
    }
}
