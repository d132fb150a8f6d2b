//! What `run` needs of this machine: the training program, its sandbox and limits, room on the disk.

use std::path::Path;
use std::time::Duration;

use eosfed_client::daemon::largest_work;
use eosfed_client::policy::Allow;
use eosfed_client::sandbox::{Cgroups, Enforcement, Mode, Report};
use eosfed_client::settings::Settings;
use eosfed_common::files::free_bytes;
use eosfed_common::model::Backbone;
use eosfed_common::quantity::{bytes, bytes_apart};

use super::Finding;
use crate::cli::shared::trainer_command;

/// How long the training program may take to say which device it uses. Where its libraries are read from a
/// network for the first time, that is much more than usual.
const TRIAL: Duration = Duration::from_secs(120);

/// Starts the training program, as for an assignment, and asks which device it would use.
pub(super) fn trainer(settings: &Settings) -> Finding {
    let folder = std::env::temp_dir();
    let command = trainer_command(settings)?;
    let mut devices = settings.trainer.places();
    // Several trainings on the processor need one trial.
    devices.dedup();
    let found: Result<Vec<_>, _> =
        devices.into_iter().map(|device| command.try_out(device, &folder, TRIAL)).collect();
    Ok(format!("{}: {}", command.shown(), found?.join("; ")))
}

/// Whether there is room for the largest work that the policy allows.
pub(super) fn room(folder: &Path, allow: &Allow) -> Finding {
    let free = free_bytes(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    judge_room(folder, free, largest_work(allow))
}

fn judge_room(folder: &Path, free: u64, work: Option<(Backbone, u64)>) -> Finding {
    let said = |free: &str| format!("{free} are free in {}", folder.display());
    let Some((backbone, needed)) = work else { return Ok(said(&bytes(free))) };
    let [shown, kept] = bytes_apart(free, needed);
    let needs =
        format!("{}; a job with {backbone}, which the policy allows, keeps {kept} there", said(&shown));
    if free < needed {
        return Err(format!("{needs}, smaller networks keep less; make space"));
    }
    Ok(needs)
}

pub(super) fn sandbox(settings: &Settings) -> Finding {
    let folder = std::env::temp_dir();
    let Some(report) = trainer_command(settings)?.enforced(&folder)? else {
        return Ok("off; the trainer may use the network and write wherever this user may".to_owned());
    };
    let Report { network, files } = &report;
    let found = format!("no network: {}; writes to its own folder only: {}", shown(network), shown(files));
    if report.is_complete() || settings.trainer.sandbox.mode != Mode::Required {
        return Ok(found);
    }
    Err(format!("{found}; `trainer.sandbox.mode = \"required\"` lets no training start here"))
}

/// Whether the training program gets a cgroup. One started by hand may have another place than the daemon.
pub(super) fn limits(settings: &Settings) -> Finding {
    let limits = &settings.trainer.limits;
    if limits.cgroup == Mode::Off {
        return Ok("no cgroup (off); a trainer that leaves its process group may outlive it".to_owned());
    }
    let made = if limits.cgroup_folder.is_some() {
        Cgroups::find(limits).and_then(|cgroups| cgroups.make(limits).map_err(|error| error.to_string()))
    } else {
        // A cgroup of this process says nothing of the daemon's: it is not changed.
        return match (Cgroups::find(limits), limits.cgroup) {
            (Ok(_), _) => Ok("a cgroup of version 2 can be made".to_owned()),
            (Err(why), Mode::Required) => Err(format!("no cgroup: {why}")),
            (Err(why), _) => Ok(format!("no cgroup here ({why}); its limits are not enforced")),
        };
    };
    let cgroup = made?;
    cgroup.end();
    match (cgroup.missing.is_empty(), limits.cgroup) {
        (true, _) => Ok("a cgroup of version 2, with all limits".to_owned()),
        (false, Mode::Required) => Err(format!("not enforced: {}", cgroup.missing.join("; "))),
        (false, _) => Ok(format!("a cgroup of version 2; not enforced: {}", cgroup.missing.join("; "))),
    }
}

fn shown(enforcement: &Enforcement) -> String {
    match enforcement {
        Enforcement::Full(means) => means.clone(),
        Enforcement::Partial(means) => format!("in part ({means})"),
        Enforcement::None(why) => format!("not enforced ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::plan::JobKind;

    use super::*;

    #[test]
    fn too_little_room_for_the_largest_work_of_the_policy_is_a_problem_with_its_numbers() {
        let allow = |kinds: &[JobKind], backbones: &[Backbone]| Allow {
            job_kinds: kinds.to_vec(),
            backbones: backbones.to_vec(),
            ..Allow::default()
        };
        let at = |free, allow: &Allow| judge_room(Path::new("/var/lib/eosfed"), free, largest_work(allow));
        let training = allow(&[JobKind::Statistics, JobKind::Rounds], &[Backbone::Base, Backbone::Atto]);
        let (_, needed) = largest_work(&training).unwrap();
        assert!((1_400_000_000..1_420_000_000).contains(&needed), "88 million weights four times: {needed}");
        assert!(at(needed, &training).unwrap().contains("convnextv2_base"));
        let problem = at(needed - 1, &training).unwrap_err();
        for part in ["are free in /var/lib/eosfed", "convnextv2_base", "GB there", "make space"] {
            assert!(problem.contains(part), "{problem}");
        }
        let [free, kept] = bytes_apart(needed - 1, needed);
        assert!(problem.starts_with(&format!("{free} are free")) && problem.contains(&kept), "{problem}");
        assert_ne!(free, kept);
        // Who only scores keeps the weights once; who only measures, and who allows nothing, keeps none.
        let scoring = allow(&[JobKind::Evaluation], &[Backbone::Base]);
        assert_eq!(largest_work(&scoring).unwrap().1, needed / 4);
        for nothing in [allow(&[JobKind::Statistics], &[Backbone::Base]), allow(&[JobKind::Rounds], &[])] {
            assert!(at(0, &nothing).is_ok());
        }
    }
}
