//! `eosfed-trainer device`.

use std::process::ExitCode;

use eosfed_common::outln;
use eosfed_common::task::DeviceChoice;
use eosfed_trainer::device::{self, CudaReady, Driver};

/// Prints the device and the reason, then what is known about CUDA. Fails if the requested device cannot
/// be used.
pub(super) fn device(choice: DeviceChoice) -> anyhow::Result<ExitCode> {
    let cuda = device::cuda();
    let chosen = device::choose(choice, cuda);
    if let Ok((device, reason)) = &chosen {
        outln!("{}: {reason}", device::name(*device));
    }
    if let (DeviceChoice::Cpu, Err(problem)) = (choice, cuda) {
        // The reason of the other choices includes it.
        outln!("  {:<13} cannot be used: {problem}", "CUDA");
    }
    facts(cuda.ok(), &Driver::read()).iter().for_each(|(what, value)| outln!("  {what:<13} {value}"));
    chosen?;
    Ok(ExitCode::SUCCESS)
}

fn facts(cuda: Option<&CudaReady>, driver: &Driver) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(ready) = cuda {
        facts.push(("library", ready.library.display().to_string()));
        facts.push(("CUDA devices", format!("{}; the first is used", ready.devices)));
    }
    facts.push(("driver", driver.version.clone().unwrap_or_else(|| "none".to_owned())));
    facts.extend(driver.gpus.iter().map(|gpu| ("GPU", gpu.clone())));
    if cuda.is_some() {
        let known = if driver.gpus.is_empty() { "models, memory" } else { "memory" };
        facts.push(("not known", format!("{known} and compute capability; `nvidia-smi` shows them")));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_include_what_was_found_and_what_is_unknown() {
        let ready = CudaReady { library: "/lt/libtorch_cuda.so".into(), devices: 2 };
        let driver = Driver { version: Some("580.1".to_owned()), gpus: vec!["NVIDIA A".to_owned()] };
        let text = |facts: Vec<(&str, String)>| {
            facts.into_iter().map(|(what, value)| format!("{what} {value}")).collect::<Vec<_>>().join("\n")
        };
        let found = text(facts(Some(&ready), &driver));
        for part in ["/lt/libtorch_cuda.so", "CUDA devices 2", "580.1", "GPU NVIDIA A", "not known memory"] {
            assert!(found.contains(part), "{part}: {found}");
        }
        assert_eq!(text(facts(None, &Driver::default())), "driver none");
    }
}
