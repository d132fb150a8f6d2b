//! The limits of the training program: the table `trainer.limits` of `client.toml`.

use std::ffi::OsString;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;

/// Most graphics processors that a list may name.
const MAX_GPUS: usize = 64;
/// libtorch reads the first of these; `c10/cuda/CUDAAllocatorConfig.cpp`, libtorch 2.13.
const ALLOCATOR: [&str; 2] = ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"];

/// What the training program may use of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerLimits {
    /// Whether the training program gets a cgroup (version 2), which `memory_gib`, `cpus` and `processes` need.
    pub cgroup: Mode,
    /// A cgroup without processes, in which that of the training program is made. Default: the daemon's own,
    /// where it is delegated to its user.
    pub cgroup_folder: Option<PathBuf>,
    /// Most memory of all its processes together, in GiB, with its files in memory. Default: no limit.
    #[schemars(range(min = 1, max = 65536))]
    pub memory_gib: Option<u32>,
    /// Most processors that it may keep busy. Default: all.
    #[schemars(range(min = 1, max = 65536))]
    pub cpus: Option<u32>,
    /// Most processes and threads.
    #[schemars(range(min = 16, max = 4_194_304))]
    pub processes: u32,
    /// The graphics processors that it sees, by number or by UUID. Default: as in the daemon's environment.
    pub gpus: Option<Vec<String>>,
    /// Most memory of a graphics processor that its tensors may use, as a part of all of it in percent.
    /// Default: no limit.
    #[schemars(range(min = 1, max = 100))]
    pub gpu_memory_percent: Option<u8>,
}

impl Default for TrainerLimits {
    fn default() -> Self {
        Self {
            cgroup: Mode::Auto,
            cgroup_folder: None,
            memory_gib: None,
            cpus: None,
            processes: 4096,
            gpus: None,
            gpu_memory_percent: None,
        }
    }
}

impl TrainerLimits {
    /// Checks the ranges and the names.
    ///
    /// # Errors
    /// A sentence with the key and the value found.
    pub fn check(&self) -> Result<(), String> {
        let Self { cgroup: _, cgroup_folder, memory_gib, cpus, processes, gpus, gpu_memory_percent } = self;
        let within = |key: &str, found: u32, least: u32, most: u32| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(format!("`trainer.limits.{key}` must be between {least} and {most}, found `{found}`"))
        };
        memory_gib.map_or(Ok(()), |found| within("memory_gib", found, 1, 65_536))?;
        cpus.map_or(Ok(()), |found| within("cpus", found, 1, 65_536))?;
        within("processes", *processes, 16, 4_194_304)?;
        gpu_memory_percent.map_or(Ok(()), |found| within("gpu_memory_percent", found.into(), 1, 100))?;
        if let Some(folder) = cgroup_folder.as_ref().filter(|folder| !folder.is_absolute()) {
            let found = folder.display();
            return Err(format!("`trainer.limits.cgroup_folder` must be an absolute path, found `{found}`"));
        }
        let gpus = gpus.as_deref().unwrap_or_default();
        let fits = |name: &String| {
            (1..=64).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/'))
        };
        if let Some(bad) = gpus.iter().find(|name| !fits(name)) {
            let shown = bad.escape_debug();
            return Err(format!("`trainer.limits.gpus` has numbers and UUIDs, found `{shown}`"));
        }
        within("gpus", u32::try_from(gpus.len()).unwrap_or(u32::MAX), 0, MAX_GPUS as u32)
    }

    /// Variables for the trainer, which replace those of the daemon. `now` gives a variable of the daemon.
    pub(crate) fn variables(&self, now: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
        let devices = self.gpus.as_ref().map(|gpus| ("CUDA_VISIBLE_DEVICES".into(), gpus.join(",").into()));
        let mut variables: Vec<(OsString, OsString)> = devices.into_iter().collect();
        if let Some(percent) = self.gpu_memory_percent {
            let mut value = ALLOCATOR.iter().find_map(|name| now(name)).unwrap_or_default();
            if !value.is_empty() {
                value.push(",");
            }
            value.push(format!("per_process_memory_fraction:{:.2}", f64::from(percent) / 100.0));
            variables.extend(ALLOCATOR.iter().map(|name| (name.into(), value.clone())));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_graphics_processors_become_variables() {
        let limits = |gpus: Option<&[&str]>, gpu_memory_percent| TrainerLimits {
            gpus: gpus.map(|gpus| gpus.iter().map(|gpu| (*gpu).to_owned()).collect()),
            gpu_memory_percent,
            ..TrainerLimits::default()
        };
        assert_eq!(limits(None, None).variables(|_| None), []);
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let found = limits(Some(&["0", "GPU-5e1c"]), None).variables(|_| None);
        assert_eq!(found, [pair("CUDA_VISIBLE_DEVICES", "0,GPU-5e1c")]);
        assert_eq!(limits(Some(&[]), None).variables(|_| None), [pair("CUDA_VISIBLE_DEVICES", "")]);
        let set = |name: &str| (name == "PYTORCH_ALLOC_CONF").then(|| "expandable_segments:True".into());
        let value = "expandable_segments:True,per_process_memory_fraction:0.05";
        let found = limits(None, Some(5)).variables(set);
        assert_eq!(found, ALLOCATOR.map(|name| pair(name, value)));
    }

    #[test]
    fn bad_limits_are_named() {
        for (change, named) in [
            ((|limits| limits.memory_gib = Some(0)) as fn(&mut TrainerLimits), "memory_gib"),
            (|limits| limits.cpus = Some(0), "cpus"),
            (|limits| limits.processes = 1, "processes"),
            (|limits| limits.gpu_memory_percent = Some(101), "gpu_memory_percent"),
            (|limits| limits.cgroup_folder = Some("relative".into()), "cgroup_folder"),
            (|limits| limits.gpus = Some(vec!["0\n1".to_owned()]), "gpus"),
        ] {
            let mut limits = TrainerLimits::default();
            assert_eq!(limits.check(), Ok(()));
            change(&mut limits);
            let said = limits.check().unwrap_err();
            assert!(said.contains(&format!("`trainer.limits.{named}`")), "{said}");
        }
    }
}
