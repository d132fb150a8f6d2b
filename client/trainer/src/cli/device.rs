//! `eosfed-trainer device`.

use std::process::ExitCode;

use clap::Args;
use eosfed_common::outln;
use eosfed_common::task::DeviceChoice;
use eosfed_trainer::device::{self, CudaProblem, CudaReady, Driver, Gpu, NoCuda};
use serde::Serialize;

use super::arguments::Format;
use super::output::print_json;

/// Print which device would be used and why, and what is known about CUDA on this machine.
#[derive(Args)]
pub(super) struct DeviceArguments {
    /// Device to compute on: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Format in which it is printed.
    #[arg(long = "format", value_enum, default_value_t)]
    format: Format,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Found {
    /// `cpu` or `cuda:N`; absent if the requested device cannot be used.
    device: Option<String>,
    /// Why this device, or why it cannot be used.
    reason: String,
    /// libtorch's CUDA part; absent if CUDA cannot be used.
    library: Option<String>,
    /// CUDA devices that libtorch sees.
    devices: u32,
    /// Why CUDA cannot be used.
    problem: Option<String>,
    /// The driver and its GPUs.
    driver: Driver,
}

impl Found {
    fn new(
        chosen: &Result<(tch::Device, String), NoCuda>,
        cuda: Result<&CudaReady, &CudaProblem>,
        driver: Driver,
    ) -> Self {
        let (device, reason) = match chosen {
            Ok((device, reason)) => (Some(device::name(*device)), reason.clone()),
            Err(error) => (None, error.to_string()),
        };
        Self {
            device,
            reason,
            library: cuda.ok().map(|ready| ready.library.display().to_string()),
            devices: cuda.map_or(0, |ready| ready.devices),
            problem: cuda.err().map(ToString::to_string),
            driver,
        }
    }

    fn lines(&self) -> Vec<String> {
        let fact = |what: &str, value: &str| format!("  {what:<13} {value}");
        let mut lines = Vec::new();
        lines.extend(self.device.as_ref().map(|device| format!("{device}: {}", self.reason)));
        // The reason of other choices includes it.
        let untold = self.problem.as_ref().filter(|problem| !self.reason.contains(problem.as_str()));
        lines.extend(untold.map(|problem| fact("CUDA", &format!("cannot be used: {problem}"))));
        if let Some(library) = &self.library {
            lines.push(fact("library", library));
            lines.push(fact("CUDA devices", &self.devices.to_string()));
        }
        let Driver { version, cuda, gpus, problem } = &self.driver;
        let version = version.as_deref().unwrap_or("none");
        let supports = cuda.as_ref().map(|cuda| format!(", for CUDA {cuda} and older")).unwrap_or_default();
        lines.push(fact("driver", &format!("{version}{supports}")));
        lines.extend(gpus.iter().map(|gpu| fact("GPU", &described(gpu))));
        lines.extend(problem.as_ref().map(|problem| fact("not known", &format!("NVML: {problem}"))));
        lines
    }
}

/// A GPU in a line.
fn described(gpu: &Gpu) -> String {
    // As `trainer.limits.gpu_free_gib` counts it.
    let gib = |mib: u64| format!("{:.1} GiB", mib as f64 / 1024.0);
    let memory = gpu.memory_mib.map(|all| {
        let free = gpu.free_mib.map(|free| format!(" ({} free)", gib(free))).unwrap_or_default();
        format!("{}{free}", gib(all))
    });
    let capability = gpu.compute_capability.as_ref().map(|found| format!("compute capability {found}"));
    let parts = [Some(gpu.name.clone()), memory, capability, gpu.uuid.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Prints the device and the reason, then what is known about CUDA. Fails if the requested device cannot
/// be used.
pub(super) fn device(DeviceArguments { device, format }: &DeviceArguments) -> anyhow::Result<ExitCode> {
    let cuda = device::cuda();
    let chosen = device::choose(*device, cuda);
    let found = Found::new(&chosen, cuda, Driver::read());
    match format {
        Format::Json => print_json(&found)?,
        Format::Table => found.lines().iter().for_each(|line| outln!("{line}")),
    }
    chosen?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_include_what_was_found_and_what_is_unknown() {
        let ready = CudaReady { library: "/lt/libtorch_cuda.so".into(), devices: 2 };
        let gpu = Gpu {
            name: "NVIDIA A".to_owned(),
            uuid: Some("GPU-1".to_owned()),
            memory_mib: Some(81_920),
            free_mib: Some(1_024),
            compute_capability: Some("9.0".to_owned()),
        };
        let driver = Driver {
            version: Some("580.1".to_owned()),
            cuda: Some("13.0".to_owned()),
            gpus: vec![gpu, Gpu { name: "NVIDIA B".to_owned(), ..Gpu::default() }],
            problem: None,
        };
        let chosen = device::choose(DeviceChoice::Cuda(1), Ok(&ready));
        let lines = Found::new(&chosen, Ok(&ready), driver).lines();
        let wanted = [
            "cuda:1: this device was asked for",
            "  library       /lt/libtorch_cuda.so",
            "  CUDA devices  2",
            "  driver        580.1, for CUDA 13.0 and older",
            "  GPU           NVIDIA A, 80.0 GiB (1.0 GiB free), compute capability 9.0, GPU-1",
            "  GPU           NVIDIA B",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn what_is_missing_is_said_once() {
        let problem = CudaProblem::NotFound { tried: "/nowhere".to_owned() };
        let driver = || Driver { problem: Some("no NVML".to_owned()), ..Driver::default() };
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0)] {
            let chosen = device::choose(choice, Err(&problem));
            let found = Found::new(&chosen, Err(&problem), driver());
            let said = found.lines().join("\n");
            assert_eq!(found.device.is_none(), choice == DeviceChoice::Cuda(0));
            assert!(said.ends_with("driver        none\n  not known     NVML: no NVML"), "{said}");
            // A device that cannot be used is an error, which has the reason.
            let times = usize::from(found.device.is_some());
            assert_eq!(said.matches("/nowhere").count(), times, "{said}");
        }
    }
}
