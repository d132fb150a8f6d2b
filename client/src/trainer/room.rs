//! Whether a GPU has the free memory that the settings ask for, as `eosfed-trainer device` tells.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use eosfed_common::task::DeviceChoice;
use serde::Deserialize;
use tokio::process::Command;

use super::TrainerCommand;
use crate::condition::{ConditionKind, LocalCondition};

/// Longest time that the answer takes.
const TIMEOUT: Duration = Duration::from_secs(30);
const MIB_IN_GIB: f64 = 1024.0;

/// The answer, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Found {
    device: Option<String>,
    driver: Driver,
}

#[derive(Debug, Deserialize)]
struct Driver {
    gpus: Vec<Gpu>,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Gpu {
    name: String,
    uuid: Option<String>,
    memory_mib: Option<u64>,
    free_mib: Option<u64>,
}

impl TrainerCommand {
    /// Whether the device of a task has the room that `trainer.limits.gpu_free_gib` asks for.
    pub(super) async fn look_for_room(
        &self,
        device: DeviceChoice,
        folder: &Path,
    ) -> Result<(), LocalCondition> {
        let Some(wanted) = self.limits.gpu_free_gib.filter(|_| device != DeviceChoice::Cpu) else {
            return Ok(());
        };
        let visible = self.environment(folder, 100).filter(|(name, _)| name == "CUDA_VISIBLE_DEVICES").last();
        let visible = visible.map(|(_, value)| value.to_string_lossy().into_owned());
        let told = match tokio::time::timeout(TIMEOUT, self.told(device, folder)).await {
            Ok(told) => told,
            Err(_) => Err(format!("it did not answer within {} s", TIMEOUT.as_secs())),
        };
        let told = told.map_err(|why| {
            format!(
                "`trainer.limits.gpu_free_gib` is {wanted}, and `{} device` cannot be asked: {why}",
                self.program.display()
            )
        });
        let room = told.and_then(|found| room(&found, visible.as_deref(), wanted));
        room.map_err(|why| LocalCondition::new(ConditionKind::GpuBusy, why))
    }

    async fn told(&self, device: DeviceChoice, folder: &Path) -> Result<Found, String> {
        let mut command = Command::from(self.ask_device(device, folder));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout).map_err(|_| "its answer is not the expected JSON".to_owned())
    }
}

/// Whether the device that would be used has this much free memory, in GiB. A device that cannot be used is no
/// matter of room: the training ends with the reason.
fn room(found: &Found, visible: Option<&str>, wanted: u32) -> Result<(), String> {
    let number = found.device.as_deref().and_then(|device| device.strip_prefix("cuda:")?.parse().ok());
    let Some(number) = number else { return Ok(()) };
    let rule = format!("`trainer.limits.gpu_free_gib` is {wanted}");
    let gpu = of_number(&found.driver.gpus, visible, number);
    let Some((gpu, free)) = gpu.and_then(|gpu| Some((gpu, gpu.free_mib?))) else {
        let why = found.driver.problem.as_deref().unwrap_or("the driver does not tell");
        return Err(format!(
            "{rule}, and the free memory of cuda:{number} is not known ({why}); `eosfed-trainer device` says \
             more, and without that line nothing is asked"
        ));
    };
    if free >= u64::from(wanted) * 1024 {
        return Ok(());
    }
    let gib = |mib: u64| format!("{:.1}", mib as f64 / MIB_IN_GIB);
    let all = gpu.memory_mib.map(|all| format!(" of {}", gib(all))).unwrap_or_default();
    Err(format!(
        "{rule}, and cuda:{number} ({}) has {}{all} GiB free; end other programs on it, or lower the number",
        gpu.name,
        gib(free)
    ))
}

/// The driver's GPU that CUDA calls by this number among the visible ones. Both count in the order of the bus.
fn of_number<'a>(gpus: &'a [Gpu], visible: Option<&str>, number: usize) -> Option<&'a Gpu> {
    let Some(visible) = visible else { return gpus.get(number) };
    let name = visible.split(',').nth(number)?.trim();
    match name.parse::<usize>() {
        Ok(place) => gpus.get(place),
        // CUDA takes the beginning of a UUID.
        Err(_) => gpus.iter().find(|gpu| gpu.uuid.as_deref().is_some_and(|uuid| uuid.starts_with(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(device: &str) -> Found {
        let gpu = |name: &str, uuid: &str, free: Option<u64>| serde_json::json!({ "name": name, "uuid": uuid, "memory_mib": 81_920, "free_mib": free });
        let gpus =
            [gpu("A", "GPU-aa1", Some(80_000)), gpu("B", "GPU-bb2", Some(3_174)), gpu("C", "GPU-cc3", None)];
        let driver = serde_json::json!({ "version": "580", "gpus": gpus, "problem": null });
        serde_json::from_value(serde_json::json!({ "device": device, "reason": "asked", "driver": driver }))
            .unwrap()
    }

    #[test]
    fn a_gpu_without_room_is_refused_with_the_numbers() {
        assert_eq!(room(&found("cuda:0"), None, 8), Ok(()));
        assert_eq!(room(&found("cpu"), None, 8), Ok(()));
        let error = room(&found("cuda:1"), None, 8).unwrap_err();
        for part in ["`trainer.limits.gpu_free_gib` is 8", "cuda:1 (B) has 3.1 of 80.0 GiB free", "lower"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(room(&found("cuda:1"), None, 3), Ok(()));
    }

    #[test]
    fn numbers_are_those_among_the_visible_devices() {
        assert_eq!(room(&found("cuda:1"), Some("1,0"), 8), Ok(()));
        assert!(room(&found("cuda:0"), Some("1,0"), 8).unwrap_err().contains("(B)"));
        assert!(room(&found("cuda:0"), Some("GPU-bb"), 8).unwrap_err().contains("(B)"));
    }

    #[test]
    fn what_is_not_known_is_no_room() {
        for (device, visible) in [("cuda:2", None), ("cuda:7", None), ("cuda:0", Some("MIG-1"))] {
            let error = room(&found(device), visible, 1).unwrap_err();
            assert!(error.contains("not known") && error.contains("eosfed-trainer device"), "{error}");
        }
    }

    #[tokio::test]
    async fn the_training_program_is_asked_about_the_device_of_the_task() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("trainer.sh");
        let script = "#!/bin/sh\n[ \"$*\" = 'device --format json --device cuda:1' ] || { echo '{}'; exit; }\n\
                      [ \"$CUDA_DEVICE_ORDER\" = PCI_BUS_ID ] || exit 1\n\
                      echo '{\"device\":\"cuda:1\",\"driver\":{\"gpus\":[{\"name\":\"A\"},{\"name\":\"B\",\"free_mib\":2048}],\
                      \"problem\":null}}'\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let asked = |gpu_free_gib| TrainerCommand {
            launcher: Vec::new(),
            program: program.clone(),
            sandbox: None,
            limits: crate::sandbox::TrainerLimits { gpu_free_gib, ..Default::default() },
            trace: Default::default(),
            lane: 0,
        };
        let room = |wanted, number| {
            let (command, folder) = (asked(wanted), folder.path());
            async move { command.look_for_room(DeviceChoice::Cuda(number), folder).await }
        };
        assert_eq!(room(Some(2), 1).await, Ok(()));
        let busy = room(Some(3), 1).await.unwrap_err();
        assert_eq!(busy.kind, ConditionKind::GpuBusy);
        assert!(busy.message.contains("cuda:1 (B) has 2.0 GiB free"), "{busy}");
        assert_eq!(room(None, 0).await, Ok(()), "nothing is asked without the line");
        assert!(room(Some(1), 0).await.unwrap_err().message.contains("expected JSON"));
    }
}
