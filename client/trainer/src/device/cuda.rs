//! Opens libtorch's CUDA part, which is a separate library, if it is there.
//!
//! The trainer uses no symbol of `libtorch_cuda.so`, so it is not linked against it, and one binary serves
//! machines with and without it. The library registers itself with libtorch while it is loaded. libtorch
//! looks for it once, when CUDA is first used, and keeps the result. So the library is opened before the
//! first tensor is made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::Cuda;

use super::Driver;

const LIBRARY: &str = "libtorch_cuda.so";
/// The driver's part that every program on CUDA opens.
const DRIVER: &str = "libcuda.so.1";
/// The linked library in the same folder.
const LINKED: &str = "libtorch_cpu.so";

/// CUDA can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CudaReady {
    /// The library that was opened; without a folder, if the loader found it.
    pub library: PathBuf,
    /// Devices that libtorch sees, at least 1.
    pub devices: u32,
}

/// Why CUDA cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaProblem {
    /// The library is missing.
    #[error(
        "libtorch's CUDA part was not found (looked at {tried}); put the `libtorch_cuda.so` of the same libtorch, \
         and what it needs, beside `libtorch_cpu.so` or on LD_LIBRARY_PATH"
    )]
    NotFound {
        /// Paths that were tried.
        tried: String,
    },
    /// The library exists and cannot be loaded.
    #[error("libtorch's CUDA part cannot be loaded: {reason} (of {path}); it must be of the libtorch in use")]
    Refused {
        /// The file, or its name if the loader found it.
        path: String,
        /// The loader's message.
        reason: String,
    },
    /// The library is loaded; there is no driver.
    #[error(
        "libtorch's CUDA part is loaded ({library}), but NVIDIA's driver is not there ({reason}); install it, or \
         give the container access to it"
    )]
    NoDriver {
        /// The library.
        library: String,
        /// The loader's message.
        reason: String,
    },
    /// The library and a driver are there, yet no device.
    #[error(
        "libtorch's CUDA part is loaded ({library}) and there is a driver ({driver}), but libtorch sees no device; \
         CUDA_VISIBLE_DEVICES is {visible}; `nvidia-smi` shows whether there is a device and which CUDA the driver supports"
    )]
    NoDevice {
        /// The library.
        library: String,
        /// The driver.
        driver: String,
        /// The value of the variable.
        visible: String,
    },
}

/// Whether CUDA can be used. Opens the library at the first call.
///
/// # Errors
/// The reason why it cannot.
pub fn cuda() -> Result<&'static CudaReady, &'static CudaProblem> {
    static STATE: OnceLock<Result<CudaReady, CudaProblem>> = OnceLock::new();
    STATE.get_or_init(look).as_ref()
}

fn look() -> Result<CudaReady, CudaProblem> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let library = open_one_of(&candidates(linked_folder(&maps)))?;
    let devices = if Cuda::is_available() { u32::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 };
    if devices > 0 {
        return Ok(CudaReady { library, devices });
    }
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    Err(without_device(&library, open(Path::new(DRIVER)), Driver::read(), visible))
}

/// The folder from which libtorch was loaded, by the lines of `/proc/self/maps`.
fn linked_folder(maps: &str) -> Option<PathBuf> {
    // A line's sixth column, the path, is the only one with a slash, and may hold spaces.
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let mut linked = paths.filter(|path| path.file_name().is_some_and(|name| name == LINKED));
    linked.next()?.parent().map(Path::to_owned)
}

/// Beside the libtorch in use, then wherever the loader looks.
fn candidates(folder: Option<PathBuf>) -> Vec<PathBuf> {
    folder.map(|folder| folder.join(LIBRARY)).into_iter().chain([PathBuf::from(LIBRARY)]).collect()
}

/// Opens the first of these files that exists. It stays open until the process ends.
fn open_one_of(candidates: &[PathBuf]) -> Result<PathBuf, CudaProblem> {
    for path in candidates {
        let by_loader = path.components().count() == 1;
        if !by_loader && !path.exists() {
            continue;
        }
        match open(path) {
            Ok(()) => return Ok(path.clone()),
            // The loader names the library itself if it is missing, otherwise the library that it needs.
            Err(reason) if by_loader && reason.starts_with(LIBRARY) && reason.contains("No such file") => {}
            Err(reason) => return Err(CudaProblem::Refused { path: path.display().to_string(), reason }),
        }
    }
    let tried: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
    Err(CudaProblem::NotFound { tried: tried.join(", ") })
}

/// Loads a library with all its symbols resolved, visible to libraries loaded later.
fn open(path: &Path) -> Result<(), String> {
    // As sound as linking the library: only its own initialisation runs. No symbol is looked up here, and
    // the library is never unloaded.
    #[allow(unsafe_code)]
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    match library {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => {
            Err(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
        }
    }
}

/// Why libtorch sees no device although the library is loaded.
fn without_device(
    library: &Path,
    opened: Result<(), String>,
    driver: Driver,
    visible: Option<String>,
) -> CudaProblem {
    let library = library.display().to_string();
    if let Err(reason) = opened {
        return CudaProblem::NoDriver { library, reason };
    }
    let supports = driver.cuda.map(|cuda| format!(", for CUDA {cuda} and older")).unwrap_or_default();
    let driver = format!("{}{supports}", driver.version.as_deref().unwrap_or("of an unknown version"));
    let visible = visible.map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
    CudaProblem::NoDevice { library, driver, visible }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_libtorch_is_that_of_the_loaded_library() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libc.so.6\n7f02-7f03 r--p 00000000 00:00 0 \n\
                    7f04-7f05 r-xp 00000000 08:01 2 /opt/my torch/lib/libtorch_cpu.so\n";
        assert_eq!(linked_folder(maps), Some("/opt/my torch/lib".into()));
        assert_eq!(linked_folder("7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libtorch_cpu.so.bak"), None);
        let _ = tch::get_num_threads();
        let folder = linked_folder(&fs::read_to_string("/proc/self/maps").unwrap()).unwrap();
        assert!(folder.join(LINKED).exists(), "{}", folder.display());
    }

    #[test]
    fn a_library_is_missing_refused_or_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LIBRARY);
        let nowhere = open_one_of(&candidates(Some(folder.path().to_owned())));
        let tried = format!("{}, {LIBRARY}", path.display());
        assert_eq!(nowhere, Err(CudaProblem::NotFound { tried }));

        fs::write(&path, "not a library").unwrap();
        let Err(CudaProblem::Refused { reason, .. }) = open_one_of(std::slice::from_ref(&path)) else {
            panic!("a text file was opened")
        };
        assert!(reason.contains("too short") || reason.contains("ELF"), "{reason}");

        // Any library can be opened; this one is part of libtorch.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(linked_folder(&maps).unwrap().join("libc10.so"), &path).unwrap();
        assert_eq!(open_one_of(std::slice::from_ref(&path)), Ok(path));
    }

    #[test]
    fn a_missing_driver_and_a_hidden_device_have_different_errors() {
        let library = Path::new("/lt/libtorch_cuda.so");
        let reason = Err("libcuda.so.1: cannot open shared object file".to_owned());
        // A container without access to the driver still sees the host's version of it.
        let driver = || Driver {
            version: Some("580.1".to_owned()),
            cuda: Some("12.4".to_owned()),
            ..Driver::default()
        };
        let none = without_device(library, reason, driver(), Some("0".to_owned())).to_string();
        assert!(none.contains("driver is not there (libcuda.so.1: cannot open"), "{none}");
        let hidden = without_device(library, Ok(()), driver(), Some(String::new())).to_string();
        assert!(hidden.contains("(580.1, for CUDA 12.4 and older)"), "{hidden}");
        assert!(hidden.contains("CUDA_VISIBLE_DEVICES is ``"), "{hidden}");
        assert!(without_device(library, Ok(()), driver(), None).to_string().contains("is not set"));
    }

    #[test]
    fn this_machine_has_cuda_or_gives_a_reason() {
        match cuda() {
            Ok(ready) => assert!(ready.devices > 0 && Cuda::is_available()),
            Err(problem) => {
                assert!(!Cuda::is_available());
                assert!(problem.to_string().contains(LIBRARY), "{problem}");
            }
        }
    }
}
