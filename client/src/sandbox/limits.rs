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
    /// Most memory of a graphics processor that its tensors may use, as a part of all of it in percent; with
    /// `max_gpu_memory_percent` of the policy, the smaller one counts. Default: no limit.
    #[schemars(range(min = 1, max = 100))]
    pub gpu_memory_percent: Option<u8>,
    /// Memory of the graphics processor that must be free before a training starts on it, in GiB. Until it is,
    /// the work waits. Graphics processors then have the numbers of `nvidia-smi`. Default: it is not looked at.
    #[schemars(range(min = 1, max = 65536))]
    pub gpu_free_gib: Option<u32>,
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
            gpu_free_gib: None,
        }
    }
}

impl TrainerLimits {
    /// Checks the ranges and the names.
    ///
    /// # Errors
    /// A sentence with the key and the value found.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            cgroup: _,
            cgroup_folder,
            memory_gib,
            cpus,
            processes,
            gpus,
            gpu_memory_percent,
            gpu_free_gib,
        } = self;
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
        gpu_free_gib.map_or(Ok(()), |found| within("gpu_free_gib", found, 1, 65_536))?;
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

    /// Variables for the trainer, which replace those of the daemon. The policy lets its tensors use `most`
    /// percent of a graphics processor's memory. `now` gives a variable of the daemon.
    pub(crate) fn variables(
        &self,
        most: u8,
        now: impl Fn(&str) -> Option<OsString>,
    ) -> Vec<(OsString, OsString)> {
        let devices = self.gpus.as_ref().map(|gpus| ("CUDA_VISIBLE_DEVICES".into(), gpus.join(",").into()));
        let mut variables: Vec<(OsString, OsString)> = devices.into_iter().collect();
        if self.gpu_free_gib.is_some() {
            // The driver's tool and CUDA then count alike.
            variables.push(("CUDA_DEVICE_ORDER".into(), "PCI_BUS_ID".into()));
        }
        let percent = self.gpu_memory_percent.unwrap_or(100).min(most);
        if self.gpu_memory_percent.is_some() || most < 100 {
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
        assert_eq!(limits(None, None).variables(100, |_| None), []);
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let found = limits(Some(&["0", "GPU-5e1c"]), None).variables(100, |_| None);
        assert_eq!(found, [pair("CUDA_VISIBLE_DEVICES", "0,GPU-5e1c")]);
        assert_eq!(limits(Some(&[]), None).variables(100, |_| None), [pair("CUDA_VISIBLE_DEVICES", "")]);
        let set = |name: &str| (name == "PYTORCH_ALLOC_CONF").then(|| "expandable_segments:True".into());
        let value = "expandable_segments:True,per_process_memory_fraction:0.05";
        let found = limits(None, Some(5)).variables(100, set);
        assert_eq!(found, ALLOCATOR.map(|name| pair(name, value)));
        for (own, policy) in [(Some(5), 50), (None, 5), (Some(50), 5)] {
            assert_eq!(limits(None, own).variables(policy, set), found, "the smaller part counts");
        }
        let free = TrainerLimits { gpu_free_gib: Some(8), ..TrainerLimits::default() };
        assert_eq!(free.variables(100, |_| None), [pair("CUDA_DEVICE_ORDER", "PCI_BUS_ID")]);
    }

    #[test]
    fn bad_limits_are_named() {
        for (change, named) in [
            ((|limits| limits.memory_gib = Some(0)) as fn(&mut TrainerLimits), "memory_gib"),
            (|limits| limits.cpus = Some(0), "cpus"),
            (|limits| limits.processes = 1, "processes"),
            (|limits| limits.gpu_memory_percent = Some(101), "gpu_memory_percent"),
            (|limits| limits.gpu_free_gib = Some(0), "gpu_free_gib"),
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
