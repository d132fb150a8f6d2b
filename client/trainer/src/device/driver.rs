//! The version of NVIDIA's driver and the models of its GPUs, from `/proc`, without any library.
//!
//! Memory and compute capability are not there; `nvidia-smi` shows them.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The driver's folder.
const FOLDER: &str = "/proc/driver/nvidia";
/// Largest number of GPUs that are listed.
const MAX_GPUS: usize = 64;
/// Largest number of bytes that are read from a file.
const MAX_BYTES: u64 = 16 << 10;

/// The driver and all GPUs of this machine, whether this process may use them or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Driver {
    /// The driver's line of version; `None` without a driver.
    pub version: Option<String>,
    /// The models of the GPUs in the order of their addresses on the bus, which need not be CUDA's.
    pub gpus: Vec<String>,
}

impl Driver {
    /// Reads the driver's files on this machine.
    #[must_use]
    pub fn read() -> Self {
        Self::read_in(Path::new(FOLDER))
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
            Some(model.trim().to_owned())
        };
        Self { version, gpus: gpus.iter().filter_map(model).collect() }
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
        assert_eq!(driver.gpus, ["NVIDIA A", "NVIDIA B"]);
    }

    #[test]
    fn a_machine_without_the_driver_has_no_version_and_no_gpus() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Driver::read_in(folder.path()), Driver::default());
    }
}
